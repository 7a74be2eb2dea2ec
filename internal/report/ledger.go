package report

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// Ledger is the record of supervision of entrustees that APPI art. 25 asks of whoever entrusts, with what GDPR art. 28 asks of
// the contract: a row for each contract that a party gives, takes, or whose data are its own.
func (w *World) Ledger(party string) Report {
	var contracts []*Contract
	for _, c := range w.Contracts {
		if c.concerns(party) {
			contracts = append(contracts, c)
		}
	}
	return w.report("ledger", "Ledger of entrustees", party,
		newSection("entrustments", "Entrustments", "APPI art. 25; GDPR art. 28", w.ledgerColumns(), contracts,
			func(c *Contract) string { return c.Name + ": " + w.LegalName(c.Spec.EntrusteeName) }))
}

func (w *World) ledgerColumns() []column[*Contract] {
	entrustee := func(of func(*Party) string) func(*Contract) string {
		return func(c *Contract) string {
			if p := w.parties[c.Spec.EntrusteeName]; p != nil {
				return of(p)
			}
			return ""
		}
	}
	selection := func(of func(*v1alpha1.Selection) string) func(*Contract) string {
		return entrustee(func(p *Party) string {
			if p.Spec.Selection == nil {
				return ""
			}
			return of(p.Spec.Selection)
		})
	}
	paper := func(of func(*v1alpha1.Contract) string) func(*Contract) string {
		return func(c *Contract) string {
			if c.Spec.Contract == nil {
				return ""
			}
			return of(c.Spec.Contract)
		}
	}
	says := func(kind string) func(*Contract) string {
		return func(c *Contract) string { return condition(c.Says.Conditions, kind) }
	}
	return []column[*Contract]{
		one(Declared, "entrustment", "Entrustment", "", func(c *Contract) string { return c.Name }).brief(),
		one(Derived, "controller", "Data controller", "", func(c *Contract) string { return w.LegalName(c.Says.ControllerName) }),
		one(Declared, "entruster", "Entruster", "", func(c *Contract) string { return w.LegalName(c.Spec.EntrusterName) }),
		one(Declared, "entrustee", "Entrustee", "APPI art. 25", func(c *Contract) string { return w.LegalName(c.Spec.EntrusteeName) }).brief(),
		one(Declared, "country", "Country", "APPI art. 28", entrustee(func(p *Party) string { return p.Spec.Country })),
		one(Declared, "services", "Services", "", func(c *Contract) string { return c.Spec.Services }),
		many(Declared, "purposes", "Purposes", "GDPR art. 28(3)", func(c *Contract) []string { return c.Spec.Purposes }),
		many(Declared, "dataCategories", "Categories of data", "GDPR art. 28(3)", func(c *Contract) []string { return c.Spec.DataCategories }),
		many(Declared, "stores", "Stores", "", storeNames),

		one(Declared, "contract", "Contract", "GDPR art. 28(3); APPI art. 25", paper(func(p *v1alpha1.Contract) string { return p.Reference })),
		one(Declared, "concluded", "Concluded", "", paper(func(p *v1alpha1.Contract) string { return p.ConcludedDate })),
		one(Declared, "contractURL", "Address of the contract", "", paper(func(p *v1alpha1.Contract) string { return p.URL })),
		many(Declared, "clauses", "Clauses", "GDPR art. 28(3)(a) to (h)", func(c *Contract) []string {
			if c.Spec.Contract == nil {
				return nil
			}
			return words(c.Spec.Contract.Clauses)
		}),
		many(Derived, "missingClauses", "Missing clauses", "GDPR art. 28(3)(a) to (h)", missingClauses),
		one(Declared, "notBefore", "From", "GDPR art. 28(3)", func(c *Contract) string { return w.When(c.Spec.NotBefore) }),
		one(Declared, "notAfter", "Until", "GDPR art. 28(3)", func(c *Contract) string { return w.When(&c.Spec.NotAfter) }).brief(),
		one(Derived, "state", "State", "", func(c *Contract) string { return string(c.State) }).brief(),
		one(Derived, "stateMessage", "Why", "", func(c *Contract) string {
			if c.State.Running() {
				return message(c.Says.Conditions, v1alpha1.ConditionActive)
			}
			return message(c.Says.Conditions, v1alpha1.ConditionReady)
		}),

		one(Declared, "parent", "Sub-entrustment under", "GDPR art. 28(2), (4)", func(c *Contract) string { return c.Spec.ParentName }),
		one(Declared, "subEntrustmentRule", "May entrust further", "GDPR art. 28(2), (4)", subEntrustment),
		many(Derived, "subEntrustments", "Sub-entrustments", "GDPR art. 28(4)", w.children),
		one(Derived, "authorized", "Authorised", "GDPR art. 28(2)", says(v1alpha1.ConditionAuthorized)),

		many(Declared, "handlingCountries", "Handled in", "APPI art. 28; GDPR art. 44", func(c *Contract) []string {
			if p := w.parties[c.Spec.EntrusteeName]; p != nil {
				return p.countries()
			}
			return nil
		}),
		many(Declared, "territories", "Territories permitted", "", func(c *Contract) []string { return c.Spec.Territories }),
		many(Declared, "transfers", "Transfers and safeguards", "APPI art. 28, rules 16 to 18; GDPR art. 44 to 49", transfers),
		one(Derived, "transferBasis", "Ground for handling abroad", "APPI art. 28; GDPR art. 44 to 49", says(v1alpha1.ConditionTransferBasisPresent)),
		one(Derived, "provisionRecord", "Record of provision needed", "APPI art. 29", provisionRecord),

		one(Declared, "selection", "Selection", "APPI art. 25; GDPR art. 28(1)", selection(func(s *v1alpha1.Selection) string {
			return string(s.Result) + " on " + s.AssessedDate
		})),
		one(Declared, "selectionValidUntil", "Selection valid until", "", selection(func(s *v1alpha1.Selection) string { return s.ValidUntil })),
		one(Declared, "selectionGrounds", "Grounds of selection", "GDPR art. 28(5)", selection(func(s *v1alpha1.Selection) string {
			return join(strings.Join(s.Grounds, ", "), s.Assessor, s.EvidenceURL)
		})),
		one(Derived, "selectionState", "State of the selection", "", entrustee(func(p *Party) string { return condition(p.Says.Conditions, v1alpha1.ConditionSelectionCurrent) })),

		many(Declared, "reviews", "Reviews", "APPI art. 25; GDPR art. 28(3)(h)", reviews),
		one(Derived, "nextReview", "Next review due", "APPI art. 25", func(c *Contract) string { return c.Says.NextReviewDate }).brief(),
		one(Derived, "supervision", "State of supervision", "APPI art. 25", says(v1alpha1.ConditionSupervisionCurrent)).brief(),

		one(Declared, "disposal", "Return or erasure", "GDPR art. 28(3)(g); APPI art. 22", func(c *Contract) string {
			if c.Spec.Disposal == nil || c.Spec.Disposal.Method == "" {
				return "Erase"
			}
			return string(c.Spec.Disposal.Method)
		}),
		one(Derived, "disposalDue", "Due", "", func(c *Contract) string { return c.Says.DisposalDueDate }),
		one(Declared, "disposalCompleted", "Completed", "", func(c *Contract) string {
			if c.Spec.Disposal == nil {
				return ""
			}
			return join(c.Spec.Disposal.CompletedDate, c.Spec.Disposal.EvidenceURL)
		}),
		one(Derived, "disposalState", "State of disposal", "", says(v1alpha1.ConditionDisposed)),

		many(Derived, "reaches", "Reaches now", "APPI art. 23, 25; GDPR art. 28(3)(a)", w.reaches),
		many(Declared, "egress", "May send to", "", func(c *Contract) []string {
			var texts []string
			for _, e := range c.Spec.Egress {
				texts = append(texts, e.Description+" ("+e.CIDR+")")
			}
			return texts
		}),
		one(Observed, "revoked", "Access ended", "GDPR art. 28(3)(g)", func(c *Contract) string { return condition(c.Status.Conditions, v1alpha1.ConditionRevoked) }),
		one(Observed, "revocationVerified", "Nothing left since", "", func(c *Contract) string {
			if c.Status.Revocation == nil {
				return ""
			}
			return w.When(c.Status.Revocation.VerifiedTime)
		}),
		blank[*Contract]("instructions", "Instructions given", "GDPR art. 28(3)(a), 29"),
		blank[*Contract]("incidents", "Incidents reported", "APPI art. 26; GDPR art. 33(2)"),
	}
}

