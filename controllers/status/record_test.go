package status

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

func TestEntries(t *testing.T) {
	say := func(pairs ...string) (s v1alpha1.EntrustmentStatus) {
		for i := 0; i < len(pairs); i += 2 {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: pairs[i], Reason: pairs[i+1], Message: "why"})
		}
		return s
	}
	is := func(s v1alpha1.EntrustmentStatus, change func(*v1alpha1.EntrustmentStatus)) v1alpha1.EntrustmentStatus {
		change(&s)
		return s
	}
	suspended := func(s *v1alpha1.EntrustmentStatus) { s.Suspended = true }
	ended := func(s *v1alpha1.EntrustmentStatus) { s.Ended = true }
	both := func(s *v1alpha1.EntrustmentStatus) { s.Ended, s.Suspended = true, true }
	reviewed := func(n int32) func(*v1alpha1.EntrustmentStatus) {
		return func(s *v1alpha1.EntrustmentStatus) { s.ReviewCount = n }
	}
	inForce, closed := say("Active", "InForce"), say("Active", "Suspended")
	audit := "ReviewRecorded, Satisfactory: OnSiteAudit of 2026-05-01: Satisfactory"
	report := "ReviewRecorded, Unsatisfactory: Report of 2026-09-01: Unsatisfactory"
	over := "ContractEnded, Expired: its term ended at 2026-11-23T12:00:00Z"
	for name, c := range map[string]struct {
		before, now v1alpha1.EntrustmentStatus
		deleted     bool
		want        []string
	}{
		"nothing new":                           {before: is(closed, suspended), now: is(closed, suspended)},
		"new and in force":                      {now: say("Active", "InForce", "Authorized", "PriorApproval", "Disposed", "NotDue")},
		"ended":                                 {before: inForce, now: is(say("Active", "Expired"), ended), want: []string{over}},
		"ended while suspended":                 {before: is(closed, suspended), now: is(closed, both), want: []string{over}},
		"terminated":                            {before: inForce, now: say("Active", "Terminating"), deleted: true, want: []string{"ContractTerminated, Terminating: why"}},
		"its term over after it was terminated": {before: say("Active", "Terminating"), now: is(say("Active", "Terminating"), ended), deleted: true},
		"terminated after it ended":             {before: is(say("Active", "Expired"), ended), now: is(say("Active", "Terminating"), ended), deleted: true, want: []string{"ContractTerminated, Terminating: why"}},
		"an approval withdrawn":                 {before: say("Authorized", "PriorApproval"), now: say("Authorized", "NotApproved"), want: []string{"ApprovalWithdrawn, NotApproved: why"}},
		"an objection":                          {before: say("Authorized", "NoticeElapsed"), now: say("Authorized", "Objected"), want: []string{"ApprovalWithdrawn, Objected: why"}},
		"an approval given":                     {before: say("Authorized", "NotApproved"), now: say("Authorized", "PriorApproval"), want: []string{"ApprovalGiven, PriorApproval: why"}},
		"a parent that is there again":          {before: say("Authorized", "ParentNotFound"), now: say("Authorized", "PriorApproval")},
		"a disposal recorded":                   {before: say("Disposed", "Overdue"), now: say("Disposed", "Completed"), want: []string{"DisposalRecorded, Completed: why"}},
		"all that happened while it was off": {before: say("Active", "InForce", "Disposed", "NotDue"), now: is(say("Active", "Expired", "Disposed", "Completed"), ended),
			want: []string{"DisposalRecorded, Completed: why", over}},
		"reviews of a contract that is new": {now: is(inForce, reviewed(2)), want: []string{audit, report}},
		"a review":                          {before: is(inForce, reviewed(1)), now: is(inForce, reviewed(2)), want: []string{report}},
		"no review since":                   {before: is(inForce, reviewed(2)), now: is(inForce, reviewed(2))},
		"a review that is yet to be found":  {before: is(inForce, reviewed(1)), now: is(inForce, reviewed(1))},
	} {
		t.Run(name, func(t *testing.T) {
			live := builder.Entrustment("fees").NotAfter(time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)).With(func(e *v1alpha1.Entrustment) {
				e.Generation, e.Status, e.Spec.SuspendedReason = 3, c.before, "incident"
				e.Spec.Supervision = &v1alpha1.Supervision{Reviews: []v1alpha1.Review{
					{Date: "2026-05-01", Method: "OnSiteAudit", Result: "Satisfactory"}, {Date: "2026-09-01", Method: "Report", Result: v1alpha1.ReviewUnsatisfactory}}}
				if c.deleted {
					e.DeletionTimestamp = ptr.To(metav1.Now())
				}
			}).Obj()
			var got []string
			for _, e := range (Options{}).entrustments().entries(live, &c.now) {
				got = append(got, fmt.Sprintf("%s, %s: %s", e.Event, e.Reason, e.Message))
				if is := fmt.Sprint(e.Actor, e.Objects); is != "entrustment-operator[{Entrustment  fees 3}]" {
					t.Errorf("says %s", is)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
