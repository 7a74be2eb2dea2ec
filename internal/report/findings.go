package report

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// Severity is how much a finding matters.
type Severity string

// The severities, the gravest first.
const (
	SeverityError   Severity = "error"   // something is missing or wrong that a law or a contract asks for
	SeverityWarning Severity = "warning" // a record is incomplete, or somebody should look
	SeverityNote    Severity = "note"    // something comes up
)

var severities = []Severity{SeverityError, SeverityWarning, SeverityNote}

// AtLeast says whether a severity is as grave as another.
func (s Severity) AtLeast(other Severity) bool {
	return slices.Index(severities, s) <= slices.Index(severities, other)
}

// A Finding is one thing amiss. Its code is stable: the reason of the condition that tells of it, or what a record lacks.
type Finding struct {
	Severity   Severity
	Code       string
	Kind, Name string // of the object; NAMESPACE/NAME for a store
	Parties    []string
	Message    string
	Law        string
	Origin     Origin // Derived: it follows from what is declared; Observed: a status says so
}

// Findings is what is amiss: what the conditions of the objects say, and what the records lack.
func (w *World) Findings(party string) (Report, []Finding) {
	f := &finder{world: w}
	for _, p := range w.Parties {
		f.party(p)
	}
	for _, p := range w.Purposes {
		f.purpose(p)
	}
	for _, s := range w.Stores {
		f.store(s)
	}
	for _, c := range w.Contracts {
		f.contract(c)
	}
	found := slices.DeleteFunc(f.found, func(f Finding) bool { return party != "" && !slices.Contains(f.Parties, party) })
	slices.SortStableFunc(found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity)),
			cmp.Compare(a.Code, b.Code), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	columns := []column[Finding]{
		one(Derived, "severity", "Severity", "", func(f Finding) string { return string(f.Severity) }).brief(),
		one(Derived, "code", "Code", "", func(f Finding) string { return f.Code }).brief(),
		one(Derived, "kind", "Kind", "", func(f Finding) string { return f.Kind }).brief(),
		one(Derived, "name", "Name", "", func(f Finding) string { return f.Name }).brief(),
		many(Derived, "parties", "Parties", "", func(f Finding) []string { return f.Parties }),
		one(Derived, "origin", "Origin", "", func(f Finding) string { return string(f.Origin) }),
		one(Derived, "law", "Law", "", func(f Finding) string { return f.Law }),
		one(Derived, "message", "Message", "", func(f Finding) string { return f.Message }).brief(),
	}
	r := w.report("findings", "Findings", party, newSection("findings", "What is amiss", "", columns, found,
		func(f Finding) string { return f.Code + ": " + f.Kind + " " + f.Name }))
	if w.observed {
		r.Notes = append(r.Notes, "Findings of origin observed are as of when the operator last looked, not of the instant of the report.")
	} else {
		r.Notes = append(r.Notes, "Read from files: whether stores are isolated and access has ended is not known.")
	}
	return r, found
}

type finder struct {
	world *World
	found []Finding
}

// subject is the object that findings are about.
type subject struct {
	finder     *finder
	kind, name string
	parties    []string
	conditions []metav1.Condition
}

func (f *finder) about(kind, name string, conditions []metav1.Condition, parties ...string) subject {
	slices.Sort(parties)
	parties = slices.DeleteFunc(slices.Compact(parties), func(name string) bool { return name == "" })
	return subject{f, kind, name, parties, conditions}
}

func (s subject) add(severity Severity, origin Origin, code, law, format string, args ...any) {
	s.finder.found = append(s.finder.found, Finding{severity, code, s.kind, s.name, s.parties, fmt.Sprintf(format, args...), law, origin})
}

// severity of what a condition says; empty: nothing is amiss.
type judge func(status metav1.ConditionStatus, reason v1alpha1.Reason) Severity

// says adds what a condition of the core tells, if it is amiss.
func (s subject) says(kind, law string, judge judge) {
	s.tells(s.conditions, kind, law, Derived, judge)
}

