package entrustment_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/cases"
)

// found is the condition of a type, as "Status/Reason".
func found(conditions []metav1.Condition, kind string) string {
	for _, c := range conditions {
		if c.Type == kind {
			return string(c.Status) + "/" + c.Reason
		}
	}
	return "absent"
}

var publishedPolicy = sync.OnceValues(func() (entrustment.Inputs, error) { return cases.Policy(casesDir) })

// published is a copy of the published policy, to be changed.
func published(t *testing.T) *entrustment.Inputs {
	t.Helper()
	in, err := publishedPolicy()
	if err != nil {
		t.Fatal(err)
	}
	return &entrustment.Inputs{
		Purposes: copies(in.Purposes), Processors: copies(in.Processors), Entrustments: copies(in.Entrustments), Stores: copies(in.Stores),
	}
}

func copies[T interface{ DeepCopy() T }](list []T) []T {
	out := make([]T, len(list))
	for i, item := range list {
		out[i] = item.DeepCopy()
	}
	return out
}

func entrustmentNamed(in *entrustment.Inputs, name string) *v1alpha1.Entrustment {
	for _, e := range in.Entrustments {
		if e.Name == name {
			return e
		}
	}
	panic("no Entrustment " + name)
}

func processorNamed(in *entrustment.Inputs, name string) *v1alpha1.DataProcessor {
	for _, p := range in.Processors {
		if p.Name == name {
			return p
		}
	}
	panic("no DataProcessor " + name)
}

func storeNamed(in *entrustment.Inputs, name string) *v1alpha1.PersonalDataStore {
	for _, s := range in.Stores {
		if s.Name == name {
			return s
		}
	}
	panic("no PersonalDataStore " + name)
}

func purposeNamed(in *entrustment.Inputs, name string) *v1alpha1.Purpose {
	for _, p := range in.Purposes {
		if p.Name == name {
			return p
		}
	}
	panic("no Purpose " + name)
}

func without[T any](list []*T, gone *T) []*T {
	var rest []*T
	for _, item := range list {
		if item != gone {
			rest = append(rest, item)
		}
	}
	return rest
}

