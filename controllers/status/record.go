package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/ledger"
)

// ledgerRecorder is where it is recorded that a contract, a party or a store is another than it was.
type ledgerRecorder interface{ Record(...ledger.Entry) }

// says is a condition with one of some reasons.
type says struct {
	condition string
	reasons   []v1alpha1.Reason
}

func (s says) in(conditions []metav1.Condition) bool {
	is := meta.FindStatusCondition(conditions, s.condition)
	return is != nil && slices.Contains(s.reasons, v1alpha1.Reason(is.Reason))
}

var (
	unpermitted = says{v1alpha1.ConditionAuthorized, []v1alpha1.Reason{
		v1alpha1.ReasonNotApproved, v1alpha1.ReasonObjected, v1alpha1.ReasonSubEntrustmentProhibited, v1alpha1.ReasonNoticePeriodRunning}}
	permitted = says{v1alpha1.ConditionAuthorized, []v1alpha1.Reason{v1alpha1.ReasonPriorApproval, v1alpha1.ReasonNoticeElapsed}}
	suspended = says{v1alpha1.ConditionActive, []v1alpha1.Reason{v1alpha1.ReasonSuspended}} // a contract
	halted    = says{v1alpha1.ConditionReady, []v1alpha1.Reason{v1alpha1.ReasonSuspended}}  // a party or a store
)

// recorded are the transitions for the ledger: what is said now and was not, and what was said before; none is anything.
var recorded = []struct {
	event    ledger.Event
	now, was says
	back     bool // it is recorded when it is said no more
}{
	{event: ledger.Suspended, now: suspended},
	{event: ledger.Resumed, now: suspended, back: true},
	{event: ledger.Suspended, now: halted},
	{event: ledger.Resumed, now: halted, back: true},
	{event: ledger.ContractEnded, now: says{v1alpha1.ConditionActive, []v1alpha1.Reason{v1alpha1.ReasonExpired}}},
	{event: ledger.ContractTerminated, now: says{v1alpha1.ConditionActive, []v1alpha1.Reason{v1alpha1.ReasonTerminating}}},
	{event: ledger.ApprovalGiven, now: permitted, was: unpermitted},
	{event: ledger.ApprovalWithdrawn, now: unpermitted, was: permitted},
	{event: ledger.DisposalRecorded, now: says{v1alpha1.ConditionDisposed, []v1alpha1.Reason{v1alpha1.ReasonCompleted}}},
}

// transitions are the entries for the ledger of what a status is about to say. The status is the memory of what was
// recorded, so what happened while the operator was down is told at its next start, and nothing is told again.
func transitions(kind string, object client.Object, before, after []metav1.Condition) []ledger.Entry {
	var entries []ledger.Entry
	for _, r := range recorded {
		if meta.FindStatusCondition(after, r.now.condition) == nil {
			continue // not of this kind
		}
		if r.now.condition == halted.condition && meta.FindStatusCondition(after, suspended.condition) != nil {
			continue // Ready only repeats what Active says
		}
		was, is := r.now.in(before), r.now.in(after)
		if r.back {
			was, is = is, was
		}
		if was || !is || r.was.condition != "" && !r.was.in(before) {
			continue
		}
		about := meta.FindStatusCondition(after, r.now.condition)
		entries = append(entries, ledger.Entry{
			Event: r.event, Actor: v1alpha1.ManagedBy, Reason: about.Reason, Message: about.Message,
			Objects: []ledger.Object{{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), Generation: object.GetGeneration()}},
		})
	}
	return entries
}
