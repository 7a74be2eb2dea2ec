// Package ledger keeps the record that an auditor reads: one JSON line for each grant made or taken away, each refusal, each
// use of break-glass, each thing put back. Lines form a chain: each holds the hash of the one before, so that a line that was
// taken away, put in or changed shows, and where.
//
//	Record(entries) ──▶ queue ──▶ keep the head ──▶ write the lines     one chain a replica
//	                                                      │
//	                                             Verify(lines, heads) ──▶ Report
//
// The head, which is the number and the hash of the last line, is kept apart from the lines, and before they are written:
// whoever cuts lines off the end of the file cannot hide it, and a restart goes on where the chain ended.
//
// The package knows nothing of Kubernetes.
package ledger
