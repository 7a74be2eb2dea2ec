// Package oracle answers the question of the decision core a second time: slowly, plainly, and without a line of the
// core's logic. Where the two disagree about a random world, one of them is wrong.
//
// Authorize reads the objects afresh for every request: loops over the lists, no index, no cache, no interning, so that
// each rule can be laid beside the sentence of the specification that it comes from. Random makes the worlds, Shrink
// takes away from a world what a disagreement does not need, and World.YAML prints the rest.
//
//	go test ./test/oracle                        a few thousand worlds; prints the seed when something is wrong, and with -v
//	go test ./test/oracle -seed 42 -worlds 100   the same worlds again
//	ENTRUSTMENT_LONG=1 go test ./test/oracle     ten times as many
//	go test ./test/oracle -fuzz FuzzAuthorize -fuzzminimizetime 10x
//
// Package network, below, goes on from there to what packets get through, and the module cyclonus asks a second evaluator.
//
// The package imports the API types, apimachinery and the input types of the core. Only its tests call the core.
package oracle
