package controllers_test

import (
	"context"
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

	It("keeps in mind which pod is left, through a restart", func(ctx context.Context) {
		Expect(access(ctx).Grants).NotTo(ContainElement(HaveField("Entrustment", "fees")))
		Expect(access(ctx).Draining).To(ContainElement(SatisfyAll(
			HaveField("Purpose", "billing"), HaveField("Entrustment", "fees"), HaveField("Stores", ContainElement("data-billing/billing-ledger")))))
		operator.stop()
		operator.start()
		Eventually(operator.ready).Should(Succeed())
		Expect(access(ctx).Draining).NotTo(BeEmpty())

		Expect(admin.Delete(ctx, live(ctx, lazy), client.GracePeriodSeconds(0))).To(Succeed())
		Eventually(func() []v1alpha1.DrainingGrant { return access(ctx).Draining }).Should(BeEmpty())
	})

	It("ends nobody once it is resumed", func(ctx context.Context) {
		suspend(ctx, false)
		pod := under("resumed").Obj()
		Eventually(func() error { return admin.Create(ctx, pod.DeepCopy()) }).Should(Succeed())
		Consistently(live).WithArguments(ctx, pod).WithTimeout(500 * time.Millisecond).Should(HaveField("DeletionTimestamp", BeNil()))
		Expect(admin.Delete(ctx, pod)).To(Succeed())
	})
})
