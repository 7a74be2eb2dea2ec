package report

import (
	"slices"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
)

// DPV is the record of processing activities of Records as a linked document, in terms of the Data Privacy Vocabulary of the W3C
// community group (https://w3id.org/dpv, version 2) and its extensions for the GDPR and for places. Each purpose and each contract is
// a dpv:Process of a dpv:ROPA. A purpose is typed with the terms that its spec.mappings name for the scheme DPV. What the
// vocabulary has no term for, such as data categories, is a node with a title. It marshals as JSON-LD.
//
// Nodes are named relative to the document; who publishes it gives it an address.
func (w *World) DPV(party string) any {
	processes := []node{}
	for _, p := range w.Purposes {
		if p.Says.EffectiveDisposition != v1alpha1.DispositionProhibited && (party == "" || p.Spec.ControllerName == party) {
			processes = append(processes, w.purposeProcess(w.activity(p)))
		}
	}
	for _, c := range w.Contracts {
		if party == "" || c.Spec.EntrusteeName == party {
			processes = append(processes, w.contractProcess(c))
		}
	}
	names := map[any]bool{}
	referred(processes, names)
	entities := []node{}
	for _, p := range w.Parties {
		if names[reference("party", p.Name)["@id"]] {
			entities = append(entities, w.entity(p))
		}
	}
	title := "Record of processing activities"
	if party != "" {
		title += " of " + w.LegalName(party)
	}
	return node{
		"@context": node{
			"dpv":         "https://w3id.org/dpv#",
			"eu-gdpr":     "https://w3id.org/dpv/legal/eu/gdpr#",
			"loc":         "https://w3id.org/dpv/loc#",
			"dct":         "http://purl.org/dc/terms/",
			"xsd":         "http://www.w3.org/2001/XMLSchema#",
			"dct:created": node{"@type": "xsd:dateTime"},
		},
		"@id": "#record", "@type": "dpv:ROPA",
		"dct:title":      title,
		"dct:created":    w.At().Format(time.RFC3339),
		"dpv:hasProcess": processes,
		"dpv:hasEntity":  entities,
	}
}

// A node of the document.
type node map[string]any

// set adds a property, unless there is nothing to say.
func (n node) set(property string, values []node) {
	if len(values) > 0 {
		n[property] = values
	}
}

func reference(kind, name string) node { return node{"@id": "#" + kind + "/" + name} }

// titled are nodes of a type for texts that have no term.
func titled(kind string, titles []string) []node {
	var nodes []node
	for _, title := range titles {
		nodes = append(nodes, node{"@type": kind, "dct:title": title})
	}
	return nodes
}

func terms(ids []string) []node {
	var nodes []node
	for _, id := range ids {
		nodes = append(nodes, node{"@id": id})
	}
	return nodes
}

func (w *World) purposeProcess(a activity) node {
	process := reference("process/purpose", a.Name)
	process["@type"] = "dpv:Process"
	process["dct:title"] = a.Spec.Title
	purpose := reference("purpose", a.Name)
	purpose["@type"] = append([]string{"dpv:Purpose"}, dpvTerms(a.Purpose)...)
	purpose["dct:title"] = a.Spec.Title
	if a.Spec.Description != "" {
		purpose["dct:description"] = a.Spec.Description
	}
	if a.Spec.ParentName != "" {
		purpose["dct:isPartOf"] = reference("purpose", a.Spec.ParentName)
	}
	process["dpv:hasPurpose"] = []node{purpose}
	process["dpv:hasDataController"] = []node{reference("party", a.Spec.ControllerName)}
	process.set("dpv:hasLegalBasis", legalBases(a.Spec.LegalBases))
	process.set("dpv:hasDataSubject", titled("dpv:DataSubject", union(a.stores, func(s *Store) []string { return s.Spec.DataSubjects })))
	process.set("dpv:hasPersonalData", personalData(a.stores))
	process.set("dpv:hasRecipient", terms(union(a.contracts, func(c *Contract) []string { return []string{"#party/" + c.Spec.EntrusteeName} })))
	process.set("dpv:hasStorageCondition", titled("dpv:StorageDeletion", union(a.stores, erasure)))
	process.set("dpv:hasTechnicalOrganisationalMeasure", titled("dpv:TechnicalOrganisationalMeasure",
		union(a.stores, func(s *Store) []string { return s.Spec.SecurityMeasures })))
	process.set("dpv:hasLocation", places(union(a.stores, func(s *Store) []string { return []string{w.location(s)} })))
	process.set("dpv:hasProcess", terms(union(a.contracts, func(c *Contract) []string { return []string{"#process/contract/" + c.Name} })))
	if p := a.Spec.Publication; p != nil {
		notice := node{"@type": "dpv:PrivacyNotice", "dct:title": p.Document}
		if p.URL != "" {
			notice["dct:source"] = p.URL
		}
		if p.Version != "" {
			notice["dct:hasVersion"] = p.Version
		}
		if p.Section != "" {
			notice["dct:description"] = p.Section
		}
		process["dpv:hasNotice"] = []node{notice}
	}
	return process
}

