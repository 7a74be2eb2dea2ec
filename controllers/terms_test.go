package controllers_test

import (
	"context"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// queue is the one store of the policy that is open to sub-entrustees.
const (
	queue       = "data-billing/invoice-print-queue"
	printer     = "print-mailing-subentrustee"
	dispatching = "courier" // a party of the specs, the third in the chain
)

var queuePolicy = types.NamespacedName{Namespace: "data-billing", Name: "pds.invoice-print-queue"}

func describeTerms() {
	// A chain from the data controller down to the third tier, beside the contracts of the policy.
	tiers := []string{"tier-one", "tier-two", "tier-three"}
	peers := []any{"billing-entrustee under tier-one", printer + " under tier-two", dispatching + " under tier-three"}
	tier := func(n int) *v1alpha1.Entrustment {
		return &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: tiers[n]}}
	}
	chain := func(ctx context.Context) {
		GinkgoHelper()
		create(ctx, builder.Processor(dispatching).Namespace(dispatching).Obj())
		contract := func(n int) *builder.EntrustmentBuilder {
			return builder.Entrustment(tiers[n]).Purposes("billing").Stores(queue).NotAfter(noon.AddDate(2, n, 0))
		}
		for _, c := range []*builder.EntrustmentBuilder{
			contract(0).From("example-controller").To("billing-entrustee").PriorApproval(printer, dispatching).NotAfter(noon.AddDate(3, 0, 0)),
			contract(1).From("billing-entrustee").To(printer).Parent(tiers[0]).PriorApproval(dispatching),
			contract(2).From(printer).To(dispatching).Parent(tiers[1]).NotAfter(noon.AddDate(2, 1, 0)),
		} {
			obj := c.Obj()
			Eventually(func() error { return admin.Create(ctx, obj.DeepCopy()) }).Should(Succeed(), "once the webhook knows the parent")
			DeferCleanup(func(ctx context.Context) { remove(ctx, obj) })
		}
		awaitPolicy(ctx, queuePolicy)
		Eventually(admittedTo).WithArguments(ctx, queuePolicy).Should(ContainElements(peers...))
	}

	Describe("along a chain of three tiers", Ordered, func() {
		BeforeAll(func(ctx context.Context) {
			Expect(client.IgnoreAlreadyExists(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: dispatching}}))).To(Succeed())
			chain(ctx)
		})

		DescribeTable("closes what is below", func(ctx context.Context, end, mend func(context.Context), open []any, closed []any, reasons ...OmegaMatcher) {
			end(ctx)
			for _, peer := range closed {
				Eventually(admittedTo).WithArguments(ctx, queuePolicy).ShouldNot(ContainElement(peer))
			}
			Expect(admittedTo(Default, ctx, queuePolicy)).To(ContainElements(slices.Concat(open, []any{"core-services under none"})...), "the data controller's own pods lose nothing")
			for n, reason := range reasons {
				Eventually(condition).WithArguments(ctx, tier(n), v1alpha1.ConditionReady).Should(reason)
			}
			mend(ctx)
			Eventually(admittedTo).WithArguments(ctx, queuePolicy).Should(ContainElements(peers...))
		},
			Entry("a suspended top",
				func(ctx context.Context) {
					top := tier(0)
					change(ctx, top, func() { top.Spec.Suspended, top.Spec.SuspendedReason = true, "incident" })
				},
				func(ctx context.Context) {
					top := tier(0)
					change(ctx, top, func() { top.Spec.Suspended, top.Spec.SuspendedReason = false, "" })
				},
				nil, peers, is(metav1.ConditionFalse, v1alpha1.ReasonSuspended), is(metav1.ConditionFalse, v1alpha1.ReasonParentNotActive), is(metav1.ConditionFalse, v1alpha1.ReasonParentNotActive)),
			Entry("a withdrawn approval",
				func(ctx context.Context) {
					top := tier(0)
					change(ctx, top, func() { top.Spec.SubEntrustment.ApprovedProcessorNames = []string{dispatching} })
				},
				func(ctx context.Context) {
					top := tier(0)
					change(ctx, top, func() { top.Spec.SubEntrustment.ApprovedProcessorNames = []string{printer, dispatching} })
				},
				peers[:1], peers[1:], is(metav1.ConditionTrue, v1alpha1.ReasonEnforced), is(metav1.ConditionFalse, v1alpha1.ReasonNotApproved), is(metav1.ConditionFalse, v1alpha1.ReasonNotApproved)),
			Entry("an approval of the last tier withdrawn at the top",
				func(ctx context.Context) {
					top := tier(0)
					change(ctx, top, func() { top.Spec.SubEntrustment.ApprovedProcessorNames = []string{printer} })
				},
				func(ctx context.Context) {
					top := tier(0)
					change(ctx, top, func() { top.Spec.SubEntrustment.ApprovedProcessorNames = []string{printer, dispatching} })
				},
				peers[:2], peers[2:], is(metav1.ConditionTrue, v1alpha1.ReasonEnforced), is(metav1.ConditionTrue, v1alpha1.ReasonEnforced), is(metav1.ConditionFalse, v1alpha1.ReasonNotApproved)),
			Entry("the end of the middle, by time alone",
				func(context.Context) { now.SetTime(noon.AddDate(2, 1, 0)) },
				func(context.Context) { now.SetTime(noon) },
				peers[:1], peers[1:]),
		)

		It("clips what asks for more than a narrowed parent gives, and leaves it open", func(ctx context.Context) {
			top := tier(0)
			change(ctx, top, func() { top.Spec.NotAfter = metav1.NewTime(noon.AddDate(1, 0, 0)) })
			DeferCleanup(func(ctx context.Context) {
				change(ctx, top, func() { top.Spec.NotAfter = metav1.NewTime(noon.AddDate(3, 0, 0)) })
			})
			for _, n := range []int{1, 2} {
				Eventually(condition).WithArguments(ctx, tier(n), v1alpha1.ConditionScopeValid).Should(is(metav1.ConditionFalse, v1alpha1.ReasonExceedsParentScope))
				Eventually(condition).WithArguments(ctx, tier(n), v1alpha1.ConditionReady).Should(is(metav1.ConditionTrue, v1alpha1.ReasonEnforced))
			}
			Expect(admittedTo(Default, ctx, queuePolicy)).To(ContainElements(peers...))
		})

		It("ends with its top, to the last tier, and each tier stays for its own disposal", func(ctx context.Context) {
			Eventually(func(g Gomega) {
				for n := range tiers {
					contract := tier(n)
					g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(contract), contract)).To(Succeed())
					g.Expect(contract.Finalizers).To(ContainElement(v1alpha1.FinalizerDisposal))
				}
			}).Should(Succeed())
			Expect(admin.Delete(ctx, tier(0))).To(Succeed())
			for _, peer := range peers {
				Eventually(admittedTo).WithArguments(ctx, queuePolicy).ShouldNot(ContainElement(peer))
			}
			Eventually(condition).WithArguments(ctx, tier(0), v1alpha1.ConditionActive).Should(is(metav1.ConditionFalse, v1alpha1.ReasonTerminating))
			for _, n := range []int{1, 2} {
				Eventually(condition).WithArguments(ctx, tier(n), v1alpha1.ConditionActive).Should(is(metav1.ConditionFalse, v1alpha1.ReasonParentNotActive))
			}
			Expect(dispose(ctx, admin, tiers[0])).To(Succeed())
			Eventually(gone).WithArguments(ctx, client.ObjectKeyFromObject(tier(0)), tier(0)).Should(BeTrue())
			Eventually(condition).WithArguments(ctx, tier(2), v1alpha1.ConditionAuthorized).Should(is(metav1.ConditionFalse, v1alpha1.ReasonParentNotFound))
		})
	})

	Describe("that nears its end", func() {
		It("is warned of once at 30, 7 and 1 day before, also through restarts and a clock that is set back", func(ctx context.Context) {
			DeferCleanup(func() { now.SetTime(noon) })
			end := noon.AddDate(0, 0, 40)
			contract := builder.Entrustment("short").From("example-controller").To("billing-entrustee").Purposes("billing").Stores(queue).NotAfter(end).Obj()
			create(ctx, contract)
			warnings := func() map[string]int32 {
				told := map[string]int32{}
				for _, e := range events(ctx, "default") {
					if e.Regarding.Name == "short" && e.Action == "Ending=True" {
						told[e.Reason]++
						if e.Series != nil {
							told[e.Reason] += e.Series.Count - 1
						}
					}
				}
				return told
			}
			said := func(status metav1.ConditionStatus, reason v1alpha1.Reason) {
				GinkgoHelper()
				Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionEnding).Should(is(status, reason))
			}
			said(metav1.ConditionFalse, v1alpha1.ReasonEndsLater)
			now.SetTime(end.AddDate(0, 0, -30).Add(-time.Second))
			Consistently(warnings).WithTimeout(300 * time.Millisecond).Should(BeEmpty())
			now.SetTime(end.AddDate(0, 0, -30))
			said(metav1.ConditionTrue, v1alpha1.ReasonEndsWithin30Days)
			Eventually(warnings).Should(HaveKey("EndsWithin30Days")) // told after it was written, and not yet when that is seen

			By("a restart and a jump over a week")
			operator.stop()
			now.SetTime(end.AddDate(0, 0, -3))
			operator.start()
			Eventually(operator.ready).Should(Succeed())
			said(metav1.ConditionTrue, v1alpha1.ReasonEndsWithin7Days)
			Eventually(warnings).Should(HaveKey("EndsWithin7Days"))
			operator.stop()
			operator.start()
			Eventually(operator.ready).Should(Succeed())
			now.SetTime(end.Add(-time.Hour))
			said(metav1.ConditionTrue, v1alpha1.ReasonEndsWithin1Day)
			Eventually(warnings).Should(Equal(map[string]int32{"EndsWithin30Days": 1, "EndsWithin7Days": 1, "EndsWithin1Day": 1}))

			By("a clock that is set forward, and back")
			now.SetTime(end.AddDate(1, 0, 0))
			said(metav1.ConditionTrue, v1alpha1.ReasonEnded)
			now.SetTime(noon)
			said(metav1.ConditionFalse, v1alpha1.ReasonEndsLater)
			Eventually(admittedTo).WithArguments(ctx, queuePolicy).Should(ContainElement("billing-entrustee under short"))
		})
	})

	Describe("that is deleted", func() {
		const officer = "officer" // of the entruster, but without its verb at first

		second := func(ctx context.Context, edit func(*v1alpha1.Entrustment)) *v1alpha1.Entrustment {
			GinkgoHelper()
			contract := builder.Entrustment("second").From("example-controller").To("billing-entrustee").Purposes("billing").Stores(queue).Obj()
			edit(contract)
			create(ctx, contract)
			awaitPolicy(ctx, queuePolicy)
			return contract
		}

		It("ends at once, and stays until its disposal is recorded by who may", func(ctx context.Context) {
			contract := second(ctx, func(*v1alpha1.Entrustment) {})
			key := client.ObjectKeyFromObject(contract)
			Eventually(admittedTo).WithArguments(ctx, queuePolicy).Should(ContainElement("billing-entrustee under second"))
			Eventually(func() []string {
				Expect(admin.Get(ctx, key, contract)).To(Succeed())
				return contract.Finalizers
			}).Should(ConsistOf(v1alpha1.FinalizerDisposal))
			allowEverywhere(ctx, officer, rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Resources: []string{"entrustments"}, Verbs: []string{"get", "patch", "update"}})

			Expect(admin.Delete(ctx, contract)).To(Succeed())
			Eventually(admittedTo).WithArguments(ctx, queuePolicy).ShouldNot(ContainElement("billing-entrustee under second"))
			Eventually(func() error {
				return admin.Create(ctx, builder.Pod("billing-entrustee", "late").Purpose("billing").Entrustment("second").Obj(), client.DryRunAll)
			}).Should(refused("Expired: ", "terminated"))
			Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionActive).Should(is(metav1.ConditionFalse, v1alpha1.ReasonTerminating))
			Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionDisposed).Should(SatisfyAll(
				is(metav1.ConditionFalse, v1alpha1.ReasonPending), HaveField("Message", ContainSubstring("kubectl patch entrustment second"))))

			By("nobody taking the record away")
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, key, contract)).To(Succeed())
				contract.Finalizers = nil
				g.Expect(admin.Update(ctx, contract)).To(MatchError(ContainSubstring("finalizers entrustment.dev/* are added and removed by entrustment-operator alone")))
			}).Should(Succeed())

			By("somebody without the verb entrust")
			Eventually(func() error { return dispose(ctx, as(officer), "second") }).Should(MatchError(ContainSubstring("it takes the verb entrust")))

			By("somebody who holds it")
			allowEverywhere(ctx, officer, rbacv1.PolicyRule{
				APIGroups: []string{v1alpha1.Group}, Resources: []string{"dataprocessors"}, ResourceNames: []string{"example-controller"}, Verbs: []string{"entrust"},
			})
			Eventually(func() error { return dispose(ctx, as(officer), "second") }).Should(Succeed())
			Eventually(gone).WithArguments(ctx, key, contract).Should(BeTrue())
		})

		It("while the operator is down, stays too, and is closed as soon as it is back", func(ctx context.Context) {
			contract := second(ctx, func(*v1alpha1.Entrustment) {})
			Eventually(func() []string {
				Expect(admin.Get(ctx, client.ObjectKeyFromObject(contract), contract)).To(Succeed())
				return contract.Finalizers
			}).Should(ConsistOf(v1alpha1.FinalizerDisposal))
			operator.stop()
			Expect(admin.Delete(ctx, contract)).To(Succeed())
			Expect(gone(ctx, client.ObjectKeyFromObject(contract), contract)).To(BeFalse())
			operator.start()
			Eventually(operator.ready).Should(Succeed())
			Eventually(admittedTo).WithArguments(ctx, queuePolicy).ShouldNot(ContainElement("billing-entrustee under second"))
			Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionActive).Should(is(metav1.ConditionFalse, v1alpha1.ReasonTerminating))
		})

		DescribeTable("but never was in force, is let go like any object", func(ctx context.Context, edit func(*v1alpha1.Entrustment)) {
			contract := second(ctx, edit)
			Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionReady).Should(HaveField("Status", metav1.ConditionFalse))
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(contract), contract)).To(Succeed())
			Expect(contract.Finalizers).To(BeEmpty())
			Expect(admin.Delete(ctx, contract)).To(Succeed())
			Expect(gone(ctx, client.ObjectKeyFromObject(contract), contract)).To(BeTrue())
		},
			Entry("before its term", func(e *v1alpha1.Entrustment) { e.Spec.NotBefore = &metav1.Time{Time: noon.AddDate(0, 1, 0)} }),
			Entry("with stores that do not exist", func(e *v1alpha1.Entrustment) { e.Spec.Stores[0].Name = "typo" }),
			Entry("by another than the data controller", func(e *v1alpha1.Entrustment) { e.Spec.EntrusterName = printer }),
		)
	})
}

// awaitPolicy waits until the operator, which may just have started, has written a policy.
func awaitPolicy(ctx context.Context, key types.NamespacedName) {
	GinkgoHelper()
	Eventually(func() error { return admin.Get(ctx, key, &networkingv1.NetworkPolicy{}) }).Should(Succeed())
}

// allowEverywhere binds a user to a rule in the whole cluster, for the length of a spec.
func allowEverywhere(ctx context.Context, user string, rule rbacv1.PolicyRule) {
	GinkgoHelper()
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "spec-"}, Rules: []rbacv1.PolicyRule{rule}}
	create(ctx, role)
	create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
		RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", APIGroup: rbacv1.GroupName, Name: role.Name},
	})
}
