package entrustment

import (
	"maps"
	"slices"

	"entrustment.dev/operator/api/v1alpha1"
)

// GuardedNamespaces are the namespaces that hold a store or are bound, sorted: where somebody's pods touch personal data.
func (s *Snapshot) GuardedNamespaces() []string {
	names := map[string]bool{}
	for key := range s.stores {
		names[key.Namespace] = true
	}
	for _, name := range s.BoundNamespaces() {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// StoreNamespaces are the namespaces that hold a store made of pods, sorted.
func (s *Snapshot) StoreNamespaces() []string {
	return slices.Sorted(maps.Keys(s.inside))
}

// StoresOfPod are the stores of a namespace to which a pod with these labels belongs, in the order of their names.
func (s *Snapshot) StoresOfPod(namespace string, labels map[string]string) []*v1alpha1.PersonalDataStore {
	return s.storesWhere(namespace, func(st *store) bool { return selects(st.obj.Spec.Endpoint.PodSelector, labels) })
}

// StoresBehind are the stores of a namespace of which a selector may select a pod, in the order of their names. The empty
// selector may select any.
func (s *Snapshot) StoresBehind(namespace string, selector map[string]string) []*v1alpha1.PersonalDataStore {
	asks := demands(&v1alpha1.PodSelector{MatchLabels: selector})
	return s.storesWhere(namespace, func(st *store) bool { return mayOverlap(st.demands, asks) })
}

func (s *Snapshot) storesWhere(namespace string, holds func(*store) bool) []*v1alpha1.PersonalDataStore {
	var found []*v1alpha1.PersonalDataStore
	for _, st := range s.inside[namespace] {
		if holds(st) {
			found = append(found, st.obj)
		}
	}
	return found
}

// selects says whether a pod with these labels is one of the selector's. An operator that is not known selects it: to be
// taken for a pod of a store opens nothing.
func selects(selector *v1alpha1.PodSelector, labels map[string]string) bool {
	for key, value := range selector.MatchLabels {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	for _, e := range selector.MatchExpressions {
		value, ok := labels[e.Key]
		switch e.Operator {
		case v1alpha1.PodSelectorIn:
			if !ok || !slices.Contains(e.Values, value) {
				return false
			}
		case v1alpha1.PodSelectorExists:
			if !ok {
				return false
			}
		}
	}
	return true
}
