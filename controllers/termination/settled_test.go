package termination

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

func TestSettled(t *testing.T) {
	const deleted = 7 // the generation that the deletion made
	for name, test := range map[string]struct {
		change func(*v1alpha1.Entrustment)
		want   bool
	}{
		"disposed of and verified": {change: func(*v1alpha1.Entrustment) {}, want: true},
		"not disposed of":          {change: func(e *v1alpha1.Entrustment) { e.Spec.Disposal = nil }},
		"not told of yet":          {change: func(e *v1alpha1.Entrustment) { e.Status.ObservedGeneration-- }},
		"still draining":           {change: func(e *v1alpha1.Entrustment) { e.Status.Conditions[0].Status = metav1.ConditionFalse }},
		"verified before the contract was resumed and deleted": {change: func(e *v1alpha1.Entrustment) { e.Status.Conditions[0].ObservedGeneration-- }},
		"never told of its revocation":                         {change: func(e *v1alpha1.Entrustment) { e.Status.Conditions = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			contract := builder.Entrustment("fees").With(func(e *v1alpha1.Entrustment) {
				e.Generation = deleted
				e.Spec.Disposal = &v1alpha1.Disposal{CompletedDate: "2026-01-31", EvidenceURL: "https://records.example.com/erased"}
				e.Status.ObservedGeneration = deleted
				e.Status.Conditions = []metav1.Condition{{
					Type: v1alpha1.ConditionRevoked, Status: metav1.ConditionTrue, Reason: string(v1alpha1.ReasonVerified), ObservedGeneration: deleted,
				}}
			}).With(test.change).Obj()
			if got := settled(contract); got != test.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
