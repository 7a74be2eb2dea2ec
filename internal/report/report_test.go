package report_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/report"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/cases"
)

var noon = time.Date(2026, time.December, 1, 12, 0, 0, 0, time.UTC)

func world(in entrustment.Inputs, observed bool) *report.World {
	return report.NewWorld(in, entrustment.Compile(in, noon), observed)
}

// cellsOf are the cells of one column.
func cellsOf(t *testing.T, s report.Section, key string) []report.Cell {
	t.Helper()
	at := slices.IndexFunc(s.Columns, func(c report.Column) bool { return c.Key == key })
	if at < 0 {
		t.Fatalf("no column %s", key)
	}
	var cells []report.Cell
	for _, row := range s.Rows {
		cells = append(cells, row.Cells[at])
	}
	return cells
}

// The report on access lists exactly what the core allows, and each of it once: every request that can be asked is asked.
func TestAccessIsWhatTheCoreAllows(t *testing.T) {
	all, err := cases.Load("../../test/cases/testdata")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, c := range all {
		snapshot := entrustment.Compile(c.Inputs, c.At)
		section := report.NewWorld(c.Inputs, snapshot, false).Access("").Sections[0]
		listed := map[entrustment.Request]int{}
		namespaces, under := cellsOf(t, section, "namespace"), cellsOf(t, section, "entrustment")
		purposes, stores := cellsOf(t, section, "purpose"), cellsOf(t, section, "store")
		for i := range section.Rows {
			namespace, name, _ := strings.Cut(stores[i][0], "/")
			listed[entrustment.Request{
				Namespace: namespaces[i][0], Entrustment: strings.Join(under[i], ""), Purpose: purposes[i][0],
				Store: types.NamespacedName{Namespace: namespace, Name: name},
			}]++
			rows++
		}
		contracts := []string{""}
		for _, e := range c.Inputs.Entrustments {
			contracts = append(contracts, e.Name)
		}
		for _, namespace := range snapshot.BoundNamespaces() {
			for _, contract := range contracts {
				for _, purpose := range c.Inputs.Purposes {
					for _, store := range snapshot.Stores() {
						request := entrustment.Request{Namespace: namespace, Purpose: purpose.Name, Entrustment: contract, Store: store}
						want := 0
						if snapshot.Authorize(request).Allowed() {
							want = 1
						}
						if listed[request] != want {
							t.Errorf("%s: %+v is listed %d times, want %d", c.Name, request, listed[request], want)
						}
						delete(listed, request)
					}
				}
			}
		}
		if len(listed) > 0 {
			t.Errorf("%s: listed beyond what can be asked: %v", c.Name, listed)
		}
	}
	if rows == 0 {
		t.Error("nothing is allowed anywhere")
	}
}

// base is a data controller with one entrustee; a case changes what matters to it.
func base(change func(*entrustment.Inputs)) entrustment.Inputs {
	in := entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Controller("shop").With(func(p *v1alpha1.Purpose) {
			p.Spec.LegalBases = []v1alpha1.LegalBasis{"ContractPerformance"}
			p.Spec.Publication = &v1alpha1.Publication{Document: "Policy"}
		}).Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor("shop").Country("JP").Namespace("own").With(func(p *v1alpha1.DataProcessor) {
				p.Spec.Contacts = []v1alpha1.Contact{{Role: "General", Name: "Desk"}}
			}).Obj(),
			builder.Processor("bank").Country("JP").Namespace("work").Selected(v1alpha1.SelectionApproved).Obj(),
			builder.Processor("printer").Country("JP").Namespace("print").Selected(v1alpha1.SelectionApproved).Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").Controller("shop").Categories("user").AllowedPurposes("billing").
			Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee).With(func(s *v1alpha1.PersonalDataStore) {
			s.Spec.Retention = &v1alpha1.Retention{Description: "a year"}
			s.Spec.SecurityMeasures, s.Spec.DataSubjects = []string{"locks"}, []string{"customer"}
		}).Obj()},
		Entrustments: []*v1alpha1.Entrustment{contract("fees").Obj()},
	}
	if change != nil {
		change(&in)
	}
	return in
}

