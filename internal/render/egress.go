package render

import (
	"cmp"
	"net/netip"
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
	"entrustment.dev/operator/internal/reach"
)

// egressPrefix starts the names of the policies that limit where the pods of a bound namespace may send to. They carry no
// label of a store: the admission rules read who is admitted to a store in those that do.
const egressPrefix = "pda."

const (
	floorName         = egressPrefix + "floor"
	baselineName      = egressPrefix + "baseline"
	entrustmentPrefix = egressPrefix + "entrustment."
	externalPrefix    = egressPrefix + "external."
)

// LimitsEgress says whether a policy is, by its name, one of those that EgressPolicies renders.
func LimitsEgress(policy metav1.Object) bool {
	return strings.HasPrefix(policy.GetName(), egressPrefix)
}

// Managed says whether a policy is the operator's: by its label, which nobody else may write, and by its name.
func Managed(policy metav1.Object) bool {
	return policy.GetLabels()[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy &&
		(LimitsEgress(policy) || strings.HasPrefix(policy.GetName(), policyPrefix))
}

// Divide tells the policies of a namespace that limit its pods from those of others. It goes by their names alone, or taking a
// label away would make one somebody else's.
func Divide(policies []networkingv1.NetworkPolicy) (own, others []*networkingv1.NetworkPolicy) {
	for i := range policies {
		switch policy := &policies[i]; {
		case LimitsEgress(policy):
			own = append(own, policy)
		case !Managed(policy):
			others = append(others, policy)
		}
	}
	return own, others
}

// Entrustments are those for which there is a policy among a namespace's own.
func Entrustments(own []*networkingv1.NetworkPolicy) []string {
	var names []string
	for _, policy := range own {
		if name, ok := strings.CutPrefix(policy.Name, entrustmentPrefix); ok {
			names = append(names, name)
		}
	}
	return names
}

// EgressPolicyName is the name of the policy that lets the pods under an entrustment out.
func EgressPolicyName(entrustment string) string { return entrustmentPrefix + entrustment }

// OpenTo are the entrustments to whose pods a managed policy opens something, sorted.
func OpenTo(policy *networkingv1.NetworkPolicy) []string {
	var names []string
	add := func(pods *metav1.LabelSelector) {
		if pods == nil {
			return
		}
		if name := pods.MatchLabels[v1alpha1.LabelEntrustment]; name != "" {
			names = append(names, name)
		}
		for _, r := range pods.MatchExpressions {
			if r.Key == v1alpha1.LabelEntrustment {
				names = append(names, r.Values...)
			}
		}
	}
	switch {
	case !Managed(policy):
		return nil
	case LimitsEgress(policy) && len(policy.Spec.Egress) > 0:
		add(&policy.Spec.PodSelector)
	}
	for i := range policy.Spec.Ingress {
		for j := range policy.Spec.Ingress[i].From {
			add(policy.Spec.Ingress[i].From[j].PodSelector)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// MissingBaseline is the name of the baseline if none of a namespace's own policies is it.
func MissingBaseline(own []*networkingv1.NetworkPolicy) string {
	if slices.ContainsFunc(own, func(policy *networkingv1.NetworkPolicy) bool { return policy.Name == baselineName }) {
		return ""
	}
	return baselineName
}

// Undeclared selects the pods that act under no entrustment.
func Undeclared() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: v1alpha1.LabelEntrustment, Operator: metav1.LabelSelectorOpDoesNotExist}}}
}

