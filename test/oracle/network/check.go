package network

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/isolation"
	"entrustment.dev/operator/internal/reach"
)

// Evaluator is a second opinion on policies. The name is that of the port at the destination, if it has one.
type Evaluator interface {
	Allows(f reach.Flow, name string) (out, in bool)
}

// Census counts flows by what was said of them.
type Census map[string]int

// Check compares, flow by flow, what package reach says of all policies with the plain answer, and with a second opinion if
// there is one. It returns how many flows it looked at, and what is wrong; empty: nothing.
func Check(n Network, second func([]*networkingv1.NetworkPolicy) Evaluator, census Census) (flows int, wrong string) {
	s := entrustment.Compile(n.Inputs, n.Now)
	policies, err := n.Policies(s)
	if err != nil {
		return 0, err.Error()
	}
	c := &checker{
		Network: n, snapshot: s, plain: plainly(n), census: census, compiled: reach.Compile(policies), foreign: reach.Compile(n.Foreign), opened: map[types.NamespacedName][]isolation.Finding{},
		policies: func(namespace string) ([]*networkingv1.NetworkPolicy, error) {
			return slices.DeleteFunc(slices.Clone(policies), func(p *networkingv1.NetworkPolicy) bool { return p.Namespace != namespace }), nil
		},
	}
	if second != nil {
		c.second = second(policies)
	}
	for f, ends := range c.flows() {
		flows++
		if wrong := c.check(f, ends); wrong != "" {
			return flows, wrong
		}
	}
	return flows, ""
}

type checker struct {
	Network
	snapshot *entrustment.Snapshot
	plain    *plain
	census   Census
	policies isolation.Policies
	compiled *reach.Policies
	foreign  *reach.Policies // those of others alone
	second   Evaluator
	opened   map[types.NamespacedName][]isolation.Finding
}

var sent = []struct {
	port     int32
	protocol corev1.Protocol
}{
	{5432, corev1.ProtocolTCP}, {9187, corev1.ProtocolTCP}, {9200, corev1.ProtocolTCP}, {9200, corev1.ProtocolUDP}, {53, corev1.ProtocolTCP}, {53, corev1.ProtocolUDP},
}

// flows are all that sources might send to targets, to some of each other, and outside.
func (c *checker) flows() func(func(flow, reach.Flow) bool) {
	endpoint := func(p *Pod, family int) *reach.Endpoint {
		return &reach.Endpoint{Namespace: p.Namespace, NamespaceLabels: NamespaceLabels(p.Namespace), Labels: p.Labels, Address: p.Addresses[family], Ports: p.Ports}
	}
	return func(yield func(flow, reach.Flow) bool) {
		send := func(f flow, from, to *reach.Endpoint) bool {
			for _, m := range sent {
				f.port, f.protocol = m.port, m.protocol
				if !yield(f, reach.Flow{From: from, To: to, Port: m.port, Protocol: m.protocol}) {
					return false
				}
			}
			return true
		}
		for _, source := range c.Sources {
			from := [2]*reach.Endpoint{endpoint(source, 0), endpoint(source, 1)}
			for _, target := range slices.Concat(c.Targets, c.Sources[:min(2, len(c.Sources))]) {
				if target == source {
					continue // nothing stops a pod from talking to itself
				}
				for family := range 2 {
					if !send(flow{from: source, to: target, address: target.Addresses[family]}, from[family], endpoint(target, family)) {
						return
					}
				}
			}
			for _, address := range c.Outside {
				family := 0
				if address.Is6() {
					family = 1
				}
				if !send(flow{from: source, address: address}, from[family], &reach.Endpoint{Address: address}) {
					return
				}
			}
		}
	}
}

