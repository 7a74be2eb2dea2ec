package builder

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// PurposeBuilder builds a Purpose.
type PurposeBuilder struct{ obj v1alpha1.Purpose }

// Purpose starts a permitted root purpose of Controller.
func Purpose(name string) *PurposeBuilder {
	return &PurposeBuilder{v1alpha1.Purpose{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.PurposeSpec{
			ControllerName: Controller,
			Title:          "Purpose " + name,
			Disposition:    v1alpha1.DispositionPermitted,
		},
	}}
}

// Obj returns what was built.
func (b *PurposeBuilder) Obj() *v1alpha1.Purpose { return b.obj.DeepCopy() }

// Controller names the party that published the purpose.
func (b *PurposeBuilder) Controller(name string) *PurposeBuilder {
	b.obj.Spec.ControllerName = name
	return b
}

// Title sets the published words.
func (b *PurposeBuilder) Title(title string) *PurposeBuilder {
	b.obj.Spec.Title = title
	return b
}

// Parent makes it a part of another purpose.
func (b *PurposeBuilder) Parent(name string) *PurposeBuilder {
	b.obj.Spec.ParentName = name
	return b
}

// Prohibited makes it one that can never be declared.
func (b *PurposeBuilder) Prohibited() *PurposeBuilder {
	b.obj.Spec.Disposition = v1alpha1.DispositionProhibited
	return b
}

// ConsentRequired asks for the individuals' prior consent.
func (b *PurposeBuilder) ConsentRequired() *PurposeBuilder {
	b.obj.Spec.ConsentRequired = true
	return b
}

// ContactsIndividuals says that individuals are contacted.
func (b *PurposeBuilder) ContactsIndividuals() *PurposeBuilder {
	b.obj.Spec.ContactsIndividuals = true
	return b
}

// NotBefore sets the instant from which it may be relied on.
func (b *PurposeBuilder) NotBefore(t time.Time) *PurposeBuilder {
	b.obj.Spec.NotBefore = &metav1.Time{Time: t}
	return b
}

// NotAfter sets the instant from which it may no longer be relied on.
func (b *PurposeBuilder) NotAfter(t time.Time) *PurposeBuilder {
	b.obj.Spec.NotAfter = &metav1.Time{Time: t}
	return b
}

// With changes what has no method of its own.
func (b *PurposeBuilder) With(change func(*v1alpha1.Purpose)) *PurposeBuilder {
	change(&b.obj)
	return b
}
