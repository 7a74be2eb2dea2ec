// Package webhook answers the API server's questions about what needs a look at other objects. It is thin: decode the few
// fields that matter, ask the snapshot in force, answer in words that say why and what would help.
//
//	/admit-pod          refuses a pod that declares what it may not have; a pod under a contract gets its end as a deadline
//	/admit-template     warns at the template whose pods would be refused (never refuses)
//	/admit-connect      refuses to reach into a pod of a store or one that declares something, without the verb intervene
//	/admit-endpoints    refuses an address that would lead past the policy of a store
//	/admit-entrustment  refuses a sub-entrustment that asks for more than its parent gives
//	/admit-purpose      refuses a Purpose under one of another data controller
//	/admit-delete       refuses to delete a Purpose, a DataProcessor or a store that is in use
//
// All but the template's fail closed. What a snapshot cannot tell, the labels and addresses of pods and who may do what, is
// asked of the API server at that moment, never of a cache.
//
// An error never admits: a review that cannot be read, a panic, a snapshot that is not there yet and a look-up that fails
// are refusals. Bodies are bounded by controller-runtime at 7 MiB, answers and the time they take by the package.
//
// The package imports the decision core, never a reconciler.
package webhook
