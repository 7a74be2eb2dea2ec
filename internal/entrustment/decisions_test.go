package entrustment_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/cases"
)

const casesDir = "../../test/cases/testdata"

func TestWorkedDecisions(t *testing.T) {
	all, err := cases.Load(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			got := entrustment.Compile(c.Inputs, c.At).Authorize(c.Request)
			if got.Allowed() != c.Allow || got.Reason() != c.Reason {
				t.Errorf("%+v: got %t %s, want %t %s", c.Request, got.Allowed(), got.Reason(), c.Allow, c.Reason)
			}
			if got.Message() == "" {
				t.Errorf("%s has no message", got.Reason())
			}
		})
	}
}

// The whole matrix of the published policy: every bound namespace, without an entrustment and with each of its party's,
// for every purpose and store.
func TestPublishedPolicyMatrix(t *testing.T) {
	in, err := cases.Policy(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	s := entrustment.Compile(in, cases.At)
	asked, granted := 0, 0
	for _, namespace := range s.BoundNamespaces() {
		processor, _, _ := s.Binding(namespace)
		contracts := []string{""}
		for _, e := range in.Entrustments {
			if e.Spec.EntrusteeName == processor {
				contracts = append(contracts, e.Name)
			}
		}
		for _, contract := range contracts {
			for _, purpose := range in.Purposes {
				for _, store := range in.Stores {
					asked++
					if s.Authorize(entrustment.Request{
						Namespace: namespace, Purpose: purpose.Name, Entrustment: contract,
						Store: types.NamespacedName{Namespace: store.Namespace, Name: store.Name},
					}).Allowed() {
						granted++
					}
				}
			}
		}
	}
	if asked != 18450 || granted != 136 {
		t.Errorf("granted %d of %d combinations, want 136 of 18450", granted, asked)
	}
}
