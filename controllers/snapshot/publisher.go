package snapshot

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/internal/entrustment"
)

// ErrNotReady is the answer of Current before the first snapshot.
var ErrNotReady = errors.New("the operator is still reading what is granted")

// Publisher holds the snapshot in force and wakes those who follow it. The zero Publisher has none yet.
type Publisher struct {
	current atomic.Pointer[entrustment.Snapshot]

	mu        sync.Mutex
	followers []chan struct{}
}

// Current is the snapshot in force; ErrNotReady before the first.
func (p *Publisher) Current() (*entrustment.Snapshot, error) {
	if snapshot := p.current.Load(); snapshot != nil {
		return snapshot, nil
	}
	return nil, ErrNotReady
}

// Publish puts a snapshot in force.
func (p *Publisher) Publish(next *entrustment.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current.Store(next)
	for _, follower := range p.followers {
		wake(follower)
	}
}

// Changes names the roots that have to be looked at again when one snapshot follows another; old is nil for the first.
type Changes func(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request

// Follow is a source of the changes between one snapshot and the next. It has not synced before there is a snapshot, so
// that a reconciler that follows never runs without one. A follower that is slow misses snapshots, but no change.
func (p *Publisher) Follow(changes Changes) source.SyncingSource {
	return &follower{publisher: p, changes: changes, synced: make(chan struct{})}
}

type follower struct {
	publisher *Publisher
	changes   Changes
	synced    chan struct{}
}

// Start wakes the reconciler until the context ends.
func (f *follower) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	published := f.publisher.subscribe()
	go func() {
		var seen *entrustment.Snapshot
		for {
			select {
			case <-ctx.Done():
				return
			case <-published:
			}
			next, err := f.publisher.Current()
			if err != nil || next == seen {
				continue
			}
			for _, request := range f.changes(ctx, seen, next) {
				queue.Add(request)
			}
			if seen == nil {
				close(f.synced)
			}
			seen = next
		}
	}()
	return nil
}

// WaitForSync returns once the first snapshot was followed.
func (f *follower) WaitForSync(ctx context.Context) error {
	select {
	case <-f.synced:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe returns a channel that is filled whenever there is a snapshot that its reader may not have seen.
func (p *Publisher) subscribe() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	published := make(chan struct{}, 1)
	p.followers = append(p.followers, published)
	wake(published)
	return published
}

// wake fills a channel of one; a reader that is already due need not be told twice.
func wake(follower chan<- struct{}) {
	select {
	case follower <- struct{}{}:
	default:
	}
}
