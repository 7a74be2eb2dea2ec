// Package deadline sees to it that pods end with the contract under which they act, even if nobody is left to end them: the
// kubelet does, after spec.activeDeadlineSeconds.
//
// The webhook writes that when a pod is made, from then on; the kubelet counts from status.startTime, which is later, by as
// long as the pod waited for a node. Once the start is known this package tightens the deadline to the instant. It does the
// same when a contract's end is moved closer, and for pods from before the contract or the operator.
//
// A deadline is never raised: the API server takes no such change. Pods of a contract that was renewed end once, at the end it
// had when they started, and are made anew by what made them.
//
// A pod that has lost its grant is not this package's business. The root is a pod; one that ends by itself in time is not
// written to.
package deadline
