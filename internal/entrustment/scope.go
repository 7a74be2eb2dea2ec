package entrustment

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// scopeValid compares what a contract asks for with what it gets. What exceeds the parent or the stores is clipped, not
// refused: the parties still agree on the intersection.
func (s *Snapshot) scopeValid(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionScopeValid
	switch {
	case c.broken:
		say.isUnknown(kind, v1alpha1.ReasonParentNotFound, "the chain of parents is broken")
		return
	case c.authority != nil && c.authority.reason == v1alpha1.ReasonStoreNotFound && c.authority.tier == c:
		say.isFalse(kind, v1alpha1.ReasonStoreNotFound, "%s", s.describe(c.authority))
		return
	case c.controller == nil:
		say.isUnknown(kind, c.authority.reason, "%s", s.describe(c.authority))
		return
	case c.location != nil && c.location.reason == v1alpha1.ReasonTerritoryNotAllowed:
		say.isFalse(kind, c.location.reason, "%s", s.describe(c.location))
		return
	}
	if reason, message := s.storeOutOfScope(c); reason != "" {
		say.isFalse(kind, reason, "%s", message)
		return
	}
	for excess := range s.exceedsParent(c, nil) {
		say.isFalse(kind, v1alpha1.ReasonExceedsParentScope, "%s; clipped to what Entrustment %q permits", excess, c.parent.name())
		return
	}
	if excess := s.exceedsStores(c); len(excess) > 0 {
		say.isFalse(kind, v1alpha1.ReasonExceedsStorePurposes, "no store in scope is for %s; clipped to what they are for", quoteList(excess))
		return
	}
	say.isTrue(kind, v1alpha1.ReasonWithinScope, "within what the tiers above and the stores permit")
}

// storeOutOfScope finds a store that the contract names and does not reach.
func (s *Snapshot) storeOutOfScope(c *contract) (v1alpha1.Reason, string) {
	for _, ref := range c.obj.Spec.Stores {
		key := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
		st := s.stores[key]
		switch {
		case st == nil:
			return v1alpha1.ReasonStoreNotFound, fmt.Sprintf("PersonalDataStore %q does not exist", key)
		case st.obj.DeletionTimestamp != nil:
			return v1alpha1.ReasonStoreNotFound, fmt.Sprintf("PersonalDataStore %q is being deleted", key)
		case st.controller != c.controller:
			return v1alpha1.ReasonStoreNotFound, fmt.Sprintf("PersonalDataStore %q holds data of %q, not of %q", key, st.controller.name, c.controller.name)
		case !st.admits(c):
			return v1alpha1.ReasonRecipientNotAllowed,
				fmt.Sprintf("PersonalDataStore %q is not open to recipients of class %s (spec.allowedRecipients)", key, c.recipient())
		}
		if category, uncovered := firstUncovered(c.obj.Spec.DataCategories, st.obj.Spec.DataCategories); uncovered {
			return v1alpha1.ReasonCategoryNotEntrusted,
				fmt.Sprintf("PersonalDataStore %q holds %q, which spec.dataCategories does not include", key, category)
		}
	}
	return "", ""
}

// NewExcess names what a contract, as it is to be written, asks for beyond the tiers above and did not ask for before; before
// is nil for a new contract. Of a contract whose parent does not exist, or is broken itself, nothing can be said. The
// snapshot stays as it is.
func (s *Snapshot) NewExcess(candidate, before *v1alpha1.Entrustment) []string {
	parent := s.contracts[candidate.Spec.ParentName]
	if parent == nil || parent.broken || parent.controller == nil || parent.territory == nil {
		return nil
	}
	as := func(obj *v1alpha1.Entrustment) *contract {
		if obj == nil {
			return nil
		}
		return &contract{obj: obj, parent: parent, controller: parent.controller}
	}
	return slices.Collect(s.exceedsParent(as(candidate), as(before)))
}

// exceedsParent yields what a contract asks for and no tier above can give, except what it asked for before, if it is known
// how it was before: what was too much already must not keep anybody from suspending it.
func (s *Snapshot) exceedsParent(c, before *contract) iter.Seq[string] {
	return func(yield func(string) bool) {
		if c.parent == nil {
			return
		}
		_ = s.purposesExceed(c, before, yield) && s.storesExceed(c, before, yield) &&
			tiersExceed(c, before, yield) && placesExceed(c, before, yield)
	}
}

func (s *Snapshot) purposesExceed(c, before *contract, yield func(string) bool) bool {
	var asked set
	if before != nil {
		asked = s.ownPurposes(before)
	}
	for id := range s.ownPurposes(c).all() {
		if c.parent.purposes.has(id) || asked.has(id) {
			continue
		}
		if !yield(fmt.Sprintf("purpose %q exceeds the tiers above", c.controller.forest.members[id].name())) {
			return false
		}
	}
	return true
}

