// Package revocation shows that what a contract opened ends with it, at a real API server with its controllers: the operator
// runs whole, under its own ServiceAccount, and every request of it and every write to what it manages is looked at.
//
//	killed    before each single write of a revocation in turn: nothing opens, and the next operator ends what is left
//	chains    what is suspended at the top ends all the way down, and leaves the data controller alone
//	reports   a store that only reports ends no pod, and begins to when it cuts
//	expiry    1,000 grants that end in the same second: what goes first, how often each object is written, and how long it takes
//
// How long is printed and never asserted.
package revocation
