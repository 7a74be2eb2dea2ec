package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
	policyv1alpha2ac "sigs.k8s.io/network-policy-api/pkg/client/applyconfiguration/apis/v1alpha2"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Priorities in the Admin tier: what is passed for those with a grant comes before what is denied to all. The stores may
// share them, because where the addresses and ports of two overlap only pods that both admit have a grant for either.
const (
	passPriority = 100
	denyPriority = 101

	mostNetworks = 25 // of a peer
)

// ClusterNetworkPolicies close the addresses of a store outside the cluster to every pod of the cluster without a grant,
// whatever NetworkPolicies open. Those with a grant are passed on, not accepted: what NetworkPolicies close stays closed.
// None for a store whose addresses are not cut.
func ClusterNetworkPolicies(store *v1alpha1.PersonalDataStore, grants []entrustment.Grant) []*policyv1alpha2ac.ClusterNetworkPolicyApplyConfiguration {
	if !GuardsOutside(store) || len(Addresses(store)) == 0 || len(store.Spec.Endpoint.Ports) == 0 {
		return nil
	}
	var policies []*policyv1alpha2ac.ClusterNetworkPolicyApplyConfiguration
	for _, s := range shapes(grants) {
		namespaces, pods := s.selectors()
		subject := policyv1alpha2ac.ClusterNetworkPolicySubject().WithPods(
			policyv1alpha2ac.NamespacedPod().WithNamespaceSelector(namespaces).WithPodSelector(pods))
		policies = append(policies, clusterPolicy(store, "."+s.id(), passPriority, policyv1alpha2.ClusterNetworkPolicyRuleActionPass, subject))
	}
	everybody := policyv1alpha2ac.ClusterNetworkPolicySubject().WithNamespaces(metav1ac.LabelSelector())
	return append(policies, clusterPolicy(store, "", denyPriority, policyv1alpha2.ClusterNetworkPolicyRuleActionDeny, everybody))
}

// id tells a shape from the others of a store, and stays while namespaces come and go.
func (s *shape) id() string {
	sum := sha256.Sum256([]byte(fmt.Sprint(s.entrustments, s.purposes)))
	return hex.EncodeToString(sum[:8])
}

func clusterPolicy(store *v1alpha1.PersonalDataStore, suffix string, priority int32, action policyv1alpha2.ClusterNetworkPolicyRuleAction,
	subject *policyv1alpha2ac.ClusterNetworkPolicySubjectApplyConfiguration) *policyv1alpha2ac.ClusterNetworkPolicyApplyConfiguration {
	rule := policyv1alpha2ac.ClusterNetworkPolicyEgressRule().WithAction(action)
	var networks []policyv1alpha2.CIDR
	for _, cidr := range Addresses(store) {
		networks = append(networks, policyv1alpha2.CIDR(cidr.String()))
	}
	for some := range slices.Chunk(networks, mostNetworks) {
		rule.WithTo(policyv1alpha2ac.ClusterNetworkPolicyEgressPeer().WithNetworks(some...))
	}
	for _, p := range entrustment.SortedPorts(store.Spec.Endpoint.Ports) {
		port := policyv1alpha2ac.Port().WithNumber(p.Port)
		if p.Protocol == v1alpha1.ProtocolUDP {
			rule.WithProtocols(policyv1alpha2ac.ClusterNetworkPolicyProtocol().WithUDP(policyv1alpha2ac.ClusterNetworkPolicyProtocolUDP().WithDestinationPort(port)))
		} else {
			rule.WithProtocols(policyv1alpha2ac.ClusterNetworkPolicyProtocol().WithTCP(policyv1alpha2ac.ClusterNetworkPolicyProtocolTCP().WithDestinationPort(port)))
		}
	}
	return policyv1alpha2ac.ClusterNetworkPolicy(policyPrefix + store.Namespace + "." + store.Name + suffix).
		WithLabels(map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelStore: store.Name, v1alpha1.LabelStoreNamespace: store.Namespace,
		}).
		WithSpec(policyv1alpha2ac.ClusterNetworkPolicySpec().
			WithTier(policyv1alpha2.AdminTier).WithPriority(priority).WithSubject(subject).WithEgress(rule))
}

// ClusterwideStore is the store to which a ClusterNetworkPolicy belongs by its name; false: it is somebody else's.
func ClusterwideStore(policy metav1.Object) (types.NamespacedName, bool) {
	rest, ours := strings.CutPrefix(policy.GetName(), policyPrefix)
	parts := strings.Split(rest, ".")
	if !ours || len(parts) < 2 || len(parts) > 3 {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: parts[0], Name: parts[1]}, true
}
