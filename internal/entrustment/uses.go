package entrustment

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// PurposeUses names what would change its meaning if a Purpose were gone, sorted; none: it may go.
func (s *Snapshot) PurposeUses(name string) []string {
	p := s.purposes[name]
	if p == nil {
		return nil
	}
	var uses []string
	use := func(format string, args ...any) { uses = append(uses, fmt.Sprintf(format, args...)) }
	for _, other := range s.purposes {
		if other.obj.Spec.ParentName == name {
			use("Purpose %q below it", other.name())
		}
	}
	for key, st := range s.stores {
		switch {
		case st.obj.Spec.ControllerName != p.obj.Spec.ControllerName:
		case namedByStore(&st.obj.Spec, name):
			use("PersonalDataStore %q names it", key)
		case p.forest != nil && st.intended.has(p.id):
			use("PersonalDataStore %q is for it", key)
		case p.restricts():
			// Without it the store's purposes could be more: it is what forbids them.
			use("PersonalDataStore %q of %q, which it protects", key, p.obj.Spec.ControllerName)
		}
	}
	for _, c := range s.contracts {
		if slices.Contains(c.obj.Spec.Purposes, name) || slices.Contains(c.obj.Spec.ProhibitedPurposes, name) {
			use("Entrustment %q names it", c.name())
		}
	}
	for _, party := range s.parties {
		for i := range party.bindings {
			if b := &party.bindings[i]; slices.Contains(b.obj.Purposes, name) {
				use("DataProcessor %q assigns it to namespace %q", party.name, b.namespace)
			}
		}
	}
	slices.Sort(uses)
	return uses
}

// restricts says whether the purpose itself forbids something to stores, rather than only to be a purpose of theirs.
func (p *purpose) restricts() bool {
	spec := &p.obj.Spec
	return spec.Disposition == v1alpha1.DispositionProhibited || spec.ConsentRequired || spec.ContactsIndividuals
}

func namedByStore(spec *v1alpha1.PersonalDataStoreSpec, purpose string) bool {
	for _, names := range [...][]string{spec.AllowedPurposes, spec.ProhibitedPurposes, spec.ConsentedPurposes} {
		if slices.Contains(names, purpose) {
			return true
		}
	}
	return slices.ContainsFunc(spec.Credentials, func(c v1alpha1.Credential) bool { return slices.Contains(c.Purposes, purpose) })
}

// ProcessorUses names the stores of a DataProcessor and the contracts with it that have not ended, sorted; none: it may go.
func (s *Snapshot) ProcessorUses(name string) []string {
	var uses []string
	for key, st := range s.stores {
		if st.obj.Spec.ControllerName == name {
			uses = append(uses, fmt.Sprintf("PersonalDataStore %q holds its data", key))
		}
	}
	for _, c := range s.contracts {
		if _, ended := s.calendar.term(c.obj); ended {
			continue
		}
		if c.obj.Spec.EntrusterName == name || c.obj.Spec.EntrusteeName == name {
			uses = append(uses, fmt.Sprintf("Entrustment %q has not ended", c.name()))
		}
	}
	slices.Sort(uses)
	return uses
}

// StoreUses names who has a grant for a store, sorted; none: it may go.
func (s *Snapshot) StoreUses(key types.NamespacedName) []string {
	var uses []string
	for _, grant := range s.StoreGrants(key) {
		if grant.Entrustment == "" {
			uses = append(uses, fmt.Sprintf("namespace %q has a grant", grant.Namespace))
		} else {
			uses = append(uses, fmt.Sprintf("namespace %q has a grant under Entrustment %q", grant.Namespace, grant.Entrustment))
		}
	}
	return uses
}

// ParentOfOther names the data controller of a Purpose's parent if it is not the Purpose's own; empty: it is, or there is
// no such parent yet.
func (s *Snapshot) ParentOfOther(candidate *v1alpha1.Purpose) string {
	parent := s.purposes[candidate.Spec.ParentName]
	if parent == nil || parent.obj.Spec.ControllerName == candidate.Spec.ControllerName {
		return ""
	}
	return parent.obj.Spec.ControllerName
}

// RivalBinding names another DataProcessor that claims a namespace which a party claims; empty: there is none.
func (s *Snapshot) RivalBinding(namespace, processor string) string {
	b := s.bindings[namespace]
	switch {
	case b == nil || !b.contested:
		return ""
	case b.party.name != processor:
		return b.party.name
	case b.rival.name != processor:
		return b.rival.name
	}
	return ""
}
