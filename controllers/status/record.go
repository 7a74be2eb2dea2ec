package status

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/ledger"
)

// ledgerRecorder is where it is recorded that a contract, a party or a store is another than it was.
type ledgerRecorder interface{ Record(...ledger.Entry) }

// record is what the ledger is told of an object, before its status is written. The status is the memory of what was recorded,
// so what happened while the operator was down is told at its next start, and nothing is told again.
func record(kind string, object metav1.Object, entries ...ledger.Entry) []ledger.Entry {
	for i := range entries {
		entries[i].Actor = v1alpha1.ManagedBy
		entries[i].Objects = []ledger.Object{{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName(), Generation: object.GetGeneration()}}
	}
	return entries
}

// suspensions records what was suspended or resumed since the last snapshot, and asks for nothing. It waits for no status: a
// suspension that is lifted before one tells of it has taken away what it took away. Only of what was there before the first
// snapshot the status is the memory.
func (r *reconciler[O, S]) suspensions(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	were := map[types.UID]bool{}
	if old != nil {
		were = old.Suspended(r.title)
	} else if err := r.each(ctx, func(live O) { were[live.GetUID()] = r.suspended(r.status(live)) }); err != nil {
		logf.FromContext(ctx).Error(err, "Finding what was said to be suspended", "kind", r.name)
		return nil // of a cache: only while it stops
	}
	for _, change := range next.SuspensionChanges(r.title, were) {
		object := &metav1.ObjectMeta{Namespace: change.Object.Namespace, Name: change.Object.Name, Generation: change.Generation}
		entry := ledger.Entry{Event: ledger.Resumed}
		if change.Suspended {
			entry = ledger.Entry{Event: ledger.Suspended, Reason: string(v1alpha1.ReasonSuspended), Message: change.Reason}
		}
		r.Ledger.Record(record(r.title, object, entry)...)
	}
	return nil
}

// end is that of a contract's own term, if it was not terminated before.
func end(live *v1alpha1.Entrustment, now *v1alpha1.EntrustmentStatus) []ledger.Entry {
	if live.Status.Ended || !now.Ended || live.DeletionTimestamp != nil {
		return nil
	}
	return []ledger.Entry{{
		Event: ledger.ContractEnded, Reason: string(v1alpha1.ReasonExpired), Message: "its term ended at " + live.Spec.NotAfter.UTC().Format(time.RFC3339),
	}}
}

// reviews are those of which the status did not tell yet. They are only ever added.
func reviews(told, found int32, supervision *v1alpha1.Supervision) []ledger.Entry {
	var entries []ledger.Entry
	for i := told; supervision != nil && i < min(found, int32(len(supervision.Reviews))); i++ {
		review := &supervision.Reviews[i]
		entries = append(entries, ledger.Entry{
			Event: ledger.ReviewRecorded, Reason: string(review.Result), Message: fmt.Sprintf("%s of %s: %s", review.Method, review.Date, review.Result),
		})
	}
	return entries
}

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
	permitted  = says{v1alpha1.ConditionAuthorized, []v1alpha1.Reason{v1alpha1.ReasonPriorApproval, v1alpha1.ReasonNoticeElapsed}}
	terminated = says{v1alpha1.ConditionActive, []v1alpha1.Reason{v1alpha1.ReasonTerminating}}
	done       = says{v1alpha1.ConditionDisposed, []v1alpha1.Reason{v1alpha1.ReasonCompleted}}
)

// recorded are the transitions for the ledger: what is said now and was not, and what was said before; none is anything.
var recorded = []struct {
	event    ledger.Event
	now, was says
}{
	{event: ledger.ContractTerminated, now: terminated},
	{event: ledger.ApprovalGiven, now: permitted, was: unpermitted},
	{event: ledger.ApprovalWithdrawn, now: unpermitted, was: permitted},
	{event: ledger.DisposalRecorded, now: done},
}

// transitions are the entries for the ledger of what conditions are about to say.
func transitions(before, after []metav1.Condition) []ledger.Entry {
	var entries []ledger.Entry
	for _, r := range recorded {
		if r.now.in(before) || !r.now.in(after) || r.was.condition != "" && !r.was.in(before) {
			continue
		}
		about := meta.FindStatusCondition(after, r.now.condition)
		entries = append(entries, ledger.Entry{Event: r.event, Reason: about.Reason, Message: about.Message})
	}
	return entries
}
