package status

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestStatus(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Status")
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

var _ = Describe("The status of a store", func() {
	var (
		store    *v1alpha1.PersonalDataStore
		o        Options
		now      *clocktesting.FakePassiveClock
		recorder *events.FakeRecorder
	)
	BeforeEach(func(ctx context.Context) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "data-"}}
		Expect(admin.Create(ctx, namespace)).To(Succeed())
		store = builder.Store(namespace.Name, "ledger").AllowedPurposes("billing").Obj()
		Expect(admin.Create(ctx, store)).To(Succeed())
		now, recorder = clocktesting.NewFakePassiveClock(noon), events.NewFakeRecorder(8)
		o = Options{Publisher: &snapshot.Publisher{}, Cache: admin, Writer: apply.NewWriter(admin, "status"), Recorder: recorder, Clock: now}
	})
	publish := func() {
		o.Publisher.Publish(entrustment.Compile(entrustment.Inputs{
			Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj()},
			Stores:     []*v1alpha1.PersonalDataStore{store},
		}, now.Now()))
	}
	reconciled := func(ctx context.Context) reconcile.Result {
		GinkgoHelper()
		result, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
		Expect(err).NotTo(HaveOccurred())
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(store), store)).To(Succeed())
		return result
	}
	isolated := func() *metav1.Condition {
		return meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionIsolated)
	}
	policy := func() *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: store.Namespace, Name: "pds.ledger"}}
	}
	isolate := func(ctx context.Context) {
		GinkgoHelper()
		current, err := o.Publisher.Current()
		Expect(err).NotTo(HaveOccurred())
		_, err = apply.NewWriter(admin, "networkpolicy").Ensure(ctx, render.NetworkPolicy(store, current.StoreGrants(client.ObjectKeyFromObject(store))))
		Expect(err).NotTo(HaveOccurred())
	}

	It("is not told before there is a snapshot", func(ctx context.Context) {
		_, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
		Expect(err).To(MatchError(snapshot.ErrNotReady))
	})

	It("waits a moment for the policy, and then says that it is missing", func(ctx context.Context) {
		publish()
		Expect(reconciled(ctx).RequeueAfter).To(Equal(settling))
		Expect(store.Status.Conditions).To(BeEmpty())

		now.SetTime(noon.Add(settling))
		Expect(reconciled(ctx).RequeueAfter).To(BeZero())
		Expect(isolated()).To(SatisfyAll(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "PolicyPending")))
		Expect(recorder.Events).To(Receive(HavePrefix("Warning PolicyPending")))
		ready := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)
		Expect(ready).To(SatisfyAll(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "NotIsolated")))
	})

	It("says at once what others do to the policy, and when it is mended", func(ctx context.Context) {
		publish()
		isolate(ctx)
		reconciled(ctx)
		Expect(isolated()).To(HaveField("Reason", "PoliciesApplied"))
		Expect(recorder.Events).To(Receive(HavePrefix("Normal PoliciesApplied")))

		now.SetTime(noon.Add(time.Minute))
		Expect(admin.Delete(ctx, policy())).To(Succeed())
		reconciled(ctx)
		Expect(isolated()).To(SatisfyAll(HaveField("Reason", "PolicyPending"), HaveField("LastTransitionTime.Time", BeTemporally("==", noon.Add(time.Minute)))))
		Expect(recorder.Events).To(Receive(HavePrefix("Warning PolicyPending")))

		isolate(ctx)
		reconciled(ctx)
		Expect(isolated()).To(HaveField("Reason", "PoliciesApplied"))
		Expect(recorder.Events).To(Receive(HavePrefix("Normal PoliciesApplied")))

		By("saying nothing more when there is nothing more to say")
		version := store.ResourceVersion
		reconciled(ctx)
		Expect(store.ResourceVersion).To(Equal(version))
		Expect(recorder.Events).NotTo(Receive())
	})

	It("does not doubt a policy while a new one is on its way", func(ctx context.Context) {
		publish()
		isolate(ctx)
		reconciled(ctx)
		store.Spec.AllowedPurposes = []string{"nothing"}
		Expect(admin.Update(ctx, store)).To(Succeed())
		publish()
		Expect(reconciled(ctx).RequeueAfter).To(Equal(settling))
		Expect(isolated()).To(HaveField("Reason", "PoliciesApplied"))
		Expect(store.Status.ObservedGeneration).To(Equal(store.Generation), "the rest is told")
	})

	It("is not told when the policy cannot be read", func(ctx context.Context) {
		publish()
		broken := errors.New("no connection")
		o.Cache = interceptor.NewClient(admin, interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
				if _, isPolicy := object.(*networkingv1.NetworkPolicy); isPolicy {
					return broken
				}
				return c.Get(ctx, key, object, opts...)
			},
		})
		_, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
		Expect(err).To(MatchError(broken))
	})

	It("tells of nothing that could not be written", func(ctx context.Context) {
		publish()
		isolate(ctx)
		broken := errors.New("the API server is overloaded")
		o.Writer = apply.NewWriter(interceptor.NewClient(admin, interceptor.Funcs{
			SubResourceApply: func(context.Context, client.Client, string, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
				return broken
			},
		}), "status")
		_, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
		Expect(err).To(MatchError(broken))
		Expect(recorder.Events).NotTo(Receive())
	})

	It("is outdated until it is told", func(ctx context.Context) {
		publish()
		isolate(ctx)
		current, err := o.Publisher.Current()
		Expect(err).NotTo(HaveOccurred())
		request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)}
		Expect(o.stores().outdated(ctx, nil, current)).To(ConsistOf(request), "and stores that the snapshot does not know are not")
		reconciled(ctx)
		Expect(o.stores().outdated(ctx, nil, current)).To(BeEmpty())
	})

	It("that is gone needs none", func(ctx context.Context) {
		publish()
		_, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: store.Namespace, Name: "gone"}})
		Expect(err).NotTo(HaveOccurred())
	})
})