func TestEntrustmentConditions(t *testing.T) {
	const (
		authorized = v1alpha1.ConditionAuthorized
		scope      = v1alpha1.ConditionScopeValid
		active     = v1alpha1.ConditionActive
		transfer   = v1alpha1.ConditionTransferBasisPresent
		ready      = v1alpha1.ConditionReady
		complete   = v1alpha1.ConditionContractComplete
		supervised = v1alpha1.ConditionSupervisionCurrent
		disposed   = v1alpha1.ConditionDisposed
		ending     = v1alpha1.ConditionEnding
	)
	feesEnd := time.Date(2027, time.March, 31, 15, 0, 0, 0, time.UTC)
	type want map[string]string
	for name, c := range map[string]struct {
		of     string
		change func(in *entrustment.Inputs, e *v1alpha1.Entrustment)
		at     time.Time
		want   want
	}{
		"as published": {of: "fees", want: want{
			authorized: "True/ByController", scope: "True/WithinScope", active: "True/InForce", transfer: "True/Domestic",
			ready: "True/Enforced", complete: "True/ClausesPresent", supervised: "True/ReviewCurrent", disposed: "False/NotDue"}},
		"a sub-entrustment as published": {of: "analysis-modelling", want: want{
			authorized: "True/PriorApproval", transfer: "True/BasisRecorded", ready: "True/Enforced"}},
		"a contract without an audit clause": {of: "other-services", want: want{complete: "False/ClauseMissing", ready: "True/Enforced"}},
		"no contract": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) { e.Spec.Contract = nil },
			want: want{complete: "False/ClauseMissing", ready: "True/Enforced"}},
		"an entrustee without a namespace": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			processorNamed(in, "billing-entrustee").Spec.Namespaces = nil
		}, want: want{ready: "True/RecordedOnly"}},
		"an entrustee whose only namespace was made anew by somebody": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			processorNamed(in, "billing-entrustee").Status.Namespaces = []v1alpha1.ObservedNamespace{{Name: "billing-entrustee", UID: "first"}}
			in.Namespaces = map[string]types.UID{"billing-entrustee": "second"}
		}, want: want{ready: "True/RecordedOnly"}},
		"suspended": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) { e.Spec.Suspended = true },
			want: want{active: "False/Suspended", authorized: "True/ByController", ready: "False/Suspended"}},
		"its parent suspended": {of: "fees-print-mailing", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			entrustmentNamed(in, "fees").Spec.Suspended = true
		}, want: want{active: "False/ParentNotActive", ready: "False/ParentNotActive"}},
		"its parent gone": {of: "fees-print-mailing", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			in.Entrustments = without(in.Entrustments, entrustmentNamed(in, "fees"))
		}, want: want{authorized: "False/ParentNotFound", active: "False/ParentNotActive", scope: "Unknown/ParentNotFound", ready: "False/ParentNotFound"}},
		"its own ancestor": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) { e.Spec.ParentName = "fees-print-mailing" },
			want: want{authorized: "False/ChainLoops", ready: "False/ChainLoops"}},
		"being deleted": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.DeletionTimestamp = ptr.To(metav1.NewTime(cases.At))
		}, want: want{active: "False/Terminating", ready: "False/Terminating", disposed: "False/Pending"}},
		"far from its end":                    {of: "fees", want: want{ending: "False/EndsLater"}},
		"a month and a second before its end": {of: "fees", at: feesEnd.AddDate(0, 0, -30).Add(-time.Second), want: want{ending: "False/EndsLater"}},
		"a month before its end":              {of: "fees", at: feesEnd.AddDate(0, 0, -30), want: want{ending: "True/EndsWithin30Days"}},
		"a week before its end":               {of: "fees", at: feesEnd.AddDate(0, 0, -7), want: want{ending: "True/EndsWithin7Days"}},
		"a day before its end":                {of: "fees", at: feesEnd.AddDate(0, 0, -1), want: want{ending: "True/EndsWithin1Day"}},
		"at its end":                          {of: "fees", at: feesEnd, want: want{ending: "True/Ended"}},
		"before the end of its parent": {of: "fees-print-mailing", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			entrustmentNamed(in, "fees").Spec.NotAfter = metav1.NewTime(cases.At.AddDate(0, 0, 5))
		}, want: want{ending: "True/EndsWithin7Days"}},
		"before its term": {of: "fees", at: cases.At.AddDate(-1, 0, 0), want: want{active: "False/NotYetInForce"}},
		"after its term":  {of: "fees", at: cases.At.AddDate(0, 4, 10), want: want{active: "False/Expired", disposed: "False/Pending"}},
		"long after its term": {of: "fees", at: cases.At.AddDate(0, 7, 0),
			want: want{disposed: "False/Overdue"}},
		"disposal recorded": {of: "fees", at: cases.At.AddDate(0, 7, 0), change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Disposal = &v1alpha1.Disposal{CompletedDate: "2027-04-20", EvidenceURL: "https://example.com"}
		}, want: want{disposed: "True/Completed"}},
		"disposal recorded before its end": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Disposal = &v1alpha1.Disposal{CompletedDate: "2026-11-20", EvidenceURL: "https://example.com"}
		}, want: want{active: "False/Expired", ready: "False/Expired", disposed: "True/Completed"}},
		"an approval withdrawn": {of: "fees-print-mailing", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			entrustmentNamed(in, "fees").Spec.SubEntrustment.ApprovedProcessorNames = nil
		}, want: want{authorized: "False/NotApproved", ready: "False/NotApproved"}},
		"notice given long ago": {of: "fees-print-mailing", change: func(in *entrustment.Inputs, e *v1alpha1.Entrustment) {
			parent := entrustmentNamed(in, "fees")
			parent.Spec.SubEntrustment = &v1alpha1.SubEntrustment{Policy: v1alpha1.SubEntrustmentPriorNotice, NoticePeriodDays: ptr.To[int32](30)}
			created := metav1.NewTime(cases.At.AddDate(0, -2, 0))
			parent.CreationTimestamp, e.CreationTimestamp = created, created
		}, want: want{authorized: "True/NoticeElapsed", ready: "True/Enforced"}},
		"a store of another data controller too": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Stores = append(e.Spec.Stores, v1alpha1.StoreReference{Namespace: "data-partner", Name: "partner-customers"})
		}, want: want{authorized: "False/MixedControllers", scope: "Unknown/MixedControllers", ready: "False/MixedControllers"}},
		"no store exists": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Stores = []v1alpha1.StoreReference{{Namespace: "data-billing", Name: "nothing"}}
		}, want: want{authorized: "Unknown/StoreNotFound", scope: "False/StoreNotFound", ready: "False/StoreNotFound"}},
		"one of two stores does not exist": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Stores = append(e.Spec.Stores, v1alpha1.StoreReference{Namespace: "data-billing", Name: "nothing"})
		}, want: want{authorized: "True/ByController", scope: "False/StoreNotFound", ready: "False/StoreNotFound"}},
		"a store closed to entrustees": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			storeNamed(in, "billing-ledger").Spec.AllowedRecipients = nil
		}, want: want{scope: "False/RecipientNotAllowed", ready: "False/RecipientNotAllowed"}},
		"a category added to a store": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			st := storeNamed(in, "billing-ledger")
			st.Spec.DataCategories = append(st.Spec.DataCategories, "user.government_id")
		}, want: want{scope: "False/CategoryNotEntrusted", ready: "False/CategoryNotEntrusted"}},
		"a narrowed parent clips, and leaves it ready": {of: "fees-print-mailing", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			entrustmentNamed(in, "fees").Spec.NotAfter = metav1.NewTime(cases.At.AddDate(0, 1, 0))
		}, want: want{scope: "False/ExceedsParentScope", ready: "True/Enforced"}},
		"a narrowed store clips, and leaves it ready": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			storeNamed(in, "billing-ledger").Spec.ProhibitedPurposes = []string{"points-management"}
		}, want: want{scope: "False/ExceedsStorePurposes", ready: "True/Enforced"}},
		"a country that the parent does not permit": {of: "analysis-modelling", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			entrustmentNamed(in, "analysis").Spec.Territories = []string{"JP"}
		}, want: want{scope: "False/TerritoryNotAllowed", ready: "False/TerritoryNotAllowed"}},
		"no ground for handling abroad": {of: "analysis-modelling", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) { e.Spec.Transfers = nil },
			want: want{transfer: "False/TransferBasisMissing", ready: "False/TransferBasisMissing"}},
		"measures not checked for more than a year": {of: "analysis-modelling", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Transfers = []v1alpha1.Transfer{{Country: "SG", Basis: v1alpha1.TransferEquivalentMeasures, CheckedDate: "2025-11-22"}}
		}, want: want{transfer: "True/CheckOverdue", ready: "True/Enforced"}},
		"measures checked a year ago today": {of: "analysis-modelling", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Transfers = []v1alpha1.Transfer{{Country: "SG", Basis: v1alpha1.TransferEquivalentMeasures, CheckedDate: "2025-11-23"}}
		}, want: want{transfer: "True/BasisRecorded"}},
		"the entrustee rejected": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			processorNamed(in, "billing-entrustee").Spec.Selection.Result = v1alpha1.SelectionRejected
		}, want: want{authorized: "False/SelectionRejected", active: "False/SelectionRejected", ready: "False/SelectionRejected"}},
		"the entrustee gone": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			in.Processors = without(in.Processors, processorNamed(in, "billing-entrustee"))
		}, want: want{active: "False/ProcessorNotFound", transfer: "Unknown/ProcessorNotFound", ready: "False/ProcessorNotFound"}},
		"the entrustee suspended": {of: "fees", change: func(in *entrustment.Inputs, _ *v1alpha1.Entrustment) {
			processorNamed(in, "billing-entrustee").Spec.Suspended = true
		}, want: want{active: "False/ProcessorSuspended"}},
		"a review overdue is reported": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Supervision = &v1alpha1.Supervision{ReviewPeriodDays: ptr.To[int32](30), OverdueAction: v1alpha1.OverdueReport}
		}, want: want{supervised: "False/ReviewOverdue", active: "True/InForce", ready: "True/Enforced"}},
		"a review overdue suspends": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Supervision = &v1alpha1.Supervision{ReviewPeriodDays: ptr.To[int32](30), OverdueAction: v1alpha1.OverdueSuspend}
		}, want: want{supervised: "False/ReviewOverdue", active: "False/ReviewOverdue", ready: "False/ReviewOverdue"}},
		"a review due soon": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Supervision = &v1alpha1.Supervision{ReviewPeriodDays: ptr.To[int32](60), Reviews: []v1alpha1.Review{{Date: "2026-10-15", Result: "Satisfactory"}}}
		}, want: want{supervised: "True/ReviewDueSoon"}},
		"an unsatisfactory review": {of: "fees", change: func(_ *entrustment.Inputs, e *v1alpha1.Entrustment) {
			e.Spec.Supervision = &v1alpha1.Supervision{Reviews: []v1alpha1.Review{
				{Date: "2026-10-15", Result: v1alpha1.ReviewUnsatisfactory}, {Date: "2026-12-01", Result: "Satisfactory"}}}
		}, want: want{supervised: "False/LastReviewUnsatisfactory"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := published(t)
			if c.change != nil {
				c.change(in, entrustmentNamed(in, c.of))
			}
			if c.at.IsZero() {
				c.at = cases.At
			}
			status, ok := entrustment.Compile(*in, c.at).EntrustmentStatus(c.of)
			if !ok {
				t.Fatal("no status")
			}
			for kind, want := range c.want {
				if got := found(status.Conditions, kind); got != want {
					t.Errorf("%s: got %s, want %s", kind, got, want)
				}
			}
			for _, condition := range status.Conditions {
				if condition.Message == "" {
					t.Errorf("%s has no message", condition.Type)
				}
			}
		})
	}
}