func (s *Snapshot) storesExceed(c, before *contract, yield func(string) bool) bool {
	for _, ref := range c.obj.Spec.Stores {
		key := types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}
		if c.parent.reaches(s.stores[key]) || before != nil && before.names(key) {
			continue
		}
		if s.stores[key] == nil && c.parent.named(key) {
			continue // nobody can reach it before it is there
		}
		if !yield(fmt.Sprintf("store %q exceeds the tiers above", key)) {
			return false
		}
	}
	return true
}

// tiersExceed compares with each tier above: the categories and the term.
func tiersExceed(c, before *contract, yield func(string) bool) bool {
	spec := &c.obj.Spec
	var was *v1alpha1.EntrustmentSpec
	if before != nil {
		was = &before.obj.Spec
	}
	for tier := c.parent; tier != nil; tier = tier.parent {
		above := &tier.obj.Spec
		for _, category := range spec.DataCategories {
			if covers(above.DataCategories, []string{category}) || was != nil && covers(was.DataCategories, []string{category}) {
				continue
			}
			if !yield(fmt.Sprintf("category %q exceeds Entrustment %q", category, tier.name())) {
				return false
			}
		}
		if above.NotAfter.Before(&spec.NotAfter) && (was == nil || was.NotAfter.Before(&spec.NotAfter)) &&
			!yield(fmt.Sprintf("notAfter is later than that of Entrustment %q", tier.name())) {
			return false
		}
		if spec.NotBefore != nil && spec.NotBefore.Before(above.NotBefore) &&
			(was == nil || was.NotBefore != nil && spec.NotBefore.Before(was.NotBefore)) &&
			!yield(fmt.Sprintf("notBefore is earlier than that of Entrustment %q", tier.name())) {
			return false
		}
	}
	return true
}

// placesExceed compares with what all tiers above have in common: where the data may be handled, and where they may be sent.
func placesExceed(c, before *contract, yield func(string) bool) bool {
	spec := &c.obj.Spec
	for _, country := range spec.Territories {
		if slices.Contains(c.parent.territory, country) || before != nil && slices.Contains(before.obj.Spec.Territories, country) {
			continue
		}
		if !yield(fmt.Sprintf("territory %s exceeds the tiers above", country)) {
			return false
		}
	}
	for i := range spec.Egress {
		if c.parent.permitsEgress(&spec.Egress[i]) || before != nil && before.listsEgress(&spec.Egress[i]) {
			continue
		}
		if !yield(fmt.Sprintf("egress to %s exceeds the tiers above", spec.Egress[i].CIDR)) {
			return false
		}
	}
	return true
}

// ownPurposes is what the contract itself asks for.
func (s *Snapshot) ownPurposes(c *contract) set {
	f := c.controller.forest
	if f == nil {
		return nil
	}
	own := newSet(len(f.members))
	f.extent(own, s.purposes, c.obj.Spec.Purposes, c.obj.Spec.ProhibitedPurposes)
	return own
}

// exceedsStores names the purposes in the contract's extent that no store in scope is for, sorted.
func (s *Snapshot) exceedsStores(c *contract) []string {
	f := c.controller.forest
	if f == nil {
		return slices.Sorted(slices.Values(c.obj.Spec.Purposes))
	}
	excess := slices.Clone(c.purposes)
	excess.intersect(f.inForce)
	for _, st := range c.stores {
		excess.subtract(st.intended)
	}
	var names []string
	for id := range excess.all() {
		names = append(names, f.members[id].name())
	}
	slices.Sort(names)
	return names
}

// permitsEgress says whether a destination lies within one of every tier from this one up.
func (c *contract) permitsEgress(d *v1alpha1.EgressDestination) bool {
	for tier := c; tier != nil; tier = tier.parent {
		if !tier.listsEgress(d) {
			return false
		}
	}
	return true
}

// named says whether every tier from this one up lists a store.
func (c *contract) named(key types.NamespacedName) bool {
	for tier := c; tier != nil; tier = tier.parent {
		if !tier.names(key) {
			return false
		}
	}
	return true
}

// listsEgress says whether a destination lies within one of the tier's own.
func (c *contract) listsEgress(d *v1alpha1.EgressDestination) bool {
	return slices.ContainsFunc(c.obj.Spec.Egress, func(own v1alpha1.EgressDestination) bool { return liesWithin(d, &own) })
}

func liesWithin(d, above *v1alpha1.EgressDestination) bool {
	inner, err := netip.ParsePrefix(d.CIDR)
	if err != nil {
		return false
	}
	outer, err := netip.ParsePrefix(above.CIDR)
	if err != nil || outer.Bits() > inner.Bits() || !outer.Contains(inner.Addr()) {
		return false
	}
	if len(above.Ports) == 0 {
		return true
	}
	return len(d.Ports) > 0 && !slices.ContainsFunc(d.Ports, func(p v1alpha1.Port) bool {
		return !slices.ContainsFunc(above.Ports, func(q v1alpha1.Port) bool { return p.Port == q.Port && protocol(p) == protocol(q) })
	})
}
