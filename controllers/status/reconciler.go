package status

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/ledger"
)

// workers write the statuses of different objects of a kind at once.
const workers = 4

// kind is what differs between the four kinds: objects of type O with a status of type S.
type kind[O client.Object, S any] struct {
	name  string
	title string // as it is written
	empty func() O
	list  client.ObjectList

	status     func(O) *S
	conditions func(*S) []metav1.Condition
	facts      func(live O, now *S) []ledger.Entry // that no condition tells; nil: there are none
	suspended  func(*S) bool                       // whether it is by itself; nil: it cannot be
	find       func(context.Context, *entrustment.Snapshot, O) (finding[S], error)
	// glance finds the same from memory alone, for many objects at once; nil: find does.
	glance func(context.Context, *entrustment.Snapshot, O) (finding[S], error)
}

// finding is the status that an object should have.
type finding[S any] struct {
	status S
	known  bool          // false: there is nothing to say yet
	again  time.Duration // when to look again, though nothing wakes us; zero: never
	unseen bool          // a glance does not tell: somebody has to look
}

// Options are what all four reconcilers share.
type Options struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Live      client.Reader // the API server itself, for pods
	Writer    apply.Writer
	Recorder  eventRecorder
	Ledger    ledgerRecorder
	Clock     clock.PassiveClock
	Guard     Guard
	Recheck   time.Duration // how often pods are looked at; zero is the constant Recheck

	// Clusterwide is asked whether policies beside NetworkPolicies keep all pods without a grant from a store outside the
	// cluster, and Changed tells when to ask again. Nil: there are none.
	Clusterwide coverage
	Changed     <-chan event.GenericEvent

	Credentials credentials // nil: nothing is said of them
	Exposure    exposure    // nil: nothing is said of it
	Revocation  revocation  // nil: nothing is said of it
}

type coverage interface {
	Covers(ctx context.Context, store *v1alpha1.PersonalDataStore, grants []entrustment.Grant) (bool, error)
}

type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

type reconciler[O client.Object, S any] struct {
	kind[O, S]
	Options
}

// setupWithManager follows the snapshot and watches the objects, so that a status that somebody else changed is told again.
func (r *reconciler[O, S]) setupWithManager(mgr manager.Manager, also ...func(*builder.Builder, *snapshot.Follower)) error {
	follower := r.Publisher.Follow(snapshot.Telling, r.outdated)
	b := builder.ControllerManagedBy(mgr).Named("status-" + r.name).
		For(r.empty()).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers})
	if r.suspended != nil { // a source that has synced before any status is written
		b.WatchesRawSource(r.Publisher.Follow(snapshot.Unordered, r.suspensions))
	}
	for _, watch := range also {
		watch(b, follower)
	}
	return b.Complete(r)
}

// Reconcile writes the status of an object, and then tells of what changed.
func (r *reconciler[O, S]) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	live := r.empty()
	if err := r.Cache.Get(ctx, req.NamespacedName, live); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if r.Writer.Behind(live) {
		return reconcile.Result{}, nil // its arrival wakes us
	}
	found, err := r.found(ctx, current, live, r.find)
	result := reconcile.Result{RequeueAfter: found.again}
	if err != nil || !found.known {
		return result, err
	}
	want := live.DeepCopyObject().(O)
	*r.status(want) = found.status
	// Before the write, which is the memory of what was recorded: a crash between the two repeats a line, and loses none.
	r.Ledger.Record(r.entries(live, &found.status)...)
	wrote, err := r.Writer.Status(ctx, live, want)
	if err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if wrote {
		r.announce(want, r.conditions(r.status(live)), r.conditions(&found.status))
	}
	return result, nil
}

// entries are what the ledger has to be told before an object says what was found.
func (r *reconciler[O, S]) entries(live O, now *S) []ledger.Entry {
	entries := transitions(r.conditions(r.status(live)), r.conditions(now))
	if r.facts != nil {
		entries = append(entries, r.facts(live, now)...)
	}
	return record(r.title, live, entries...)
}

