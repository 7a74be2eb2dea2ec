package bypass

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const installationRule = "installation.entrustment.dev"

// onConfiguration are of A2 those on the webhook's configuration; with it they go.
var onConfiguration = func() []vector {
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
	guarded := guard(installationRule, "")
	return []vector{
		{"A2.01 delete the webhook's configuration", platform, deletes(configuration), unseen, guarded},
		{"A2.02 delete all configurations", platform, sweeps(&admissionregistrationv1.MutatingWebhookConfiguration{}, "", nil), unseen, guarded},
		{"A2.03 let the webhook fail open", platform, changes(configuration, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			for i := range c.Webhooks {
				c.Webhooks[i].FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
			}
		}), unseen, guarded},
		{"A2.04 show it nothing", platform, changes(configuration, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].MatchConditions = append(c.Webhooks[0].MatchConditions, admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"})
		}), unseen, guarded},
		{"A2.05 take its label away", platform, changes(configuration, func(c *admissionregistrationv1.MutatingWebhookConfiguration) { c.Labels = nil }, byApply), unseen, guarded},
		{"A2.06 hang it on a dead owner", platform, changes(configuration, func(c *admissionregistrationv1.MutatingWebhookConfiguration) { c.OwnerReferences = dead }), unseen, guarded},
		{"A2.08 delete it as a developer", editor, deletes(configuration), unseen, forbidden},
		{"P7.01 upgrade it", root, changes(configuration, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].TimeoutSeconds = ptr.To[int32](2)
		}), unseen, admitted},
		// Its role lets it delete whatever there is, the rules too; who may hang the configuration on a dead owner is A2.06.
		{"P7.03 delete it as the garbage collector", collector, deletes(configuration), unseen, admitted},
	}
}()

// installationVectors are the others of A2.
var installationVectors = func() []vector {
	definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "personaldatastores.entrustment.dev"}}
	guarded := guard(installationRule, "")
	return []vector{
		{"A2.10 delete a definition", platform, deletes(definition), unseen, guarded},
		{"A2.11 delete all definitions", platform, sweeps(&apiextensionsv1.CustomResourceDefinition{}, "", nil), unseen, guarded},
		{"A2.12 loosen a definition", platform, changes(definition, func(d *apiextensionsv1.CustomResourceDefinition) {
			d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
		}, byStrategic, byApply), unseen, guarded},
		{"A2.13 serve a definition no more", platform, changes(definition, func(d *apiextensionsv1.CustomResourceDefinition) { d.Spec.Versions[0].Served = false }, byStrategic), unseen, guarded},
		{"A2.14 hang a definition on a dead owner", platform, changes(definition, func(d *apiextensionsv1.CustomResourceDefinition) { d.OwnerReferences = dead }, byStrategic), unseen, guarded},
		{"A2.15 delete a rule", platform, deletes(&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: labels}}), unseen, forbidden},
		{"P7.02 upgrade a definition", root, changes(definition, func(d *apiextensionsv1.CustomResourceDefinition) {
			metav1.SetMetaDataAnnotation(&d.ObjectMeta, "a", "b")
		}, byStrategic), unseen, admitted},
	}
}()

// inEarnest are of A2 what no admission can stop. They leave a hole until it is repaired, so that they come last.
var inEarnest = func() []vector {
	meta := metav1.ObjectMeta{Name: finalizers}
	policy, binding := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: meta}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: meta}
	earnest := func(way string, do func(context.Context) error) []try {
		return []try{{way, func(ctx context.Context, _ session) error { return do(ctx) }}}
	}
	weaken := func(object client.Object, patch string) []try {
		return earnest(byMerge, func(ctx context.Context) error {
			return admin.Patch(ctx, object.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(patch)))
		})
	}
	return []vector{
		{"A2.20 delete the binding of a rule", root, earnest(byDelete, func(ctx context.Context) error { return admin.Delete(ctx, binding.DeepCopy()) }), unseen, shown(ruleRepaired)},
		{"A2.21 delete a rule", root, earnest(byDelete, func(ctx context.Context) error { return admin.Delete(ctx, policy.DeepCopy()) }), unseen, shown(ruleRepaired)},
		{"A2.22 let a rule fail open", root, weaken(policy, `{"spec":{"failurePolicy":"Ignore"}}`), unseen, shown(ruleRepaired)},
		{"A2.23 let a rule only audit", root, weaken(binding, `{"spec":{"validationActions":["Audit"]}}`), unseen, shown(ruleRepaired)},
		{"A2.24 bind a rule to some namespaces only", root, weaken(binding, `{"spec":{"matchResources":{"namespaceSelector":{"matchLabels":{"a":"b"}}}}}`), unseen, shown(ruleRepaired)},
	}
}()

// weakenings are of A2 what those may do to the webhook's configuration who may switch the rules off.
var weakenings = func() []vector {
	weaken := func(edit func(*admissionregistrationv1.MutatingWebhookConfiguration)) []try {
		return []try{{byPut, func(ctx context.Context, _ session) error {
			live := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
			if err := admin.Get(ctx, client.ObjectKeyFromObject(live), live); err != nil {
				return err
			}
			before := live.DeepCopy()
			DeferCleanup(func(ctx context.Context) {
				Expect(admin.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
				live.Webhooks = before.Webhooks
				Expect(admin.Update(ctx, live)).To(Succeed())
			})
			edit(live)
			return admin.Update(ctx, live)
		}}}
	}
	return []vector{
		{"A2.30 let the webhook fail open", root, weaken(func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
		}), unseen, shown(webhookAltered)},
		{"A2.31 keep some namespaces from the webhook", root, weaken(func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
			c.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}), unseen, shown(webhookAltered)},
		{"A2.32 take a webhook out", root, weaken(func(c *admissionregistrationv1.MutatingWebhookConfiguration) { c.Webhooks = c.Webhooks[1:] }), unseen, shown(webhookMissing)},
	}
}()

// configured says whether there is what the vector is tried on.
func (r run) configured(v vector) bool {
	return r.webhook != removed || !slices.ContainsFunc(slices.Concat(onConfiguration, weakenings), func(c vector) bool { return c.id == v.id })
}
