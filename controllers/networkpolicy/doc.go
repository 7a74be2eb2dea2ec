// Package networkpolicy isolates the pods of each store. Its root is a store: one policy each, rendered from the grants of
// the snapshot, and repaired when somebody changes or deletes it.
//
// A policy outlives what it protects. Before one is relied on, a finalizer makes sure that the store cannot vanish
// first; then, in this order:
//
//	store is deleted ─▶ only its own pods reach it ─▶ no pod matches its selector ─▶ policy goes ─▶ finalizer goes
//
// The package imports the decision core, render, apply and the snapshot's publisher.
package networkpolicy
