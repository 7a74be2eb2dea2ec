package webhook

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Templates warns whoever writes a workload that its pods will be refused, because the refusal itself would only show in
// the workload's status. It never refuses, and says nothing about what it cannot judge.
func Templates(snapshots source, clock clock.PassiveClock) admission.Handler {
	return &templates{judge{snapshots: snapshots, clock: clock}}
}

type templates struct{ judge }

// workload is any kind that has a pod template; a CronJob has it one level deeper.
type workload struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Template    template `json:"template"`
		JobTemplate struct {
			Spec struct {
				Template template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

type template struct {
	Metadata metadata `json:"metadata"`
}

// Handle answers one review.
func (h *templates) Handle(_ context.Context, req admission.Request) admission.Response {
	var w workload
	if err := decode(req.Object.Raw, &w); err != nil {
		return admission.Allowed("")
	}
	asked := declared(w.Spec.Template.Metadata.Labels)
	if req.Kind.Kind == "CronJob" {
		asked = declared(w.Spec.JobTemplate.Spec.Template.Metadata.Labels)
	}
	// What a Deployment or a CronJob makes was warned about there.
	if !asked.any() || w.Metadata.controlled() {
		return admission.Allowed("")
	}
	verdict, err := h.verdict(req.Namespace, asked)
	if err != nil || verdict.allowed {
		return admission.Allowed("")
	}
	fate := "will be refused"
	if verdict.reporting {
		fate = "would be refused"
	}
	return admission.Allowed(string(verdict.reason)).WithWarnings(fmt.Sprintf("pods of %s %s/%s with %s %s: %s: %s",
		req.Kind.Kind, req.Namespace, w.Metadata.title(), asked, fate, verdict.reason, verdict.message))
}
