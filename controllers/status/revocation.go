package status

import (
	"context"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
)

// revocation tells what is left of contracts that ended.
type revocation interface {
	// Left is what is left of a contract that is not in force, as the caches know it; nil: it is not known yet.
	Left(ctx context.Context, current *entrustment.Snapshot, contract *v1alpha1.Entrustment) (*draining.Left, error)
	// Confirm says whether a contract of which nothing is left is closed, as the API server knows it.
	Confirm(ctx context.Context, current *entrustment.Snapshot, contract *v1alpha1.Entrustment) (closed bool, err error)

	// Indexed has to have synced before Left is asked.
	Indexed() source.Source
	// Traces are the kinds whose changes tell of a revocation, and Traced the contracts that one of them has to do with.
	Traces() []client.Object
	Traced(ctx context.Context, object client.Object) []reconcile.Request
}

// drainInterval is how often it is looked for what is left of a contract: Secrets are not watched here, and what was asked before
// everything was attempted is asked again.
const drainInterval = time.Second

// watchRevocation wakes the contracts that are not in force when something of them goes, or is there again.
func (o Options) watchRevocation(b *builder.Builder, follower *snapshot.Follower) {
	if o.Revocation == nil {
		return
	}
	b.WatchesRawSource(o.Revocation.Indexed())
	for _, kind := range o.Revocation.Traces() {
		b.Watches(kind, follower.InTurn(o.Revocation.Traced))
	}
}

// contract finds the status of an Entrustment: what the snapshot finds, and how far its revocation has come. Only who looks
// closely may say for the first time that nothing is left.
func (o Options) contract(closely bool) func(context.Context, *entrustment.Snapshot, *v1alpha1.Entrustment) (finding[v1alpha1.EntrustmentStatus], error) {
	return func(ctx context.Context, current *entrustment.Snapshot, live *v1alpha1.Entrustment) (found finding[v1alpha1.EntrustmentStatus], err error) {
		found.status, found.known = current.EntrustmentStatus(live.Name)
		if !found.known || o.Revocation == nil {
			return found, nil
		}
		inForce := current.InForce(live.Name)
		var left *draining.Left
		if !inForce {
			if left, err = o.left(ctx, current, live, closely); err != nil {
				return finding[v1alpha1.EntrustmentStatus]{}, err
			}
		}
		revocation, revoked := draining.Revoked(live, found.status.ObservedGeneration, inForce, left, o.Clock.Now())
		if revoked == nil {
			return found, nil
		}
		if !inForce && (left == nil || left.Any()) {
			found.again = drainInterval
		}
		found.status.Revocation = revocation
		found.status.Conditions = append(found.status.Conditions, *revoked)
		slices.SortFunc(found.status.Conditions, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
		return found, nil
	}
}

// left is what is left of a contract; nil: that is not known.
func (o Options) left(ctx context.Context, current *entrustment.Snapshot, live *v1alpha1.Entrustment, closely bool) (*draining.Left, error) {
	left, err := o.Revocation.Left(ctx, current, live)
	if err != nil || left == nil || left.Any() || live.Status.Revocation != nil && live.Status.Revocation.VerifiedTime != nil {
		return left, err
	}
	if !closely {
		return nil, nil
	}
	if closed, err := o.Revocation.Confirm(ctx, current, live); !closed || err != nil {
		return nil, err
	}
	return left, nil
}
