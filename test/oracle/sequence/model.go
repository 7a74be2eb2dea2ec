package sequence

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
)

// pod is one that runs.
type pod struct {
	name                            string
	namespace, purpose, entrustment string

	ways map[types.NamespacedName]bool // to stores, that were ever open to it by a policy: a connection may have stayed
}

func (p *pod) String() string {
	return fmt.Sprintf("pod %s/%s for %q under %q", p.namespace, p.name, p.purpose, p.entrustment)
}

// endpoint is where its packets come from.
func (p *pod) endpoint() *reach.Endpoint {
	l := labels.Set{v1alpha1.LabelPurpose: p.purpose}
	if p.entrustment != "" {
		l[v1alpha1.LabelEntrustment] = p.entrustment
	}
	return endpoint(p.namespace, l)
}

func (p *pod) request(store types.NamespacedName) entrustment.Request {
	return entrustment.Request{Namespace: p.namespace, Purpose: p.purpose, Entrustment: p.entrustment, Store: store}
}

func endpoint(namespace string, l labels.Set) *reach.Endpoint {
	return &reach.Endpoint{
		Namespace: namespace, NamespaceLabels: labels.Set{corev1.LabelMetadataName: namespace}, Labels: l, Address: netip.MustParseAddr("172.16.0.1"),
	}
}

// declarations are what pods might declare, whether one does or not: all that can be granted, and some that cannot.
var declarations = func() []*pod {
	var all []*pod
	for _, d := range [][2]string{
		{"n-c1", ""}, {"n-d1", "e1"}, {"n-d2", "e2"}, {"n-d2", "f1"}, {"n-d3", "e3"}, // these can be granted
		{"n-c1", "e1"}, {"n-d1", ""}, {"n-d1", "e2"}, {"n-d3", "f1"}, {"s1", ""},
	} {
		for _, purpose := range append([]string{""}, purposes...) {
			all = append(all, &pod{namespace: d[0], purpose: purpose, entrustment: d[1]})
		}
	}
	return all
}()

// cluster is what the operator has written, and what runs.
type cluster struct {
	policies map[types.NamespacedName]policy
	access   map[string]access
	secrets  map[types.NamespacedName]bool
	pods     []*pod

	compiled *reach.Policies // of the policies; nil: they have changed since
	byPolicy map[way]bool    // what they open; nil: not known yet
}

type policy struct {
	written *networkingv1ac.NetworkPolicyApplyConfiguration
	typed   *networkingv1.NetworkPolicy
}

func newCluster() *cluster {
	return &cluster{policies: map[types.NamespacedName]policy{}, access: map[string]access{}, secrets: map[types.NamespacedName]bool{}}
}

// lose is what happens when a namespace is made anew: all that was in it is gone.
func (c *cluster) lose(namespace string) {
	maps.DeleteFunc(c.policies, func(k types.NamespacedName, _ policy) bool { return k.Namespace == namespace })
	maps.DeleteFunc(c.secrets, func(k types.NamespacedName, _ bool) bool { return k.Namespace == namespace })
	c.pods = slices.DeleteFunc(c.pods, func(p *pod) bool { return p.namespace == namespace })
	delete(c.access, namespace)
	c.changed()
}

func (c *cluster) changed() { c.compiled, c.byPolicy = nil, nil }

// limits says whether a namespace has policies of its own, which keep its pods from addresses outside.
func (c *cluster) limits(namespace string) bool {
	for key, p := range c.policies {
		if key.Namespace == namespace && render.LimitsEgress(p.typed) {
			return true
		}
	}
	return false
}

// guards says whether a policy stands between a pod and a store.
func (c *cluster) guards(p *pod, store types.NamespacedName) bool {
	if store == outside {
		return c.limits(p.namespace)
	}
	_, there := c.policies[types.NamespacedName{Namespace: store.Namespace, Name: render.NetworkPolicyName(store.Name)}]
	return there
}

// opens says whether the packets of a pod get through to a store.
func (c *cluster) opens(p *pod, store types.NamespacedName) bool {
	if c.compiled == nil {
		var all []*networkingv1.NetworkPolicy
		for _, p := range c.policies {
			all = append(all, p.typed)
		}
		c.compiled = reach.Compile(all)
	}
	to := &reach.Endpoint{Address: netip.MustParseAddr(address)}
	if store != outside {
		to = endpoint(store.Namespace, labels.Set{"app": store.Name})
	}
	return c.compiled.Reaches(reach.Flow{From: p.endpoint(), To: to, Port: 5432, Protocol: corev1.ProtocolTCP})
}

// shows says whether the parameters of the admission rules grant a pod a store.
func (c *cluster) shows(p *pod, store types.NamespacedName) bool {
	a, ok := c.access[p.namespace]
	return ok && slices.ContainsFunc(a.typed.Grants, func(g v1alpha1.Grant) bool {
		return g.Purpose == p.purpose && g.Entrustment == p.entrustment && slices.Contains(g.Stores, store.String())
	})
}

