package revocation

import (
	"context"
	"maps"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// store is one of the data controller, open to entrustees of all tiers.
func store(key types.NamespacedName) *builder.StoreBuilder {
	return builder.Store(key.Namespace, key.Name).AllowedPurposes(billing).Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee)
}

func describeChain() {
	Describe("at the top of a chain of three tiers", func() {
		It("ends everything below, and nothing of the data controller's own", func(ctx context.Context) {
			tiers := []string{"tier-one", "tier-two", "tier-three"}
			s := &scene{namespaces: append(slices.Clone(tiers), home), contracts: tiers, stores: []types.NamespacedName{{Namespace: "tier-data", Name: "ledger"}}}
			ledger := s.stores[0]
			create(ctx, namespaced(ledger.Namespace), source(ledger.Namespace, "reader"), store(ledger).Credential("reader", "reader").Obj())
			rest := s.ways(home, "")
			all := maps.Clone(rest)
			from, parent := builder.Controller, ""
			for i, tier := range tiers { // party, namespace and contract have the same name
				contract := builder.Entrustment(tier).From(from).To(tier).Parent(parent).Purposes(billing).Stores(ledger.String())
				if below := tiers[i+1:]; len(below) > 0 {
					contract.PriorApproval(below...)
				}
				create(ctx, namespaced(tier), builder.Processor(tier).Namespace(tier).Obj(), contract.Obj())
				maps.Copy(all, s.ways(tier, tier))
				from, parent = tier, tier
			}
			Eventually(s.now).Should(Equal(all))
			var holders []*corev1.Pod
			for _, tier := range tiers {
				holders = append(holders, under(tier, tier, "worker").Obj())
				create(ctx, holders[len(holders)-1])
			}
			own := builder.Pod(home, "own-of-chain").Purpose(billing).Obj()
			create(ctx, own)

			place := seen.now(ctx)
			suspend(ctx, tiers[0], true)
			Eventually(s.now).Should(Equal(rest))
			for i, tier := range tiers {
				Eventually(lives).WithArguments(ctx, holders[i]).Should(BeFalse())
				Eventually(noted).WithArguments(ctx, tier).Should(BeEmpty())
			}
			Expect(s.judge(ctx, place)).To(Equal([stages]int{policies: 4, parameters: 3, secrets: 3, pods: 3, notes: 3}))
			Expect(lives(ctx, own)).To(BeTrue())
		})
	})
}

