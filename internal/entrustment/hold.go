package entrustment

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// Withdrawn returns the inputs as they are to be when nobody enforces them any more, for a reason: every store that cuts is
// suspended, so that all that is granted is for stores that only report. Those end no pod, and nobody is left to give a new pod
// the deadline without which it is refused: so no contract asks for one.
func (in Inputs) Withdrawn(reason string) Inputs {
	in.Stores = each(in.Stores, (*v1alpha1.PersonalDataStore).DeepCopy, func(s *v1alpha1.PersonalDataStore) {
		if !Reports(s) {
			s.Spec.Suspended, s.Spec.SuspendedReason = true, reason
		}
	})
	in.Entrustments = each(in.Entrustments, (*v1alpha1.Entrustment).DeepCopy, func(e *v1alpha1.Entrustment) {
		e.Spec.PodDeadline = v1alpha1.PodDeadlineOff
	})
	return in
}

// Held returns the inputs in which what is new, or was changed since its status was written last, has no effect but to deny, of
// those kinds for which there is a reason. It counts as suspended, a Purpose as withdrawn; and as not acted upon, so that it is
// held again, by whichever replica, for as long as there is a reason.
func (in Inputs) Held(reasons map[string]string) Inputs {
	if _, some := reasons["Purpose"]; some {
		in.Purposes = each(in.Purposes, (*v1alpha1.Purpose).DeepCopy, func(p *v1alpha1.Purpose) {
			if hold(&p.ObjectMeta, p.Status.ObservedGeneration) {
				p.Spec.NotBefore, p.Spec.NotAfter = nil, &metav1.Time{Time: time.Unix(0, 0)}
			}
		})
	}
	if reason, some := reasons["DataProcessor"]; some {
		in.Processors = each(in.Processors, (*v1alpha1.DataProcessor).DeepCopy, func(p *v1alpha1.DataProcessor) {
			if hold(&p.ObjectMeta, p.Status.ObservedGeneration) {
				p.Spec.Suspended, p.Spec.SuspendedReason = true, reason
			}
		})
	}
	if reason, some := reasons["Entrustment"]; some {
		in.Entrustments = each(in.Entrustments, (*v1alpha1.Entrustment).DeepCopy, func(e *v1alpha1.Entrustment) {
			if hold(&e.ObjectMeta, e.Status.ObservedGeneration) {
				e.Spec.Suspended, e.Spec.SuspendedReason = true, reason
			}
		})
	}
	if reason, some := reasons["PersonalDataStore"]; some {
		in.Stores = each(in.Stores, (*v1alpha1.PersonalDataStore).DeepCopy, func(s *v1alpha1.PersonalDataStore) {
			if hold(&s.ObjectMeta, s.Status.ObservedGeneration) {
				s.Spec.Suspended, s.Spec.SuspendedReason = true, reason
			}
		})
	}
	return in
}

// hold says whether an object is as nobody has acted upon it, and makes it the generation that was acted upon last.
func hold(object *metav1.ObjectMeta, observed int64) bool {
	if object.Generation == observed {
		return false
	}
	object.Generation = observed
	return true
}

// each changes copies: the objects themselves are shared with the caches.
func each[T any](objects []T, copied func(T) T, change func(T)) []T {
	all := make([]T, len(objects))
	for i, object := range objects {
		all[i] = copied(object)
		change(all[i])
	}
	return all
}
