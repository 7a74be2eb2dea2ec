// Package bypass tries to get round the operator. Each vector is data: who, by which requests, and what must refuse it; the
// list it closes is the project's threat model, whose numbers the vectors carry.
//
// The API server is a real one, with its controllers; the people are users with roles of RBAC; the operator is the real
// one, under its own ServiceAccount. All vectors are tried in four runs:
//
//	everything up           the webhook gives the reasons, the rules stand behind it
//	webhook down            what the webhook would see is refused, the rest by the rules
//	operator, webhook down  the same, and nobody repairs
//	rules alone             no webhook is configured; what it alone refuses gets through, and has to show in a condition
//
// What is expected in a run follows from the vector: see expect.
package bypass
