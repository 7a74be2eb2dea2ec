// Package credentials puts the credentials of stores where they are granted, and nowhere else. Its root is a namespace: the
// copies that its grants call for, what lets accounts get them through the API, the right of the operator to read and write
// Secrets there, and, where the namespace holds stores, what is known of their sources.
//
// A copy follows its source, and goes with the last grant of the namespace or with the source. What cannot be read changes
// nothing, and what the operator did not make it neither takes over nor overwrites.
//
// Whoever had a copy may have kept what it says. So before a copy goes because its grant ended, a Secret beside the store,
// pds.rotation.<store>, notes when, and a salted digest of what the copy held, until the source holds something else. It is a
// Secret because a digest of a weak password is as good as the password, and it is in the namespace where the password is.
// It outlives the operator; what else is known here is known again after all namespaces were looked at.
//
// The package imports the decision core, render, apply, secrets and the snapshot's publisher.
package credentials
