package revocation

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/ledger"
)

// page is how many pods are read at once.
const page = 250

// Of the events that tell of pods.
const (
	reasonGrantEnded   = "GrantEnded"
	reasonNoncompliant = "Noncompliant"
	actionEnd          = "EndPod"
	actionSweep        = "Sweep"
)

// maxObjects of one line of the ledger.
const maxObjects = 32

// pod is what is to be known of one that declares something.
type pod struct {
	object *corev1.Pod // metadata alone
	key    draining.Key
	grace  time.Duration // that it was made with
}

// declaring lists the pods of a namespace that declare a purpose, from the API server itself.
func (r *Reconciler) declaring(ctx context.Context, namespace string) ([]pod, error) {
	var pods []pod
	for next := ""; ; {
		list := &corev1.PodList{}
		err := r.Live.List(ctx, list, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelPurpose}, gather.Unended, client.Limit(page), client.Continue(next))
		if err != nil {
			return nil, fmt.Errorf("listing the pods of namespace %s that declare a purpose: %w", namespace, err)
		}
		for i := range list.Items {
			live := &list.Items[i]
			live.ManagedFields = nil
			pods = append(pods, pod{
				object: &corev1.Pod{TypeMeta: podKind, ObjectMeta: live.ObjectMeta},
				key:    draining.Key{Entrustment: live.Labels[v1alpha1.LabelEntrustment], Purpose: live.Labels[v1alpha1.LabelPurpose]},
				grace:  time.Duration(ptr.Deref(live.Spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)) * time.Second,
			})
		}
		if next = list.Continue; next == "" {
			return pods, nil
		}
	}
}

// grantedTo is what a namespace is granted, for whatever stores.
func grantedTo(access *v1alpha1.PersonalDataAccess) map[draining.Key]bool {
	granted := map[draining.Key]bool{}
	for i := range access.Grants {
		granted[draining.Key{Entrustment: access.Grants[i].Entrustment, Purpose: access.Grants[i].Purpose}] = true
	}
	return granted
}

// holders are the pods that hold a noted grant, by grant. A list that was made after the note holds them all: whoever came
// later was let in under what is granted now. Where that is nothing, whoever declares it is a holder all the same, because
// the API server may have let him in by what it knew a moment before.
func (r *Reconciler) holders(access *v1alpha1.PersonalDataAccess, pods []pod) map[draining.Key][]pod {
	granted := grantedTo(access)
	found := map[draining.Key][]pod{}
	known := map[draining.Key]holders{}
	for i := range access.Draining {
		note := &access.Draining[i]
		key := draining.Of(note)
		were := r.known(access, note)
		now := holders{access.UID, note.Generation, map[types.UID]bool{}}
		for _, p := range pods {
			lateIsIn := !granted[key] && access.Enforcement == v1alpha1.EnforcementEnforce
			if p.key == key && (were == nil || were[p.object.UID] || lateIsIn) {
				found[key] = append(found[key], p)
				now.uids[p.object.UID] = true
			}
		}
		known[key] = now
	}
	r.remember(access.Namespace, known)
	return found
}

// end deletes the pods that are not ending soon enough already, but for those of stores that only report. Which of several
// fails makes no difference to the others.
func (r *Reconciler) end(ctx context.Context, current *entrustment.Snapshot, access *v1alpha1.PersonalDataAccess, holding map[draining.Key][]pod) error {
	var failed error
	for i := range access.Draining {
		note := &access.Draining[i]
		if !draining.Ends(current, note) {
			continue
		}
		var ended []pod
		for _, p := range holding[draining.Of(note)] {
			told, err := r.tell(ctx, p)
			if err != nil {
				failed = err
			} else if told {
				ended = append(ended, p)
			}
		}
		r.record(ctx, current, access.Namespace, note, ended)
	}
	return failed
}

