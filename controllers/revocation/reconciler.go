package revocation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/ledger"
)

const (
	// Grace is how long pods have to stop, unless the operator is told otherwise.
	Grace = 30 * time.Second

	// MaxGrace is the longest that it may be told.
	MaxGrace = 5 * time.Minute

	// Recheck is how often the pods of a bound namespace are looked at, unless the operator is told otherwise.
	Recheck = 5 * time.Minute

	// drainInterval is how often it is looked for what is left. Seeing a pod go wakes us, but policies and Secrets are not watched.
	drainInterval = 2 * time.Second

	// workers end the pods of different namespaces at once.
	workers = 4
)

// Reconciler ends the pods that hold what a namespace is granted no more.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Live      client.Reader // the API server itself, for pods
	Writer    apply.Writer
	Secrets   secrets
	Recorder  eventRecorder
	Ledger    recorder
	Grace     time.Duration
	Recheck   time.Duration // zero is the constant Recheck

	observations
	indexer client.FieldIndexer
}

// secrets tells of delivered Secrets.
type secrets interface {
	// Undue are those in a namespace that it is granted no more; false: they are not known.
	Undue(ctx context.Context, current *entrustment.Snapshot, namespace string) (names []string, known bool, err error)
}

type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

type recorder interface{ Record(...ledger.Entry) }

// +kubebuilder:rbac:groups="",resources=pods,verbs=list;delete
// +kubebuilder:rbac:groups=entrustment.dev,resources=personaldataaccesses,verbs=get;list;watch;update
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager follows the snapshot and the notes, each in its turn: pods end after policies, parameters and Secrets.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	r.indexer = mgr.GetFieldIndexer()
	if err := mgr.Add(r.timer()); err != nil {
		return fmt.Errorf("adding the timer of steps: %w", err)
	}
	follower := r.Publisher.Follow(snapshot.Pods, r.changedNamespaces)
	return builder.ControllerManagedBy(mgr).Named("revocation").
		Watches(&v1alpha1.PersonalDataAccess{}, follower.InTurn(func(_ context.Context, access client.Object) []reconcile.Request {
			return snapshot.Requests(access.GetNamespace())
		}), builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
			access, ok := object.(*v1alpha1.PersonalDataAccess)
			return ok && len(access.Draining) > 0
		}))).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(r.drainingNamespace), builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		Watches(&corev1.Pod{}, follower.InTurn(r.unjudgedNamespace), builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(event.UpdateEvent) bool { return false },
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(follower.Attempts(r))
}

// drainingNamespace is that of a pod that has gone, if its going is waited for.
func (r *Reconciler) drainingNamespace(_ context.Context, pod client.Object) []reconcile.Request {
	if !r.isDraining(pod.GetNamespace()) {
		return nil
	}
	return snapshot.Requests(pod.GetNamespace())
}

// unjudgedNamespace is that of a pod that has come under a contract that has ended: the API server let it in by what it knew a
// moment before, or it came past the rules. Others can wait until their namespace is looked at anyway.
func (r *Reconciler) unjudgedNamespace(_ context.Context, pod client.Object) []reconcile.Request {
	current, err := r.Publisher.Current()
	if err != nil || !current.Lapsed(pod.GetLabels()[v1alpha1.LabelEntrustment]) {
		return nil // the first snapshot wakes all
	}
	return snapshot.Requests(pod.GetNamespace())
}

// changedNamespaces are those that were bound, those whose grants changed, and those that lost a store that cuts only now.
func (r *Reconciler) changedNamespaces(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	var changed []string
	for _, namespace := range next.BoundNamespaces() {
		if old == nil || !next.SameNamespaceAccess(old, namespace) {
			changed = append(changed, namespace)
		}
	}
	return append(snapshot.Requests(changed...), r.cutOff(ctx, old, next)...)
}

// cutOff are the namespaces with a note for which pods are ended now, and were not before: a store of it only reported.
func (r *Reconciler) cutOff(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old == nil || !slices.ContainsFunc(old.Stores(), func(key types.NamespacedName) bool {
		store := next.Store(key)
		return store != nil && entrustment.Reports(old.Store(key)) && !entrustment.Reports(store)
	}) {
		return nil // at first the notes themselves wake us
	}
	list := &v1alpha1.PersonalDataAccessList{}
	if err := r.Cache.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		logf.FromContext(ctx).Error(err, "Finding whose pods are to be ended for stores that report no more")
		return nil
	}
	var requests []reconcile.Request
	for i := range list.Items {
		access := &list.Items[i]
		if slices.ContainsFunc(access.Draining, func(d v1alpha1.DrainingGrant) bool {
			return draining.Ends(next, &d) && !draining.Ends(old, &d)
		}) {
			requests = append(requests, snapshot.Requests(access.Namespace)...)
		}
	}
	return requests
}

// Reconcile ends the pods of a namespace that it noted, and clears the note when nothing is left.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	access := &v1alpha1.PersonalDataAccess{}
	err = r.Cache.Get(ctx, types.NamespacedName{Namespace: req.Name, Name: v1alpha1.PersonalDataAccessName}, access)
	if apierrors.IsNotFound(err) {
		r.forget(req.Name)
		return reconcile.Result{}, nil // the namespace has gone, or has yet to be shown something
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading what the namespace was shown: %w", err)
	}
	pods, err := r.declaring(ctx, req.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	holding := r.holders(access, pods)
	err = r.end(ctx, current, access, holding)
	left, leftErr := r.left(ctx, current, access, holding)
	if err := errors.Join(err, leftErr); err != nil {
		return reconcile.Result{}, err
	}
	if err := r.sweep(ctx, current, access, pods); err != nil {
		return reconcile.Result{}, err
	}
	r.observe(req.Name, left)
	if err := r.clear(ctx, access, left); err != nil {
		return reconcile.Result{}, err
	}
	if r.isEnding(req.Name) {
		return reconcile.Result{RequeueAfter: drainInterval}, nil
	}
	if r.Recheck > 0 {
		return reconcile.Result{RequeueAfter: r.Recheck}, nil
	}
	return reconcile.Result{RequeueAfter: Recheck}, nil
}

// clear takes out of the note that of which nothing is left, at once for a contract that has ended: nobody comes any more under
// what is granted no more, so that it does no harm to wait for the last of its pods.
func (r *Reconciler) clear(ctx context.Context, access *v1alpha1.PersonalDataAccess, left map[draining.Key]draining.Left) error {
	waits := map[string]bool{} // contracts
	for key, l := range left {
		waits[key.Entrustment] = waits[key.Entrustment] || !l.Stays
	}
	granted := grantedTo(access)
	cleared := access.DeepCopy()
	cleared.Draining = slices.DeleteFunc(cleared.Draining, func(d v1alpha1.DrainingGrant) bool {
		key := draining.Of(&d)
		_, still := left[key]
		return !still && (granted[key] || !waits[key.Entrustment])
	})
	if len(cleared.Draining) == len(access.Draining) {
		return nil
	}
	if err := r.Writer.Update(ctx, cleared); err != nil || slices.Contains(slices.Collect(maps.Values(waits)), true) {
		return err
	}
	if since := r.drained(access.Namespace); !since.IsZero() {
		latency.WithLabelValues("verified").Observe(time.Since(since).Seconds())
	}
	return nil
}
