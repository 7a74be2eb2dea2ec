package egress

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
)

// drainInterval is how often a namespace that is no longer bound is searched for pods that declare something. Pods are not
// watched: a cluster has many.
const drainInterval = 5 * time.Second

// workers write the policies of different namespaces at once.
const workers = 4

// Reconciler keeps the egress policies of a namespace.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Live      client.Reader // the API server itself, for pods
	Writer    apply.Writer
}

// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="",resources=pods,verbs=list

// SetupWithManager follows the snapshot, watches policies for what others do to them and beside them, and waits for bound
// namespaces that do not exist yet.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	follower := r.Publisher.Follow(snapshot.Policies, changedNamespaces)
	return builder.ControllerManagedBy(mgr).Named("egress").
		Watches(&networkingv1.NetworkPolicy{}, handler.EnqueueRequestsFromMapFunc(r.namespaceOf)).
		WatchesMetadata(&corev1.Namespace{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(event.UpdateEvent) bool { return false },
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(follower.Attempts(r))
}

// namespaceOf wakes the namespace of a policy that belongs to it, and a bound one for what others write there.
func (r *Reconciler) namespaceOf(_ context.Context, policy client.Object) []reconcile.Request {
	if render.LimitsEgress(policy) {
		return snapshot.Requests(policy.GetNamespace())
	}
	current, err := r.Publisher.Current()
	if err != nil {
		return nil // the first snapshot wakes all that are bound
	}
	if _, _, bound := current.Binding(policy.GetNamespace()); bound {
		return snapshot.Requests(policy.GetNamespace())
	}
	return nil
}

// changedNamespaces are those that were bound or unbound, and those whose policies may have another content.
func changedNamespaces(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old == nil {
		return snapshot.Requests(next.BoundNamespaces()...)
	}
	sameOutside := slices.EqualFunc(old.ExternalStores(), next.ExternalStores(), entrustment.SameStore)
	var requests []reconcile.Request
	for _, namespace := range next.BoundNamespaces() {
		if !sameOutside || !sameGrants(old, next, namespace) {
			requests = append(requests, snapshot.Requests(namespace)...)
		}
	}
	for _, namespace := range old.BoundNamespaces() {
		if _, _, bound := next.Binding(namespace); !bound {
			requests = append(requests, snapshot.Requests(namespace)...)
		}
	}
	return requests
}

// sameGrants says whether a namespace is granted the same, stores and destinations as they were.
func sameGrants(old, next *entrustment.Snapshot, namespace string) bool {
	if !next.SameNamespaceAccess(old, namespace) {
		return false
	}
	access, _ := next.NamespaceAccess(namespace)
	for i := range access.Grants {
		grant := &access.Grants[i]
		if grant.Entrustment != "" && !next.SameDestinations(old, grant.Entrustment) {
			return false
		}
		for _, store := range grant.Stores {
			if !entrustment.SameStore(old.Store(store), next.Store(store)) {
				return false
			}
		}
	}
	return true
}

// Reconcile writes the policies of a bound namespace, and takes away what is no longer wanted.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	own, others, err := r.policies(ctx, req.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	governed := reach.GovernsEgress(others, render.Undeclared())
	if _, _, bound := current.Binding(req.Name); bound {
		return reconcile.Result{}, r.converge(ctx, own, render.EgressPolicies(current, req.Name, governed))
	}
	if len(own) == 0 {
		return reconcile.Result{}, nil
	}
	declares, err := r.declares(ctx, req.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	if !declares {
		return reconcile.Result{}, r.converge(ctx, own, nil)
	}
	if err := r.converge(ctx, own, render.RemainingPolicies(current, req.Name, governed)); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.Result{RequeueAfter: drainInterval}, nil
}

// policies are those of a namespace that limit egress, and those of others.
func (r *Reconciler) policies(ctx context.Context, namespace string) (own, others []*networkingv1.NetworkPolicy, err error) {
	list := &networkingv1.NetworkPolicyList{}
	if err := r.Cache.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("reading the policies of the namespace: %w", err)
	}
	own, others = render.Divide(list.Items)
	for i, policy := range own {
		own[i] = policy.DeepCopy() // these are written
	}
	return own, others, nil
}

// converge writes what is wanted, and then removes the rest.
func (r *Reconciler) converge(ctx context.Context, own []*networkingv1.NetworkPolicy, wanted []*networkingv1ac.NetworkPolicyApplyConfiguration) error {
	keep := map[string]bool{}
	for _, policy := range wanted {
		keep[*policy.Name] = true
		_, err := r.Writer.Ensure(ctx, policy)
		if apply.Terminating(err) {
			continue // nothing can be made there any more, but what opens is taken away all the same
		}
		if apierrors.IsNotFound(err) {
			return nil // the namespace has gone, or has yet to come
		}
		if err != nil {
			return err
		}
	}
	for _, policy := range own {
		if keep[policy.Name] || !render.Managed(policy) {
			continue
		}
		if err := r.remove(ctx, policy); err != nil {
			return err
		}
	}
	return nil
}

// remove takes a policy away. One that somebody's finalizer holds would go on opening what it opened, so that is taken first.
func (r *Reconciler) remove(ctx context.Context, policy *networkingv1.NetworkPolicy) error {
	if len(policy.Finalizers) > 0 {
		if _, err := r.Writer.Ensure(ctx, render.WithoutEgress(policy)); err != nil {
			return err
		}
	}
	if policy.DeletionTimestamp != nil {
		return nil
	}
	return r.Writer.Delete(ctx, policy)
}

// declares says whether a pod of the namespace declares a purpose or an entrustment.
func (r *Reconciler) declares(ctx context.Context, namespace string) (bool, error) {
	for _, label := range []string{v1alpha1.LabelEntrustment, v1alpha1.LabelPurpose} {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		err := r.Live.List(ctx, list, client.InNamespace(namespace), client.HasLabels{label}, gather.Unended, client.Limit(1))
		if err != nil {
			return false, fmt.Errorf("looking for pods that declare something: %w", err)
		}
		if len(list.Items) > 0 {
			return true, nil
		}
	}
	return false, nil
}
