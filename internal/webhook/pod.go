package webhook

import (
	"context"
	"fmt"
	"net/http"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// eventRecorder is where refusals are told to those who watch the namespace.
type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Pods judges pods by what they declare: at creation against the grants of their namespace, afterwards against
// themselves, because what a pod declared is what it was admitted for. Pods that act under a contract get the deadline at
// which the kubelet ends them, whoever else is dead by then.
func Pods(snapshots source, clock clock.PassiveClock, recorder eventRecorder) admission.Handler {
	return &pods{judge: judge{snapshots: snapshots, clock: clock}, recorder: recorder}
}

type pods struct {
	judge
	recorder eventRecorder
}

// maxNote is how long the API server lets the note of an event be.
const maxNote = 1024

type partialPod struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		ActiveDeadlineSeconds int64 `json:"activeDeadlineSeconds"`
	} `json:"spec"`
}

// Handle answers one review.
func (h *pods) Handle(_ context.Context, req admission.Request) admission.Response {
	var pod, before partialPod
	if err := decode(req.Object.Raw, &pod); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	asked := declared(pod.Metadata.Labels)

	switch req.Operation {
	case admissionv1.Create:
		if !asked.any() {
			return admission.Allowed("")
		}
		return h.create(req, &pod, asked)
	case admissionv1.Update:
		if err := decode(req.OldObject.Raw, &before); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		if was := declared(before.Metadata.Labels); was != asked {
			return refused(fmt.Sprintf("pod %s/%s: labels %s and %s are immutable: it was admitted with %s; create another pod to declare something else",
				req.Namespace, pod.Metadata.title(), v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment, was))
		}
		return admission.Allowed("")
	default:
		return refused(fmt.Sprintf("operation %s on pods is not judged here", req.Operation))
	}
}

func (h *pods) create(req admission.Request, pod *partialPod, asked declaration) admission.Response {
	verdict, err := h.verdict(req.Namespace, asked)
	if err != nil {
		return retry(fmt.Sprintf("pod %s/%s with %s cannot be judged yet: %v; try again", req.Namespace, pod.Metadata.title(), asked, err))
	}
	if verdict.allowed {
		return h.armed(admission.Allowed(string(verdict.reason)), pod, verdict.podsEnd)
	}
	message := fmt.Sprintf("pod %s/%s with %s: %s: %s", req.Namespace, pod.Metadata.title(), asked, verdict.reason, verdict.message)
	if verdict.reporting {
		return admission.Allowed(string(verdict.reason)).WithWarnings("would be refused: " + message)
	}
	if req.DryRun == nil || !*req.DryRun {
		h.recorder.Eventf(accessOf(req.Namespace), nil, corev1.EventTypeWarning, string(verdict.reason), "RefusePod", "%.*s", maxNote, message)
	}
	return refusedFor(verdict.reason, message)
}

// armed gives the pod its deadline, unless it has an earlier one. The kubelet counts from the pod's start, which comes later
// than this: once it is known, the deadline is tightened.
func (h *pods) armed(answer admission.Response, pod *partialPod, end time.Time) admission.Response {
	if end.IsZero() {
		return answer
	}
	seconds := entrustment.DeadlineSeconds(h.clock.Now(), end)
	if own := pod.Spec.ActiveDeadlineSeconds; own > 0 && own <= seconds {
		return answer
	}
	answer.Patch = fmt.Appendf(nil, `[{"op":"add","path":"/spec/activeDeadlineSeconds","value":%d}]`, seconds)
	answer.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
	return answer
}

// accessOf is the object of the namespace that says what its pods may do; refusals are told there.
func accessOf(namespace string) *v1alpha1.PersonalDataAccess {
	return &v1alpha1.PersonalDataAccess{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "PersonalDataAccess"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.PersonalDataAccessName},
	}
}

// judge asks the snapshot in force.
type judge struct {
	snapshots source
	clock     clock.PassiveClock
}

// verdict on a pod. The zero value refuses.
type verdict struct {
	allowed   bool
	reporting bool // the namespace's binding only reports
	reason    v1alpha1.Reason
	message   string
	podsEnd   time.Time // when the kubelet has to end such pods; zero: it need not
}

func (j *judge) verdict(namespace string, asked declaration) (verdict, error) {
	snapshot, err := j.snapshots.Current()
	if err != nil {
		return verdict{}, err
	}
	_, enforcement, bound := snapshot.Binding(namespace)
	answer := verdict{reporting: bound && enforcement == v1alpha1.EnforcementReport}

	if asked.hasEntrustment && asked.entrustment == "" {
		answer.reason = v1alpha1.ReasonEntrustmentNotFound
		answer.message = fmt.Sprintf("label %s is empty; name an Entrustment, or remove the label for the data controller's own handling",
			v1alpha1.LabelEntrustment)
		return answer, nil
	}
	decision := snapshot.AuthorizePod(namespace, asked.purpose, asked.entrustment)
	answer.reason, answer.allowed = decision.Reason(), decision.Allowed()
	if !answer.allowed {
		answer.message = decision.Message()
		return answer, nil
	}
	answer.podsEnd = decision.PodsEnd()
	// The snapshot may be older than the end of a grant; the grant knows its own window.
	if until := decision.Until(); !until.IsZero() && !j.clock.Now().Before(until) {
		answer.allowed, answer.reason = false, v1alpha1.ReasonExpired
		answer.message = fmt.Sprintf("the grant ended at %s; extend it to go on", until.UTC().Format(time.RFC3339))
	}
	return answer, nil
}

func refused(message string) admission.Response {
	return response(http.StatusForbidden, metav1.StatusReasonForbidden, message)
}

// auditReason is the annotation of the cluster's audit log that holds the reason of an answer, behind the webhook's name.
const auditReason = "reason"

// refusedFor refuses for a reason of the API.
func refusedFor(reason v1alpha1.Reason, message string) admission.Response {
	answer := refused(message)
	answer.AuditAnnotations = map[string]string{auditReason: string(reason)}
	return answer
}

// retry refuses for now: workload controllers and people try again.
func retry(message string) admission.Response {
	return response(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, message)
}

func response(code int32, reason metav1.StatusReason, message string) admission.Response {
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{
		Result: &metav1.Status{Status: metav1.StatusFailure, Code: code, Reason: reason, Message: message},
	}}
}