// EgressPolicies limit where the pods of a bound namespace may send to, in the order in which they are to be written:
//
//	pda.entrustment.<E>              pods under E: the stores granted there, pods under E, DNS, what E permits besides
//	pda.floor                        pods under any entrustment, granted or not: nothing
//	pda.baseline                     pods under none: everything but the addresses of stores outside the cluster
//	pda.external.<ns>.<store>[.<E>]  pods that have a grant for a store outside the cluster: its addresses
//
// Policies are a union, so the floor takes nothing from what a contract opens, and holds the pods of one that has ended. The
// baseline would add to what somebody else's policy opens to the pods that both select: where others govern some of those
// pods (by), there is none, and package reach tells what that leaves open.
func EgressPolicies(s *entrustment.Snapshot, namespace string, by reach.Governed) []*networkingv1ac.NetworkPolicyApplyConfiguration {
	access, _ := s.NamespaceAccess(namespace)
	c := confinement{snapshot: s, namespace: namespace, external: s.ExternalStores()}
	policies := c.entrustments(access.Grants)
	policies = append(policies, c.floor())
	if len(c.guarded()) > 0 && by == reach.GovernedNone {
		policies = append(policies, c.baseline())
	}
	// Without a baseline, a policy for its addresses alone would cut a pod that nothing else governs from all the rest.
	return append(policies, c.externals(access.Grants, len(c.guarded()) > 0 && by != reach.GovernedSome)...)
}

// RemainingPolicies are what is left of EgressPolicies while a namespace that is no longer bound has pods that declared
// something.
func RemainingPolicies(s *entrustment.Snapshot, namespace string, by reach.Governed) []*networkingv1ac.NetworkPolicyApplyConfiguration {
	c := confinement{snapshot: s, namespace: namespace, external: s.ExternalStores()}
	policies := []*networkingv1ac.NetworkPolicyApplyConfiguration{c.floor()}
	if len(c.guarded()) > 0 && by == reach.GovernedNone {
		policies = append(policies, c.baseline())
	}
	return policies
}

// GuardsOutside says whether a store is outside the cluster and its addresses are cut.
func GuardsOutside(store *v1alpha1.PersonalDataStore) bool {
	return store.Spec.Endpoint.External != nil && !entrustment.Reports(store)
}

// confinement renders the policies of one namespace.
type confinement struct {
	snapshot  *entrustment.Snapshot
	namespace string
	external  []*v1alpha1.PersonalDataStore // all that are outside the cluster
}

func (c confinement) guarded() []*v1alpha1.PersonalDataStore {
	return slices.DeleteFunc(slices.Clone(c.external), func(store *v1alpha1.PersonalDataStore) bool { return !GuardsOutside(store) })
}

func (c confinement) policy(name string, pods *metav1ac.LabelSelectorApplyConfiguration, rules ...*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration) *networkingv1ac.NetworkPolicyApplyConfiguration {
	return networkingv1ac.NetworkPolicy(name, c.namespace).
		WithLabels(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}).
		WithSpec(networkingv1ac.NetworkPolicySpec().
			WithPodSelector(pods).
			WithPolicyTypes(networkingv1.PolicyTypeEgress).
			WithEgress(rules...))
}

// WithoutEgress is a policy for the same pods that opens nothing.
func WithoutEgress(policy *networkingv1.NetworkPolicy) *networkingv1ac.NetworkPolicyApplyConfiguration {
	return confinement{namespace: policy.Namespace}.policy(policy.Name, selector(&policy.Spec.PodSelector))
}

// entrustments are one policy for each contract that is granted something here.
func (c confinement) entrustments(grants []entrustment.AccessGrant) []*networkingv1ac.NetworkPolicyApplyConfiguration {
	reached := map[string][]types.NamespacedName{}
	for i := range grants {
		if name := grants[i].Entrustment; name != "" {
			reached[name] = append(reached[name], grants[i].Stores...)
		}
	}
	var policies []*networkingv1ac.NetworkPolicyApplyConfiguration
	for _, name := range sortedKeys(reached) {
		pods := func() *metav1ac.LabelSelectorApplyConfiguration {
			return metav1ac.LabelSelector().WithMatchLabels(map[string]string{v1alpha1.LabelEntrustment: name})
		}
		rules := []*networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration{
			networkingv1ac.NetworkPolicyEgressRule().WithTo(networkingv1ac.NetworkPolicyPeer().WithPodSelector(pods())),
			resolvers(),
		}
		stores := reached[name]
		slices.SortFunc(stores, compareKeys)
		for _, key := range slices.Compact(stores) {
			if rule := c.toPods(c.snapshot.Store(key)); rule != nil {
				rules = append(rules, rule)
			}
		}
		for _, d := range c.snapshot.Destinations(name) {
			if rule := c.toDestination(d); rule != nil {
				rules = append(rules, rule)
			}
		}
		policies = append(policies, c.policy(EgressPolicyName(name), pods(), rules...))
	}
	return policies
}

