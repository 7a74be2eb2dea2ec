package networkpolicy

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// drainInterval is how often pods are looked for that keep a policy in place. Pods are not watched: a cluster has many.
const drainInterval = 5 * time.Second

// workers write policies of different stores at once, so that a party suspended in an incident is cut everywhere soon.
const workers = 4

// Reconciler keeps the policy of a store.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Live      client.Reader // the API server itself, for what must not be decided by a cache
	Writer    apply.Writer
	Recorder  eventRecorder
}

type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups=entrustment.dev,resources=personaldatastores,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager follows the snapshot, and watches policies and finalizers for what others do to them.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	follower := r.Publisher.Follow(snapshot.Policies, changedStores)
	return builder.ControllerManagedBy(mgr).Named("networkpolicy").
		For(&v1alpha1.PersonalDataStore{}, builder.WithPredicates(predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return false },
			UpdateFunc: released,
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		Watches(&networkingv1.NetworkPolicy{}, handler.EnqueueRequestsFromMapFunc(isolatedStores)).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(follower.Attempts(r))
}

// released says whether a store began to go, or lost its finalizer; everything else comes with the snapshot.
func released(e event.UpdateEvent) bool {
	const ours = v1alpha1.FinalizerIsolation
	return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero() ||
		controllerutil.ContainsFinalizer(e.ObjectOld, ours) && !controllerutil.ContainsFinalizer(e.ObjectNew, ours)
}

func isolatedStores(_ context.Context, policy client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, store := range render.IsolatedStores(policy) {
		requests = append(requests, reconcile.Request{NamespacedName: store})
	}
	return requests
}

