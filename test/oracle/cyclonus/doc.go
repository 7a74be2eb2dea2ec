// Package cyclonus compares package reach with the evaluator of cyclonus, which others wrote, on random networks. It is a Go
// module of its own, so that the operator's does not depend on cyclonus.
package cyclonus
