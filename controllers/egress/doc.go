// Package egress limits where the pods of each bound namespace may send to. Its root is a namespace: a handful of policies,
// rendered from what the snapshot grants there, written again when somebody changes or deletes one, and fitted to the
// policies that others write there.
//
// What opens goes as soon as it is no longer granted. What closes stays while there is a pod to hold:
//
//	namespace is unbound ─▶ only floor and baseline are left ─▶ no pod declares anything ─▶ they go
//
// The package imports the decision core, render, reach, apply and the snapshot's publisher.
package egress
