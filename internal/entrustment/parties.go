package entrustment

import (
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// party is a business operator that some object names. It may have no DataProcessor.
type party struct {
	name string
	obj  *v1alpha1.DataProcessor // nil: nothing with that name exists

	forest *forest // of its purposes; nil: it has published none

	bindings []binding
	stores   []*store    // of which it is the data controller
	received []*contract // in which it is the entrustee
	entrusts bool        // it is the entruster of some
	most     most        // of its own stores, and of what is entrusted to it
}

func (p *party) missing() bool   { return p.obj == nil }
func (p *party) suspended() bool { return p.obj != nil && p.obj.Spec.Suspended }
func (p *party) rejected() bool {
	return p.obj != nil && p.obj.Spec.Selection != nil && p.obj.Spec.Selection.Result == v1alpha1.SelectionRejected
}

// handling yields the countries in which the party handles data: handlingCountries, or its own country.
func (p *party) handling() []string {
	if len(p.obj.Spec.HandlingCountries) > 0 {
		return p.obj.Spec.HandlingCountries
	}
	return []string{p.obj.Spec.Country}
}

// binding is the claim of a party to a namespace.
type binding struct {
	namespace string
	party     *party
	obj       *v1alpha1.NamespaceBinding

	contested bool       // claimed more than once: it belongs to nobody
	rival     *party     // one of the other claimants
	recreated bool       // the namespace is another one than that first seen
	assigned  []*purpose // the only purposes that may be declared, with their descendants, if restricted
	limit     *limit     // grants that do not fit into a PersonalDataAccess; nil: all do

	grants atomic.Pointer[[]AccessGrant] // nil: nobody has asked for them yet; many ask for those of the same namespace
}

func (b *binding) bound() bool { return b != nil && !b.contested && !b.recreated }

func (b *binding) restricted() bool { return len(b.obj.Purposes) > 0 }

func (b *binding) enforcement() v1alpha1.Enforcement {
	if b.obj.Enforcement == v1alpha1.EnforcementReport {
		return v1alpha1.EnforcementReport
	}
	return v1alpha1.EnforcementEnforce
}

// assigns says whether pods of the namespace may declare a purpose.
func (b *binding) assigns(p *purpose) bool {
	if !b.restricted() {
		return true
	}
	for _, a := range b.assigned {
		if p.below(a) {
			return true
		}
	}
	return false
}

// party returns the node of a name, made at its first mention.
func (s *Snapshot) party(name string) *party {
	p := s.parties[name]
	if p == nil {
		p = &party{name: name}
		s.parties[name] = p
	}
	return p
}

// addParties makes the nodes of the DataProcessors and binds their namespaces.
func (s *Snapshot) addParties(objects []*v1alpha1.DataProcessor, existing map[string]types.UID) {
	nodes := make([]party, len(objects))
	var bindings arena[binding]
	for i, obj := range objects {
		if obj == nil || s.parties[obj.Name] != nil {
			continue
		}
		p := &nodes[i]
		p.name, p.obj = obj.Name, obj
		s.parties[p.name] = p
		if selection := obj.Spec.Selection; selection != nil {
			last := dayOf(selection.ValidUntil)
			s.clock.addDay(last + 1)
			s.clock.addDay(last - selectionSoonDays)
		}
		p.bindings = bindings.slice(len(obj.Spec.Namespaces))
		s.bindNamespaces(p, existing)
	}
}

// bindNamespaces settles which namespace belongs to whom. One that is claimed twice, even by the same party, belongs to
// nobody, and neither does one that was deleted and made anew by somebody else under the same name.
func (s *Snapshot) bindNamespaces(p *party, existing map[string]types.UID) {
	for i := range p.bindings {
		spec, b := &p.obj.Spec.Namespaces[i], &p.bindings[i]
		b.namespace, b.party, b.obj = spec.Name, p, spec
		if uid, exists := existing[spec.Name]; exists {
			pinned := pinnedUID(p.obj, spec.Name)
			b.recreated = pinned != "" && pinned != uid
		}
		for _, name := range spec.Purposes {
			if a := s.purposes[name]; a != nil && a.forest != nil {
				b.assigned = append(b.assigned, a)
			}
		}
		if first := s.bindings[spec.Name]; first != nil {
			first.contested, b.contested = true, true
			first.rival, b.rival = p, first.party
			continue
		}
		s.bindings[spec.Name] = b
	}
}

func pinnedUID(obj *v1alpha1.DataProcessor, namespace string) types.UID {
	for _, seen := range obj.Status.Namespaces {
		if seen.Name == namespace {
			return seen.UID
		}
	}
	return ""
}

// runsHere says whether a namespace is bound to the party.
func (p *party) runsHere() bool {
	for i := range p.bindings {
		if p.bindings[i].bound() {
			return true
		}
	}
	return false
}
