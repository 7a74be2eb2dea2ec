// Package report writes down what an auditor asks for: the record of processing activities, the ledger of entrustees, the
// list of processors as it is published, who has access to what, and what is amiss. Its sub-package chart draws the same.
//
//	World(inputs, snapshot) ──▶ Records, Ledger, Processors, Access, Findings ──▶ Report ──▶ JSON, HTML, JSON-LD
//
// A Report is a value: sections of columns and rows. Each column says where its cells come from (declared by people, derived
// from that by the decision core, observed in the cluster, or unknown to it and left blank) and which law asks for it.
//
// Everything is pure, and nothing is decided: grants, terms, dates and what objects lack are what the snapshot says. The package
// imports the API types and the decision core.
package report
