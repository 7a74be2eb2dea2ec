package network

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/oracle"
)

// flow is something that might be sent, to a pod or to an address outside the cluster.
type flow struct {
	from, to *Pod // nil to: the address is outside
	address  netip.Addr
	port     int32
	protocol corev1.Protocol
}

// answer says whether something gets out and in, and what for.
type answer struct {
	out, in       bool
	whyOut, whyIn string
}

// plain answers flow by flow, from the decision and the labels alone.
type plain struct {
	Network
	decisions map[entrustment.Request]decision
	stores    []*v1alpha1.PersonalDataStore // of two with a name the first
}

type decision struct {
	allowed bool
	reason  v1alpha1.Reason
}

func plainly(n Network) *plain {
	p := &plain{Network: n, decisions: map[entrustment.Request]decision{}}
	for _, store := range n.Stores {
		if !slices.ContainsFunc(p.stores, func(s *v1alpha1.PersonalDataStore) bool {
			return s.Namespace == store.Namespace && s.Name == store.Name
		}) {
			p.stores = append(p.stores, store)
		}
	}
	return p
}

func (p *plain) decide(namespace, purpose, contract string, store *v1alpha1.PersonalDataStore) decision {
	r := entrustment.Request{Namespace: namespace, Purpose: purpose, Entrustment: contract}
	r.Store.Namespace, r.Store.Name = store.Namespace, store.Name
	d, known := p.decisions[r]
	if !known {
		d.allowed, d.reason = oracle.Authorize(p.Inputs, p.Now, r)
		p.decisions[r] = d
	}
	return d
}

func (p *plain) decidePod(pod *Pod, store *v1alpha1.PersonalDataStore) decision {
	return p.decide(pod.Namespace, pod.Labels[v1alpha1.LabelPurpose], pod.Labels[v1alpha1.LabelEntrustment], store)
}

// granted says whether pods of a namespace under a contract reach a store for any purpose.
func (p *plain) granted(namespace, contract string, store *v1alpha1.PersonalDataStore) bool {
	return slices.ContainsFunc(p.Purposes, func(purpose *v1alpha1.Purpose) bool {
		return p.decide(namespace, purpose.Name, contract, store).allowed
	})
}

func (p *plain) grantedAnything(namespace, contract string) bool {
	return slices.ContainsFunc(p.stores, func(s *v1alpha1.PersonalDataStore) bool { return p.granted(namespace, contract, s) })
}

// bound says whether a namespace belongs to somebody.
func (p *plain) bound(namespace string) bool {
	_, reason := oracle.Authorize(p.Inputs, p.Now, entrustment.Request{Namespace: namespace})
	return reason != v1alpha1.ReasonNamespaceNotBound
}

func reports(store *v1alpha1.PersonalDataStore) bool {
	return store.Spec.Enforcement == v1alpha1.EnforcementReport && !store.Spec.Suspended
}

// owns says whether a pod is one of a store's.
func owns(store *v1alpha1.PersonalDataStore, pod *Pod) bool {
	s := store.Spec.Endpoint.PodSelector
	if s == nil || pod.Namespace != store.Namespace || !labels.SelectorFromSet(labels.Set(s.MatchLabels)).Matches(pod.Labels) {
		return false
	}
	for _, r := range s.MatchExpressions {
		value, carried := pod.Labels[r.Key]
		if !carried || r.Operator == v1alpha1.PodSelectorIn && !slices.Contains(r.Values, value) {
			return false
		}
	}
	return true
}

// covers says whether an address is one of a store outside the cluster.
func covers(store *v1alpha1.PersonalDataStore, address netip.Addr) bool {
	return store.Spec.Endpoint.External != nil && slices.ContainsFunc(store.Spec.Endpoint.External.CIDRs, func(text v1alpha1.CIDR) bool {
		return netip.MustParsePrefix(text).Contains(address)
	})
}

func guards(store *v1alpha1.PersonalDataStore, f flow) bool {
	return slices.ContainsFunc(store.Spec.Endpoint.Ports, func(port v1alpha1.Port) bool { return port.Port == f.port && protocol(port) == f.protocol })
}

