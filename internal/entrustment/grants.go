package entrustment

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// granted yields the purposes for which the pods of a namespace reach a store under a contract, or none. The sets say
// which purposes are worth a question; decide answers it.
func (s *Snapshot) granted(b *binding, c *contract, st *store, yield func(*purpose)) {
	if st.forest == nil {
		return
	}
	d := Decision{snapshot: s, binding: b, contract: c, store: st}
	d.request = Request{Namespace: b.namespace, Store: st.key}
	if c != nil {
		d.request.Entrustment = c.name()
	}
	for i, word := range st.intended {
		if c != nil {
			if i >= len(c.purposes) {
				return
			}
			word &= c.purposes[i]
		}
		for id := range set.all(set{word}) {
			d.purpose = st.forest.members[i<<6+int(id)]
			if b.limit.excludesStore(&d) {
				continue
			}
			d.request.Purpose = d.purpose.name()
			d.effect = Deny
			if d.decide(); d.Allowed() {
				yield(d.purpose)
			}
		}
	}
}

// StoreGrants lists who reaches a store, one grant for each namespace and entrustment, sorted by namespace, then entrustment.
func (s *Snapshot) StoreGrants(key types.NamespacedName) []Grant {
	st := s.stores[key]
	if st == nil {
		return nil
	}
	var grants []Grant
	add := func(b *binding, c *contract) {
		grant := Grant{Namespace: b.namespace, Store: key}
		s.granted(b, c, st, func(p *purpose) { grant.Purposes = append(grant.Purposes, p.name()) })
		if len(grant.Purposes) == 0 {
			return
		}
		if c != nil {
			grant.Entrustment = c.name()
		}
		slices.Sort(grant.Purposes)
		grants = append(grants, grant)
	}
	for i := range st.controller.bindings {
		add(&st.controller.bindings[i], nil)
	}
	for _, c := range st.contracts {
		for i := range c.entrustee.bindings {
			add(&c.entrustee.bindings[i], c)
		}
	}
	slices.SortFunc(grants, func(a, b Grant) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Entrustment, b.Entrustment))
	})
	return grants
}

// NamespaceAccess lists what the pods of a namespace may do; false: it is bound to nobody. The grants are the snapshot's own:
// nobody may change them.
func (s *Snapshot) NamespaceAccess(namespace string) (Access, bool) {
	b := s.bindings[namespace]
	if !b.bound() {
		return Access{}, false
	}
	return Access{
		Processor: b.party.name, Enforcement: b.enforcement(), Namespace: s.namespaces[namespace], Grants: s.grantsOf(b),
	}, true
}

// grantsOf are the grants of a namespace, once its limit is known. Two that ask first may both compute them: the same.
func (s *Snapshot) grantsOf(b *binding) []AccessGrant {
	if listed := b.grants.Load(); listed != nil {
		return *listed
	}
	grants := s.accessGrants(b)
	b.grants.Store(&grants)
	return grants
}

func (s *Snapshot) accessGrants(b *binding) []AccessGrant {
	var grants []AccessGrant
	collect := func(c *contract, stores []*store) {
		byPurpose := map[*purpose][]*store{}
		for _, st := range stores {
			s.granted(b, c, st, func(p *purpose) { byPurpose[p] = append(byPurpose[p], st) })
		}
		for p, reached := range byPurpose {
			grants = append(grants, newAccessGrant(s, p, c, reached))
		}
	}
	collect(nil, b.party.stores)
	for _, c := range b.party.received {
		collect(c, c.stores)
	}
	slices.SortFunc(grants, func(a, b AccessGrant) int {
		return cmp.Or(strings.Compare(a.Entrustment, b.Entrustment), strings.Compare(a.Purpose, b.Purpose))
	})
	return grants
}

func newAccessGrant(s *Snapshot, p *purpose, c *contract, reached []*store) AccessGrant {
	grant := AccessGrant{Purpose: p.name(), Until: grantUntil(p, c)}
	if c != nil {
		grant.Entrustment = c.name()
		grant.PodDeadline = c.podDeadline()
	}
	for _, st := range reached {
		grant.Stores = append(grant.Stores, st.key)
		for i := range st.obj.Spec.Credentials {
			credential := &st.obj.Spec.Credentials[i]
			if s.delivers(credential, p) {
				grant.Secrets = append(grant.Secrets, v1alpha1.DeliveredSecretName(st.key.Namespace, st.key.Name, credential.Name))
			}
		}
	}
	slices.SortFunc(grant.Stores, compareKeys)
	slices.Sort(grant.Secrets)
	grant.Secrets = grant.Secrets[:min(len(grant.Secrets), maxEntries)]
	return grant
}

// delivers says whether a credential goes to those who process for a purpose.
func (s *Snapshot) delivers(credential *v1alpha1.Credential, p *purpose) bool {
	if len(credential.Purposes) == 0 {
		return true
	}
	ancestor, _ := s.relatives(p, credential.Purposes)
	return ancestor != nil
}

// limit is what of a namespace's grants does not fit into its PersonalDataAccess. It is denied, because what the object
// does not show must not be open anywhere else.
type limit struct {
	afterEntrustment, afterPurpose string // grants sorted behind this one do not fit
	cut                            bool   // whether there are any

	lastStore []int32 // by purpose of the party's own forest: rank of the last store that fits into a grant of own handling
}

// excludes says whether a decision is about a grant that does not fit; nil excludes none.
func (l *limit) excludes(d *Decision) bool {
	if l == nil {
		return false
	}
	return l.excludesStore(d) || l.cut &&
		cmp.Or(strings.Compare(l.afterEntrustment, d.request.Entrustment), strings.Compare(l.afterPurpose, d.request.Purpose)) < 0
}

