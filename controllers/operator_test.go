package controllers_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The published policy, and what the specs look at of it.
var (
	ledger       = types.NamespacedName{Namespace: "data-billing", Name: "billing-ledger"}
	ledgerPolicy = types.NamespacedName{Namespace: "data-billing", Name: "pds.billing-ledger"}
	billers      = types.NamespacedName{Namespace: "billing-entrustee", Name: v1alpha1.PersonalDataAccessName}
)

var _ = Describe("The operator", Ordered, func() {
	BeforeAll(func() {
		DeferCleanup(func() { now.SetTime(noon) })
	})

	Describe("while it is starting", func() {
		It("refuses pods that declare something, and says to try again", func(ctx context.Context) {
			By("holding back what it reads of one kind")
			operator.stop()
			open := operator.gate.close("entrustments")
			DeferCleanup(open)
			operator.start()

			declaring := func() error {
				return admin.Create(ctx, builder.Pod("core-services", "early").Purpose("billing").Obj(), client.DryRunAll)
			}
			Eventually(declaring).Should(refused("cannot be judged yet: the operator is still reading what is granted; try again"))
			Expect(apierrors.IsServiceUnavailable(declaring())).To(BeTrue(), "a client may retry")
			Expect(operator.ready()).To(MatchError(ContainSubstring("[-]snapshot failed")))

			By("letting it read")
			open()
			Eventually(operator.ready).Should(Succeed())
			Eventually(declaring).Should(Succeed())
		})
	})

	Describe("when it is told to stop", func() {
		It("gives back the lease, and still answers who asked", func(ctx context.Context) {
			Eventually(operator.ready).Should(Succeed())
			question, asks := io.Pipe()
			answered := make(chan error, 1)
			caller := &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
			}}
			go func() {
				response, err := caller.Post(fmt.Sprintf("https://127.0.0.1:%d/admit-pod", operator.port), "application/json", question) //nolint:noctx // it has no end
				if err == nil {
					err = response.Body.Close()
				}
				answered <- err
			}()
			Eventually(counted).WithArguments("controller_runtime_webhook_requests_in_flight", "webhook").Should(HaveKeyWithValue("/admit-pod", BeNumerically(">", 0)))
			Eventually(leader).WithArguments(ctx).ShouldNot(BeEmpty())

			stopped := make(chan struct{})
			go func() {
				defer GinkgoRecover()
				defer close(stopped)
				operator.stop()
			}()
			Eventually(leader).WithArguments(ctx).Should(BeEmpty())
			Expect(stopped).NotTo(BeClosed())
			Expect(answered).NotTo(Receive())

			Expect(asks.Close()).To(Succeed())
			Eventually(answered).Should(Receive(BeNil()))
			Eventually(stopped).Should(BeClosed())
			operator.start()
			Eventually(operator.ready).Should(Succeed())
		})
	})

	Describe("at a pod", func() {
		DescribeTable("that is granted what it declares, admits it", func(ctx context.Context, pod *builder.PodBuilder) {
			Eventually(func() error { return admin.Create(ctx, pod.Obj(), client.DryRunAll) }).Should(Succeed(), "once the rules know too")
		},
			Entry("own handling", builder.Pod("core-services", "billing").Purpose("billing")),
			Entry("an entrustee", builder.Pod("billing-entrustee", "invoices").Purpose("billing").Entrustment("fees").Deadline(60)),
			Entry("a sub-entrustee", builder.Pod("print-mailing-subentrustee", "printing").Purpose("billing").Entrustment("fees-print-mailing").Deadline(60)),
			Entry("one that declares nothing", builder.Pod("default", "ordinary")),
		)

		DescribeTable("that is not granted what it declares, refuses it with the reason", func(ctx context.Context, pod *builder.PodBuilder, reason v1alpha1.Reason, words ...string) {
			err := admin.Create(ctx, pod.Obj(), client.DryRunAll)
			Expect(err).To(refused(string(reason)+": ", words...))
			Expect(apierrors.ReasonForError(err)).To(Equal(metav1.StatusReasonForbidden))
		},
			Entry("a namespace of nobody", builder.Pod("default", "x").Purpose("billing"), v1alpha1.ReasonNamespaceNotBound, "pod default/x", "billing"),
			Entry("an entrustment but no purpose", builder.Pod("billing-entrustee", "x").Entrustment("fees"), v1alpha1.ReasonPurposeNotDeclared, "fees"),
			Entry("an empty purpose", builder.Pod("core-services", "x").Purpose(""), v1alpha1.ReasonPurposeNotDeclared),
			Entry("an unknown purpose", builder.Pod("core-services", "x").Purpose("anything"), v1alpha1.ReasonPurposeUnknown, "anything"),
			Entry("a prohibited purpose", builder.Pod("core-services", "x").Purpose("unfair-discrimination"), v1alpha1.ReasonPurposeProhibited, "unfair-discrimination"),
			Entry("a purpose of other namespaces", builder.Pod("marketing", "x").Purpose("billing"), v1alpha1.ReasonPurposeNotAssigned, "marketing"),
			Entry("an entrustee without its contract", builder.Pod("billing-entrustee", "x").Purpose("billing"), v1alpha1.ReasonNoEntrustment, "billing-entrustee"),
			Entry("an empty entrustment", builder.Pod("core-services", "x").Purpose("billing").Entrustment(""), v1alpha1.ReasonEntrustmentNotFound, "remove the label"),
			Entry("an unknown entrustment", builder.Pod("billing-entrustee", "x").Purpose("billing").Entrustment("nothing"), v1alpha1.ReasonEntrustmentNotFound, "nothing"),
			Entry("the contract of somebody else", builder.Pod("credit-entrustee", "x").Purpose("billing").Entrustment("fees"), v1alpha1.ReasonNotEntrustee, "credit-entrustee"),
			Entry("a purpose beyond the contract", builder.Pod("billing-entrustee", "x").Purpose("claims-disposal").Entrustment("fees"), v1alpha1.ReasonPurposeNotEntrusted, "claims-disposal"),
			Entry("a generated name", builder.Pod("default", "").Purpose("billing").With(func(p *corev1.Pod) { p.GenerateName = "worker-" }), v1alpha1.ReasonNamespaceNotBound, "pod default/worker-"),
		)

		It("tells the namespace of a refusal", func(ctx context.Context) {
			Expect(admin.Create(ctx, builder.Pod("billing-entrustee", "told").Purpose("billing").Obj())).To(refused("NoEntrustment"))
			Eventually(events).WithArguments(ctx, "billing-entrustee").Should(ContainElement(SatisfyAll(
				HaveField("Reason", "NoEntrustment"), HaveField("Action", "RefusePod"), HaveField("Note", ContainSubstring("pod billing-entrustee/told")))))
		})

		DescribeTable("that exists, refuses to change its labels", func(ctx context.Context, change func(labels map[string]string)) {
			pod := builder.Pod("billing-entrustee", "labelled").Purpose("billing").Entrustment("fees").Deadline(60).Obj()
			create(ctx, pod)
			change(pod.Labels)
			Expect(admin.Update(ctx, pod)).To(refused("are immutable: it was admitted with purpose \"billing\" under entrustment \"fees\""))
		},
			Entry("another purpose", func(l map[string]string) { l[v1alpha1.LabelPurpose] = "contract-performance" }),
			Entry("no purpose", func(l map[string]string) { delete(l, v1alpha1.LabelPurpose) }),
			Entry("another entrustment", func(l map[string]string) { l[v1alpha1.LabelEntrustment] = "credit" }),
			Entry("no entrustment", func(l map[string]string) { delete(l, v1alpha1.LabelEntrustment) }),
			Entry("an empty entrustment", func(l map[string]string) { l[v1alpha1.LabelEntrustment] = "" }),
		)

		It("that declared nothing, refuses to let it declare something", func(ctx context.Context) {
			pod := builder.Pod("core-services", "late").Obj()
			create(ctx, pod)
			pod.Labels = map[string]string{v1alpha1.LabelPurpose: "billing"}
			Expect(admin.Update(ctx, pod)).To(refused("are immutable"))
		})

		It("lets other labels change", func(ctx context.Context) {
			pod := builder.Pod("core-services", "versioned").Purpose("billing").Obj()
			create(ctx, pod)
			pod.Labels["version"] = "2"
			Expect(admin.Update(ctx, pod)).To(Succeed())
		})

		It("that declares nothing, is never asked", func(ctx context.Context) {
			before := reviews("/admit-pod")
			pod := builder.Pod("core-services", "ordinary").Label("app", "web").Obj()
			create(ctx, pod)
			pod.Labels["app"] = "web2"
			Expect(admin.Update(ctx, pod)).To(Succeed())
			Expect(admin.Delete(ctx, pod)).To(Succeed())
			Expect(reviews("/admit-pod")).To(Equal(before))

			Expect(admin.Create(ctx, builder.Pod("core-services", "asked").Purpose("billing").Obj(), client.DryRunAll)).To(Succeed())
			Expect(reviews("/admit-pod")).To(Equal(before+1), "the count can tell")
		})

		It("only warns where the namespace's binding reports", func(ctx context.Context) {
			party := &v1alpha1.DataProcessor{ObjectMeta: metav1.ObjectMeta{Name: "credit-entrustee"}}
			change(ctx, party, func() { party.Spec.Namespaces[0].Enforcement = v1alpha1.EnforcementReport })
			DeferCleanup(func(ctx context.Context) {
				change(ctx, party, func() { party.Spec.Namespaces[0].Enforcement = v1alpha1.EnforcementEnforce })
			})
			pod := builder.Pod("credit-entrustee", "adopting").Purpose("billing").Entrustment("fees").Obj()
			Eventually(func() error { return admin.Create(ctx, pod.DeepCopy(), client.DryRunAll) }).Should(Succeed())
			Expect(warned.during(func() { create(ctx, pod) })).To(ConsistOf(SatisfyAll(
				HavePrefix("would be refused: pod credit-entrustee/adopting"), ContainSubstring("NotEntrustee: "))))

			delete(pod.Labels, v1alpha1.LabelEntrustment)
			Expect(admin.Update(ctx, pod)).To(refused("are immutable"), "Report is no way round")
		})
	})

	Describe("at a workload", func() {
		var (
			meets = builder.Pod("", "").Label("app", "x").Purpose("billing").Entrustment("fees")
			fails = builder.Pod("", "").Label("app", "x").Purpose("claims-disposal").Entrustment("fees")
		)
		kinds := func(call func(name string, of func(corev1.PodTemplateSpec) client.Object)) {
			selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
			at := metav1.ObjectMeta{Namespace: "billing-entrustee", Name: "work"}
			once := func(t corev1.PodTemplateSpec) batchv1.JobSpec {
				t.Spec.RestartPolicy = corev1.RestartPolicyNever
				return batchv1.JobSpec{Template: t}
			}
			call("Deployment", func(t corev1.PodTemplateSpec) client.Object {
				return &appsv1.Deployment{ObjectMeta: at, Spec: appsv1.DeploymentSpec{Selector: selector, Template: t}}
			})
			call("StatefulSet", func(t corev1.PodTemplateSpec) client.Object {
				return &appsv1.StatefulSet{ObjectMeta: at, Spec: appsv1.StatefulSetSpec{Selector: selector, Template: t}}
			})
			call("DaemonSet", func(t corev1.PodTemplateSpec) client.Object {
				return &appsv1.DaemonSet{ObjectMeta: at, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: t}}
			})
			call("ReplicaSet", func(t corev1.PodTemplateSpec) client.Object {
				return &appsv1.ReplicaSet{ObjectMeta: at, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: t}}
			})
			call("ReplicationController", func(t corev1.PodTemplateSpec) client.Object {
				return &corev1.ReplicationController{ObjectMeta: at, Spec: corev1.ReplicationControllerSpec{Template: &t}}
			})
			call("Job", func(t corev1.PodTemplateSpec) client.Object { return &batchv1.Job{ObjectMeta: at, Spec: once(t)} })
			call("CronJob", func(t corev1.PodTemplateSpec) client.Object {
				return &batchv1.CronJob{ObjectMeta: at, Spec: batchv1.CronJobSpec{Schedule: "0 3 * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: once(t)}}}
			})
		}
		kinds(func(kind string, of func(corev1.PodTemplateSpec) client.Object) {
			It("warns that the pods of a "+kind+" will be refused", func(ctx context.Context) {
				Expect(warned.during(func() {
					Expect(admin.Create(ctx, of(fails.Template()), client.DryRunAll)).To(Succeed())
				})).To(ConsistOf(SatisfyAll(
					HavePrefix("pods of %s billing-entrustee/work with purpose \"claims-disposal\" under entrustment \"fees\" will be refused: PurposeNotEntrusted: ", kind))))
			})
			It("is silent at a "+kind+" whose pods are granted what they declare", func(ctx context.Context) {
				Expect(warned.during(func() {
					Expect(admin.Create(ctx, of(meets.Template()), client.DryRunAll)).To(Succeed())
				})).To(BeEmpty())
			})
		})

		It("does not warn again at what a workload makes of itself", func(ctx context.Context) {
			owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "work", UID: "1", Controller: ptr.To(true)}
			owned := &appsv1.ReplicaSet{
				ObjectMeta: metav1.ObjectMeta{Namespace: "billing-entrustee", Name: "work-1", OwnerReferences: []metav1.OwnerReference{owner}},
				Spec:       appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}, Template: fails.Template()},
			}
			Expect(warned.during(func() { Expect(admin.Create(ctx, owned, client.DryRunAll)).To(Succeed()) })).To(BeEmpty())
		})

		It("does not ask about workloads that declare nothing", func(ctx context.Context) {
			before := reviews("/admit-template")
			kinds(func(_ string, of func(corev1.PodTemplateSpec) client.Object) {
				Expect(admin.Create(ctx, of(builder.Pod("", "").Label("app", "x").Template()), client.DryRunAll)).To(Succeed())
			})
			Expect(reviews("/admit-template")).To(Equal(before))
		})
	})

	Describe("around a store", func() {
		It("admits its own pods and those with a grant", func(ctx context.Context) {
			policy := &networkingv1.NetworkPolicy{}
			Eventually(func() error { return admin.Get(ctx, ledgerPolicy, policy) }).Should(Succeed())
			Expect(policy.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeIngress))
			Expect(policy.Spec.Ingress).To(HaveLen(2))
			Expect(policy.Spec.Ingress[0].From).To(ConsistOf(networkingv1.NetworkPolicyPeer{PodSelector: &policy.Spec.PodSelector}))
			Expect(policy.Spec.Ingress[0].Ports).To(BeEmpty())
			Expect(policy.Spec.Ingress[1].Ports).NotTo(BeEmpty())
			Expect(admitted(policy)).To(ContainElement("billing-entrustee under fees"))
			Expect(admitted(policy)).To(ContainElement("core-services under none"))
			Expect(admitted(policy)).NotTo(ContainElement(HavePrefix("marketing")))
		})

		It("has a policy for each, and says so", func(ctx context.Context) {
			stores := &v1alpha1.PersonalDataStoreList{}
			Expect(admin.List(ctx, stores)).To(Succeed())
			Expect(stores.Items).To(HaveLen(15))
			for i := range stores.Items {
				store := &stores.Items[i]
				Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied))
				Expect(admin.Get(ctx, types.NamespacedName{Namespace: store.Namespace, Name: "pds." + store.Name}, &networkingv1.NetworkPolicy{})).To(Succeed())
				Expect(admin.Get(ctx, client.ObjectKeyFromObject(store), store)).To(Succeed())
				Expect(store.Finalizers).To(ContainElement(v1alpha1.FinalizerIsolation))
			}
		})

		It("says whether the webhooks that guard it are as they ship", func(ctx context.Context) {
			store := &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: ledger.Namespace, Name: ledger.Name}}
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionGuarded).Should(is(metav1.ConditionTrue, v1alpha1.ReasonAsShipped))
			configuration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
			change(ctx, configuration, func() { configuration.Webhooks[0].FailurePolicy = ptr.To(admissionregistrationv1.Ignore) })
			DeferCleanup(func(ctx context.Context) {
				change(ctx, configuration, func() { configuration.Webhooks[0].FailurePolicy = ptr.To(admissionregistrationv1.Fail) })
				Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionGuarded).Should(is(metav1.ConditionTrue, v1alpha1.ReasonAsShipped))
			})
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionGuarded).Should(is(metav1.ConditionFalse, v1alpha1.ReasonWebhookAltered))
		})

		It("closes one without a grant to all but its own pods", func(ctx context.Context) {
			store := builder.Store("data-core", "closed").Controller("example-controller").AllowedPurposes("nothing").Obj()
			create(ctx, store)
			create(ctx, builder.Pod("data-core", "closed-0").Label("app", "closed").Obj())
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied))
			policy := &networkingv1.NetworkPolicy{}
			Expect(admin.Get(ctx, types.NamespacedName{Namespace: "data-core", Name: "pds.closed"}, policy)).To(Succeed())
			Expect(policy.Spec.Ingress).To(HaveEach(HaveField("From", ConsistOf(networkingv1.NetworkPolicyPeer{PodSelector: &policy.Spec.PodSelector}))))
		})

		It("cuts nothing in Report, and says so", func(ctx context.Context) {
			store := builder.Store("data-core", "reporting").Controller("example-controller").AllowedPurposes("billing").Obj()
			create(ctx, store)
			create(ctx, builder.Pod("data-core", "reporting-0").Label("app", "reporting").Obj())
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied))
			policy := types.NamespacedName{Namespace: "data-core", Name: "pds.reporting"}

			change(ctx, store, func() { store.Spec.Enforcement = v1alpha1.EnforcementReport })
			Eventually(gone).WithArguments(ctx, policy, &networkingv1.NetworkPolicy{}).Should(BeTrue())
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionFalse, v1alpha1.ReasonReporting))
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionReady).Should(is(metav1.ConditionTrue, v1alpha1.ReasonReporting))

			By("suspending it, which wins")
			change(ctx, store, func() { store.Spec.Suspended, store.Spec.SuspendedReason = true, "incident" })
			Eventually(func() error { return admin.Get(ctx, policy, &networkingv1.NetworkPolicy{}) }).Should(Succeed())
		})

		It("is honest about one outside the cluster", func(ctx context.Context) {
			store := builder.Store("data-core", "external").Controller("example-controller").AllowedPurposes("billing").
				With(func(s *v1alpha1.PersonalDataStore) {
					s.Spec.Endpoint.PodSelector, s.Spec.Endpoint.External = nil, &v1alpha1.ExternalEndpoint{CIDRs: []string{"192.0.2.0/24"}}
				}).Obj()
			create(ctx, store)
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionFalse, v1alpha1.ReasonExternalPartial))
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionReady).Should(is(metav1.ConditionFalse, v1alpha1.ReasonNotIsolated))
		})

		DescribeTable("repairs its policy when somebody", func(ctx context.Context, drift func(context.Context, *networkingv1.NetworkPolicy) error) {
			policy := &networkingv1.NetworkPolicy{}
			Expect(admin.Get(ctx, ledgerPolicy, policy)).To(Succeed())
			spec, labels := policy.Spec, policy.Labels
			Expect(drift(ctx, policy.DeepCopy())).To(Succeed())
			Eventually(func(g Gomega) {
				repaired := &networkingv1.NetworkPolicy{}
				g.Expect(admin.Get(ctx, ledgerPolicy, repaired)).To(Succeed())
				g.Expect(repaired.Spec).To(Equal(spec))
				for key, value := range labels {
					g.Expect(repaired.Labels).To(HaveKeyWithValue(key, value))
				}
				g.Expect(repaired.OwnerReferences).To(BeEmpty())
			}).WithTimeout(5 * time.Second).Should(Succeed())
		},
			Entry("deletes it", func(ctx context.Context, p *networkingv1.NetworkPolicy) error { return itself.Delete(ctx, p) }),
			Entry("takes a label away", edited(func(p *networkingv1.NetworkPolicy) { delete(p.Labels, v1alpha1.LabelManagedBy) })),
			Entry("takes all labels away", edited(func(p *networkingv1.NetworkPolicy) { p.Labels = nil })),
			Entry("labels it as another store's", edited(func(p *networkingv1.NetworkPolicy) { p.Labels[v1alpha1.LabelStore] = "orders" })),
			Entry("relabels and opens it at once", edited(func(p *networkingv1.NetworkPolicy) {
				p.Labels, p.Spec.Ingress = nil, []networkingv1.NetworkPolicyIngressRule{{}}
			})),
			Entry("opens it to everybody", edited(func(p *networkingv1.NetworkPolicy) {
				p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
			})),
			Entry("adds a peer", edited(func(p *networkingv1.NetworkPolicy) {
				p.Spec.Ingress[1].From = append(p.Spec.Ingress[1].From, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}})
			})),
			Entry("widens a peer", edited(func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress[1].From[1].PodSelector = nil })),
			Entry("adds an end port", edited(func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress[1].Ports[0].EndPort = ptr.To[int32](65535) })),
			Entry("moves it to other pods", edited(func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector.MatchLabels["other"] = "pods" })),
			Entry("takes the rules away", edited(func(p *networkingv1.NetworkPolicy) { p.Spec.Ingress = nil })),
			Entry("cuts the store's egress", edited(func(p *networkingv1.NetworkPolicy) {
				p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
			})),
			Entry("adds an egress rule", edited(func(p *networkingv1.NetworkPolicy) { p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}} })),
			Entry("turns it into an egress policy", edited(func(p *networkingv1.NetworkPolicy) {
				p.Spec.PolicyTypes, p.Spec.Ingress = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, nil
			})),
			Entry("hangs it on an owner", edited(func(p *networkingv1.NetworkPolicy) {
				p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "dead", UID: "dead"}}
			})),
		)

		It("puts its finalizer back", func(ctx context.Context) {
			store := &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: ledger.Namespace, Name: ledger.Name}}
			changeAs(ctx, itself, store, func() { store.Finalizers = nil })
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, ledger, store)).To(Succeed())
				g.Expect(store.Finalizers).To(ContainElement(v1alpha1.FinalizerIsolation))
			}).Should(Succeed())
		})

		It("keeps its pods closed until the last of them is gone", func(ctx context.Context) {
			store := builder.Store("data-core", "leaving").Controller("example-controller").AllowedPurposes("billing").Obj()
			create(ctx, store)
			key := types.NamespacedName{Namespace: "data-core", Name: "pds.leaving"}
			policy := &networkingv1.NetworkPolicy{}
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, key, policy)).To(Succeed())
				g.Expect(admitted(policy)).NotTo(BeEmpty(), "somebody has a grant")
			}).Should(Succeed())
			pod := builder.Pod("data-core", "leaving-0").Label("app", "leaving").Obj()
			create(ctx, pod)

			Expect(admin.Delete(ctx, store)).To(MatchError(SatisfyAll(ContainSubstring("InUse: "), ContainSubstring("suspend it"))), "it has grants")
			remove(ctx, store)
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, key, policy)).To(Succeed())
				g.Expect(admitted(policy)).To(BeEmpty(), "closed to all but its own pods")
			}).Should(Succeed())
			Eventually(events).WithArguments(ctx, "data-core").Should(ContainElement(SatisfyAll(
				HaveField("Reason", "Draining"), HaveField("Note", ContainSubstring("delete pod data-core/leaving-0")))))
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(HaveField("Message", ContainSubstring("goes when the last of them has gone")))
			Expect(itself.Delete(ctx, policy.DeepCopy())).To(Succeed())
			Eventually(func() error { return admin.Get(ctx, key, policy) }).Should(Succeed(), "it comes back while there are pods")

			Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			Eventually(gone).WithArguments(ctx, client.ObjectKeyFromObject(store), store).Should(BeTrue())
			Expect(gone(ctx, key, policy)).To(BeTrue())
		})

		It("lets its namespace go", func(ctx context.Context) {
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "data-gone"}}
			create(ctx, namespace)
			create(ctx, builder.Pod("data-gone", "orders-0").Label("app", "orders").Obj())
			store := builder.Store("data-gone", "orders").Controller("example-controller").AllowedPurposes("billing").Obj()
			create(ctx, store)
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied))

			Expect(admin.Delete(ctx, namespace)).To(Succeed())
			Eventually(gone).WithArguments(ctx, client.ObjectKeyFromObject(namespace), namespace).WithTimeout(time.Minute).Should(BeTrue())
		})
	})

	Describe("in a bound namespace", func() {
		It("shows what its pods may do", func(ctx context.Context) {
			access := &v1alpha1.PersonalDataAccess{}
			Expect(admin.Get(ctx, billers, access)).To(Succeed())
			Expect(access.ProcessorName).To(Equal("billing-entrustee"))
			Expect(access.Enforcement).To(Equal(v1alpha1.EnforcementEnforce))
			Expect(access.Grants).To(HaveLen(int(access.GrantCount)))
			Expect(access.Grants).To(ContainElement(SatisfyAll(
				HaveField("Purpose", "billing"), HaveField("Entrustment", "fees"), HaveField("Stores", ContainElement("data-billing/billing-ledger")))))
			Expect(access.NextChangeTime.UTC()).To(Equal(time.Date(year+1, time.March, 31, 15, 0, 0, 0, time.UTC)))
		})

		DescribeTable("repairs that when somebody", func(ctx context.Context, drift func(context.Context, *v1alpha1.PersonalDataAccess) error) {
			access := &v1alpha1.PersonalDataAccess{}
			Expect(admin.Get(ctx, billers, access)).To(Succeed())
			Expect(drift(ctx, access.DeepCopy())).To(Succeed())
			Eventually(func(g Gomega) {
				repaired := &v1alpha1.PersonalDataAccess{}
				g.Expect(admin.Get(ctx, billers, repaired)).To(Succeed())
				g.Expect(repaired.Grants).To(Equal(access.Grants))
				g.Expect(repaired.Enforcement).To(Equal(access.Enforcement))
				g.Expect(repaired.NextChangeTime).To(Equal(access.NextChangeTime))
				g.Expect(repaired.Labels).To(Equal(access.Labels))
			}).WithTimeout(5 * time.Second).Should(Succeed())
		},
			Entry("deletes it", func(ctx context.Context, a *v1alpha1.PersonalDataAccess) error { return itself.Delete(ctx, a) }),
			Entry("grants more", shown(func(a *v1alpha1.PersonalDataAccess) {
				a.Grants = append(a.Grants, v1alpha1.Grant{Purpose: "claims-disposal"})
			})),
			Entry("extends a grant", shown(func(a *v1alpha1.PersonalDataAccess) { a.Grants[0].NotAfter = nil })),
			Entry("takes the grants away", shown(func(a *v1alpha1.PersonalDataAccess) { a.Grants = nil })),
			Entry("makes it report", shown(func(a *v1alpha1.PersonalDataAccess) { a.Enforcement = v1alpha1.EnforcementReport })),
			Entry("takes its label away", shown(func(a *v1alpha1.PersonalDataAccess) { a.Labels = nil })),
		)

		It("takes away what somebody forged where nobody is bound", func(ctx context.Context) {
			forged := builder.Access("default").Grant("billing", "", "data-billing/billing-ledger").Obj()
			Expect(itself.Create(ctx, forged)).To(Succeed())
			Eventually(gone).WithArguments(ctx, client.ObjectKeyFromObject(forged), forged).Should(BeTrue())
		})

		It("shows nothing before it exists, after it was made anew by somebody, and once it is unbound", func(ctx context.Context) {
			party := builder.Processor("newcomer").Namespace("new-bound").Obj()
			create(ctx, party)
			Eventually(condition).WithArguments(ctx, party, v1alpha1.ConditionReady).Should(is(metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotFound))
			key := types.NamespacedName{Namespace: "new-bound", Name: v1alpha1.PersonalDataAccessName}
			shown := func() error { return admin.Get(ctx, key, &v1alpha1.PersonalDataAccess{}) }
			namespace := func() *corev1.Namespace { return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "new-bound"}} }
			Expect(admin.Create(ctx, namespace())).To(Succeed())
			Eventually(shown).Should(Succeed())
			Eventually(condition).WithArguments(ctx, party, v1alpha1.ConditionReady).Should(is(metav1.ConditionTrue, v1alpha1.ReasonValid))

			By("somebody making the namespace anew")
			Expect(admin.Delete(ctx, namespace())).To(Succeed())
			Eventually(gone).WithArguments(ctx, types.NamespacedName{Name: "new-bound"}, namespace()).Should(BeTrue())
			create(ctx, namespace())
			Eventually(condition).WithArguments(ctx, party, v1alpha1.ConditionReady).Should(is(metav1.ConditionFalse, v1alpha1.ReasonNamespaceRecreated))
			Eventually(shown).ShouldNot(Succeed())
			Consistently(shown).WithTimeout(300 * time.Millisecond).ShouldNot(Succeed())

			By("the party accepting it")
			bindings := party.Spec.Namespaces
			change(ctx, party, func() { party.Spec.Namespaces = nil })
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(party), party)).To(Succeed())
				g.Expect(party.Status.Namespaces).To(BeEmpty())
			}).Should(Succeed())
			change(ctx, party, func() { party.Spec.Namespaces = bindings })
			Eventually(shown).Should(Succeed())

			By("unbinding it")
			change(ctx, party, func() { party.Spec.Namespaces = nil })
			Eventually(gone).WithArguments(ctx, key, &v1alpha1.PersonalDataAccess{}).Should(BeTrue())
		})
	})

	Describe("at what the pods of a bound namespace send", func() {
		under := types.NamespacedName{Namespace: "billing-entrustee", Name: "pda.entrustment.fees"}

		It("opens what the contract is for, and closes the rest", func(ctx context.Context) {
			for _, name := range []string{under.Name, "pda.floor"} {
				policy := &networkingv1.NetworkPolicy{}
				Eventually(func() error {
					return admin.Get(ctx, types.NamespacedName{Namespace: under.Namespace, Name: name}, policy)
				}).Should(Succeed())
				Expect(policy.Labels).To(Equal(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}), "the admission rules take no parameter from it")
				Expect(policy.Spec.PolicyTypes).To(ConsistOf(networkingv1.PolicyTypeEgress))
			}
		})

		DescribeTable("repairs a policy when somebody", func(ctx context.Context, drift func(context.Context, *networkingv1.NetworkPolicy) error) {
			for _, name := range []string{under.Name, "pda.floor"} {
				key, policy := types.NamespacedName{Namespace: under.Namespace, Name: name}, &networkingv1.NetworkPolicy{}
				Expect(admin.Get(ctx, key, policy)).To(Succeed())
				Expect(drift(ctx, policy.DeepCopy())).To(Succeed())
				Eventually(func(g Gomega) {
					repaired := &networkingv1.NetworkPolicy{}
					g.Expect(admin.Get(ctx, key, repaired)).To(Succeed())
					g.Expect(repaired.Spec).To(Equal(policy.Spec))
					g.Expect(repaired.Labels).To(Equal(policy.Labels))
				}).WithTimeout(5 * time.Second).Should(Succeed())
			}
		},
			Entry("deletes it", func(ctx context.Context, p *networkingv1.NetworkPolicy) error { return itself.Delete(ctx, p) }),
			Entry("opens it", edited(func(p *networkingv1.NetworkPolicy) { p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}} })),
			Entry("takes its label away", edited(func(p *networkingv1.NetworkPolicy) { p.Labels = nil })),
		)

		It("lets an added store outside the cluster be reached by grant alone, and says where that is not so", func(ctx context.Context) {
			store := builder.Store("data-core", "archive").Controller("example-controller").AllowedPurposes("billing").External("192.0.2.0/24").Obj()
			create(ctx, store)
			baseline := types.NamespacedName{Namespace: "core-services", Name: "pda.baseline"}
			Eventually(func() error { return admin.Get(ctx, baseline, &networkingv1.NetworkPolicy{}) }).Should(Succeed())
			granted := types.NamespacedName{Namespace: "core-services", Name: "pda.external.data-core.archive"}
			Eventually(func() error { return admin.Get(ctx, granted, &networkingv1.NetworkPolicy{}) }).Should(Succeed())
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(SatisfyAll(
				is(metav1.ConditionFalse, v1alpha1.ReasonExternalPartial), HaveField("Message", Not(ContainSubstring("core-services")))))

			By("somebody governing egress there, which the baseline would widen")
			foreign := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "core-services", Name: "web"}}
			foreign.Spec.PodSelector.MatchLabels = map[string]string{"app": "web"}
			foreign.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
			create(ctx, foreign)
			Eventually(gone).WithArguments(ctx, baseline, &networkingv1.NetworkPolicy{}).Should(BeTrue())
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(HaveField("Message", ContainSubstring("core-services")))
			Expect(admin.Delete(ctx, foreign)).To(Succeed())
			Eventually(func() error { return admin.Get(ctx, baseline, &networkingv1.NetworkPolicy{}) }).Should(Succeed())

			By("the store going")
			remove(ctx, store)
			Eventually(gone).WithArguments(ctx, baseline, &networkingv1.NetworkPolicy{}).Should(BeTrue())
		})
	})

	Describe("beside the policies of others", func() {
		It("names one that opens a store, and takes that back when it goes", func(ctx context.Context) {
			store := &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: ledger.Namespace, Name: ledger.Name}}
			foreign := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ledger.Namespace, Name: "debugging"}}
			foreign.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}}}
			Expect(itself.Create(ctx, foreign)).To(Succeed(), "as if it had been there before the rules")
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(SatisfyAll(
				is(metav1.ConditionFalse, v1alpha1.ReasonForeignNetworkPolicy), HaveField("Message", ContainSubstring("data-billing/debugging lets in all pods of all namespaces"))))
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionReady).Should(is(metav1.ConditionFalse, v1alpha1.ReasonNotIsolated))
			Expect(admin.Delete(ctx, foreign)).To(Succeed())
			Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionIsolated).Should(is(metav1.ConditionTrue, v1alpha1.ReasonPoliciesApplied))
		})
	})

	Describe("of a contract", func() {
		It("withdraws what it grants while it is suspended", func(ctx context.Context) {
			fees := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
			invoices := builder.Pod("billing-entrustee", "invoices").Purpose("billing").Entrustment("fees").Deadline(60).Obj()

			change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = true, "incident" })
			Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).ShouldNot(ContainElement("billing-entrustee under fees"))
			Expect(admittedTo(Default, ctx, ledgerPolicy)).To(ContainElement("core-services under none"), "others are left alone")
			Eventually(granted).WithArguments(ctx, billers).Should(BeZero())
			Expect(admin.Create(ctx, invoices.DeepCopy(), client.DryRunAll)).To(refused("Suspended: ", "fees"))
			Eventually(condition).WithArguments(ctx, fees, v1alpha1.ConditionActive).Should(is(metav1.ConditionFalse, v1alpha1.ReasonSuspended))
			Eventually(events).WithArguments(ctx, "default").Should(ContainElement(SatisfyAll(
				HaveField("Regarding.Name", "fees"), HaveField("Action", "Active=False"), HaveField("Reason", "Suspended"))))

			change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = false, "" })
			Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).Should(ContainElement("billing-entrustee under fees"))
			Eventually(func() error { return admin.Create(ctx, invoices.DeepCopy(), client.DryRunAll) }).Should(Succeed())
		})

		It("ends with its term, by time alone", func(ctx context.Context) {
			DeferCleanup(func(ctx context.Context) {
				now.SetTime(noon)
				Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).Should(ContainElement("billing-entrustee under fees"), "a clock that is set back converges too")
			})
			end := time.Date(year+1, time.March, 31, 15, 0, 0, 0, time.UTC)
			now.SetTime(end.Add(-time.Second))
			Consistently(admittedTo).WithArguments(ctx, ledgerPolicy).WithTimeout(300 * time.Millisecond).Should(ContainElement("billing-entrustee under fees"))

			now.SetTime(end)
			Expect(admin.Create(ctx, builder.Pod("billing-entrustee", "late").Purpose("billing").Entrustment("fees").Obj(), client.DryRunAll)).
				To(refused("Expired: "), "at once, before anything was compiled again")
			Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).ShouldNot(ContainElement("billing-entrustee under fees"))
			Eventually(granted).WithArguments(ctx, billers).Should(BeZero())
			fees := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
			Eventually(condition).WithArguments(ctx, fees, v1alpha1.ConditionActive).Should(is(metav1.ConditionFalse, v1alpha1.ReasonExpired))
		})
	})

	describeTerms()
	describeAdoption()

	describeInterventions()

	Describe("in the status of its objects", func() {
		It("says of each whether it is ready", func(ctx context.Context) {
			for _, list := range []client.ObjectList{
				&v1alpha1.PurposeList{}, &v1alpha1.DataProcessorList{}, &v1alpha1.EntrustmentList{}, &v1alpha1.PersonalDataStoreList{},
			} {
				Expect(admin.List(ctx, list)).To(Succeed())
				Expect(meta.LenList(list)).To(BeNumerically(">", 5))
				Expect(meta.EachListItem(list, func(item runtime.Object) error {
					Eventually(condition).WithArguments(ctx, item, v1alpha1.ConditionReady).Should(HaveField("Status", metav1.ConditionTrue), "%T", item)
					return nil
				})).To(Succeed())
			}
		})

		It("says it again when somebody else says otherwise", func(ctx context.Context) {
			purpose := &v1alpha1.Purpose{}
			Expect(admin.Get(ctx, types.NamespacedName{Name: "billing"}, purpose)).To(Succeed())
			told := purpose.Status
			forged := purpose.DeepCopy()
			forged.Status = v1alpha1.PurposeStatus{StoreCount: 99, Conditions: []metav1.Condition{{
				Type: "Forged", Status: metav1.ConditionTrue, Reason: "Forged", LastTransitionTime: metav1.Now(),
			}}}
			Expect(itself.Status().Update(ctx, forged)).To(Succeed())
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, types.NamespacedName{Name: "billing"}, purpose)).To(Succeed())
				g.Expect(purpose.Status).To(Equal(told))
			}).Should(Succeed())
		})

		It("tells of each transition once, after it can be read", func(ctx context.Context) {
			Eventually(events).WithArguments(ctx, "data-billing").Should(ContainElement(SatisfyAll(
				HaveField("Regarding.Name", "billing-ledger"), HaveField("Action", "Isolated=True"), HaveField("Reason", "PoliciesApplied"))))
			Eventually(events).WithArguments(ctx, "default").Should(ContainElement(SatisfyAll(
				HaveField("Regarding.Name", "fees"), HaveField("Action", "Authorized=True"), HaveField("Reason", "ByController"))))
		})

		It("writes nothing twice for an edit, and does not doubt a policy that is being written", func(ctx context.Context) {
			settle()
			n := len(operator.writes.since(0))
			doubted := doubts(ctx)
			party := &v1alpha1.DataProcessor{ObjectMeta: metav1.ObjectMeta{Name: "billing-entrustee"}}
			change(ctx, party, func() { party.Spec.Suspended, party.Spec.SuspendedReason = true, "incident" })
			DeferCleanup(func(ctx context.Context) {
				change(ctx, party, func() { party.Spec.Suspended, party.Spec.SuspendedReason = false, "" })
				Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).Should(ContainElement("billing-entrustee under fees"))
			})
			Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).ShouldNot(ContainElement("billing-entrustee under fees"))
			settle()
			Expect(operator.writes.repeated(n)).To(BeEmpty())
			wrote := map[string]int{}
			for _, request := range operator.writes.since(n) {
				if strings.Contains(request, "/networkpolicies/") || strings.Contains(request, "/purposes/") || strings.Contains(request, "/dataprocessors/") {
					wrote[request]++ // what else is said of the loss follows it, in as many steps as it takes
				}
			}
			Expect(wrote).To(SatisfyAll(HaveKey(ContainSubstring("/networkpolicies/")), HaveKey(ContainSubstring("/dataprocessors/"))))
			Expect(wrote).To(HaveEach(1))
			Expect(doubted()).To(BeEmpty())
		})

		It("keeps the time of a transition while the status stays", func(ctx context.Context) {
			fees := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
			Eventually(condition).WithArguments(ctx, fees, v1alpha1.ConditionReady).Should(is(metav1.ConditionTrue, v1alpha1.ReasonEnforced))
			before := condition(ctx, fees, v1alpha1.ConditionReady)
			now.SetTime(noon.Add(time.Hour))
			DeferCleanup(func() { now.SetTime(noon) })
			change(ctx, fees, func() { fees.Spec.Services = "calculating and collecting fees" })
			Eventually(func() *metav1.Condition { return condition(ctx, fees, v1alpha1.ConditionReady) }).Should(SatisfyAll(
				HaveField("ObservedGeneration", fees.Generation), HaveField("LastTransitionTime", before.LastTransitionTime)))
		})
	})

	Describe("once all is said", func() {
		It("writes nothing, whatever passes by, and nothing after a restart", func(ctx context.Context) {
			settle()
			n := len(operator.writes.since(0))

			By("pods that come and go, edits that mean nothing, time that passes")
			pod := builder.Pod("core-services", "passing").Purpose("billing").Obj()
			create(ctx, pod)
			Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			store := &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: ledger.Namespace, Name: ledger.Name}}
			change(ctx, store, func() { metav1.SetMetaDataAnnotation(&store.ObjectMeta, "note", "read") })
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "core-services"}}
			change(ctx, namespace, func() { metav1.SetMetaDataLabel(&namespace.ObjectMeta, "team", "billing") })
			policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ledgerPolicy.Namespace, Name: ledgerPolicy.Name}}
			changeAs(ctx, itself, policy, func() { metav1.SetMetaDataAnnotation(&policy.ObjectMeta, "note", "read") })
			now.SetTime(noon.Add(time.Minute))
			DeferCleanup(func() { now.SetTime(noon) })
			Consistently(operator.writes.since).WithArguments(n).WithTimeout(time.Second).Should(BeEmpty())

			By("a restart")
			operator.stop()
			n = len(operator.writes.since(0))
			operator.start()
			Eventually(operator.ready).Should(Succeed())
			Consistently(operator.writes.since).WithArguments(n).WithTimeout(2 * time.Second).Should(BeEmpty())
		})

		It("hands over to another replica, which was ready but silent until then", func(ctx context.Context) {
			other := &process{config: operator.config, port: freePort(), probes: freePort()}
			other.start()
			DeferCleanup(func() { other.stop() })
			Eventually(other.ready).Should(Succeed())
			Consistently(operator.ready).WithTimeout(time.Second).Should(Succeed(), "the API server trusts both")
			Expect(other.writes.since(0)).To(BeEmpty(), "they share the certificate")

			operator.stop()
			DeferCleanup(func() {
				other.stop()
				operator.start()
				Eventually(operator.ready).Should(Succeed())
			})
			Expect(itself.Delete(ctx, &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ledgerPolicy.Namespace, Name: ledgerPolicy.Name}})).To(Succeed())
			Eventually(func() error { return admin.Get(ctx, ledgerPolicy, &networkingv1.NetworkPolicy{}) }).Should(Succeed())
		})

		DescribeTable("puts a rule back, and tells of it, when somebody", func(ctx context.Context, drift func(context.Context, client.Object) error) {
			for _, rule := range []client.Object{
				&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "managed.entrustment.dev"}},
				&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "managed.entrustment.dev"}},
			} {
				key := client.ObjectKeyFromObject(rule)
				var before client.Object
				Eventually(func(g Gomega) { // the API server writes the status of a policy that was put back
					g.Expect(admin.Get(ctx, key, rule)).To(Succeed())
					before = rule.DeepCopyObject().(client.Object)
					g.Expect(drift(ctx, rule)).To(Succeed())
				}).Should(Succeed())
				Eventually(func(g Gomega) {
					live := before.DeepCopyObject().(client.Object)
					g.Expect(admin.Get(ctx, key, live)).To(Succeed())
					g.Expect(live.GetResourceVersion()).NotTo(Equal(before.GetResourceVersion()))
					g.Expect(content(live)).To(Equal(content(before)))
					g.Expect(live.GetLabels()).To(Equal(before.GetLabels()))
				}).WithTimeout(5 * time.Second).Should(Succeed())
			}
			Eventually(events).WithArguments(ctx, "default").Should(ContainElement(SatisfyAll(
				HaveField("Reason", "RuleRepaired"), HaveField("Regarding.Name", "managed.entrustment.dev"))))
			Eventually(operator.ready).Should(Succeed())
			Eventually(func() error {
				return admin.Delete(ctx, &v1alpha1.PersonalDataAccess{ObjectMeta: metav1.ObjectMeta{Namespace: billers.Namespace, Name: billers.Name}}, client.DryRunAll)
			}).Should(MatchError(ContainSubstring("written by it alone")), "it bites again")
		},
			Entry("deletes it", func(ctx context.Context, rule client.Object) error { return admin.Delete(ctx, rule) }),
			Entry("takes its label away", func(ctx context.Context, rule client.Object) error {
				rule.SetLabels(nil)
				return admin.Update(ctx, rule)
			}),
			Entry("weakens it", weaken),
			Entry("weakens it and takes its label away", func(ctx context.Context, rule client.Object) error {
				rule.SetLabels(nil)
				return weaken(ctx, rule)
			}),
		)

		It("makes the API server trust it again when somebody takes that away", func(ctx context.Context) {
			hooks := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
			change(ctx, hooks, func() {
				for i := range hooks.Webhooks {
					hooks.Webhooks[i].ClientConfig.CABundle = nil
				}
			})
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(hooks), hooks)).To(Succeed())
				for i := range hooks.Webhooks {
					g.Expect(hooks.Webhooks[i].ClientConfig.CABundle).NotTo(BeEmpty())
				}
			}).Should(Succeed())
			Eventually(operator.ready).Should(Succeed())
			Eventually(func() error {
				return admin.Create(ctx, builder.Pod("core-services", "trusting").Purpose("billing").Obj(), client.DryRunAll)
			}).Should(Succeed())
		})
	})
})

