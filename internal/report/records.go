package report

import (
	"slices"

	"entrustment.dev/operator/api/v1alpha1"
)

// Records are the record of processing activities: what a data controller has to keep (GDPR art. 30(1)), a row for each
// published purpose, and what an entrustee has to keep (art. 30(2)), a row for each contract. APPI asks for no such record; the
// columns that its art. 21, 23, 25 and 32 need are among these.
//
// A purpose's row tells of the stores in which it is in effect. Prohibited purposes are no processing and have no row.
func (w *World) Records(party string) Report {
	var handled []activity
	for _, p := range w.Purposes {
		if p.Says.EffectiveDisposition != v1alpha1.DispositionProhibited && (party == "" || p.Spec.ControllerName == party) {
			handled = append(handled, w.activity(p))
		}
	}
	var entrusted []*Contract
	for _, c := range w.Contracts {
		if party == "" || c.Spec.EntrusteeName == party {
			entrusted = append(entrusted, c)
		}
	}
	r := w.report("records", "Record of processing activities", party,
		newSection("controller", "As data controller", "GDPR art. 30(1)", w.controllerColumns(), handled,
			func(a activity) string { return a.Spec.Title }),
		newSection("entrustee", "As entrustee", "GDPR art. 30(2)", w.entrusteeColumns(), entrusted,
			func(c *Contract) string { return c.Name + ": " + w.LegalName(c.Spec.EntrusteeName) }),
	)
	r.Notes = append(r.Notes, "Processing outside the stores that are declared here is not in this record.")
	return r
}

// An activity is a purpose and where it is in effect.
type activity struct {
	*Purpose
	stores    []*Store
	contracts []*Contract // whose extent covers it, in whatever state: a record tells past recipients and coming ones
}

func (w *World) activity(p *Purpose) activity {
	a := activity{Purpose: p}
	for _, s := range w.Stores {
		if slices.Contains(s.Says.EffectivePurposes, p.Name) {
			a.stores = append(a.stores, s)
		}
	}
	for _, c := range w.Contracts {
		if slices.ContainsFunc(a.stores, func(s *Store) bool { return c.covers(p.Name, s) }) {
			a.contracts = append(a.contracts, c)
		}
	}
	return a
}

func (w *World) controllerColumns() []column[activity] {
	published := func(of func(*v1alpha1.Publication) string) func(activity) string {
		return func(a activity) string {
			if a.Spec.Publication == nil {
				return ""
			}
			return of(a.Spec.Publication)
		}
	}
	return []column[activity]{
		one(Declared, "controller", "Data controller", "GDPR art. 30(1)(a); APPI art. 32(1)", func(a activity) string { return w.LegalName(a.Spec.ControllerName) }),
		one(Declared, "address", "Address", "APPI art. 32(1)", func(a activity) string { return w.address(a.Spec.ControllerName) }),
		many(Declared, "representative", "Representative", "GDPR art. 30(1)(a), 27; APPI art. 32(1)", func(a activity) []string { return w.representatives(a.Spec.ControllerName) }),
		many(Declared, "contact", "Contact", "GDPR art. 30(1)(a); APPI art. 32(1), 40", func(a activity) []string { return w.contacts(a.Spec.ControllerName) }),
		many(Declared, "dataProtectionOfficer", "Data protection officer", "GDPR art. 30(1)(a)", func(a activity) []string { return w.contacts(a.Spec.ControllerName, roleDPO) }),
		blank[activity]("jointControllers", "Joint controllers", "GDPR art. 30(1)(a); APPI art. 27(5)(iii)"),
		one(Declared, "purpose", "Purpose", "", func(a activity) string { return a.Name }).brief(),
		one(Declared, "title", "Purpose as published", "GDPR art. 30(1)(b); APPI art. 17, 21", func(a activity) string { return a.Spec.Title }).brief(),
		one(Declared, "partOf", "Part of", "", func(a activity) string { return a.Spec.ParentName }),
		one(Declared, "document", "Published in", "APPI art. 21, 32(1); GDPR art. 13(1)(c)", published(func(p *v1alpha1.Publication) string { return p.Document })),
		one(Declared, "section", "Section", "", published(func(p *v1alpha1.Publication) string { return p.Section })),
		one(Declared, "version", "Version", "", published(func(p *v1alpha1.Publication) string { return p.Version })),
		one(Declared, "url", "Address of the document", "", published(func(p *v1alpha1.Publication) string { return p.URL })),
		many(Declared, "legalBasis", "Legal basis", "GDPR art. 6(1); APPI art. 18", func(a activity) []string { return words(a.Spec.LegalBases) }).brief(),
		one(Derived, "state", "State", "", func(a activity) string { return string(a.State) }).brief(),
		many(Derived, "stores", "Stores", "", func(a activity) []string { return union(a.stores, func(s *Store) []string { return []string{s.Key} }) }),
		many(Declared, "individuals", "Categories of individuals", "GDPR art. 30(1)(c)", func(a activity) []string {
			return union(a.stores, func(s *Store) []string { return s.Spec.DataSubjects })
		}),
		many(Declared, "dataCategories", "Categories of data", "GDPR art. 30(1)(c)", func(a activity) []string {
			return union(a.stores, func(s *Store) []string { return s.Spec.DataCategories })
		}),
		many(Declared, "dataForms", "Forms of data", "APPI art. 41, 43", func(a activity) []string {
			return union(a.stores, func(s *Store) []string { return []string{string(s.form())} })
		}),
		many(Derived, "recipients", "Recipients", "GDPR art. 30(1)(d)", func(a activity) []string {
			return union(a.contracts, func(c *Contract) []string { return []string{w.LegalName(c.Spec.EntrusteeName)} })
		}).brief(),
		many(Derived, "contracts", "Contracts", "GDPR art. 28(3)", func(a activity) []string {
			return union(a.contracts, func(c *Contract) []string { return []string{c.Name + " (" + string(c.State) + ")"} })
		}),
		blank[activity]("otherRecipients", "Recipients outside the cluster", "GDPR art. 30(1)(d)"),
		many(Declared, "transfers", "Transfers and safeguards", "GDPR art. 30(1)(e), 44 to 49; APPI art. 28", func(a activity) []string { return union(a.contracts, transfers) }),
		many(Declared, "locations", "Kept in", "", func(a activity) []string {
			return union(a.stores, func(s *Store) []string { return []string{w.location(s)} })
		}),
		many(Declared, "erasure", "Envisaged erasure", "GDPR art. 30(1)(f); APPI art. 22", func(a activity) []string { return union(a.stores, erasure) }),
		many(Declared, "measures", "Security measures", "GDPR art. 30(1)(g), 32; APPI art. 23", func(a activity) []string {
			return union(a.stores, func(s *Store) []string { return s.Spec.SecurityMeasures })
		}),
		many(Observed, "isolated", "Isolation of the stores", "GDPR art. 32; APPI art. 23", func(a activity) []string { return observedOf(a.stores, isolation) }),
	}
}

