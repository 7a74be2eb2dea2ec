package entrustment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// A Dangling reference names an object that does not exist, or a purpose of another data controller.
type Dangling struct {
	Kind, Name     string // of the object that refers; NAMESPACE/NAME of a store
	Field          string // such as spec.allowedPurposes[2]
	ToKind, ToName string // of what is not there
	Other          string // data controller of a Purpose that is there; empty: nothing is
}

// DanglingReferences lists them, sorted by object and field.
func (s *Snapshot) DanglingReferences() []Dangling {
	var found []Dangling
	for _, p := range s.purposes {
		refs := referrer{s, "Purpose", p.name(), &found}
		refs.party("spec.controllerName", p.obj.Spec.ControllerName)
		if parent := p.obj.Spec.ParentName; parent != "" {
			if other, dangles := refs.dangles(parent, p.obj.Spec.ControllerName); dangles {
				refs.add("spec.parentName", "Purpose", parent, other)
			}
		}
	}
	for _, p := range s.parties {
		if p.missing() {
			continue
		}
		refs := referrer{s, "DataProcessor", p.name, &found}
		for i := range p.obj.Spec.Namespaces {
			refs.purposes(fmt.Sprintf("spec.namespaces[%d].purposes", i), p.obj.Spec.Namespaces[i].Purposes, "")
		}
	}
	for _, st := range s.stores {
		refs, spec := referrer{s, "PersonalDataStore", st.key.String(), &found}, &st.obj.Spec
		refs.party("spec.controllerName", spec.ControllerName)
		refs.purposes("spec.allowedPurposes", spec.AllowedPurposes, spec.ControllerName)
		refs.purposes("spec.prohibitedPurposes", spec.ProhibitedPurposes, spec.ControllerName)
		refs.purposes("spec.consentedPurposes", spec.ConsentedPurposes, spec.ControllerName)
		for i := range spec.Credentials {
			refs.purposes(fmt.Sprintf("spec.credentials[%d].purposes", i), spec.Credentials[i].Purposes, spec.ControllerName)
		}
	}
	for _, c := range s.contracts {
		refs, spec := referrer{s, "Entrustment", c.name(), &found}, &c.obj.Spec
		refs.party("spec.entrusterName", spec.EntrusterName)
		refs.party("spec.entrusteeName", spec.EntrusteeName)
		if spec.ParentName != "" && s.contracts[spec.ParentName] == nil {
			refs.add("spec.parentName", "Entrustment", spec.ParentName, "")
		}
		controller := ""
		if c.controller != nil {
			controller = c.controller.name
		}
		refs.purposes("spec.purposes", spec.Purposes, controller)
		refs.purposes("spec.prohibitedPurposes", spec.ProhibitedPurposes, controller)
		for i, ref := range spec.Stores {
			if key := (types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}); s.stores[key] == nil {
				refs.add(fmt.Sprintf("spec.stores[%d]", i), "PersonalDataStore", key.String(), "")
			}
		}
	}
	slices.SortFunc(found, func(a, b Dangling) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name), strings.Compare(a.Field, b.Field))
	})
	return found
}

// referrer collects what one object refers to in vain.
type referrer struct {
	snapshot   *Snapshot
	kind, name string
	found      *[]Dangling
}

func (r referrer) add(field, kind, name, other string) {
	*r.found = append(*r.found, Dangling{r.kind, r.name, field, kind, name, other})
}

func (r referrer) party(field, name string) {
	if p := r.snapshot.parties[name]; p == nil || p.missing() {
		r.add(field, "DataProcessor", name, "")
	}
}

func (r referrer) purposes(field string, names []string, controller string) {
	for i, name := range names {
		if other, dangles := r.dangles(name, controller); dangles {
			r.add(fmt.Sprintf("%s[%d]", field, i), "Purpose", name, other)
		}
	}
}

// dangles says whether there is no such purpose of a data controller, if that is known; other is whose it is then, if
// anybody's.
func (r referrer) dangles(purpose, controller string) (other string, dangles bool) {
	p := r.snapshot.purposes[purpose]
	if p == nil {
		return "", true
	}
	other = p.obj.Spec.ControllerName
	return other, controller != "" && other != controller
}

// Names are the names of all objects of a kind, sorted; of stores NAMESPACE/NAME.
func (s *Snapshot) Names(kind string) []string {
	var names []string
	switch kind {
	case "Purpose":
		for name := range s.purposes {
			names = append(names, name)
		}
	case "DataProcessor":
		for name, p := range s.parties {
			if !p.missing() {
				names = append(names, name)
			}
		}
	case "Entrustment":
		for name := range s.contracts {
			names = append(names, name)
		}
	case "PersonalDataStore":
		for key := range s.stores {
			names = append(names, key.String())
		}
	}
	slices.Sort(names)
	return names
}
