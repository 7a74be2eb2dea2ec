package operation

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"entrustment.dev/operator/api/v1alpha1"
)

// An operator that is older than the definitions might take a limit for absent.
func TestWhatIsWrittenInFieldsUnknownToTheOperatorGrantsNothing(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	ctx := t.Context()
	admin, account, address := install(t)
	operator := start(t, account)
	address.lead(operator)
	granted := func() []string { return grantsOf(ctx, g, admin, "courier") }
	ready := func(name string) func() string {
		return func() string {
			contract := &v1alpha1.Entrustment{}
			g.Expect(admin.Get(ctx, types.NamespacedName{Name: name}, contract)).To(Succeed())
			if found := meta.FindStatusCondition(contract.Status.Conditions, v1alpha1.ConditionReady); found != nil {
				return string(found.Status) + ": " + found.Message
			}
			return ""
		}
	}
	g.Eventually(granted).Should(ConsistOf("delivery-by-courier"))
	g.Eventually(ready("delivery-by-courier")).Should(HavePrefix("True"))

	extend := func(change func(map[string]apiextensionsv1.JSONSchemaProps)) {
		g.Eventually(func() error {
			definition := &apiextensionsv1.CustomResourceDefinition{}
			if err := admin.Get(ctx, types.NamespacedName{Name: "entrustments.entrustment.dev"}, definition); err != nil {
				return err
			}
			change(definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties)
			return admin.Update(ctx, definition)
		}).Should(Succeed())
	}
	longest := int64(63)
	extend(func(fields map[string]apiextensionsv1.JSONSchemaProps) {
		fields["site"] = apiextensionsv1.JSONSchemaProps{Type: "string", MaxLength: &longest}
	})
	g.Eventually(func() float64 { return differences(g, "Entrustment", "Unknown") }).Should(BeEquivalentTo(1))

	// A contract that the older operator would take for one without a limit.
	second := contract("second", map[string]any{"site": "building-2"})
	g.Eventually(func() error {
		err := admin.Create(ctx, second, client.FieldValidation("Strict"))
		if apierrors.IsBadRequest(err) {
			second = contract("second", map[string]any{"site": "building-2"}) // the API server is about to know the field
		}
		return err
	}).Should(Succeed())
	g.Eventually(ready("second")).Should(And(HavePrefix("False"), ContainSubstring("spec.site"), ContainSubstring("upgrade the operator")))
	g.Expect(granted()).To(ConsistOf("delivery-by-courier"), "the old one stays, and the new one grants nothing")

	// It may only narrow. Nobody knows what else the change says.
	g.Expect(admin.Patch(ctx, contract("delivery-by-courier", nil), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"services":"parcels"}}`)))).To(Succeed())
	g.Eventually(granted).Should(BeEmpty())
	g.Eventually(ready("delivery-by-courier")).Should(And(HavePrefix("False"), ContainSubstring("spec.site")))

	// Both fit again.
	extend(func(fields map[string]apiextensionsv1.JSONSchemaProps) { delete(fields, "site") })
	g.Eventually(granted).Should(ConsistOf("delivery-by-courier", "second"))
	g.Eventually(ready("second")).Should(HavePrefix("True"))
	g.Expect(differences(g, "Entrustment", "Unknown")).To(BeZero())
}

// grantsOf are the contracts under which a namespace is granted something.
func grantsOf(ctx context.Context, g Gomega, c client.Client, namespace string) (contracts []string) {
	access := &v1alpha1.PersonalDataAccess{}
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.PersonalDataAccessName}, access)
	g.Expect(client.IgnoreNotFound(err)).To(Succeed())
	for i := range access.Grants {
		contracts = append(contracts, access.Grants[i].Entrustment)
	}
	return contracts
}

// contract is one of the shop with the courier, with fields of which the types know nothing.
func contract(name string, further map[string]any) *unstructured.Unstructured {
	spec := map[string]any{
		"entrusterName": "shop", "entrusteeName": "courier", "purposes": []any{"delivery"},
		"dataCategories": []any{"user.name", "user.contact.address"},
		"stores":         []any{map[string]any{"namespace": "shop-data", "name": "orders"}},
		"notAfter":       "2030-01-01T00:00:00Z",
	}
	for field, value := range further {
		spec[field] = value
	}
	object := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	object.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("Entrustment"))
	object.SetName(name)
	return object
}

// differences is what the operator shows of them.
func differences(g Gomega, kind, reason string) float64 {
	families, err := metrics.Registry.Gather()
	g.Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if family.GetName() == "entrustment_schema_differences" && labels["kind"] == kind && labels["reason"] == reason {
				return metric.GetGauge().GetValue()
			}
		}
	}
	return -1
}
