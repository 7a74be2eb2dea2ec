package revocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// byEntrustment is the index of what is there of each entrustment, so that to ask costs what there is.
const byEntrustment = "entrustments"

// traces are the kinds in which an entrustment leaves traces. ClusterNetworkPolicies are none: they let nothing through that
// a NetworkPolicy does not.
func traces() []client.Object {
	return []client.Object{&networkingv1.NetworkPolicy{}, &rbacv1.RoleBinding{}, &v1alpha1.PersonalDataAccess{}, &corev1.Pod{}}
}

// traced are the entrustments of which an object is a trace.
func traced(object client.Object) []string {
	var names []string
	switch object := object.(type) {
	case *networkingv1.NetworkPolicy:
		return render.OpenTo(object)
	case *rbacv1.RoleBinding:
		if render.IsReader(object) {
			names = append(names, object.Labels[v1alpha1.LabelEntrustment])
		}
	case *v1alpha1.PersonalDataAccess:
		for i := range object.Grants {
			names = append(names, object.Grants[i].Entrustment)
		}
		for i := range object.Draining {
			names = append(names, object.Draining[i].Entrustment)
		}
	case *corev1.Pod:
		if object.Status.Phase != corev1.PodSucceeded && object.Status.Phase != corev1.PodFailed {
			names = append(names, object.Labels[v1alpha1.LabelEntrustment])
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// Traces are the kinds whose changes may bring a revocation further.
func (r *Reconciler) Traces() []client.Object { return traces() }

// Traced are the entrustments that are not in force and of which an object is a trace.
func (r *Reconciler) Traced(_ context.Context, object client.Object) []reconcile.Request {
	current, err := r.Publisher.Current()
	if err != nil {
		return nil // the first snapshot wakes all
	}
	var requests []reconcile.Request
	for _, name := range traced(object) {
		if !current.InForce(name) {
			requests = append(requests, snapshot.Requests(name)...)
		}
	}
	return requests
}

// Indexed is a source of nothing, that has synced when Left can be asked. Replicas that do not lead need no index.
func (r *Reconciler) Indexed() source.Source {
	return source.Func(func(ctx context.Context, _ workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		var errs []error
		for _, kind := range traces() {
			errs = append(errs, r.indexer.IndexField(ctx, kind, byEntrustment, traced))
		}
		return errors.Join(errs...)
	})
}

// Left is what is left of a contract that is not in force; nil: that is not known. It is known once everything was attempted
// that a snapshot asked for in which it was not in force either, so that nothing that is found closed is about to be opened by a
// write that was under way.
func (r *Reconciler) Left(ctx context.Context, current *entrustment.Snapshot, contract *v1alpha1.Entrustment) (*draining.Left, error) {
	if passed := r.Publisher.Passed(snapshot.Telling); passed == nil || passed.InForce(contract.Name) {
		return nil, nil
	}
	left := &draining.Left{}
	policies, bindings := &networkingv1.NetworkPolicyList{}, &rbacv1.RoleBindingList{}
	shown, pods := &v1alpha1.PersonalDataAccessList{}, &corev1.PodList{}
	for _, list := range []client.ObjectList{policies, bindings, shown, pods} {
		if err := r.Cache.List(ctx, list, client.MatchingFields{byEntrustment: contract.Name}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("looking for what is left of Entrustment %q: %w", contract.Name, err)
		}
	}
	namespaces := map[string]bool{}
	for _, namespace := range current.BoundTo(contract.Spec.EntrusteeName) {
		namespaces[namespace] = true
	}
	if len(policies.Items) > 0 {
		left.Policy = first(policies.Items)
	}
	if len(bindings.Items) > 0 {
		left.Secret = "RoleBinding " + first(bindings.Items)
	}
	for i := range shown.Items {
		namespaces[shown.Items[i].Namespace] = true
		left.Access = cmp.Or(left.Access, shown.Items[i].Namespace)
	}
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		names, known, err := r.Secrets.Undue(ctx, current, namespace)
		switch {
		case err != nil || !known:
			return nil, err
		case len(names) > 0 && left.Secret == "":
			left.Secret = "Secret " + namespace + "/" + names[0]
		}
	}
	// Elsewhere nobody may declare it, and whoever did all the same was given nothing.
	held := slices.DeleteFunc(slices.Clone(pods.Items), func(pod corev1.Pod) bool { return !namespaces[pod.Namespace] })
	if left.Pods = len(held); left.Pods > 0 {
		left.Pod = first(held)
		namespace, _, _ := strings.Cut(left.Pod, "/")
		if described := r.holding(namespace, contract.Name); strings.HasPrefix(described, left.Pod+" ") {
			left.Pod = described
		}
	}
	return left, nil
}

// first is "namespace/name" of the first of some objects.
func first[T any, O interface {
	*T
	client.Object
}](items []T) string {
	var names []string
	for i := range items {
		names = append(names, client.ObjectKeyFromObject(O(&items[i])).String())
	}
	return slices.Min(names)
}

// Confirm asks the API server itself whether a contract of which nothing is left in the caches is closed: they may be behind
// what was opened a moment before it ended.
func (r *Reconciler) Confirm(ctx context.Context, current *entrustment.Snapshot, contract *v1alpha1.Entrustment) (closed bool, err error) {
	type place struct {
		kind client.Object
		key  types.NamespacedName
	}
	var places []place
	for _, store := range contract.Spec.Stores {
		places = append(places, place{&networkingv1.NetworkPolicy{}, types.NamespacedName{Namespace: store.Namespace, Name: render.NetworkPolicyName(store.Name)}})
	}
	for _, namespace := range current.BoundTo(contract.Spec.EntrusteeName) {
		places = append(places,
			place{&networkingv1.NetworkPolicy{}, types.NamespacedName{Namespace: namespace, Name: render.EgressPolicyName(contract.Name)}},
			place{&v1alpha1.PersonalDataAccess{}, types.NamespacedName{Namespace: namespace, Name: v1alpha1.PersonalDataAccessName}})
	}
	for _, at := range places {
		err := r.Live.Get(ctx, at.key, at.kind)
		if client.IgnoreNotFound(err) != nil {
			return false, fmt.Errorf("making sure that Entrustment %q is closed: %w", contract.Name, err)
		}
		if err == nil && slices.Contains(traced(at.kind), contract.Name) {
			return false, nil
		}
	}
	return true, nil
}
