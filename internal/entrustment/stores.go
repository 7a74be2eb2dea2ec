package entrustment

import (
	"cmp"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// store is a PersonalDataStore with its intended purposes resolved.
type store struct {
	obj        *v1alpha1.PersonalDataStore
	key        types.NamespacedName
	controller *party
	forest     *forest // of its data controller; nil: that has published no purpose

	intended  set         // purposes that comply now: IP*(S), less those not in force
	contracts []*contract // that reach the store, all tests but those of the namespace and the purpose passed
	demands   []demand    // what its pods have to carry
	conflicts []*store    // other stores behind one of its ports
	breadth   int         // number of intended purposes
	rank      int32       // place among the stores of its data controller, by key
}

// admits says whether the store is open to the class of recipients of a contract.
func (st *store) admits(c *contract) bool {
	return slices.Contains(st.obj.Spec.AllowedRecipients, c.recipient())
}

func (s *Snapshot) addStores(objects []*v1alpha1.PersonalDataStore) {
	nodes := make([]store, len(objects))
	for i, obj := range objects {
		if obj == nil {
			continue
		}
		key := types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}
		if s.stores[key] != nil {
			continue
		}
		st := &nodes[i]
		st.obj, st.key, st.controller = obj, key, s.party(obj.Spec.ControllerName)
		if st.forest = st.controller.forest; st.forest != nil {
			st.intended = s.intend(st.forest, &obj.Spec)
			st.breadth = st.intended.count()
		}
		s.stores[key] = st
	}
}

// intend computes IP*(S) = AIP↓ − PIP↕ and what of it is in force. Rules on purpose compliance after Byun and Li,
// "Purpose based access control for privacy protection in relational database systems" (VLDB Journal 17, 2008).
func (s *Snapshot) intend(f *forest, spec *v1alpha1.PersonalDataStoreSpec) set {
	intended := newSet(len(f.members))
	f.extent(intended, s.purposes, spec.AllowedPurposes, spec.ProhibitedPurposes)
	intended.intersect(f.inForce)
	intended.subtract(f.banned)
	if len(f.gated) > 0 {
		intended.subtract(f.unconsented(s.purposes, spec.ConsentedPurposes))
	}
	if spec.DataForm == v1alpha1.DataFormPseudonymised {
		intended.subtract(f.contacting)
	}
	return intended
}

// relateStores gives the stores to their data controllers, in the order of keys, and finds those that share a port of an
// endpoint: what reaches one reaches the other, so each opens only to those whom all of them admit.
func (s *Snapshot) relateStores() {
	s.inside = map[string][]*store{}
	type network struct {
		prefix netip.Prefix
		store  *store
	}
	var outside []network
	for _, key := range s.Stores() {
		st := s.stores[key]
		st.rank = int32(len(st.controller.stores))
		st.controller.stores = append(st.controller.stores, st)
		st.controller.most.add(st)
		if external := st.obj.Spec.Endpoint.External; external != nil {
			s.external = append(s.external, key)
			for _, text := range external.CIDRs {
				if prefix, err := netip.ParsePrefix(text); err == nil {
					outside = append(outside, network{prefix.Masked(), st})
				}
			}
		}
		if st.obj.Spec.Endpoint.PodSelector != nil {
			st.demands = demands(st.obj.Spec.Endpoint.PodSelector)
			s.inside[key.Namespace] = append(s.inside[key.Namespace], st)
		}
	}
	for _, neighbours := range s.inside {
		for i, a := range neighbours {
			for _, b := range neighbours[i+1:] {
				if mayOverlap(a.demands, b.demands) && sharePort(a, b) {
					conflict(a, b)
				}
			}
		}
	}
	// Ranges either nest or are disjoint: sorted, the ranges around one are those still open above it.
	slices.SortStableFunc(outside, func(a, b network) int {
		if c := a.prefix.Addr().Compare(b.prefix.Addr()); c != 0 {
			return c
		}
		return cmp.Compare(a.prefix.Bits(), b.prefix.Bits())
	})
	var open []network
	for _, n := range outside {
		for len(open) > 0 && !open[len(open)-1].prefix.Overlaps(n.prefix) {
			open = open[:len(open)-1]
		}
		for _, o := range open {
			if o.store != n.store && sharePort(o.store, n.store) {
				conflict(o.store, n.store)
			}
		}
		open = append(open, n)
	}
}

func conflict(a, b *store) {
	if !slices.Contains(a.conflicts, b) {
		a.conflicts, b.conflicts = append(a.conflicts, b), append(b.conflicts, a)
	}
}

func sharePort(a, b *store) bool {
	for _, p := range a.obj.Spec.Endpoint.Ports {
		for _, q := range b.obj.Spec.Endpoint.Ports {
			if p.Port == q.Port && protocol(p) == protocol(q) {
				return true
			}
		}
	}
	return false
}

func protocol(p v1alpha1.Port) v1alpha1.Protocol { return cmp.Or(p.Protocol, v1alpha1.ProtocolTCP) }

// mayOverlap says whether one pod could carry the labels of both selectors. Only two sets of values of one label that
// have nothing in common exclude each other.
func mayOverlap(a, b []demand) bool {
	for _, x := range a {
		for _, y := range b {
			if x.key == y.key && !slices.ContainsFunc(x.values, func(v string) bool { return slices.Contains(y.values, v) }) {
				return false
			}
		}
	}
	return true
}

// demand is a label that has to have one of some values.
type demand struct {
	key    string
	values []string
}

func demands(selector *v1alpha1.PodSelector) []demand {
	var out []demand
	for key, value := range selector.MatchLabels {
		out = append(out, demand{key, []string{value}})
	}
	for _, e := range selector.MatchExpressions {
		if e.Operator == v1alpha1.PodSelectorIn {
			out = append(out, demand{e.Key, e.Values})
		}
	}
	return out
}