func (s subject) tells(conditions []metav1.Condition, kind, law string, origin Origin, judge judge) {
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		return
	}
	if severity := judge(c.Status, v1alpha1.Reason(c.Reason)); severity != "" {
		s.add(severity, origin, c.Reason, law, "%s", c.Message)
	}
}

// unlessTrue finds every other status as grave, but for some reasons, which are graver, less grave, or nothing amiss.
func unlessTrue(severity Severity, other map[v1alpha1.Reason]Severity) judge {
	return func(status metav1.ConditionStatus, reason v1alpha1.Reason) Severity {
		if special, is := other[reason]; is {
			return special
		}
		if status == metav1.ConditionTrue {
			return ""
		}
		return severity
	}
}

func (f *finder) party(p *Party) {
	s := f.about("DataProcessor", p.Name, p.Says.Conditions, p.Name)
	s.says(v1alpha1.ConditionReady, "", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{v1alpha1.ReasonSuspended: SeverityNote}))
	s.says(v1alpha1.ConditionSelectionCurrent, "APPI art. 25; GDPR art. 28(1)", unlessTrue(SeverityError, nil))
	if slices.Contains(p.Says.Roles, v1alpha1.RoleController) && len(p.Spec.Contacts) == 0 {
		s.add(SeverityWarning, Derived, "ContactMissing", "GDPR art. 30(1)(a); APPI art. 32(1)", "a data controller, but no contact is recorded in spec.contacts")
	}
}

func (f *finder) purpose(p *Purpose) {
	s := f.about("Purpose", p.Name, p.Says.Conditions, p.Spec.ControllerName)
	s.says(v1alpha1.ConditionReady, "APPI art. 17; GDPR art. 5(1)(b)", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonNotYetInForce: "", v1alpha1.ReasonWithdrawn: "",
	}))
	if !p.State.Running() {
		return
	}
	if p.Spec.Publication == nil {
		s.add(SeverityWarning, Derived, "PublicationMissing", "APPI art. 21; GDPR art. 13(1)(c)", "nothing says where it was published; record it in spec.publication")
	}
	if len(p.Spec.LegalBases) == 0 {
		s.add(SeverityWarning, Derived, "LegalBasisMissing", "GDPR art. 6(1); APPI art. 18", "no legal basis is recorded in spec.legalBases")
	}
}

func (f *finder) store(st *Store) {
	s := f.about("PersonalDataStore", st.Key, st.Says.Conditions, st.Spec.ControllerName)
	s.says(v1alpha1.ConditionReady, "", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonSuspended: SeverityNote, v1alpha1.ReasonTerminating: SeverityNote,
		v1alpha1.ReasonNotIsolated: "", v1alpha1.ReasonCredentialNotFound: "", // told below, as observed
	}))
	s.says(v1alpha1.ConditionCollationPossible, "APPI art. 41(7)", func(status metav1.ConditionStatus, _ v1alpha1.Reason) Severity {
		if status == metav1.ConditionTrue {
			return SeverityWarning
		}
		return ""
	})
	if form := st.form(); form == v1alpha1.DataFormIdentifiable || form == v1alpha1.DataFormPseudonymised {
		if st.Spec.Retention == nil {
			s.add(SeverityWarning, Derived, "RetentionMissing", "GDPR art. 30(1)(f); APPI art. 22", "no envisaged erasure is recorded in spec.retention")
		}
		if len(st.Spec.SecurityMeasures) == 0 {
			s.add(SeverityWarning, Derived, "MeasuresMissing", "GDPR art. 30(1)(g), 32; APPI art. 23", "no security measures are recorded in spec.securityMeasures")
		}
		if len(st.Spec.DataSubjects) == 0 {
			s.add(SeverityWarning, Derived, "IndividualsMissing", "GDPR art. 30(1)(c)", "no categories of individuals are recorded in spec.dataSubjects")
		}
	}
	if f.world.observed {
		f.observed(s, st)
	}
}

