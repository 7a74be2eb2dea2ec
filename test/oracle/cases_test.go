package oracle

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/cases"
)

const casesDir = "../cases/testdata"

func TestWorkedDecisions(t *testing.T) {
	all, err := cases.Load(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			if allowed, reason := Authorize(c.Inputs, c.At, c.Request); allowed != c.Allow || reason != c.Reason {
				t.Errorf("plain: %v %s, want %v %s", allowed, reason, c.Allow, c.Reason)
			}
			d := entrustment.Compile(c.Inputs, c.At).Authorize(c.Request)
			if d.Allowed() != c.Allow || d.Reason() != c.Reason {
				t.Errorf("core: %v %s, want %v %s", d.Allowed(), d.Reason(), c.Allow, c.Reason)
			}
		})
	}
}

// The published policy grants 136 of 18,450 combinations: each bound namespace, no entrustment or one of its party's,
// each purpose, each store.
func TestPublishedMatrix(t *testing.T) {
	in, err := cases.Policy(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := entrustment.Compile(in, cases.At)
	var combinations, plainly, compiled int
	for _, party := range in.Processors {
		entrustments := []string{""}
		for _, e := range in.Entrustments {
			if e.Spec.EntrusteeName == party.Name {
				entrustments = append(entrustments, e.Name)
			}
		}
		for _, namespace := range party.Spec.Namespaces {
			for _, e := range entrustments {
				for _, purpose := range in.Purposes {
					for _, store := range in.Stores {
						r := entrustment.Request{
							Namespace: namespace.Name, Purpose: purpose.Name, Entrustment: e,
							Store: types.NamespacedName{Namespace: store.Namespace, Name: store.Name},
						}
						combinations++
						if allowed, _ := Authorize(in, cases.At, r); allowed {
							plainly++
						}
						if snapshot.Authorize(r).Allowed() {
							compiled++
						}
					}
				}
			}
		}
	}
	if combinations != 18450 || plainly != 136 || compiled != 136 {
		t.Errorf("%d combinations, allowed plainly %d and by the core %d; want 18450, 136 and 136",
			combinations, plainly, compiled)
	}
}