func TestStoreConditions(t *testing.T) {
	isolated := metav1.Condition{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionTrue, Reason: string(v1alpha1.ReasonPoliciesApplied)}
	reporting := metav1.Condition{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonReporting)}
	for name, c := range map[string]struct {
		of       string
		change   func(in *entrustment.Inputs, s *v1alpha1.PersonalDataStore)
		observed []metav1.Condition
		want     string
	}{
		"isolated":         {of: "billing-ledger", observed: []metav1.Condition{isolated}, want: "True/Enforced"},
		"nothing observed": {of: "billing-ledger", want: "False/NotIsolated"},
		"a credential's source is missing": {of: "billing-ledger", want: "False/CredentialNotFound", observed: []metav1.Condition{
			isolated, {Type: v1alpha1.ConditionCredentialsDelivered, Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonSecretNotFound)},
		}},
		"a copy's name is taken": {of: "billing-ledger", want: "True/Enforced", observed: []metav1.Condition{
			isolated, {Type: v1alpha1.ConditionCredentialsDelivered, Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonNameConflict)},
		}},
		"reporting": {of: "billing-ledger", observed: []metav1.Condition{reporting},
			change: func(_ *entrustment.Inputs, s *v1alpha1.PersonalDataStore) {
				s.Spec.Enforcement = v1alpha1.EnforcementReport
			}, want: "True/Reporting"},
		"suspended": {of: "billing-ledger", observed: []metav1.Condition{isolated},
			change: func(_ *entrustment.Inputs, s *v1alpha1.PersonalDataStore) { s.Spec.Suspended = true }, want: "False/Suspended"},
		"being deleted": {of: "billing-ledger", observed: []metav1.Condition{isolated},
			change: func(_ *entrustment.Inputs, s *v1alpha1.PersonalDataStore) {
				s.DeletionTimestamp = ptr.To(metav1.NewTime(cases.At))
			}, want: "False/Terminating"},
		"no data controller": {of: "billing-ledger", observed: []metav1.Condition{isolated},
			change: func(_ *entrustment.Inputs, s *v1alpha1.PersonalDataStore) { s.Spec.ControllerName = "nobody" }, want: "False/ControllerNotFound"},
		"a purpose that does not exist": {of: "billing-ledger", observed: []metav1.Condition{isolated},
			change: func(_ *entrustment.Inputs, s *v1alpha1.PersonalDataStore) {
				s.Spec.ProhibitedPurposes = []string{"gone"}
			}, want: "False/PurposeNotFound"},
		"no purpose left": {of: "consented-insights", observed: []metav1.Condition{isolated},
			change: func(_ *entrustment.Inputs, s *v1alpha1.PersonalDataStore) { s.Spec.ConsentedPurposes = nil }, want: "False/NoEffectivePurpose"},
		"an endpoint that another store has": {of: "billing-ledger", observed: []metav1.Condition{isolated},
			change: func(in *entrustment.Inputs, s *v1alpha1.PersonalDataStore) {
				storeNamed(in, "credit-assessments").Spec.Endpoint = s.Spec.Endpoint
			}, want: "False/EndpointConflict"},
	} {
		t.Run(name, func(t *testing.T) {
			in := published(t)
			st := storeNamed(in, c.of)
			if c.change != nil {
				c.change(in, st)
			}
			key := types.NamespacedName{Namespace: st.Namespace, Name: st.Name}
			status, ok := entrustment.Compile(*in, cases.At).StoreStatus(key, c.observed...)
			if !ok {
				t.Fatal("no status")
			}
			if got := found(status.Conditions, v1alpha1.ConditionReady); got != c.want {
				t.Errorf("Ready: got %s, want %s", got, c.want)
			}
		})
	}
}

