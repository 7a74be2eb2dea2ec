package freshness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"entrustment.dev/operator/internal/entrustment"
)

// Silence is how long the lease may go without a renewal: twice as long as it lasts.
const Silence = 30 * time.Second

// source of the snapshot in force.
type source interface {
	Current() (*entrustment.Snapshot, error)
}

// Lease is the snapshot of a replica that has lately seen the leader's lease renewed. The zero value has seen nothing.
type Lease struct {
	Snapshots source
	Silence   time.Duration // zero is the constant Silence
	Alone     bool          // there is one replica, and no lease: nothing is asked

	heard atomic.Pointer[time.Time]
}

// Follow watches the lease, the only one that the cache holds.
func (l *Lease) Follow(ctx context.Context, leases cache.Cache) error {
	informer, err := leases.GetInformer(ctx, &coordinationv1.Lease{}, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching the leader's lease: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { l.hear() },
		UpdateFunc: func(old, next any) {
			// What is told again out of the cache itself was not heard.
			if old.(*coordinationv1.Lease).ResourceVersion != next.(*coordinationv1.Lease).ResourceVersion {
				l.hear()
			}
		},
	})
	return err
}

func (l *Lease) hear() {
	now := time.Now() // with the monotonic clock
	l.heard.Store(&now)
}

// Current is the snapshot in force, or an error while withdrawals may not arrive here.
func (l *Lease) Current() (*entrustment.Snapshot, error) {
	if err := l.Heard(nil); err != nil {
		return nil, err
	}
	return l.Snapshots.Current()
}

// Heard is a check that the API server was heard of lately.
func (l *Lease) Heard(*http.Request) error {
	silence := l.Silence
	if silence == 0 {
		silence = Silence
	}
	heard := l.heard.Load()
	if l.Alone {
		return nil
	}
	if heard == nil {
		return errors.New("this replica has not seen the leader's lease yet")
	}
	if since := time.Since(*heard); since > silence {
		return fmt.Errorf("this replica has not seen the leader's lease renewed for %s, so it may not know what was withdrawn since; "+
			"see whether it reaches the API server, and whether a replica leads", since.Round(time.Second))
	}
	return nil
}
