package webhook_test

import (
	"errors"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

func TestEntrustments(t *testing.T) {
	child := func() *builder.EntrustmentBuilder {
		return builder.Entrustment("printing").Parent("fees").From("biller").To("printer").Purposes("invoices").Stores("data/ledger").NotAfter(end)
	}
	writes := func(now, before *builder.EntrustmentBuilder) admissionv1.AdmissionRequest {
		request := admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource(v1alpha1.Group, "v1alpha1", "entrustments"), Object: raw(t, now.Obj())}
		if before != nil {
			request.Operation, request.OldObject = admissionv1.Update, raw(t, before.Obj())
		}
		return request
	}
	for name, test := range map[string]answered{
		"within the parent": {request: writes(child(), nil), allowed: true},
		"beyond the parent": {
			request: writes(child().Purposes("billing"), nil), events: []string{`Warning ExceedsParentScope Entrustment "printing"`},
			says: []string{`Entrustment "printing" under "fees": ExceedsParentScope: purpose "billing" exceeds the tiers above; ask for no more than the parent gives`},
		},
		"beyond it in many ways": {
			request: writes(child().Territories("AA", "BB", "CC", "DD", "EE", "FF", "GG"), nil), says: []string{"territory EE exceeds the tiers above and 2 more"},
			events: []string{"Warning ExceedsParentScope"},
		},
		"beyond it, in a dry run":       {request: dryRun(writes(child().Purposes("billing"), nil)), says: []string{"ExceedsParentScope"}},
		"suspended while beyond it":     {request: writes(child().Purposes("billing").Suspended(), child().Purposes("billing")), allowed: true},
		"beyond it by an update":        {request: writes(child().Purposes("billing"), child()), says: []string{"ExceedsParentScope"}, events: []string{"Warning ExceedsParentScope"}},
		"a parent that is not there":    {request: writes(child().Parent("nothing").Purposes("billing"), nil), allowed: true},
		"no snapshot":                   {snapshots: cold, request: writes(child(), nil), says: []string{"cannot be judged yet", "try again"}},
		"an object that cannot be read": {request: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource(v1alpha1.Group, "v1alpha1", "entrustments")}, says: []string{"reading the object"}},
		"an old object that cannot be read": {request: func() admissionv1.AdmissionRequest {
			request := writes(child(), child())
			request.OldObject = runtime.RawExtension{}
			return request
		}(), says: []string{"reading the object"}},
		"another operation": {request: admissionv1.AdmissionRequest{Operation: admissionv1.Delete, Resource: resource(v1alpha1.Group, "v1alpha1", "entrustments")}, says: []string{"not judged here"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.check(t, func(d dependencies) admission.Handler { return webhook.Entrustments(d.snapshots, d.recorder) })
		})
	}
}

func TestPurposes(t *testing.T) {
	create := func(purpose *builder.PurposeBuilder) admissionv1.AdmissionRequest {
		return admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource(v1alpha1.Group, "v1alpha1", "purposes"), Object: raw(t, purpose.Obj())}
	}
	for name, test := range map[string]answered{
		"a part of its own":          {request: create(builder.Purpose("reminders").Parent("billing")), allowed: true},
		"a parent that is not there": {request: create(builder.Purpose("reminders").Parent("nothing")), allowed: true},
		"a part of another's": {
			request: create(builder.Purpose("reminders").Parent("billing").Controller("rival")), events: []string{`Warning ControllerMismatch Purpose "reminders"`},
			says: []string{`Purpose "reminders" of "rival": ControllerMismatch: its parent "billing" is of "acme"; name a parent`},
		},
		"a part of another's, in a dry run": {request: dryRun(create(builder.Purpose("reminders").Parent("billing").Controller("rival"))), says: []string{"ControllerMismatch"}},
		"no snapshot":                       {snapshots: cold, request: create(builder.Purpose("reminders").Parent("billing")), says: []string{"cannot be judged yet", "try again"}},
		"an object that cannot be read":     {request: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource(v1alpha1.Group, "v1alpha1", "purposes")}, says: []string{"reading the object"}},
		"another operation":                 {request: admissionv1.AdmissionRequest{Operation: admissionv1.Update, Resource: resource(v1alpha1.Group, "v1alpha1", "purposes")}, says: []string{"not judged here"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.check(t, func(d dependencies) admission.Handler { return webhook.Purposes(d.snapshots, d.recorder) })
		})
	}
}

