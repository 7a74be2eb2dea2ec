package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
)

// Purposes judges whether a new Purpose is a part of one that its own data controller published.
func Purposes(snapshots source, recorder eventRecorder) admission.Handler {
	return &purposes{snapshots: snapshots, recorder: recorder}
}

type purposes struct {
	snapshots source
	recorder  eventRecorder
}

// Handle answers one review.
func (h *purposes) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Resource.Resource != "purposes" || req.Operation != admissionv1.Create {
		return refused(fmt.Sprintf("operation %s on %s is not judged here", req.Operation, req.Resource.Resource))
	}
	purpose := &v1alpha1.Purpose{}
	if err := decode(req.Object.Raw, purpose); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	snapshot, err := h.snapshots.Current()
	if err != nil {
		return retry(fmt.Sprintf("Purpose %q cannot be judged yet: %v; try again", purpose.Name, err))
	}
	other := snapshot.ParentOfOther(purpose)
	if other == "" {
		return admission.Allowed("")
	}
	message := fmt.Sprintf("Purpose %q of %q: %s: its parent %q is of %q; name a parent that the same data controller published, or none",
		purpose.Name, purpose.Spec.ControllerName, v1alpha1.ReasonControllerMismatch, purpose.Spec.ParentName, other)
	if told(req) {
		purpose.TypeMeta = typeOf("Purpose")
		h.recorder.Eventf(purpose, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonControllerMismatch), "RefusePurpose", "%.*s", maxNote, message)
	}
	return refusedFor(v1alpha1.ReasonControllerMismatch, message)
}
