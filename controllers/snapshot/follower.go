package snapshot

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Stage is a place in the order in which the cluster is brought to a snapshot. What a snapshot takes away goes in this order,
// so that an operator that is killed at any point leaves less than what was granted, never a way in that nobody remembers.
type Stage int

// The stages. Unordered waits for nobody, and nobody for it.
const (
	Unordered   Stage = iota
	Policies          // what lets packets through
	Parameters        // what lets pods in, and is the memory of what they were let in for
	Credentials       // what opens a store
	Pods              // who holds what was granted
	Telling           // what is said of it
)

// Patience is how long a stage waits for each stage before it: a call that hangs must not keep the rest open.
const Patience = 10 * time.Second

// Follower is a source of requests, made by Publisher.Follow.
type Follower struct {
	publisher *Publisher
	stage     Stage
	changes   Changes
	synced    chan struct{}
	woken     chan struct{}
	seenLast  *edition // by those who ask what changed

	// Guarded by the publisher's lock.
	seen   uint64                     // the edition of which all requests are in the queue
	due    map[reconcile.Request]span // requests that nobody has attempted yet
	oldest map[uint64]int             // how many of them are due since an edition
	held   map[reconcile.Request]bool // requests of others that wait for the stage's turn
}

// span are the editions for which a request is due.
type span struct{ first, last uint64 }

// Start wakes the reconciler until the context ends.
func (f *Follower) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	go func() {
		defer f.publisher.forget(f)
		f.seenLast = &edition{}
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.woken:
			}
			next := f.publisher.current.Load()
			if next == nil || !f.await(ctx, next) {
				continue
			}
			var requests []reconcile.Request
			if next != f.seenLast {
				requests = f.changes(ctx, f.seenLast.snapshot, next.snapshot)
			}
			for _, request := range f.begin(next, requests) {
				queue.Add(request)
			}
			if f.seenLast.snapshot == nil {
				close(f.synced)
			}
			f.seenLast = next
		}
	}()
	return nil
}

// String is what a controller says that did not wait for it to the end. Of all else it would print what changes meanwhile.
func (f *Follower) String() string { return "of the snapshot" }

// Since is when the first snapshot was published that the follower had not seen, and so the earliest instant at which what it
// asks for may have come about. It is for Changes to ask; zero: there was none before.
func (f *Follower) Since() time.Time {
	f.publisher.mu.Lock()
	defer f.publisher.mu.Unlock()
	return f.seenLast.outdated
}

// WaitForSync returns once the first snapshot was followed.
func (f *Follower) WaitForSync(ctx context.Context) error {
	select {
	case <-f.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// InTurn wakes the reconciler for an object, but not before its stage has its turn.
func (f *Follower) InTurn(requests handler.MapFunc) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, object client.Object) []reconcile.Request {
		wanted := requests(ctx, object)
		f.publisher.mu.Lock()
		defer f.publisher.mu.Unlock()
		for _, request := range wanted {
			f.held[request] = true
			wake(f.woken)
		}
		return nil
	})
}

// reader is a reconciler that may have to read something before it can attempt a request. It is woken when it has.
type reader interface {
	Reading(req reconcile.Request) bool
}

// Attempts is the reconciler, of which is noted what it has attempted. That it failed makes no difference: a policy that
// cannot be written must not keep what comes after it open. What it is still reading for counts as attempted when it was, or
// patience ends.
func (f *Follower) Attempts(r reconcile.Reconciler) reconcile.Reconciler {
	reads, _ := r.(reader)
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		end := f.attempt(req)
		result, err := r.Reconcile(ctx, req)
		if err == nil && reads != nil && reads.Reading(req) {
			time.AfterFunc(Patience, end)
		} else {
			end()
		}
		return result, err
	})
}

// await returns when all stages before have attempted what an edition asks of them, or did not in time; false: the context
// has ended.
func (f *Follower) await(ctx context.Context, e *edition) bool {
	p := f.publisher
	late := time.NewTimer(Patience * time.Duration(max(0, f.stage-Policies)))
	defer late.Stop()
	for {
		p.mu.Lock()
		if f.isNext(e) {
			p.mu.Unlock()
			return true
		}
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return false
		case <-late.C:
			return true
		case <-moved:
		}
	}
}

// isNext says whether all stages before have done an edition, and notes that they have.
func (f *Follower) isNext(e *edition) bool {
	p := f.publisher
	for _, other := range p.followers {
		if other.stage != Unordered && other.stage < f.stage && other.done() < e.number {
			return false
		}
	}
	if p.passed == nil {
		p.passed = map[Stage]*edition{}
	}
	if last := p.passed[f.stage]; last == nil || last.number < e.number {
		p.passed[f.stage] = e
	}
	return true
}

// done is the last edition of which all requests were attempted.
func (f *Follower) done() uint64 {
	if len(f.oldest) == 0 {
		return f.seen
	}
	return slices.Min(slices.Collect(maps.Keys(f.oldest))) - 1
}

// begin notes that an edition's requests are due, and returns what is to be put in the queue.
func (f *Follower) begin(e *edition, requests []reconcile.Request) []reconcile.Request {
	f.publisher.mu.Lock()
	defer f.publisher.mu.Unlock()
	for _, request := range requests {
		s, already := f.due[request]
		if !already {
			s.first = e.number
			f.oldest[s.first]++
		}
		s.last = e.number
		f.due[request] = s
		delete(f.held, request)
	}
	f.seen = e.number
	for request := range f.held {
		requests = append(requests, request)
	}
	clear(f.held)
	f.publisher.move()
	return requests
}

// attempt begins an attempt, and returns what ends it: by then it has seen what was due when it began, but perhaps not what
// became due since.
func (f *Follower) attempt(request reconcile.Request) (end func()) {
	p := f.publisher
	p.mu.Lock()
	defer p.mu.Unlock()
	begun := f.due[request].last
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s, due := f.due[request]
		if !due || begun < s.first {
			return
		}
		before := f.done()
		if f.oldest[s.first]--; f.oldest[s.first] == 0 {
			delete(f.oldest, s.first)
		}
		if delete(f.due, request); s.last > begun {
			f.due[request] = span{begun + 1, s.last}
			f.oldest[begun+1]++
		}
		if f.done() > before {
			p.move()
		}
	})
}
