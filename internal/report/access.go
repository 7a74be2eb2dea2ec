package report

import (
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/internal/entrustment"
)

// Access is who may reach what now: a row for each store that the pods of a namespace reach, for each purpose and contract (APPI
// art. 23: access control; GDPR art. 32(1)(b), 25(2)). A party sees what its namespaces reach, what reaches its data, and what
// goes on under contracts that it gave.
func (w *World) Access(party string) Report {
	var rows []accessRow
	for _, namespace := range w.Namespaces() {
		access := w.access[namespace]
		for _, grant := range access.Grants {
			for _, key := range grant.Stores {
				row := accessRow{namespace, access.Processor, grant, w.stores[key.String()], w.contracts[grant.Entrustment]}
				if row.concerns(party) {
					rows = append(rows, row)
				}
			}
		}
	}
	columns := []column[accessRow]{
		one(Derived, "party", "Party", "", func(r accessRow) string { return r.party }).brief(),
		one(Declared, "legalName", "Registered name", "", func(r accessRow) string { return w.LegalName(r.party) }),
		one(Derived, "namespace", "Namespace", "", func(r accessRow) string { return r.namespace }).brief(),
		one(Derived, "entrustment", "Entrustment", "GDPR art. 28(3)", func(r accessRow) string { return r.grant.Entrustment }).brief(),
		many(Derived, "chain", "Chain", "GDPR art. 28(4)", func(r accessRow) []string {
			if r.contract == nil {
				return nil
			}
			return r.contract.Says.Chain
		}),
		one(Derived, "purpose", "Purpose", "GDPR art. 5(1)(b); APPI art. 18", func(r accessRow) string { return r.grant.Purpose }).brief(),
		one(Declared, "purposeTitle", "Purpose as published", "", func(r accessRow) string { return w.title(r.grant.Purpose) }),
		one(Derived, "store", "Store", "", func(r accessRow) string { return r.store.Key }).brief(),
		one(Declared, "storeTitle", "Title of the store", "", func(r accessRow) string { return r.store.Spec.Title }),
		one(Declared, "controller", "Data controller", "", func(r accessRow) string { return w.LegalName(r.store.Spec.ControllerName) }),
		one(Derived, "until", "Until", "", func(r accessRow) string { return w.When(&metav1.Time{Time: r.grant.Until}) }).brief(),
		one(Observed, "isolated", "Isolation of the store", "GDPR art. 32; APPI art. 23", func(r accessRow) string { return isolation(r.store) }),
		one(Observed, "exposedTo", "Others who could read its credentials", "GDPR art. 32; APPI art. 23", func(r accessRow) string {
			if isolation(r.store) == "" { // no reconciler has looked at the store yet
				return ""
			}
			return strconv.Itoa(len(r.store.Status.ExposedTo))
		}),
	}
	return w.report("access", "Access to personal data", party,
		newSection("grants", "Grants", "APPI art. 23; GDPR art. 25(2), 32", columns, rows,
			func(r accessRow) string { return r.namespace + " to " + r.store.Key + " for " + r.grant.Purpose }))
}

type accessRow struct {
	namespace, party string
	grant            entrustment.AccessGrant
	store            *Store
	contract         *Contract // nil: the data controller's own handling
}

func (r accessRow) concerns(party string) bool {
	return party == "" || r.party == party || r.store.Spec.ControllerName == party || r.contract != nil && r.contract.concerns(party)
}
