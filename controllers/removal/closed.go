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

// reasonRemoved is why every store that cuts counts as suspended.
const reasonRemoved = "entrustment-operator is being removed"

// Withdraw amends inputs, after others did, so that nothing but denials follows for the stores that cut. Those that only report keep
// what they had: nothing was closed there that could be left open.
func Withdraw(amend func(entrustment.Inputs) (entrustment.Inputs, error)) func(entrustment.Inputs) (entrustment.Inputs, error) {
	return func(in entrustment.Inputs) (entrustment.Inputs, error) {
		in, err := amend(in)
		return in.Withdrawn(reasonRemoved), err
	}
}

// managed selects what the operator made.
var managed = client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}

// Left names one thing that is not yet as an operator leaves it that withdrew everything: it lets somebody in to a store that cuts,
// is about to be taken away, or would keep somebody from a store that only reports. Empty: there is none. The reader asks the API
// server itself.
func Left(ctx context.Context, live client.Reader) (string, error) {
	l := &look{live: live, reporting: map[string]bool{}, granted: map[types.NamespacedName]bool{}}
	for _, at := range []func(context.Context) (string, error){l.stores, l.outside, l.namespaces, l.credentials, l.readers} {
		if left, err := at(ctx); left != "" || err != nil {
			return left, err
		}
	}
	return "", nil
}

// look is one look at the cluster. What is seen first tells what may be seen later.
type look struct {
	live      client.Reader
	reporting map[string]bool               // stores that only report
	granted   map[types.NamespacedName]bool // Secrets that some grant lists
}

// stores looks for one whose policy is not that of a store that nobody is granted.
func (l *look) stores(ctx context.Context) (string, error) {
	stores := &v1alpha1.PersonalDataStoreList{}
	if err := l.live.List(ctx, stores); err != nil {
		return "", fmt.Errorf("listing the stores: %w", err)
	}
	for i := range stores.Items {
		store := &stores.Items[i]
		if entrustment.Reports(store) {
			l.reporting[client.ObjectKeyFromObject(store).String()] = true
			continue
		}
		want := render.NetworkPolicy(store, nil)
		if want == nil {
			continue
		}
		policy := &networkingv1.NetworkPolicy{}
		err := l.live.Get(ctx, types.NamespacedName{Namespace: store.Namespace, Name: *want.Name}, policy)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("reading the policy of PersonalDataStore %s/%s: %w", store.Namespace, store.Name, err)
		}
		if matches, err := apply.Matches(policy, want); !matches || err != nil {
			return fmt.Sprintf("NetworkPolicy %s/%s admits somebody, or is missing", store.Namespace, *want.Name), err
		}
	}
	return "", nil
}

// outside looks for a policy that passes somebody on to a store outside the cluster: one that only reports has none.
func (l *look) outside(ctx context.Context) (string, error) {
	policies := &policyv1alpha2.ClusterNetworkPolicyList{}
	if err := l.live.List(ctx, policies, managed); err != nil {
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

// namespaces looks for one that is granted a store that cuts, or in which pods are being ended. Of grants for stores that only
// report, those are left that ask pods for a deadline.
func (l *look) namespaces(ctx context.Context) (string, error) {
	accesses := &v1alpha1.PersonalDataAccessList{}
	if err := l.live.List(ctx, accesses); err != nil {
		return "", fmt.Errorf("listing what namespaces are granted: %w", err)
	}
	for i := range accesses.Items {
		access := &accesses.Items[i]
		for j := range access.Grants {
			grant := &access.Grants[j]
			switch {
			case l.cuts(grant.Stores):
				return fmt.Sprintf("namespace %s is granted purpose %s", access.Namespace, grant.Purpose), nil
			case grant.PodDeadline == v1alpha1.PodDeadlineArmed:
				return fmt.Sprintf("pods for purpose %s need a deadline in namespace %s", grant.Purpose, access.Namespace), nil
			}
			for _, secret := range grant.Secrets {
				l.granted[types.NamespacedName{Namespace: access.Namespace, Name: secret}] = true
			}
		}
		for j := range access.Draining {
			if note := &access.Draining[j]; l.cuts(note.Stores) {
				return fmt.Sprintf("pods for purpose %s are being ended in namespace %s", note.Purpose, access.Namespace), nil
			}
		}
	}
	return "", nil
}

// cuts says whether one of the stores does not only report. One that is not known does not.
func (l *look) cuts(stores []string) bool {
	return len(stores) == 0 || slices.ContainsFunc(stores, func(store string) bool { return !l.reporting[store] })
}

// credentials looks for a delivered Secret that nobody is granted. There is none where the operator did not bind itself to the
// right to make it.
func (l *look) credentials(ctx context.Context) (string, error) {
	namespaces, err := entered(ctx, l.live)
	if err != nil {
		return "", err
	}
	for _, namespace := range namespaces {
		secrets := &corev1.SecretList{}
		if err := l.live.List(ctx, secrets, managed, client.InNamespace(namespace)); err != nil {
			return "", fmt.Errorf("listing the Secrets of namespace %s: %w", namespace, err)
		}
		for i := range secrets.Items {
			secret := &secrets.Items[i]
			if _, delivered := render.Delivered(secret); delivered && !l.granted[client.ObjectKeyFromObject(secret)] {
				return fmt.Sprintf("Secret %s/%s is delivered", namespace, secret.Name), nil
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

// readers looks for a Role that lets an account read a credential that nobody is granted.
func (l *look) readers(ctx context.Context) (string, error) {
	roles := &rbacv1.RoleList{}
	if err := l.live.List(ctx, roles, managed); err != nil {
		return "", fmt.Errorf("listing the Roles: %w", err)
	}
	for i := range roles.Items {
		role := &roles.Items[i]
		if !render.IsReader(role) {
			continue
		}
		for j := range role.Rules {
			if slices.ContainsFunc(role.Rules[j].ResourceNames, func(secret string) bool {
				return !l.granted[types.NamespacedName{Namespace: role.Namespace, Name: secret}]
			}) {
				return fmt.Sprintf("Role %s/%s lets an account read a credential", role.Namespace, role.Name), nil
			}
		}
	}
	return "", nil
}
