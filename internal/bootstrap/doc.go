// Package bootstrap drafts a first policy for a cluster that has none: stores from its Services, parties and contracts from who
// seems to use them. A draft is for a person to complete and apply; it grants nothing, cuts nothing, and says what each guess
// rests on.
//
//	Input ──▶ stores (Services, StatefulSets) ──▶ users (NetworkPolicies, addresses, Secret references) ──▶ parties ──▶ Draft
//
// Everything is pure. Of Secrets it knows the names that workloads reference, nothing more. The package imports the API types,
// the decision core, and what packages gather and reach read.
package bootstrap