// create creates an object for the length of a spec.
func create(ctx context.Context, object client.Object) {
	GinkgoHelper()
	Expect(admin.Create(ctx, object)).To(Succeed())
	DeferCleanup(func(ctx context.Context) {
		remove(ctx, object)
		if _, slow := object.(*corev1.Namespace); !slow {
			Eventually(gone).WithArguments(ctx, client.ObjectKeyFromObject(object), object).Should(BeTrue())
		}
	})
}

// remove deletes an object, once it is not in use any more. A store has to be suspended for that, and a contract that was in
// force goes when its disposal is recorded.
func remove(ctx context.Context, object client.Object) {
	GinkgoHelper()
	if store, ok := object.(*v1alpha1.PersonalDataStore); ok && !gone(ctx, client.ObjectKeyFromObject(store), store) {
		change(ctx, store, func() { store.Spec.Suspended, store.Spec.SuspendedReason = true, "it goes" })
	}
	Eventually(func() error {
		return client.IgnoreNotFound(admin.Delete(ctx, object, client.GracePeriodSeconds(0)))
	}).Should(Succeed())
	if contract, ok := object.(*v1alpha1.Entrustment); ok {
		Expect(client.IgnoreNotFound(dispose(ctx, admin, contract.Name))).To(Succeed())
	}
}