func TestProcessorConditions(t *testing.T) {
	existing := map[string]types.UID{"billing-entrustee": "first"}
	for name, c := range map[string]struct {
		change func(in *entrustment.Inputs, p *v1alpha1.DataProcessor)
		want   string
	}{
		"as published": {want: "True/Valid"},
		"suspended":    {change: func(_ *entrustment.Inputs, p *v1alpha1.DataProcessor) { p.Spec.Suspended = true }, want: "False/Suspended"},
		"rejected": {change: func(_ *entrustment.Inputs, p *v1alpha1.DataProcessor) {
			p.Spec.Selection.Result = v1alpha1.SelectionRejected
		}, want: "False/SelectionRejected"},
		"a namespace that another names": {change: func(in *entrustment.Inputs, p *v1alpha1.DataProcessor) {
			processorNamed(in, "credit-entrustee").Spec.Namespaces = p.Spec.Namespaces
		}, want: "False/NamespaceConflict"},
		"a namespace that does not exist": {change: func(in *entrustment.Inputs, _ *v1alpha1.DataProcessor) {
			in.Namespaces = map[string]types.UID{}
		}, want: "False/NamespaceNotFound"},
		"a namespace made anew by somebody else": {change: func(_ *entrustment.Inputs, p *v1alpha1.DataProcessor) {
			p.Status.Namespaces = []v1alpha1.ObservedNamespace{{Name: "billing-entrustee", UID: "before"}}
		}, want: "False/NamespaceRecreated"},
		"a namespace as first seen": {change: func(_ *entrustment.Inputs, p *v1alpha1.DataProcessor) {
			p.Status.Namespaces = []v1alpha1.ObservedNamespace{{Name: "billing-entrustee", UID: "first"}}
		}, want: "True/Valid"},
	} {
		t.Run(name, func(t *testing.T) {
			in := published(t)
			in.Namespaces = existing
			if c.change != nil {
				c.change(in, processorNamed(in, "billing-entrustee"))
			}
			status, ok := entrustment.Compile(*in, cases.At).ProcessorStatus("billing-entrustee")
			if !ok {
				t.Fatal("no status")
			}
			if got := found(status.Conditions, v1alpha1.ConditionReady); got != c.want {
				t.Errorf("Ready: got %s, want %s", got, c.want)
			}
		})
	}
}

