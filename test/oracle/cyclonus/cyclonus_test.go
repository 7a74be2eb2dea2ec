package cyclonus

import (
	"flag"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	networkingv1 "k8s.io/api/networking/v1"

	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/test/oracle/network"
)

var (
	worldCount = flag.Uint64("worlds", 2000, "how many random networks to compare")
	firstWorld = flag.Uint64("first", 0, "number of the first")
	seedValue  = flag.Uint64("seed", 0, "seed of the random networks; 0: a new one each run")
)

// Two evaluators, and the plain answer of the decision, agree about every flow.
func TestEvaluatorsAgree(t *testing.T) {
	seed, count := *seedValue, *worldCount
	if seed == 0 {
		seed = rand.Uint64()
	}
	if os.Getenv("ENTRUSTMENT_LONG") == "1" {
		count *= 5
	}
	t.Logf("-seed %d", seed)
	census := network.Census{}
	flows, wrong := network.Wrong(seed, *firstWorld, count, second, census)
	if wrong != "" {
		t.Fatal(wrong)
	}
	network.Print(t, count, flows, census)
}

func second(policies []*networkingv1.NetworkPolicy) network.Evaluator {
	return evaluator{matcher.BuildNetworkPolicies(false, policies)}
}

type evaluator struct{ policies *matcher.Policy }

func (e evaluator) Allows(f reach.Flow, name string) (out, in bool) {
	result := e.policies.IsTrafficAllowed(&matcher.Traffic{
		Source: peer(f.From), Destination: peer(f.To), ResolvedPort: int(f.Port), ResolvedPortName: name, Protocol: f.Protocol,
	})
	return result.Egress.IsAllowed(), result.Ingress.IsAllowed()
}

func peer(e *reach.Endpoint) *matcher.TrafficPeer {
	p := &matcher.TrafficPeer{IP: e.Address.String()}
	if e.Namespace != "" {
		p.Internal = &matcher.InternalPeer{Namespace: e.Namespace, NamespaceLabels: e.NamespaceLabels, PodLabels: e.Labels}
	}
	return p
}
