package apply_test

import (
	"context"
	"fmt"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	admissionregistrationv1ac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	networkingv1ac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"entrustment.dev/operator/api/v1alpha1"
	apiac "entrustment.dev/operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/ledger"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestApply(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Apply")
}

var (
	others client.Client // somebody else
	counts *writes
	writer apply.Writer
)

var _ = BeforeSuite(func(ctx context.Context) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme, admissionregistrationv1.AddToScheme, v1alpha1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	config := cluster.Config()
	config.QPS = -1
	watching, err := client.NewWithWatch(config, client.Options{Scheme: scheme, FieldOwner: "somebody"})
	Expect(err).NotTo(HaveOccurred())
	others, counts = watching, &writes{}
	writer = apply.NewWriter(interceptor.NewClient(watching, counts.funcs()), "test")
})

// writes counts the requests of the writer.
type writes struct{ n int }

func (w *writes) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			w.n++
			return c.Apply(ctx, obj, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			w.n++
			return c.Update(ctx, obj, opts...)
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			w.n++
			return c.SubResource(sub).Apply(ctx, obj, opts...)
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
			w.n++
			return c.SubResource(sub).Update(ctx, obj, opts...)
		},
	}
}

// during is how many requests a call took.
func (w *writes) during(call func()) int {
	before := w.n
	call()
	return w.n - before
}

