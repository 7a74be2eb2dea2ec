// Package webhook answers the API server's questions about pods. It is thin: decode the two labels, ask the snapshot in
// force, answer in words that say why and what would help.
//
//	/admit-pod       refuses a pod that declares what it may not have (fails closed)
//	/admit-template  warns at the template whose pods would be refused (never refuses)
//
// An error never admits: a review that cannot be read, a panic and a snapshot that is not there yet are refusals. Bodies
// are bounded by controller-runtime at 7 MiB.
//
// The package imports the decision core, never a reconciler.
package webhook
