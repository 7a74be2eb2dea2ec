package status

import (
	"context"
	"fmt"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/isolation"
	"entrustment.dev/operator/internal/render"
)

// settling is how long after a snapshot a policy may differ from it before that is said: its own reconciler was woken at
// the same time. What somebody does to a policy later is said at once.
const settling = time.Second

// observer tells of stores what is seen in the cluster.
type observer struct {
	Options
	seen *sightings
	look func(context.Context, *entrustment.Snapshot, *v1alpha1.PersonalDataStore) (sight, error) // nil: memory has to do
}

// observed is the status of a store: what the snapshot finds, and whether the store is isolated.
func (o observer) observed(ctx context.Context, current *entrustment.Snapshot, live *v1alpha1.PersonalDataStore) (found finding[v1alpha1.PersonalDataStoreStatus], err error) {
	key := client.ObjectKeyFromObject(live)
	store := current.Store(key)
	if store == nil {
		o.seen.forget(key)
		return found, nil
	}
	grants, leaving := current.StoreGrants(key), !live.DeletionTimestamp.IsZero()
	if leaving {
		grants = nil
	}
	pods, err := o.pods(ctx, current, store, &found)
	if err != nil || found.unseen {
		return found, err
	}
	isolated, err := o.isolated(ctx, current, store, grants, pods, leaving)
	if err != nil {
		return found, err
	}
	if left := settling - o.Clock.Since(current.Now()); isolated.Reason == string(v1alpha1.ReasonPolicyPending) && left > 0 {
		found.again = left
		before := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionIsolated)
		if before == nil {
			return found, nil
		}
		isolated = *before
	}
	guarded, err := o.Guard.condition(ctx)
	if err != nil {
		return found, err
	}
	found.status, found.known = current.StoreStatus(key, append(o.delivered(current, store, live), isolated, guarded)...)
	found.status.WouldDeny, found.status.WouldDenyCount = pods.wouldDeny, pods.wouldDenyCount
	o.readers(&found.status, live)
	return found, nil
}

// verdict makes the condition of a store.
type verdict struct{ generation int64 }

func (v verdict) is(status metav1.ConditionStatus, reason v1alpha1.Reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{
		Type: v1alpha1.ConditionIsolated, Status: status, Reason: string(reason),
		Message: fmt.Sprintf(format, args...), ObservedGeneration: v.generation,
	}
}

// isolated observes whether the live policies are those that the grants of a store call for, and whether anything else lets
// others in.
func (o observer) isolated(ctx context.Context, current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore,
	grants []entrustment.Grant, pods sight, leaving bool) (metav1.Condition, error) {
	v := verdict{store.Generation}
	if render.GuardsOutside(store) {
		return o.isolatedOutside(ctx, current, store, grants)
	}
	policy := render.NetworkPolicy(store, grants)
	if policy == nil {
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonReporting,
			"no policy cuts, because enforcement is Report; set it to Enforce to isolate the store"), nil
	}
	key := types.NamespacedName{Namespace: store.Namespace, Name: render.NetworkPolicyName(store.Name)}
	found := &networkingv1.NetworkPolicy{}
	err := o.Cache.Get(ctx, key, found)
	matches := false
	if err == nil {
		matches, err = apply.Matches(found, policy)
	}
	switch {
	case client.IgnoreNotFound(err) != nil:
		return metav1.Condition{}, fmt.Errorf("observing the policy of the store: %w", err)
	case apierrors.IsNotFound(err) || !matches:
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonPolicyPending,
			"NetworkPolicy %s is not in place as it should be; the operator is writing it", key), nil
	}
	opened, err := isolation.Opened(store, grants, o.policies(ctx))
	switch {
	case err != nil:
		return metav1.Condition{}, err
	case len(opened) > 0:
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonForeignNetworkPolicy, "%s", summary(opened)), nil
	case leaving:
		return v.is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied,
			"NetworkPolicy %s closes the store to all but its own pods; the store goes when the last of them has gone", key), nil
	case pods.hostNetwork != "":
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonHostNetworkPods,
			"pod %s of the store uses the host's network, which NetworkPolicies do not reach; run it without spec.hostNetwork", pods.hostNetwork), nil
	case pods.none:
		// A selector that matches nothing looks like a store without pods yet. Only one of them is safe, and nobody but the
		// owner can tell which: so the store is not called isolated before a pod of it was seen.
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonNoPodsSelected,
			"NetworkPolicy %s is in place, but no pod of namespace %s matches spec.endpoint.podSelector; start one, or correct the selector", key, store.Namespace), nil
	}
	return v.is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied,
		"NetworkPolicy %s admits the store's own pods and those with a grant, nobody else", key), nil
}