// A namespace keeps the UID under which it was first seen while it is gone: whoever makes it anew gets nothing.
func TestNamespacePinSurvivesTheNamespace(t *testing.T) {
	in := published(t)
	party := processorNamed(in, "billing-entrustee")
	request := entrustment.Request{Namespace: "billing-entrustee", Purpose: "billing", Entrustment: "fees",
		Store: types.NamespacedName{Namespace: "data-billing", Name: "billing-ledger"}}
	for _, step := range []struct {
		existing map[string]types.UID
		pinned   types.UID
		allowed  bool
	}{
		{existing: map[string]types.UID{"billing-entrustee": "a"}, pinned: "a", allowed: true},
		{existing: map[string]types.UID{}, pinned: "a", allowed: true}, // there is nobody to use it
		{existing: map[string]types.UID{"billing-entrustee": "b"}, pinned: "a", allowed: false},
	} {
		in.Namespaces = step.existing
		s := entrustment.Compile(*in, cases.At)
		status, _ := s.ProcessorStatus(party.Name)
		if len(status.Namespaces) != 1 || status.Namespaces[0].UID != step.pinned {
			t.Fatalf("pinned %v, want %s", status.Namespaces, step.pinned)
		}
		if d := s.Authorize(request); d.Allowed() != step.allowed {
			t.Fatalf("allowed %t: %s", d.Allowed(), d.Message())
		}
		party.Status = status
	}
}

