package webhook

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
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
	Spec     struct {
		TerminationGracePeriodSeconds int64 `json:"terminationGracePeriodSeconds"`
	} `json:"spec"`
}

// Handle answers one review.
func (h *templates) Handle(_ context.Context, req admission.Request) admission.Response {
	var w workload
	if err := decode(req.Object.Raw, &w); err != nil {
		return admission.Allowed("")
	}
	pods := &w.Spec.Template
	if req.Kind.Kind == "CronJob" {
		pods = &w.Spec.JobTemplate.Spec.Template
	}
	asked := declared(pods.Metadata.Labels)
	// What a Deployment or a CronJob makes was warned about there.
	if !asked.any() || w.Metadata.controlled() {
		return admission.Allowed("")
	}
	verdict, err := h.verdict(req.Namespace, asked)
	if err != nil {
		return admission.Allowed("")
	}
	why := fmt.Sprintf("%s: %s", verdict.reason, verdict.message)
	if verdict.allowed {
		grace := pods.Spec.TerminationGracePeriodSeconds
		if !asked.hasEntrustment || grace <= v1alpha1.MaxTerminationGracePeriodSeconds {
			return admission.Allowed("")
		}
		why = fmt.Sprintf("terminationGracePeriodSeconds is %d and may be at most %d, because a pod under a contract has to end soon after it",
			grace, v1alpha1.MaxTerminationGracePeriodSeconds)
	}
	fate := "will be refused"
	if verdict.reporting {
		fate = "would be refused"
	}
	return admission.Allowed(string(verdict.reason)).WithWarnings(fmt.Sprintf("pods of %s %s/%s with %s %s: %s",
		req.Kind.Kind, req.Namespace, w.Metadata.title(), asked, fate, why))
}
