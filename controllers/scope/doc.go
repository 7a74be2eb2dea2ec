// Package scope keeps the webhooks that judge who reaches into a pod to the namespaces that hold a store or are bound:
// labels of a pod cannot be matched on a connection, and no other namespace is to depend on the operator.
//
// One replica writes, so that two that have not seen the same do not fight over the list. It never shortens the list
// without a snapshot. The package imports the snapshot and apply.
package scope
