package revocation

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

func describeKilled() {
	const contract = "killed"
	clients := []string{"killed-one", "killed-two"}
	s := &scene{
		namespaces: append(slices.Clone(clients), home), contracts: []string{contract},
		stores: []types.NamespacedName{{Namespace: "killed-data", Name: "ledger"}, {Namespace: "killed-data", Name: "letters"}},
	}
	rest := s.ways(home, "") // open whether the contract is in force or not
	all := maps.Clone(rest)
	for _, namespace := range clients {
		maps.Copy(all, s.ways(namespace, contract))
	}

	// settled is what there is to see when nothing is left to do.
	settled := func(ctx context.Context, g Gomega, want map[way]bool, active metav1.ConditionStatus) {
		g.Expect(operator.wire.quiet()).To(BeTrue(), "the operator rests")
		g.Expect(s.now()).To(Equal(want))
		for _, namespace := range clients {
			g.Expect(noted(ctx, namespace)).To(BeEmpty())
		}
		e := &v1alpha1.Entrustment{}
		g.Expect(admin.Get(ctx, client.ObjectKey{Name: contract}, e)).To(Succeed())
		g.Expect(meta.IsStatusConditionPresentAndEqual(e.Status.Conditions, v1alpha1.ConditionActive, active)).To(BeTrue())
	}
	settle := func(ctx context.Context, want map[way]bool, active metav1.ConditionStatus) {
		GinkgoHelper()
		Eventually(func(g Gomega) { settled(ctx, g, want, active) }).Should(Succeed())
	}

	Describe("by an operator that is killed before each of its writes in turn", func() {
		It("opens nothing, and is completed by the next one", func(ctx context.Context) {
			create(ctx, namespaced("killed-data"), namespaced(clients[0]), namespaced(clients[1]),
				builder.Processor(contract).Namespace(clients[0]).Namespace(clients[1]).Obj())
			for _, key := range s.stores {
				create(ctx, source(key.Namespace, "reader-of-"+key.Name), store(key).Credential("reader", "reader-of-"+key.Name).Obj())
			}
			create(ctx, builder.Entrustment(contract).To(contract).Purposes(billing).Stores(s.stores[0].String(), s.stores[1].String()).Obj())
			settle(ctx, all, metav1.ConditionTrue)
			own := builder.Pod(home, "own").Purpose(billing).Obj()
			create(ctx, own)

			step := 4
			if os.Getenv("ENTRUSTMENT_LONG") == "1" {
				step = 1
			}
			var rounds []string
			for n, killed := 0, true; killed; n += step {
				By(fmt.Sprintf("before write %d", n+1))
				var holders []*corev1.Pod
				for i, namespace := range []string{clients[0], clients[0], clients[1]} {
					pod := under(contract, namespace, fmt.Sprintf("pod-%d-%d", n, i)).Obj()
					create(ctx, pod)
					holders = append(holders, pod)
				}
				place := seen.now(ctx)
				operator.wire.arm(n)
				suspend(ctx, contract, true)
				Eventually(func(g Gomega) {
					if killed = operator.wire.isKilled(); !killed {
						settled(ctx, g, rest, metav1.ConditionFalse)
					}
				}).Should(Succeed())
				if killed {
					operator.stop()
				}
				rounds = append(rounds, fmt.Sprintf("%d: %v", n, s.judge(ctx, place)))
				if killed {
					operator.start(ctx)
					settle(ctx, rest, metav1.ConditionFalse)
				}

				Expect(s.judge(ctx, place)).To(Equal([stages]int{policies: 4, parameters: 2, secrets: 4, pods: 3, notes: 2}),
					"the two write each object once, and clear each note once")
				for _, pod := range holders {
					Expect(lives(ctx, pod)).To(BeFalse(), "pod %s held what was lost", pod.Name)
				}
				Expect(lives(ctx, own)).To(BeTrue(), "the data controller's own pod is left alone")

				operator.wire.arm(-1)
				suspend(ctx, contract, false)
				settle(ctx, all, metav1.ConditionTrue)
			}
			AddReportEntry("writes until killed: policies, parameters, Secrets, pods, notes cleared", strings.Join(rounds, "\n"))
		})
	})
}
