// Package revocation ends what a lost grant leaves behind: the pods that act under it. Its root is a namespace, whose
// PersonalDataAccess notes the grants that ended (package draining). Policies, parameters and Secrets were written before,
// so a pod that ends here is let in again only for what is still granted.
//
//	for each noted grant   a live list of the pods that declare it; each is deleted, with a bounded grace
//	once they are gone     no policy admits it, no Secret is beyond the grants: the note is cleared
//	for pods besides       that declare what is neither granted nor noted: told of, and ended if their contract has ended
//
// It also tells what is left of a contract (Left), from which package status says how far the contract's end has come: a
// contract is closed when no policy, no credential, no namespace and no pod tells of it.
//
// Pods are deleted, not evicted: a disruption budget cannot keep a contract alive. No clock of the API server is compared with
// one of the operator: a list made after the grants were narrowed holds every pod that was let in before.
//
// The package imports the decision core, draining, render, reach, apply, ledger and the snapshot's publisher.
package revocation