var _ = Describe("Ensure", func() {
	policy := func() *networkingv1ac.NetworkPolicyApplyConfiguration {
		return render.Closed("default", "ledger", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ledger"}})
	}
	key := client.ObjectKey{Namespace: "default", Name: "pds.ledger"}
	ensure := func(ctx context.Context) (wrote bool) {
		GinkgoHelper()
		wrote, err := writer.Ensure(ctx, policy())
		Expect(err).NotTo(HaveOccurred())
		return wrote
	}
	live := func(ctx context.Context) *networkingv1.NetworkPolicy {
		GinkgoHelper()
		found := &networkingv1.NetworkPolicy{}
		Expect(others.Get(ctx, key, found)).To(Succeed())
		return found
	}
	BeforeEach(func(ctx context.Context) {
		ensure(ctx)
		DeferCleanup(func(ctx context.Context) { Expect(others.Delete(ctx, live(ctx))).To(Succeed()) })
	})

	It("writes once what is missing, as one field owner", func(ctx context.Context) {
		Expect(others.Delete(ctx, live(ctx))).To(Succeed())
		Expect(counts.during(func() { Expect(ensure(ctx)).To(BeTrue()) })).To(Equal(1))
		Expect(live(ctx).ManagedFields).To(ConsistOf(SatisfyAll(
			HaveField("Manager", "entrustment-operator/test"), HaveField("Operation", metav1.ManagedFieldsOperationApply))))
	})

	It("replaces what others added where the two together would be invalid", func(ctx context.Context) {
		binding := admissionregistrationv1ac.ValidatingAdmissionPolicyBinding("rule").WithSpec(
			admissionregistrationv1ac.ValidatingAdmissionPolicyBindingSpec().WithPolicyName("rule").
				WithValidationActions(admissionregistrationv1.Deny))
		Expect(writer.Ensure(ctx, binding)).To(BeTrue())
		found := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
		Expect(others.Get(ctx, client.ObjectKey{Name: "rule"}, found)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(others.Delete(ctx, found)).To(Succeed()) })
		found.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
		Expect(others.Update(ctx, found)).To(Succeed())

		Expect(writer.Ensure(ctx, binding)).To(BeTrue())
		Expect(others.Get(ctx, client.ObjectKey{Name: "rule"}, found)).To(Succeed())
		Expect(found.Spec.ValidationActions).To(ConsistOf(admissionregistrationv1.Deny))
		Expect(writer.Ensure(ctx, binding)).To(BeFalse())
	})

	It("writes nothing where live and wanted agree", func(ctx context.Context) {
		Expect(counts.during(func() { Expect(ensure(ctx)).To(BeFalse()) })).To(BeZero())
	})

	DescribeTable("leaves alone what is not the operator's", func(ctx context.Context, edit func(*networkingv1.NetworkPolicy)) {
		changed := live(ctx)
		edit(changed)
		Expect(others.Update(ctx, changed)).To(Succeed())
		Expect(counts.during(func() { Expect(ensure(ctx)).To(BeFalse()) })).To(BeZero())
	},
		Entry("other labels", func(p *networkingv1.NetworkPolicy) { p.Labels["team"] = "billing" }),
		Entry("annotations", func(p *networkingv1.NetworkPolicy) { p.Annotations = map[string]string{"note": "read"} }),
	)

	DescribeTable("repairs", func(ctx context.Context, requests int, edit func(*networkingv1.NetworkPolicy)) {
		wanted, changed := live(ctx), live(ctx)
		edit(changed)
		Expect(others.Update(ctx, changed)).To(Succeed())
		Expect(counts.during(func() { Expect(ensure(ctx)).To(BeTrue()) })).To(Equal(requests))
		Expect(live(ctx).Spec).To(Equal(wanted.Spec))
		Expect(live(ctx).Labels).To(Equal(wanted.Labels))
		Expect(live(ctx).OwnerReferences).To(BeEmpty())
		Expect(counts.during(func() { Expect(ensure(ctx)).To(BeFalse()) })).To(BeZero(), "and is content")
	},
		Entry("a changed rule", 1, func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress[0].From = nil }),
		Entry("an added rule", 1, func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
		}),
		Entry("a narrower selector", 1, func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels["x"] = "y" }),
		Entry("a missing label", 1, func(p *networkingv1.NetworkPolicy) { delete(p.Labels, v1alpha1.LabelStore) }),
		Entry("a changed label", 1, func(p *networkingv1.NetworkPolicy) { p.Labels[v1alpha1.LabelStore] = "other" }),
		Entry("what apply cannot take away: a field that it never set", 2, func(p *networkingv1.NetworkPolicy) {
			p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
		}),
		Entry("what apply cannot take away: an owner", 2, func(p *networkingv1.NetworkPolicy) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "dead", UID: "dead"}}
		}),
	)

	It("does not repair twice what its cache has yet to see", func(ctx context.Context) {
		changed := live(ctx)
		changed.Spec.Ingress = nil
		Expect(others.Update(ctx, changed)).To(Succeed())
		stale := changed.DeepCopy()
		cached := interceptor.NewClient(others.(client.WithWatch), interceptor.Funcs{
			Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
				stale.DeepCopyInto(into.(*networkingv1.NetworkPolicy))
				return nil
			},
		})
		writer := apply.NewWriter(cached, "test")
		Expect(writer.Ensure(ctx, policy())).To(BeTrue())
		Expect(writer.Ensure(ctx, policy())).To(BeFalse(), "the cache is behind")

		By("repairing what somebody did since")
		changed = live(ctx)
		changed.Spec.Ingress = nil
		Expect(others.Update(ctx, changed)).To(Succeed())
		stale = changed.DeepCopy()
		Expect(writer.Ensure(ctx, policy())).To(BeTrue())
	})

	It("takes over an object of its name that somebody else made", func(ctx context.Context) {
		Expect(others.Delete(ctx, live(ctx))).To(Succeed())
		Expect(others.Create(ctx, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
			Spec:       networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}},
		})).To(Succeed())
		ensure(ctx)
		matches, err := apply.Matches(live(ctx), policy())
		Expect(err).NotTo(HaveOccurred())
		Expect(matches).To(BeTrue())
	})

	It("takes grants away that were forged where none were rendered", func(ctx context.Context) {
		access := func() *apiac.PersonalDataAccessApplyConfiguration {
			return apiac.PersonalDataAccess(v1alpha1.PersonalDataAccessName, "default").
				WithProcessorName("acme").WithEnforcement(v1alpha1.EnforcementEnforce).WithGrantCount(0)
		}
		Expect(writer.Ensure(ctx, access())).To(BeTrue())
		forged := &v1alpha1.PersonalDataAccess{}
		Expect(others.Get(ctx, client.ObjectKey{Namespace: "default", Name: v1alpha1.PersonalDataAccessName}, forged)).To(Succeed())
		forged.Grants = []v1alpha1.Grant{{Purpose: "billing"}}
		Expect(others.Update(ctx, forged)).To(Succeed())
		Expect(writer.Ensure(ctx, access())).To(BeTrue())
		Expect(others.Get(ctx, client.ObjectKeyFromObject(forged), forged)).To(Succeed())
		Expect(forged.Grants).To(BeEmpty())
		Expect(others.Delete(ctx, forged)).To(Succeed())
	})

	It("says so when the namespace is going", func(ctx context.Context) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going"}}
		Expect(others.Create(ctx, namespace)).To(Succeed())
		Expect(others.Delete(ctx, namespace)).To(Succeed()) // without a controller-manager it stays
		_, err := writer.Ensure(ctx, render.Closed("going", "ledger", &metav1.LabelSelector{}))
		Expect(apply.Terminating(err)).To(BeTrue(), "%v", err)
	})
})