func describeReports() {
	// lost is a contract over a store that only reports, which has ended while a pod acted under it.
	lost := func(ctx context.Context, name string) (*v1alpha1.PersonalDataStore, *corev1.Pod) {
		GinkgoHelper()
		s := &scene{namespaces: []string{name}, contracts: []string{name}, stores: []types.NamespacedName{{Namespace: name + "-data", Name: "ledger"}}}
		ledger := store(s.stores[0]).Obj()
		pod := under(name, name, "worker").Obj()
		create(ctx, namespaced(ledger.Namespace), namespaced(name), ledger, builder.Processor(name).Namespace(name).Obj(),
			builder.Entrustment(name).To(name).Purposes(billing).Stores(s.stores[0].String()).Obj())
		Eventually(s.now).Should(HaveKey(way{byPolicy, name, name, s.stores[0].String()}))
		Eventually(granted).WithArguments(ctx, name).Should(ContainElement(name))
		create(ctx, pod)
		change(ctx, ledger, func(s *v1alpha1.PersonalDataStore) { s.Spec.Enforcement = v1alpha1.EnforcementReport })
		change(ctx, &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: name}}, func(e *v1alpha1.Entrustment) {
			e.Spec.NotAfter.Time = time.Now().Add(time.Second)
		})
		Eventually(granted).WithArguments(ctx, name).Should(BeEmpty())
		Eventually(events).WithArguments(ctx, name).Should(ContainElement(SatisfyAll(HaveField("Regarding.Name", pod.Name), HaveField("Reason", "Noncompliant"))),
			"the pod is told of, and so was judged")
		Expect(lives(ctx, pod)).To(BeTrue())
		Expect(noted(ctx, name)).To(ConsistOf(name))
		return ledger, pod
	}
	enforce := func(s *v1alpha1.PersonalDataStore) { s.Spec.Enforcement = v1alpha1.EnforcementEnforce }

	DescribeTable("of a store that only reports ends no pod, when the contract expires, until the store", func(ctx context.Context, name string, cut func(*v1alpha1.PersonalDataStore)) {
		ledger, pod := lost(ctx, name)
		change(ctx, ledger, cut)
		Eventually(lives).WithArguments(ctx, pod).Should(BeFalse())
		Eventually(noted).WithArguments(ctx, name).Should(BeEmpty())
	},
		Entry("is enforced", "enforced", enforce),
		Entry("is suspended", "shut", func(s *v1alpha1.PersonalDataStore) { s.Spec.Suspended, s.Spec.SuspendedReason = true, "incident" }),
	)

	Describe("of a store that only reports", func() {
		It("is remembered through a restart", func(ctx context.Context) {
			ledger, pod := lost(ctx, "remembered")
			operator.restart(ctx)
			Expect(lives(ctx, pod)).To(BeTrue())
			Expect(noted(ctx, "remembered")).To(ConsistOf("remembered"))
			change(ctx, ledger, enforce)
			Eventually(lives).WithArguments(ctx, pod).Should(BeFalse())
		})

		It("is forgotten when the contract is renewed, or the pod has gone", func(ctx context.Context) {
			ledger, pod := lost(ctx, "renewed")
			change(ctx, &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "renewed"}}, func(e *v1alpha1.Entrustment) {
				e.Spec.NotAfter.Time = time.Now().Add(time.Hour)
			})
			Eventually(granted).WithArguments(ctx, "renewed").Should(ConsistOf("renewed"))
			Expect(noted(ctx, "renewed")).To(BeEmpty())
			change(ctx, ledger, enforce)
			Eventually(func() map[way]bool {
				return (&scene{namespaces: []string{"renewed"}, contracts: []string{"renewed"}, stores: []types.NamespacedName{client.ObjectKeyFromObject(ledger)}}).now()
			}).Should(HaveKey(way{byPolicy, "renewed", "renewed", client.ObjectKeyFromObject(ledger).String()}))
			Consistently(lives).WithArguments(ctx, pod).WithTimeout(time.Second).Should(BeTrue())

			_, gone := lost(ctx, "left")
			Expect(admin.Delete(ctx, gone)).To(Succeed())
			Eventually(noted).WithArguments(ctx, "left").Should(BeEmpty())
		})
	})
}

