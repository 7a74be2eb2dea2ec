package removal

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// reasonRemoved is why every store counts as suspended.
const reasonRemoved = "entrustment-operator is being removed"

// Withdraw returns inputs of which nothing follows but denials.
func Withdraw(in entrustment.Inputs) (entrustment.Inputs, error) {
	return in.Suspended(reasonRemoved), nil
}

// managed selects what the operator made.
var managed = client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}

// Open names one thing that lets somebody in still, or is about to be taken away; empty: there is none. The reader asks the API
// server itself.
func Open(ctx context.Context, live client.Reader) (string, error) {
	for _, look := range []func(context.Context, client.Reader) (string, error){openStore, openOutside, openNamespace, openCredential, openReader} {
		if open, err := look(ctx, live); open != "" || err != nil {
			return open, err
		}
	}
	return "", nil
}

// openStore is a store whose policy is not the one of a store that nobody is granted.
func openStore(ctx context.Context, live client.Reader) (string, error) {
	stores := &v1alpha1.PersonalDataStoreList{}
	if err := live.List(ctx, stores); err != nil {
		return "", fmt.Errorf("listing the stores: %w", err)
	}
	withdrawn := entrustment.Inputs{Stores: pointers(stores.Items)}.Suspended(reasonRemoved)
	for _, store := range withdrawn.Stores {
		want := render.NetworkPolicy(store, nil)
		if want == nil {
			continue
		}
		policy := &networkingv1.NetworkPolicy{}
		err := live.Get(ctx, types.NamespacedName{Namespace: store.Namespace, Name: *want.Name}, policy)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("reading the policy of PersonalDataStore %s/%s: %w", store.Namespace, store.Name, err)
		}
		if matches, err := apply.Matches(policy, want); !matches || err != nil {
			return fmt.Sprintf("NetworkPolicy %s/%s admits somebody, or is missing", store.Namespace, *want.Name), err
		}
	}
	return "", nil
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}

// openOutside is a policy that passes somebody on to a store outside the cluster.
func openOutside(ctx context.Context, live client.Reader) (string, error) {
	policies := &policyv1alpha2.ClusterNetworkPolicyList{}
	if err := live.List(ctx, policies, managed); err != nil {
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return "", nil // there is no such kind
		}
		return "", fmt.Errorf("listing the ClusterNetworkPolicies: %w", err)
	}
	for i := range policies.Items {
		if slices.ContainsFunc(policies.Items[i].Spec.Egress, func(rule policyv1alpha2.ClusterNetworkPolicyEgressRule) bool {
			return rule.Action != policyv1alpha2.ClusterNetworkPolicyRuleActionDeny
		}) {
			return fmt.Sprintf("ClusterNetworkPolicy %s lets somebody pass", policies.Items[i].Name), nil
		}
	}
	return "", nil
}

// openNamespace is one that is granted something, or in which pods are being ended.
func openNamespace(ctx context.Context, live client.Reader) (string, error) {
	accesses := &v1alpha1.PersonalDataAccessList{}
	if err := live.List(ctx, accesses); err != nil {
		return "", fmt.Errorf("listing what namespaces are granted: %w", err)
	}
	for i := range accesses.Items {
		access := &accesses.Items[i]
		switch {
		case len(access.Grants) > 0:
			return fmt.Sprintf("namespace %s is granted purpose %s", access.Namespace, access.Grants[0].Purpose), nil
		case len(access.Draining) > 0:
			return fmt.Sprintf("pods for purpose %s are being ended in namespace %s", access.Draining[0].Purpose, access.Namespace), nil
		}
	}
	return "", nil
}

// openCredential is a delivered Secret. There is none where the operator did not bind itself to the right to make it.
func openCredential(ctx context.Context, live client.Reader) (string, error) {
	namespaces, err := entered(ctx, live)
	if err != nil {
		return "", err
	}
	for _, namespace := range namespaces {
		secrets := &corev1.SecretList{}
		if err := live.List(ctx, secrets, managed, client.InNamespace(namespace)); err != nil {
			return "", fmt.Errorf("listing the Secrets of namespace %s: %w", namespace, err)
		}
		for i := range secrets.Items {
			if _, delivered := render.Delivered(&secrets.Items[i]); delivered {
				return fmt.Sprintf("Secret %s/%s is delivered", namespace, secrets.Items[i].Name), nil
			}
		}
	}
	return "", nil
}

// entered are the namespaces in which the operator may handle Secrets.
func entered(ctx context.Context, live client.Reader) (namespaces []string, err error) {
	bindings := &rbacv1.RoleBindingList{}
	if err := live.List(ctx, bindings, managed); err != nil {
		return nil, fmt.Errorf("listing the operator's RoleBindings: %w", err)
	}
	for i := range bindings.Items {
		if bindings.Items[i].Name == v1alpha1.SecretAccessName {
			namespaces = append(namespaces, bindings.Items[i].Namespace)
		}
	}
	return namespaces, nil
}

// openReader is a Role that lets an account read a credential.
func openReader(ctx context.Context, live client.Reader) (string, error) {
	roles := &rbacv1.RoleList{}
	if err := live.List(ctx, roles, managed); err != nil {
		return "", fmt.Errorf("listing the Roles: %w", err)
	}
	for i := range roles.Items {
		if render.IsReader(&roles.Items[i]) {
			return fmt.Sprintf("Role %s/%s lets an account read a credential", roles.Items[i].Namespace, roles.Items[i].Name), nil
		}
	}
	return "", nil
}
