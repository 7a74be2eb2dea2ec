package networkpolicy_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers/networkpolicy"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestNetworkPolicy(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "NetworkPolicy")
}

var (
	noon  = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	admin client.WithWatch
)

var _ = BeforeSuite(func(ctx context.Context) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme, v1alpha1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	config := cluster.Config()
	config.QPS = -1
	admin, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})

var _ = Describe("A store", func() {
	var (
		store  *v1alpha1.PersonalDataStore
		policy client.ObjectKey
		r      *networkpolicy.Reconciler
		wrote  []string
		fail   error // of writing policies
	)
	BeforeEach(func(ctx context.Context) {
		namespace := &corev1.Namespace{}
		namespace.GenerateName = "data-"
		Expect(admin.Create(ctx, namespace)).To(Succeed())
		store = builder.Store(namespace.Name, "ledger").AllowedPurposes("billing").Obj()
		policy = client.ObjectKey{Namespace: namespace.Name, Name: "pds.ledger"}
		wrote, fail = nil, nil
	})
	JustBeforeEach(func() {
		writer := interceptor.NewClient(admin, interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, configuration runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				kind := configuration.(interface{ GetKind() string }).GetKind()
				if kind == "NetworkPolicy" && fail != nil {
					return fail
				}
				wrote = append(wrote, kind)
				return c.Apply(ctx, configuration, opts...)
			},
		})
		r = &networkpolicy.Reconciler{
			Publisher: &snapshot.Publisher{}, Cache: admin, Live: admin,
			Writer: apply.NewWriter(writer, "networkpolicy"), Recorder: events.NewFakeRecorder(8),
		}
	})

	reconcileStore := func(ctx context.Context) (reconcile.Result, error) {
		return r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
	}
	reconciled := func(ctx context.Context) reconcile.Result {
		GinkgoHelper()
		result, err := reconcileStore(ctx)
		Expect(err).NotTo(HaveOccurred())
		return result
	}
	// publish compiles stores as they are, with a party that may process for billing.
	publish := func(stores ...*v1alpha1.PersonalDataStore) {
		r.Publisher.Publish(entrustment.Compile(entrustment.Inputs{
			Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj()},
			Stores:     stores,
		}, noon))
	}
	// admits says who besides the store's own pods is let in.
	admits := func(ctx context.Context) (others []networkingv1.NetworkPolicyIngressRule) {
		GinkgoHelper()
		found := &networkingv1.NetworkPolicy{}
		Expect(admin.Get(ctx, policy, found)).To(Succeed())
		for _, rule := range found.Spec.Ingress {
			own := func(peer networkingv1.NetworkPolicyPeer) bool {
				return equality.Semantic.DeepEqual(peer, networkingv1.NetworkPolicyPeer{PodSelector: &found.Spec.PodSelector})
			}
			if !slices.ContainsFunc(rule.From, own) || len(rule.From) > 1 {
				others = append(others, rule)
			}
		}
		return others
	}
	exists := func(ctx context.Context, key client.ObjectKey, object client.Object) bool {
		GinkgoHelper()
		err := admin.Get(ctx, key, object)
		Expect(client.IgnoreNotFound(err)).To(Succeed())
		return !apierrors.IsNotFound(err)
	}
	refresh := func(ctx context.Context) {
		GinkgoHelper()
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(store), store)).To(Succeed())
	}
	isolate := func(ctx context.Context) {
		GinkgoHelper()
		Expect(admin.Create(ctx, store)).To(Succeed())
		publish(store)
		reconciled(ctx)
		refresh(ctx)
		Expect(admits(ctx)).To(HaveLen(1))
	}
	runPod := func(ctx context.Context) *corev1.Pod {
		GinkgoHelper()
		pod := builder.Pod(store.Namespace, "ledger-0").Label("app", "ledger").Obj()
		Expect(admin.Create(ctx, pod)).To(Succeed())
		return pod
	}
	end := func(ctx context.Context, pod *corev1.Pod) {
		GinkgoHelper()
		Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
	}
	// orphan leaves a policy behind whose store went without its finalizer.
	orphan := func(ctx context.Context) {
		GinkgoHelper()
		isolate(ctx)
		store.Finalizers = nil
		Expect(admin.Update(ctx, store)).To(Succeed())
		Expect(admin.Delete(ctx, store)).To(Succeed())
		publish()
	}

	It("gets its finalizer before its policy, and a second pass writes nothing", func(ctx context.Context) {
		isolate(ctx)
		Expect(wrote).To(Equal([]string{"PersonalDataStore", "NetworkPolicy"}))
		Expect(store.Finalizers).To(ConsistOf(v1alpha1.FinalizerIsolation))
		wrote = nil
		reconciled(ctx)
		Expect(wrote).To(BeEmpty())
	})

	It("keeps its finalizer when the policy cannot be written", func(ctx context.Context) {
		fail = errors.New("the API server is overloaded")
		Expect(admin.Create(ctx, store)).To(Succeed())
		publish(store)
		_, err := reconcileStore(ctx)
		Expect(err).To(MatchError(fail))
		refresh(ctx)
		Expect(store.Finalizers).To(ConsistOf(v1alpha1.FinalizerIsolation))
	})

	It("is left alone before there is a snapshot", func(ctx context.Context) {
		Expect(admin.Create(ctx, store)).To(Succeed())
		_, err := reconcileStore(ctx)
		Expect(err).To(MatchError(snapshot.ErrNotReady))
		Expect(wrote).To(BeEmpty())
	})

	It("is left alone while the snapshot does not know it, or knows another of its name", func(ctx context.Context) {
		Expect(admin.Create(ctx, store)).To(Succeed())
		publish()
		reconciled(ctx)
		other := store.DeepCopy()
		other.UID = "another"
		publish(other)
		reconciled(ctx)
		Expect(wrote).To(BeEmpty())
	})

	It("that the snapshot still knows but nobody else, is left to the next snapshot", func(ctx context.Context) {
		isolate(ctx)
		store.Finalizers = nil
		Expect(admin.Update(ctx, store)).To(Succeed())
		Expect(admin.Delete(ctx, store)).To(Succeed())
		reconciled(ctx)
		Expect(admits(ctx)).To(HaveLen(1))
	})

	Describe("that is being deleted", func() {
		It("is closed, waits for its last pod, and goes", func(ctx context.Context) {
			isolate(ctx)
			pod := runPod(ctx)
			Expect(admin.Delete(ctx, store)).To(Succeed())
			Expect(reconciled(ctx).RequeueAfter).To(BeNumerically(">", 0))
			Expect(admits(ctx)).To(BeEmpty())
			Expect(r.Recorder.(*events.FakeRecorder).Events).To(Receive(ContainSubstring("delete pod %s/ledger-0", store.Namespace)))

			end(ctx, pod)
			reconciled(ctx)
			Expect(exists(ctx, policy, &networkingv1.NetworkPolicy{})).To(BeFalse())
			Expect(exists(ctx, client.ObjectKeyFromObject(store), store)).To(BeFalse())
		})

		It("is not let go when its pods cannot be counted", func(ctx context.Context) {
			isolate(ctx)
			broken := errors.New("pods cannot be listed")
			r.Live = interceptor.NewClient(admin, interceptor.Funcs{
				List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return broken },
			})
			Expect(admin.Delete(ctx, store)).To(Succeed())
			_, err := reconcileStore(ctx)
			Expect(err).To(MatchError(broken))
			Expect(admits(ctx)).To(BeEmpty(), "closed all the same")
			Expect(exists(ctx, client.ObjectKeyFromObject(store), store)).To(BeTrue())
		})

		It("but held by somebody else's finalizer, is not closed again once it was let go", func(ctx context.Context) {
			isolate(ctx)
			store.Finalizers = append(store.Finalizers, "example.com/backup")
			Expect(admin.Update(ctx, store)).To(Succeed())
			Expect(admin.Delete(ctx, store)).To(Succeed())
			reconciled(ctx)
			wrote = nil
			reconciled(ctx)
			Expect(wrote).To(BeEmpty())
			Expect(exists(ctx, policy, &networkingv1.NetworkPolicy{})).To(BeFalse())
		})

		It("goes at once in Report, with pods running", func(ctx context.Context) {
			isolate(ctx)
			runPod(ctx)
			store.Spec.Enforcement = v1alpha1.EnforcementReport
			Expect(admin.Update(ctx, store)).To(Succeed())
			Expect(admin.Delete(ctx, store)).To(Succeed())
			reconciled(ctx)
			Expect(exists(ctx, client.ObjectKeyFromObject(store), store)).To(BeFalse())
		})
	})

	Describe("that vanished without its finalizer", func() {
		It("leaves its policy, closed, whatever its selector says by now", func(ctx context.Context) {
			orphan(ctx)
			reconciled(ctx)
			Expect(admits(ctx)).To(BeEmpty())

			By("somebody making it look as if there were no pods, and opening it")
			edited := &networkingv1.NetworkPolicy{}
			Expect(admin.Get(ctx, policy, edited)).To(Succeed())
			edited.Spec.PodSelector.MatchLabels = map[string]string{"nobody": "has-this"}
			edited.Spec.Ingress = append(edited.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
			Expect(admin.Update(ctx, edited)).To(Succeed())
			reconciled(ctx)
			Expect(admits(ctx)).To(BeEmpty())

			By("the caches saying that it still goes")
			r.Cache = interceptor.NewClient(admin, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
					if going, isStore := object.(*v1alpha1.PersonalDataStore); isStore {
						store.DeepCopyInto(going)
						going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
						return nil
					}
					return c.Get(ctx, key, object, opts...)
				},
			})
			Expect(admin.Get(ctx, policy, edited)).To(Succeed())
			edited.Spec.Ingress = append(edited.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
			Expect(admin.Update(ctx, edited)).To(Succeed())
			reconciled(ctx)
			Expect(admits(ctx)).To(BeEmpty())
		})

		It("leaves its policy as it is while nobody can tell that it vanished", func(ctx context.Context) {
			orphan(ctx)
			broken := errors.New("no connection")
			r.Live = interceptor.NewClient(admin, interceptor.Funcs{
				Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
					return broken
				},
			})
			_, err := reconcileStore(ctx)
			Expect(err).To(MatchError(broken))
			Expect(admits(ctx)).To(HaveLen(1))
		})

		It("from the caches alone, leaves its policy as it is", func(ctx context.Context) {
			isolate(ctx)
			publish()
			r.Cache = interceptor.NewClient(admin, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
					if _, isStore := object.(*v1alpha1.PersonalDataStore); isStore {
						return apierrors.NewNotFound(v1alpha1.Resource("personaldatastores"), key.Name)
					}
					return c.Get(ctx, key, object, opts...)
				},
			})
			Expect(reconciled(ctx).RequeueAfter).To(BeNumerically(">", 0))
			Expect(admits(ctx)).To(HaveLen(1))
		})

		It("does not take a policy of somebody else with it", func(ctx context.Context) {
			foreign := &networkingv1.NetworkPolicy{}
			foreign.Namespace, foreign.Name = policy.Namespace, policy.Name
			Expect(admin.Create(ctx, foreign)).To(Succeed())
			publish()
			reconciled(ctx)
			Expect(exists(ctx, policy, foreign)).To(BeTrue())
		})
	})
})
