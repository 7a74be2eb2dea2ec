package sequence

import (
	"context"
	"fmt"
	"maps"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
)

// witness sees every single write to policies and parameters.
type witness struct {
	mu     sync.Mutex
	events []watch.Event
	writes int // testified to

	cluster *cluster // as far as was testified
}

func watchAll(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) *witness {
	GinkgoHelper()
	watcher, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	w := &witness{cluster: newCluster()}
	for _, list := range []client.ObjectList{&networkingv1.NetworkPolicyList{}, &v1alpha1.PersonalDataAccessList{}} {
		stream, err := watcher.Watch(context.WithoutCancel(ctx), list)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(stream.Stop)
		go func() {
			for event := range stream.ResultChan() {
				w.mu.Lock()
				w.events = append(w.events, event)
				w.mu.Unlock()
			}
		}()
	}
	return w
}

// testify says which write since the last time opened what the world, as it is now, does not authorise; empty: none. Between two
// testimonies the world changes once.
//
// Policies of a namespace that is going go one by one, and its pods with them: what they opened is not held against anybody.
func (w *witness) testify(p *player, going map[string]bool) string {
	w.mu.Lock()
	events := w.events
	w.events = nil
	w.mu.Unlock()
	then := *p // judges what was open then
	then.cluster = w.cluster
	was := w.cluster.open()
	for _, event := range events {
		gone := event.Type == watch.Deleted
		switch object := event.Object.(type) {
		case *networkingv1.NetworkPolicy:
			key := client.ObjectKeyFromObject(object)
			if w.cluster.policies[key] = (policy{typed: object}); gone {
				delete(w.cluster.policies, key)
			}
			w.cluster.changed()
		case *v1alpha1.PersonalDataAccess:
			if w.cluster.access[object.Namespace] = (access{typed: object}); gone {
				delete(w.cluster.access, object.Namespace)
			}
		default:
			return fmt.Sprintf("the watch ended: %v", event.Object)
		}
		w.writes++
		is := w.cluster.open()
		for way := range is {
			if !was[way] && !then.authorised(way) && !p.authorised(way) && !going[declarations[way.declaration].namespace] {
				return fmt.Sprintf("the write of %T %s opened %s", event.Object, client.ObjectKeyFromObject(event.Object.(client.Object)), way)
			}
		}
		was = is
	}
	return ""
}

// sees says whether the witness has seen everything that a cluster holds.
func (w *witness) sees(c *cluster) bool {
	seen := map[string]string{}
	note := func(kind string, object client.Object, gone bool) {
		key := kind + client.ObjectKeyFromObject(object).String()
		if seen[key] = object.GetResourceVersion(); gone {
			delete(seen, key)
		}
	}
	for _, p := range w.cluster.policies {
		note("policy ", p.typed, false)
	}
	for _, a := range w.cluster.access {
		note("access ", a.typed, false)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, event := range w.events {
		switch object := event.Object.(type) {
		case *networkingv1.NetworkPolicy:
			note("policy ", object, event.Type == watch.Deleted)
		case *v1alpha1.PersonalDataAccess:
			note("access ", object, event.Type == watch.Deleted)
		}
	}
	live := map[string]string{}
	for key, p := range c.policies {
		live["policy "+key.String()] = p.typed.ResourceVersion
	}
	for _, a := range c.access {
		live["access "+client.ObjectKeyFromObject(a.typed).String()] = a.typed.ResourceVersion
	}
	return maps.Equal(seen, live)
}
