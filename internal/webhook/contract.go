package webhook

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
)

// Entrustments judges whether a sub-entrustment asks for more than the tiers above can give. What exceeds them already,
// because a tier above was narrowed since, keeps nobody from changing the rest: the core clips it.
func Entrustments(snapshots source, recorder eventRecorder) admission.Handler {
	return &entrustments{snapshots: snapshots, recorder: recorder}
}

type entrustments struct {
	snapshots source
	recorder  eventRecorder
}

// Handle answers one review.
func (h *entrustments) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Resource.Resource != "entrustments" || req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return refused(fmt.Sprintf("operation %s on %s is not judged here", req.Operation, req.Resource.Resource))
	}
	child := &v1alpha1.Entrustment{}
	if err := decode(req.Object.Raw, child); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	var before *v1alpha1.Entrustment
	if req.Operation == admissionv1.Update {
		before = &v1alpha1.Entrustment{}
		if err := decode(req.OldObject.Raw, before); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
	}
	snapshot, err := h.snapshots.Current()
	if err != nil {
		return retry(fmt.Sprintf("Entrustment %q cannot be judged yet: %v; try again", child.Name, err))
	}
	excess := snapshot.NewExcess(child, before)
	if len(excess) == 0 {
		return admission.Allowed("")
	}
	message := fmt.Sprintf("Entrustment %q under %q: %s: %s; ask for no more than the parent gives, or widen that first",
		child.Name, child.Spec.ParentName, v1alpha1.ReasonExceedsParentScope, first(excess))
	if told(req) {
		child.TypeMeta = typeOf("Entrustment")
		h.recorder.Eventf(child, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonExceedsParentScope), "RefuseEntrustment", "%.*s", maxNote, message)
	}
	return refusedFor(v1alpha1.ReasonExceedsParentScope, message)
}

func typeOf(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: kind}
}

// maxListed is how many things a message lists.
const maxListed = 5

// first lists the first few of many.
func first(items []string) string {
	if len(items) <= maxListed {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:maxListed], ", "), len(items)-maxListed)
}
