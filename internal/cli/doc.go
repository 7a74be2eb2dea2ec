// Package cli is the command line: kubectl entrust. It asks the core the questions that people have before and after they
// write a policy, about a cluster or about files, and prints the answers for them and for programs.
//
// It decides nothing: package entrustment does, on inputs that package gather reads.
package cli
