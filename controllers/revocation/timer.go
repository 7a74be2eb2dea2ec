package revocation

import (
	"context"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
)

// timer observes how long each step took after the snapshot that took something away. It follows it in the turn of whoever
// comes after the step, and holds nobody up: it asks for nothing.
func (r *Reconciler) timer() manager.Runnable {
	var followers []*snapshot.Follower
	seen := &losses{}
	for stage, step := range map[snapshot.Stage]string{
		snapshot.Parameters: "policies", snapshot.Credentials: "parameters", snapshot.Pods: "secrets", snapshot.Telling: "pods",
	} {
		var follower *snapshot.Follower
		follower = r.Publisher.Follow(stage, func(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
			losing := seen.between(old, next)
			if len(losing) == 0 {
				return nil
			}
			latency.WithLabelValues(step).Observe(time.Since(follower.Since()).Seconds())
			if stage == snapshot.Parameters {
				for _, namespace := range losing {
					r.lose(namespace, follower.Since())
				}
			}
			return nil
		})
		followers = append(followers, follower)
	}
	return manager.RunnableFunc(func(ctx context.Context) error {
		for _, follower := range followers {
			if err := follower.Start(ctx, nil); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	})
}

// losses remember which namespaces lost something between the two snapshots that were last compared: all steps ask for the
// same.
type losses struct {
	mu        sync.Mutex
	old, next *entrustment.Snapshot
	losing    []string
}

func (l *losses) between(old, next *entrustment.Snapshot) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.old == old && l.next == next {
		return l.losing
	}
	l.old, l.next, l.losing = old, next, nil
	if old == nil {
		return nil // what was lost before was not seen
	}
	for _, namespace := range old.BoundNamespaces() {
		if !next.SameNamespaceAccess(old, namespace) && loses(old, next, namespace) {
			l.losing = append(l.losing, namespace)
		}
	}
	return l.losing
}

// loses says whether pods of a namespace reach a store no more for a purpose for which they did.
func loses(old, next *entrustment.Snapshot, namespace string) bool {
	granted := map[draining.Key]entrustment.AccessGrant{}
	now, _ := next.NamespaceAccess(namespace)
	for _, g := range now.Grants {
		granted[draining.Key{Entrustment: g.Entrustment, Purpose: g.Purpose}] = g
	}
	before, _ := old.NamespaceAccess(namespace)
	return slices.ContainsFunc(before.Grants, func(g entrustment.AccessGrant) bool {
		still := granted[draining.Key{Entrustment: g.Entrustment, Purpose: g.Purpose}]
		for _, store := range g.Stores {
			if !slices.Contains(still.Stores, store) {
				return true
			}
		}
		return false
	})
}
