package snapshot

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/internal/entrustment"
)

// ErrNotReady is the answer of Current before the first snapshot.
var ErrNotReady = errors.New("the operator is still reading what is granted")

// Publisher holds the snapshot in force and wakes those who follow it, each stage after the ones before it. The zero
// Publisher has no snapshot yet.
type Publisher struct {
	current atomic.Pointer[edition]

	mu        sync.Mutex
	followers []*Follower
	moved     chan struct{}      // closed when a stage may have come further
	passed    map[Stage]*edition // that the stages before were last seen to have done
}

// edition is a snapshot in its place among all that were published.
type edition struct {
	snapshot *entrustment.Snapshot
	number   uint64    // from 1
	outdated time.Time // when the next one was published; guarded by the publisher's lock
}

// Current is the snapshot in force; ErrNotReady before the first.
func (p *Publisher) Current() (*entrustment.Snapshot, error) {
	if e := p.current.Load(); e != nil {
		return e.snapshot, nil
	}
	return nil, ErrNotReady
}

// Publish puts a snapshot in force.
func (p *Publisher) Publish(next *entrustment.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := &edition{snapshot: next, number: 1}
	if last := p.current.Load(); last != nil {
		e.number, last.outdated = last.number+1, time.Now()
	}
	p.current.Store(e)
	for _, f := range p.followers {
		wake(f.woken)
	}
}

// Changes names the roots that have to be looked at again when one snapshot follows another; old is nil for the first.
type Changes func(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request

// Follow is a source of the changes between one snapshot and the next, in the stage's turn. It has not synced before there
// is a snapshot, so that a reconciler that follows never runs without one. A follower that is slow misses snapshots, but no
// change. Those who come later wait until the reconciler has attempted its requests: it has to be wrapped by Attempts.
func (p *Publisher) Follow(stage Stage, changes Changes) *Follower {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := &Follower{
		publisher: p, stage: stage, changes: changes, synced: make(chan struct{}), woken: make(chan struct{}, 1),
		due: map[reconcile.Request]span{}, oldest: map[uint64]int{}, held: map[reconcile.Request]bool{},
	}
	p.followers = append(p.followers, f)
	wake(f.woken)
	return f
}

// Passed is the last snapshot of which all stages before this one were seen to have attempted everything, by those who follow
// in this stage; nil: none yet.
func (p *Publisher) Passed(stage Stage) *entrustment.Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.passed[stage]; e != nil {
		return e.snapshot
	}
	return nil
}

// forget lets nobody wait any more for a follower that has stopped.
func (p *Publisher) forget(f *Follower) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.followers = slices.DeleteFunc(p.followers, func(other *Follower) bool { return other == f })
	p.move()
}

// move tells those who wait for a turn to look again.
func (p *Publisher) move() {
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// wake fills a channel of one; a reader that is already due need not be told twice.
func wake(follower chan<- struct{}) {
	select {
	case follower <- struct{}{}:
	default:
	}
}
