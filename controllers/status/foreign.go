package status

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/reach"
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

// policies of a namespace, in the order of their names, are those of the operator and those of others.
func (o Options) policies(ctx context.Context, namespace string) (own, others []*networkingv1.NetworkPolicy, err error) {
	list := &networkingv1.NetworkPolicyList{}
	if err := o.Cache.List(ctx, list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("reading the policies of namespace %s: %w", namespace, err)
	}
	for i := range list.Items {
		if policy := &list.Items[i]; render.Managed(policy) {
			own = append(own, policy)
		} else {
			others = append(others, policy)
		}
	}
	for _, policies := range [][]*networkingv1.NetworkPolicy{own, others} {
		slices.SortFunc(policies, func(a, b *networkingv1.NetworkPolicy) int { return strings.Compare(a.Name, b.Name) })
	}
	return own, others, nil
}

// letsIn says what policies of others open of a store to those without a grant.
func (o Options) letsIn(ctx context.Context, store *v1alpha1.PersonalDataStore) ([]string, error) {
	own, others, err := o.policies(ctx, store.Namespace)
	if err != nil {
		return nil, err
	}
	var opened []string
	guard := reach.Protection{
		Namespace: store.Namespace, Pods: render.PodSelector(store.Spec.Endpoint.PodSelector), Ports: guardedPorts(store), Intended: own,
	}
	for _, policy := range others {
		if f, opens := guard.OpensIngress(policy); opens {
			opened = append(opened, fmt.Sprintf("NetworkPolicy %s lets in %s on a guarded port (spec.ingress[%d]) without a grant", f.Policy, f.Peer, f.Index))
		}
	}
	return opened, nil
}

// letsOut says what policies of others open to entrustees who reach a store, besides what their contracts permit.
func (o Options) letsOut(ctx context.Context, grants []entrustment.Grant) ([]string, error) {
	var opened []string
	for namespace, entrustments := range entrusted(grants) {
		own, others, err := o.policies(ctx, namespace)
		if err != nil {
			return nil, err
		}
		for _, policy := range others {
			for _, name := range entrustments {
				way := reach.Protection{
					Namespace: namespace, Pods: &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelEntrustment: name}}, Intended: own,
				}
				if f, opens := way.OpensEgress(policy); opens {
					opened = append(opened, fmt.Sprintf("NetworkPolicy %s lets pods under Entrustment %q reach %s (spec.egress[%d]) besides what the contract permits", f.Policy, name, f.Peer, f.Index))
					break
				}
			}
		}
	}
	slices.Sort(opened)
	return opened, nil
}

// entrusted are the entrustments that have a grant, by namespace.
func entrusted(grants []entrustment.Grant) map[string][]string {
	byNamespace := map[string][]string{}
	for i := range grants {
		if g := &grants[i]; g.Entrustment != "" {
			byNamespace[g.Namespace] = append(byNamespace[g.Namespace], g.Entrustment)
		}
	}
	return byNamespace
}

func guardedPorts(store *v1alpha1.PersonalDataStore) []reach.Port {
	var ports []reach.Port
	for _, p := range store.Spec.Endpoint.Ports {
		ports = append(ports, reach.Port{Number: p.Port, Protocol: corev1.Protocol(cmp.Or(p.Protocol, v1alpha1.ProtocolTCP))})
	}
	return ports
}

// mostNamed bounds what a message lists.
const mostNamed = 5

func summary(opened []string) string {
	text := strings.Join(opened[:min(len(opened), mostNamed)], "; ")
	if more := len(opened) - mostNamed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text + ": delete it, or narrow it"
}

// isolatedOutside observes whether any pod of the cluster can reach the addresses of a store outside it without a grant.
func (o observer) isolatedOutside(ctx context.Context, current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore, grants []entrustment.Grant) (metav1.Condition, error) {
	v := verdict{store.Generation}
	opened, err := o.letsOut(ctx, grants)
	if err != nil {
		return metav1.Condition{}, err
	}
	if len(opened) > 0 {
		return v.is(metav1.ConditionFalse, v1alpha1.ReasonForeignNetworkPolicy, "%s", summary(opened)), nil
	}
	var open []string
	first := ""
	for _, namespace := range allNamespaces(current) {
		own, others, err := o.policies(ctx, namespace)
		if err != nil {
			return metav1.Condition{}, err
		}
		f, exposed := exposure(current, namespace, store, slices.Concat(others, own)).Find()
		if !exposed {
			continue
		}
		if name := render.MissingBaseline(own); name != "" && awaitsBaseline(current, namespace, others) {
			return v.is(metav1.ConditionFalse, v1alpha1.ReasonPolicyPending, "NetworkPolicy %s/%s is not in place as it should be; the operator is writing it", namespace, name), nil
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

// exposure asks whether pods of a namespace can reach the addresses of a store without a grant.
func exposure(current *entrustment.Snapshot, namespace string, store *v1alpha1.PersonalDataStore, policies []*networkingv1.NetworkPolicy) reach.Exposure {
	access, _ := current.NamespaceAccess(namespace)
	return reach.Exposure{
		Policies: policies, Addresses: render.Addresses(store), Ports: guardedPorts(store),
		Granted: render.GrantedPods(access.Grants, client.ObjectKeyFromObject(store)),
	}
}

// awaitsBaseline says whether the operator writes a namespace a baseline.
func awaitsBaseline(current *entrustment.Snapshot, namespace string, others []*networkingv1.NetworkPolicy) bool {
	_, _, bound := current.Binding(namespace)
	return bound && reach.GovernsEgress(others, render.Undeclared()) == reach.GovernedNone
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
