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
	for _, grant := range s.grantsOf(b) {
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

// NamespaceDelivery is a delivery to one namespace.
type NamespaceDelivery struct {
	Namespace string
	Delivery
}

// StoreDeliveries lists to which namespaces the credentials of a store go, sorted by namespace, then as the store declares
// them. It costs no more than the store's grants; the few that a namespace's PersonalDataAccess has no room to list are
// listed here all the same.
func (s *Snapshot) StoreDeliveries(key types.NamespacedName) []NamespaceDelivery {
	st := s.stores[key]
	if st == nil || len(st.obj.Spec.Credentials) == 0 {
		return nil
	}
	var deliveries []NamespaceDelivery
	grants := s.StoreGrants(key)
	for len(grants) > 0 {
		namespace, n := grants[0].Namespace, 1
		for n < len(grants) && grants[n].Namespace == namespace {
			n++
		}
		for i := range st.obj.Spec.Credentials {
			c := &st.obj.Spec.Credentials[i]
			if slices.ContainsFunc(grants[:n], func(g Grant) bool {
				return slices.ContainsFunc(g.Purposes, func(p string) bool { return s.delivers(c, s.purposes[p]) })
			}) {
				deliveries = append(deliveries, NamespaceDelivery{namespace, Delivery{
					Name: v1alpha1.DeliveredSecretName(key.Namespace, key.Name, c.Name), Store: key, Credential: c.Name, Source: c.SecretName,
				}})
			}
		}
		grants = grants[n:]
	}
	return deliveries
}

// NamespaceUID is that of the very namespace whose grants a snapshot knows; empty: not known.
func (s *Snapshot) NamespaceUID(namespace string) types.UID { return s.namespaces[namespace] }
