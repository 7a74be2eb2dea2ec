package bypass

import (
	"context"
	"errors"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// webhookMissing and webhookAltered are what stores say of the operator's webhook configuration.
const (
	webhookMissing = string(v1alpha1.ReasonWebhookMissing)
	webhookAltered = string(v1alpha1.ReasonWebhookAltered)
)

// ruleRepaired is the event that tells of a rule that somebody deleted or weakened.
const ruleRepaired = "RuleRepaired"

// detections show what the platform cannot stop.
var detections = map[string]func(context.Context) error{
	string(v1alpha1.ReasonNamespaceRecreated): func(ctx context.Context) error {
		return said(ctx, builder.Processor("acme").Obj(), v1alpha1.ReasonNamespaceRecreated)
	},
	string(v1alpha1.ReasonForeignNetworkPolicy): func(ctx context.Context) error {
		return said(ctx, idle.DeepCopy(), v1alpha1.ReasonForeignNetworkPolicy)
	},
	string(v1alpha1.ReasonHostNetworkPods): func(ctx context.Context) error {
		return said(ctx, exposed.DeepCopy(), v1alpha1.ReasonHostNetworkPods)
	},
	webhookMissing: func(ctx context.Context) error { return said(ctx, orders.DeepCopy(), v1alpha1.ReasonWebhookMissing) },
	webhookAltered: func(ctx context.Context) error { return said(ctx, orders.DeepCopy(), v1alpha1.ReasonWebhookAltered) },
	ruleRepaired:   func(ctx context.Context) error { return errors.Join(told(ctx, ruleRepaired), asShipped(ctx)) },
}

// said looks for a condition with a reason.
func said(ctx context.Context, object client.Object, reason v1alpha1.Reason) error {
	if err := admin.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return err
	}
	var conditions []metav1.Condition
	switch o := object.(type) {
	case *v1alpha1.DataProcessor:
		conditions = o.Status.Conditions
	case *v1alpha1.PersonalDataStore:
		conditions = o.Status.Conditions
	}
	for _, c := range conditions {
		if c.Reason == string(reason) && !meta.IsStatusConditionTrue(conditions, c.Type) {
			return nil
		}
	}
	return fmt.Errorf("%s shows no %s: %+v", object.GetName(), reason, conditions)
}

// told looks for an event with a reason.
func told(ctx context.Context, reason string) error {
	list := &eventsv1.EventList{}
	if err := admin.List(ctx, list); err != nil {
		return err
	}
	for _, e := range list.Items {
		if e.Reason == reason {
			return nil
		}
	}
	return fmt.Errorf("nobody was told of %s", reason)
}

// asShipped says whether the rule that was tampered with is what it was.
func asShipped(ctx context.Context) error {
	policy, binding := &admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := errors.Join(admin.Get(ctx, client.ObjectKey{Name: finalizers}, policy), admin.Get(ctx, client.ObjectKey{Name: finalizers}, binding)); err != nil {
		return err
	}
	if *policy.Spec.FailurePolicy != admissionregistrationv1.Fail || binding.Spec.MatchResources != nil ||
		!slices.Equal(binding.Spec.ValidationActions, []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny}) {
		return fmt.Errorf("the rule is not as it ships: %+v, %+v", policy.Spec.FailurePolicy, binding.Spec)
	}
	return nil
}