// toPods opens the guarded ports of a store in the cluster. Which purposes may use them is for the store's own policy.
func (c confinement) toPods(store *v1alpha1.PersonalDataStore) *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	if store == nil || store.Spec.Endpoint.PodSelector == nil || len(store.Spec.Endpoint.Ports) == 0 {
		return nil
	}
	return networkingv1ac.NetworkPolicyEgressRule().
		WithTo(networkingv1ac.NetworkPolicyPeer().
			WithNamespaceSelector(metav1ac.LabelSelector().WithMatchLabels(map[string]string{corev1.LabelMetadataName: store.Namespace})).
			WithPodSelector(selector(PodSelector(store.Spec.Endpoint.PodSelector)))).
		WithPorts(ports(store.Spec.Endpoint.Ports)...)
}

// toDestination opens what a contract permits besides its stores, never the addresses of a store outside the cluster: those
// take a grant, in Report too.
func (c confinement) toDestination(d entrustment.Destination) *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	block, ok := around(d.CIDR, c.external)
	if !ok {
		return nil
	}
	return networkingv1ac.NetworkPolicyEgressRule().WithTo(block).WithPorts(ports(d.Ports)...)
}

// resolvers opens DNS: to the pods of kube-system, where clusters run theirs, and to link-local addresses, where node-local
// caches and clouds have theirs. Not to port 53 of the whole world, which would take anything from anywhere. What resolves
// names elsewhere has to be named in the contract's egress.
func resolvers() *networkingv1ac.NetworkPolicyEgressRuleApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyEgressRule().WithTo(
		networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(metav1ac.LabelSelector().
			WithMatchLabels(map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem})))
	for _, cidr := range []string{"169.254.0.0/16", "fe80::/10"} {
		rule.WithTo(networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR(cidr)))
	}
	for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP} {
		rule.WithPorts(networkingv1ac.NetworkPolicyPort().WithProtocol(protocol).WithPort(intstr.FromInt32(53)))
	}
	return rule
}

// floor governs all pods that act under an entrustment, so that none is open because its contract has ended.
func (c confinement) floor() *networkingv1ac.NetworkPolicyApplyConfiguration {
	return c.policy(floorName, metav1ac.LabelSelector().WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(v1alpha1.LabelEntrustment).WithOperator(metav1.LabelSelectorOpExists)))
}

// baseline leaves everything open but the addresses of stores outside the cluster. Pods are named besides, because network
// plugins differ in whether a block of addresses means pods too.
func (c confinement) baseline() *networkingv1ac.NetworkPolicyApplyConfiguration {
	rule := networkingv1ac.NetworkPolicyEgressRule().
		WithTo(networkingv1ac.NetworkPolicyPeer().WithNamespaceSelector(metav1ac.LabelSelector()))
	for _, everywhere := range []string{"0.0.0.0/0", "::/0"} {
		if block, ok := around(netip.MustParsePrefix(everywhere), c.guarded()); ok {
			rule.WithTo(block)
		}
	}
	return c.policy(baselineName, selector(Undeclared()), rule)
}

