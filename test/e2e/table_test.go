package e2e

import (
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/e2e/attempt"
)

// consumer is a pod of the table, and what it declares.
type consumer struct {
	pod                             *corev1.Pod
	namespace, purpose, entrustment string
}

// endpoint is a store at one port of one of its addresses.
type endpoint struct {
	store  types.NamespacedName
	target string
}

var _ = Describe("The table of all pods and all stores", func() {
	It("is what the decision says, in every family of addresses", func(ctx SpecContext) {
		inputs, err := gather.FromReader(ctx, admin)
		Expect(err).NotTo(HaveOccurred())
		snapshot := entrustment.Compile(inputs, time.Now())
		endpoints := everyEndpoint(ctx)
		targets := []string{"dial", landmark}
		for _, e := range endpoints {
			targets = append(targets, e.target)
		}
		consumers := everyConsumer(snapshot)
		for i := range consumers {
			c := &consumers[i]
			pod := agent(c.namespace, fmt.Sprintf("table-%d", i), targets...)
			declare(pod, c)
			c.pod = pod.Obj()
			Eventually(func() error { return admin.Create(ctx, pod.Obj()) }).WithContext(ctx).Should(Succeed())
			DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(admin.Delete(ctx, c.pod))).To(Succeed()) })
		}
		var open, silent int
		reached := sets.New[string]()
		for _, c := range consumers {
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(c.pod), c.pod)).To(Succeed())
				g.Expect(ready(c.pod)).To(BeTrue())
			}).WithContext(ctx).Should(Succeed())
			decided := map[string]attempt.Outcome{landmark: attempt.Open}
			if c.entrustment != "" {
				decided[landmark] = attempt.Silent // a contract names the ways out
			}
			for _, e := range endpoints {
				if e.store == archive && c.namespace == "default" {
					continue // nobody is bound to it: what is outside is kept from it by the credential alone
				}
				decided[e.target] = attempt.Silent
				silent++
				if snapshot.Authorize(entrustment.Request{
					Namespace: c.namespace, Purpose: c.purpose, Entrustment: c.entrustment, Store: e.store,
				}).Allowed() {
					decided[e.target] = attempt.Open
					reached.Insert(e.target)
					silent--
					open++
				}
			}
			Eventually(func() string { return cmp.Diff(decided, outcomes(ctx, c.pod, decided)) }).
				WithPolling(500*time.Millisecond).WithContext(ctx).
				Should(BeEmpty(), "%s %q %q: -decided +seen", c.namespace, c.purpose, c.entrustment)
		}
		Expect(open).To(BeNumerically(">", 0))
		Expect(silent).To(BeNumerically(">", 0))
		figures = append(figures, fmt.Sprintf("table: %d pods × %d endpoints, %d open and %d silent, as decided; %d endpoints are reached by somebody",
			len(consumers), len(endpoints), open, silent, reached.Len()))
	}, NodeTimeout(5*time.Minute))
})

func everyEndpoint(ctx SpecContext) (all []endpoint) {
	GinkgoHelper()
	stores := &v1alpha1.PersonalDataStoreList{}
	Expect(admin.List(ctx, stores)).To(Succeed())
	for _, store := range stores.Items {
		addresses := outsideAddresses(ctx)
		if store.Spec.Endpoint.PodSelector != nil {
			service := &corev1.Service{}
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(&store), service)).To(Succeed())
			addresses = service.Spec.ClusterIPs
		}
		for _, address := range addresses {
			for _, port := range store.Spec.Endpoint.Ports {
				all = append(all, endpoint{client.ObjectKeyFromObject(&store), net.JoinHostPort(address, fmt.Sprint(port.Port))})
			}
		}
	}
	return all
}

// everyConsumer takes of each namespace a pod without a purpose, and one for the first and the last grant under each contract
// and under none.
func everyConsumer(snapshot *entrustment.Snapshot) (all []consumer) {
	all = append(all, consumer{namespace: "default"})
	for _, namespace := range snapshot.BoundNamespaces() {
		all = append(all, consumer{namespace: namespace})
		access, _ := snapshot.NamespaceAccess(namespace)
		byContract := map[string][]string{}
		for _, grant := range access.Grants {
			byContract[grant.Entrustment] = append(byContract[grant.Entrustment], grant.Purpose)
		}
		for contract, purposes := range byContract {
			slices.Sort(purposes)
			all = append(all, consumer{namespace: namespace, purpose: purposes[0], entrustment: contract})
			if last := purposes[len(purposes)-1]; last != purposes[0] {
				all = append(all, consumer{namespace: namespace, purpose: last, entrustment: contract})
			}
		}
	}
	return all
}

func declare(pod *builder.PodBuilder, c *consumer) {
	if c.purpose != "" {
		pod.Purpose(c.purpose)
	}
	if c.entrustment != "" {
		pod.Entrustment(c.entrustment)
	}
}

// outcomes is what a pod's attempts came to, of those that were decided: open if any was, and else what the latest came to. Nothing
// is told before the third of each: the first may be earlier than the policy of a pod that is new.
func outcomes(ctx SpecContext, pod *corev1.Pod, decided map[string]attempt.Outcome) map[string]attempt.Outcome {
	GinkgoHelper()
	const settled = 3
	counts, seen := map[string]int{}, map[string]attempt.Outcome{}
	for _, one := range attempts(ctx, pod, time.Time{}) {
		counts[one.Target]++
		if _, asked := decided[one.Target]; asked && counts[one.Target] >= settled && seen[one.Target] != attempt.Open {
			seen[one.Target] = one.Outcome
		}
	}
	return seen
}
