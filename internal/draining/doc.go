// Package draining computes which lost grants are still to be drained of their pods, and how far the revocation of a contract
// has come. It is pure: what a namespace was shown and noted before, and the snapshot, say what is to be noted now; what was
// said of a contract, and what is found to be left of it, say what is to be said.
//
// The PersonalDataAccess of a namespace is the only memory there is. Until it is written again it shows what was granted;
// the write that takes a grant away notes it. So whoever comes next finds the grant or the note.
//
// The package imports the API types and the decision core.
package draining