// found completes what was found with the times of transition: those of conditions that did not change are kept.
func (r *reconciler[O, S]) found(ctx context.Context, current *entrustment.Snapshot, live O,
	find func(context.Context, *entrustment.Snapshot, O) (finding[S], error)) (finding[S], error) {
	found, err := find(ctx, current, live)
	if err != nil {
		return finding[S]{}, err
	}
	now := metav1.NewTime(r.Clock.Now()).Rfc3339Copy()
	before, after := r.conditions(r.status(live)), r.conditions(&found.status)
	for i := range after {
		after[i].LastTransitionTime = now
		if old := meta.FindStatusCondition(before, after[i].Type); old != nil && old.Status == after[i].Status {
			after[i].LastTransitionTime = old.LastTransitionTime
		}
	}
	return found, nil
}

// outdated are the objects whose status no longer says what the snapshot finds.
func (r *reconciler[O, S]) outdated(ctx context.Context, _, next *entrustment.Snapshot) []reconcile.Request {
	var requests []reconcile.Request
	find := r.glance
	if find == nil {
		find = r.find
	}
	err := r.each(ctx, func(live O) {
		found, err := r.found(ctx, next, live, find)
		if err != nil || found.again > 0 || found.unseen || found.known && !equality.Semantic.DeepEqual(found.status, *r.status(live)) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(live)})
		}
	})
	if err != nil {
		logf.FromContext(ctx).Error(err, "Finding outdated statuses", "kind", r.name)
	}
	return requests
}

// each visits the objects that the cache holds, which are not to be changed.
func (r *reconciler[O, S]) each(ctx context.Context, visit func(O)) error {
	list := r.list.DeepCopyObject().(client.ObjectList)
	if err := r.Cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	return meta.EachListItem(list, func(item runtime.Object) error {
		visit(item.(O))
		return nil
	})
}

// announced are the conditions whose transitions people are told of.
var announced = []string{v1alpha1.ConditionActive, v1alpha1.ConditionAuthorized, v1alpha1.ConditionIsolated, v1alpha1.ConditionRevoked}

// warned are the reasons of which people are warned, whatever the status of their condition is.
var warned = []v1alpha1.Reason{
	v1alpha1.ReasonEndsWithin30Days, v1alpha1.ReasonEndsWithin7Days, v1alpha1.ReasonEndsWithin1Day,
	v1alpha1.ReasonReviewDueSoon, v1alpha1.ReasonReviewOverdue, v1alpha1.ReasonLastReviewUnsatisfactory,
	v1alpha1.ReasonSelectionExpiresSoon, v1alpha1.ReasonSelectionExpired, v1alpha1.ReasonCheckOverdue, v1alpha1.ReasonOverdue,
}

// announce tells of transitions once each: the status that was just written is the memory of what was told.
func (r *reconciler[O, S]) announce(object O, before, after []metav1.Condition) {
	for i := range after {
		is, was := &after[i], meta.FindStatusCondition(before, after[i].Type)
		if slices.Contains(announced, is.Type) || !slices.Contains(warned, v1alpha1.Reason(is.Reason)) || was != nil && was.Reason == is.Reason {
			continue
		}
		r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, is.Reason, fmt.Sprintf("%s=%s", is.Type, is.Status), "%s", is.Message)
	}
	for _, kind := range announced {
		was, is := meta.FindStatusCondition(before, kind), meta.FindStatusCondition(after, kind)
		if is == nil || was != nil && was.Status == is.Status && (kind != v1alpha1.ConditionRevoked || was.Reason == is.Reason) {
			continue
		}
		severity := corev1.EventTypeNormal
		if given := is.Reason == string(v1alpha1.ReasonInForce); is.Status != metav1.ConditionTrue && !given {
			severity = corev1.EventTypeWarning
		} else if given && kind == v1alpha1.ConditionRevoked && was == nil {
			continue // Active tells of one that begins
		}
		r.Recorder.Eventf(object, nil, severity, is.Reason, fmt.Sprintf("%s=%s", kind, is.Status), "%s", is.Message)
	}
}
