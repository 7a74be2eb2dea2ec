package builder

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// EntrustmentBuilder builds an Entrustment.
type EntrustmentBuilder struct{ obj v1alpha1.Entrustment }

// Entrustment starts a contract by Controller with every category of data, in force through the whole century, that does
// not allow sub-entrustment. To, Purposes and Stores have no default.
func Entrustment(name string) *EntrustmentBuilder {
	return &EntrustmentBuilder{v1alpha1.Entrustment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.EntrustmentSpec{
			EntrusterName:  Controller,
			DataCategories: []string{"user"},
			NotAfter:       metav1.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC),
			PodDeadline:    v1alpha1.PodDeadlineArmed,
		},
	}}
}

// Obj returns what was built.
func (b *EntrustmentBuilder) Obj() *v1alpha1.Entrustment { return b.obj.DeepCopy() }

// From names the entruster.
func (b *EntrustmentBuilder) From(entruster string) *EntrustmentBuilder {
	b.obj.Spec.EntrusterName = entruster
	return b
}

// To names the entrustee.
func (b *EntrustmentBuilder) To(entrustee string) *EntrustmentBuilder {
	b.obj.Spec.EntrusteeName = entrustee
	return b
}

// Parent makes it a sub-entrustment.
func (b *EntrustmentBuilder) Parent(name string) *EntrustmentBuilder {
	b.obj.Spec.ParentName = name
	return b
}

// Purposes sets the purposes entrusted.
func (b *EntrustmentBuilder) Purposes(names ...string) *EntrustmentBuilder {
	b.obj.Spec.Purposes = names
	return b
}

// ProhibitedPurposes sets the purposes carved out.
func (b *EntrustmentBuilder) ProhibitedPurposes(names ...string) *EntrustmentBuilder {
	b.obj.Spec.ProhibitedPurposes = names
	return b
}

// Categories sets the categories of data entrusted.
func (b *EntrustmentBuilder) Categories(categories ...string) *EntrustmentBuilder {
	b.obj.Spec.DataCategories = categories
	return b
}

// Stores sets the stores in scope, each as "namespace/name".
func (b *EntrustmentBuilder) Stores(keys ...string) *EntrustmentBuilder {
	b.obj.Spec.Stores = nil
	for _, key := range keys {
		namespace, name, _ := strings.Cut(key, "/")
		b.obj.Spec.Stores = append(b.obj.Spec.Stores, v1alpha1.StoreReference{Namespace: namespace, Name: name})
	}
	return b
}

// Territories sets the countries in which the data may be handled.
func (b *EntrustmentBuilder) Territories(countries ...string) *EntrustmentBuilder {
	b.obj.Spec.Territories = countries
	return b
}

// Transfer adds the ground for one country.
func (b *EntrustmentBuilder) Transfer(country string, basis v1alpha1.TransferBasis) *EntrustmentBuilder {
	b.obj.Spec.Transfers = append(b.obj.Spec.Transfers, v1alpha1.Transfer{Country: country, Basis: basis})
	return b
}

// NotBefore sets the first instant of the term.
func (b *EntrustmentBuilder) NotBefore(t time.Time) *EntrustmentBuilder {
	b.obj.Spec.NotBefore = &metav1.Time{Time: t}
	return b
}

// NotAfter sets the end of the term, exclusive.
func (b *EntrustmentBuilder) NotAfter(t time.Time) *EntrustmentBuilder {
	b.obj.Spec.NotAfter = metav1.Time{Time: t}
	return b
}

// PriorApproval lets the entrustee entrust further to the named parties.
func (b *EntrustmentBuilder) PriorApproval(approved ...string) *EntrustmentBuilder {
	b.obj.Spec.SubEntrustment = &v1alpha1.SubEntrustment{
		Policy: v1alpha1.SubEntrustmentPriorApproval, ApprovedProcessorNames: approved,
	}
	return b
}

// PriorNotice lets the entrustee entrust further to anyone but the named parties, after so many days.
func (b *EntrustmentBuilder) PriorNotice(days int32, objected ...string) *EntrustmentBuilder {
	b.obj.Spec.SubEntrustment = &v1alpha1.SubEntrustment{
		Policy: v1alpha1.SubEntrustmentPriorNotice, NoticePeriodDays: &days, ObjectedProcessorNames: objected,
	}
	return b
}

// Reviewed sets the period of supervision, what an overdue review does, and the dates of satisfactory reviews.
func (b *EntrustmentBuilder) Reviewed(periodDays int32, overdue v1alpha1.OverdueAction, dates ...string) *EntrustmentBuilder {
	b.obj.Spec.Supervision = &v1alpha1.Supervision{ReviewPeriodDays: &periodDays, OverdueAction: overdue}
	for _, date := range dates {
		b.obj.Spec.Supervision.Reviews = append(b.obj.Spec.Supervision.Reviews, v1alpha1.Review{
			Date: date, Method: "Report", Result: "Satisfactory",
		})
	}
	return b
}

// Created sets the instant of creation.
func (b *EntrustmentBuilder) Created(t time.Time) *EntrustmentBuilder {
	b.obj.CreationTimestamp = metav1.Time{Time: t}
	return b
}

// Deleted marks it as being deleted since that instant.
func (b *EntrustmentBuilder) Deleted(t time.Time) *EntrustmentBuilder {
	b.obj.DeletionTimestamp = &metav1.Time{Time: t}
	return b
}

// Suspended withdraws access under it and below.
func (b *EntrustmentBuilder) Suspended() *EntrustmentBuilder {
	b.obj.Spec.Suspended, b.obj.Spec.SuspendedReason = true, "incident"
	return b
}

// With changes what has no method of its own.
func (b *EntrustmentBuilder) With(change func(*v1alpha1.Entrustment)) *EntrustmentBuilder {
	change(&b.obj)
	return b
}
