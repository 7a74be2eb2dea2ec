package gather

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

func TestDefaultsAreThoseOfTheSchema(t *testing.T) {
	text := with(contract, "notAfter", "supervision: {}, disposal: {}, subEntrustment: {}, notAfter")
	in := readText(t, documentsOf(purpose, with(processor, "country: JP", "country: JP, namespaces: [{name: a}]"), text, store))

	if got := in.Purposes[0].Spec.Disposition; got != v1alpha1.DispositionPermitted {
		t.Errorf("disposition %q", got)
	}
	if got := in.Processors[0].Spec.Namespaces[0].Enforcement; got != v1alpha1.EnforcementEnforce {
		t.Errorf("enforcement of a namespace %q", got)
	}
	e := in.Entrustments[0].Spec
	if e.PodDeadline != v1alpha1.PodDeadlineArmed || e.SubEntrustment.Policy != v1alpha1.SubEntrustmentProhibited ||
		*e.Supervision.ReviewPeriodDays != 365 || e.Supervision.OverdueAction != v1alpha1.OverdueReport || *e.Disposal.DueDays != 30 {
		t.Errorf("entrustment %+v", e)
	}
	s := in.Stores[0].Spec
	if s.DataForm != v1alpha1.DataFormIdentifiable || s.Enforcement != v1alpha1.EnforcementEnforce ||
		s.Endpoint.Ports[0].Protocol != v1alpha1.ProtocolTCP {
		t.Errorf("store %+v", s)
	}
}

// A notice period runs from creation, a deletion is a termination, and a binding is pinned to the UID first seen.
func TestWhatAClusterExportedSurvives(t *testing.T) {
	in := readText(t, `
apiVersion: v1
kind: List
items:
- apiVersion: entrustment.dev/v1alpha1
  kind: Entrustment
  metadata:
    name: e
    creationTimestamp: "2026-11-01T00:00:00Z"
    deletionTimestamp: "2026-11-02T00:00:00Z"
    deletionGracePeriodSeconds: 0
    finalizers: [entrustment.dev/record]
    generation: 3
    resourceVersion: "7"
    uid: 0b8f5a3e-1111-4c55-9d2c-2f6f4d0f9d11
    managedFields:
    - {manager: kubectl, operation: Apply, apiVersion: entrustment.dev/v1alpha1, fieldsType: FieldsV1, fieldsV1: {"f:spec": {}}, time: "2026-11-01T00:00:00Z"}
  spec:
    entrusterName: c
    entrusteeName: d
    purposes: [p]
    dataCategories: [user]
    stores: [{namespace: ns, name: s}]
    notAfter: "2027-04-01T00:00:00+09:00"
  status:
    observedGeneration: 3
    effective: {purposes: [p], stores: [ns/s], notAfter: "2027-03-31T15:00:00Z"}
    conditions:
    - {type: Ready, status: "False", reason: Expired, message: "", lastTransitionTime: "2026-11-01T00:00:00Z"}
- apiVersion: entrustment.dev/v1alpha1
  kind: DataProcessor
  metadata: {name: d}
  spec: {legalName: x, country: JP, namespaces: [{name: a}]}
  status:
    namespaces: [{name: a, uid: "42"}]
`)
	e := in.Entrustments[0]
	if !e.CreationTimestamp.Equal(at("2026-11-01T00:00:00Z")) || !e.DeletionTimestamp.Equal(at("2026-11-02T00:00:00Z")) {
		t.Errorf("created %v, deleted %v", e.CreationTimestamp, e.DeletionTimestamp)
	}
	if !e.Status.Effective.NotAfter.Equal(at("2027-04-01T00:00:00+09:00")) || e.Status.Conditions[0].Reason != "Expired" {
		t.Errorf("status %+v", e.Status)
	}
	want := []v1alpha1.ObservedNamespace{{Name: "a", UID: "42"}}
	if diff := cmp.Diff(want, in.Processors[0].Status.Namespaces); diff != "" {
		t.Errorf("observed namespaces (-want +got):\n%s", diff)
	}
}

func TestTheKindsAreThoseOfTheAPI(t *testing.T) {
	known, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	if len(known) != 5 {
		t.Errorf("%d kinds have a schema", len(known))
	}
	for kind := range known {
		if !scheme.Recognizes(v1alpha1.SchemeGroupVersion.WithKind(kind)) {
			t.Errorf("%s has a schema and no Go types", kind)
		}
	}
}

// BenchmarkFromFiles reads ten thousand entrustments out of one file.
func BenchmarkFromFiles(b *testing.B) {
	const count = 10_000
	var text bytes.Buffer
	for i := range count {
		fmt.Fprintf(&text, `---
apiVersion: entrustment.dev/v1alpha1
kind: Entrustment
metadata:
  name: e%[1]d
spec:
  entrusterName: controller
  entrusteeName: entrustee-%[1]d
  services: Billing and dunning
  purposes: [billing, points-management, claims-disposal]
  dataCategories: [user.name, user.contact, user.account, user.payment]
  stores:
    - {namespace: data-billing, name: billing-ledger}
    - {namespace: data-billing, name: invoice-print-queue}
  territories: [JP]
  notBefore: "2026-04-01T00:00:00+09:00"
  notAfter: "2027-04-01T00:00:00+09:00"
  contract:
    reference: "2026-%[1]d"
    concludedDate: "2026-03-01"
    clauses: [DocumentedInstructions, Confidentiality, SecurityMeasures, SubEntrustment]
  supervision:
    reviews:
      - {date: "2026-05-01", method: Report, result: Satisfactory}
`, i)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		in, err := FromFiles([]string{Stdin}, bytes.NewReader(text.Bytes()))
		if err != nil || len(in.Entrustments) != count {
			b.Fatal(len(in.Entrustments), err)
		}
	}
}

func readText(t *testing.T, text string) entrustment.Inputs {
	t.Helper()
	in, err := FromFiles([]string{Stdin}, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func at(text string) *metav1.Time {
	var instant metav1.Time
	if err := instant.UnmarshalQueryParameter(text); err != nil {
		panic(err)
	}
	return &instant
}
