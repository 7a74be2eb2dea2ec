// Package network puts pods, and policies that others wrote, into the random worlds of package oracle, and says plainly what
// may be sent from where to where: from the decision of oracle.Authorize and the labels of pods, without a NetworkPolicy.
//
// Its tests compare that with what the rendered policies let through, by package reach. The module in test/oracle/cyclonus
// compares package reach with an evaluator that somebody else wrote.
//
//	go test ./test/oracle/network -worlds 100000                more networks; some 25 s for 20,000
//	go test ./test/oracle/network -worlds 1 -first 42 -seed 7   one world again
//
// Worlds omit NotIn, which the other evaluator misjudges where the label is absent. The package imports the core, render,
// reach and isolation: it lays them beside the plain answer.
package network