func (c *checker) check(f flow, ends reach.Flow) string {
	out, in := c.compiled.Egress(ends), c.compiled.Ingress(ends)
	if c.second != nil {
		name := ""
		for _, p := range ends.To.Ports {
			if p.Number == f.port && p.Protocol == f.protocol {
				name = p.Name
			}
		}
		if o, i := c.second.Allows(ends, name); o != out.Allowed || i != in.Allowed {
			return fmt.Sprintf("%s\n  reach:  out %v, in %v\n  second: out %v, in %v", describe(f), out.Allowed, in.Allowed, o, i)
		}
	}
	want := c.plain.answer(f)
	others := c.foreign.Egress(ends)
	if wrong := c.widens(f, want, out, others); wrong != "" {
		return wrong
	}
	if wrong := c.compare("out", f, want.out, want.whyOut, out, others, c.reportedOut); wrong != "" {
		return wrong
	}
	return c.compare("in", f, want.in, want.whyIn, in, c.foreign.Ingress(ends), c.reportedIn)
}

// compare holds the plain answer against what the policies of one direction do. Where somebody else's policy opens more, what
// status says has to be just that.
func (c *checker) compare(direction string, f flow, want bool, why string, got, others reach.Verdict, reported func(flow, reach.Verdict) (string, string)) string {
	switch {
	case want == got.Allowed:
		c.census[direction+": "+why]++
		return ""
	case len(c.Foreign) == 0:
		return fmt.Sprintf("%s\n  plain:    %s %v, %s\n  policies: %+v %+v", describe(f), direction, want, why, got, got.By)
	case want && !others.Allowed:
		c.census[direction+": others cut it"]++
		return ""
	case want:
		return fmt.Sprintf("%s\n  nobody else cuts it %s, %s", describe(f), direction, why)
	}
	said, wrong := reported(f, got)
	c.census[direction+": "+said]++
	if wrong != "" {
		return fmt.Sprintf("%s\n  others open it %s, by %+v, and status does not say so: %s", describe(f), direction, got.By, wrong)
	}
	return ""
}

// widens says that the operator opens what others closed to a pod that acts under no contract, a grant apart.
func (c *checker) widens(f flow, want answer, got, others reach.Verdict) string {
	if _, entrusted := f.from.Labels[v1alpha1.LabelEntrustment]; entrusted || !got.Allowed || others.Allowed || want.whyOut == "a store outside, granted" {
		return ""
	}
	return fmt.Sprintf("%s\n  others closed the way out, and %+v opens it", describe(f), got.By)
}

func (c *checker) reportedIn(f flow, got reach.Verdict) (said, wrong string) {
	said = "others open a port that is not guarded"
	for _, store := range c.plain.stores {
		if !owns(store, f.to) || reports(store) || !guards(store, f) {
			continue
		}
		said = "others open it, reported"
		if !c.finds(store, got, false) {
			return said, fmt.Sprint(client.ObjectKeyFromObject(store))
		}
	}
	return said, ""
}

func (c *checker) reportedOut(f flow, got reach.Verdict) (said, wrong string) {
	_, entrusted := f.from.Labels[v1alpha1.LabelEntrustment]
	if f.to == nil {
		said = "others open a port outside that is not guarded"
		for _, store := range c.plain.stores {
			if !covers(store, f.address) || reports(store) || !guards(store, f) {
				continue
			}
			said = "others open a store outside, reported"
			if _, exposed, err := isolation.Exposed(c.snapshot, f.from.Namespace, store, c.policies); err != nil || !exposed {
				return said, fmt.Sprint(client.ObjectKeyFromObject(store), err)
			}
		}
	}
	if !entrusted {
		return said, ""
	}
	for _, store := range c.plain.stores {
		reached := slices.ContainsFunc(c.Entrustments, func(e *v1alpha1.Entrustment) bool { return c.plain.granted(f.from.Namespace, e.Name, store) })
		if !reached {
			continue
		}
		if !c.finds(store, got, true) {
			return "others let entrustees out, reported", fmt.Sprint(client.ObjectKeyFromObject(store))
		}
		return "others let entrustees out, reported", ""
	}
	return "others let out where nothing is entrusted", ""
}

// finds says whether the status of a store names the policy that opens something.
func (c *checker) finds(store *v1alpha1.PersonalDataStore, got reach.Verdict, out bool) bool {
	key := client.ObjectKeyFromObject(store)
	opened, known := c.opened[key]
	if !known {
		opened, _ = isolation.Opened(c.snapshot.Store(key), c.snapshot.StoreGrants(key), c.policies)
		c.opened[key] = opened
	}
	return got.By != nil && slices.ContainsFunc(opened, func(f isolation.Finding) bool { return f.Policy == got.By.Policy && f.Out == out })
}

