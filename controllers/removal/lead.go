package removal

import (
	"context"
	"errors"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Hold is how long the lease stays taken after it was renewed last: long enough for the replicas to be deleted after the
// drain is done, for the next of them to lead would give back what was withdrawn.
const Hold = 30 * time.Second

const renewal = 2 * time.Second

// Lead is the leader's lease, taken from whoever has it. Replicas are not asked: there may be none, or none that answers.
type Lead struct {
	Client   client.Client // reads the API server itself
	Lease    types.NamespacedName
	Identity string
}

// Take takes the lease, and returns when whoever led before has stopped writing: when the lease would have ended that it
// renewed last.
func (l *Lead) Take(ctx context.Context) error {
	var before coordinationv1.LeaseSpec
	err := retry.OnError(wait.Backoff{Duration: 50 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Steps: 20}, contested, func() (err error) {
		before, err = l.write(ctx, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("taking Lease %s from the replica that leads: %w", l.Lease, err)
	}
	if ptr.Deref(before.HolderIdentity, "") == "" || before.RenewTime == nil {
		return nil // it was given back
	}
	ended := before.RenewTime.Add(time.Duration(ptr.Deref(before.LeaseDurationSeconds, 0)) * time.Second)
	handedOver, cancel := context.WithDeadline(ctx, ended)
	defer cancel()
	return errors.Join(l.Keep(handedOver), ctx.Err())
}

// contested says that somebody else wrote at the same moment: who leads renews every second.
func contested(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }

// Keep renews the lease until the context ends, or somebody else has it.
func (l *Lead) Keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(renewal):
		}
		if _, err := l.write(ctx, true); err != nil && !contested(err) && ctx.Err() == nil {
			return fmt.Errorf("renewing Lease %s: %w", l.Lease, err)
		}
	}
}

// write takes the lease, or renews it, and returns what it was before.
func (l *Lead) write(ctx context.Context, mine bool) (before coordinationv1.LeaseSpec, err error) {
	lease := &coordinationv1.Lease{}
	err = l.Client.Get(ctx, l.Lease, lease)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return before, err
	}
	before = *lease.Spec.DeepCopy()
	now := metav1.NowMicro()
	if holder := ptr.Deref(before.HolderIdentity, ""); holder != l.Identity {
		if mine {
			return before, fmt.Errorf("%q has taken it", holder)
		}
		lease.Spec.AcquireTime = &now
		lease.Spec.LeaseTransitions = ptr.To(ptr.Deref(before.LeaseTransitions, 0) + 1)
	}
	lease.Spec.HolderIdentity, lease.Spec.RenewTime = &l.Identity, &now
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(Hold / time.Second))
	if missing {
		lease.Namespace, lease.Name = l.Lease.Namespace, l.Lease.Name
		return before, l.Client.Create(ctx, lease)
	}
	return before, l.Client.Update(ctx, lease)
}
