// Package exposure tells who could read a credential without declaring a purpose, as far as RBAC says. It is posture: nothing
// here is refused, it is shown.
//
// A subject could read a Secret if it
//   - may get, list or watch it: by name, by all names, by a wildcard, by an aggregated role;
//   - may bind a role that reads it, or escalate roles;
//   - may exec into or attach to pods of its namespace, or add ephemeral containers there: they may have it; or reach the
//     kubelet past the API server (nodes/proxy), and so any pod;
//   - may create pods, or workloads that make them, in the namespace of a source. Those that mount a delivered Secret have to
//     declare a purpose, so for these that does not count;
//   - may become somebody who could: impersonate him, make a token of his account, or run or enter pods beside his account.
//
// An account that the operator itself lets read a delivered Secret declared what it is for, and is not listed; whoever could
// become it is, but for those who only make pods beside it: these declare the same.
//
// The group system:masters reads everything, whatever RBAC says. What is not seen: authorizers other than RBAC (nodes read what
// their pods mount), certificates that somebody signs for himself, tokens that are kept in Secrets, and the members of groups.
//
// The package is pure. It imports the API types of RBAC, ours, the decision core, and render, which knows the operator's own.
package exposure
