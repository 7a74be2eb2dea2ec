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
	"entrustment.dev/operator/internal/render"
)

// settling is how long after a snapshot a policy may differ from it before that is said: its own reconciler was woken at
// the same time. What somebody does to a policy later is said at once.
const settling = time.Second

// observed is the status of a store: what the snapshot finds, and whether the store is isolated.
func (o Options) observed(ctx context.Context, current *entrustment.Snapshot, live *v1alpha1.PersonalDataStore) (found finding[v1alpha1.PersonalDataStoreStatus], err error) {
	key := client.ObjectKeyFromObject(live)
	store := current.Store(key)
	if store == nil {
		return found, nil
	}
	grants, leaving := current.StoreGrants(key), !live.DeletionTimestamp.IsZero()
	if leaving {
		grants = nil
	}
	isolated, err := o.isolated(ctx, store, grants, leaving)
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
	found.status, found.known = current.StoreStatus(key, append(o.delivered(current, store, live), isolated)...)
	o.readers(&found.status, live)
	return found, nil
}

// isolated observes whether the live policy of a store is the one that its grants call for.
func (o Options) isolated(ctx context.Context, store *v1alpha1.PersonalDataStore, grants []entrustment.Grant, leaving bool) (metav1.Condition, error) {
	is := func(status metav1.ConditionStatus, reason v1alpha1.Reason, format string, args ...any) (metav1.Condition, error) {
		return metav1.Condition{
			Type: v1alpha1.ConditionIsolated, Status: status, Reason: string(reason),
			Message: fmt.Sprintf(format, args...), ObservedGeneration: store.Generation,
		}, nil
	}
	if store.Spec.Endpoint.External != nil {
		return is(metav1.ConditionFalse, v1alpha1.ReasonExternalPartial,
			"the store is outside the cluster: nothing limits yet which pods reach its addresses; guard it there")
	}
	policy := render.NetworkPolicy(store, grants)
	if policy == nil {
		return is(metav1.ConditionFalse, v1alpha1.ReasonReporting,
			"no policy cuts, because enforcement is Report; set it to Enforce to isolate the store")
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
		return is(metav1.ConditionFalse, v1alpha1.ReasonPolicyPending,
			"NetworkPolicy %s is not in place as it should be; the operator is writing it", key)
	case leaving:
		return is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied,
			"NetworkPolicy %s closes the store to all but its own pods; the store goes when the last of them has gone", key)
	}
	return is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied,
		"NetworkPolicy %s admits the store's own pods and those with a grant, nobody else", key)
}
