package draining_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/test/builder"
)

func TestRevoked(t *testing.T) {
	const generation = 5
	minute := func(n int) *metav1.Time { return &metav1.Time{Time: noon.Add(time.Duration(n) * time.Minute)} }
	// steps are the minutes of start, policies, Secrets, pods, verified.
	steps := func(minutes ...int) *v1alpha1.Revocation {
		r := &v1alpha1.Revocation{}
		for i, at := range []**metav1.Time{&r.StartTime, &r.PoliciesRemovedTime, &r.SecretsRemovedTime, &r.PodsEndedTime, &r.VerifiedTime}[:len(minutes)] {
			*at = minute(minutes[i])
		}
		return r
	}
	contract := func(revocation *v1alpha1.Revocation, status metav1.ConditionStatus, reason v1alpha1.Reason, of int64) *v1alpha1.Entrustment {
		e := builder.Entrustment("fees").Obj()
		e.Status.Revocation = revocation
		e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRevoked, Status: status, Reason: string(reason), ObservedGeneration: of}}
		return e
	}
	var (
		unborn   = builder.Entrustment("fees").Obj()
		kept     = builder.Entrustment("fees").With(func(e *v1alpha1.Entrustment) { e.Finalizers = []string{v1alpha1.FinalizerDisposal} }).Obj()
		inForce  = contract(nil, metav1.ConditionFalse, v1alpha1.ReasonInForce, 4)
		started  = contract(steps(0), metav1.ConditionFalse, v1alpha1.ReasonDraining, generation)
		waiting  = contract(steps(0, 1, 2), metav1.ConditionFalse, v1alpha1.ReasonDraining, generation)
		verified = contract(steps(0, 1, 2, 3, 3), metav1.ConditionTrue, v1alpha1.ReasonVerified, 4)

		all  = draining.Left{Policy: "data/pds.ledger", Secret: "Secret biller/pds.data.ledger.reader", Access: "biller", Pods: 2, Pod: "biller/a"}
		pods = draining.Left{Pods: 2, Pod: "biller/a (held by finalizer x/y)"}
		none = draining.Left{}
	)
	for name, test := range map[string]struct {
		before  *v1alpha1.Entrustment
		inForce bool
		left    *draining.Left
		minute  int
		want    *v1alpha1.Revocation
		says    string // status/reason, of the generation that is told of now
		words   []string
	}{
		"in force":                              {before: unborn, inForce: true, says: "False/InForce"},
		"never in force, and nobody has looked": {before: unborn},
		"never in force, and nothing is there":  {before: unborn, left: &none},
		"never in force, but something is there": {
			before: unborn, left: &pods, want: steps(0, 0, 0), says: "False/Draining", words: []string{"biller/a"}},
		"it ended, and nobody has looked": {before: inForce, minute: 1, want: steps(1), says: "False/Draining"},
		"it ended before it was told of":  {before: kept, minute: 1, want: steps(1), says: "False/Draining"},
		"all is left": {before: inForce, left: &all, minute: 1, want: steps(1), says: "False/Draining", words: []string{
			"data/pds.ledger", "Secret biller/pds.data.ledger.reader", "PersonalDataAccess biller/effective", "2, the first biller/a"}},
		"a Secret is left":                       {before: started, left: &draining.Left{Secret: all.Secret}, minute: 1, want: steps(0, 1), says: "False/Draining", words: []string{all.Secret}},
		"a policy is left, and nothing else":     {before: started, left: &draining.Left{Policy: all.Policy}, minute: 1, want: steps(0), says: "False/Draining"},
		"pods are left":                          {before: waiting, left: &pods, minute: 7, want: steps(0, 1, 2), says: "False/Draining", words: []string{"held by finalizer x/y"}},
		"a namespace still lets them in":         {before: waiting, left: &draining.Left{Access: "biller"}, minute: 7, want: steps(0, 1, 2), says: "False/Draining"},
		"nothing is left":                        {before: waiting, left: &none, minute: 3, want: steps(0, 1, 2, 3, 3), says: "True/Verified"},
		"nothing was left at the first look":     {before: inForce, left: &none, minute: 3, want: steps(3, 3, 3, 3, 3), says: "True/Verified"},
		"it was verified, and still is":          {before: verified, left: &none, minute: 9, want: steps(0, 1, 2, 3, 3), says: "True/Verified"},
		"it was verified, and a pod came":        {before: verified, left: &pods, minute: 9, want: steps(0, 1, 2), says: "False/Draining"},
		"it was verified, and a policy was made": {before: verified, left: &draining.Left{Policy: all.Policy}, minute: 9, want: steps(0), says: "False/Draining"},
		"it was half done when we restarted":     {before: waiting, minute: 9, want: steps(0, 1, 2), says: "False/Draining"},
		"it was resumed":                         {before: waiting, inForce: true, left: &pods, says: "False/InForce"},
		"it was resumed when all was closed":     {before: verified, inForce: true, says: "False/InForce"},
		"the clock was set back":                 {before: waiting, left: &none, minute: -5, want: steps(0, 1, 2, 2, 2), says: "True/Verified"},
	} {
		t.Run(name, func(t *testing.T) {
			got, condition := draining.Revoked(test.before, generation, test.inForce, test.left, noon.Add(time.Duration(test.minute)*time.Minute))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("instants -want +got:\n%s", diff)
			}
			if condition == nil {
				if test.says != "" {
					t.Errorf("says nothing, not %s", test.says)
				}
				return
			}
			if says := string(condition.Status) + "/" + condition.Reason; says != test.says || condition.ObservedGeneration != generation || condition.Message == "" {
				t.Errorf("says %s of generation %d: %q", says, condition.ObservedGeneration, condition.Message)
			}
			for _, word := range test.words {
				if !strings.Contains(condition.Message, word) {
					t.Errorf("%q does not name %q", condition.Message, word)
				}
			}
		})
	}

	t.Run("what was verified stands while nobody has looked, of the generation that it was verified of", func(t *testing.T) {
		got, condition := draining.Revoked(verified, generation, false, nil, noon.Add(time.Hour))
		if diff := cmp.Diff(verified.Status.Revocation, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(&verified.Status.Conditions[0], condition); diff != "" {
			t.Error(diff)
		}
	})
}
