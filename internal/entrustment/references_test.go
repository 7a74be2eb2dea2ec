package entrustment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestDanglingReferences(t *testing.T) {
	if got := shop().DanglingReferences(); len(got) > 0 {
		t.Errorf("of a whole policy: %+v", got)
	}
	got := shop(func(in *entrustment.Inputs) {
		in.Purposes = append(in.Purposes, builder.Purpose("theirs").Controller("biller").Obj(), builder.Purpose("lost").Controller("nobody").Parent("none").Obj())
		in.Processors[0].Spec.Namespaces[0].Purposes = []string{"billing", "gone"}
		in.Stores[0].Spec.AllowedPurposes = []string{"billing", "theirs"}
		in.Stores[0].Spec.Credentials[0].Purposes = []string{"gone"}
		e := &in.Entrustments[0].Spec
		e.EntrusteeName, e.ParentName = "stranger", "none"
		e.Stores = append(e.Stores, v1alpha1.StoreReference{Namespace: "data", Name: "none"})
	}).DanglingReferences()
	want := []entrustment.Dangling{
		{Kind: "DataProcessor", Name: "shop", Field: "spec.namespaces[0].purposes[1]", ToKind: "Purpose", ToName: "gone"},
		{Kind: "Entrustment", Name: "fees", Field: "spec.entrusteeName", ToKind: "DataProcessor", ToName: "stranger"},
		{Kind: "Entrustment", Name: "fees", Field: "spec.parentName", ToKind: "Entrustment", ToName: "none"},
		{Kind: "Entrustment", Name: "fees", Field: "spec.stores[1]", ToKind: "PersonalDataStore", ToName: "data/none"},
		{Kind: "PersonalDataStore", Name: "data/ledger", Field: "spec.allowedPurposes[1]", ToKind: "Purpose", ToName: "theirs", Other: "biller"},
		{Kind: "PersonalDataStore", Name: "data/ledger", Field: "spec.credentials[0].purposes[0]", ToKind: "Purpose", ToName: "gone"},
		{Kind: "Purpose", Name: "lost", Field: "spec.controllerName", ToKind: "DataProcessor", ToName: "nobody"},
		{Kind: "Purpose", Name: "lost", Field: "spec.parentName", ToKind: "Purpose", ToName: "none"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
