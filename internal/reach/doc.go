// Package reach says what NetworkPolicies let through. Policies are a union: what one of them opens no other can close, so
// each question is about all policies of a namespace together.
//
//	Compile(policies) ──▶ Policies.Reaches(flow)        one packet: which side stops it, or which rules let it through
//	Widens(policy, intended, subject, ports)            all packets: does a policy open what the intended ones do not?
//	Exposed(policies, addresses, ports, granted)        all packets: can a pod of the namespace reach some addresses?
//
// The last two reason about selectors, without any pod: whatever is not provably shut counts as open, because a pod that
// fits may come at any time. Everything is pure. The package imports the API of Kubernetes and apimachinery.
package reach
