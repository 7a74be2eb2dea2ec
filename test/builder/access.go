package builder

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// AccessBuilder builds a PersonalDataAccess.
type AccessBuilder struct{ obj v1alpha1.PersonalDataAccess }

// Access starts the PersonalDataAccess of a namespace bound to Controller, without a grant.
func Access(namespace string) *AccessBuilder {
	return &AccessBuilder{v1alpha1.PersonalDataAccess{
		ObjectMeta:    metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.PersonalDataAccessName},
		ProcessorName: Controller,
		Enforcement:   v1alpha1.EnforcementEnforce,
	}}
}

// Obj returns what was built.
func (b *AccessBuilder) Obj() *v1alpha1.PersonalDataAccess { return b.obj.DeepCopy() }

// Processor names the party to which the namespace is bound.
func (b *AccessBuilder) Processor(name string) *AccessBuilder {
	b.obj.ProcessorName = name
	return b
}

// Namespace names the very namespace that is granted something, by its UID.
func (b *AccessBuilder) Namespace(uid types.UID) *AccessBuilder {
	b.obj.Labels = map[string]string{v1alpha1.LabelNamespaceUID: string(uid)}
	return b
}

// Report puts the binding into Report mode.
func (b *AccessBuilder) Report() *AccessBuilder {
	b.obj.Enforcement = v1alpha1.EnforcementReport
	return b
}

// Grant adds one purpose under one entrustment, or none, with the stores it reaches, each as "namespace/name".
func (b *AccessBuilder) Grant(purpose, entrustment string, stores ...string) *AccessBuilder {
	grant := v1alpha1.Grant{Purpose: purpose, Entrustment: entrustment, Stores: stores}
	if entrustment != "" {
		grant.PodDeadline = v1alpha1.PodDeadlineArmed
	}
	b.obj.Grants = append(b.obj.Grants, grant)
	b.obj.GrantCount++
	return b
}

// Secrets sets the Secrets that pods under the grant added last may reference.
func (b *AccessBuilder) Secrets(names ...string) *AccessBuilder {
	b.obj.Grants[len(b.obj.Grants)-1].Secrets = names
	return b
}

// NotAfter ends the grant added last at that instant.
func (b *AccessBuilder) NotAfter(t time.Time) *AccessBuilder {
	end := &metav1.Time{Time: t}
	b.obj.Grants[len(b.obj.Grants)-1].NotAfter = end
	if b.obj.NextChangeTime == nil || end.Before(b.obj.NextChangeTime) {
		b.obj.NextChangeTime = end
	}
	return b
}
