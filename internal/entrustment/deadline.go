package entrustment

import (
	"cmp"
	"math"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
)

// podDeadline is the contract's own. One above it changes when the pods below have to end, never whether.
func (c *contract) podDeadline() v1alpha1.PodDeadline {
	return cmp.Or(c.obj.Spec.PodDeadline, v1alpha1.PodDeadlineArmed)
}

// PodsEnd is the instant at which the kubelet has to end the pods that act under this decision, by itself; zero: it need
// not, because there is no contract, or its deadline is off, or time alone never ends it. Only an allow has one. It is a
// whole second, as the API shows it: a pod may end early, never late.
func (d Decision) PodsEnd() time.Time {
	if !d.Allowed() || d.contract == nil || d.contract.podDeadline() != v1alpha1.PodDeadlineArmed {
		return time.Time{}
	}
	return d.Until().Truncate(time.Second) // the zero time stays zero
}

// DeadlineSeconds is how long a pod may be active that starts at one instant and has to end at another, in the seconds of
// spec.activeDeadlineSeconds: at least one, because the API server takes no less, and no more than it takes.
func DeadlineSeconds(start, end time.Time) int64 {
	return min(max(int64(end.Sub(start)/time.Second), 1), math.MaxInt32)
}
