package revocation

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/reach"
)

// record is what became of everything that opens a store, and of the pods, write by write.
type record struct {
	mu     sync.Mutex
	events []event
	last   map[string]map[types.NamespacedName]string // resource versions, by kind

	current *view
}

// event is one write. Those of all kinds are in one order, by version.
type event struct {
	watch.Event
	kind    string
	key     types.NamespacedName
	version uint64
	at      time.Time
}

func (e event) String() string { return fmt.Sprintf("%s of %s %s", e.Type, e.kind, e.key) }

// kinds that are watched.
var kinds = map[string]func() client.ObjectList{
	"NetworkPolicy":      func() client.ObjectList { return &networkingv1.NetworkPolicyList{} },
	"PersonalDataAccess": func() client.ObjectList { return &v1alpha1.PersonalDataAccessList{} },
	"Secret":             func() client.ObjectList { return &corev1.SecretList{} },
	"Pod":                func() client.ObjectList { return &corev1.PodList{} },
	"Entrustment":        func() client.ObjectList { return &v1alpha1.EntrustmentList{} },
}

func watchAll(ctx context.Context) *record {
	GinkgoHelper()
	r := &record{last: map[string]map[types.NamespacedName]string{}, current: newView(nil)}
	running := context.WithoutCancel(ctx)
	for kind, list := range kinds {
		r.last[kind] = map[types.NamespacedName]string{}
		begin := list()
		Expect(admin.List(ctx, begin)).To(Succeed())
		Expect(meta.EachListItem(begin, func(item runtime.Object) error {
			r.add(kind, watch.Event{Type: watch.Added, Object: item})
			return nil
		})).To(Succeed())
		// The API server may close a watch, and does so to one that is slow.
		stream, err := toolswatch.NewRetryWatcherWithContext(running, begin.GetResourceVersion(), &cache.ListWatch{
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return admin.Watch(ctx, list(), &client.ListOptions{Raw: &options})
			},
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(stream.Stop)
		go func() {
			for next := range stream.ResultChan() {
				r.add(kind, next)
			}
		}()
	}
	return r
}

func (r *record) add(kind string, next watch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	object, ok := next.Object.(client.Object)
	if !ok {
		return // the watch ended; whoever waits to be up to date says so
	}
	e := event{Event: next, kind: kind, key: client.ObjectKeyFromObject(object), at: time.Now()}
	e.version, _ = strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	r.events = append(r.events, e)
	r.current.apply(e)
	r.last[kind][e.key] = object.GetResourceVersion()
	if next.Type == watch.Deleted {
		delete(r.last[kind], e.key)
	}
}

// now waits until all that was written has been seen, and returns where the record is then.
func (r *record) now(ctx context.Context) int {
	GinkgoHelper()
	for kind, list := range kinds {
		Eventually(func(g Gomega) {
			there, live := list(), map[types.NamespacedName]string{}
			g.Expect(admin.List(ctx, there)).To(Succeed())
			g.Expect(meta.EachListItem(there, func(item runtime.Object) error {
				object := item.(client.Object)
				live[client.ObjectKeyFromObject(object)] = object.GetResourceVersion()
				return nil
			})).To(Succeed())
			r.mu.Lock()
			defer r.mu.Unlock()
			g.Expect(r.last[kind]).To(Equal(live))
		}).Should(Succeed(), "the watch of %s follows", kind)
	}
	return r.here()
}

// here is where the record is.
func (r *record) here() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// since are the events from a place on, as they were written, and what was there before.
func (r *record) since(place int) (before, later []event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	byVersion := func(a, b event) int { return int(a.version) - int(b.version) }
	before, later = slices.Clone(r.events[:place]), slices.Clone(r.events[place:])
	slices.SortStableFunc(before, byVersion)
	slices.SortStableFunc(later, byVersion)
	return before, later
}

// view is the cluster as far as has been seen.
func (r *record) view() *view {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &view{
		policies: maps.Clone(r.current.policies), access: maps.Clone(r.current.access), secrets: maps.Clone(r.current.secrets), pods: maps.Clone(r.current.pods),
	}
}

// view is the cluster after some of the events.
type view struct {
	policies map[types.NamespacedName]*networkingv1.NetworkPolicy
	access   map[string]*v1alpha1.PersonalDataAccess
	secrets  map[types.NamespacedName]bool
	pods     map[types.NamespacedName]*corev1.Pod
}

func newView(events []event) *view {
	v := &view{
		policies: map[types.NamespacedName]*networkingv1.NetworkPolicy{}, access: map[string]*v1alpha1.PersonalDataAccess{},
		secrets: map[types.NamespacedName]bool{}, pods: map[types.NamespacedName]*corev1.Pod{},
	}
	for _, e := range events {
		v.apply(e)
	}
	return v
}

func (v *view) apply(e event) {
	gone := e.Type == watch.Deleted
	switch object := e.Object.(type) {
	case *networkingv1.NetworkPolicy:
		if v.policies[e.key] = object; gone {
			delete(v.policies, e.key)
		}
	case *v1alpha1.PersonalDataAccess:
		if v.access[e.key.Namespace] = object; gone {
			delete(v.access, e.key.Namespace)
		}
	case *corev1.Secret:
		if v.secrets[e.key] = true; gone {
			delete(v.secrets, e.key)
		}
	case *corev1.Pod:
		if v.pods[e.key] = object; gone {
			delete(v.pods, e.key)
		}
	}
}

// scene is what a spec looks at: stores, and what pods of namespaces may declare, each with no contract too.
type scene struct {
	namespaces, contracts []string
	stores                []types.NamespacedName
}

// way is what a pod that declares something may use.
type way struct{ by, namespace, contract, what string }

// Of what a way is made.
const (
	byPolicy     = "policy"
	byParameters = "parameters"
	bySecret     = "Secret"
)

// ways are all that there are to the stores for a namespace under a contract.
func (s *scene) ways(namespace, contract string) map[way]bool {
	all := map[way]bool{}
	for _, store := range s.stores {
		all[way{byPolicy, namespace, contract, store.String()}] = true
		all[way{byParameters, namespace, contract, store.String()}] = true
		all[way{bySecret, namespace, "", delivered(store)}] = true
	}
	return all
}

func delivered(store types.NamespacedName) string {
	return v1alpha1.DeliveredSecretName(store.Namespace, store.Name, "reader")
}

// open are the ways that are open.
func (s *scene) open(v *view) map[way]bool {
	compiled := reach.Compile(slices.Collect(maps.Values(v.policies)))
	ways := map[way]bool{}
	for _, namespace := range s.namespaces {
		for _, store := range s.stores {
			for _, contract := range append([]string{""}, s.contracts...) {
				l := labels.Set{v1alpha1.LabelPurpose: billing}
				if contract != "" {
					l[v1alpha1.LabelEntrustment] = contract
				}
				if compiled.Reaches(reach.Flow{
					From: endpoint(namespace, l, "172.16.0.1"), To: endpoint(store.Namespace, labels.Set{"app": store.Name}, "172.16.0.2"),
					Port: 5432, Protocol: corev1.ProtocolTCP,
				}) {
					ways[way{byPolicy, namespace, contract, store.String()}] = true
				}
			}
			if v.secrets[types.NamespacedName{Namespace: namespace, Name: delivered(store)}] {
				ways[way{bySecret, namespace, "", delivered(store)}] = true
			}
			if access := v.access[namespace]; access != nil {
				for _, g := range access.Grants {
					if slices.Contains(g.Stores, store.String()) {
						ways[way{byParameters, namespace, g.Entrustment, store.String()}] = true
					}
				}
			}
		}
	}
	return ways
}

// now are the ways that are open as far as has been seen.
func (s *scene) now() map[way]bool { return s.open(seen.view()) }

func endpoint(namespace string, l labels.Set, address string) *reach.Endpoint {
	return &reach.Endpoint{
		Namespace: namespace, NamespaceLabels: labels.Set{corev1.LabelMetadataName: namespace}, Labels: l, Address: netip.MustParseAddr(address),
	}
}

// stages of a revocation, in their order.
const (
	policies = iota
	parameters
	secrets
	pods
	notes // cleared
	stages
)

// stageOf tells what a write took away; false: nothing.
func stageOf(v *view, e event) (int, bool) {
	switch object := e.Object.(type) {
	case *networkingv1.NetworkPolicy:
		return policies, e.Type != watch.Added
	case *v1alpha1.PersonalDataAccess:
		was := v.access[e.key.Namespace]
		if was == nil {
			return 0, false
		}
		if e.Type == watch.Deleted || len(object.Draining) < len(was.Draining) {
			return notes, true
		}
		return parameters, len(object.Grants) < len(was.Grants) || len(object.Draining) > len(was.Draining)
	case *corev1.Secret:
		return secrets, e.Type == watch.Deleted
	case *corev1.Pod:
		was := v.pods[e.key]
		return pods, was != nil && was.DeletionTimestamp == nil && (e.Type == watch.Deleted || object.DeletionTimestamp != nil)
	}
	return 0, false
}

// judge looks at every write of a revocation since a place of the record: none opens anything, what is taken away goes in its
// order, and no note is cleared that a pod still holds. It returns how many there were of each stage.
func (s *scene) judge(ctx context.Context, place int) (count [stages]int) {
	GinkgoHelper()
	seen.now(ctx)
	before, later := seen.since(place)
	v := newView(before)
	was := s.open(v)
	latest := -1
	var last event
	for _, e := range later {
		stage, takes := stageOf(v, e)
		v.apply(e)
		is := s.open(v)
		for w := range is {
			Expect(was).To(HaveKey(w), "%s opens %v", e, w)
		}
		was = is
		if !takes || !slices.Contains(append(slices.Clone(s.namespaces), s.homes()...), e.key.Namespace) {
			continue
		}
		count[stage]++
		if stage == notes { // of one namespace it may be cleared before the pods of another have ended
			v.expectNoHolder(e)
			continue
		}
		Expect(stage).To(BeNumerically(">=", latest), "%s comes after %s", e, last)
		latest, last = stage, e
	}
	return count
}

// homes are the namespaces of the stores.
func (s *scene) homes() (namespaces []string) {
	for _, store := range s.stores {
		namespaces = append(namespaces, store.Namespace)
	}
	return namespaces
}

// expectNoHolder makes sure that no pod acts any more under what a namespace neither grants nor notes.
func (v *view) expectNoHolder(cleared event) {
	GinkgoHelper()
	access := v.access[cleared.key.Namespace]
	for key, pod := range v.pods {
		contract := pod.Labels[v1alpha1.LabelEntrustment]
		if key.Namespace != cleared.key.Namespace || contract == "" || access != nil && slices.ContainsFunc(access.Grants, func(g v1alpha1.Grant) bool {
			return g.Entrustment == contract
		}) {
			continue
		}
		Expect(access).NotTo(BeNil(), "pod %s is there still", key)
		Expect(access.Draining).To(ContainElement(HaveField("Entrustment", contract)), "pod %s is there still", key)
	}
}
