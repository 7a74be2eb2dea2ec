package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/isolation"
	"entrustment.dev/operator/internal/render"
)

// storesOf are the stores whose isolation a policy may bear upon.
func (o Options) storesOf(ctx context.Context, policy client.Object) []reconcile.Request {
	stores := map[types.NamespacedName]bool{}
	for _, key := range render.IsolatedStores(policy) {
		stores[key] = true
	}
	// The first snapshot finds all statuses that are outdated.
	if current, err := o.Publisher.Current(); err == nil && (!render.Managed(policy) || render.LimitsEgress(policy)) {
		list := &v1alpha1.PersonalDataStoreList{}
		if o.Cache.List(ctx, list, client.InNamespace(policy.GetNamespace()), client.UnsafeDisableDeepCopy) == nil {
			for i := range list.Items {
				stores[client.ObjectKeyFromObject(&list.Items[i])] = true
			}
		}
		access, _ := current.NamespaceAccess(policy.GetNamespace())
		for i := range access.Grants {
			for _, key := range access.Grants[i].Stores {
				stores[key] = true
			}
		}
		for _, store := range current.ExternalStores() {
			stores[client.ObjectKeyFromObject(store)] = true
		}
	}
	requests := make([]reconcile.Request, 0, len(stores))
	for key := range stores {
		requests = append(requests, reconcile.Request{NamespacedName: key})
	}
	slices.SortFunc(requests, func(a, b reconcile.Request) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return requests
}

// policies of a namespace, as the cache knows them.
func (o Options) policies(ctx context.Context) isolation.Policies {
	return func(namespace string) ([]*networkingv1.NetworkPolicy, error) {
		list := &networkingv1.NetworkPolicyList{}
		if err := o.Cache.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("reading the policies of namespace %s: %w", namespace, err)
		}
		policies := make([]*networkingv1.NetworkPolicy, len(list.Items))
		for i := range list.Items {
			policies[i] = &list.Items[i]
		}
		return policies, nil
	}
}

// mostNamed bounds what a message lists.
const mostNamed = 5

func summary(opened []isolation.Finding) string {
	var said []string
	for _, f := range opened[:min(len(opened), mostNamed)] {
		said = append(said, f.String())
	}
	if more := len(opened) - mostNamed; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(said, "; ") + ": delete it, or narrow it"
}

// isolatedOutside observes whether any pod of the cluster can reach the addresses of a store outside it without a grant.
func (o observer) isolatedOutside(ctx context.Context, current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore, grants []entrustment.Grant) (metav1.Condition, error) {
	v, policies := verdict{store.Generation}, o.policies(ctx)
	opened, err := isolation.Opened(store, grants, policies)
	if err != nil {
		return metav1.Condition{}, err
	}
	if len(opened) > 0 {
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonForeignNetworkPolicy, "%s", summary(opened)), nil
	}
	if o.Clusterwide != nil {
		covered, err := o.Clusterwide.Covers(ctx, store, grants)
		if err != nil {
			return metav1.Condition{}, err
		}
		if covered {
			return v.is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied,
				"a ClusterNetworkPolicy denies the addresses of the store to every pod without a grant, in every namespace"), nil
		}
	}
	var open []string
	first := ""
	for _, namespace := range allNamespaces(current) {
		f, exposed, err := isolation.Exposed(current, namespace, store, policies)
		if err != nil {
			return metav1.Condition{}, err
		}
		if !exposed {
			continue
		}
		missing, err := isolation.AwaitsBaseline(current, namespace, policies)
		if err != nil {
			return metav1.Condition{}, err
		}
		if missing != "" {
			return v.is(metav1.ConditionFalse, v1alpha1.ReasonPolicyPending, "NetworkPolicy %s/%s is not in place as it should be; the operator is writing it", namespace, missing), nil
		}
		open = append(open, namespace)
		if first == "" && f.Policy.Name != "" {
			first = fmt.Sprintf("; NetworkPolicy %s opens %s (spec.egress[%d])", f.Policy, f.Peer, f.Index)
		}
	}
	if len(open) == 0 {
		return v.is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied, "in every namespace, only pods with a grant reach the addresses of the store"), nil
	}
	return v.is(metav1.ConditionFalse, v1alpha1.ReasonExternalPartial,
		"pods of %s may reach the addresses of the store without a grant%s; guard it where it is, or install ClusterNetworkPolicy", listed(open), first), nil
}

// allNamespaces are those that exist; where that is not known, those that are bound.
func allNamespaces(current *entrustment.Snapshot) []string {
	if all := current.Namespaces(); len(all) > 0 {
		return all
	}
	return current.BoundNamespaces()
}

// listed writes the first few of sorted names of namespaces, and how many more there are.
func listed(names []string) string {
	text := "namespaces " + strings.Join(names[:min(len(names), mostNamed)], ", ")
	if len(names) == 1 {
		text = "namespace " + names[0]
	}
	if more := len(names) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