func describeEnds() {
	Describe("of one of two stores of a grant", func() {
		It("ends the pods, because they may hold a connection to it, and not those that come after", func(ctx context.Context) {
			s := &scene{namespaces: []string{"partial"}, contracts: []string{"partial"}, stores: []types.NamespacedName{{Namespace: "partial-data", Name: "kept"}, {Namespace: "partial-data", Name: "lost"}}}
			create(ctx, namespaced("partial-data"), namespaced("partial"), store(s.stores[0]).Obj(), store(s.stores[1]).Obj(), builder.Processor("partial").Namespace("partial").Obj(),
				builder.Entrustment("partial").To("partial").Purposes(billing).Stores(s.stores[0].String(), s.stores[1].String()).Obj())
			Eventually(s.now).Should(HaveLen(4))
			pod, next := under("partial", "partial", "before").Obj(), under("partial", "partial", "after").Obj()
			create(ctx, pod)
			change(ctx, &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "partial"}}, func(e *v1alpha1.Entrustment) { e.Spec.Stores = e.Spec.Stores[:1] })
			Eventually(lives).WithArguments(ctx, pod).Should(BeFalse())
			create(ctx, next)
			Eventually(noted).WithArguments(ctx, "partial").Should(BeEmpty())
			Expect(lives(ctx, next)).To(BeTrue())
			Expect(s.now()).To(HaveLen(2))
		})
	})

	Describe("of a namespace that is no longer bound", func() {
		It("ends its pods, and its PersonalDataAccess after them", func(ctx context.Context) {
			party := builder.Processor("unbound").Namespace("unbound").Obj()
			key := types.NamespacedName{Namespace: "unbound-data", Name: "ledger"}
			create(ctx, namespaced("unbound-data"), namespaced("unbound"), store(key).Obj(), party,
				builder.Entrustment("unbound").To("unbound").Purposes(billing).Stores(key.String()).Obj())
			Eventually(granted).WithArguments(ctx, "unbound").Should(ConsistOf("unbound"))
			pod := under("unbound", "unbound", "worker").Obj()
			create(ctx, pod)
			place := seen.now(ctx)
			change(ctx, party, func(p *v1alpha1.DataProcessor) { p.Spec.Namespaces = nil })
			Eventually(shown).WithArguments(ctx, "unbound").Should(BeNil())
			seen.now(ctx)
			_, later := seen.since(place)
			var went []string
			for _, e := range later {
				if e.Type == watch.Deleted && e.key.Namespace == "unbound" && e.kind != "NetworkPolicy" {
					went = append(went, e.kind)
				}
			}
			Expect(went).To(Equal([]string{"Pod", "PersonalDataAccess"}))
		})
	})
}

func describeGoing() {
	Describe("of a contract in a namespace that is being deleted", func() {
		It("takes away what it opened, and leaves what closes until the last pod has gone", func(ctx context.Context) {
			key := types.NamespacedName{Namespace: "going-data", Name: "ledger"}
			contract := builder.Entrustment("going").To("going").Purposes(billing).Stores(key.String()).Obj()
			create(ctx, namespaced("going-data"), namespaced("going"), store(key).Obj(), builder.Processor("going").Namespace("going").Obj(), contract)
			Eventually(granted).WithArguments(ctx, "going").Should(ConsistOf("going"))
			pod := under("going", "going", "worker").With(func(p *corev1.Pod) { p.Finalizers = []string{"example.com/held"} }).Obj()
			create(ctx, pod)
			policies := func() (names []string) {
				for key := range seen.view().policies {
					if key.Namespace == "going" {
						names = append(names, key.Name)
					}
				}
				return names
			}
			Eventually(policies).Should(ConsistOf("pda.entrustment.going", "pda.floor"))

			place := seen.now(ctx)
			Expect(admin.Delete(ctx, namespaced("going"))).To(Succeed())
			Eventually(lives).WithArguments(ctx, pod).Should(BeFalse())
			suspend(ctx, "going", true)
			Eventually(policies).Should(ConsistOf("pda.floor"))
			revoked := func() *metav1.Condition {
				Expect(admin.Get(ctx, client.ObjectKeyFromObject(contract), contract)).To(Succeed())
				return meta.FindStatusCondition(contract.Status.Conditions, v1alpha1.ConditionRevoked)
			}
			Eventually(revoked).Should(HaveField("Message", ContainSubstring("going/worker (held by finalizer example.com/held)")))
			Expect(revoked().Status).To(Equal(metav1.ConditionFalse))
			Expect(admin.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
			Eventually(revoked).Should(HaveField("Status", metav1.ConditionTrue))
			Eventually(func() error { return admin.Get(ctx, client.ObjectKey{Name: "going"}, &corev1.Namespace{}) }).ShouldNot(Succeed())
			seen.now(ctx)
			_, later := seen.since(place)
			var went []string
			for _, e := range later {
				if e.Type == watch.Deleted && e.key.Namespace == "going" && (e.kind == "Pod" || e.key.Name == "pda.floor") {
					went = append(went, e.kind)
				}
			}
			Expect(went).To(Equal([]string{"Pod", "NetworkPolicy"}))
		})
	})
}

func describeLate() {
	Describe("of a contract, before a pod that comes past the rules", func() {
		It("ends the pod as soon as it is seen", func(ctx context.Context) {
			const rule = "grants.entrustment.dev"
			key := types.NamespacedName{Namespace: "late-data", Name: "ledger"}
			create(ctx, namespaced("late-data"), namespaced("late"), store(key).Obj(), builder.Processor("late").Namespace("late").Obj(),
				builder.Entrustment("late").To("late").Purposes(billing).Stores(key.String()).Obj())
			Eventually(granted).WithArguments(ctx, "late").Should(ConsistOf("late"))
			suspend(ctx, "late", true)
			Eventually(shown).WithArguments(ctx, "late").Should(SatisfyAll(HaveField("Grants", BeEmpty()), HaveField("Draining", BeEmpty())))
			pod := under("late", "late", "worker").Obj()

			By("taking the rule away, and the webhook's eyes")
			var seeing []admissionregistrationv1.MatchCondition
			meet := func(ctx context.Context, conditions ...admissionregistrationv1.MatchCondition) {
				webhooks := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
				change(ctx, webhooks, func(c *admissionregistrationv1.MutatingWebhookConfiguration) {
					Expect(c.Webhooks[0].Name).To(Equal("pod.admission.entrustment.dev"))
					seeing, c.Webhooks[0].MatchConditions = c.Webhooks[0].MatchConditions, conditions
				})
			}
			operator.wire.hold("/" + rule)
			DeferCleanup(func(ctx context.Context) {
				operator.wire.hold("")
				meet(ctx, seeing...)
				Eventually(func() error { return admin.Create(ctx, under("late", "late", "next").Obj(), client.DryRunAll) }).ShouldNot(Succeed())
			})
			meet(ctx, admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"})
			Expect(admin.Delete(ctx, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: rule}})).To(Succeed())
			create(ctx, pod)
			Eventually(lives).WithArguments(ctx, pod).Should(BeFalse())
		})
	})
}