func (p *plain) answer(f flow) answer {
	var a answer
	a.out, a.whyOut = p.out(f)
	a.in, a.whyIn = p.in(f)
	return a
}

// in: a pod of stores lets in their own pods, and on a guarded port those with a grant; every other lets in all.
func (p *plain) in(f flow) (bool, string) {
	if f.to == nil {
		return true, "outside"
	}
	why := ""
	for _, store := range p.stores {
		if !owns(store, f.to) || reports(store) {
			continue
		}
		if owns(store, f.from) {
			return true, "a pod of the store"
		}
		if why == "" {
			why = "a port that is not guarded"
		}
		if guards(store, f) {
			d := p.decidePod(f.from, store)
			why = string(d.reason)
			if d.allowed {
				return true, why
			}
		}
	}
	if why == "" {
		return true, "no store"
	}
	return false, why
}

func (p *plain) out(f flow) (bool, string) {
	if !p.bound(f.from.Namespace) {
		return true, "a namespace of nobody"
	}
	contract, entrusted := f.from.Labels[v1alpha1.LabelEntrustment]
	if !entrusted {
		return p.outOfOwn(f)
	}
	if !p.grantedAnything(f.from.Namespace, contract) {
		return false, "a contract that grants nothing"
	}
	if f.to == nil {
		return p.entrusteeOutside(f)
	}
	resolves := f.to.Namespace == metav1.NamespaceSystem && f.port == 53
	switch {
	case f.to.Namespace == f.from.Namespace && f.to.Labels[v1alpha1.LabelEntrustment] == contract:
		return true, "under the same contract"
	case resolves:
		return true, "names"
	case slices.ContainsFunc(p.stores, func(s *v1alpha1.PersonalDataStore) bool {
		return owns(s, f.to) && guards(s, f) && p.granted(f.from.Namespace, contract, s)
	}):
		return true, "a store of the contract"
	case p.permits(contract, f):
		return true, "a destination of the contract"
	}
	return false, "beyond the contract"
}

// outOfOwn: without a contract all is open but the stores outside the cluster.
func (p *plain) outOfOwn(f flow) (bool, string) {
	closed := false
	for _, store := range p.stores {
		if f.to != nil || !covers(store, f.address) || reports(store) {
			continue
		}
		closed = true
		if guards(store, f) && p.decidePod(f.from, store).allowed {
			return true, "a store outside, granted"
		}
	}
	if closed {
		return false, "a store outside, not granted"
	}
	return true, "own handling"
}

func (p *plain) entrusteeOutside(f flow) (bool, string) {
	covered := false
	for _, store := range p.stores {
		if !covers(store, f.address) {
			continue
		}
		covered = true
		if guards(store, f) && p.decidePod(f.from, store).allowed {
			return true, "a store outside, entrusted"
		}
	}
	switch {
	case covered:
		return false, "a store outside, not entrusted"
	case f.address.IsLinkLocalUnicast() && f.port == 53:
		return true, "names"
	case p.permits(f.from.Labels[v1alpha1.LabelEntrustment], f):
		return true, "a destination of the contract"
	}
	return false, "beyond the contract"
}

// permits says whether every tier of a contract, which is in force, permits an address and port.
func (p *plain) permits(contract string, f flow) bool {
	for name := contract; name != ""; {
		i := slices.IndexFunc(p.Entrustments, func(e *v1alpha1.Entrustment) bool { return e.Name == name })
		tier := p.Entrustments[i]
		if !slices.ContainsFunc(tier.Spec.Egress, func(d v1alpha1.EgressDestination) bool {
			return netip.MustParsePrefix(d.CIDR).Contains(f.address) && (len(d.Ports) == 0 ||
				slices.ContainsFunc(d.Ports, func(port v1alpha1.Port) bool { return port.Port == f.port && protocol(port) == f.protocol }))
		}) {
			return false
		}
		name = tier.Spec.ParentName
	}
	return true
}