func (w *World) contractProcess(c *Contract) node {
	process := reference("process/contract", c.Name)
	process["@type"] = "dpv:Process"
	process["dct:title"] = c.Name
	if c.Spec.Services != "" {
		process["dct:title"] = c.Spec.Services
	}
	if c.Says.ControllerName != "" {
		process["dpv:hasDataController"] = []node{reference("party", c.Says.ControllerName)}
	}
	process["dpv:hasDataProcessor"] = []node{reference("party", c.Spec.EntrusteeName)}
	process.set("dpv:hasPurpose", terms(union(c.Spec.Purposes, func(name string) []string { return []string{"#purpose/" + name} })))
	process.set("dpv:hasPersonalData", titled("dpv:PersonalData", c.Spec.DataCategories))
	process.set("dpv:hasTechnicalOrganisationalMeasure", titled("dpv:TechnicalOrganisationalMeasure",
		union(w.storesOf(c), func(s *Store) []string { return s.Spec.SecurityMeasures })))
	if p := c.Spec.Contract; p != nil {
		agreement := node{"@type": "dpv:DataProcessingAgreement", "dct:title": p.Reference}
		if p.URL != "" {
			agreement["dct:source"] = p.URL
		}
		process["dpv:hasLegalMeasure"] = []node{agreement}
	}
	var transfers []node
	for _, t := range c.Spec.Transfers {
		basis := node{"@type": "dpv:DataTransferLegalBasis", "dct:title": string(t.Basis)}
		if id := transferTerms[t.Basis]; id != "" {
			basis["@id"] = id
		}
		transfers = append(transfers, node{
			"@type":               "dpv:Process",
			"dct:title":           "Handling in " + t.Country,
			"dpv:hasProcessing":   []node{{"@id": "dpv:CrossBorderTransfer"}},
			"dpv:hasDataImporter": []node{reference("party", c.Spec.EntrusteeName)},
			"dpv:hasLocation":     places([]string{t.Country}),
			"dpv:hasLegalBasis":   []node{basis},
		})
	}
	process.set("dpv:hasProcess", transfers)
	return process
}

func (w *World) entity(p *Party) node {
	entity := reference("party", p.Name)
	entity["@type"] = "dpv:LegalEntity"
	entity["dpv:hasName"] = p.Spec.LegalName
	if p.Spec.Address != "" {
		entity["dpv:hasAddress"] = p.Spec.Address
	}
	entity["dpv:hasLocation"] = places(p.countries())
	if contacts := w.contacts(p.Name); len(contacts) > 0 {
		entity["dpv:hasContact"] = contacts
	}
	people := func(property, kind string, names []string) {
		var nodes []node
		for _, name := range names {
			nodes = append(nodes, node{"@type": kind, "dpv:hasContact": name})
		}
		entity.set(property, nodes)
	}
	people("dpv:hasRepresentative", "dpv:Representative", w.representatives(p.Name))
	people("dpv:hasDataProtectionOfficer", "dpv:DataProtectionOfficer", w.contacts(p.Name, roleDPO))
	return entity
}

func dpvTerms(p *Purpose) []string {
	var terms []string
	for _, m := range p.Spec.Mappings {
		if m.Scheme == "DPV" {
			terms = append(terms, m.Term)
		}
	}
	return terms
}

// The grounds of GDPR art. 6(1) and 44 to 49. APPI's own, such as the purpose of use as published, have no term.
var (
	legalTerms = map[v1alpha1.LegalBasis]string{
		"Consent": "eu-gdpr:A6-1-a", "ContractPerformance": "eu-gdpr:A6-1-b", "LegalObligation": "eu-gdpr:A6-1-c",
		"VitalInterest": "eu-gdpr:A6-1-d", "PublicInterest": "eu-gdpr:A6-1-e", "LegitimateInterest": "eu-gdpr:A6-1-f",
	}
	transferTerms = map[v1alpha1.TransferBasis]string{
		"AdequateCountry": "eu-gdpr:A45-3", "StandardContractualClauses": "eu-gdpr:A46-2-c",
		"BindingCorporateRules": "eu-gdpr:A46-2-b", "Consent": "eu-gdpr:A49-1-a",
	}
)

func legalBases(bases []v1alpha1.LegalBasis) []node {
	var nodes []node
	for _, basis := range bases {
		n := node{"@type": "dpv:LegalBasis", "dct:title": string(basis)}
		if id := legalTerms[basis]; id != "" {
			n["@id"] = id
		}
		nodes = append(nodes, n)
	}
	return nodes
}

// personalData are the categories of stores, typed by the form of the data.
func personalData(stores []*Store) []node {
	kinds := map[v1alpha1.DataForm]string{
		v1alpha1.DataFormIdentifiable: "dpv:PersonalData", v1alpha1.DataFormPseudonymised: "dpv:PseudonymisedData",
		v1alpha1.DataFormAnonymised: "dpv:AnonymisedData", v1alpha1.DataFormStatistical: "dpv:NonPersonalData",
	}
	var nodes []node
	for _, form := range []v1alpha1.DataForm{
		v1alpha1.DataFormIdentifiable, v1alpha1.DataFormPseudonymised, v1alpha1.DataFormAnonymised, v1alpha1.DataFormStatistical,
	} {
		held := slices.DeleteFunc(slices.Clone(stores), func(s *Store) bool { return s.form() != form })
		nodes = append(nodes, titled(kinds[form], union(held, func(s *Store) []string { return s.Spec.DataCategories }))...)
	}
	return nodes
}

func places(countries []string) []node {
	var ids []string
	for _, country := range countries {
		if country != "" {
			ids = append(ids, "loc:"+country)
		}
	}
	return terms(ids)
}

// referred collects the names of all nodes below.
func referred(in any, names map[any]bool) {
	switch in := in.(type) {
	case []node:
		for _, n := range in {
			referred(n, names)
		}
	case node:
		names[in["@id"]] = true
		for _, value := range in {
			referred(value, names)
		}
	}
}
