package builder

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// ProcessorBuilder builds a DataProcessor.
type ProcessorBuilder struct{ obj v1alpha1.DataProcessor }

// Processor starts a party in JP without namespaces.
func Processor(name string) *ProcessorBuilder {
	return &ProcessorBuilder{v1alpha1.DataProcessor{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.DataProcessorSpec{LegalName: "Party " + name, Country: "JP"},
	}}
}

// Obj returns what was built.
func (b *ProcessorBuilder) Obj() *v1alpha1.DataProcessor { return b.obj.DeepCopy() }

// Namespace binds one more namespace; with purposes, its pods may declare only these.
func (b *ProcessorBuilder) Namespace(name string, purposes ...string) *ProcessorBuilder {
	b.obj.Spec.Namespaces = append(b.obj.Spec.Namespaces, v1alpha1.NamespaceBinding{
		Name: name, Purposes: purposes, Enforcement: v1alpha1.EnforcementEnforce,
	})
	return b
}

// Report puts the namespace bound last into Report mode.
func (b *ProcessorBuilder) Report() *ProcessorBuilder {
	b.obj.Spec.Namespaces[len(b.obj.Spec.Namespaces)-1].Enforcement = v1alpha1.EnforcementReport
	return b
}

// Observed pins a bound namespace to the UID first seen.
func (b *ProcessorBuilder) Observed(namespace string, uid types.UID) *ProcessorBuilder {
	b.obj.Status.Namespaces = append(b.obj.Status.Namespaces, v1alpha1.ObservedNamespace{Name: namespace, UID: uid})
	return b
}

// Country sets the country of establishment and, if given, where it handles the data.
func (b *ProcessorBuilder) Country(country string, handling ...string) *ProcessorBuilder {
	b.obj.Spec.Country = country
	b.obj.Spec.HandlingCountries = handling
	return b
}

// Selected records an assessment with that result.
func (b *ProcessorBuilder) Selected(result v1alpha1.SelectionResult) *ProcessorBuilder {
	b.obj.Spec.Selection = &v1alpha1.Selection{AssessedDate: "2026-01-15", Result: result}
	return b
}

// Suspended withdraws its accesses.
func (b *ProcessorBuilder) Suspended() *ProcessorBuilder {
	b.obj.Spec.Suspended, b.obj.Spec.SuspendedReason = true, "incident"
	return b
}

// With changes what has no method of its own.
func (b *ProcessorBuilder) With(change func(*v1alpha1.DataProcessor)) *ProcessorBuilder {
	change(&b.obj)
	return b
}