func TestDeletions(t *testing.T) {
	remove := func(kind string, object runtime.Object) admissionv1.AdmissionRequest {
		request := admissionv1.AdmissionRequest{Operation: admissionv1.Delete, Resource: resource(v1alpha1.Group, "v1alpha1", kind), OldObject: raw(t, object)}
		request.Namespace = object.(metav1.Object).GetNamespace()
		return request
	}
	ledger := remove("personaldatastores", builder.Store("data", "ledger").Obj())
	here := live{namespaces: []*metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}}
	going := live{namespaces: []*metav1.PartialObjectMetadata{{ObjectMeta: metav1.ObjectMeta{Name: "data", DeletionTimestamp: &metav1.Time{Time: noon}}}}}

	for name, test := range map[string]answered{
		"a purpose in use": {
			request: remove("purposes", builder.Purpose("invoices").Obj()), events: []string{`Warning InUse Purpose "invoices"`},
			says: []string{`Purpose "invoices" cannot be deleted: InUse: Entrustment "fees" names it`, "withdraw it with spec.notAfter"},
		},
		"a prohibited purpose, though nobody names it": {
			request: remove("purposes", builder.Purpose("scoring").Obj()), says: []string{`PersonalDataStore "data/adopted" of "acme", which it protects`}, events: []string{"Warning InUse"},
		},
		"a purpose that nobody uses": {request: remove("purposes", builder.Purpose("unused").Obj()), allowed: true},
		"a data controller": {
			request: remove("dataprocessors", builder.Processor(builder.Controller).Obj()), events: []string{"Warning InUse"},
			says: []string{`DataProcessor "acme" cannot be deleted: InUse: Entrustment "fees" has not ended, PersonalDataStore "data/adopted" holds its data`, "end its contracts"},
		},
		"a party without contracts": {request: remove("dataprocessors", builder.Processor("nobody").Obj()), allowed: true},
		"a store with grants": {
			live: here, request: ledger, events: []string{"Warning InUse"},
			says: []string{`PersonalDataStore "data/ledger" cannot be deleted: InUse: namespace "adopting" has a grant`, "suspend it with spec.suspended first, then delete it"},
		},
		"a store with grants, in a dry run":            {live: here, request: dryRun(ledger), says: []string{"InUse"}},
		"a store with grants, whose namespace goes":    {live: going, request: ledger, allowed: true},
		"a store with grants, whose namespace is gone": {request: ledger, allowed: true},
		"a suspended store":                            {live: here, request: remove("personaldatastores", builder.Store("data", "closed").Obj()), allowed: true},
		"no answer of the namespace":                   {live: live{err: errors.New("timeout")}, request: ledger, says: []string{"reading namespace data: timeout; try again"}},
		"no snapshot":                                  {snapshots: cold, request: ledger, says: []string{"cannot be judged yet", "try again"}},
		"an object that cannot be read":                {request: admissionv1.AdmissionRequest{Operation: admissionv1.Delete, Resource: resource(v1alpha1.Group, "v1alpha1", "purposes")}, says: []string{"reading the object"}},
		"an object without a name":                     {request: remove("purposes", builder.Purpose("").Obj()), says: []string{"without a name"}},
		"another kind":                                 {request: remove("entrustments", builder.Entrustment("fees").Obj()), says: []string{"not judged here"}},
		"another operation":                            {request: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource(v1alpha1.Group, "v1alpha1", "purposes")}, says: []string{"not judged here"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.check(t, func(d dependencies) admission.Handler { return webhook.Deletions(d.snapshots, d.live, d.recorder) })
		})
	}
}
