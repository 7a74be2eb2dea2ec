package reach

import (
	"cmp"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Endpoint is one end of a flow, by one of its addresses: a pod of two address families makes two.
type Endpoint struct {
	Namespace       string // empty: outside the cluster
	NamespaceLabels labels.Set
	Labels          labels.Set
	Address         netip.Addr
	Ports           []NamedPort // of a pod: the names that its containers give to ports
}

// NamedPort is a port of a pod that policies may call by its name.
type NamedPort struct {
	Name     string
	Number   int32
	Protocol corev1.Protocol
}

// Flow is what might be sent.
type Flow struct {
	From, To *Endpoint
	Port     int32
	Protocol corev1.Protocol
}

// Rule is a rule of a policy, counted from 0 within its direction.
type Rule struct {
	Policy types.NamespacedName
	Index  int
}

// Verdict is what one end of a flow says.
type Verdict struct {
	Allowed bool
	// By is the first rule that allows the flow; nil for a flow that no policy governs, and for one that is denied.
	By *Rule
	// Governed says that some policy selects the pod in this direction. What governs no pod stops nothing.
	Governed bool
}

// Policies answers for a set of policies. The zero Policies governs nothing, and so allows everything.
type Policies struct {
	ingress, egress map[string][]compiled // by namespace
}

type compiled struct {
	key   types.NamespacedName
	pods  labels.Selector
	rules []rule
}

type rule struct {
	peers []peer // nil: everybody
	ports []portRange
}

// peer matches by selectors, or by a block of addresses.
type peer struct {
	namespace        string // nil namespaces: the policy's own
	namespaces, pods labels.Selector
	block            *block
}

type block struct {
	cidr   netip.Prefix
	except []netip.Prefix
}

// Compile prepares policies for questions. The API server takes no selector and no address that cannot be read; where one
// is met all the same, a policy governs nothing by it and a peer is nobody.
func Compile(policies []*networkingv1.NetworkPolicy) *Policies {
	p := &Policies{ingress: map[string][]compiled{}, egress: map[string][]compiled{}}
	for _, policy := range policies {
		pods, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			continue
		}
		c := compiled{key: types.NamespacedName{Namespace: policy.Namespace, Name: policy.Name}, pods: pods}
		ingress, egress := Directions(policy)
		if ingress {
			c.rules = nil
			for _, r := range policy.Spec.Ingress {
				c.rules = append(c.rules, compileRule(policy.Namespace, r.From, r.Ports))
			}
			p.ingress[policy.Namespace] = append(p.ingress[policy.Namespace], c)
		}
		if egress {
			c.rules = nil
			for _, r := range policy.Spec.Egress {
				c.rules = append(c.rules, compileRule(policy.Namespace, r.To, r.Ports))
			}
			p.egress[policy.Namespace] = append(p.egress[policy.Namespace], c)
		}
	}
	return p
}

// Directions says in which directions a policy governs the pods that it selects. Without types it governs ingress, and
// egress if it has a rule for that.
func Directions(policy *networkingv1.NetworkPolicy) (ingress, egress bool) {
	if len(policy.Spec.PolicyTypes) == 0 {
		return true, len(policy.Spec.Egress) > 0
	}
	for _, t := range policy.Spec.PolicyTypes {
		ingress = ingress || t == networkingv1.PolicyTypeIngress
		egress = egress || t == networkingv1.PolicyTypeEgress
	}
	return ingress, egress
}

func compileRule(namespace string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) rule {
	r := rule{ports: portRanges(ports)}
	for i := range peers {
		p := peer{namespace: namespace, pods: labels.Nothing(), namespaces: labels.Nothing()}
		if b := peers[i].IPBlock; b != nil {
			p.block = parseBlock(b)
		} else {
			p.pods = optional(peers[i].PodSelector, labels.Everything())
			p.namespaces = optional(peers[i].NamespaceSelector, nil)
		}
		r.peers = append(r.peers, p)
	}
	return r
}

// optional is a selector that may be absent, which is not the same as empty.
func optional(selector *metav1.LabelSelector, absent labels.Selector) labels.Selector {
	if selector == nil {
		return absent
	}
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Nothing()
	}
	return s
}