// tell lets a pod end within the bounded grace; false: it does already.
func (r *Reconciler) tell(ctx context.Context, p pod) (bool, error) {
	// Never zero: that takes the object away and leaves it to the node when the containers go.
	grace := max(time.Second, min(p.grace, r.Grace))
	if given := p.object.DeletionGracePeriodSeconds; given != nil && time.Duration(*given)*time.Second <= grace {
		return false, nil
	}
	return true, r.Writer.End(ctx, p.object, grace)
}

// record tells of pods that were told to end.
func (r *Reconciler) record(ctx context.Context, current *entrustment.Snapshot, namespace string, note *v1alpha1.DrainingGrant, ended []pod) {
	if len(ended) == 0 {
		return
	}
	why := current.AuthorizePod(namespace, note.Purpose, note.Entrustment)
	reason, message := string(why.Reason()), why.Message()
	if why.Allowed() {
		reason, message = reasonGrantEnded, fmt.Sprintf("it reaches %d stores less than before", len(note.Stores))
	}
	entry := ledger.Entry{
		Event: ledger.PodsEnded, Actor: v1alpha1.ManagedBy, Reason: reason,
		Message: fmt.Sprintf("%d pods have %s at most to stop: %s", len(ended), r.Grace, message),
		Grant:   &ledger.Grant{Namespace: namespace, Purpose: note.Purpose, Entrustment: note.Entrustment, Stores: note.Stores},
	}
	for i, p := range ended {
		if i < maxObjects {
			entry.Objects = append(entry.Objects, ledger.Object{Kind: "Pod", Namespace: namespace, Name: p.object.Name})
		}
		r.Recorder.Eventf(p.object, nil, corev1.EventTypeWarning, reasonGrantEnded, actionEnd,
			"the grant for purpose %q under entrustment %q ended, so the pod is: %s", note.Purpose, note.Entrustment, message)
	}
	r.Ledger.Record(entry)
	if note.Entrustment != "" {
		contract := &v1alpha1.Entrustment{}
		if r.Cache.Get(ctx, types.NamespacedName{Name: note.Entrustment}, contract) == nil {
			r.Recorder.Eventf(contract, nil, corev1.EventTypeNormal, reasonGrantEnded, actionEnd,
				"ended %d pods of namespace %s that declared purpose %q, the first %s", len(ended), namespace, note.Purpose, ended[0].object.Name)
		}
	}
}

// sweep tells of pods that declare what they are neither granted nor were: they were there before the operator, or came while
// it was away. Those whose contract has ended are ended. What was lost of a store that only reports is told of, and no more.
func (r *Reconciler) sweep(ctx context.Context, current *entrustment.Snapshot, access *v1alpha1.PersonalDataAccess, pods []pod) error {
	var failed error
	noncompliant, ending := 0, false
	shown := grantedTo(access) // or noted: taking it away, or having taken it, is under way
	stays := map[draining.Key]bool{}
	for i := range access.Draining {
		note := &access.Draining[i]
		if draining.Ends(current, note) {
			shown[draining.Of(note)] = true
		} else {
			stays[draining.Of(note)] = true
		}
	}
	for _, p := range pods {
		decision := current.AuthorizePod(access.Namespace, p.key.Purpose, p.key.Entrustment)
		if decision.Allowed() || shown[p.key] {
			continue
		}
		noncompliant++
		if ended := access.Enforcement == v1alpha1.EnforcementEnforce && current.Lapsed(p.key.Entrustment); ended && !stays[p.key] {
			ending = true
			told, err := r.tell(ctx, p)
			if err != nil {
				failed = err
			} else if told {
				r.record(ctx, current, access.Namespace, &v1alpha1.DrainingGrant{Purpose: p.key.Purpose, Entrustment: p.key.Entrustment}, []pod{p})
			}
			continue
		}
		if r.isNews(access.Namespace, p.object.UID) {
			r.Recorder.Eventf(p.object, nil, corev1.EventTypeWarning, reasonNoncompliant, actionSweep,
				"the pod declares what it is not granted (%s), and nobody has judged it: %s", decision.Reason(), decision.Message())
		}
	}
	r.count(access.Namespace, noncompliant, ending, pods)
	return failed
}
