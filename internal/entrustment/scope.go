package entrustment

import (
	"fmt"
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
	if excess := s.exceedsParent(c); excess != "" {
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

// exceedsParent names the first thing that a contract asks for and no tier above can give; empty: nothing.
func (s *Snapshot) exceedsParent(c *contract) string {
	if c.parent == nil {
		return ""
	}
	own, spec := s.ownPurposes(c), &c.obj.Spec
	for id := range own.all() {
		if !c.parent.purposes.has(id) {
			return fmt.Sprintf("purpose %q exceeds the tiers above", s.forests[c.controller.name].members[id].name())
		}
	}
	for _, st := range spec.Stores {
		if key := (types.NamespacedName{Namespace: st.Namespace, Name: st.Name}); !c.parent.reaches(s.stores[key]) {
			return fmt.Sprintf("store %q exceeds the tiers above", key)
		}
	}
	for tier := c.parent; tier != nil; tier = tier.parent {
		above := &tier.obj.Spec
		if category, uncovered := firstUncovered(above.DataCategories, spec.DataCategories); uncovered {
			return fmt.Sprintf("category %q exceeds Entrustment %q", category, tier.name())
		}
		if above.NotAfter.Before(&spec.NotAfter) {
			return fmt.Sprintf("notAfter is later than that of Entrustment %q", tier.name())
		}
		if spec.NotBefore.Before(above.NotBefore) && spec.NotBefore != nil {
			return fmt.Sprintf("notBefore is earlier than that of Entrustment %q", tier.name())
		}
	}
	for _, country := range spec.Territories {
		if !slices.Contains(c.parent.territory, country) {
			return fmt.Sprintf("territory %s exceeds the tiers above", country)
		}
	}
	for i := range spec.Egress {
		if !c.parent.permitsEgress(&spec.Egress[i]) {
			return fmt.Sprintf("egress to %s exceeds the tiers above", spec.Egress[i].CIDR)
		}
	}
	return ""
}

// ownPurposes is what the contract itself asks for.
func (s *Snapshot) ownPurposes(c *contract) set {
	f := s.forests[c.controller.name]
	if f == nil {
		return nil
	}
	own := newSet(int32(len(f.members)))
	f.extent(own, s.purposes, c.obj.Spec.Purposes, c.obj.Spec.ProhibitedPurposes)
	return own
}

// exceedsStores names the purposes in the contract's extent that no store in scope is for, sorted.
func (s *Snapshot) exceedsStores(c *contract) []string {
	f := s.forests[c.controller.name]
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
		if !slices.ContainsFunc(tier.obj.Spec.Egress, func(above v1alpha1.EgressDestination) bool { return liesWithin(d, &above) }) {
			return false
		}
	}
	return true
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