// around is a block of addresses without those of the stores; false: nothing is left.
func around(cidr netip.Prefix, stores []*v1alpha1.PersonalDataStore) (*networkingv1ac.NetworkPolicyPeerApplyConfiguration, bool) {
	block := networkingv1ac.IPBlock().WithCIDR(cidr.String())
	var except []netip.Prefix
	for _, store := range stores {
		for _, own := range Addresses(store) {
			switch {
			case !own.Overlaps(cidr):
			case own.Bits() <= cidr.Bits():
				return nil, false
			default:
				except = append(except, own)
			}
		}
	}
	slices.SortFunc(except, comparePrefixes)
	for _, own := range slices.Compact(except) {
		block.WithExcept(own.String())
	}
	return networkingv1ac.NetworkPolicyPeer().WithIPBlock(block), true
}

// Addresses are those of a store outside the cluster, sorted; none of one inside.
func Addresses(store *v1alpha1.PersonalDataStore) []netip.Prefix {
	if store.Spec.Endpoint.External == nil {
		return nil
	}
	var addresses []netip.Prefix
	for _, text := range store.Spec.Endpoint.External.CIDRs {
		if cidr, err := netip.ParsePrefix(text); err == nil {
			addresses = append(addresses, cidr.Masked())
		}
	}
	slices.SortFunc(addresses, comparePrefixes)
	return slices.Compact(addresses)
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// externals open the stores outside the cluster to the pods that have a grant: those under an entrustment always, because
// nothing else opens anything to them, the data controller's own where they are governed (own) by something else too.
func (c confinement) externals(grants []entrustment.AccessGrant, own bool) []*networkingv1ac.NetworkPolicyApplyConfiguration {
	var policies []*networkingv1ac.NetworkPolicyApplyConfiguration
	for _, store := range c.external {
		if len(Addresses(store)) == 0 || len(store.Spec.Endpoint.Ports) == 0 {
			continue
		}
		for _, pods := range granted(grants, types.NamespacedName{Namespace: store.Namespace, Name: store.Name}) {
			name := externalPrefix + store.Namespace + "." + store.Name
			switch {
			case pods.entrustment != "":
				name += "." + pods.entrustment
			case !own || !GuardsOutside(store):
				continue
			}
			rule := networkingv1ac.NetworkPolicyEgressRule().WithPorts(ports(store.Spec.Endpoint.Ports)...)
			for _, cidr := range Addresses(store) {
				rule.WithTo(networkingv1ac.NetworkPolicyPeer().WithIPBlock(networkingv1ac.IPBlock().WithCIDR(cidr.String())))
			}
			policies = append(policies, c.policy(name, selector(pods.selector()), rule))
		}
	}
	return policies
}

// GrantedPods selects the pods of a namespace that have a grant for a store, one selector for each entrustment.
func GrantedPods(grants []entrustment.AccessGrant, store types.NamespacedName) []*metav1.LabelSelector {
	var selectors []*metav1.LabelSelector
	for _, pods := range granted(grants, store) {
		selectors = append(selectors, pods.selector())
	}
	return selectors
}

// declaration is what pods with a grant say of themselves.
type declaration struct {
	entrustment string // empty: none
	purposes    []string
}

// granted groups the grants for a store by entrustment. They are sorted by that, and then by purpose.
func granted(grants []entrustment.AccessGrant, store types.NamespacedName) []declaration {
	var all []declaration
	for i := range grants {
		grant := &grants[i]
		if !slices.Contains(grant.Stores, store) {
			continue
		}
		if len(all) == 0 || all[len(all)-1].entrustment != grant.Entrustment {
			all = append(all, declaration{entrustment: grant.Entrustment})
		}
		last := &all[len(all)-1]
		last.purposes = append(last.purposes, grant.Purpose)
	}
	return all
}

func (d declaration) selector() *metav1.LabelSelector {
	pods := Undeclared()
	if d.entrustment != "" {
		pods = &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelEntrustment: d.entrustment}}
	}
	pods.MatchExpressions = append(pods.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: v1alpha1.LabelPurpose, Operator: metav1.LabelSelectorOpIn, Values: d.purposes,
	})
	return pods
}

func compareKeys(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
