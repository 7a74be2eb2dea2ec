package integration

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// There is no node here: the test runs the probes, as a kubelet would, and says what they found. The packets are for a real
// cluster.
var _ = Describe("kubectl entrust verify", Ordered, func() {
	const minimal = "../../config/samples/minimal"
	probes := client.MatchingLabels{"app.kubernetes.io/name": "entrust-probe"}

	BeforeAll(func(ctx context.Context) {
		for _, object := range objectsOf(minimal+"/namespaces.yaml", minimal+"/policy.yaml") {
			if object.GetKind() == "Namespace" {
				Expect(client.IgnoreAlreadyExists(k8s.Create(ctx, object))).To(Succeed())
				continue
			}
			Expect(k8s.Create(ctx, object)).To(Succeed())
			DeferCleanup(k8s.Delete, object)
		}
	})

	// kubelet ends every probe with the exit code for whether it declares something, until the test is over.
	kubelet := func(declaring, silent int32) {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(done)
			for ctx.Err() == nil {
				list := &corev1.PodList{}
				if err := k8s.List(ctx, list, probes); err != nil {
					return
				}
				for i := range list.Items {
					pod := &list.Items[i]
					code := silent
					if pod.Labels[v1alpha1.LabelPurpose] != "" {
						code = declaring
					}
					if len(pod.Status.ContainerStatuses) > 0 {
						continue
					}
					pod.Status.Phase = corev1.PodSucceeded
					pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "probe", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}}}}
					if err := k8s.Status().Update(ctx, pod); err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
						Fail(err.Error())
					}
				}
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		DeferCleanup(func() { stop(); <-done })
	}
	nothingIsLeft := func(ctx context.Context) {
		GinkgoHelper()
		list := &corev1.PodList{}
		Expect(k8s.List(ctx, list, probes)).To(Succeed())
		Expect(list.Items).To(BeEmpty())
	}
	storePod := func(ctx context.Context) {
		pod := builder.Pod("shop-data", "orders-0").Label("app", "orders").Obj()
		Expect(k8s.Create(ctx, pod)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(k8s.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed()) })
		pod.Status.Phase, pod.Status.PodIP, pod.Status.PodIPs = corev1.PodRunning, "10.0.0.5", []corev1.PodIP{{IP: "10.0.0.5"}}
		Expect(k8s.Status().Update(ctx, pod)).To(Succeed())
	}

	It("has nothing to probe while the store has no pod", func(ctx context.Context) {
		_, wrong, code := entrust(ctx, controlPlane.KubeConfig, "verify", "shop-data/orders")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("has no running pod to probe"))
		nothingIsLeft(ctx)
	})

	DescribeTable("judges what the probes find", func(ctx context.Context, declaring, silent int32, code int, says string) {
		storePod(ctx)
		kubelet(declaring, silent)
		out, wrong, got := entrust(ctx, controlPlane.KubeConfig, "verify", "shop-data/orders", "-n", "courier")
		Expect(got).To(Equal(code), out+wrong)
		Expect(out + wrong).To(ContainSubstring(says))
		nothingIsLeft(ctx)
	},
		Entry("enforced", int32(0), int32(3), 0, "10.0.0.5:5432: enforced"),
		Entry("not enforced", int32(0), int32(0), 1, "a pod that declares nothing reached the store"),
		Entry("nothing proven", int32(3), int32(3), 2, "nothing is proven"),
		Entry("an image without nc", int32(127), int32(127), 2, "did not run: it failed, exit code 127; the image needs sh and nc"),
	)

	It("makes probes that declare the grant, and nothing, and leaves none when nobody runs them", func(ctx context.Context) {
		storePod(ctx)
		seen := make(chan []corev1.Pod, 1)
		go func() {
			defer GinkgoRecover()
			list := &corev1.PodList{}
			Eventually(func(g Gomega) {
				g.Expect(k8s.List(ctx, list, probes)).To(Succeed())
				g.Expect(list.Items).To(HaveLen(2))
			}).WithContext(ctx).WithTimeout(30 * time.Second).Should(Succeed())
			seen <- list.Items
		}()
		_, wrong, code := entrust(ctx, controlPlane.KubeConfig, "verify", "shop-data/orders", "-n", "courier", "--timeout", "3s")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("did not end within 3s"))
		nothingIsLeft(ctx)

		var declared []string
		for _, pod := range <-seen {
			declared = append(declared, pod.Labels[v1alpha1.LabelPurpose]+"/"+pod.Labels[v1alpha1.LabelEntrustment])
			Expect(pod.Namespace).To(Equal("courier"))
			Expect(*pod.Spec.ActiveDeadlineSeconds).To(BeEquivalentTo(3))
			Expect(pod.Spec.Containers[0].Command).To(HaveExactElements("sh", "-c", Not(BeEmpty()), "probe", "10.0.0.5", "5432"))
		}
		Expect(declared).To(ConsistOf("delivery/delivery-by-courier", "/"))
	})

	It("leaves nothing when it is interrupted", func(ctx context.Context) {
		storePod(ctx)
		interrupted, interrupt := context.WithCancel(ctx)
		go func() {
			defer GinkgoRecover()
			defer interrupt()
			Eventually(func(g Gomega) {
				list := &corev1.PodList{}
				g.Expect(k8s.List(ctx, list, probes)).To(Succeed())
				g.Expect(list.Items).To(HaveLen(2))
			}).WithContext(ctx).WithTimeout(30 * time.Second).Should(Succeed())
		}()
		_, wrong, code := entrust(interrupted, controlPlane.KubeConfig, "verify", "shop-data/orders", "-n", "courier")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("interrupted"))
		nothingIsLeft(ctx)
	})

	It("is admitted by the strictest Pod Security level", func(ctx context.Context) {
		storePod(ctx)
		strict := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "courier"}}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(strict), strict)).To(Succeed())
		strict.Labels["pod-security.kubernetes.io/enforce"] = "restricted"
		Expect(k8s.Update(ctx, strict)).To(Succeed())
		DeferCleanup(func(ctx context.Context) {
			delete(strict.Labels, "pod-security.kubernetes.io/enforce")
			Expect(k8s.Update(ctx, strict)).To(Succeed())
		})
		kubelet(0, 3)
		out, wrong, code := entrust(ctx, controlPlane.KubeConfig, "verify", "shop-data/orders", "-n", "courier", "-o", "json")
		Expect(code).To(BeZero(), out+wrong)
		Expect(out).To(ContainSubstring(`"enforced": true`))
	})

	It("says what keeps it from proving anything", func(ctx context.Context) {
		for args, says := range map[string]string{
			"shop-data/none": "does not exist; did you mean shop-data/orders?",
			"orders":         "is not NAMESPACE/NAME",
		} {
			_, wrong, code := entrust(ctx, controlPlane.KubeConfig, "verify", args)
			Expect(code).To(Equal(2))
			Expect(wrong).To(ContainSubstring(says))
		}
		_, wrong, code := entrust(ctx, controlPlane.KubeConfig, "verify", "shop-data/orders", "-n", "nowhere")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("no namespace that was asked for has a grant"))
	})
})