func (w *World) entrusteeColumns() []column[*Contract] {
	return []column[*Contract]{
		one(Declared, "entrustment", "Entrustment", "", func(c *Contract) string { return c.Name }).brief(),
		one(Declared, "entrustee", "Entrustee", "GDPR art. 30(2)(a)", func(c *Contract) string { return w.LegalName(c.Spec.EntrusteeName) }).brief(),
		one(Declared, "address", "Address", "", func(c *Contract) string { return w.address(c.Spec.EntrusteeName) }),
		many(Declared, "representative", "Representative", "GDPR art. 30(2)(a)", func(c *Contract) []string { return w.representatives(c.Spec.EntrusteeName) }),
		many(Declared, "contact", "Contact", "GDPR art. 30(2)(a)", func(c *Contract) []string { return w.contacts(c.Spec.EntrusteeName) }),
		many(Declared, "dataProtectionOfficer", "Data protection officer", "GDPR art. 30(2)(a)", func(c *Contract) []string { return w.contacts(c.Spec.EntrusteeName, roleDPO) }),
		one(Derived, "controller", "On behalf of", "GDPR art. 30(2)(a)", func(c *Contract) string { return w.LegalName(c.Says.ControllerName) }).brief(),
		many(Declared, "controllerContact", "Contact of the data controller", "GDPR art. 30(2)(a)", func(c *Contract) []string { return w.contacts(c.Says.ControllerName) }),
		one(Declared, "entruster", "Entrusted by", "GDPR art. 28(4)", func(c *Contract) string { return w.LegalName(c.Spec.EntrusterName) }),
		one(Declared, "services", "Services", "GDPR art. 30(2)(b)", func(c *Contract) string { return c.Spec.Services }),
		many(Declared, "purposes", "Categories of processing", "GDPR art. 30(2)(b)", func(c *Contract) []string { return w.titles(c.Spec.Purposes) }),
		many(Declared, "dataCategories", "Categories of data", "", func(c *Contract) []string { return c.Spec.DataCategories }),
		many(Declared, "transfers", "Transfers and safeguards", "GDPR art. 30(2)(c), 44 to 49; APPI art. 28", transfers),
		many(Declared, "measures", "Security measures of the stores", "GDPR art. 30(2)(d), 32; APPI art. 23", func(c *Contract) []string {
			return union(w.storesOf(c), func(s *Store) []string { return s.Spec.SecurityMeasures })
		}),
		blank[*Contract]("ownMeasures", "Security measures of the entrustee", "GDPR art. 30(2)(d)"),
		one(Declared, "notBefore", "From", "", func(c *Contract) string { return w.When(c.Spec.NotBefore) }),
		one(Declared, "notAfter", "Until", "", func(c *Contract) string { return w.When(&c.Spec.NotAfter) }),
		one(Derived, "state", "State", "", func(c *Contract) string { return string(c.State) }).brief(),
	}
}

func (w *World) address(party string) string {
	if p := w.parties[party]; p != nil {
		return p.Spec.Address
	}
	return ""
}

// titles of purposes, in the words in which they were published.
func (w *World) titles(purposes []string) []string {
	titles := make([]string, len(purposes))
	for i, name := range purposes {
		titles[i] = w.title(name)
	}
	return distinct(titles)
}

// storesOf are the stores that a contract names, those that exist.
func (w *World) storesOf(c *Contract) []*Store {
	var stores []*Store
	for _, ref := range c.Spec.Stores {
		if s := w.stores[ref.Namespace+"/"+ref.Name]; s != nil {
			stores = append(stores, s)
		}
	}
	return stores
}

func (s *Store) form() v1alpha1.DataForm {
	if s.Spec.DataForm == "" {
		return v1alpha1.DataFormIdentifiable
	}
	return s.Spec.DataForm
}

// location is the country in which data are kept; absent it is the data controller's.
func (w *World) location(s *Store) string {
	if p := w.parties[s.Spec.ControllerName]; s.Spec.Location == "" && p != nil {
		return p.Spec.Country
	}
	return s.Spec.Location
}

func erasure(s *Store) []string {
	if s.Spec.Retention == nil {
		return nil
	}
	return []string{s.Spec.Retention.Description}
}
