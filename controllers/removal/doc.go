// Package removal is what is done before the operator goes: it takes the lead, and either makes sure that what was enforced is
// closed, or opens everything. It decides nothing: closed is what the operator makes of a cluster in which every store that cuts is
// suspended. A store that only reports was never closed, and is left as it was.
package removal