func (l *limit) excludesStore(d *Decision) bool {
	return l != nil && d.contract == nil && int(d.purpose.id) < len(l.lastStore) && d.store.rank > l.lastStore[d.purpose.id]
}

// overflows says whether some grant of the namespace does not fit.
func (b *binding) overflows() bool {
	if b.limit == nil {
		return false
	}
	return b.limit.cut || slices.ContainsFunc(b.party.stores, func(st *store) bool {
		for id := range st.intended.all() {
			if st.rank > b.limit.lastStore[id] && b.assigns(st.forest.members[id]) {
				return true
			}
		}
		return false
	})
}

// Bytes that a grant takes in JSON besides its names, and an entry of its lists besides its text.
const (
	grantOverhead = 160
	entryOverhead = 3
	maxEntries    = 64 // of a list of a grant
	maxName       = 63
)

func (g *AccessGrant) size() int {
	size := grantOverhead + len(g.Purpose) + len(g.Entrustment)
	for _, st := range g.Stores {
		size += entryOverhead + len(st.Namespace) + 1 + len(st.Name)
	}
	for _, secret := range g.Secrets {
		size += entryOverhead + len(secret)
	}
	return size
}

// limitAccess finds the namespaces with more grants than a PersonalDataAccess may hold. Most cannot have: the numbers of
// contracts, stores and purposes alone tell.
func (s *Snapshot) limitAccess() {
	for _, b := range s.bindings {
		if b.bound() && b.party.mayOverflow() {
			s.limitStores(b)
			s.limitGrants(b)
		}
	}
}

// most counts what a namespace of a party could be granted at most.
type most struct{ grants, bytes int }

func (m *most) add(st *store) {
	m.grants += st.breadth
	m.bytes += st.breadth * (grantOverhead + 2*maxName + (entryOverhead+2*maxName+1)*(1+2*len(st.obj.Spec.Credentials)))
}

func (p *party) mayOverflow() bool {
	return p.most.grants > v1alpha1.MaxGrants || p.most.bytes > v1alpha1.MaxAccessBytes || len(p.stores) > maxEntries
}

// limitStores keeps the first stores of each grant of the party's own handling; a contract names no more than fit.
func (s *Snapshot) limitStores(b *binding) {
	if len(b.party.stores) <= maxEntries || b.party.stores[0].forest == nil {
		return
	}
	size := len(b.party.stores[0].forest.members)
	last, reached := make([]int32, size), make([]int, size)
	for i := range last {
		last[i] = math.MaxInt32
	}
	b.limit = &limit{lastStore: last} // while it fills, it spares the questions about what is full already
	for _, st := range b.party.stores {
		s.granted(b, nil, st, func(p *purpose) {
			if reached[p.id]++; reached[p.id] == maxEntries {
				last[p.id] = st.rank
			}
		})
	}
}

// limitGrants keeps the first grants that fit.
func (s *Snapshot) limitGrants(b *binding) {
	size := 0
	grants := s.accessGrants(b)
	for i := range grants {
		if size += grants[i].size(); i < v1alpha1.MaxGrants && size <= v1alpha1.MaxAccessBytes {
			continue
		}
		if b.limit == nil {
			b.limit = &limit{}
		}
		b.limit.cut = true
		if i > 0 { // one grant is far smaller than the whole, so i is never 0
			b.limit.afterEntrustment, b.limit.afterPurpose = grants[i-1].Entrustment, grants[i-1].Purpose
		}
		return
	}
}

// SameStoreGrants says whether a store has the same grants as in an older snapshot, so that nobody need look.
func (s *Snapshot) SameStoreGrants(old *Snapshot, key types.NamespacedName) bool {
	return slices.EqualFunc(s.StoreGrants(key), old.StoreGrants(key), func(a, b Grant) bool {
		return a.Namespace == b.Namespace && a.Entrustment == b.Entrustment && slices.Equal(a.Purposes, b.Purposes)
	})
}

// SameNamespaceAccess says whether a namespace may do the same as in an older snapshot.
func (s *Snapshot) SameNamespaceAccess(old *Snapshot, namespace string) bool {
	now, bound := s.NamespaceAccess(namespace)
	before, wasBound := old.NamespaceAccess(namespace)
	return bound == wasBound && now.Processor == before.Processor && now.Enforcement == before.Enforcement && now.Namespace == before.Namespace &&
		slices.EqualFunc(now.Grants, before.Grants, func(a, b AccessGrant) bool {
			return a.Purpose == b.Purpose && a.Entrustment == b.Entrustment && a.Until.Equal(b.Until) &&
				a.PodDeadline == b.PodDeadline && slices.Equal(a.Stores, b.Stores) && slices.Equal(a.Secrets, b.Secrets)
		})
}

// Ground is an object by which a namespace may do what it may, or might.
type Ground struct {
	Kind, Name string
	Generation int64
}

// Grounds are the DataProcessor that binds a namespace and, from the root, the chain of an entrustment; empty: none. What
// does not exist is left out.
func (s *Snapshot) Grounds(namespace, entrustment string) []Ground {
	var grounds []Ground
	if b := s.bindings[namespace]; b != nil {
		grounds = append(grounds, Ground{"DataProcessor", b.party.name, b.party.obj.Generation})
	}
	if c := s.contracts[entrustment]; c != nil && !c.broken {
		for _, tier := range c.chain() {
			grounds = append(grounds, Ground{"Entrustment", tier.name(), tier.obj.Generation})
		}
	}
	return grounds
}
