package entrustment

import (
	"slices"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
)

// Decision answers a Request. The zero value denies.
//
// The effect is settled; the reason of some denials, and every message, are made when asked for, because most callers
// only want the effect.
type Decision struct {
	request  Request
	snapshot *Snapshot
	binding  *binding
	purpose  *purpose
	contract *contract
	store    *store

	effect Effect
	reason v1alpha1.Reason // empty: ask the test named by stage
	stage  stage
	rival  *store // store that shares an endpoint and denies
}

// stage tells which group of tests failed where the reason is not known yet.
type stage uint8

const (
	stageSettled  stage = iota
	stageIntended       // the purpose does not comply with the store
	stageScope          // the store or the purpose is not in the contract's extent
)

// Request is what was asked.
func (d Decision) Request() Request { return d.request }

// Effect is Allow or Deny.
func (d Decision) Effect() Effect { return d.effect }

// Allowed says whether the effect is Allow.
func (d Decision) Allowed() bool { return d.effect == Allow }

// Reason is the first failing test of a denial, or how an allow came about. The zero Decision has none.
func (d Decision) Reason() v1alpha1.Reason {
	switch d.stage {
	case stageIntended:
		reason, _ := d.snapshot.whyNotIntended(d.store, d.purpose)
		return reason
	case stageScope:
		reason, _ := d.snapshot.whyNotInScope(d.contract, d.store, d.purpose)
		return reason
	default:
		return d.reason
	}
}

// Chain names the Entrustments from the root to the one acted under; nil without one.
func (d Decision) Chain() []string {
	if d.contract == nil || d.contract.broken {
		return nil
	}
	var names []string
	for _, c := range d.contract.chain() {
		names = append(names, c.name())
	}
	return names
}

// Until is the instant at which time alone turns an allow into a denial; zero: there is none. Only an allow has one.
func (d Decision) Until() time.Time {
	if !d.Allowed() {
		return time.Time{}
	}
	return grantUntil(d.purpose, d.contract)
}

func grantUntil(p *purpose, c *contract) time.Time {
	if c == nil {
		return p.until
	}
	return earlier(p.until, c.until)
}

// Authorize decides a request: the tests of the semantics in their order, of which the first that fails gives the reason.
func (s *Snapshot) Authorize(r Request) Decision {
	d := s.resolve(r.Namespace, r.Purpose, r.Entrustment)
	d.request.Store = r.Store
	d.store = s.stores[r.Store]
	d.decide()
	return d
}

// AuthorizePod decides whether a pod with these labels reaches any store. A denial is that of the store for which the
// most tests passed.
func (s *Snapshot) AuthorizePod(namespace, purpose, entrustment string) Decision {
	general := s.resolve(namespace, purpose, entrustment)
	if general.reason = general.standing(); general.reason != "" {
		return general
	}
	if general.reason = general.right(); general.reason != "" {
		return general
	}
	nearest := general
	nearest.reason = v1alpha1.ReasonNoEntrustment // of a party that has no store
	if general.contract != nil {
		nearest.reason = v1alpha1.ReasonStoreNotFound // of a contract that names none that exists
	}
	for _, st := range s.candidates(general.binding, general.contract) {
		d := general
		d.request.Store, d.store = st.key, st
		d.decide()
		if d.Allowed() {
			return d
		}
		if nearest.store == nil || closeness(d.Reason()) > closeness(nearest.Reason()) {
			nearest = d
		}
	}
	return nearest
}

