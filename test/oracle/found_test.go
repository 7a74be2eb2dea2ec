package oracle

import (
	"testing"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

// found is the world around one entrustment "fees" to "biller", whose pods may use data/ledger for billing.
func found(e *builder.EntrustmentBuilder) (World, entrustment.Request) {
	w := World{Now: time.Date(2026, time.September, 6, 3, 30, 0, 0, time.UTC), Inputs: entrustment.Inputs{
		Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Obj(), builder.Processor("biller").Namespace("biller").Obj()},
		Stores: []*v1alpha1.PersonalDataStore{
			builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			e.To("biller").Purposes("billing").Created(time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)).Obj(),
		},
	}}
	return w, entrustment.Request{Namespace: "biller", Purpose: "billing", Entrustment: "fees", Store: key(w.Stores[0])}
}

// What random worlds found once.
func TestFound(t *testing.T) {
	fees := func() *builder.EntrustmentBuilder { return builder.Entrustment("fees").Stores("data/ledger") }

	t.Run("the last hour of the day due, before a day that has no midnight", func(t *testing.T) {
		w, r := found(fees().Reviewed(30, v1alpha1.OverdueSuspend, "2026-08-06"))
		w.Location = zones["America/Santiago"]
		want := time.Date(2026, time.September, 6, 4, 0, 0, 0, time.UTC) // one o'clock there
		if d := compile(w).Authorize(r); !d.Allowed() || !d.Until().Equal(want) {
			t.Errorf("%v %s until %s, want allowed until %s", d.Allowed(), d.Reason(), d.Until(), want)
		}
		if d := compile(at(w, want)).Authorize(r); d.Reason() != v1alpha1.ReasonReviewOverdue {
			t.Errorf("then: %v %s", d.Allowed(), d.Reason())
		}
	})
	t.Run("a review dated tomorrow will count tomorrow", func(t *testing.T) {
		w, r := found(fees().Reviewed(30, v1alpha1.OverdueSuspend, "2026-09-01", "2026-09-07"))
		want := time.Date(2026, time.October, 8, 0, 0, 0, 0, time.UTC)
		if d := compile(w).Authorize(r); !d.Allowed() || !d.Until().Equal(want) {
			t.Errorf("%v %s until %s, want allowed until %s", d.Allowed(), d.Reason(), d.Until(), want)
		}
	})
	t.Run("a review before the beginning will count instead of it, and bring the next one forward", func(t *testing.T) {
		w, r := found(fees().Reviewed(30, v1alpha1.OverdueSuspend, "2026-09-07"))
		w.Entrustments[0].CreationTimestamp.Time = time.Date(2026, time.September, 9, 0, 0, 0, 0, time.UTC)
		want := time.Date(2026, time.October, 8, 0, 0, 0, 0, time.UTC)
		if d := compile(w).Authorize(r); !d.Allowed() || !d.Until().Equal(want) {
			t.Errorf("%v %s until %s, want allowed until %s", d.Allowed(), d.Reason(), d.Until(), want)
		}
		if d := compile(at(w, want)).Authorize(r); d.Reason() != v1alpha1.ReasonReviewOverdue {
			t.Errorf("then: %v %s", d.Allowed(), d.Reason())
		}
	})
	t.Run("an empty category is not entrusted by every list", func(t *testing.T) {
		w, r := found(fees())
		w.Stores[0].Spec.DataCategories = []string{""}
		want := answer{false, v1alpha1.ReasonCategoryNotEntrusted}
		if p, c := plainly(w, r), compiled(compile(w), r); p != want || c != want {
			t.Errorf("plain %s, core %s, want %s", p, c, want)
		}
	})
	t.Run("a pod under an entrustment that adds no store to its parent's does declare one", func(t *testing.T) {
		w, _ := found(fees().PriorApproval("printer"))
		w.Processors = append(w.Processors, builder.Processor("printer").Namespace("printer").Obj())
		w.Entrustments = append(w.Entrustments, builder.Entrustment("printing").From("biller").To("printer").Parent("fees").
			Purposes("billing").Stores("data/gone").Obj())
		if d := compile(w).AuthorizePod("printer", "billing", "printing"); d.Allowed() || d.Reason() == v1alpha1.ReasonNoEntrustment {
			t.Errorf("%v %s: %s", d.Allowed(), d.Reason(), d.Message())
		}
	})
}
