package entrustment_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// wideWorld is a data controller with flat purposes and stores that all allow all of them.
func wideWorld(purposes, stores, credentials int) (in entrustment.Inputs) {
	var names []string
	for i := range purposes {
		p := &v1alpha1.Purpose{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("purpose-%04d", i)}}
		p.Spec.ControllerName = "controller"
		in.Purposes = append(in.Purposes, p)
		names = append(names, p.Name)
	}
	controller := &v1alpha1.DataProcessor{ObjectMeta: metav1.ObjectMeta{Name: "controller"}}
	controller.Spec.Country = "JP"
	controller.Spec.Namespaces = []v1alpha1.NamespaceBinding{{Name: "own"}}
	in.Processors = []*v1alpha1.DataProcessor{controller}
	for i := range stores {
		s := &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: "a-namespace-with-quite-a-long-name", Name: fmt.Sprintf("store-%04d", i)}}
		s.Spec.ControllerName, s.Spec.AllowedPurposes, s.Spec.DataCategories = "controller", names, []string{"user"}
		s.Spec.Endpoint.PodSelector = &v1alpha1.PodSelector{MatchLabels: map[string]string{"app": s.Name}}
		for j := range credentials {
			s.Spec.Credentials = append(s.Spec.Credentials, v1alpha1.Credential{Name: fmt.Sprintf("credential-%02d", j), SecretName: "secret"})
		}
		in.Stores = append(in.Stores, s)
	}
	return in
}

// What does not fit into a namespace's PersonalDataAccess is denied, and nothing else is.
func TestGrantsThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		purposes, stores, credentials int
		overflows                     bool
	}{
		"all fit":                             {purposes: 512, stores: 1},
		"one grant too many":                  {purposes: 513, stores: 1, overflows: true},
		"as many stores as a grant may list":  {purposes: 2, stores: 64},
		"one store too many":                  {purposes: 2, stores: 65, overflows: true},
		"too many bytes":                      {purposes: 200, stores: 40, overflows: true},
		"too many bytes, most of credentials": {purposes: 60, stores: 16, credentials: 8, overflows: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := wideWorld(c.purposes, c.stores, c.credentials)
			s := entrustment.Compile(in, benchNow)
			access, bound := s.NamespaceAccess("own")
			if !bound {
				t.Fatal("the namespace is not bound")
			}
			checkFits(t, access)
			shown := 0
			for _, p := range in.Purposes {
				for _, st := range in.Stores {
					key := types.NamespacedName{Namespace: st.Namespace, Name: st.Name}
					d := s.Authorize(entrustment.Request{Namespace: "own", Purpose: p.Name, Store: key})
					listed := slices.ContainsFunc(access.Grants, func(g entrustment.AccessGrant) bool {
						return g.Purpose == p.Name && slices.Contains(g.Stores, key)
					})
					if d.Allowed() != listed {
						t.Fatalf("%s on %s: allowed %t, but listed %t: %s", p.Name, key, d.Allowed(), listed, d.Reason())
					}
					if !d.Allowed() && d.Reason() != v1alpha1.ReasonTooManyGrants {
						t.Fatalf("%s on %s: denied for %s", p.Name, key, d.Reason())
					}
					if listed {
						shown++
					}
				}
			}
			if all := c.purposes * c.stores; (shown < all) != c.overflows || shown == 0 {
				t.Errorf("%d of %d shown, want an overflow: %t", shown, all, c.overflows)
			}
			status, _ := s.ProcessorStatus("controller")
			want := "True/Valid"
			if c.overflows {
				want = "False/TooManyGrants"
			}
			if got := found(status.Conditions, v1alpha1.ConditionReady); got != want {
				t.Errorf("Ready: got %s, want %s", got, want)
			}
		})
	}
}

func checkFits(t *testing.T, access entrustment.Access) {
	t.Helper()
	if len(access.Grants) > v1alpha1.MaxGrants {
		t.Errorf("%d grants", len(access.Grants))
	}
	var object v1alpha1.PersonalDataAccess
	for _, g := range access.Grants {
		if len(g.Stores) > 64 || len(g.Secrets) > 64 {
			t.Fatalf("%s: %d stores, %d secrets", g.Purpose, len(g.Stores), len(g.Secrets))
		}
		grant := v1alpha1.Grant{Purpose: g.Purpose, Entrustment: g.Entrustment, Secrets: g.Secrets, PodDeadline: v1alpha1.PodDeadlineArmed,
			NotAfter: &metav1.Time{Time: benchNow}}
		for _, st := range g.Stores {
			grant.Stores = append(grant.Stores, st.String())
		}
		object.Grants = append(object.Grants, grant)
	}
	data, err := json.Marshal(object.Grants)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > v1alpha1.MaxAccessBytes {
		t.Errorf("%d bytes", len(data))
	}
}
