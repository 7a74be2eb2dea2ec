package e2e

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/e2e/attempt"
)

var _ = Describe("When the operator is dead", func() {
	It("a contract ends all the same: its pod is ended with its session, and no other is admitted", func(ctx SpecContext) {
		const term = 30 * time.Second
		signed := &v1alpha1.Entrustment{}
		Expect(admin.Get(ctx, client.ObjectKey{Name: contract}, signed)).To(Succeed())
		end := time.Now().Add(term).Truncate(time.Second)
		short := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("short-%d", end.Unix())}, Spec: *signed.Spec.DeepCopy()}
		short.Spec.NotAfter = metav1.NewTime(end)
		Expect(admin.Create(ctx, short)).To(Succeed())

		database := address(ctx, ledger)
		under := func(name string) *corev1.Pod {
			return withCredential(agent(entrustee, name, "query", database).Purpose(purpose).Entrustment(short.Name)).Obj()
		}
		worker := start(ctx, withCredential(agent(entrustee, "worker", "query", database).Purpose(purpose).Entrustment(short.Name)))
		comesTo(ctx, worker, database, attempt.Answered, time.Time{})

		replicas := scale(ctx, 0)
		DeferCleanup(func(ctx SpecContext) { scale(ctx, replicas) }, NodeTimeout(2*time.Minute))
		Expect(time.Now()).To(BeTemporally("<", end), "the operator was not gone before the contract's end")

		Eventually(func(g Gomega) {
			g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(worker), worker)).To(Succeed())
			g.Expect(worker.Status.Phase).To(Equal(corev1.PodFailed))
			g.Expect(worker.Status.Reason).To(Equal("DeadlineExceeded"))
		}).WithContext(ctx).Should(Succeed())
		var last time.Time
		for _, one := range attempts(ctx, worker, time.Time{}) {
			if one.Outcome == attempt.Answered {
				last = one.Ended
			}
		}
		Expect(last).To(BeTemporally("<", end.Add(15*time.Second)))
		Expect(last).To(BeTemporally(">", end.Add(-5*time.Second)), "it was the contract's end that ended it")
		measured("contract end with a dead operator → last answer to its pod", last.Sub(end))
		comesTo(ctx, witness, database+":5432", attempt.Open, last)
		start(ctx, agent("default", "bystander", "dial", landmark)) // who declares nothing needs no operator
		Expect(admin.Create(ctx, under("latecomer"))).To(MatchError(apierrors.IsInternalError, "the webhook cannot be asked"))
	}, NodeTimeout(3*time.Minute))
})

// scale stops the operator, or starts it, and waits until it is so. It returns how many replicas there were to be.
func scale(ctx SpecContext, replicas int32) int32 {
	GinkgoHelper()
	operator := &appsv1.Deployment{}
	Expect(admin.Get(ctx, operatorKey, operator)).To(Succeed())
	before := operator.DeepCopy() // its replicas have a default
	operator.Spec.Replicas = ptr.To(replicas)
	Expect(admin.Patch(ctx, operator, client.MergeFrom(before))).To(Succeed())
	Eventually(func(g Gomega) {
		pods := &corev1.PodList{}
		g.Expect(admin.List(ctx, pods, client.InNamespace(operatorKey.Namespace), client.MatchingLabels(operator.Spec.Selector.MatchLabels))).To(Succeed())
		running := 0
		for _, pod := range pods.Items {
			if pod.DeletionTimestamp == nil && ready(&pod) {
				running++
			} else {
				g.Expect(replicas).NotTo(BeZero(), "%s is %s", pod.Name, pod.Status.Phase)
			}
		}
		g.Expect(running).To(BeEquivalentTo(replicas))
	}).WithContext(ctx).Should(Succeed())
	return *before.Spec.Replicas
}