// dispose records that the data were returned or erased, as the status says how.
func dispose(ctx context.Context, who client.Client, name string) error {
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"disposal":{"completedDate":"2026-01-31","evidenceURL":"https://records.example.com/erased"}}}`))
	return who.Patch(ctx, &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: name}}, patch)
}

// change edits the newest version of an object.
func change(ctx context.Context, object client.Object, edit func()) {
	GinkgoHelper()
	changeAs(ctx, admin, object, edit)
}

func changeAs(ctx context.Context, who client.Client, object client.Object, edit func()) {
	GinkgoHelper()
	Eventually(func() error {
		_, err := controllerutil.CreateOrPatch(ctx, who, object, func() error { edit(); return nil })
		return err
	}).Should(Succeed())
}

func edited(edit func(*networkingv1.NetworkPolicy)) func(context.Context, *networkingv1.NetworkPolicy) error {
	return func(ctx context.Context, policy *networkingv1.NetworkPolicy) error {
		edit(policy)
		return itself.Update(ctx, policy)
	}
}

func shown(edit func(*v1alpha1.PersonalDataAccess)) func(context.Context, *v1alpha1.PersonalDataAccess) error {
	return func(ctx context.Context, access *v1alpha1.PersonalDataAccess) error {
		edit(access)
		return itself.Update(ctx, access)
	}
}

// weaken lets an admission rule refuse nothing. The API server takes no binding that both warns and denies: to add what is
// wanted to what is there would not be enough.
func weaken(ctx context.Context, rule client.Object) error {
	switch rule := rule.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		rule.Spec.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
		rule.Spec.Validations[0].Expression = "true"
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		rule.Spec.ValidationActions = []admissionregistrationv1.ValidationAction{admissionregistrationv1.Warn}
	}
	return admin.Update(ctx, rule)
}

// content of an admission rule.
func content(rule client.Object) any {
	switch rule := rule.(type) {
	case *admissionregistrationv1.ValidatingAdmissionPolicy:
		return rule.Spec
	case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
		return rule.Spec
	}
	return nil
}

func gone(ctx context.Context, key types.NamespacedName, into client.Object) bool {
	return apierrors.IsNotFound(admin.Get(ctx, key, into))
}

// settle waits until the operator wrote nothing for a while.
func settle() {
	GinkgoHelper()
	before := -1
	Eventually(func() (since int) {
		wrote := len(operator.writes.since(0))
		since, before = wrote-before, wrote
		return since
	}).MustPassRepeatedly(50).Should(BeZero())
}

// doubts watches the stores, and returns what names those that were not called isolated any more meanwhile.
func doubts(ctx context.Context) func() []string {
	GinkgoHelper()
	watching, err := client.NewWithWatch(connection, client.Options{Scheme: admin.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	versions, err := watching.Watch(ctx, &v1alpha1.PersonalDataStoreList{})
	Expect(err).NotTo(HaveOccurred())
	doubted := make(chan []string)
	go func() {
		isolated, named := map[types.UID]bool{}, []string(nil)
		for version := range versions.ResultChan() {
			if store, is := version.Object.(*v1alpha1.PersonalDataStore); is {
				said := meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionIsolated)
				if isolated[store.UID] && !said {
					named = append(named, store.Name)
				}
				isolated[store.UID] = said
			}
		}
		doubted <- named
	}()
	return func() []string { versions.Stop(); return <-doubted }
}

// refused is an error of admission that says all of the words.
func refused(message string, words ...string) OmegaMatcher {
	said := []OmegaMatcher{MatchError(ContainSubstring("pod.admission.entrustment.dev")), MatchError(ContainSubstring(message))}
	for _, word := range words {
		said = append(said, MatchError(ContainSubstring(word)))
	}
	return SatisfyAll(said...)
}

// condition of the newest version of an object; nil if it has none of that type.
func condition(ctx context.Context, object runtime.Object, kind string) *metav1.Condition {
	GinkgoHelper()
	live := object.DeepCopyObject().(client.Object)
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(live), live)).To(Succeed())
	switch live := live.(type) {
	case *v1alpha1.Purpose:
		return meta.FindStatusCondition(live.Status.Conditions, kind)
	case *v1alpha1.DataProcessor:
		return meta.FindStatusCondition(live.Status.Conditions, kind)
	case *v1alpha1.Entrustment:
		return meta.FindStatusCondition(live.Status.Conditions, kind)
	case *v1alpha1.PersonalDataStore:
		return meta.FindStatusCondition(live.Status.Conditions, kind)
	}
	Fail(fmt.Sprintf("%T has no conditions", live))
	return nil
}

func is(status metav1.ConditionStatus, reason v1alpha1.Reason) OmegaMatcher {
	return SatisfyAll(Not(BeNil()), HaveField("Status", status), HaveField("Reason", string(reason)), HaveField("Message", Not(BeEmpty())))
}

func events(ctx context.Context, namespace string) []eventsv1.Event {
	GinkgoHelper()
	list := &eventsv1.EventList{}
	Expect(admin.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
	return list.Items
}

func granted(ctx context.Context, key types.NamespacedName) int {
	GinkgoHelper()
	access := &v1alpha1.PersonalDataAccess{}
	Expect(admin.Get(ctx, key, access)).To(Succeed())
	return len(access.Grants)
}

func admittedTo(g Gomega, ctx context.Context, key types.NamespacedName) []string { //nolint:revive // Gomega comes first, as Eventually passes it
	policy := &networkingv1.NetworkPolicy{}
	g.Expect(admin.Get(ctx, key, policy)).To(Succeed())
	return admitted(policy)
}

// admitted reads the peers of a policy as "namespace under entrustment".
func admitted(policy *networkingv1.NetworkPolicy) []string {
	var read []string
	for _, rule := range policy.Spec.Ingress {
		for _, peer := range rule.From {
			if peer.NamespaceSelector == nil {
				continue
			}
			under := []string{cmp.Or(peer.PodSelector.MatchLabels[v1alpha1.LabelEntrustment], "none")}
			for _, r := range peer.PodSelector.MatchExpressions {
				if r.Key == v1alpha1.LabelEntrustment && r.Operator == metav1.LabelSelectorOpIn {
					under = r.Values
				}
			}
			namespaces := []string{peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName]}
			for _, r := range peer.NamespaceSelector.MatchExpressions {
				namespaces = r.Values
			}
			for _, namespace := range namespaces {
				for _, contract := range under {
					read = append(read, namespace+" under "+contract)
				}
			}
		}
	}
	return read
}
