package status

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

func TestTransitions(t *testing.T) {
	say := func(pairs ...string) (list []metav1.Condition) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, metav1.Condition{Type: pairs[i], Reason: pairs[i+1], Message: "why"})
		}
		return list
	}
	for name, c := range map[string]struct {
		before, after []metav1.Condition
		want          []string
	}{
		"nothing new":                        {say("Active", "Suspended", "Ready", "Suspended"), say("Active", "Suspended", "Ready", "Suspended"), nil},
		"new and in force":                   {nil, say("Active", "InForce", "Ready", "Enforced", "Authorized", "PriorApproval", "Disposed", "NotDue"), nil},
		"new and suspended":                  {nil, say("Active", "Suspended", "Ready", "Suspended"), []string{"Suspended"}},
		"a contract suspended":               {say("Active", "InForce", "Ready", "Enforced"), say("Active", "Suspended", "Ready", "Suspended"), []string{"Suspended"}},
		"a contract resumed":                 {say("Active", "Suspended", "Ready", "Suspended"), say("Active", "InForce", "Ready", "Enforced"), []string{"Resumed"}},
		"a party or a store suspended":       {say("Ready", "Valid"), say("Ready", "Suspended"), []string{"Suspended"}},
		"a party or a store resumed":         {say("Ready", "Suspended"), say("Ready", "Valid"), []string{"Resumed"}},
		"a contract ended":                   {say("Active", "InForce"), say("Active", "Expired"), []string{"ContractEnded"}},
		"a contract terminated":              {say("Active", "InForce"), say("Active", "Terminating"), []string{"ContractTerminated"}},
		"terminated after it ended":          {say("Active", "Expired"), say("Active", "Terminating"), []string{"ContractTerminated"}},
		"an approval withdrawn":              {say("Authorized", "PriorApproval"), say("Authorized", "NotApproved"), []string{"ApprovalWithdrawn"}},
		"an objection":                       {say("Authorized", "NoticeElapsed"), say("Authorized", "Objected"), []string{"ApprovalWithdrawn"}},
		"an approval given":                  {say("Authorized", "NotApproved"), say("Authorized", "PriorApproval"), []string{"ApprovalGiven"}},
		"a parent that is there again":       {say("Authorized", "ParentNotFound"), say("Authorized", "PriorApproval"), nil},
		"a disposal recorded":                {say("Active", "Expired", "Disposed", "Overdue"), say("Active", "Expired", "Disposed", "Completed"), []string{"DisposalRecorded"}},
		"all that happened while it was off": {say("Active", "InForce", "Disposed", "NotDue"), say("Active", "Terminating", "Disposed", "Completed"), []string{"ContractTerminated", "DisposalRecorded"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range transitions("Entrustment", builder.Entrustment("fees").With(func(e *v1alpha1.Entrustment) { e.Generation = 3 }).Obj(), c.before, c.after) {
				got = append(got, string(e.Event))
				if is := fmt.Sprint(e.Actor, e.Objects, e.Message); is != "entrustment-operator[{Entrustment  fees 3}]why" {
					t.Errorf("says %s", is)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
