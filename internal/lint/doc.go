// Package lint finds mistakes in a policy before anybody applies it: what the core says of each object, given a code that
// stays the same, and a severity. It is pure, decides nothing itself, and knows nothing of files.
//
// It imports the core, the API types and the workloads that package gather reads.
package lint
