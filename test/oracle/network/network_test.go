package network

import (
	"flag"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"entrustment.dev/operator/internal/reach"
)

var (
	worldCount = flag.Uint64("worlds", 2000, "how many random networks to compare")
	firstWorld = flag.Uint64("first", 0, "number of the first")
	seedValue  = flag.Uint64("seed", 0, "seed of the random networks; 0: a new one each run")
)

// The rendered policies let through what the decision allows, and where others wrote policies, status says what these open.
func TestPoliciesAreTheDecision(t *testing.T) {
	seed, count := *seedValue, *worldCount
	if seed == 0 {
		seed = rand.Uint64()
	}
	if os.Getenv("ENTRUSTMENT_LONG") == "1" {
		count *= 5
	}
	t.Logf("-seed %d", seed)
	census := Census{}
	flows, wrong := Wrong(seed, *firstWorld, count, nil, census)
	if wrong != "" {
		t.Fatal(wrong)
	}
	Print(t, count, flows, census)
}

// The check can fail: an evaluator that lets everything through is noticed.
func TestCheckNoticesAnotherAnswer(t *testing.T) {
	open := func([]*networkingv1.NetworkPolicy) Evaluator { return everything{} }
	if _, wrong := Wrong(1, 0, 50, open, Census{}); !strings.Contains(wrong, "second: out true, in true") {
		t.Errorf("what is wrong in fifty networks: %q", wrong)
	}
}

type everything struct{}

func (everything) Allows(reach.Flow, string) (out, in bool) { return true, true }
