package snapshot

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// Lookout is how often the wall clock is looked at, at least. Timers run on the monotonic clock: they sleep through a
// jump of the wall clock, and drift.
const Lookout = time.Minute

// Reconciler compiles everything at once: it is cheap, and there is no incremental state that could be wrong.
type Reconciler struct {
	Reader    client.Reader
	Publisher *Publisher
	Clock     clock.PassiveClock
	Location  *time.Location // of calendar dates; nil is UTC
	Lookout   time.Duration  // zero is the constant Lookout

	// Amend changes what was gathered, in a copy, before it is compiled; an error: nothing can be compiled yet. Amended is told
	// when it would change it in another way. Nil: nothing does.
	Amend   func(entrustment.Inputs) (entrustment.Inputs, error)
	Amended <-chan event.GenericEvent
}

// everything is the one key of the queue, so that a burst of edits is one compilation.
var everything = reconcile.Request{}

// +kubebuilder:rbac:groups=entrustment.dev,resources=purposes;dataprocessors;entrustments;personaldatastores,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// SetupWithManager watches all that a decision depends on. It reads the manager's cache, which answers only once it is warm.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	enqueue := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{everything}
	})
	edited := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	editedOrPinned := builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{UpdateFunc: repinned}))
	exists := builder.WithPredicates(predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetUID() != e.ObjectNew.GetUID()
	}})
	controlled := builder.ControllerManagedBy(mgr).Named("snapshot")
	if r.Amended != nil {
		controlled.WatchesRawSource(source.Channel(r.Amended, enqueue))
	}
	return controlled.
		Watches(&v1alpha1.Purpose{}, enqueue, edited).
		Watches(&v1alpha1.DataProcessor{}, enqueue, editedOrPinned).
		Watches(&v1alpha1.Entrustment{}, enqueue, edited).
		Watches(&v1alpha1.PersonalDataStore{}, enqueue, edited).
		WatchesMetadata(&corev1.Namespace{}, enqueue, exists).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(r)
}

// repinned says whether other namespaces were first seen: the one part of a status that decisions depend on.
func repinned(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.DataProcessor)
	now, okNow := e.ObjectNew.(*v1alpha1.DataProcessor)
	return !ok || !okNow || !slices.Equal(before.Status.Namespaces, now.Status.Namespaces)
}

// Reconcile gathers, compiles and publishes, and comes back when time alone changes something.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	inputs, err := gather.FromReader(ctx, r.Reader)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("gathering what is granted: %w", err)
	}
	inputs.Location = r.Location
	if r.Amend != nil {
		if inputs, err = r.Amend(inputs); err != nil {
			return reconcile.Result{}, nil //nolint:nilerr // when it can, that wakes us
		}
	}
	snapshot := entrustment.Compile(inputs, r.Clock.Now())
	r.Publisher.Publish(snapshot)
	return reconcile.Result{RequeueAfter: r.wait(snapshot)}, nil
}

func (r *Reconciler) wait(snapshot *entrustment.Snapshot) time.Duration {
	wait := r.Lookout
	if wait == 0 {
		wait = Lookout
	}
	if next, ok := snapshot.NextChange(); ok {
		wait = min(wait, next.Sub(r.Clock.Now()))
	}
	return max(wait, time.Millisecond) // zero would mean never
}