// told is a ledger of repairs.
type told struct{ list []string }

func (t *told) Record(entries ...ledger.Entry) {
	for _, e := range entries {
		t.list = append(t.list, fmt.Sprintf("%s %s %s/%s: %s", e.Event, e.Objects[0].Kind, e.Objects[0].Namespace, e.Objects[0].Name, e.Message))
	}
}

var _ = Describe("What somebody else did", func() {
	const (
		changed = "DriftRepaired NetworkPolicy default/pds.drifting: somebody changed it, and it was put back"
		deleted = "DriftRepaired NetworkPolicy default/pds.drifting: somebody deleted it, and it was made again"
	)
	var (
		writer apply.Writer
		record *told
	)
	key := client.ObjectKey{Namespace: "default", Name: "pds.drifting"}
	ensure := func(ctx context.Context, label string) {
		GinkgoHelper()
		_, err := writer.Ensure(ctx, render.Closed(key.Namespace, "drifting", &metav1.LabelSelector{MatchLabels: map[string]string{"app": label}}))
		Expect(err).NotTo(HaveOccurred())
	}
	live := func(ctx context.Context) *networkingv1.NetworkPolicy {
		GinkgoHelper()
		found := &networkingv1.NetworkPolicy{}
		Expect(others.Get(ctx, key, found)).To(Succeed())
		return found
	}
	edit := func(ctx context.Context, how func(*networkingv1.NetworkPolicy)) {
		GinkgoHelper()
		policy := live(ctx)
		how(policy)
		Expect(others.Update(ctx, policy)).To(Succeed())
	}
	opened := func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}} }
	annotated := func(p *networkingv1.NetworkPolicy) { p.Annotations = map[string]string{"note": "read"} }
	BeforeEach(func() {
		record = &told{}
		writer = apply.NewWriter(others, "test").Minding(apply.NewDrift(record))
	})
	AfterEach(func(ctx context.Context) { Expect(client.IgnoreNotFound(others.Delete(ctx, live(ctx)))).To(Succeed()) })

	It("is told, each time", func(ctx context.Context) {
		before := testutil.ToFloat64(apply.Repairs.WithLabelValues("NetworkPolicy"))
		ensure(ctx, "ledger")
		edit(ctx, opened)
		ensure(ctx, "ledger")
		Expect(record.list).To(Equal([]string{changed}), "though what was written was not read in between")
		edit(ctx, opened)
		ensure(ctx, "ledger")
		ensure(ctx, "ledger")
		Expect(others.Delete(ctx, live(ctx))).To(Succeed())
		ensure(ctx, "ledger")
		Expect(record.list).To(Equal([]string{changed, changed, deleted}))
		Expect(testutil.ToFloat64(apply.Repairs.WithLabelValues("NetworkPolicy"))).To(Equal(before + 3))
	})

	It("is told though something else is wanted meanwhile", func(ctx context.Context) {
		ensure(ctx, "ledger")
		edit(ctx, opened)
		ensure(ctx, "orders")
		Expect(record.list).To(Equal([]string{changed}))
	})

	It("is told once it was put back, not when that failed", func(ctx context.Context) {
		fails := true
		writer = apply.NewWriter(interceptor.NewClient(others.(client.WithWatch), interceptor.Funcs{
			Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
				if fails {
					return apierrors.NewServiceUnavailable("not now")
				}
				return c.Apply(ctx, object, opts...)
			},
		}), "test").Minding(apply.NewDrift(record))
		fails = false
		ensure(ctx, "ledger")
		edit(ctx, opened)
		fails = true
		_, err := writer.Ensure(ctx, render.Closed(key.Namespace, "drifting", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ledger"}}))
		Expect(err).To(HaveOccurred())
		Expect(record.list).To(BeEmpty())
		fails = false
		ensure(ctx, "ledger")
		Expect(record.list).To(Equal([]string{changed}))
	})

	It("is told of what is made and amended as it was read", func(ctx context.Context) {
		amend := func(label string) {
			GinkgoHelper()
			found := &networkingv1.NetworkPolicy{}
			if err := others.Get(ctx, key, found); apierrors.IsNotFound(err) {
				found = nil
			}
			_, err := writer.Amend(ctx, found, render.Closed(key.Namespace, "drifting", &metav1.LabelSelector{MatchLabels: map[string]string{"app": label}}))
			Expect(err).NotTo(HaveOccurred())
		}
		amend("ledger")
		amend("orders")
		Expect(record.list).To(BeEmpty())
		edit(ctx, opened)
		amend("orders")
		amend("orders")
		Expect(others.Delete(ctx, live(ctx))).To(Succeed())
		amend("orders")
		Expect(record.list).To(Equal([]string{changed, deleted}))
	})

	It("is not what the writer does itself", func(ctx context.Context) {
		ensure(ctx, "ledger")
		ensure(ctx, "orders")
		ensure(ctx, "ledger")
		ensure(ctx, "ledger")
		edit(ctx, annotated)
		ensure(ctx, "orders")
		ensure(ctx, "orders")
		Expect(writer.Delete(ctx, live(ctx))).To(Succeed())
		ensure(ctx, "orders")
		Expect(record.list).To(BeEmpty())
	})

	It("is not what another writer of the operator does", func(ctx context.Context) {
		drift := apply.NewDrift(record)
		writer = apply.NewWriter(others, "test").Minding(drift)
		other := apply.NewWriter(others, "other").Minding(drift)
		ensure(ctx, "ledger")
		policy := live(ctx)
		opened(policy)
		Expect(other.Update(ctx, policy)).To(Succeed())
		ensure(ctx, "ledger")
		Expect(record.list).To(BeEmpty())
		edit(ctx, opened)
		ensure(ctx, "ledger")
		Expect(record.list).To(Equal([]string{changed}))
	})

	It("is not what a cache has yet to see", func(ctx context.Context) {
		stale := interceptor.NewClient(others.(client.WithWatch), interceptor.Funcs{
			Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return apierrors.NewNotFound(networkingv1.Resource("networkpolicies"), key.Name)
			},
		})
		writer = apply.NewWriter(stale, "test").Minding(apply.NewDrift(record))
		ensure(ctx, "ledger")
		ensure(ctx, "ledger")
		Expect(record.list).To(BeEmpty())
	})

	It("is not told by one who had not looked before", func(ctx context.Context) {
		ensure(ctx, "ledger")
		edit(ctx, opened)
		writer = apply.NewWriter(others, "test").Minding(apply.NewDrift(record))
		ensure(ctx, "ledger")
		Expect(record.list).To(BeEmpty())
	})

	It("to fields of an object that is theirs is told as well", func(ctx context.Context) {
		keep := func(label string) {
			GinkgoHelper()
			found := live(ctx)
			partial := networkingv1ac.NetworkPolicy(key.Name, key.Namespace).WithLabels(map[string]string{"kept": label})
			_, err := writer.Keep(ctx, found, partial, found.Labels["kept"] == label)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(others.Create(ctx, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}})).To(Succeed())
		relabelled := func(p *networkingv1.NetworkPolicy) { p.Labels["kept"] = "another" }
		keep("one")
		keep("two")
		edit(ctx, annotated)
		keep("two")
		Expect(record.list).To(BeEmpty())
		edit(ctx, relabelled)
		keep("two")
		edit(ctx, relabelled)
		keep("three")
		Expect(record.list).To(Equal([]string{changed}))
	})
})

