package reach

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Finding is a rule that opens something, and whom or what it opens to.
type Finding struct {
	Rule
	Peer string
}

// Protection is what the intended policies give to some pods of a namespace: these let through what they say, and no other
// policy is to let through more.
type Protection struct {
	Namespace string
	Pods      *metav1.LabelSelector
	Ports     []Port // that matter; nil: all
	Intended  []*networkingv1.NetworkPolicy
}

// OpensIngress says whether a policy lets somebody in to the protected pods, on a port that matters, whom the intended
// policies do not let in there.
func (p Protection) OpensIngress(policy *networkingv1.NetworkPolicy) (Finding, bool) {
	if ingress, _ := Directions(policy); !ingress || !p.concerns(policy) {
		return Finding{}, false
	}
	return p.opens(policy, ingressRules)
}

// OpensEgress says the same of what the protected pods may reach.
func (p Protection) OpensEgress(policy *networkingv1.NetworkPolicy) (Finding, bool) {
	if _, egress := Directions(policy); !egress || !p.concerns(policy) {
		return Finding{}, false
	}
	return p.opens(policy, egressRules)
}

// concerns says whether a policy may select a protected pod.
func (p Protection) concerns(policy *networkingv1.NetworkPolicy) bool {
	return policy.Namespace == p.Namespace && !demandsOf(&policy.Spec.PodSelector).and(demandsOf(p.Pods)).nobody()
}

func (p Protection) opens(policy *networkingv1.NetworkPolicy, rules func(*networkingv1.NetworkPolicy) []symbolic) (Finding, bool) {
	var intended []symbolic
	for i, r := range rules(policy) {
		ports, overlap := restrict(r.ports, p.Ports)
		if !overlap {
			continue
		}
		for _, g := range r.groups {
			if g.nobody() {
				continue
			}
			if intended == nil {
				intended = p.intended(rules)
			}
			if !covered(g, ports, intended) {
				return Finding{Rule{types.NamespacedName{Namespace: policy.Namespace, Name: policy.Name}, i}, g.text}, true
			}
		}
	}
	return Finding{}, false
}

// intended are the rules that hold for every protected pod.
func (p Protection) intended(rules func(*networkingv1.NetworkPolicy) []symbolic) []symbolic {
	hold := []symbolic{}
	for _, policy := range p.Intended {
		if policy.Namespace == p.Namespace && demandsOf(p.Pods).within(demandsOf(&policy.Spec.PodSelector)) {
			hold = append(hold, rules(policy)...)
		}
	}
	return hold
}

// symbolic is a rule of one direction as sets.
type symbolic struct {
	groups []group
	ports  []portRange // nil: all
}

// group is a set of endpoints: everybody, a block of addresses, or the pods that two selectors describe.
type group struct {
	everybody        bool
	block            *block
	namespaces, pods demands
	text             string
}

func ingressRules(policy *networkingv1.NetworkPolicy) []symbolic {
	rules := make([]symbolic, 0, len(policy.Spec.Ingress))
	for _, r := range policy.Spec.Ingress {
		rules = append(rules, symbolic{groups(policy.Namespace, r.From), portRanges(r.Ports)})
	}
	return rules
}

func egressRules(policy *networkingv1.NetworkPolicy) []symbolic {
	rules := make([]symbolic, 0, len(policy.Spec.Egress))
	for _, r := range policy.Spec.Egress {
		rules = append(rules, symbolic{groups(policy.Namespace, r.To), portRanges(r.Ports)})
	}
	return rules
}

func groups(namespace string, peers []networkingv1.NetworkPolicyPeer) []group {
	if len(peers) == 0 {
		return []group{{everybody: true, text: "everybody"}}
	}
	list := make([]group, 0, len(peers))
	for i := range peers {
		peer := &peers[i]
		if b := peer.IPBlock; b != nil {
			list = append(list, group{block: parseBlock(b), text: describeBlock(b)})
			continue
		}
		g := group{namespaces: demandsOf(peer.NamespaceSelector), pods: demandsOf(peer.PodSelector)}
		if peer.NamespaceSelector == nil {
			g.namespaces = demands{corev1.LabelMetadataName: {listed: map[string]bool{namespace: true}}}
		}
		g.text = describePods(namespace, peer)
		list = append(list, g)
	}
	return list
}

