// Package removal is what is done before the operator goes: it takes the lead, and either makes sure that everything was closed,
// or opens everything. It decides nothing: closed is what the operator makes of a cluster in which nothing is granted.
package removal
