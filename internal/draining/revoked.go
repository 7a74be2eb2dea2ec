package draining

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// Left is what is left of what was granted. The zero Left is nothing.
type Left struct {
	Policy string // that lets something through, "namespace/name"
	Secret string // that is granted no more, or the RoleBinding by which it is read: kind and "namespace/name"
	Access string // namespace that lets pods in, or whose pods are being ended
	Pods   int
	Pod    string // the first of them, "namespace/name", and what holds it

	Stays bool // nobody ends the pods: the stores only report
}

// Any says whether anything is left.
func (l Left) Any() bool { return l != Left{} }

func (l Left) String() string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	if l.Policy != "" {
		say("NetworkPolicy %s still lets its pods through", l.Policy)
	}
	if l.Secret != "" {
		say("%s is still there", l.Secret)
	}
	if l.Access != "" {
		say("PersonalDataAccess %s/%s still tells of it", l.Access, v1alpha1.PersonalDataAccessName)
	}
	if l.Pods > 0 {
		say("pods that have not ended: %d, the first %s; one that stays is held by a finalizer, or its node does not answer", l.Pods, l.Pod)
	}
	return strings.Join(said, "; ")
}

// Revoked is what is to be said of the revocation of a contract: the instants of its steps, and the condition. Before is what
// was said last, and generation the one of which it is said now.
//
//	in force                              no instants, False/InForce
//	ended, and something is left          the steps done so far, False/Draining
//	ended, and found closed altogether    all of them, True/Verified
//
// Left is nil while nobody has looked: then what was proved before stands for the generation that it was proved of, and nothing is
// proved anew. A step counts once those before it are done, and no more when something of it is there again. A contract that
// never was in force opened nothing: nothing is said of it.
func Revoked(before *v1alpha1.Entrustment, generation int64, inForce bool, left *Left, now time.Time) (*v1alpha1.Revocation, *metav1.Condition) {
	is := func(status metav1.ConditionStatus, reason v1alpha1.Reason, message string) *metav1.Condition {
		return &metav1.Condition{Type: v1alpha1.ConditionRevoked, Status: status, Reason: string(reason), Message: message, ObservedGeneration: generation}
	}
	was := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionRevoked)
	opened := was != nil || slices.Contains(before.Finalizers, v1alpha1.FinalizerDisposal)
	switch {
	case inForce:
		return nil, is(metav1.ConditionFalse, v1alpha1.ReasonInForce, "access is given")
	case !opened && (left == nil || !left.Any()):
		return nil, nil
	}
	r := before.Status.Revocation.DeepCopy()
	if r == nil {
		r = &v1alpha1.Revocation{}
	}
	at := metav1.NewTime(now).Rfc3339Copy()
	if r.StartTime == nil {
		r.StartTime = &at
	}
	if left == nil {
		if was != nil && was.Status == metav1.ConditionTrue {
			return r, was.DeepCopy()
		}
		return r, is(metav1.ConditionFalse, v1alpha1.ReasonDraining, "access has ended; what is left of it is being taken away")
	}
	advance(r, left, at)
	if r.VerifiedTime == nil {
		return r, is(metav1.ConditionFalse, v1alpha1.ReasonDraining, left.String())
	}
	return r, is(metav1.ConditionTrue, v1alpha1.ReasonVerified, "nothing is left: no policy lets its pods through, no credential is delivered for it, no pod is under it")
}

// advance notes the steps that are done by now, each not before the one before it.
func advance(r *v1alpha1.Revocation, left *Left, now metav1.Time) {
	done, last := true, r.StartTime
	for _, step := range []struct {
		at   **metav1.Time
		left bool
	}{
		{&r.PoliciesRemovedTime, left.Policy != ""},
		{&r.SecretsRemovedTime, left.Secret != ""},
		{&r.PodsEndedTime, left.Access != "" || left.Pods > 0},
		{&r.VerifiedTime, false},
	} {
		if done = done && !step.left; !done {
			*step.at = nil
			continue
		}
		if *step.at == nil {
			*step.at = &now
			if now.Before(last) {
				*step.at = last // the clock was set back
			}
		}
		last = *step.at
	}
}
