package status

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/config/webhook"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/ledger"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestStatus(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Status")
}

var (
	noon    = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	admin   client.WithWatch
	shipped *admissionregistrationv1.MutatingWebhookConfiguration
)

var _ = BeforeSuite(func(ctx context.Context) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, networkingv1.AddToScheme, admissionregistrationv1.AddToScheme, v1alpha1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	shipped, err = webhook.Configuration()
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
		r        *reconciler[*v1alpha1.PersonalDataStore, v1alpha1.PersonalDataStoreStatus]
		now      *clocktesting.FakePassiveClock
		recorder *events.FakeRecorder
	)
	BeforeEach(func(ctx context.Context) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "data-"}}
		Expect(admin.Create(ctx, namespace)).To(Succeed())
		store = builder.Store(namespace.Name, "ledger").AllowedPurposes("billing").Obj()
		Expect(admin.Create(ctx, store)).To(Succeed())
		now, recorder = clocktesting.NewFakePassiveClock(noon), events.NewFakeRecorder(8)
		o = Options{Publisher: &snapshot.Publisher{}, Cache: admin, Live: admin, Writer: apply.NewWriter(admin, "status"), Recorder: recorder, Clock: now, Ledger: ledger.NewChain("status", io.Discard, nil, now),
			Guard: Guard{Reader: admin, Shipped: shipped}}
		Expect(admin.Create(ctx, builder.Pod(store.Namespace, "ledger-0").Label("app", "ledger").Obj())).To(Succeed())
	})

	JustBeforeEach(func() { r = o.stores() })

	It("says whether the webhooks that guard it are as they ship", func(ctx context.Context) {
		guarded := func() metav1.Condition {
			GinkgoHelper()
			condition, err := o.Guard.condition(ctx)
			Expect(err).NotTo(HaveOccurred())
			return condition
		}
		is := func(status metav1.ConditionStatus, reason v1alpha1.Reason, words string) OmegaMatcher {
			return SatisfyAll(HaveField("Status", status), HaveField("Reason", string(reason)), HaveField("Message", ContainSubstring(words)))
		}
		live := shipped.DeepCopy()
		Expect(admin.Create(ctx, live)).To(Succeed())
		read := func() { Expect(admin.Get(ctx, client.ObjectKeyFromObject(shipped), live)).To(Succeed()) }
		Expect(guarded()).To(is(metav1.ConditionTrue, v1alpha1.ReasonAsShipped, ""))

		read()
		live.Webhooks[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:9443/admit-pod")}
		live.Webhooks[2].NamespaceSelector.MatchExpressions[0].Values = []string{"kept"}
		o.Guard.Scoped = []string{live.Webhooks[2].Name}
		Expect(admin.Update(ctx, live)).To(Succeed())
		Expect(guarded()).To(is(metav1.ConditionTrue, v1alpha1.ReasonAsShipped, ""), "what is kept is not compared")
		o.Guard.Scoped = nil
		Expect(guarded()).To(is(metav1.ConditionFalse, v1alpha1.ReasonWebhookAltered, live.Webhooks[2].Name))

		for _, weaken := range []func(*admissionregistrationv1.MutatingWebhook){
			func(h *admissionregistrationv1.MutatingWebhook) {
				h.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
			},
			func(h *admissionregistrationv1.MutatingWebhook) { h.Rules[0].Operations = h.Rules[0].Operations[:1] },
			func(h *admissionregistrationv1.MutatingWebhook) {
				h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"judge": "me"}}
			},
			func(h *admissionregistrationv1.MutatingWebhook) {
				h.MatchConditions = append(h.MatchConditions, admissionregistrationv1.MatchCondition{Name: "never", Expression: "false"})
			},
		} {
			read()
			live.Webhooks = shipped.DeepCopy().Webhooks
			weaken(&live.Webhooks[0])
			Expect(admin.Update(ctx, live)).To(Succeed())
			Expect(guarded()).To(is(metav1.ConditionFalse, v1alpha1.ReasonWebhookAltered, "pod.admission.entrustment.dev"))
		}
		read()
		live.Webhooks = shipped.DeepCopy().Webhooks[1:]
		Expect(admin.Update(ctx, live)).To(Succeed())
		Expect(guarded()).To(is(metav1.ConditionFalse, v1alpha1.ReasonWebhookMissing, "has no webhook pod.admission.entrustment.dev"))
		Expect(admin.Delete(ctx, live)).To(Succeed())
		Expect(guarded()).To(is(metav1.ConditionFalse, v1alpha1.ReasonWebhookMissing, "is missing"))
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
		result, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
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
		Expect(reconciled(ctx).RequeueAfter).To(BeNumerically("~", Recheck, time.Minute))
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
		Expect(r.outdated(ctx, nil, current)).To(ConsistOf(request), "and stores that the snapshot does not know are not")
		reconciled(ctx)
		Expect(r.outdated(ctx, nil, current)).To(BeEmpty())
	})

	// foreign is a policy of somebody else in the store's namespace.
	foreign := func(ctx context.Context, change func(*networkingv1.NetworkPolicySpec)) *networkingv1.NetworkPolicy {
		GinkgoHelper()
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: store.Namespace, Name: "monitoring"}}
		policy.Spec.PodSelector.MatchLabels = map[string]string{"app": "ledger"}
		change(&policy.Spec)
		Expect(admin.Create(ctx, policy)).To(Succeed())
		return policy
	}

	It("names somebody else's policy that opens a guarded port, until it goes", func(ctx context.Context) {
		publish()
		isolate(ctx)
		policy := foreign(ctx, func(s *networkingv1.NetworkPolicySpec) {
			s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "debug"}}}}}}
		})
		reconciled(ctx)
		Expect(isolated()).To(SatisfyAll(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "ForeignNetworkPolicy"),
			HaveField("Message", SatisfyAll(ContainSubstring("%s/monitoring", store.Namespace), ContainSubstring("pods app=debug of namespace")))))
		Expect(meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionReady)).To(HaveField("Reason", "NotIsolated"))
		Expect(o.storesOf(ctx, policy)).To(ConsistOf(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)}))

		Expect(admin.Delete(ctx, policy)).To(Succeed())
		reconciled(ctx)
		Expect(isolated()).To(HaveField("Reason", "PoliciesApplied"))
	})

	It("does not mind what others open on an unguarded port", func(ctx context.Context) {
		publish()
		isolate(ctx)
		port := intstr.FromInt32(9187)
		foreign(ctx, func(s *networkingv1.NetworkPolicySpec) {
			s.Ingress = []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}}
		})
		reconciled(ctx)
		Expect(isolated()).To(HaveField("Reason", "PoliciesApplied"))
	})

	It("names somebody else's policy that lets entrustees out", func(ctx context.Context) {
		inputs := entrustment.Inputs{
			Purposes:     []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors:   []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Obj(), builder.Processor("biller").Namespace(store.Namespace).Obj()},
			Stores:       []*v1alpha1.PersonalDataStore{store},
			Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing").Stores(store.Namespace + "/ledger").Obj()},
		}
		store.Spec.AllowedRecipients = []v1alpha1.Recipient{v1alpha1.RecipientEntrustee}
		Expect(admin.Update(ctx, store)).To(Succeed())
		o.Publisher.Publish(entrustment.Compile(inputs, now.Now()))
		isolate(ctx)
		foreign(ctx, func(s *networkingv1.NetworkPolicySpec) {
			s.PodSelector, s.PolicyTypes, s.Egress = metav1.LabelSelector{}, []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, []networkingv1.NetworkPolicyEgressRule{{}}
		})
		reconciled(ctx)
		Expect(isolated()).To(SatisfyAll(HaveField("Reason", "ForeignNetworkPolicy"), HaveField("Message", ContainSubstring(`lets pods under Entrustment "fees" reach everybody`))))
	})

	Describe("by its pods", func() {
		It("is not isolated while one uses the host's network, or there is none", func(ctx context.Context) {
			publish()
			isolate(ctx)
			host := builder.Pod(store.Namespace, "ledger-host").Label("app", "ledger").With(func(p *corev1.Pod) { p.Spec.HostNetwork = true }).Obj()
			Expect(admin.Create(ctx, host)).To(Succeed())
			reconciled(ctx)
			Expect(isolated()).To(SatisfyAll(HaveField("Reason", "HostNetworkPods"), HaveField("Message", ContainSubstring("pod ledger-host"))))

			By("looking again no sooner than after a while")
			for _, name := range []string{"ledger-host", "ledger-0"} {
				Expect(admin.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: store.Namespace, Name: name}}, client.GracePeriodSeconds(0))).To(Succeed())
			}
			reconciled(ctx)
			Expect(isolated()).To(HaveField("Reason", "HostNetworkPods"))
			o.Recheck = time.Nanosecond
			r = o.stores()
			reconciled(ctx)
			Expect(isolated()).To(SatisfyAll(HaveField("Status", metav1.ConditionFalse), HaveField("Reason", "NoPodsSelected")))
		})

		It("is not told when they cannot be asked for", func(ctx context.Context) {
			publish()
			isolate(ctx)
			broken := errors.New("no connection")
			o.Live = interceptor.NewClient(admin, interceptor.Funcs{
				List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return broken },
			})
			_, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(store)})
			Expect(err).To(MatchError(broken))
		})
	})

	Describe("outside the cluster", func() {
		It("names the namespaces that nothing covers", func(ctx context.Context) {
			store = builder.Store(store.Namespace, "archive").External("192.0.2.0/24", "2001:db8::/48").AllowedPurposes("billing").Obj()
			Expect(admin.Create(ctx, store)).To(Succeed())
			inputs := entrustment.Inputs{
				Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
				Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace(store.Namespace).Obj()},
				Stores:     []*v1alpha1.PersonalDataStore{store},
				Namespaces: map[string]types.UID{store.Namespace: "1", "somewhere": "2"},
			}
			o.Publisher.Publish(entrustment.Compile(inputs, noon))
			now.SetTime(noon.Add(settling))
			current, err := o.Publisher.Current()
			Expect(err).NotTo(HaveOccurred())
			reconciled(ctx)
			Expect(isolated()).To(SatisfyAll(HaveField("Reason", "PolicyPending"), HaveField("Message", ContainSubstring("%s/pda.baseline", store.Namespace))))

			By("writing its policies")
			for _, policy := range render.EgressPolicies(current, store.Namespace, reach.GovernedNone) {
				_, err := apply.NewWriter(admin, "egress").Ensure(ctx, policy)
				Expect(err).NotTo(HaveOccurred())
			}
			reconciled(ctx)
			Expect(isolated()).To(SatisfyAll(HaveField("Reason", "ExternalPartial"), HaveField("Message", ContainSubstring("of namespace somewhere may"))))
			delete(inputs.Namespaces, "somewhere")
			o.Publisher.Publish(entrustment.Compile(inputs, noon))
			reconciled(ctx)
			Expect(isolated()).To(HaveField("Reason", "PoliciesApplied"))

			By("somebody opening them again")
			foreign(ctx, func(s *networkingv1.NetworkPolicySpec) {
				s.PolicyTypes, s.Egress = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, []networkingv1.NetworkPolicyEgressRule{{}}
			})
			reconciled(ctx)
			Expect(isolated()).To(SatisfyAll(HaveField("Reason", "ExternalPartial"), HaveField("Message", ContainSubstring("NetworkPolicy %s/monitoring opens everybody", store.Namespace))))

			By("policies of the whole cluster closing them")
			o.Clusterwide = closed{}
			r = o.stores()
			reconciled(ctx)
			Expect(isolated()).To(SatisfyAll(HaveField("Reason", "PoliciesApplied"), HaveField("Message", ContainSubstring("ClusterNetworkPolicy"))))
		})
	})

	Describe("in Report", func() {
		It("lists the pods that would be cut", func(ctx context.Context) {
			store.Spec.Enforcement = v1alpha1.EnforcementReport
			store.Spec.Credentials = []v1alpha1.Credential{{Name: "admin", SecretName: "ledger-admin"}}
			Expect(admin.Update(ctx, store)).To(Succeed())
			publish()
			for _, pod := range []*corev1.Pod{
				builder.Pod(store.Namespace, "a-declares").Purpose("marketing").Obj(),
				builder.Pod(store.Namespace, "b-references").With(func(p *corev1.Pod) {
					p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
						{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "ledger-admin"}}},
					}}}}}
				}).Obj(),
				builder.Pod(store.Namespace, "c-let-in").Label("app", "debug").Obj(),
				builder.Pod(store.Namespace, "d-ordinary").Obj(),
			} {
				Expect(admin.Create(ctx, pod)).To(Succeed())
			}
			foreign(ctx, func(s *networkingv1.NetworkPolicySpec) {
				s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
					{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "debug"}}}, {PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "ledger"}}},
				}}}
			})
			reconciled(ctx)
			Expect(isolated()).To(HaveField("Reason", "Reporting"))
			var names []string
			for _, pod := range store.Status.WouldDeny {
				if pod.Namespace == store.Namespace { // other specs leave pods behind
					names = append(names, pod.Name)
				}
				Expect(pod.Reason).NotTo(BeEmpty())
			}
			Expect(names).To(Equal([]string{"a-declares", "b-references", "c-let-in"}))
			Expect(store.Status.WouldDenyCount).To(BeNumerically(">=", 3))

			version := store.ResourceVersion
			r = o.stores()
			reconciled(ctx)
			Expect(store.ResourceVersion).To(Equal(version))
		})
	})

	It("that is gone needs none", func(ctx context.Context) {
		publish()
		_, err := o.stores().Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: store.Namespace, Name: "gone"}})
		Expect(err).NotTo(HaveOccurred())
	})
})

// closed covers every store.
type closed struct{}

func (closed) Covers(context.Context, *v1alpha1.PersonalDataStore, []entrustment.Grant) (bool, error) {
	return true, nil
}
