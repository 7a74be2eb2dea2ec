package network

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/oracle"
)

// Network is a world with what sends and receives in it.
type Network struct {
	oracle.World
	Sources []*Pod
	Targets []*Pod // besides the sources, some of which are targets too
	Outside []netip.Addr
	Foreign []*networkingv1.NetworkPolicy
}

// Pod has one address of each family.
type Pod struct {
	Namespace string
	Labels    labels.Set
	Addresses [2]netip.Addr
	Ports     []reach.NamedPort
}

// Random is the n-th random network of a seed.
func Random(seed, n uint64) Network {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, ^n)), Network: Network{World: oracle.Random(seed, n)}}
	g.permitEgress()
	g.addTargets()
	g.addSources()
	g.addOutside()
	if g.chance(0.5) {
		for range 1 + g.IntN(3) {
			g.addForeign()
		}
	}
	return g.Network
}

type generator struct {
	*rand.Rand
	Network
	pods int
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

var blocks = []string{"198.51.100.0/24", "198.51.100.128/25", "10.0.0.0/8", "10.0.1.128/25", "10.1.0.0/16", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::/0"}

// permitEgress lets contracts permit more than their stores.
func (g *generator) permitEgress() {
	for _, e := range g.Entrustments {
		for range g.IntN(3) {
			d := v1alpha1.EgressDestination{Description: "x", CIDR: pick(g, blocks)}
			for _, port := range numbers {
				if g.chance(0.4) {
					d.Ports = append(d.Ports, v1alpha1.Port{Port: port})
				}
			}
			e.Spec.Egress = append(e.Spec.Egress, d)
		}
	}
}

func (g *generator) pod(namespace string, l labels.Set, ports ...reach.NamedPort) *Pod {
	g.pods++
	return &Pod{namespace, l, [2]netip.Addr{
		netip.AddrFrom4([4]byte{172, 16, 0, byte(g.pods)}),
		netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(g.pods)}),
	}, ports}
}

// addTargets makes a pod of each store, a pod of none, and one that resolves names.
func (g *generator) addTargets() {
	for _, store := range g.Stores {
		selector := store.Spec.Endpoint.PodSelector
		if selector == nil {
			continue
		}
		l := labels.Set{}
		for key, value := range selector.MatchLabels {
			l[key] = value
		}
		for _, r := range selector.MatchExpressions {
			switch {
			case l[r.Key] != "":
			case len(r.Values) > 0:
				l[r.Key] = pick(g, r.Values)
			default:
				l[r.Key] = "anything"
			}
		}
		port := store.Spec.Endpoint.Ports[0]
		g.Targets = append(g.Targets, g.pod(store.Namespace, l, reach.NamedPort{Name: "data", Number: port.Port, Protocol: protocol(port)},
			reach.NamedPort{Name: "metrics", Number: 9187, Protocol: corev1.ProtocolTCP}))
	}
	g.Targets = append(g.Targets, g.pod("s1", labels.Set{"app": "web"}), g.pod(metav1.NamespaceSystem, labels.Set{"k8s-app": "kube-dns"}))
}

// addSources makes pods that declare something, mostly what makes sense.
func (g *generator) addSources() {
	var namespaces, purposes []string
	for _, party := range g.Processors {
		for _, binding := range party.Spec.Namespaces {
			namespaces = append(namespaces, binding.Name)
		}
	}
	for _, purpose := range g.Purposes {
		purposes = append(purposes, purpose.Name)
	}
	for range 14 {
		namespace, l := pick(g, append(namespaces, "unbound", "s1", "s2")), labels.Set{}
		if g.chance(0.9) && len(purposes) > 0 {
			l[v1alpha1.LabelPurpose] = pick(g, append(slices.Clone(purposes), "unknown"))
		}
		if e := g.contractOf(namespace); e != "" {
			l[v1alpha1.LabelEntrustment] = e
		}
		if g.chance(0.4) {
			l["app"] = pick(g, []string{"web", "db", "cache", "c1-0"})
		}
		if g.chance(0.1) && len(g.Targets) > 2 { // one of a store's own
			own := pick(g, g.Targets[:len(g.Targets)-2])
			namespace = own.Namespace
			for key, value := range own.Labels {
				l[key] = value
			}
		}
		g.Sources = append(g.Sources, g.pod(namespace, l))
	}
}