// Pods that were there before the operator, and before its rules.
var (
	expired = builder.Pod("unjudged", "expired").Purpose(billing).Entrustment("unjudged").Obj()
	never   = builder.Pod("unjudged", "never").Purpose(billing).Obj()
)

// plantUnjudged makes them, and a contract that ended meanwhile.
func plantUnjudged(ctx context.Context) {
	GinkgoHelper()
	key := types.NamespacedName{Namespace: "unjudged-data", Name: "ledger"}
	create(ctx, namespaced("unjudged"), namespaced("unjudged-data"), store(key).Obj(), builder.Processor("unjudged").Namespace("unjudged").Obj(),
		builder.Entrustment("unjudged").To("unjudged").Purposes(billing).Stores(key.String()).NotAfter(time.Now().Add(-time.Hour)).Obj(), expired, never)
}

func describeSweep() {
	Describe("of a contract that ended while there was no operator", func() {
		It("ends its pods at the start, and only tells of pods that never had a grant", func(ctx context.Context) {
			Eventually(lives).WithArguments(ctx, expired).Should(BeFalse())
			Eventually(events).WithArguments(ctx, "unjudged").Should(ContainElement(SatisfyAll(HaveField("Regarding.Name", never.Name), HaveField("Reason", "Noncompliant"))))
			Expect(events(ctx, "unjudged")).NotTo(ContainElement(SatisfyAll(HaveField("Regarding.Name", expired.Name), HaveField("Reason", "Noncompliant"))))
			Eventually(gauge).WithArguments("entrustment_noncompliant_pods").Should(BeEquivalentTo(1))
			Expect(lives(ctx, never)).To(BeTrue())
		})
	})
}

func events(ctx context.Context, namespace string) []eventsv1.Event {
	GinkgoHelper()
	list := &eventsv1.EventList{}
	Expect(admin.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
	return list.Items
}

func gauge(name string) (value float64) {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() == name {
			for _, metric := range family.GetMetric() {
				value += metric.GetGauge().GetValue()
			}
		}
	}
	return value
}
