package revocation

import (
	"context"
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
)

// left is what is left of the noted grants of a namespace, by grant; those of which nothing is left, or no store is there any
// more, are not in it.
func (r *Reconciler) left(ctx context.Context, current *entrustment.Snapshot, access *v1alpha1.PersonalDataAccess, holding map[draining.Key][]pod) (map[draining.Key]draining.Left, error) {
	if len(access.Draining) == 0 {
		return nil, nil
	}
	undue, known, err := r.Secrets.Undue(ctx, current, access.Namespace)
	if err != nil {
		return nil, err
	}
	leaving, err := r.egress(ctx, current, access.Namespace)
	if err != nil {
		return nil, err
	}
	left := map[draining.Key]draining.Left{}
	for i := range access.Draining {
		note := &access.Draining[i]
		key := draining.Of(note)
		l := draining.Left{Policy: leaving, Pods: len(holding[key])}
		if l.Pods > 0 {
			l.Pod = holding[key][0].describe()
		}
		switch {
		case len(undue) > 0:
			l.Secret = access.Namespace + "/" + undue[0]
		case !known:
			l.Secret = access.Namespace + "/?"
		}
		for _, store := range note.Stores {
			policy, err := r.ingress(ctx, current, store)
			if err != nil {
				return nil, err
			}
			if policy != "" {
				l.Policy = policy
			}
		}
		if l.Any() && draining.Matters(current, note) {
			l.Stays = !draining.Ends(current, note)
			left[key] = l
		}
	}
	return left, nil
}

// describe names a pod and, if it is known, what keeps it.
func (p pod) describe() string {
	name := p.object.Namespace + "/" + p.object.Name
	if len(p.object.Finalizers) > 0 {
		return fmt.Sprintf("%s (held by finalizer %s)", name, p.object.Finalizers[0])
	}
	return name
}

// ingress names the policy of a store if it is not what the store's grants call for.
func (r *Reconciler) ingress(ctx context.Context, current *entrustment.Snapshot, name string) (string, error) {
	namespace, name, _ := strings.Cut(name, "/")
	key := types.NamespacedName{Namespace: namespace, Name: name}
	store := current.Store(key)
	if store == nil {
		return "", nil
	}
	grants := current.StoreGrants(key)
	if !store.DeletionTimestamp.IsZero() {
		grants = nil
	}
	wanted := render.NetworkPolicy(store, grants)
	if wanted == nil {
		return "", nil
	}
	live := &networkingv1.NetworkPolicy{}
	err := r.Cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: *wanted.Name}, live)
	if apierrors.IsNotFound(err) {
		return "", nil // nothing lets anybody through, though nothing keeps others out: the store is not isolated, and says so
	}
	if err != nil {
		return "", fmt.Errorf("reading the policy of store %s: %w", key, err)
	}
	if same, err := apply.Matches(live, wanted); same || err != nil {
		return "", err
	}
	return namespace + "/" + live.Name, nil
}

// egress names a policy of a namespace that lets its pods out otherwise than they are granted.
func (r *Reconciler) egress(ctx context.Context, current *entrustment.Snapshot, namespace string) (string, error) {
	list := &networkingv1.NetworkPolicyList{}
	if err := r.Cache.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return "", fmt.Errorf("reading the policies of namespace %s: %w", namespace, err)
	}
	own, others := render.Divide(list.Items)
	wanted := map[string]*networkingv1ac.NetworkPolicyApplyConfiguration{}
	governed := reach.GovernsEgress(others, render.Undeclared())
	rendered := render.RemainingPolicies
	if _, _, bound := current.Binding(namespace); bound {
		rendered = render.EgressPolicies
	}
	for _, policy := range rendered(current, namespace, governed) {
		wanted[*policy.Name] = policy
	}
	for _, policy := range own {
		if wanted[policy.Name] == nil {
			if len(policy.Spec.Egress) > 0 {
				return namespace + "/" + policy.Name, nil
			}
			continue
		}
		if same, err := apply.Matches(policy, wanted[policy.Name]); !same || err != nil {
			return namespace + "/" + policy.Name, err
		}
	}
	return "", nil
}
