package entrustment_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

// What is held grants nothing, and goes on denying what it denied.
func TestHeld(t *testing.T) {
	ledger := types.NamespacedName{Namespace: "data", Name: "ledger"}
	request := entrustment.Request{Namespace: "own", Purpose: "billing", Store: ledger}
	world := func(observed int64) entrustment.Inputs {
		purpose, forbidden := builder.Purpose("billing").Obj(), builder.Purpose("resale").Prohibited().Obj()
		party := builder.Processor(builder.Controller).Namespace("own").Obj()
		store := builder.Store("data", "ledger").AllowedPurposes("billing").Obj()
		purpose.Generation, forbidden.Generation, party.Generation, store.Generation = 2, 2, 2, 2
		purpose.Status.ObservedGeneration, forbidden.Status.ObservedGeneration = observed, observed
		party.Status.ObservedGeneration, store.Status.ObservedGeneration = observed, observed
		return entrustment.Inputs{
			Purposes:   []*v1alpha1.Purpose{purpose, forbidden},
			Processors: []*v1alpha1.DataProcessor{party},
			Stores:     []*v1alpha1.PersonalDataStore{store},
		}
	}
	for _, kind := range []string{"Purpose", "DataProcessor", "PersonalDataStore"} {
		for name, test := range map[string]struct {
			observed int64
			reasons  map[string]string
			allowed  bool
		}{
			"acted upon":                {observed: 2, reasons: map[string]string{kind: "why"}, allowed: true},
			"changed":                   {observed: 1, reasons: map[string]string{kind: "why"}},
			"new":                       {observed: 0, reasons: map[string]string{kind: "why"}},
			"new, and without a reason": {observed: 0, allowed: true},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				in, untouched := world(test.observed), world(test.observed)
				s := entrustment.Compile(in.Held(test.reasons), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
				if d := s.Authorize(request); d.Allowed() != test.allowed {
					t.Errorf("allowed %t (%s)", d.Allowed(), d.Reason())
				}
				if diff := cmp.Diff(untouched, in); diff != "" {
					t.Errorf("the objects themselves were changed:\n%s", diff)
				}
				if status, _ := s.PurposeStatus("resale"); status.EffectiveDisposition != v1alpha1.DispositionProhibited {
					t.Error("a prohibition was lifted")
				}
				status, known := s.StoreStatus(ledger)
				if known && kind == "PersonalDataStore" && test.reasons != nil && status.ObservedGeneration != test.observed {
					t.Errorf("the status would say that generation %d was acted upon", status.ObservedGeneration)
				}
			})
		}
	}
}

// Whoever withdraws closes what was closed, and leaves to stores that only report what they had.
func TestWithdrawn(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	world := func() entrustment.Inputs {
		return entrustment.Inputs{
			Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{
				builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Obj(),
			},
			Entrustments: []*v1alpha1.Entrustment{
				builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/cuts", "data/reports", "data/stopped").NotAfter(now.Add(time.Hour)).Obj(),
			},
			Stores: []*v1alpha1.PersonalDataStore{
				builder.Store("data", "cuts").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
				builder.Store("data", "reports").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Report().Obj(),
				builder.Store("data", "stopped").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Report().Suspended().Obj(),
			},
		}
	}
	in := world()
	s := entrustment.Compile(in.Withdrawn("going"), now)
	if diff := cmp.Diff(world(), in); diff != "" {
		t.Errorf("the objects themselves were changed:\n%s", diff)
	}
	reports := types.NamespacedName{Namespace: "data", Name: "reports"}
	granted := map[string][]entrustment.AccessGrant{}
	for _, namespace := range s.BoundNamespaces() {
		access, _ := s.NamespaceAccess(namespace)
		granted[namespace] = access.Grants
	}
	want := map[string][]entrustment.AccessGrant{
		"own":    {{Purpose: "billing", Stores: []types.NamespacedName{reports}}},
		"biller": {{Purpose: "billing", Entrustment: "fees", Stores: []types.NamespacedName{reports}, Until: now.Add(time.Hour), PodDeadline: v1alpha1.PodDeadlineOff}},
	}
	if diff := cmp.Diff(want, granted); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, key := range s.Stores() {
		if reporting := entrustment.Reports(s.Store(key)); reporting != (key == reports) {
			t.Errorf("%s reports: %t", key, reporting)
		}
	}
}
