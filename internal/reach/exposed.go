package reach

import (
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Exposure asks whether pods of a namespace can reach addresses outside the cluster without being granted it.
type Exposure struct {
	Policies  []*networkingv1.NetworkPolicy // all of the namespace
	Addresses []netip.Prefix
	Ports     []Port
	Granted   []*metav1.LabelSelector // the pods that may
}

// Find returns the first rule that lets a pod out which is not granted it. A finding without a policy says that some pods
// are not governed at all; false, that there is no such pod.
func (e Exposure) Find() (Finding, bool) {
	var governed, granted []demands
	for _, g := range e.Granted {
		granted = append(granted, demandsOf(g))
	}
	for _, policy := range e.Policies {
		if _, egress := Directions(policy); !egress {
			continue
		}
		pods := demandsOf(&policy.Spec.PodSelector)
		governed = append(governed, pods)
		if f, opens := e.opens(policy); opens && !withinAny(pods, granted) {
			return f, true
		}
	}
	return Finding{}, !everybody(governed)
}

// opens says whether a policy lets the pods that it selects reach some of the addresses.
func (e Exposure) opens(policy *networkingv1.NetworkPolicy) (Finding, bool) {
	for i, r := range egressRules(policy) {
		if !e.anyPort(r.ports) {
			continue
		}
		for _, g := range r.groups {
			if g.everybody || g.block != nil && e.overlaps(g.block) {
				return Finding{Rule{types.NamespacedName{Namespace: policy.Namespace, Name: policy.Name}, i}, g.text}, true
			}
		}
	}
	return Finding{}, false
}

// anyPort says whether a rule opens a port of the addresses. What is outside the cluster gives no names to ports.
func (e Exposure) anyPort(ports []portRange) bool {
	var numbered []portRange
	for _, p := range ports {
		if p.name == "" {
			numbered = append(numbered, p)
		}
	}
	if len(ports) > 0 && len(numbered) == 0 {
		return false
	}
	_, overlap := restrict(numbered, e.Ports)
	return overlap
}

func (e Exposure) overlaps(b *block) bool {
	for _, address := range e.Addresses {
		hit := b.cidr.IsValid() && b.cidr.Overlaps(address)
		for _, except := range b.except {
			hit = hit && !contains(except, address) && !contains(except, b.cidr)
		}
		if hit {
			return true
		}
	}
	return false
}

// withinAny says whether every pod that meets the demands meets those of one of the others.
func withinAny(d demands, others []demands) bool {
	if d.nobody() {
		return true
	}
	var all []map[string]values
	for _, other := range others {
		all = append(all, other)
	}
	parts, ok := d.split(keys(all))
	if !ok {
		return false
	}
	for _, part := range parts {
		found := false
		for _, other := range others {
			found = found || part.within(other)
		}
		if !found {
			return false
		}
	}
	return true
}

// Governed says how many of some pods policies govern in the direction of egress.
type Governed int

// How many of the pods are governed.
const (
	GovernedNone Governed = iota // none can be
	GovernedSome                 // some may be
	GovernedAll                  // all are
)

// GovernsEgress says how many of the pods that a selector selects have their egress governed by some of the policies.
func GovernsEgress(policies []*networkingv1.NetworkPolicy, pods *metav1.LabelSelector) Governed {
	governed := GovernedNone
	for _, policy := range policies {
		if _, egress := Directions(policy); !egress {
			continue
		}
		selected := demandsOf(&policy.Spec.PodSelector)
		switch {
		case demandsOf(pods).within(selected):
			return GovernedAll
		case !selected.and(demandsOf(pods)).nobody():
			governed = GovernedSome
		}
	}
	return governed
}
