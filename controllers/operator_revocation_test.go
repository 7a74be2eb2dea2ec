package controllers_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("A contract that is suspended", Ordered, func() {
	var (
		fees  = &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
		shown = types.NamespacedName{Namespace: "billing-entrustee", Name: v1alpha1.PersonalDataAccessName}
		under = func(name string) *builder.PodBuilder {
			return builder.Pod("billing-entrustee", name).Purpose("billing").Entrustment("fees").Deadline(60)
		}
		lazy   = under("lazy").Obj() // on a node that does not answer
		prompt = under("prompt").Obj()
		own    = builder.Pod("core-services", "own").Purpose("billing").Obj()
	)
	suspend := func(ctx context.Context, suspended bool) {
		change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = suspended, "incident" })
	}
	revocation := func(ctx context.Context) *v1alpha1.Revocation {
		found := &v1alpha1.Entrustment{}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(fees), found)).To(Succeed())
		return found.Status.Revocation
	}
	revoked := func(ctx context.Context) *metav1.Condition { return condition(ctx, fees, v1alpha1.ConditionRevoked) }
	// told are the events of the contract's revocation.
	told := func(ctx context.Context) map[string]string {
		kinds := map[string]string{}
		for _, e := range events(ctx, "default") {
			if e.Regarding.Name == "fees" && strings.HasPrefix(e.Action, v1alpha1.ConditionRevoked+"=") {
				kinds[e.Reason] = e.Type
			}
		}
		return kinds
	}
	access := func(ctx context.Context) *v1alpha1.PersonalDataAccess {
		found := &v1alpha1.PersonalDataAccess{}
		Expect(client.IgnoreNotFound(admin.Get(ctx, shown, found))).To(Succeed())
		return found
	}
	live := func(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
		found := &corev1.Pod{}
		Expect(client.IgnoreNotFound(admin.Get(ctx, client.ObjectKeyFromObject(pod), found))).To(Succeed())
		return found
	}

	BeforeAll(func() { DeferCleanup(func() { now.SetTime(noon) }) })

	It("is in force until then", func(ctx context.Context) {
		Eventually(operator.ready).Should(Succeed())
		Eventually(revoked).WithArguments(ctx).Should(is(metav1.ConditionFalse, v1alpha1.ReasonInForce))
		Expect(revocation(ctx)).To(BeNil())
	})

	It("ends the pods that act under it, and no other", func(ctx context.Context) {
		Eventually(func() []v1alpha1.Grant { return access(ctx).Grants }).Should(ContainElement(HaveField("Entrustment", "fees")))
		for _, pod := range []*corev1.Pod{lazy, prompt, own} {
			Eventually(func() error { return admin.Create(ctx, pod.DeepCopy()) }).Should(Succeed())
		}
		DeferCleanup(func(ctx context.Context) { Expect(client.IgnoreNotFound(admin.Delete(ctx, own))).To(Succeed()) })
		Expect(admin.SubResource("binding").Create(ctx, live(ctx, lazy), &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "silent"}})).To(Succeed())
		suspend(ctx, true)
		Eventually(live).WithArguments(ctx, prompt).Should(HaveField("Name", BeEmpty()))
		Eventually(live).WithArguments(ctx, lazy).Should(HaveField("DeletionGracePeriodSeconds", HaveValue(BeEquivalentTo(7))))
		Expect(live(ctx, own).DeletionTimestamp).To(BeNil())
		Eventually(events).WithArguments(ctx, "billing-entrustee").Should(ContainElement(SatisfyAll(
			HaveField("Regarding.Name", "prompt"), HaveField("Reason", "GrantEnded"))))
		Expect(record.String()).To(ContainSubstring(`"event":"PodsEnded"`))
	})

	It("says which pod is left, and what is done by then", func(ctx context.Context) {
		Eventually(revoked).WithArguments(ctx).Should(SatisfyAll(is(metav1.ConditionFalse, v1alpha1.ReasonDraining),
			HaveField("Message", SatisfyAll(ContainSubstring("billing-entrustee/lazy"), Not(ContainSubstring("NetworkPolicy")), Not(ContainSubstring("Secret"))))))
		Eventually(revocation).WithArguments(ctx).Should(Equal(&v1alpha1.Revocation{
			StartTime: at(noon), PoliciesRemovedTime: at(noon), SecretsRemovedTime: at(noon),
		}))
		Eventually(told).WithArguments(ctx).Should(HaveKeyWithValue("Draining", corev1.EventTypeWarning))
		now.SetTime(noon.Add(time.Minute))
	})

	It("keeps in mind which pod is left, through a restart", func(ctx context.Context) {
		Expect(access(ctx).Grants).NotTo(ContainElement(HaveField("Entrustment", "fees")))
		Expect(access(ctx).Draining).To(ContainElement(SatisfyAll(
			HaveField("Purpose", "billing"), HaveField("Entrustment", "fees"), HaveField("Stores", ContainElement("data-billing/billing-ledger")))))
		operator.stop()
		operator.start()
		Eventually(operator.ready).Should(Succeed())
		Expect(access(ctx).Draining).NotTo(BeEmpty())
		Consistently(revoked).WithArguments(ctx).WithTimeout(time.Second).Should(is(metav1.ConditionFalse, v1alpha1.ReasonDraining))
		Expect(revocation(ctx)).To(SatisfyAll(HaveField("StartTime", at(noon)), HaveField("SecretsRemovedTime", at(noon)), HaveField("PodsEndedTime", BeNil())))

		Expect(admin.Delete(ctx, live(ctx, lazy), client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(func() []v1alpha1.DrainingGrant { return access(ctx).Draining }).Should(BeEmpty())
	})

	It("is verified once the pod has gone, with the instants of each step", func(ctx context.Context) {
		Eventually(revoked).WithArguments(ctx).Should(is(metav1.ConditionTrue, v1alpha1.ReasonVerified))
		Expect(revocation(ctx)).To(Equal(&v1alpha1.Revocation{
			StartTime: at(noon), PoliciesRemovedTime: at(noon), SecretsRemovedTime: at(noon),
			PodsEndedTime: at(noon.Add(time.Minute)), VerifiedTime: at(noon.Add(time.Minute)),
		}))
		Eventually(told).WithArguments(ctx).Should(HaveKeyWithValue("Verified", corev1.EventTypeNormal))

		By("a restart, which proves nothing anew")
		operator.stop()
		now.SetTime(noon.Add(2 * time.Minute))
		before := revocation(ctx)
		operator.start()
		Eventually(operator.ready).Should(Succeed())
		Consistently(revoked).WithArguments(ctx).WithTimeout(time.Second).Should(is(metav1.ConditionTrue, v1alpha1.ReasonVerified))
		Expect(revocation(ctx)).To(Equal(before))
	})

	It("was observed step by step", func() {
		Expect(counted("entrustment_revocation_seconds", "step")).To(And(HaveKey("policies"), HaveKey("parameters"), HaveKey("secrets"), HaveKey("pods"), HaveKey("verified")))
	})

	It("ends nobody once it is resumed", func(ctx context.Context) {
		suspend(ctx, false)
		pod := under("resumed").Obj()
		Eventually(func() error { return admin.Create(ctx, pod.DeepCopy()) }).Should(Succeed())
		Consistently(live).WithArguments(ctx, pod).WithTimeout(500 * time.Millisecond).Should(HaveField("DeletionTimestamp", BeNil()))
		Expect(admin.Delete(ctx, pod)).To(Succeed())
		Eventually(revoked).WithArguments(ctx).Should(is(metav1.ConditionFalse, v1alpha1.ReasonInForce))
		Expect(revocation(ctx)).To(BeNil())
		Eventually(told).WithArguments(ctx).Should(HaveKeyWithValue("InForce", corev1.EventTypeNormal))
	})
})

