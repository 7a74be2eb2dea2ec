package oracle

import (
	"fmt"
	"testing"

	"entrustment.dev/operator/internal/entrustment"
)

// A proof holds at every step exactly when the decision allows; a denial has one decisive step, and something that would
// help. So nobody can be shown a proof of what is not granted.
func TestProofsFollowTheDecisions(t *testing.T) {
	s := seed(t)
	for n := range worlds(1.0 / 16) {
		if w := Random(s, n); wrongProofs(w) != "" {
			report(t, w, fmt.Sprintf("world %d: a proof differs from the decision", n), wrongProofs)
		}
	}
}

func wrongProofs(w World) string {
	s := compile(w)
	for _, r := range w.Requests() {
		if wrong := wrongProof(s.Authorize(r)); wrong != "" {
			return describe(r) + ": " + wrong
		}
	}
	return ""
}

func wrongProof(d entrustment.Decision) string {
	holding, decisive := true, 0
	for _, step := range d.Proof() {
		holding = holding && step.Standing == entrustment.Holds
		if step.Decisive {
			decisive++
		}
		if step.Standing != entrustment.Unjudged && step.Fact == "" {
			return "a step without a fact: " + step.Kind
		}
	}
	remedy, mendable := d.Remedy()
	switch {
	case holding != d.Allowed():
		return fmt.Sprintf("%s, and every step holds: %t; %+v", d.Reason(), holding, d.Proof())
	case d.Allowed() && (decisive != 0 || mendable):
		return "an allow that something decides against"
	case !d.Allowed() && decisive != 1:
		return fmt.Sprintf("%s, and %d decisive steps: %+v", d.Reason(), decisive, d.Proof())
	case !d.Allowed() && (!mendable || remedy.Kind == "" || remedy.Verb == ""):
		return fmt.Sprintf("%s has no remedy: %+v", d.Reason(), remedy)
	}
	return ""
}