func describeBlock(b *networkingv1.IPBlock) string {
	if len(b.Except) == 0 {
		return "addresses " + b.CIDR
	}
	return fmt.Sprintf("addresses %s except %s", b.CIDR, strings.Join(b.Except, ", "))
}

func describePods(namespace string, peer *networkingv1.NetworkPolicyPeer) string {
	pods := "all pods"
	if s := peer.PodSelector; s != nil && len(s.MatchLabels)+len(s.MatchExpressions) > 0 {
		pods = "pods " + metav1.FormatLabelSelector(s)
	}
	switch s := peer.NamespaceSelector; {
	case s == nil:
		return pods + " of namespace " + namespace
	case len(s.MatchLabels)+len(s.MatchExpressions) == 0:
		return pods + " of all namespaces"
	default:
		return pods + " of namespaces " + metav1.FormatLabelSelector(s)
	}
}

func (g group) nobody() bool {
	if g.block != nil {
		return !g.block.cidr.IsValid()
	}
	return g.namespaces.nobody() || g.pods.nobody()
}

// within says whether everybody in g is in the other group.
func (g group) within(other group) bool {
	switch {
	case other.everybody:
		return true
	case g.everybody || (g.block == nil) != (other.block == nil):
		return false
	case g.block != nil:
		return g.block.within(other.block)
	}
	return g.namespaces.within(other.namespaces) && g.pods.within(other.pods)
}

func (b *block) within(other *block) bool {
	if !other.cidr.IsValid() || !contains(other.cidr, b.cidr) {
		return false
	}
	for _, hole := range other.except {
		if hole.Overlaps(b.cidr) && !slices.ContainsFunc(b.except, func(own netip.Prefix) bool { return contains(own, hole) }) {
			return false
		}
	}
	return true
}

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// covered says whether the rules let through a group on all of the ports.
func covered(g group, ports []portRange, by []symbolic) bool {
	parts, ok := g.split(by)
	if !ok {
		return false
	}
	if ports == nil {
		ports = []portRange{{}} // every protocol: only a rule without ports will do
	}
	for _, part := range parts {
		for _, r := range ports {
			if !slices.ContainsFunc(by, func(s symbolic) bool { return s.opens(r) && s.names(part) }) {
				return false
			}
		}
	}
	return true
}

func (s symbolic) names(g group) bool {
	return slices.ContainsFunc(s.groups, g.within)
}

func (s symbolic) opens(r portRange) bool {
	if len(s.ports) == 0 {
		return true
	}
	return slices.ContainsFunc(s.ports, func(own portRange) bool {
		return r.protocol == own.protocol && (own.name == "" || own.name == r.name) && own.from <= r.from && r.to <= own.to
	})
}

// split takes a group apart by the labels that rules ask for: a union of rules may cover a group that none covers alone.
func (g group) split(by []symbolic) ([]group, bool) {
	if g.everybody || g.block != nil {
		return []group{g}, true
	}
	var namespaceKeys, podKeys []map[string]values
	for _, s := range by {
		for _, other := range s.groups {
			namespaceKeys = append(namespaceKeys, other.namespaces)
			podKeys = append(podKeys, other.pods)
		}
	}
	namespaces, ok := g.namespaces.split(keys(namespaceKeys))
	if !ok {
		return nil, false
	}
	pods, ok := g.pods.split(keys(podKeys))
	if !ok || len(namespaces)*len(pods) > mostParts {
		return nil, false
	}
	parts := make([]group, 0, len(namespaces)*len(pods))
	for _, n := range namespaces {
		for _, p := range pods {
			parts = append(parts, group{namespaces: n, pods: p})
		}
	}
	return parts, true
}

func keys(lists []map[string]values) []string {
	all := map[string]bool{}
	for _, list := range lists {
		for key := range list {
			all[key] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// restrict keeps of a rule's ports those that matter; false: there are none. A name may be given to any port.
func restrict(ports []portRange, matter []Port) ([]portRange, bool) {
	if len(matter) == 0 {
		return ports, true
	}
	var kept []portRange
	for _, m := range matter {
		if len(ports) == 0 || slices.ContainsFunc(ports, func(r portRange) bool {
			return r.protocol == m.Protocol && r.from <= m.Number && m.Number <= r.to
		}) {
			kept = append(kept, portRange{protocol: m.Protocol, from: m.Number, to: m.Number})
		}
	}
	return kept, len(kept) > 0
}