func TestPurposeConditions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *entrustment.Inputs, p *v1alpha1.Purpose)
		want   string
	}{
		"as published": {want: "True/Valid"},
		"parent gone": {change: func(in *entrustment.Inputs, _ *v1alpha1.Purpose) {
			in.Purposes = without(in.Purposes, purposeNamed(in, "billing-and-points"))
		}, want: "False/ParentNotFound"},
		"an ancestor gone": {change: func(in *entrustment.Inputs, _ *v1alpha1.Purpose) {
			in.Purposes = without(in.Purposes, purposeNamed(in, "service-provision"))
		}, want: "False/ParentNotFound"},
		"its own ancestor": {change: func(in *entrustment.Inputs, _ *v1alpha1.Purpose) {
			purposeNamed(in, "service-provision").Spec.ParentName = "billing"
		}, want: "False/CycleDetected"},
		"parent of another data controller": {change: func(in *entrustment.Inputs, _ *v1alpha1.Purpose) {
			purposeNamed(in, "billing-and-points").Spec.ControllerName = "external-entruster"
		}, want: "False/ControllerMismatch"},
		"no data controller": {change: func(in *entrustment.Inputs, _ *v1alpha1.Purpose) {
			in.Processors = without(in.Processors, processorNamed(in, "example-controller"))
		}, want: "False/ControllerNotFound"},
		"an ancestor withdrawn": {change: func(in *entrustment.Inputs, _ *v1alpha1.Purpose) {
			purposeNamed(in, "service-provision").Spec.NotAfter = ptr.To(metav1.NewTime(cases.At))
		}, want: "False/Withdrawn"},
		"not yet in force": {change: func(_ *entrustment.Inputs, p *v1alpha1.Purpose) {
			p.Spec.NotBefore = ptr.To(metav1.NewTime(cases.At.Add(time.Second)))
		}, want: "False/NotYetInForce"},
		"prohibited": {change: func(_ *entrustment.Inputs, p *v1alpha1.Purpose) {
			p.Spec.Disposition = v1alpha1.DispositionProhibited
		}, want: "True/Valid"},
	} {
		t.Run(name, func(t *testing.T) {
			in := published(t)
			if c.change != nil {
				c.change(in, purposeNamed(in, "billing"))
			}
			status, ok := entrustment.Compile(*in, cases.At).PurposeStatus("billing")
			if !ok {
				t.Fatal("no status")
			}
			if got := found(status.Conditions, v1alpha1.ConditionReady); got != c.want {
				t.Errorf("Ready: got %s, want %s", got, c.want)
			}
		})
	}
}

