package clusternetworkpolicy

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// Lookout is how often the API is looked for while it is not installed.
const Lookout = time.Minute

// Reconciler keeps the ClusterNetworkPolicies of a store outside the cluster.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Writer    apply.Writer
	Lookout   time.Duration // zero is the constant Lookout
	// Changed is told of each store whose policies may have changed.
	Changed chan<- event.GenericEvent

	installed atomic.Bool
}

// +kubebuilder:rbac:groups=policy.networking.k8s.io,resources=clusternetworkpolicies,verbs=get;list;watch;create;update;patch;delete

// SetupWithManager follows the snapshot and watches the policies, once there is such a kind.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	found, err := known(mgr.GetRESTMapper())
	if err != nil {
		return err
	}
	if found {
		return r.watch(mgr)
	}
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.await(ctx, mgr) }))
}

// known asks for the kind at just this version.
func known(mapper meta.RESTMapper) (bool, error) {
	kind := schema.GroupKind{Group: policyv1alpha2.GroupVersion.Group, Kind: "ClusterNetworkPolicy"}
	_, err := mapper.RESTMapping(kind, policyv1alpha2.GroupVersion.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking up kind %s: %w", kind.Kind, err)
	}
	return true, nil
}

// await looks for the API until it is there.
func (r *Reconciler) await(ctx context.Context, mgr manager.Manager) error {
	every := r.Lookout
	if every == 0 {
		every = Lookout
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if found, err := known(mgr.GetRESTMapper()); err == nil && found {
			return r.watch(mgr)
		}
	}
}

func (r *Reconciler) watch(mgr manager.Manager) error {
	follower := r.Publisher.Follow(snapshot.Policies, changedStores)
	err := builder.ControllerManagedBy(mgr).Named("clusternetworkpolicy").
		Watches(&policyv1alpha2.ClusterNetworkPolicy{}, handler.EnqueueRequestsFromMapFunc(storeOf)).
		WatchesRawSource(follower).
		Complete(follower.Attempts(r))
	r.installed.Store(err == nil)
	return err
}

func storeOf(_ context.Context, policy client.Object) []reconcile.Request {
	if store, ours := render.ClusterwideStore(policy); ours {
		return []reconcile.Request{{NamespacedName: store}}
	}
	return nil
}

// changedStores are those outside the cluster, now or before, whose grants or endpoint changed.
func changedStores(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	var requests []reconcile.Request
	for _, store := range next.ExternalStores() {
		key := client.ObjectKeyFromObject(store)
		if old == nil || !entrustment.SameStore(old.Store(key), store) || !next.SameStoreGrants(old, key) {
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	if old == nil {
		return requests
	}
	for _, store := range old.ExternalStores() {
		key := client.ObjectKeyFromObject(store)
		if now := next.Store(key); now == nil || now.Spec.Endpoint.External == nil {
			requests = append(requests, reconcile.Request{NamespacedName: key})
		}
	}
	return requests
}

// Reconcile writes the policies of a store, those that pass before the one that denies, and removes what is not wanted.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	var keep []string
	if store := current.Store(req.NamespacedName); store != nil {
		for _, policy := range render.ClusterNetworkPolicies(store, current.StoreGrants(req.NamespacedName)) {
			if _, err := r.Writer.Ensure(ctx, policy); err != nil {
				return reconcile.Result{}, err
			}
			keep = append(keep, *policy.Name)
		}
	}
	list := &policyv1alpha2.ClusterNetworkPolicyList{}
	if err := r.Cache.List(ctx, list, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}); err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the ClusterNetworkPolicies: %w", err)
	}
	for i := range list.Items {
		policy := &list.Items[i]
		if store, ours := render.ClusterwideStore(policy); !ours || store != req.NamespacedName || slices.Contains(keep, policy.Name) {
			continue
		}
		if err := r.Writer.Delete(ctx, policy); err != nil {
			return reconcile.Result{}, err
		}
	}
	r.tell(ctx, req)
	return reconcile.Result{}, nil
}

func (r *Reconciler) tell(ctx context.Context, req reconcile.Request) {
	if r.Changed == nil {
		return
	}
	store := &v1alpha1.PersonalDataStore{}
	store.Namespace, store.Name = req.Namespace, req.Name
	select {
	case r.Changed <- event.GenericEvent{Object: store}:
	case <-ctx.Done():
	}
}

// Covers says whether the policies of a store are all in place.
func (r *Reconciler) Covers(ctx context.Context, store *v1alpha1.PersonalDataStore, grants []entrustment.Grant) (bool, error) {
	policies := render.ClusterNetworkPolicies(store, grants)
	if !r.installed.Load() || len(policies) == 0 {
		return false, nil
	}
	for _, policy := range policies {
		live := &policyv1alpha2.ClusterNetworkPolicy{}
		err := r.Cache.Get(ctx, client.ObjectKey{Name: *policy.Name}, live)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("observing the ClusterNetworkPolicies of the store: %w", err)
		}
		if matches, err := apply.Matches(live, policy); err != nil || !matches {
			return false, err
		}
	}
	return true, nil
}