func storeNames(c *Contract) []string {
	names := make([]string, len(c.Spec.Stores))
	for i, s := range c.Spec.Stores {
		names[i] = s.Namespace + "/" + s.Name
	}
	return names
}

func missingClauses(c *Contract) []string {
	missing := v1alpha1.RequiredClauses()
	if c.Spec.Contract != nil {
		missing = slices.DeleteFunc(missing, func(clause v1alpha1.Clause) bool { return slices.Contains(c.Spec.Contract.Clauses, clause) })
	}
	return words(missing)
}

func subEntrustment(c *Contract) string {
	rule := c.Spec.SubEntrustment
	if rule == nil {
		return string(v1alpha1.SubEntrustmentProhibited)
	}
	text := string(rule.Policy)
	switch {
	case rule.Policy == v1alpha1.SubEntrustmentPriorApproval && len(rule.ApprovedProcessorNames) > 0:
		text += ": " + strings.Join(rule.ApprovedProcessorNames, ", ")
	case rule.Policy == v1alpha1.SubEntrustmentPriorNotice && rule.NoticePeriodDays != nil:
		text += ": " + plural(int(*rule.NoticePeriodDays), "day")
	}
	if len(rule.ObjectedProcessorNames) > 0 {
		text += "; objected: " + strings.Join(rule.ObjectedProcessorNames, ", ")
	}
	return text
}

