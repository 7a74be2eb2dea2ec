package termination

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
)

// workers keep and let go different contracts at once.
const workers = 4

// Reconciler keeps an Entrustment that has been in force.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Writer    apply.Writer
}

// +kubebuilder:rbac:groups=entrustment.dev,resources=entrustments,verbs=get;list;watch;patch

// SetupWithManager follows the snapshot for contracts that come into force, and watches those that are being deleted.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	terminated := func(o client.Object) bool { return !o.GetDeletionTimestamp().IsZero() }
	return builder.ControllerManagedBy(mgr).Named("termination").
		For(&v1alpha1.Entrustment{}, builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(e event.CreateEvent) bool { return terminated(e.Object) },
			UpdateFunc: func(e event.UpdateEvent) bool { return terminated(e.ObjectNew) || released(e) },
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		WatchesRawSource(r.Publisher.Follow(snapshot.Unordered, begun)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
}

// released says whether a contract lost the finalizer.
func released(e event.UpdateEvent) bool {
	const ours = v1alpha1.FinalizerDisposal
	return controllerutil.ContainsFinalizer(e.ObjectOld, ours) && !controllerutil.ContainsFinalizer(e.ObjectNew, ours)
}

// begun are the contracts that are in force and were not, or not seen, before.
func begun(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	var requests []reconcile.Request
	for _, name := range next.Entrustments() {
		if next.InForce(name) && (old == nil || !old.InForce(name)) {
			requests = append(requests, snapshot.Requests(name)...)
		}
	}
	return requests
}

// Reconcile keeps a contract that is in force, and lets go one of which nothing is left to be done.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	live := &v1alpha1.Entrustment{}
	if err := r.Cache.Get(ctx, req.NamespacedName, live); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	switch {
	case live.DeletionTimestamp.IsZero() && current.InForce(live.Name):
		_, err = r.Writer.AddFinalizer(ctx, live, v1alpha1.FinalizerDisposal)
	case !live.DeletionTimestamp.IsZero() && settled(live):
		err = r.Writer.RemoveFinalizer(ctx, live, v1alpha1.FinalizerDisposal)
	}
	if err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(fmt.Errorf("seeing to Entrustment %q: %w", live.Name, err))
	}
	return reconcile.Result{}, nil
}

// settled says whether nothing is left to be done: the disposal is recorded, the status has told of it, and nothing that the
// contract opened is still open. What was proved of an earlier generation, before the contract was deleted, proves nothing.
func settled(e *v1alpha1.Entrustment) bool {
	revoked := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionRevoked)
	return e.Spec.Disposal != nil && e.Spec.Disposal.CompletedDate != "" &&
		e.Status.ObservedGeneration == e.Generation &&
		revoked != nil && revoked.Status == metav1.ConditionTrue && revoked.ObservedGeneration == e.Generation
}
