// Package termination keeps the record of a contract when the object is deleted. Its root is an Entrustment.
//
// Deleting one is termination: access ends at once, because to the decision core a deleted contract is an ended one. The
// object stays until the data are recorded as returned or erased, and until all that the contract opened is proved closed.
//
// The finalizer that does this is put on a contract when it comes into force, and so it is also the memory that it was:
// one that never was, such as a typo, has no finalizer and is let go like any object.
//
// The package imports the decision core, apply and the snapshot's publisher.
package termination
