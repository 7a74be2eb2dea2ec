package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// policyPrefix starts the name of a store's policy, as it does that of its delivered Secrets.
const policyPrefix = "pds."

// NetworkPolicyName is the name of the policy that isolates a store, in the namespace of the store.
func NetworkPolicyName(store string) string { return policyPrefix + store }

// IsolatedStores are the stores that a policy may belong to: by its name, and by its labels, which somebody may have changed.
func IsolatedStores(policy metav1.Object) []types.NamespacedName {
	var stores []types.NamespacedName
	if store, ok := strings.CutPrefix(policy.GetName(), policyPrefix); ok && store != "" {
		stores = append(stores, types.NamespacedName{Namespace: policy.GetNamespace(), Name: store})
	}
	labelled := types.NamespacedName{
		Namespace: policy.GetLabels()[v1alpha1.LabelStoreNamespace],
		Name:      policy.GetLabels()[v1alpha1.LabelStore],
	}
	if labelled.Namespace != "" && labelled.Name != "" && !slices.Contains(stores, labelled) {
		stores = append(stores, labelled)
	}
	return stores
}

// NetworkPolicy isolates a store: its own pods reach it on every port, the pods that have a grant on its ports, nobody
// else. Nil: no policy cuts, because the store only reports or is not made of pods.
func NetworkPolicy(store *v1alpha1.PersonalDataStore, grants []entrustment.Grant) *networkingv1ac.NetworkPolicyApplyConfiguration {
	endpoint := store.Spec.Endpoint
	if endpoint.PodSelector == nil || entrustment.Reports(store) {
		return nil
	}
	pods := PodSelector(endpoint.PodSelector)
	policy := Closed(store.Namespace, store.Name, pods)
	// A rule without ports would open every port. One that nobody has a grant for names the guarded ports all the same:
	// the admission rules read there what is guarded, and who is admitted.
	if ports := ports(endpoint.Ports); len(ports) > 0 {
		policy.Spec.WithIngress(networkingv1ac.NetworkPolicyIngressRule().
			WithFrom(ownPods(pods)).WithFrom(peers(grants)...).WithPorts(ports...))
	}
	return policy
}

// Closed is the policy of a store that only its own pods reach, those that pods selects. Which ports are guarded it does not
// say, so all of them are.
func Closed(namespace, store string, pods *metav1.LabelSelector) *networkingv1ac.NetworkPolicyApplyConfiguration {
	return networkingv1ac.NetworkPolicy(NetworkPolicyName(store), namespace).
		WithLabels(map[string]string{
			v1alpha1.LabelManagedBy:      v1alpha1.ManagedBy,
			v1alpha1.LabelStore:          store,
			v1alpha1.LabelStoreNamespace: namespace,
		}).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(selector(pods)).
			WithPolicyTypes(networkingv1.PolicyTypeIngress).
			WithIngress(networkingv1ac.NetworkPolicyIngressRule().WithFrom(ownPods(pods))))
}

func ownPods(pods *metav1.LabelSelector) *networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	return networkingv1ac.NetworkPolicyPeer().WithPodSelector(selector(pods))
}

// PodSelector is a store's selector in the terms of Kubernetes.
func PodSelector(pods *v1alpha1.PodSelector) *metav1.LabelSelector {
	converted := &metav1.LabelSelector{MatchLabels: pods.MatchLabels}
	for _, r := range pods.MatchExpressions {
		converted.MatchExpressions = append(converted.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: r.Key, Operator: metav1.LabelSelectorOperator(r.Operator), Values: r.Values,
		})
	}
	return converted
}

func selector(pods *metav1.LabelSelector) *metav1ac.LabelSelectorApplyConfiguration {
	s := metav1ac.LabelSelector().WithMatchLabels(pods.MatchLabels)
	for _, r := range pods.MatchExpressions {
		s.WithMatchExpressions(metav1ac.LabelSelectorRequirement().WithKey(r.Key).WithOperator(r.Operator).WithValues(r.Values...))
	}
	return s
}