// children are the contracts right below one.
func (w *World) children(c *Contract) []string {
	var texts []string
	for _, child := range w.Contracts {
		if child.Spec.ParentName == c.Name {
			texts = append(texts, child.Name+": "+w.LegalName(child.Spec.EntrusteeName)+" ("+string(child.State)+")")
		}
	}
	return texts
}

// countries in which a party handles data; absent they are its own.
func (p *Party) countries() []string {
	if len(p.Spec.HandlingCountries) == 0 {
		return []string{p.Spec.Country}
	}
	return p.Spec.HandlingCountries
}

// provisionRecord says that a transfer by consent needs a record of provision, although it is an entrustment.
func provisionRecord(c *Contract) string {
	for _, t := range c.Spec.Transfers {
		if t.Basis == "Consent" {
			return "Required: " + t.Country + " by consent"
		}
	}
	return ""
}

func reviews(c *Contract) []string {
	if c.Spec.Supervision == nil {
		return nil
	}
	var texts []string
	for _, r := range c.Spec.Supervision.Reviews {
		texts = append(texts, r.Date+": "+join(string(r.Method), string(r.Result), r.Reviewer, r.EvidenceURL))
	}
	return texts
}

// reaches lists what the pods of the entrustee reach under a contract now.
func (w *World) reaches(c *Contract) []string {
	var texts []string
	for _, namespace := range w.Namespaces() {
		for _, g := range w.access[namespace].Grants {
			if g.Entrustment != c.Name {
				continue
			}
			for _, store := range g.Stores {
				texts = append(texts, fmt.Sprintf("%s for %s from %s", store, g.Purpose, namespace))
			}
		}
	}
	slices.Sort(texts)
	return texts
}

