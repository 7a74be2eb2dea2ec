// Package status tells each object what the snapshot finds of it: conditions, extents, counts. Its roots are the objects of
// the four kinds that people write, one reconciler a kind; what it writes was decided by package entrustment, except for
// Isolated, which it observes by comparing a store's live policy with the one that its grants call for, and Revoked, which
// package draining derives from what is left of a contract.
//
// A status is written once a pass, and only when it says something new. Events come after the write, so that none tells
// of what is not there to be read.
//
// The package imports the decision core, draining, render, apply and the snapshot's publisher.
package status