// shape is what grants have in common that share a peer: each of the entrustments, or own handling, is granted the purposes
// in each of the namespaces. So a policy grows with distinct grants, and not with namespaces times entrustments.
type shape struct {
	entrustments []string // sorted; none: own handling
	purposes     []string
	namespaces   []string
}

func peers(grants []entrustment.Grant) []*networkingv1ac.NetworkPolicyPeerApplyConfiguration {
	var rendered []*networkingv1ac.NetworkPolicyPeerApplyConfiguration
	for _, s := range shapes(grants) {
		namespaces, pods := s.selectors()
		// Both selectors in one peer: two peers of one selector each would be a union, and admit every pod of the namespaces.
		rendered = append(rendered, networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(namespaces).WithPodSelector(pods))
	}
	return rendered
}

// shapes gathers the namespaces of each entrustment and its purposes, and then the entrustments that have the same of both.
func shapes(grants []entrustment.Grant) []*shape {
	byContract := map[string]*shape{}
	for _, g := range grants {
		if len(g.Purposes) == 0 {
			continue // without a purpose the peer would admit every pod of the namespace
		}
		key := g.Entrustment + " " + strings.Join(g.Purposes, " ")
		if byContract[key] == nil {
			byContract[key] = &shape{purposes: g.Purposes}
			if g.Entrustment != "" {
				byContract[key].entrustments = []string{g.Entrustment}
			}
		}
		byContract[key].namespaces = append(byContract[key].namespaces, g.Namespace)
	}
	byScope := map[string]*shape{}
	for _, key := range sortedKeys(byContract) {
		s := byContract[key]
		slices.Sort(s.namespaces)
		scope := fmt.Sprint(len(s.entrustments) > 0, s.purposes, s.namespaces)
		if first := byScope[scope]; first != nil {
			first.entrustments = append(first.entrustments, s.entrustments...)
		} else {
			byScope[scope] = s
		}
	}
	sorted := make([]*shape, 0, len(byScope))
	for _, s := range byScope {
		slices.Sort(s.entrustments)
		sorted = append(sorted, s)
	}
	slices.SortFunc(sorted, func(a, b *shape) int {
		return cmp.Or(slices.Compare(a.entrustments, b.entrustments), slices.Compare(a.purposes, b.purposes), slices.Compare(a.namespaces, b.namespaces))
	})
	return sorted
}

func (s *shape) selectors() (namespaces, _ *metav1ac.LabelSelectorApplyConfiguration) {
	pods := metav1ac.LabelSelector()
	if len(s.entrustments) > 0 {
		oneOf(pods, v1alpha1.LabelEntrustment, s.entrustments)
	} else {
		// A pod that acts under somebody's entrustment is not the controller's own.
		pods.WithMatchExpressions(metav1ac.LabelSelectorRequirement().
			WithKey(v1alpha1.LabelEntrustment).WithOperator(metav1.LabelSelectorOpDoesNotExist))
	}
	// The API server sets this label from the name and lets nobody change it, unlike any other label of a namespace.
	namespaces = oneOf(metav1ac.LabelSelector(), corev1.LabelMetadataName, s.namespaces)
	return namespaces, oneOf(pods, v1alpha1.LabelPurpose, s.purposes)
}

// oneOf adds the criterion that the label is one of the values.
func oneOf(to *metav1ac.LabelSelectorApplyConfiguration, key string, values []string) *metav1ac.LabelSelectorApplyConfiguration {
	if len(values) == 1 {
		return to.WithMatchLabels(map[string]string{key: values[0]})
	}
	return to.WithMatchExpressions(metav1ac.LabelSelectorRequirement().
		WithKey(key).WithOperator(metav1.LabelSelectorOpIn).WithValues(values...))
}

// ports spells out what the API server would default, so that the live object can be compared exactly.
func ports(guarded []v1alpha1.Port) []*networkingv1ac.NetworkPolicyPortApplyConfiguration {
	var rendered []*networkingv1ac.NetworkPolicyPortApplyConfiguration
	for _, p := range entrustment.SortedPorts(guarded) {
		rendered = append(rendered, networkingv1ac.NetworkPolicyPort().
			WithProtocol(corev1.Protocol(p.Protocol)).WithPort(intstr.FromInt32(p.Port)))
	}
	return rendered
}
