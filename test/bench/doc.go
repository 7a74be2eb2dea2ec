// Package bench measures what the operator costs the cluster: `make measure` prints it. Times are compared within one run
// and never asserted, because machines differ.
package bench
