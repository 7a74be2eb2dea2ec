package egress_test

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers/egress"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestEgress(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Egress")
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

var _ = Describe("A namespace", func() {
	var (
		namespace string
		r         *egress.Reconciler
		wrote     []string
	)
	BeforeEach(func(ctx context.Context) {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "biller-"}}
		Expect(admin.Create(ctx, object)).To(Succeed())
		namespace, wrote = object.Name, nil
		writer := interceptor.NewClient(admin, interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, configuration runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				wrote = append(wrote, configuration.(interface{ GetName() string }).GetName())
				return c.Apply(ctx, configuration, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.DeleteOption) error {
				wrote = append(wrote, "-"+object.GetName())
				return c.Delete(ctx, object, opts...)
			},
		})
		r = &egress.Reconciler{Publisher: &snapshot.Publisher{}, Cache: admin, Live: admin, Writer: apply.NewWriter(writer, "egress")}
	})
	// publish compiles a contract of the namespace with a store in the cluster, and one outside.
	publish := func(changes ...func(*entrustment.Inputs)) {
		inputs := entrustment.Inputs{
			Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{
				builder.Processor(builder.Controller).Obj(), builder.Processor("biller").Namespace(namespace).Obj(),
			},
			Stores: []*v1alpha1.PersonalDataStore{
				builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
				builder.Store("data", "archive").External("192.0.2.0/24", "192.0.2.8/29", "2001:db8::/48").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
			},
			Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger", "data/archive").With(func(e *v1alpha1.Entrustment) {
				e.Spec.Egress = []v1alpha1.EgressDestination{{CIDR: "192.0.0.0/16"}, {CIDR: "192.0.2.9/32"}, {CIDR: "2001:db8::/32", Ports: []v1alpha1.Port{{Port: 443}}}}
			}).Obj()},
		}
		for _, change := range changes {
			change(&inputs)
		}
		r.Publisher.Publish(entrustment.Compile(inputs, noon))
	}
	unbound := func(in *entrustment.Inputs) { in.Processors[1].Spec.Namespaces = nil }
	ended := func(in *entrustment.Inputs) { in.Entrustments = nil }
	reconciled := func(ctx context.Context) reconcile.Result {
		GinkgoHelper()
		result, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: namespace}})
		Expect(err).NotTo(HaveOccurred())
		return result
	}
	policies := func(ctx context.Context) []string {
		GinkgoHelper()
		list := &networkingv1.NetworkPolicyList{}
		Expect(admin.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		var names []string
		for _, policy := range list.Items {
			names = append(names, policy.Name)
		}
		return names
	}
	// foreign is a policy of somebody else that governs egress.
	foreign := func(ctx context.Context, pods metav1.LabelSelector) {
		GinkgoHelper()
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "mine"}}
		policy.Spec = networkingv1.NetworkPolicySpec{PodSelector: pods, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}}
		Expect(admin.Create(ctx, policy)).To(Succeed())
	}

	It("opens nothing any more through a policy that somebody's finalizer holds", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		policy := &networkingv1.NetworkPolicy{}
		key := client.ObjectKey{Namespace: namespace, Name: "pda.entrustment.fees"}
		Expect(admin.Get(ctx, key, policy)).To(Succeed())
		policy.Finalizers = []string{"example.com/keep"}
		Expect(admin.Update(ctx, policy)).To(Succeed())
		publish(ended)
		Eventually(func() error { // what is deleted has to be what was read
			_, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: namespace}})
			return err
		}).Should(Succeed())
		Expect(admin.Get(ctx, key, policy)).To(Succeed())
		Expect(policy.Spec.Egress).To(BeEmpty())
		reconciled(ctx)
		Expect(admin.Get(ctx, key, policy)).To(Succeed())
		Expect(policy.DeletionTimestamp).NotTo(BeNil())
		writes := len(wrote)
		reconciled(ctx)
		Expect(wrote).To(HaveLen(writes), "nothing is written of one that goes")
	})

	It("is left alone before there is a snapshot", func(ctx context.Context) {
		_, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: namespace}})
		Expect(err).To(MatchError(snapshot.ErrNotReady))
		Expect(wrote).To(BeEmpty())
	})

	It("gets its policies, what opens before what closes, and a second pass writes nothing", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		Expect(wrote).To(Equal([]string{"pda.entrustment.fees", "pda.floor", "pda.baseline", "pda.external.data.archive.fees"}))
		wrote = nil
		reconciled(ctx)
		Expect(wrote).To(BeEmpty())
	})

	It("loses what a contract opened when that ends, and nothing else is written", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		wrote = nil
		publish(ended)
		reconciled(ctx)
		Expect(wrote).To(ConsistOf("-pda.entrustment.fees", "-pda.external.data.archive.fees"))
		Expect(policies(ctx)).To(ConsistOf("pda.baseline", "pda.floor"))
	})

	It("that goes loses what a contract opened, though nothing can be made there any more", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		for _, object := range []client.Object{
			&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pda.floor"}},
			&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		} {
			Expect(admin.Delete(ctx, object)).To(Succeed())
		}
		publish(ended)
		reconciled(ctx)
		Expect(policies(ctx)).To(ConsistOf("pda.baseline"))
	})

	It("has no baseline beside somebody else's policy for such pods", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		foreign(ctx, metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}})
		reconciled(ctx)
		Expect(policies(ctx)).To(ConsistOf("mine", "pda.entrustment.fees", "pda.external.data.archive.fees", "pda.floor"))
	})

	It("has its baseline beside somebody else's policy for entrustees", func(ctx context.Context) {
		publish()
		foreign(ctx, metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelEntrustment: "fees"}})
		reconciled(ctx)
		Expect(policies(ctx)).To(ContainElement("pda.baseline"))
	})

	It("has its baseline repaired when somebody takes its label away", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		baseline := &networkingv1.NetworkPolicy{}
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "pda.baseline"}, baseline)).To(Succeed())
		baseline.Labels, baseline.Spec.Egress = nil, []networkingv1.NetworkPolicyEgressRule{{}}
		Expect(admin.Update(ctx, baseline)).To(Succeed())
		reconciled(ctx)
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(baseline), baseline)).To(Succeed())
		Expect(baseline.Labels).To(HaveKeyWithValue(v1alpha1.LabelManagedBy, v1alpha1.ManagedBy))
		Expect(baseline.Spec.Egress[0].To).NotTo(BeEmpty())
	})

	It("that is bound no more, keeps what closes until no pod declares anything", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		pod := builder.Pod(namespace, "invoices").Purpose("billing").Obj()
		Expect(admin.Create(ctx, pod)).To(Succeed())
		publish(unbound)
		Expect(reconciled(ctx).RequeueAfter).To(BeNumerically(">", 0))
		Expect(policies(ctx)).To(ConsistOf("pda.baseline", "pda.floor"))

		pod.Status.Phase = corev1.PodSucceeded
		Expect(admin.Status().Update(ctx, pod)).To(Succeed())
		reconciled(ctx)
		Expect(policies(ctx)).To(BeEmpty())
		wrote = nil
		reconciled(ctx)
		Expect(wrote).To(BeEmpty())
	})

	It("that is bound no more, loses nothing while its pods cannot be counted", func(ctx context.Context) {
		publish()
		reconciled(ctx)
		publish(unbound)
		r.Live = interceptor.NewClient(admin, interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
				return context.DeadlineExceeded
			},
		})
		_, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Name: namespace}})
		Expect(err).To(MatchError(context.DeadlineExceeded))
		Expect(policies(ctx)).To(HaveLen(4))
	})

	It("that does not exist is written nothing", func(ctx context.Context) {
		namespace = "missing"
		publish()
		reconciled(ctx)
		Expect(policies(ctx)).To(BeEmpty())
	})

	It("keeps the policies of others", func(ctx context.Context) {
		publish(unbound)
		foreign(ctx, metav1.LabelSelector{})
		reconciled(ctx)
		Expect(policies(ctx)).To(ConsistOf("mine"))
	})
})
