package entrustment

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// Delivery says that a namespace has a grant for a credential of a store.
type Delivery struct {
	Name       string // of the delivered Secret
	Store      types.NamespacedName
	Credential string
	Source     string // Secret in the namespace of the store
}

// Deliveries lists the credentials that a namespace is granted, sorted by name: those that some grant of its
// PersonalDataAccess lists, and no other.
func (s *Snapshot) Deliveries(namespace string) []Delivery {
	b := s.bindings[namespace]
	if !b.bound() {
		return nil
	}
	byName := map[string]Delivery{}
	for _, grant := range s.accessGrants(b) {
		for _, key := range grant.Stores {
			for _, c := range s.stores[key].obj.Spec.Credentials {
				name := v1alpha1.DeliveredSecretName(key.Namespace, key.Name, c.Name)
				if _, listed := slices.BinarySearch(grant.Secrets, name); listed {
					byName[name] = Delivery{Name: name, Store: key, Credential: c.Name, Source: c.SecretName}
				}
			}
		}
	}
	return slices.SortedFunc(maps.Values(byName), func(a, b Delivery) int { return strings.Compare(a.Name, b.Name) })
}

// NamespaceUID is that of the very namespace whose grants a snapshot knows; empty: not known.
func (s *Snapshot) NamespaceUID(namespace string) types.UID { return s.namespaces[namespace] }