// admits says whether a pod gets in: past an operator that may be a snapshot behind, and past the rules, which go by the parameters.
func (c *cluster) admits(p *pod, s *entrustment.Snapshot) bool {
	a, ok := c.access[p.namespace]
	if !ok {
		return false
	}
	granted := slices.ContainsFunc(stores, func(store types.NamespacedName) bool { return c.shows(p, store) })
	return a.typed.Enforcement == v1alpha1.EnforcementReport || granted && s.AuthorizePod(p.namespace, p.purpose, p.entrustment).Allowed()
}

// typed is an object as the API server would keep it.
func typed[T any](configuration any) *T {
	object := new(T)
	encoded, err := json.Marshal(configuration)
	if err == nil {
		err = json.Unmarshal(encoded, object)
	}
	if err != nil {
		panic(fmt.Sprintf("%T is no %T: %v", configuration, object, err)) // what is rendered can be read
	}
	return object
}

// write is one request by which the operator changes the cluster.
type write struct {
	what string
	do   func()
}

// plan is how the operator follows a snapshot: what it wants to be there is rendered once, and compared with what is there before
// each write, as a new process would that remembers nothing.
type plan struct {
	cluster  *cluster
	snapshot *entrustment.Snapshot

	policies  []*networkingv1ac.NetworkPolicyApplyConfiguration
	remaining map[string][]*networkingv1ac.NetworkPolicyApplyConfiguration // of namespaces that are bound to nobody
	secrets   []types.NamespacedName
}

func planFor(c *cluster, s *entrustment.Snapshot) *plan {
	p := &plan{cluster: c, snapshot: s, remaining: map[string][]*networkingv1ac.NetworkPolicyApplyConfiguration{}}
	for _, key := range s.Stores() {
		if policy := render.NetworkPolicy(s.Store(key), s.StoreGrants(key)); policy != nil {
			p.policies = append(p.policies, policy)
		}
	}
	for _, namespace := range s.Namespaces() {
		if _, _, bound := s.Binding(namespace); !bound {
			p.remaining[namespace] = render.RemainingPolicies(s, namespace, reach.GovernedNone)
			continue
		}
		p.policies = append(p.policies, render.EgressPolicies(s, namespace, reach.GovernedNone)...)
		for _, d := range s.Deliveries(namespace) {
			p.secrets = append(p.secrets, types.NamespacedName{Namespace: namespace, Name: d.Name})
		}
	}
	return p
}

// next is the write that comes next; nil: there is none left.
func (p *plan) next() *write {
	for _, stage := range []func() *write{p.nextPolicy, p.nextAccess, p.nextSecret, p.nextPod, p.nextNote} {
		if w := stage(); w != nil {
			return w
		}
	}
	return nil
}

func (p *plan) nextPolicy() *write {
	c := p.cluster
	wanted := p.policies
	for namespace, policies := range p.remaining {
		if c.limits(namespace) {
			wanted = append(slices.Clip(wanted), policies...)
		}
	}
	names := map[types.NamespacedName]bool{}
	for _, want := range wanted {
		key := types.NamespacedName{Namespace: *want.Namespace, Name: *want.Name}
		names[key] = true
		if !reflect.DeepEqual(c.policies[key].written, want) {
			return &write{"policy " + key.String(), func() {
				c.policies[key] = policy{want, typed[networkingv1.NetworkPolicy](want)}
				c.changed()
			}}
		}
	}
	for _, key := range sorted(c.policies) {
		if !names[key] {
			return &write{"no policy " + key.String(), func() { delete(c.policies, key); c.changed() }}
		}
	}
	return nil
}

func (p *plan) nextSecret() *write {
	c := p.cluster
	for _, key := range sorted(c.secrets) {
		if !slices.Contains(p.secrets, key) {
			return &write{"no Secret " + key.String(), func() { delete(c.secrets, key) }}
		}
	}
	for _, key := range p.secrets {
		if !c.secrets[key] {
			return &write{"Secret " + key.String(), func() { c.secrets[key] = true }}
		}
	}
	return nil
}

func sorted[V any](m map[types.NamespacedName]V) []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(m), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
}

// way is that a declaration may use a store: by a policy, or by the parameters of the rules; or that a Secret is there.
type way struct {
	kind        string
	declaration int // of declarations
	store       types.NamespacedName
	secret      types.NamespacedName
}

const (
	byPolicy     = "policy"
	byParameters = "parameters"
	bySecret     = "Secret"
)

func (w way) String() string {
	if w.kind == bySecret {
		return "Secret " + w.secret.String()
	}
	return fmt.Sprintf("%s to %s by its %s", w.store, declarations[w.declaration], w.kind)
}

// open are all ways that are open.
func (c *cluster) open() map[way]bool {
	if c.byPolicy == nil {
		c.byPolicy = map[way]bool{}
		for i, d := range declarations {
			for _, store := range stores {
				if c.opens(d, store) {
					c.byPolicy[way{kind: byPolicy, declaration: i, store: store}] = true
				}
			}
		}
	}
	ways := maps.Clone(c.byPolicy)
	for i, d := range declarations {
		for _, store := range stores {
			if c.shows(d, store) {
				ways[way{kind: byParameters, declaration: i, store: store}] = true
			}
		}
	}
	for key := range c.secrets {
		ways[way{kind: bySecret, secret: key}] = true
	}
	return ways
}
