// Package exposure keeps in mind who could read the credentials of each store without declaring anything. It looks at all of
// RBAC at once, because one change may concern every store, and not at each change of a burst. What it finds goes into the
// status of the stores, which another reconciler writes.
//
// The package imports the decision core, exposure, gather and the snapshot's publisher.
package exposure