// Processors is the list of entrustees and sub-entrustees as a data controller publishes it, with the changes that come and the
// last instant at which somebody may object to one (GDPR art. 28(2); APPI art. 25, and art. 32 with the guideline for those
// abroad). What a party is itself entrusted with, what has ended and what is of no effect is not on the list.
func (w *World) Processors(party string) Report {
	var listed []*Contract
	for _, c := range w.Contracts {
		_, announced := w.snapshot.NoticeEnds(c.Name)
		entrusts := party == "" || c.concerns(party) && party != c.Spec.EntrusteeName
		if entrusts && (announced || c.State != StateEnded && c.State != StateDenied) {
			listed = append(listed, c)
		}
	}
	entrustee := func(of func(*Party) []string) func(*Contract) []string {
		return func(c *Contract) []string {
			if p := w.parties[c.Spec.EntrusteeName]; p != nil {
				return of(p)
			}
			return nil
		}
	}
	columns := []column[*Contract]{
		one(Derived, "controller", "Data controller", "", func(c *Contract) string { return w.LegalName(c.Says.ControllerName) }),
		one(Declared, "processor", "Processor", "GDPR art. 28(2)", func(c *Contract) string { return w.LegalName(c.Spec.EntrusteeName) }).brief(),
		one(Declared, "address", "Address", "", func(c *Contract) string { return w.address(c.Spec.EntrusteeName) }),
		many(Declared, "countries", "Handled in", "APPI art. 28, 32; GDPR art. 44", entrustee((*Party).countries)).brief(),
		many(Declared, "serviceCategories", "Categories of services", "", entrustee(func(p *Party) []string { return p.Spec.ServiceCategories })),
		one(Declared, "services", "Services", "GDPR art. 28(3)", func(c *Contract) string { return c.Spec.Services }),
		one(Derived, "tier", "Tier", "GDPR art. 28(4)", func(c *Contract) string {
			if c.Spec.ParentName != "" {
				return string(v1alpha1.RoleSubEntrustee)
			}
			return string(v1alpha1.RoleEntrustee)
		}).brief(),
		one(Declared, "entrustedBy", "Entrusted by", "GDPR art. 28(4)", func(c *Contract) string { return w.LegalName(c.Spec.EntrusterName) }),
		many(Declared, "purposes", "Purposes", "", func(c *Contract) []string { return w.titles(c.Spec.Purposes) }),
		many(Declared, "dataCategories", "Categories of data", "", func(c *Contract) []string { return c.Spec.DataCategories }),
		many(Declared, "safeguards", "Grounds for handling abroad", "APPI art. 28; GDPR art. 44 to 49", func(c *Contract) []string {
			var texts []string
			for _, t := range c.Spec.Transfers {
				texts = append(texts, t.Country+": "+string(t.Basis))
			}
			return texts
		}),
		one(Declared, "since", "From", "", func(c *Contract) string { return w.When(c.Spec.NotBefore) }),
		one(Derived, "until", "Until", "", func(c *Contract) string { return w.When(c.Until()) }),
		one(Derived, "change", "Change", "GDPR art. 28(2)", w.change).brief(),
		one(Derived, "changeTime", "Change at", "GDPR art. 28(2)", w.changeTime).brief(),
		one(Derived, "objectBefore", "Object before", "GDPR art. 28(2)", func(c *Contract) string {
			ends, _ := w.snapshot.NoticeEnds(c.Name)
			return w.When(&metav1.Time{Time: ends})
		}).brief(),
	}
	return w.report("processors", "Processors", party,
		newSection("processors", "Processors and sub-processors", "GDPR art. 28(2), (4); APPI art. 25, 32", columns, listed,
			func(c *Contract) string { return w.LegalName(c.Spec.EntrusteeName) + " (" + c.Name + ")" }))
}

// change tells what will change about a processor, or has for a while.
func (w *World) change(c *Contract) string {
	if _, announced := w.snapshot.NoticeEnds(c.Name); announced || c.State == StateComing {
		return "Coming"
	}
	switch c.State {
	case StateEndingSoon:
		return "Ending"
	case StateSuspended:
		return "Suspended"
	default:
		return "None"
	}
}

func (w *World) changeTime(c *Contract) string {
	ends, announced := w.snapshot.NoticeEnds(c.Name)
	from := c.Spec.NotBefore
	switch w.change(c) {
	case "Coming":
		if announced && (from == nil || from.Time.Before(ends)) {
			from = &metav1.Time{Time: ends}
		}
		return w.When(from)
	case "Ending":
		return w.When(c.Until())
	default:
		return ""
	}
}