var _ = Describe("Matches", func() {
	It("does not take what is only live for wanted", func() {
		wanted := render.Closed("default", "ledger", &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ledger"}})
		live := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{}}}}
		Expect(apply.Matches(live, wanted)).To(BeFalse())
	})
})

var _ = Describe("An object of somebody else", func() {
	var store *v1alpha1.PersonalDataStore
	BeforeEach(func(ctx context.Context) {
		store = builder.Store("default", "orders").AllowedPurposes("billing").Obj()
		Expect(others.Create(ctx, store)).To(Succeed())
		DeferCleanup(func(ctx context.Context) {
			Expect(others.Get(ctx, client.ObjectKeyFromObject(store), store)).To(Succeed())
			store.Finalizers = nil
			Expect(others.Update(ctx, store)).To(Succeed())
			Expect(client.IgnoreNotFound(others.Delete(ctx, store))).To(Succeed())
		})
	})
	refresh := func(ctx context.Context) {
		GinkgoHelper()
		Expect(others.Get(ctx, client.ObjectKeyFromObject(store), store)).To(Succeed())
	}
	ready := func(message string) metav1.Condition {
		return metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Enforced", Message: message, LastTransitionTime: metav1.Now().Rfc3339Copy()}
	}

	It("is told its status once, and again when somebody changes it", func(ctx context.Context) {
		want := store.DeepCopy()
		want.Status.GrantCount, want.Status.Conditions = 2, []metav1.Condition{ready("told")}
		Expect(counts.during(func() { Expect(writer.Status(ctx, store, want)).To(BeTrue()) })).To(Equal(1))
		refresh(ctx)
		told := store.Status
		Expect(told).To(BeComparableTo(want.Status))
		Expect(counts.during(func() { Expect(writer.Status(ctx, store, store.DeepCopy())).To(BeFalse()) })).To(BeZero())

		store.Status.WouldDenyCount, store.Status.Conditions = 7, append(store.Status.Conditions, metav1.Condition{
			Type: "Forged", Status: metav1.ConditionTrue, Reason: "Forged", LastTransitionTime: metav1.Now(),
		})
		Expect(others.Status().Update(ctx, store)).To(Succeed())
		refresh(ctx)
		want = store.DeepCopy()
		want.Status = told
		Expect(writer.Status(ctx, store, want)).To(BeTrue())
		refresh(ctx)
		Expect(store.Status).To(BeComparableTo(told))
	})

	It("keeps the finalizers of others", func(ctx context.Context) {
		store.Finalizers = []string{"example.com/backup"}
		Expect(others.Update(ctx, store)).To(Succeed())
		Expect(writer.AddFinalizer(ctx, store, v1alpha1.FinalizerIsolation)).To(BeTrue())
		refresh(ctx)
		Expect(store.Finalizers).To(ConsistOf("example.com/backup", v1alpha1.FinalizerIsolation))
		Expect(counts.during(func() { Expect(writer.AddFinalizer(ctx, store, v1alpha1.FinalizerIsolation)).To(BeFalse()) })).To(BeZero())

		By("removing it although the status has changed since, and somebody's manifest names it too")
		seen := store.DeepCopy()
		store.Status.GrantCount = 5
		Expect(others.Status().Update(ctx, store)).To(Succeed())
		Expect(writer.RemoveFinalizer(ctx, seen, v1alpha1.FinalizerIsolation)).To(Succeed())
		refresh(ctx)
		Expect(store.Finalizers).To(ConsistOf("example.com/backup"))

		By("but not from what was read too long ago")
		Expect(writer.RemoveFinalizer(ctx, seen, v1alpha1.FinalizerIsolation)).NotTo(Succeed())
	})

	It("is not made by giving it a finalizer, and neither is one that took its name given one", func(ctx context.Context) {
		missing, replaced := store.DeepCopy(), store.DeepCopy()
		missing.Name, replaced.UID = "missing", "another"
		for _, object := range []client.Object{missing, replaced} {
			_, err := writer.AddFinalizer(ctx, object, v1alpha1.FinalizerIsolation)
			Expect(err).To(HaveOccurred())
		}
		Expect(apierrors.IsNotFound(others.Get(ctx, client.ObjectKeyFromObject(missing), missing))).To(BeTrue())
		refresh(ctx)
		Expect(store.Finalizers).To(BeEmpty())
	})

	It("is not deleted once it has changed since it was read", func(ctx context.Context) {
		seen := store.DeepCopy()
		store.Labels = map[string]string{"changed": "since"}
		Expect(others.Update(ctx, store)).To(Succeed())
		Expect(apierrors.IsConflict(writer.Delete(ctx, seen))).To(BeTrue())
		refresh(ctx)
	})

	It("may be gone already", func(ctx context.Context) {
		missing := store.DeepCopy()
		missing.Name = "missing"
		Expect(writer.Delete(ctx, missing)).To(Succeed())
		Expect(writer.RemoveFinalizer(ctx, missing, v1alpha1.FinalizerIsolation)).To(Succeed())
	})
})