// An assessment that runs out is warned of, and never missed where nothing is entrusted.
func TestSelectionConditions(t *testing.T) {
	for name, c := range map[string]struct {
		party  string
		change func(s *v1alpha1.Selection) *v1alpha1.Selection
		want   string
	}{
		"valid for long":                 {"billing-entrustee", func(s *v1alpha1.Selection) *v1alpha1.Selection { s.ValidUntil = "2027-11-23"; return s }, "True/SelectionCurrent"},
		"to be repeated some day":        {"billing-entrustee", func(s *v1alpha1.Selection) *v1alpha1.Selection { s.ValidUntil = ""; return s }, "True/SelectionCurrent"},
		"31 days left":                   {"billing-entrustee", func(s *v1alpha1.Selection) *v1alpha1.Selection { s.ValidUntil = "2026-12-24"; return s }, "True/SelectionCurrent"},
		"30 days left":                   {"billing-entrustee", func(s *v1alpha1.Selection) *v1alpha1.Selection { s.ValidUntil = "2026-12-23"; return s }, "True/SelectionExpiresSoon"},
		"the last day":                   {"billing-entrustee", func(s *v1alpha1.Selection) *v1alpha1.Selection { s.ValidUntil = "2026-11-23"; return s }, "True/SelectionExpiresSoon"},
		"the day after":                  {"billing-entrustee", func(s *v1alpha1.Selection) *v1alpha1.Selection { s.ValidUntil = "2026-11-22"; return s }, "False/SelectionExpired"},
		"none":                           {"billing-entrustee", func(*v1alpha1.Selection) *v1alpha1.Selection { return nil }, "False/SelectionMissing"},
		"none, and nothing is entrusted": {"controller", func(*v1alpha1.Selection) *v1alpha1.Selection { return nil }, "True/NotEntrusted"},
	} {
		t.Run(name, func(t *testing.T) {
			in := published(t)
			in.Processors = append(in.Processors, builder.Processor("controller").Obj())
			p := processorNamed(in, c.party)
			if p.Spec.Selection == nil {
				p.Spec.Selection = &v1alpha1.Selection{}
			}
			p.Spec.Selection = c.change(p.Spec.Selection)
			status, ok := entrustment.Compile(*in, cases.At).ProcessorStatus(c.party)
			if !ok {
				t.Fatal("no status")
			}
			if got := found(status.Conditions, v1alpha1.ConditionSelectionCurrent); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestPurposeEnding(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		own, above time.Duration // from now to its end, and to that of the purpose that it is a part of; zero: none
		want       string
	}{
		"no end":                      {want: "absent"},
		"in a year":                   {own: 365 * day, want: "False/EndsLater"},
		"a second over 30 days":       {own: 30*day + time.Second, want: "False/EndsLater"},
		"30 days":                     {own: 30 * day, want: "True/EndsWithin30Days"},
		"7 days":                      {own: 7 * day, want: "True/EndsWithin7Days"},
		"1 day":                       {own: day, want: "True/EndsWithin1Day"},
		"now":                         {own: time.Nanosecond, want: "True/Ended"},
		"an ancestor that ends first": {own: 365 * day, above: 3 * day, want: "True/EndsWithin7Days"},
	} {
		t.Run(name, func(t *testing.T) {
			in := published(t)
			end := func(purpose string, left time.Duration) {
				if left > 0 {
					purposeNamed(in, purpose).Spec.NotAfter = ptr.To(metav1.NewTime(cases.At.Add(left.Truncate(time.Second))))
				}
			}
			end("billing", c.own)
			end("service-provision", c.above)
			status, ok := entrustment.Compile(*in, cases.At).PurposeStatus("billing")
			if !ok {
				t.Fatal("no status")
			}
			if got := found(status.Conditions, v1alpha1.ConditionEnding); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// What happened to a contract is told beside its conditions, of which each has one reason only.
func TestContractFacts(t *testing.T) {
	in := published(t)
	e := entrustmentNamed(in, "fees")
	e.Spec.Suspended, e.Spec.NotAfter = true, metav1.NewTime(cases.At)
	e.Spec.Supervision = &v1alpha1.Supervision{Reviews: []v1alpha1.Review{{Date: "2026-10-15", Result: "Satisfactory"}}}
	status, _ := entrustment.Compile(*in, cases.At).EntrustmentStatus("fees")
	if !status.Suspended || !status.Ended || status.ReviewCount != 1 {
		t.Errorf("suspended %t, ended %t, %d reviews", status.Suspended, status.Ended, status.ReviewCount)
	}
	status, _ = entrustment.Compile(*in, cases.At.Add(-time.Second)).EntrustmentStatus("fees")
	if status.Ended {
		t.Error("ended a second early")
	}
}

// A store that is being deleted is closed in every output at once.
func TestStoreBeingDeletedGrantsNothing(t *testing.T) {
	in := published(t)
	storeNamed(in, "billing-ledger").DeletionTimestamp = ptr.To(metav1.NewTime(cases.At))
	s := entrustment.Compile(*in, cases.At)
	key := types.NamespacedName{Namespace: "data-billing", Name: "billing-ledger"}
	if d := s.Authorize(entrustment.Request{Namespace: "core-services", Purpose: "billing", Store: key}); d.Allowed() ||
		d.Reason() != v1alpha1.ReasonStoreNotFound || d.Message() == "" {
		t.Errorf("allowed %t, %s: %s", d.Allowed(), d.Reason(), d.Message())
	}
	if grants := s.StoreGrants(key); len(grants) > 0 {
		t.Errorf("still granted: %v", grants)
	}
	access, _ := s.NamespaceAccess("core-services")
	for _, grant := range access.Grants {
		if slices.Contains(grant.Stores, key) {
			t.Errorf("still shown under %s", grant.Purpose)
		}
	}
	// What a contract does elsewhere goes on.
	if d := s.AuthorizePod("billing-entrustee", "billing", "fees"); !d.Allowed() {
		t.Errorf("%s: %s", d.Reason(), d.Message())
	}
}

// A Purpose tells of as many stores and contracts as tell of it. One of the contracts is suspended, and entrusts nothing.
func TestUsesOfPurposes(t *testing.T) {
	in := published(t)
	in.Entrustments[0].Spec.Suspended, in.Entrustments[0].Spec.SuspendedReason = true, "an incident"
	s := entrustment.Compile(*in, cases.At)
	stores, contracts := map[string]int32{}, map[string]int32{}
	for _, key := range s.Stores() {
		status, _ := s.StoreStatus(key)
		for _, name := range status.EffectivePurposes {
			stores[name]++
		}
	}
	for _, name := range s.Entrustments() {
		if status, _ := s.EntrustmentStatus(name); status.Effective != nil {
			for _, name := range status.Effective.Purposes {
				contracts[name]++
			}
		}
	}
	if len(stores) == 0 || len(contracts) == 0 {
		t.Fatal("nothing has a purpose")
	}
	for _, name := range s.Names("Purpose") {
		status, _ := s.PurposeStatus(name)
		if status.StoreCount != stores[name] || status.EntrustmentCount != contracts[name] {
			t.Errorf("%s: %d stores and %d contracts, want %d and %d", name, status.StoreCount, status.EntrustmentCount, stores[name], contracts[name])
		}
	}
}

// The zero values of everything deny.
func TestZeroValuesDeny(t *testing.T) {
	var s entrustment.Snapshot
	for name, d := range map[string]entrustment.Decision{
		"zero decision":         {},
		"zero snapshot":         s.Authorize(entrustment.Request{Namespace: "a", Purpose: "b", Store: types.NamespacedName{Namespace: "c", Name: "d"}}),
		"zero snapshot for pod": s.AuthorizePod("a", "b", "c"),
		"nothing compiled":      entrustment.Compile(entrustment.Inputs{}, cases.At).Authorize(entrustment.Request{}),
	} {
		if d.Allowed() || !d.Until().IsZero() || d.Chain() != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if len(s.StoreGrants(types.NamespacedName{})) != 0 || len(s.BoundNamespaces()) != 0 {
		t.Error("the zero snapshot grants something")
	}
}