// changedStores are those that were written or deleted, and those whose grants changed.
func changedStores(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	var requests []reconcile.Request
	for _, key := range next.Stores() {
		if old == nil || !entrustment.SameStore(old.Store(key), next.Store(key)) || !next.SameStoreGrants(old, key) {
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	if old == nil {
		return requests
	}
	for _, key := range old.Stores() {
		if next.Store(key) == nil {
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	return requests
}

// Reconcile isolates a store, or lets it go.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	live := &v1alpha1.PersonalDataStore{}
	err = r.Cache.Get(ctx, req.NamespacedName, live)
	compiled := current.Store(req.NamespacedName)
	switch {
	case apierrors.IsNotFound(err) && compiled == nil:
		return r.keepClosed(ctx, req.NamespacedName)
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil // the snapshot without it wakes us
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading the store: %w", err)
	case !live.DeletionTimestamp.IsZero():
		return r.release(ctx, req.NamespacedName)
	case compiled == nil || compiled.UID != live.UID:
		return reconcile.Result{}, nil // the snapshot with it wakes us
	}
	return reconcile.Result{}, r.isolate(ctx, live, render.NetworkPolicy(compiled, current.StoreGrants(req.NamespacedName)))
}

// isolate writes the policy, once the store cannot vanish from behind it. Without a policy nothing is kept either.
func (r *Reconciler) isolate(ctx context.Context, store *v1alpha1.PersonalDataStore, policy *networkingv1ac.NetworkPolicyApplyConfiguration) error {
	if policy == nil {
		return r.letGo(ctx, r.Cache, store)
	}
	if _, err := r.Writer.AddFinalizer(ctx, store, v1alpha1.FinalizerIsolation); err != nil {
		return err
	}
	return r.ensure(ctx, policy)
}

// release closes a store that is being deleted, and lets it go after its last pod.
func (r *Reconciler) release(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
	store := &v1alpha1.PersonalDataStore{}
	if err := r.Live.Get(ctx, key, store); apierrors.IsNotFound(err) {
		return r.keepClosed(ctx, key)
	} else if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the store: %w", err)
	}
	if !controllerutil.ContainsFinalizer(store, v1alpha1.FinalizerIsolation) {
		return reconcile.Result{}, nil // let go already
	}
	policy := render.NetworkPolicy(store, nil)
	if policy == nil {
		return reconcile.Result{}, r.letGo(ctx, r.Cache, store)
	}
	pod, err := r.drain(ctx, store.Namespace, policy, render.PodSelector(store.Spec.Endpoint.PodSelector))
	if err != nil {
		return reconcile.Result{}, err
	}
	if pod != "" {
		r.Recorder.Eventf(store, nil, corev1.EventTypeNormal, string(v1alpha1.ReasonDraining), "Release",
			"closed to all but its own pods, and kept until the last of them is gone: delete pod %s/%s", store.Namespace, pod)
		return reconcile.Result{RequeueAfter: drainInterval}, nil
	}
	return reconcile.Result{}, r.letGo(ctx, r.Live, store) // a cache may not know yet what was written above
}

// keepClosed holds the policy of a store that went without its finalizer: its definition was deleted, or somebody took
// the finalizer away. It is closed and stays, because its own selector is all that still tells which pods it protects,
// and whoever may edit the policy may have edited that. Making the store again, and deleting it, lets it go in order.
func (r *Reconciler) keepClosed(ctx context.Context, key types.NamespacedName) (reconcile.Result, error) {
	policy, err := policyOf(ctx, r.Cache, key)
	if policy == nil || err != nil {
		return reconcile.Result{}, err
	}
	err = r.Live.Get(ctx, key, &v1alpha1.PersonalDataStore{})
	if err == nil {
		return reconcile.Result{RequeueAfter: drainInterval}, nil // the cache is behind
	}
	// Without the definition the API server knows of no stores at all.
	if !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		return reconcile.Result{}, fmt.Errorf("making sure that the store is gone: %w", err)
	}
	closed, err := r.Writer.Ensure(ctx, render.Closed(key.Namespace, key.Name, &policy.Spec.PodSelector))
	if closed {
		r.Recorder.Eventf(policy, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonStoreNotFound), "Close",
			"PersonalDataStore %s went without its finalizer: closed to all but its own pods, and kept; to let it go, make the store again and delete it", key)
	}
	if apply.Terminating(err) {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, err
}

// drain closes a store and names a pod that is still there.
func (r *Reconciler) drain(ctx context.Context, namespace string, closed *networkingv1ac.NetworkPolicyApplyConfiguration, pods *metav1.LabelSelector) (pod string, err error) {
	if err := r.ensure(ctx, closed); err != nil {
		return "", err
	}
	selector, err := metav1.LabelSelectorAsSelector(pods)
	if err != nil {
		return "", reconcile.TerminalError(fmt.Errorf("reading the store's pod selector: %w", err))
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	err = r.Live.List(ctx, list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}, client.Limit(1))
	if err != nil {
		return "", fmt.Errorf("looking for pods of the store: %w", err)
	}
	if len(list.Items) == 0 {
		return "", nil
	}
	return list.Items[0].Name, nil
}

func (r *Reconciler) ensure(ctx context.Context, policy *networkingv1ac.NetworkPolicyApplyConfiguration) error {
	_, err := r.Writer.Ensure(ctx, policy)
	if apply.Terminating(err) {
		return nil // the namespace takes its pods with it
	}
	return err
}

// letGo removes the policy, and then what kept the store.
func (r *Reconciler) letGo(ctx context.Context, reader client.Reader, store *v1alpha1.PersonalDataStore) error {
	if err := r.removePolicy(ctx, reader, client.ObjectKeyFromObject(store)); err != nil {
		return err
	}
	return r.Writer.RemoveFinalizer(ctx, store, v1alpha1.FinalizerIsolation)
}

func (r *Reconciler) removePolicy(ctx context.Context, reader client.Reader, store types.NamespacedName) error {
	policy, err := policyOf(ctx, reader, store)
	if policy == nil || err != nil {
		return err
	}
	return r.Writer.Delete(ctx, policy)
}

// policyOf is the managed policy of a store; nil if there is none.
func policyOf(ctx context.Context, reader client.Reader, store types.NamespacedName) (*networkingv1.NetworkPolicy, error) {
	policy := &networkingv1.NetworkPolicy{}
	key := types.NamespacedName{Namespace: store.Namespace, Name: render.NetworkPolicyName(store.Name)}
	err := reader.Get(ctx, key, policy)
	switch {
	case apierrors.IsNotFound(err) || err == nil && policy.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the policy of the store: %w", err)
	}
	return policy, nil
}