// closeness tells how near a denial is to an allow: what is about the purpose and the store at hand is nearer than what
// is about a store that somebody else may have meant.
func closeness(reason v1alpha1.Reason) int {
	return slices.Index([]v1alpha1.Reason{
		v1alpha1.ReasonStoreNotFound, v1alpha1.ReasonNoEntrustment, v1alpha1.ReasonStoreOfOtherController,
		v1alpha1.ReasonPurposeOfOtherController, v1alpha1.ReasonPurposeNotIntended, v1alpha1.ReasonRecipientNotAllowed,
		v1alpha1.ReasonStoreNotEntrusted, v1alpha1.ReasonCategoryNotEntrusted, v1alpha1.ReasonPurposeNotEntrusted,
		v1alpha1.ReasonPurposeTooGeneral, v1alpha1.ReasonPurposeProhibitedForStore, v1alpha1.ReasonConsentNotEvidenced,
		v1alpha1.ReasonDataFormForbids, v1alpha1.ReasonStoreSuspended, v1alpha1.ReasonEndpointConflict,
		v1alpha1.ReasonTooManyGrants,
	}, reason)
}

// candidates are the stores that a pod could mean: those its contract names, or those of its own party.
func (s *Snapshot) candidates(b *binding, c *contract) []*store {
	if c == nil {
		return b.party.stores
	}
	return s.appendNamed(nil, c)
}

func (s *Snapshot) resolve(namespace, purpose, entrustment string) Decision {
	d := Decision{
		request:  Request{Namespace: namespace, Purpose: purpose, Entrustment: entrustment},
		snapshot: s,
		binding:  s.bindings[namespace],
		purpose:  s.purposes[purpose],
	}
	if entrustment != "" {
		d.contract = s.contracts[entrustment]
	}
	return d
}

// decide makes all tests in their order.
func (d *Decision) decide() {
	if !d.passes() {
		return
	}
	// A store that shares its endpoint with others opens only to those whom all of them admit.
	for _, rival := range d.store.conflicts {
		other := *d
		other.store, other.request.Store = rival, rival.key
		if !other.passes() {
			d.reason, d.rival = v1alpha1.ReasonEndpointConflict, rival
			return
		}
	}
	if d.binding.limit.excludes(d) {
		d.reason = v1alpha1.ReasonTooManyGrants
		return
	}
	d.effect, d.reason = Allow, v1alpha1.ReasonControllerHandling
	if d.contract != nil {
		d.reason = v1alpha1.ReasonEntrusted
	}
}

// passes makes the tests that concern one store alone.
func (d *Decision) passes() bool {
	if d.reason = d.standing(); d.reason != "" {
		return false
	}
	if d.reason = d.open(); d.reason != "" {
		return false
	}
	if d.reason = d.right(); d.reason != "" {
		return false
	}
	d.stage, d.reason = d.extent()
	return d.stage == stageSettled && d.reason == ""
}

// standing asks who wants to process, and for what.
func (d *Decision) standing() v1alpha1.Reason {
	switch b, p := d.binding, d.purpose; {
	case !b.bound():
		return v1alpha1.ReasonNamespaceNotBound
	case b.party.suspended():
		return v1alpha1.ReasonProcessorSuspended
	case d.request.Purpose == "":
		return v1alpha1.ReasonPurposeNotDeclared
	case p == nil:
		return v1alpha1.ReasonPurposeUnknown
	case p.flaw != "":
		return p.flaw
	case !b.assigns(p):
		return v1alpha1.ReasonPurposeNotAssigned
	}
	return ""
}

// open asks whether there is anything to reach.
func (d *Decision) open() v1alpha1.Reason {
	switch {
	case d.store == nil, d.store.obj.DeletionTimestamp != nil:
		return v1alpha1.ReasonStoreNotFound
	case d.store.obj.Spec.Suspended:
		return v1alpha1.ReasonStoreSuspended
	}
	return ""
}

