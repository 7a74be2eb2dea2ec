package sequence

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/oracle"
)

// most writes that one operation may give rise to; with more, the operator does not come to rest.
const most = 500

// player plays operations in the model.
type player struct {
	*rand.Rand
	world    oracle.World
	cluster  *cluster
	snapshot *entrustment.Snapshot // in force
	older    *entrustment.Snapshot // the one before, by which a replica may still answer

	census census
}

// census counts what happened, so that a test can tell whether it tested anything.
type census struct{ operations, refused, writes, restarts, opened, closed, admitted, ended int }

// play returns what is wrong; empty: nothing.
func (p *player) play(operations []Operation, now time.Time) string {
	p.world, p.cluster = begin(now), newCluster()
	if wrong := p.follow(nil); wrong != "" {
		return "at the beginning: " + wrong
	}
	for i, o := range operations {
		before := p.world
		p.world = p.world.Clone() // what older snapshots were compiled from does not change
		p.census.operations++
		var late *pod
		if o.start != nil {
			started := *o.start
			started.name = fmt.Sprint("pod-", i)
			late = &started
		} else {
			o.change(&p.world)
		}
		for namespace, uid := range p.world.Namespaces {
			if before.Namespaces[namespace] != uid {
				p.cluster.lose(namespace)
			}
		}
		if wrong := p.follow(late); wrong != "" {
			return fmt.Sprintf("after operation %d, %s: %s", i, o.Name, wrong)
		}
	}
	return ""
}

// follow lets the operator follow what the world has become, and looks at the cluster after each of its writes. A pod that
// is to start does so before one of them.
func (p *player) follow(late *pod) string {
	p.older, p.snapshot = p.snapshot, entrustment.Compile(p.world.Inputs, p.world.Now)
	if p.older == nil {
		p.older = p.snapshot
	}
	plan := planFor(p.cluster, p.snapshot)
	was := p.cluster.open()
	for range most {
		if late != nil && p.IntN(3) == 0 {
			p.start(late)
			late = nil
		}
		p.connect()
		w := plan.next()
		if w == nil {
			if late != nil {
				p.start(late)
				p.connect()
			}
			return p.settled()
		}
		running := len(p.cluster.pods)
		w.do()
		is := p.cluster.open()
		for way := range is {
			if was[way] {
				continue
			}
			p.census.opened++
			if !p.authorised(way) {
				return fmt.Sprintf("the write %q opens %s", w.what, way)
			}
		}
		for way := range was {
			if !is[way] {
				p.census.closed++
			}
		}
		p.census.writes++
		p.census.ended += running - len(p.cluster.pods)
		was = is
		if p.IntN(10) == 0 { // killed, and started anew: it knows nothing but what is there
			p.census.restarts++
			plan = planFor(p.cluster, p.snapshot)
		}
	}
	return fmt.Sprintf("no rest after %d writes", most)
}

// start a pod, if it is let in.
func (p *player) start(late *pod) {
	s := p.snapshot
	if p.IntN(2) == 0 {
		s = p.older
	}
	if p.cluster.admits(late, s) {
		p.census.admitted++
		p.cluster.pods = append(p.cluster.pods, late)
	}
}

// connect lets each pod open a connection to each store that a policy opens to it. What it reaches because there is no policy
// yet was not granted, and is not taken away: a store that is enforced anew cuts what comes after.
func (p *player) connect() {
	for _, pod := range p.cluster.pods {
		for _, store := range stores {
			if p.cluster.guards(pod, store) && p.cluster.opens(pod, store) {
				if pod.ways == nil {
					pod.ways = map[types.NamespacedName]bool{}
				}
				pod.ways[store] = true
			}
		}
	}
}

// guarded says whether a policy of ours stands between a pod and a store: none does before a store that only reports, nor
// between a namespace that nobody is bound to and a store outside the cluster.
func (p *player) guarded(pod *pod, store types.NamespacedName) bool {
	return !entrustment.Reports(p.snapshot.Store(store)) && (store != outside || p.cluster.limits(pod.namespace))
}

// authorised says whether a way may be open.
func (p *player) authorised(w way) bool {
	if w.kind == bySecret {
		return slices.ContainsFunc(p.snapshot.Deliveries(w.secret.Namespace), func(d entrustment.Delivery) bool { return d.Name == w.secret.Name })
	}
	d := declarations[w.declaration]
	allowed, _ := oracle.Authorize(p.world.Inputs, p.world.Now, d.request(w.store))
	return allowed || w.kind == byPolicy && !p.guarded(d, w.store)
}

// settled says what is wrong when the operator has nothing left to write.
func (p *player) settled() string {
	open := p.cluster.open()
	for w := range open {
		if !p.authorised(w) {
			return fmt.Sprintf("at rest, what is not authorised is open: %s", w)
		}
	}
	for i, d := range declarations {
		for _, store := range stores {
			if allowed, _ := oracle.Authorize(p.world.Inputs, p.world.Now, d.request(store)); !allowed {
				continue
			}
			for _, kind := range []string{byPolicy, byParameters} {
				if w := (way{kind: kind, declaration: i, store: store}); !open[w] {
					return fmt.Sprintf("at rest, what is authorised is not open: %s", w)
				}
			}
		}
	}
	for _, pod := range p.cluster.pods {
		for store := range pod.ways {
			allowed, _ := oracle.Authorize(p.world.Inputs, p.world.Now, pod.request(store))
			if !allowed && p.guarded(pod, store) {
				return fmt.Sprintf("at rest, %s still runs, which once had a way to %s and has it no more", pod, store)
			}
		}
	}
	return ""
}

func (c *census) add(other census) {
	c.operations += other.operations
	c.writes += other.writes
	c.restarts += other.restarts
	c.opened += other.opened
	c.closed += other.closed
	c.admitted += other.admitted
	c.ended += other.ended
}