func contract(name string) *builder.EntrustmentBuilder {
	return builder.Entrustment(name).From("shop").To("bank").Purposes("billing").Categories("user").Stores("data/ledger").Territories("JP").
		NotBefore(noon.AddDate(0, -1, 0)).NotAfter(noon.AddDate(1, 0, 0)).With(func(e *v1alpha1.Entrustment) {
		e.Spec.Contract = &v1alpha1.Contract{Reference: name, ConcludedDate: "2026-01-01", Clauses: v1alpha1.RequiredClauses()}
	})
}

func TestFindings(t *testing.T) {
	entrust := func(e *v1alpha1.Entrustment) func(*entrustment.Inputs) {
		return func(in *entrustment.Inputs) { in.Entrustments = []*v1alpha1.Entrustment{e} }
	}
	store := func(change func(*v1alpha1.PersonalDataStore)) func(*entrustment.Inputs) {
		return func(in *entrustment.Inputs) { change(in.Stores[0]) }
	}
	isolated := metav1.Condition{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionTrue, Reason: "PoliciesApplied"}
	for name, test := range map[string]struct {
		change   func(*entrustment.Inputs)
		observed bool
		want     []string
	}{
		"nothing": {},
		"a review is overdue": {
			change: entrust(contract("fees").NotBefore(noon.AddDate(-1, -1, 0)).Obj()),
			want:   []string{"error ReviewOverdue Entrustment fees derived"},
		},
		"a review is due soon": {
			change: entrust(contract("fees").NotBefore(noon.AddDate(0, 0, -350)).Obj()),
			want:   []string{"note ReviewDueSoon Entrustment fees derived"},
		},
		"no contract is recorded": {
			change: entrust(contract("fees").With(func(e *v1alpha1.Entrustment) { e.Spec.Contract = nil }).Obj()),
			want:   []string{"error ClauseMissing Entrustment fees derived"},
		},
		"a transfer has no ground": {
			change: func(in *entrustment.Inputs) {
				in.Processors[1].Spec.Country = "SG"
				in.Entrustments[0].Spec.Territories = []string{"JP", "SG"}
			},
			want: []string{"error TransferBasisMissing Entrustment fees derived"},
		},
		"a transfer by consent": {
			change: func(in *entrustment.Inputs) {
				in.Processors[1].Spec.Country = "SG"
				in.Entrustments[0].Spec.Territories = []string{"JP", "SG"}
				in.Entrustments[0].Spec.Transfers = []v1alpha1.Transfer{{Country: "SG", Basis: "Consent"}}
			},
			want: []string{"warning ProvisionRecordRequired Entrustment fees derived"},
		},
		"equivalent measures were not checked for a year": {
			change: func(in *entrustment.Inputs) {
				in.Processors[1].Spec.Country = "SG"
				in.Entrustments[0].Spec.Territories = []string{"JP", "SG"}
				in.Entrustments[0].Spec.Transfers = []v1alpha1.Transfer{{Country: "SG", Basis: "EquivalentMeasures", CheckedDate: "2025-11-01"}}
			},
			want: []string{"error CheckOverdue Entrustment fees derived"},
		},
		"a selection has expired": {
			change: func(in *entrustment.Inputs) { in.Processors[1].Spec.Selection.ValidUntil = "2026-11-30" },
			want:   []string{"error SelectionExpired DataProcessor bank derived"},
		},
		"there was no selection": {
			change: func(in *entrustment.Inputs) { in.Processors[1].Spec.Selection = nil },
			want:   []string{"error SelectionMissing DataProcessor bank derived"},
		},
		"ended, and not disposed of in time": {
			change: entrust(contract("fees").NotBefore(noon.AddDate(-1, 0, 0)).NotAfter(noon.AddDate(0, -2, 0)).Obj()),
			want:   []string{"error Overdue Entrustment fees derived"},
		},
		"ended, and to be disposed of": {
			change: entrust(contract("fees").NotBefore(noon.AddDate(-1, 0, 0)).NotAfter(noon.AddDate(0, 0, -1)).Obj()),
			want:   []string{"warning Pending Entrustment fees derived"},
		},
		"ends soon": {
			change: entrust(contract("fees").NotAfter(noon.AddDate(0, 0, 29)).Obj()),
			want:   []string{"note EndingSoon Entrustment fees derived"},
		},
		"suspended": {
			change: entrust(contract("fees").Suspended().Obj()),
			want:   []string{"note Suspended Entrustment fees derived"},
		},
		"a sub-entrustment without approval": {
			change: func(in *entrustment.Inputs) {
				in.Entrustments[0] = contract("fees").PriorApproval().Obj()
				in.Entrustments = append(in.Entrustments, contract("print").From("bank").To("printer").Parent("fees").Obj())
			},
			want: []string{"error NotApproved Entrustment print derived"},
		},
		"collation is possible": {
			change: func(in *entrustment.Inputs) {
				in.Stores = append(in.Stores, builder.Store("data", "pseudo").Controller("shop").Form(v1alpha1.DataFormPseudonymised).
					Categories("user").AllowedPurposes("billing").With(func(s *v1alpha1.PersonalDataStore) {
					s.Spec.Retention, s.Spec.SecurityMeasures, s.Spec.DataSubjects = in.Stores[0].Spec.Retention, []string{"locks"}, []string{"customer"}
					s.Spec.Endpoint.PodSelector.MatchLabels = map[string]string{"app": "pseudo"}
				}).Obj())
			},
			want: []string{"warning SharedPurposes PersonalDataStore data/pseudo derived"},
		},
		"records are incomplete": {
			change: func(in *entrustment.Inputs) {
				in.Processors[0].Spec.Contacts = nil
				in.Purposes[0].Spec.Publication, in.Purposes[0].Spec.LegalBases = nil, nil
				s := &in.Stores[0].Spec
				s.Retention, s.SecurityMeasures, s.DataSubjects = nil, nil, nil
			},
			want: []string{
				"warning ContactMissing DataProcessor shop derived",
				"warning IndividualsMissing PersonalDataStore data/ledger derived",
				"warning LegalBasisMissing Purpose billing derived",
				"warning MeasuresMissing PersonalDataStore data/ledger derived",
				"warning PublicationMissing Purpose billing derived",
				"warning RetentionMissing PersonalDataStore data/ledger derived",
			},
		},
		"an unknown purpose is a mistake of the store": {
			change: store(func(s *v1alpha1.PersonalDataStore) { s.Spec.AllowedPurposes = []string{"billing", "nothing"} }),
			want:   []string{"error PurposeNotFound PersonalDataStore data/ledger derived"},
		},
		"a cluster in which the operator has not looked": {
			observed: true,
			want:     []string{"error NotIsolated PersonalDataStore data/ledger observed"},
		},
		"a cluster in which all is well": {
			change:   store(func(s *v1alpha1.PersonalDataStore) { s.Status.Conditions = []metav1.Condition{isolated} }),
			observed: true,
		},
		"what only a cluster shows": {
			change: store(func(s *v1alpha1.PersonalDataStore) {
				s.Status.Conditions = []metav1.Condition{
					{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionFalse, Reason: "ForeignNetworkPolicy", Message: "open"},
					{Type: v1alpha1.ConditionGuarded, Status: metav1.ConditionFalse, Reason: "WebhookMissing", Message: "gone"},
				}
				s.Status.ExposedTo = []v1alpha1.ExposedSubject{{Kind: "User", Name: "a", How: "b"}}
				s.Status.RotationRequiredSince = &metav1.Time{Time: noon}
				s.Status.WouldDenyCount = 2
			}),
			observed: true,
			want: []string{
				"error ForeignNetworkPolicy PersonalDataStore data/ledger observed",
				"error WebhookMissing PersonalDataStore data/ledger observed",
				"warning CredentialsExposed PersonalDataStore data/ledger observed",
				"warning RotationRequired PersonalDataStore data/ledger observed",
				"note WouldDeny PersonalDataStore data/ledger observed",
			},
		},
		"what a cluster shows is not asked of files": {
			change: store(func(s *v1alpha1.PersonalDataStore) { s.Status.WouldDenyCount = 2 }),
		},
		"access has ended but not everywhere": {
			change: func(in *entrustment.Inputs) {
				in.Stores[0].Status.Conditions = []metav1.Condition{isolated}
				e := contract("fees").NotBefore(noon.AddDate(-1, 0, 0)).NotAfter(noon.AddDate(0, 0, -1)).Obj()
				e.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRevoked, Status: metav1.ConditionFalse, Reason: "Draining", Message: "a pod is left"}}
				in.Entrustments = []*v1alpha1.Entrustment{e}
			},
			observed: true,
			want:     []string{"error Draining Entrustment fees observed", "warning Pending Entrustment fees derived"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, found := world(base(test.change), test.observed).Findings("")
			var got []string
			for _, f := range found {
				got = append(got, fmt.Sprintf("%s %s %s %s %s", f.Severity, f.Code, f.Kind, f.Name, f.Origin))
				if f.Message == "" || strings.HasPrefix(f.Message, "%!") {
					t.Errorf("%s says nothing", f.Code)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestProcessorsThatCome(t *testing.T) {
	in := base(func(in *entrustment.Inputs) {
		in.Entrustments = []*v1alpha1.Entrustment{
			contract("fees").PriorNotice(30).Created(noon.AddDate(0, -1, 0)).Obj(),
			contract("announced").From("bank").To("printer").Parent("fees").Created(noon.AddDate(0, 0, -10)).Obj(),
			contract("later").NotBefore(noon.AddDate(0, 1, 0)).Obj(),
			contract("over").NotBefore(noon.AddDate(-1, 0, 0)).NotAfter(noon.AddDate(0, 0, -1)).Obj(),
			contract("nobody").From("bank").Obj(),
		}
	})
	section := world(in, false).Processors("shop").Sections[0]
	var got []string
	for i := range section.Rows {
		got = append(got, fmt.Sprintf("%s: %s %s %s", section.Rows[i].Title, cellsOf(t, section, "change")[i], cellsOf(t, section, "changeTime")[i], cellsOf(t, section, "objectBefore")[i]))
	}
	want := []string{
		"Party printer (announced): [Coming] [2026-12-21T12:00:00Z] [2026-12-21T12:00:00Z]",
		"Party bank (fees): [None] [] []",
		"Party bank (later): [Coming] [2027-01-01T12:00:00Z] []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("processors (-want +got):\n%s", diff)
	}
}

// What somebody looked at and found empty differs from what nobody looked at.
func TestDeclaredIsKeptApartFromObserved(t *testing.T) {
	in := base(func(in *entrustment.Inputs) {
		in.Entrustments[0].Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionRevoked, Status: metav1.ConditionFalse, Reason: "InForce"}}
	})
	text, err := json.Marshal(world(in, true).Ledger("bank"))
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Observed bool
		Sections []struct {
			Unknown []string
			Rows    []map[string]map[string]any
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	row := document.Sections[0].Rows[0]
	if !document.Observed || row["observed"]["revoked"] != "InForce" || row["observed"]["revocationVerified"] != nil || row["unknown"] != nil {
		t.Errorf("observed %v, unknown %v", row["observed"], row["unknown"])
	}
	if diff := cmp.Diff([]string{"instructions", "incidents"}, document.Sections[0].Unknown); diff != "" {
		t.Errorf("blank (-want +got):\n%s", diff)
	}
	if _, declared := row["declared"]["revoked"]; declared {
		t.Error("what was observed is among what was declared")
	}
}

func TestPartiesSeeTheirOwn(t *testing.T) {
	w := world(base(nil), false)
	for party, want := range map[string][]int{ // rows as data controller, as entrustee, in the ledger, of access
		"shop": {1, 0, 1, 2}, "bank": {0, 1, 1, 1}, "printer": {0, 0, 0, 0}, "": {1, 1, 1, 2},
	} {
		records := w.Records(party).Sections
		got := []int{len(records[0].Rows), len(records[1].Rows), len(w.Ledger(party).Sections[0].Rows), len(w.Access(party).Sections[0].Rows)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", party, diff)
		}
	}
}