// right asks by what right: as the store's data controller, or under a chain of contracts. Without a store, what
// depends on it is left out.
func (d *Decision) right() v1alpha1.Reason {
	c, st := d.contract, d.store
	if d.request.Entrustment == "" {
		if st != nil && st.controller != d.binding.party {
			return v1alpha1.ReasonNoEntrustment
		}
		return ""
	}
	switch {
	case c == nil || c.broken:
		return v1alpha1.ReasonEntrustmentNotFound
	case c.entrustee != d.binding.party:
		return v1alpha1.ReasonNotEntrustee
	case c.authority != nil:
		return c.authority.reason
	case st != nil && st.controller != c.controller:
		return v1alpha1.ReasonStoreOfOtherController
	case c.activity != nil:
		return c.activity.reason
	case c.location != nil:
		return c.location.reason
	case st != nil && !st.admits(c):
		return v1alpha1.ReasonRecipientNotAllowed
	}
	return ""
}

// extent asks whether the purpose complies with the store, and whether both are within the contract.
func (d *Decision) extent() (stage, v1alpha1.Reason) {
	switch p, c, st := d.purpose, d.contract, d.store; {
	case p.forest != st.forest:
		return stageSettled, v1alpha1.ReasonPurposeOfOtherController
	case !st.intended.has(p.id):
		return stageIntended, ""
	case c != nil && !(c.reaches(st) && c.purposes.has(p.id)):
		return stageScope, ""
	}
	return stageSettled, ""
}

// whyNotIntended names the test by which a purpose does not comply with a store, and the purpose that decided it, if any.
func (s *Snapshot) whyNotIntended(st *store, p *purpose) (v1alpha1.Reason, *purpose) {
	spec := &st.obj.Spec
	below, above := s.relatives(p, spec.AllowedPurposes)
	if below == nil {
		if above != nil {
			return v1alpha1.ReasonPurposeTooGeneral, above
		}
		return v1alpha1.ReasonPurposeNotIntended, nil
	}
	below, above = s.relatives(p, spec.ProhibitedPurposes)
	if below != nil {
		return v1alpha1.ReasonPurposeProhibitedForStore, below
	}
	if above != nil {
		return v1alpha1.ReasonPurposeTooGeneral, above
	}
	members := p.forest.members[p.id:p.end]
	for _, q := range members {
		if q.banned {
			return v1alpha1.ReasonPurposeTooGeneral, q
		}
	}
	unconsented := p.forest.unconsented(s.purposes, spec.ConsentedPurposes)
	if unconsented.has(p.id) {
		for _, q := range members {
			if q.consent && unconsented.has(q.id) {
				return v1alpha1.ReasonConsentNotEvidenced, q
			}
		}
	}
	for _, q := range members {
		if q.contacts {
			return v1alpha1.ReasonDataFormForbids, q
		}
	}
	return v1alpha1.ReasonPurposeNotIntended, nil
}

// relatives finds, among named purposes, one that p is or is below, and one that p contains.
func (s *Snapshot) relatives(p *purpose, names []string) (ancestor, descendant *purpose) {
	for _, name := range names {
		q := s.purposes[name]
		if q == nil || q.forest != p.forest {
			continue
		}
		switch {
		case p.below(q):
			ancestor = q
		case q.below(p):
			descendant = q
		}
	}
	return ancestor, descendant
}

// whyNotInScope names the first tier, from the root, in whose extent the store or the purpose is not, and the test.
func (s *Snapshot) whyNotInScope(c *contract, st *store, p *purpose) (v1alpha1.Reason, *contract) {
	for _, tier := range c.chain() {
		if !tier.names(st.key) {
			return v1alpha1.ReasonStoreNotEntrusted, tier
		}
		own := newSet(len(p.forest.members))
		p.forest.extent(own, s.purposes, tier.obj.Spec.Purposes, tier.obj.Spec.ProhibitedPurposes)
		if !own.has(p.id) {
			return v1alpha1.ReasonPurposeNotEntrusted, tier
		}
		if !covers(tier.obj.Spec.DataCategories, st.obj.Spec.DataCategories) {
			return v1alpha1.ReasonCategoryNotEntrusted, tier
		}
	}
	return v1alpha1.ReasonStoreNotEntrusted, c
}