func describe(f flow) string {
	to := f.address.String()
	if f.to != nil {
		to = fmt.Sprintf("%s %v at %s", f.to.Namespace, f.to.Labels, f.address)
	}
	return fmt.Sprintf("from %s %v to %s, %s %d", f.from.Namespace, f.from.Labels, to, f.protocol, f.port)
}

// Kinds are what a census of enough networks has to hold: why something gets out, and in.
var Kinds = []string{
	"out: a namespace of nobody", "out: own handling", "out: a store outside, granted", "out: a store outside, not granted",
	"out: a contract that grants nothing", "out: under the same contract", "out: names", "out: a store of the contract",
	"out: a destination of the contract", "out: beyond the contract", "out: a store outside, entrusted", "out: a store outside, not entrusted",
	"out: others cut it", "out: others open a port outside that is not guarded", "out: others open a store outside, reported",
	"out: others let entrustees out, reported", "out: others let out where nothing is entrusted",
	"in: outside", "in: no store", "in: a pod of the store", "in: a port that is not guarded",
	"in: others cut it", "in: others open a port that is not guarded", "in: others open it, reported",
	"in: CategoryNotEntrusted", "in: ChainLoops", "in: ConsentNotEvidenced", "in: ControllerHandling", "in: DataFormForbids",
	"in: EndpointConflict", "in: Entrusted", "in: EntrusterNotController", "in: EntrusterNotParentEntrustee",
	"in: EntrustmentNotFound", "in: Expired", "in: MixedControllers", "in: NamespaceNotBound", "in: NoEntrustment",
	"in: NotApproved", "in: NotEntrustee", "in: NotYetInForce", "in: NoticePeriodRunning", "in: Objected",
	"in: ProcessorNotFound", "in: ProcessorSuspended", "in: PurposeNotAssignedToNamespace", "in: PurposeNotDeclared",
	"in: PurposeNotEntrusted", "in: PurposeNotInForce", "in: PurposeNotIntended", "in: PurposeOfOtherController",
	"in: PurposeProhibited", "in: PurposeProhibitedForStore", "in: PurposeTooGeneral", "in: PurposeUnknown",
	"in: RecipientNotAllowed", "in: ReviewOverdue", "in: SelectionRejected", "in: StoreNotEntrusted", "in: StoreNotFound",
	"in: StoreOfOtherController", "in: StoreSuspended", "in: SubEntrustmentProhibited", "in: Suspended",
	"in: TerritoryNotAllowed", "in: TransferBasisMissing",
}

// Wrong runs networks until one fails, and prints what is left of it; empty: none does.
func Wrong(seed, first, count uint64, second func([]*networkingv1.NetworkPolicy) Evaluator, census Census) (flows int, wrong string) {
	for n := range count {
		network := Random(seed, first+n)
		looked, wrong := Check(network, second, census)
		flows += looked
		if wrong == "" {
			continue
		}
		fails := func(m Network) bool { _, wrong := Check(m, second, Census{}); return wrong != "" }
		small := Shrink(network, fails)
		_, left := Check(small, second, Census{})
		return flows, fmt.Sprintf("network %d of seed %d: %s\nthe smallest found, and what is wrong there: %s\n%s", first+n, seed, wrong, left, small.YAML())
	}
	return flows, ""
}

// Print tells what was looked at, and fails for a kind that never occurred.
func Print(t *testing.T, networks uint64, flows int, census Census) {
	t.Helper()
	var out strings.Builder
	for _, kind := range keys(census) {
		fmt.Fprintf(&out, "\n%9d  %s", census[kind], kind)
	}
	t.Logf("%d networks, %d flows:%s", networks, flows, out.String())
	if networks < 2000 {
		return // a repeated run of a few
	}
	for _, kind := range Kinds {
		if census[kind] == 0 {
			t.Errorf("no flow is of the kind %q", kind)
		}
	}
	if flows < 1000*int(networks) {
		t.Errorf("%d flows are too few", flows)
	}
}