var _ = Describe("A contract that is deleted and disposed of", func() {
	It("goes only once nothing of it is left", func(ctx context.Context) {
		contract := builder.Entrustment("last").From("example-controller").To("billing-entrustee").Purposes("billing").Stores(queue).Obj()
		Eventually(operator.ready).Should(Succeed())
		Expect(admin.Create(ctx, contract)).To(Succeed())
		key := client.ObjectKeyFromObject(contract)
		held := builder.Pod("billing-entrustee", "held").Purpose("billing").Entrustment("last").Deadline(60).
			With(func(p *corev1.Pod) { p.Finalizers = []string{"example.com/held"} }).Obj()
		Eventually(func() error { return admin.Create(ctx, held.DeepCopy()) }).Should(Succeed())
		pod := &corev1.Pod{}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(held), pod)).To(Succeed())
		Expect(admin.SubResource("binding").Create(ctx, pod, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "silent"}})).To(Succeed())
		Eventually(func() []string {
			Expect(admin.Get(ctx, key, contract)).To(Succeed())
			return contract.Finalizers
		}).Should(ConsistOf(v1alpha1.FinalizerDisposal))

		Expect(admin.Delete(ctx, contract)).To(Succeed())
		Expect(dispose(ctx, admin, "last")).To(Succeed())
		Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionDisposed).Should(is(metav1.ConditionTrue, v1alpha1.ReasonCompleted))
		Eventually(condition).WithArguments(ctx, contract, v1alpha1.ConditionRevoked).Should(SatisfyAll(is(metav1.ConditionFalse, v1alpha1.ReasonDraining),
			HaveField("Message", ContainSubstring("billing-entrustee/held (held by finalizer example.com/held)"))))
		Consistently(gone).WithArguments(ctx, key, contract).WithTimeout(time.Second).Should(BeFalse())

		Expect(admin.Delete(ctx, held, client.GracePeriodSeconds(0))).To(Succeed())
		Consistently(gone).WithArguments(ctx, key, contract).WithTimeout(300 * time.Millisecond).Should(BeFalse())
		Expect(admin.Patch(ctx, pod, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
		Eventually(gone).WithArguments(ctx, key, contract).Should(BeTrue())
	})
})

// at is an instant as it comes back from the API server.
func at(t time.Time) *metav1.Time { return &metav1.Time{Time: t.Local()} }
