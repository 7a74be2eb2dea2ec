package entrustment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/cases"
)

// shop is a policy of a few objects: a shop that owns a ledger, and a biller that it entrusts.
func shop(change ...func(*entrustment.Inputs)) *entrustment.Snapshot {
	in := entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{
			builder.Purpose("billing").Controller("shop").Obj(), builder.Purpose("invoices").Controller("shop").Parent("billing").Obj(),
		},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor("shop").Namespace("shop").Obj(), builder.Processor("biller").Namespace("biller").Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{
			builder.Store("data", "ledger").Controller("shop").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Credential("ro", "ledger-ro").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("fees").From("shop").To("biller").Purposes("billing").Stores("data/ledger").NotAfter(today.AddDate(1, 0, 0)).Obj(),
		},
	}
	for _, do := range change {
		do(&in)
	}
	return entrustment.Compile(in, today)
}

var ledgerKey = types.NamespacedName{Namespace: "data", Name: "ledger"}

func TestRemedies(t *testing.T) {
	asked := entrustment.Request{Namespace: "biller", Purpose: "billing", Entrustment: "fees", Store: ledgerKey}
	for name, test := range map[string]struct {
		change func(*entrustment.Inputs)
		ask    func(*entrustment.Request)
		reason v1alpha1.Reason
		want   entrustment.Remedy
	}{
		"a namespace that nobody binds": {
			ask: func(r *entrustment.Request) { r.Namespace = "x" }, reason: v1alpha1.ReasonNamespaceNotBound,
			want: entrustment.Remedy{Kind: "DataProcessor", Field: "spec.namespaces", Verb: "update", Role: "privacy-officer"},
		},
		"no purpose": {
			ask: func(r *entrustment.Request) { r.Purpose = "" }, reason: v1alpha1.ReasonPurposeNotDeclared,
			want: entrustment.Remedy{Kind: "Pod", Namespace: "biller", Field: "metadata.labels[entrustment.dev/purpose]", Verb: "create"},
		},
		"a contract that is there and not named": {
			ask: func(r *entrustment.Request) { r.Entrustment = "" }, reason: v1alpha1.ReasonNoEntrustment,
			want: entrustment.Remedy{Kind: "Pod", Namespace: "biller", Field: "metadata.labels[entrustment.dev/entrustment]", Verb: "create"},
		},
		"no contract": {
			change: func(in *entrustment.Inputs) { in.Entrustments = nil },
			ask:    func(r *entrustment.Request) { r.Entrustment = "" }, reason: v1alpha1.ReasonNoEntrustment,
			want: entrustment.Remedy{Kind: "Entrustment", Verb: "create", Entrust: "shop", Role: "privacy-officer"},
		},
		"a store that is suspended": {
			change: func(in *entrustment.Inputs) { in.Stores[0].Spec.Suspended = true }, reason: v1alpha1.ReasonStoreSuspended,
			want: entrustment.Remedy{Kind: "PersonalDataStore", Name: "data/ledger", Namespace: "data", Field: "spec.suspended", Verb: "update", Role: "data-owner"},
		},
		"a contract without the purpose": {
			change: func(in *entrustment.Inputs) { in.Entrustments[0].Spec.Purposes = []string{"invoices"} }, reason: v1alpha1.ReasonPurposeNotEntrusted,
			want: entrustment.Remedy{Kind: "Entrustment", Name: "fees", Field: "spec.purposes", Verb: "update", Entrust: "shop", Role: "privacy-officer"},
		},
		"a contract that has ended": {
			change: func(in *entrustment.Inputs) { in.Entrustments[0].Spec.NotAfter.Time = today }, reason: v1alpha1.ReasonExpired,
			want: entrustment.Remedy{Kind: "Entrustment", Name: "fees", Field: "spec.notAfter", Verb: "update", Entrust: "shop", Role: "privacy-officer"},
		},
		"a party that is suspended": {
			change: func(in *entrustment.Inputs) { in.Processors[1].Spec.Suspended = true }, reason: v1alpha1.ReasonProcessorSuspended,
			want: entrustment.Remedy{Kind: "DataProcessor", Name: "biller", Field: "spec.suspended", Verb: "update", Role: "privacy-officer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			request, change := asked, test.change
			if test.ask != nil {
				test.ask(&request)
			}
			if change == nil {
				change = func(*entrustment.Inputs) {}
			}
			d := shop(change).Authorize(request)
			got, ok := d.Remedy()
			if d.Reason() != test.reason || !ok {
				t.Fatalf("%s: %s", d.Reason(), d.Message())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNearest(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(*entrustment.Inputs)
		namespace string
		want      entrustment.Request // without namespace and store
		reason    v1alpha1.Reason
	}{
		"the contract that would do":     {func(*entrustment.Inputs) {}, "biller", entrustment.Request{Purpose: "billing", Entrustment: "fees"}, v1alpha1.ReasonEntrusted},
		"the contract that has ended":    {func(in *entrustment.Inputs) { in.Entrustments[0].Spec.NotAfter.Time = today }, "biller", entrustment.Request{Purpose: "billing", Entrustment: "fees"}, v1alpha1.ReasonExpired},
		"no contract names the store":    {func(in *entrustment.Inputs) { in.Entrustments[0].Spec.Stores[0].Name = "other" }, "biller", entrustment.Request{Purpose: "billing"}, v1alpha1.ReasonNoEntrustment},
		"a namespace that is not bound":  {func(*entrustment.Inputs) {}, "x", entrustment.Request{}, v1alpha1.ReasonNamespaceNotBound},
		"a store that only parts may do": {func(in *entrustment.Inputs) { in.Entrustments[0].Spec.Purposes = []string{"invoices"} }, "biller", entrustment.Request{Purpose: "invoices", Entrustment: "fees"}, v1alpha1.ReasonEntrusted},
	} {
		t.Run(name, func(t *testing.T) {
			d := shop(test.change).Nearest(test.namespace, ledgerKey)
			test.want.Namespace, test.want.Store = test.namespace, ledgerKey
			if diff := cmp.Diff(test.want, d.Request()); diff != "" || d.Reason() != test.reason {
				t.Errorf("%s %s", d.Reason(), diff)
			}
		})
	}
}

func TestWithheldSecrets(t *testing.T) {
	const delivered = "pds.data.ledger.ro"
	for name, test := range map[string]struct {
		purpose, entrustment string
		names, want          []string
	}{
		"one that the grant lists":    {"billing", "fees", []string{delivered, "own"}, nil},
		"one of another store":        {"billing", "fees", []string{"pds.data.other.ro", delivered, "pds.data.other.ro"}, []string{"pds.data.other.ro"}},
		"under no contract":           {"billing", "", []string{delivered}, []string{delivered}},
		"by a pod that says nothing":  {"", "", []string{delivered}, []string{delivered}},
		"a name that is not reserved": {"", "", []string{"own"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, shop().WithheldSecrets("biller", test.purpose, test.entrustment, test.names)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is shown of a denial says the decision's own message at the link that breaks.
func TestProofsOfWorkedDecisions(t *testing.T) {
	all, err := cases.Load(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			d := entrustment.Compile(c.Inputs, c.At).Authorize(c.Request)
			said := d.Allowed()
			for _, step := range d.Proof() {
				said = said || step.Decisive && step.Fact == d.Message() && step.Standing == entrustment.Fails
			}
			if !said {
				t.Errorf("%s: %+v", d.Reason(), d.Proof())
			}
		})
	}
}
