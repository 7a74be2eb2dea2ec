// Package sequence plays random sequences of operations - grants, narrowings, suspensions, ends, deletions, namespaces made
// anew, restarts - and looks at every single write by which the operator follows them.
//
// Cluster is a model of what the operator has written and of the pods that run. The plan from there to a snapshot is made of
// the functions by which the reconcilers make theirs, in the stages in which they write. After each write of it, and after a
// restart that cuts it short anywhere, the invariant has to hold: nothing is open that was not open before, but for what is
// authorised now. At its end what is open is what is authorised, and no pod is left that ever had a way to a store which it
// is no longer granted.
//
//	go test ./test/oracle/sequence                               200 sequences in the model, a few on a real API server
//	go test ./test/oracle/sequence -seed 42 -first 7 -sequences 1   one of them again
//	go test ./test/oracle/sequence -served 500                   more on a real API server
//	ENTRUSTMENT_LONG=1 go test ./test/oracle/sequence            2,000, and 50
//
// The package imports the core, render, reach and the plain oracle. It drives no reconciler in the model; on a real API server
// it runs the operator whole.
package sequence