// parseBlock leaves out exceptions that cannot be read: more counts as open then, not less.
func parseBlock(b *networkingv1.IPBlock) *block {
	cidr, err := netip.ParsePrefix(b.CIDR)
	if err != nil {
		return &block{}
	}
	parsed := &block{cidr: cidr.Masked()}
	for _, text := range b.Except {
		if except, err := netip.ParsePrefix(text); err == nil {
			parsed.except = append(parsed.except, except.Masked())
		}
	}
	return parsed
}

// Reaches says whether a flow gets out at its source and in at its destination.
func (p *Policies) Reaches(f Flow) bool { return p.Egress(f).Allowed && p.Ingress(f).Allowed }

// Egress says whether the source may send.
func (p *Policies) Egress(f Flow) Verdict { return judge(p.egress[f.From.Namespace], f.From, f.To, f) }

// Ingress says whether the destination lets in.
func (p *Policies) Ingress(f Flow) Verdict { return judge(p.ingress[f.To.Namespace], f.To, f.From, f) }

func judge(policies []compiled, governed, other *Endpoint, f Flow) Verdict {
	var v Verdict
	if governed.Namespace == "" {
		return Verdict{Allowed: true} // policies are about pods
	}
	for i := range policies {
		c := &policies[i]
		if !c.pods.Matches(governed.Labels) {
			continue
		}
		v.Governed = true
		for index := range c.rules {
			if c.rules[index].allows(other, f) {
				return Verdict{Allowed: true, Governed: true, By: &Rule{c.key, index}}
			}
		}
	}
	v.Allowed = !v.Governed
	return v
}

func (r *rule) allows(other *Endpoint, f Flow) bool {
	return r.opens(f) && (len(r.peers) == 0 || r.names(other))
}

func (r *rule) names(other *Endpoint) bool {
	for i := range r.peers {
		if r.peers[i].matches(other) {
			return true
		}
	}
	return false
}

func (p *peer) matches(e *Endpoint) bool {
	switch {
	case p.block != nil:
		return p.block.contains(e.Address)
	case e.Namespace == "":
		return false
	case p.namespaces == nil:
		return e.Namespace == p.namespace && p.pods.Matches(e.Labels)
	}
	return p.namespaces.Matches(e.NamespaceLabels) && p.pods.Matches(e.Labels)
}

func (b *block) contains(a netip.Addr) bool {
	if !b.cidr.IsValid() || !b.cidr.Contains(a) {
		return false
	}
	for _, except := range b.except {
		if except.Contains(a) {
			return false
		}
	}
	return true
}

// Port is a port that is guarded.
type Port struct {
	Number   int32
	Protocol corev1.Protocol
}

// portRange is a set of ports of one protocol; with a name, those that a pod gives that name to.
type portRange struct {
	protocol corev1.Protocol
	from, to int32
	name     string
}

const lastPort = 65535

// portRanges are the ports of a rule; nil: all of every protocol.
func portRanges(ports []networkingv1.NetworkPolicyPort) []portRange {
	var ranges []portRange
	for _, p := range ports {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = cmp.Or(*p.Protocol, protocol)
		}
		r := portRange{protocol: protocol, from: 1, to: lastPort}
		switch {
		case p.Port == nil:
		case p.Port.Type == intstr.String:
			r.name = p.Port.StrVal
		default:
			r.from, r.to = p.Port.IntVal, p.Port.IntVal
			if p.EndPort != nil {
				r.to = *p.EndPort
			}
		}
		ranges = append(ranges, r)
	}
	return ranges
}

func (r *rule) opens(f Flow) bool {
	if len(r.ports) == 0 {
		return true
	}
	for _, p := range r.ports {
		if p.protocol == f.Protocol && p.from <= f.Port && f.Port <= p.to && (p.name == "" || calls(f, p.name)) {
			return true
		}
	}
	return false
}

// calls says whether the destination gives the flow's port that name.
func calls(f Flow, name string) bool {
	for _, p := range f.To.Ports {
		if p.Name == name && p.Number == f.Port && p.Protocol == f.Protocol {
			return true
		}
	}
	return false
}