// observed adds what the operator saw of a store.
func (f *finder) observed(s subject, st *Store) {
	const law = "GDPR art. 32; APPI art. 23"
	seen := &st.Status
	if isolation(st) == "" {
		s.add(SeverityError, Observed, "NotIsolated", law, "the operator has not said whether it is isolated; see whether it runs")
	}
	reporting := map[v1alpha1.Reason]Severity{v1alpha1.ReasonReporting: SeverityWarning}
	s.tells(seen.Conditions, v1alpha1.ConditionIsolated, law, Observed, unlessTrue(SeverityError, reporting))
	s.tells(seen.Conditions, v1alpha1.ConditionGuarded, law, Observed, unlessTrue(SeverityError, nil))
	s.tells(seen.Conditions, v1alpha1.ConditionCredentialsDelivered, "", Observed, unlessTrue(SeverityWarning, nil))
	if n := len(seen.ExposedTo); n > 0 {
		s.add(SeverityWarning, Observed, "CredentialsExposed", law, "%s could read its credentials without declaring a purpose; kubectl entrust exposure %s lists them",
			plural(n, "subject"), st.Key)
	}
	if since := seen.RotationRequiredSince; !since.IsZero() {
		s.add(SeverityWarning, Observed, "RotationRequired", law, "a grant ended at %s and its credentials have not been changed since; change them", f.world.When(since))
	}
	if seen.WouldDenyCount > 0 {
		s.add(SeverityNote, Observed, "WouldDeny", "", "%s would be cut if the store were enforced; its status lists them", plural(int(seen.WouldDenyCount), "pod"))
	}
}

func (f *finder) contract(c *Contract) {
	s := f.about("Entrustment", c.Name, c.Says.Conditions, c.Spec.EntrusterName, c.Spec.EntrusteeName, c.Says.ControllerName)
	if c.State == StateEnded {
		s.says(v1alpha1.ConditionDisposed, "GDPR art. 28(3)(g); APPI art. 22", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
			v1alpha1.ReasonPending: SeverityWarning, v1alpha1.ReasonNotDue: "",
		}))
		if f.world.observed {
			s.tells(c.Status.Conditions, v1alpha1.ConditionRevoked, "GDPR art. 28(3)(g)", Observed, unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
				v1alpha1.ReasonInForce: "", // as of before the end
			}))
		}
		return
	}
	s.says(v1alpha1.ConditionAuthorized, "GDPR art. 28(2), (4); APPI art. 25", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonNoticePeriodRunning: SeverityNote,
		v1alpha1.ReasonStoreNotFound:       "", // ScopeValid says the same
	}))
	s.says(v1alpha1.ConditionScopeValid, "GDPR art. 28(3)", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonExceedsParentScope: SeverityWarning, v1alpha1.ReasonExceedsStorePurposes: SeverityWarning,
	}))
	s.says(v1alpha1.ConditionActive, "", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonNotYetInForce: "", v1alpha1.ReasonParentNotActive: SeverityNote,
		v1alpha1.ReasonSuspended: SeverityNote, v1alpha1.ReasonProcessorSuspended: SeverityNote,
		v1alpha1.ReasonReviewOverdue: "", v1alpha1.ReasonSelectionRejected: "", // told below and above
	}))
	s.says(v1alpha1.ConditionTransferBasisPresent, "APPI art. 28, rule 18; GDPR art. 44 to 49", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonCheckOverdue: SeverityError, v1alpha1.ReasonProcessorNotFound: "",
	}))
	s.says(v1alpha1.ConditionContractComplete, "GDPR art. 28(3); APPI art. 25", unlessTrue(SeverityError, nil))
	s.says(v1alpha1.ConditionSupervisionCurrent, "APPI art. 25; GDPR art. 28(3)(h)", unlessTrue(SeverityError, map[v1alpha1.Reason]Severity{
		v1alpha1.ReasonReviewDueSoon: SeverityNote,
	}))
	if text := provisionRecord(c); text != "" {
		s.add(SeverityWarning, Derived, "ProvisionRecordRequired", "APPI art. 29", "handling abroad relies on consent, so a record of provision is needed although it is an entrustment")
	}
	if c.State == StateEndingSoon {
		s.add(SeverityNote, Derived, "EndingSoon", "", "ends at %s; a renewal sets a later spec.notAfter", f.world.When(c.Until()))
	}
}