// contractOf is mostly one under which a namespace may act.
func (g *generator) contractOf(namespace string) string {
	var own, all []string
	for _, e := range g.Entrustments {
		all = append(all, e.Name)
		if strings.HasSuffix(namespace, "-"+e.Spec.EntrusteeName) {
			own = append(own, e.Name)
		}
	}
	switch {
	case len(own) > 0 && g.chance(0.85):
		return pick(g, own)
	case g.chance(0.1):
		return pick(g, append(all, "unknown"))
	}
	return ""
}

// addOutside takes addresses from the stores outside the cluster, and others.
func (g *generator) addOutside() {
	for _, store := range g.Stores {
		if store.Spec.Endpoint.External == nil {
			continue
		}
		for _, text := range store.Spec.Endpoint.External.CIDRs {
			cidr := netip.MustParsePrefix(text)
			g.Outside = append(g.Outside, cidr.Addr())
		}
	}
	for _, other := range []string{"198.51.100.7", "198.51.100.200", "10.0.200.1", "2001:db8:1::1", "169.254.20.10"} {
		if g.chance(0.5) {
			g.Outside = append(g.Outside, netip.MustParseAddr(other))
		}
	}
	slices.SortFunc(g.Outside, netip.Addr.Compare)
	g.Outside = slices.Compact(g.Outside)
}

// addForeign adds a policy that somebody else wrote.
func (g *generator) addForeign() {
	everyone := slices.Concat(g.Targets, g.Sources)
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: pick(g, everyone).Namespace, Name: fmt.Sprint("foreign-", len(g.Foreign))}}
	policy.Spec.PodSelector = g.selector()
	for _, t := range []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress} {
		if g.chance(0.6) || t == networkingv1.PolicyTypeEgress && len(policy.Spec.PolicyTypes) == 0 {
			policy.Spec.PolicyTypes = append(policy.Spec.PolicyTypes, t)
		}
	}
	for range g.IntN(3) {
		peers, ports := g.peers(), g.ports()
		policy.Spec.Ingress = append(policy.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: peers, Ports: ports})
		policy.Spec.Egress = append(policy.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: peers, Ports: ports})
	}
	g.Foreign = append(g.Foreign, policy)
}

// selector selects what some pod carries, or asks for the labels that matter.
func (g *generator) selector() metav1.LabelSelector {
	has := func(key string, operator metav1.LabelSelectorOperator) metav1.LabelSelector {
		return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator}}}
	}
	carried := pick(g, slices.Concat(g.Targets, g.Sources)).Labels
	switch g.IntN(6) {
	case 0:
		return metav1.LabelSelector{}
	case 1:
		return has(v1alpha1.LabelEntrustment, metav1.LabelSelectorOpExists)
	case 2:
		return has(v1alpha1.LabelEntrustment, metav1.LabelSelectorOpDoesNotExist)
	case 3:
		for _, key := range keys(carried) {
			return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
				Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{carried[key], "other"},
			}}}
		}
		return metav1.LabelSelector{}
	}
	return metav1.LabelSelector{MatchLabels: carried}
}

func (g *generator) peers() []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for range g.IntN(3) {
		var peer networkingv1.NetworkPolicyPeer
		switch g.IntN(5) {
		case 0:
			peer.IPBlock = &networkingv1.IPBlock{CIDR: pick(g, blocks)}
			if peer.IPBlock.CIDR == "10.0.0.0/8" && g.chance(0.5) {
				peer.IPBlock.Except = []string{"10.0.0.0/16", "10.1.0.0/16"}
			}
		case 1:
			s := g.selector()
			peer.PodSelector = &s
		case 2:
			peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
		default:
			s := g.selector()
			peer.PodSelector = &s
			peer.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: pick(g, g.Sources).Namespace}}
			if g.chance(0.3) {
				peer.NamespaceSelector = &metav1.LabelSelector{}
			}
		}
		peers = append(peers, peer)
	}
	return peers
}

func (g *generator) ports() []networkingv1.NetworkPolicyPort {
	var ports []networkingv1.NetworkPolicyPort
	tcp := corev1.ProtocolTCP
	for range g.IntN(3) {
		port := networkingv1.NetworkPolicyPort{Protocol: &tcp}
		switch g.IntN(5) {
		case 0:
		case 1:
			name := intstr.FromString(pick(g, []string{"data", "metrics"}))
			port.Port = &name
		case 2:
			from, to := intstr.FromInt32(5000), int32(9199+g.IntN(2))
			port.Port, port.EndPort = &from, &to
		default:
			number := intstr.FromInt32(pick(g, numbers))
			port.Port = &number
		}
		ports = append(ports, port)
	}
	return ports
}

