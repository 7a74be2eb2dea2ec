// Package apply is the only writer of the operator. It brings live objects to what was rendered, by server-side apply,
// and writes nothing where they agree already.
//
// Managed objects are wholly the operator's: what others added to one is drift as much as what they took away, and an
// owner reference is too, because the garbage collector would delete what it hangs on.
//
// The writers of one operator remember how they left each object: one that says something else at a later version, or is missing, was changed by
// somebody else. That it was put back is counted, and recorded in the ledger; what changes because something else is wanted
// is not.
package apply
