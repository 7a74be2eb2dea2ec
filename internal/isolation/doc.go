// Package isolation finds what undoes the isolation of a store: policies that others wrote beside those of the operator, and
// namespaces from which a store outside the cluster can be reached. Status and tests ask it; it decides nothing.
//
// Everything is pure. The package imports the API types, the decision core, render and reach.
package isolation