// numbers of the ports at which something is sent.
var numbers = []int32{5432, 9187, 9200, 53}

func keys[V any](m map[string]V) []string {
	var list []string
	for key := range m {
		list = append(list, key)
	}
	slices.Sort(list)
	return list
}

func protocol(p v1alpha1.Port) corev1.Protocol {
	if p.Protocol == v1alpha1.ProtocolUDP {
		return corev1.ProtocolUDP
	}
	return corev1.ProtocolTCP
}

// NamespaceLabels are those that namespaces carry.
func NamespaceLabels(namespace string) labels.Set {
	l := labels.Set{corev1.LabelMetadataName: namespace, "team": "b"}
	if strings.HasSuffix(namespace, "1") {
		l["team"] = "a"
	}
	return l
}

// Policies are those that the operator renders for the world, and those of others.
func (n Network) Policies(s *entrustment.Snapshot) ([]*networkingv1.NetworkPolicy, error) {
	policies := slices.Clone(n.Foreign)
	add := func(configuration any) error {
		policy := &networkingv1.NetworkPolicy{}
		encoded, err := json.Marshal(configuration)
		if err == nil {
			err = json.Unmarshal(encoded, policy)
		}
		policies = append(policies, policy)
		return err
	}
	for _, key := range s.Stores() {
		store, grants := s.Store(key), s.StoreGrants(key)
		if store.DeletionTimestamp != nil {
			grants = nil
		}
		if policy := render.NetworkPolicy(store, grants); policy != nil {
			if err := add(policy); err != nil {
				return nil, err
			}
		}
	}
	for _, namespace := range s.BoundNamespaces() {
		governed := reach.GovernsEgress(n.foreign(namespace), render.Undeclared())
		for _, policy := range render.EgressPolicies(s, namespace, governed) {
			if err := add(policy); err != nil {
				return nil, err
			}
		}
	}
	return policies, nil
}

func (n Network) foreign(namespace string) []*networkingv1.NetworkPolicy {
	var list []*networkingv1.NetworkPolicy
	for _, policy := range n.Foreign {
		if policy.Namespace == namespace {
			list = append(list, policy)
		}
	}
	return list
}

// YAML prints a network: its world, its pods, and the policies of others.
func (n Network) YAML() string {
	var out strings.Builder
	out.WriteString(n.World.YAML())
	for i, pod := range slices.Concat(n.Sources, n.Targets) {
		data, _ := yaml.Marshal(corev1.Pod{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: fmt.Sprint("pod-", i), Labels: pod.Labels},
			Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: pod.Addresses[0].String()}, {IP: pod.Addresses[1].String()}}},
		})
		fmt.Fprintf(&out, "---\n%s", data)
	}
	for _, policy := range n.Foreign {
		printed := policy.DeepCopy()
		printed.APIVersion, printed.Kind = "networking.k8s.io/v1", "NetworkPolicy"
		data, _ := yaml.Marshal(printed)
		fmt.Fprintf(&out, "---\n%s", data)
	}
	fmt.Fprintf(&out, "# addresses outside: %v\n", n.Outside)
	return out.String()
}

// Shrink takes away whatever a failure does not need.
func Shrink(n Network, fails func(Network) bool) Network {
	if !fails(n) {
		return n
	}
	n.Foreign = drop(n.Foreign, func(list []*networkingv1.NetworkPolicy) bool { m := n; m.Foreign = list; return fails(m) })
	n.Sources = drop(n.Sources, func(list []*Pod) bool { m := n; m.Sources = list; return fails(m) })
	n.Targets = drop(n.Targets, func(list []*Pod) bool { m := n; m.Targets = list; return fails(m) })
	n.Outside = drop(n.Outside, func(list []netip.Addr) bool { m := n; m.Outside = list; return fails(m) })
	n.World = oracle.Shrink(n.World, func(w oracle.World) bool { m := n; m.World = w; return fails(m) })
	return n
}

func drop[T any](list []T, fails func([]T) bool) []T {
	for i := 0; i < len(list); {
		if without := slices.Delete(slices.Clone(list), i, i+1); fails(without) {
			list = without
		} else {
			i++
		}
	}
	return list
}
