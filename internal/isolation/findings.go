package isolation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
)

// Policies yields the NetworkPolicies of a namespace, the operator's and those of others.
type Policies func(namespace string) ([]*networkingv1.NetworkPolicy, error)

// split tells the operator's policies from those of others, each in the order of their names.
func (p Policies) split(namespace string) (own, others []*networkingv1.NetworkPolicy, err error) {
	all, err := p(namespace)
	if err != nil {
		return nil, nil, err
	}
	for _, policy := range all {
		if render.Managed(policy) {
			own = append(own, policy)
		} else {
			others = append(others, policy)
		}
	}
	for _, list := range [][]*networkingv1.NetworkPolicy{own, others} {
		slices.SortFunc(list, func(a, b *networkingv1.NetworkPolicy) int { return strings.Compare(a.Name, b.Name) })
	}
	return own, others, nil
}

// Finding is a rule of somebody's policy that opens something.
type Finding struct {
	reach.Finding
	Entrustment string // of the pods that are let out; empty: pods are let in to the store, or out without a contract in force
	Out         bool
}

// String says which policy opens what to whom.
func (f Finding) String() string {
	switch {
	case !f.Out:
		return fmt.Sprintf("NetworkPolicy %s lets in %s on a guarded port (spec.ingress[%d]) without a grant", f.Policy, f.Peer, f.Index)
	case f.Entrustment == "":
		return fmt.Sprintf("NetworkPolicy %s lets pods whose contract grants nothing here reach %s (spec.egress[%d])", f.Policy, f.Peer, f.Index)
	}
	return fmt.Sprintf("NetworkPolicy %s lets pods under Entrustment %q reach %s (spec.egress[%d]) besides what the contract permits", f.Policy, f.Entrustment, f.Peer, f.Index)
}

// Opened are what policies of others open: a store in the cluster to those without a grant, and the way out to entrustees
// where some reach the store, beyond what their contracts permit. The operator's own policies have to be in place.
func Opened(store *v1alpha1.PersonalDataStore, grants []entrustment.Grant, policies Policies) ([]Finding, error) {
	in, err := letsIn(store, policies)
	if err != nil {
		return nil, err
	}
	out, err := letsOut(grants, policies)
	return append(in, out...), err
}

func letsIn(store *v1alpha1.PersonalDataStore, policies Policies) ([]Finding, error) {
	if store.Spec.Endpoint.PodSelector == nil {
		return nil, nil
	}
	own, others, err := policies.split(store.Namespace)
	if err != nil {
		return nil, err
	}
	guard := reach.Protection{
		Namespace: store.Namespace, Pods: render.PodSelector(store.Spec.Endpoint.PodSelector), Ports: Ports(store), Intended: own,
	}
	var opened []Finding
	for _, policy := range others {
		if f, opens := guard.OpensIngress(policy); opens {
			opened = append(opened, Finding{Finding: f})
		}
	}
	return opened, nil
}

func letsOut(grants []entrustment.Grant, policies Policies) ([]Finding, error) {
	byNamespace := map[string][]string{}
	for i := range grants {
		if g := &grants[i]; g.Entrustment != "" {
			byNamespace[g.Namespace] = append(byNamespace[g.Namespace], g.Entrustment)
		}
	}
	var opened []Finding
	for namespace, entrustments := range byNamespace {
		own, others, err := policies.split(namespace)
		if err != nil {
			return nil, err
		}
		for _, policy := range others {
			if f, opens := letsEntrusteesOut(namespace, entrustments, policy, own); opens {
				opened = append(opened, f)
			}
		}
	}
	slices.SortFunc(opened, func(a, b Finding) int { return strings.Compare(a.String(), b.String()) })
	return opened, nil
}

// letsEntrusteesOut looks at the pods under each contract in force in a namespace, and at those under any other.
func letsEntrusteesOut(namespace string, inForce []string, policy *networkingv1.NetworkPolicy, own []*networkingv1.NetworkPolicy) (Finding, bool) {
	others := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: v1alpha1.LabelEntrustment, Operator: metav1.LabelSelectorOpExists}}}
	inForce = slices.Concat(inForce, render.Entrustments(own))
	for _, name := range inForce {
		pods := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelEntrustment: name}}
		way := reach.Protection{Namespace: namespace, Pods: pods, Intended: own}
		if f, opens := way.OpensEgress(policy); opens {
			return Finding{f, name, true}, true
		}
	}
	if len(inForce) > 0 {
		others.MatchExpressions = append(others.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: v1alpha1.LabelEntrustment, Operator: metav1.LabelSelectorOpNotIn, Values: inForce,
		})
	}
	f, opens := reach.Protection{Namespace: namespace, Pods: &others, Intended: own}.OpensEgress(policy)
	return Finding{f, "", true}, opens
}

// Exposed says whether pods of a namespace can reach the addresses of a store outside the cluster without a grant, and by
// which rule of which policy; without a policy: because nothing governs some of them.
func Exposed(s *entrustment.Snapshot, namespace string, store *v1alpha1.PersonalDataStore, policies Policies) (reach.Finding, bool, error) {
	own, others, err := policies.split(namespace)
	if err != nil {
		return reach.Finding{}, false, err
	}
	access, _ := s.NamespaceAccess(namespace)
	f, exposed := reach.Exposure{
		Policies: slices.Concat(others, own), Addresses: render.Addresses(store), Ports: Ports(store),
		Granted: render.GrantedPods(access.Grants, types.NamespacedName{Namespace: store.Namespace, Name: store.Name}),
	}.Find()
	return f, exposed, nil
}

// AwaitsBaseline names the policy that the operator has yet to write before the pods of a namespace are kept from stores
// outside the cluster; empty: none, or it writes none there.
func AwaitsBaseline(s *entrustment.Snapshot, namespace string, policies Policies) (string, error) {
	own, others, err := policies.split(namespace)
	if err != nil {
		return "", err
	}
	if _, _, bound := s.Binding(namespace); !bound || reach.GovernsEgress(others, render.Undeclared()) != reach.GovernedNone {
		return "", nil
	}
	return render.MissingBaseline(own), nil
}

// Ports are the guarded ports of a store.
func Ports(store *v1alpha1.PersonalDataStore) []reach.Port {
	var ports []reach.Port
	for _, p := range store.Spec.Endpoint.Ports {
		ports = append(ports, reach.Port{Number: p.Port, Protocol: corev1.Protocol(cmp.Or(p.Protocol, v1alpha1.ProtocolTCP))})
	}
	return ports
}
