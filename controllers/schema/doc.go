// Package schema looks whether the definitions that the API server serves say more than this program knows. An operator that
// is older than they are would read a limit as if it were not there; so what is new or changed grants nothing, until
// operator and definitions fit again, and what was granted before may only become less.
//
// It runs on every replica: each compiles for itself. It imports the definitions and the core.
package schema
