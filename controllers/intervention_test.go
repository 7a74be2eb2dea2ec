package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// What the specs about people look at: oscar operates workloads, alice may intervene as well.
const (
	oscar = "oscar"
	alice = "alice"
)

// passAdmission is what the API server says to a connection that was admitted: there is no node, and the pod has no address.
func passAdmission() OmegaMatcher {
	return MatchError(Or(ContainSubstring("does not have a host assigned"), ContainSubstring("address not allowed")))
}

func describeInterventions() {
	Describe("reaching into a pod", Ordered, func() {
		BeforeAll(func(ctx context.Context) {
			everything := rbacv1.PolicyRule{APIGroups: []string{""}, Verbs: []string{"*"}, Resources: []string{
				"pods", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "pods/ephemeralcontainers",
			}}
			for _, namespace := range []string{"data-billing", "core-services", "default"} {
				allow(ctx, oscar, namespace, everything)
				allow(ctx, alice, namespace, everything)
			}
			allow(ctx, alice, "data-billing", intervene("personaldatastores", "billing-ledger"))
			allow(ctx, alice, "core-services", intervene("personaldataaccesses", v1alpha1.PersonalDataAccessName))
			create(ctx, ledgerPod(ctx, "ledger-0"))
			create(ctx, builder.Pod("core-services", "biller").Purpose("billing").Obj())
			create(ctx, builder.Pod("core-services", "web").Label("app", "web").Obj())
			create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data-billing", Name: "anything"}, Spec: corev1.ServiceSpec{
				Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(80)}},
			}})
			Eventually(scoped).WithArguments(ctx).Should(ContainElements("data-billing", "core-services"))
			Eventually(func() error { return connect(ctx, oscar, "pods", "exec", "data-billing", "ledger-0") }).Should(
				refusedBy("intervene.admission.entrustment.dev", "InterventionNotPermitted"), "once the API server has read the list")
		})

		for _, subresource := range []string{"exec", "attach", "portforward", "proxy"} {
			It("by "+subresource+" takes the verb intervene", func(ctx context.Context) {
				Expect(connect(ctx, oscar, "pods", subresource, "data-billing", "ledger-0")).To(refusedBy("intervene.admission.entrustment.dev",
					"pod data-billing/ledger-0, a pod of PersonalDataStore data-billing/billing-ledger: InterventionNotPermitted: user \"oscar\"",
					"kubectl auth can-i intervene personaldatastores.entrustment.dev/billing-ledger -n data-billing"))
				Expect(connect(ctx, oscar, "pods", subresource, "core-services", "biller")).To(refusedBy("intervene.admission.entrustment.dev",
					"which declares purpose \"billing\"", "personaldataaccesses.entrustment.dev/effective in namespace core-services"))

				for namespace, pod := range map[string]string{"data-billing": "ledger-0", "core-services": "biller"} {
					Expect(connect(ctx, alice, "pods", subresource, namespace, pod)).To(passAdmission())
				}
			})
		}

		It("tells who was let in, and who was not", func(ctx context.Context) {
			Expect(connect(ctx, alice, "pods", "exec", "data-billing", "ledger-0")).To(passAdmission())
			Eventually(events).WithArguments(ctx, "data-billing").Should(ContainElements(
				SatisfyAll(HaveField("Reason", "Intervened"), HaveField("Type", "Warning"), HaveField("Regarding.Name", "billing-ledger"),
					HaveField("Related.Name", "ledger-0"), HaveField("Note", "user \"alice\" was let exec into pod data-billing/ledger-0, a pod of PersonalDataStore data-billing/billing-ledger")),
				SatisfyAll(HaveField("Reason", "InterventionNotPermitted"), HaveField("Action", "RefuseIntervention"), HaveField("Note", ContainSubstring("oscar"))),
			))
			Eventually(events).WithArguments(ctx, "core-services").Should(ContainElement(SatisfyAll(
				HaveField("Reason", "Intervened"), HaveField("Regarding.Name", "effective"), HaveField("Regarding.Kind", "PersonalDataAccess"), HaveField("Note", ContainSubstring("alice")))))
			for _, event := range events(ctx, "data-billing") {
				Expect(event.Note).NotTo(ContainSubstring("secret-argument"), "a command may hold secrets")
			}
		})

		It("by a service asks for all that it may lead to", func(ctx context.Context) {
			Expect(connect(ctx, oscar, "services", "proxy", "data-billing", "http:anything:80")).To(refusedBy("intervene.admission.entrustment.dev",
				"proxy to service data-billing/anything, which may lead to a pod of PersonalDataStore data-billing/billing-ledger"))
		})

		It("is nobody's business where the pod is ordinary or there is none", func(ctx context.Context) {
			Expect(connect(ctx, oscar, "pods", "exec", "core-services", "web")).To(passAdmission())
			Expect(connect(ctx, oscar, "pods", "exec", "core-services", "nothing")).To(MatchError(ContainSubstring("not found")))
		})

		It("is never asked about where no store is and nobody is bound", func(ctx context.Context) {
			create(ctx, builder.Pod("default", "ordinary").Obj())
			before := reviews("/admit-connect")
			Expect(connect(ctx, oscar, "pods", "exec", "default", "ordinary")).To(passAdmission())
			Expect(reviews("/admit-connect")).To(Equal(before))
			_ = connect(ctx, oscar, "pods", "exec", "core-services", "web")
			Expect(reviews("/admit-connect")).To(Equal(before+1), "the count can tell")
		})

		It("by a container that is added takes the verb too, and is told", func(ctx context.Context) {
			add := func(user string) error {
				pod := &corev1.Pod{}
				Expect(admin.Get(ctx, client.ObjectKey{Namespace: "data-billing", Name: "ledger-0"}, pod)).To(Succeed())
				pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
					EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "registry.example.com/debug:1", ImagePullPolicy: corev1.PullIfNotPresent},
				})
				return as(user).SubResource("ephemeralcontainers").Update(ctx, pod)
			}
			Expect(add(oscar)).To(refusedBy("ephemeralcontainers.admission.entrustment.dev", "add ephemeral containers to pod data-billing/ledger-0"))
			Expect(add(alice)).To(Succeed())
			Eventually(events).WithArguments(ctx, "data-billing").Should(ContainElement(
				HaveField("Note", ContainSubstring("user \"alice\" was let add ephemeral containers to pod data-billing/ledger-0"))))
		})

		It("only warns where the store reports", func(ctx context.Context) {
			store := builder.Store("data-core", "adopted").Controller("example-controller").AllowedPurposes("billing").With(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Enforcement = v1alpha1.EnforcementReport
			}).Obj()
			create(ctx, store)
			create(ctx, builder.Pod("data-core", "adopted-0").Label("app", "adopted").Obj())
			allow(ctx, oscar, "data-core", rbacv1.PolicyRule{APIGroups: []string{""}, Verbs: []string{"*"}, Resources: []string{"pods/exec"}})
			Eventually(func() []string {
				return warned.during(func() {
					Expect(connect(ctx, oscar, "pods", "exec", "data-core", "adopted-0")).To(passAdmission())
				})
			}).Should(ContainElement(HavePrefix("would be refused: exec into pod data-core/adopted-0")))

			change(ctx, store, func() { store.Spec.Suspended, store.Spec.SuspendedReason = true, "incident" })
			Eventually(func() error { return connect(ctx, oscar, "pods", "exec", "data-core", "adopted-0") }).Should(
				refusedBy("intervene.admission.entrustment.dev", "personaldatastores.entrustment.dev/adopted"))
		})
	})

	Describe("the namespaces of which connections are judged", func() {
		It("follow bindings and stores", func(ctx context.Context) {
			party := builder.Processor("scoped").Namespace("scoped-bound").Obj()
			create(ctx, party)
			Eventually(scoped).WithArguments(ctx).Should(ContainElement("scoped-bound"))
			Expect(slices.IsSorted(scoped(ctx))).To(BeTrue())
			change(ctx, party, func() { party.Spec.Namespaces = nil })
			Eventually(scoped).WithArguments(ctx).ShouldNot(ContainElement("scoped-bound"))
			Expect(scoped(ctx)).To(ContainElements("data-billing", "core-services"))
			Expect(scoped(ctx)).NotTo(ContainElement("kube-system"))
			Eventually(operator.ready).Should(Succeed())
		})

		DescribeTable("are put back when somebody", func(ctx context.Context, drift func(*admissionregistrationv1.MutatingWebhook)) {
			hooks := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
			want := scoped(ctx)
			change(ctx, hooks, func() {
				for i := range hooks.Webhooks {
					if strings.HasPrefix(hooks.Webhooks[i].Name, "intervene.") {
						drift(&hooks.Webhooks[i])
					}
				}
			})
			Eventually(scoped).WithArguments(ctx).Should(Equal(want))
			Eventually(operator.ready).Should(Succeed())
		},
			Entry("shortens the list", func(hook *admissionregistrationv1.MutatingWebhook) {
				hook.NamespaceSelector.MatchExpressions[0].Values = []string{"no_namespace"}
			}),
			Entry("adds another condition", func(hook *admissionregistrationv1.MutatingWebhook) {
				hook.NamespaceSelector.MatchLabels = map[string]string{"guarded": "no"}
			}),
			Entry("takes the selector away", func(hook *admissionregistrationv1.MutatingWebhook) { hook.NamespaceSelector = nil }),
		)
	})

	Describe("at an address", func() {
		It("of a store's pod, refuses it wherever it is written, except by those who may change the store", func(ctx context.Context) {
			pod := ledgerPod(ctx, "addressed")
			create(ctx, pod)
			pod.Status.PodIP, pod.Status.PodIPs = "10.99.0.1", []corev1.PodIP{{IP: "10.99.0.1"}, {IP: "fd00:99::1"}}
			Expect(admin.Status().Update(ctx, pod)).To(Succeed())
			for _, user := range []string{oscar, alice} {
				allow(ctx, user, "default", rbacv1.PolicyRule{APIGroups: []string{"discovery.k8s.io", ""}, Verbs: []string{"create", "update"}, Resources: []string{"endpointslices", "endpoints"}})
			}
			allow(ctx, alice, "data-billing", rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Verbs: []string{"update"}, Resources: []string{"personaldatastores"}, ResourceNames: []string{"billing-ledger"}})
			slice := func(family discoveryv1.AddressType, address string) *discoveryv1.EndpointSlice {
				return &discoveryv1.EndpointSlice{
					ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "way-round"}, AddressType: family, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
				}
			}
			endpoints := &corev1.Endpoints{ //nolint:staticcheck // deprecated, and still served
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "way-round"}, Subsets: []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "10.99.0.1"}}}}, //nolint:staticcheck // as above
			}
			Expect(as(oscar).Create(ctx, slice(discoveryv1.AddressTypeIPv4, "10.99.0.1"))).To(refusedBy("endpoints.admission.entrustment.dev",
				"EndpointSlice default/way-round names 10.99.0.1, the address of pod data-billing/addressed of PersonalDataStore data-billing/billing-ledger: LeadsToStore: "))
			Expect(as(oscar).Create(ctx, slice(discoveryv1.AddressTypeIPv6, "fd00:99::1"))).To(refusedBy("endpoints.admission.entrustment.dev", "names fd00:99::1"))
			Expect(as(oscar).Create(ctx, endpoints)).To(refusedBy("endpoints.admission.entrustment.dev", "Endpoints default/way-round"))
			Expect(as(oscar).Create(ctx, slice(discoveryv1.AddressTypeIPv4, "10.99.0.2"), client.DryRunAll)).To(Succeed(), "nobody's address")
			Expect(as(alice).Create(ctx, slice(discoveryv1.AddressTypeIPv4, "10.99.0.1"), client.DryRunAll)).To(Succeed())
		})

		It("that the control plane writes, and what changes no address, is never asked about", func(ctx context.Context) {
			pod := ledgerPod(ctx, "served")
			create(ctx, pod)
			pod.Status.PodIP, pod.Status.PodIPs = "10.99.0.9", []corev1.PodIP{{IP: "10.99.0.9"}}
			Expect(admin.Status().Update(ctx, pod)).To(Succeed())
			slice := &discoveryv1.EndpointSlice{
				ObjectMeta:  metav1.ObjectMeta{Namespace: "data-billing", Name: "ledger-1"},
				AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.99.0.9"}}},
			}
			before := reviews("/admit-endpoints")
			for _, itself := range []string{"system:serviceaccount:kube-system:endpointslice-controller", "system:kube-controller-manager"} {
				Expect(as(itself, "system:masters").Create(ctx, slice.DeepCopy(), client.DryRunAll)).To(Succeed())
			}
			Expect(reviews("/admit-endpoints")).To(Equal(before))

			By("labels of one that others wrote, and one without an address")
			create(ctx, slice) // the admin may change every store
			slice.Labels = map[string]string{"team": "billing"}
			empty := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "empty"}, AddressType: discoveryv1.AddressTypeIPv4}
			Expect(reviews("/admit-endpoints")).To(Equal(before+1), "the count can tell")
			Expect(admin.Update(ctx, slice)).To(Succeed())
			Expect(admin.Create(ctx, empty, client.DryRunAll)).To(Succeed())
			Expect(reviews("/admit-endpoints")).To(Equal(before + 1))
		})
	})

	Describe("of a sub-entrustment", func() {
		It("refuses what exceeds its parent, and only that", func(ctx context.Context) {
			child := &v1alpha1.Entrustment{}
			Expect(admin.Get(ctx, client.ObjectKey{Name: "fees-print-mailing"}, child)).To(Succeed())
			wider := child.DeepCopy()
			wider.Spec.NotAfter.Time = wider.Spec.NotAfter.AddDate(5, 0, 0)
			Expect(admin.Update(ctx, wider)).To(refusedBy("entrustment.admission.entrustment.dev",
				"Entrustment \"fees-print-mailing\" under \"fees\": ExceedsParentScope: notAfter is later than that of Entrustment \"fees\""))

			By("narrowing the parent, which must not keep anybody from suspending the child")
			parent := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
			ends := child.Spec.NotAfter
			change(ctx, parent, func() { parent.Spec.NotAfter.Time = ends.AddDate(0, -1, 0) })
			DeferCleanup(func(ctx context.Context) {
				change(ctx, parent, func() { parent.Spec.NotAfter = ends })
				change(ctx, child, func() { child.Spec.Suspended, child.Spec.SuspendedReason = false, "" })
				Eventually(condition).WithArguments(ctx, child, v1alpha1.ConditionScopeValid).Should(is(metav1.ConditionTrue, v1alpha1.ReasonWithinScope))
			})
			Eventually(condition).WithArguments(ctx, child, v1alpha1.ConditionScopeValid).Should(is(metav1.ConditionFalse, v1alpha1.ReasonExceedsParentScope))
			before := reviews("/admit-entrustment")
			change(ctx, child, func() { child.Spec.Suspended, child.Spec.SuspendedReason = true, "incident" })
			Expect(reviews("/admit-entrustment")).To(Equal(before), "nobody waits for the operator to suspend one")
			change(ctx, child, func() { child.Spec.Territories = nil })
			Expect(reviews("/admit-entrustment")).To(BeNumerically(">", before), "the count can tell")
			change(ctx, child, func() { child.Spec.Territories = []string{"JP"} })
		})

		It("takes one whose parent is yet to come", func(ctx context.Context) {
			early := builder.Entrustment("early").Parent("yet-to-come").From("billing-entrustee").To("print-mailing-subentrustee").
				Purposes("billing").Stores("data-billing/billing-ledger").Obj()
			create(ctx, early)
			Eventually(condition).WithArguments(ctx, early, v1alpha1.ConditionReady).Should(is(metav1.ConditionFalse, v1alpha1.ReasonParentNotFound))
		})
	})

	Describe("at what others depend on", func() {
		It("refuses a Purpose under that of another data controller", func(ctx context.Context) {
			Expect(admin.Create(ctx, builder.Purpose("foreign").Controller("billing-entrustee").Parent("billing").Obj())).To(
				refusedBy("purpose.admission.entrustment.dev", "ControllerMismatch: its parent \"billing\" is of \"example-controller\""))
		})

		DescribeTable("refuses to delete", func(ctx context.Context, object client.Object, words ...string) {
			Expect(admin.Delete(ctx, object)).To(refusedBy("delete.admission.entrustment.dev", append(words, "cannot be deleted: InUse: ")...))
		},
			Entry("a purpose", builder.Purpose("billing").Obj(), "withdraw it with spec.notAfter"),
			Entry("a prohibited purpose", builder.Purpose("unfair-discrimination").Obj(), "PersonalDataStore"),
			Entry("a data controller", builder.Processor("example-controller").Obj(), "end its contracts"),
			Entry("an entrustee", builder.Processor("billing-entrustee").Obj(), "Entrustment \"fees\" has not ended"),
			Entry("a store with grants", builder.Store("data-billing", "billing-ledger").Obj(), "suspend it with spec.suspended"),
		)

		It("lets go what was withdrawn, also from a collection", func(ctx context.Context) {
			purpose := builder.Purpose("reminders").Controller("example-controller").Parent("billing").With(func(p *v1alpha1.Purpose) { p.Labels = map[string]string{"collected": "yes"} }).Obj()
			Expect(admin.Create(ctx, purpose)).To(Succeed())
			collect := func(options ...client.DeleteAllOfOption) error {
				return admin.DeleteAllOf(ctx, &v1alpha1.Purpose{}, append(options, client.MatchingLabels{"collected": "yes"})...)
			}
			// A replica that has not seen it yet would let it go, as nobody can rely on it: only try until it is known.
			Eventually(func() error { return collect(client.DryRunAll) }).Should(
				refusedBy("delete.admission.entrustment.dev", "Purpose \"reminders\" cannot be deleted: InUse: ", "is for it"))
			past := metav1.NewTime(noon.AddDate(0, 0, -1))
			change(ctx, purpose, func() { purpose.Spec.NotAfter = &past })
			Eventually(func() error { return collect() }).Should(Succeed())
			Eventually(gone).WithArguments(ctx, client.ObjectKeyFromObject(purpose), purpose).Should(BeTrue())
		})
	})
}

// ledgerPod is a pod of the ledger that does not run.
func ledgerPod(ctx context.Context, name string) *corev1.Pod {
	GinkgoHelper()
	store := &v1alpha1.PersonalDataStore{}
	Expect(admin.Get(ctx, ledger, store)).To(Succeed())
	pod := builder.Pod(ledger.Namespace, name)
	for key, value := range store.Spec.Endpoint.PodSelector.MatchLabels {
		pod.Label(key, value)
	}
	return pod.Obj()
}

// scoped is the list of namespaces of which connections are judged.
func scoped(ctx context.Context) []string {
	GinkgoHelper()
	hooks := &admissionregistrationv1.MutatingWebhookConfiguration{}
	Expect(admin.Get(ctx, client.ObjectKey{Name: "entrustment-operator"}, hooks)).To(Succeed())
	var lists [][]string
	for i := range hooks.Webhooks {
		switch hook := &hooks.Webhooks[i]; {
		case hook.Name != "intervene.admission.entrustment.dev" && hook.Name != "ephemeralcontainers.admission.entrustment.dev":
		case hook.NamespaceSelector == nil || len(hook.NamespaceSelector.MatchLabels) > 0 || len(hook.NamespaceSelector.MatchExpressions) != 1:
			lists = append(lists, nil)
		default:
			lists = append(lists, hook.NamespaceSelector.MatchExpressions[0].Values)
		}
	}
	Expect(lists).To(HaveLen(2))
	if !slices.Equal(lists[0], lists[1]) {
		return nil // one of them is not there yet
	}
	return lists[0]
}

func intervene(resource, name string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{v1alpha1.Group}, Verbs: []string{"intervene"}, Resources: []string{resource}, ResourceNames: []string{name}}
}

// allow gives a user a right in a namespace for the length of a spec.
func allow(ctx context.Context, user, namespace string, rule rbacv1.PolicyRule) {
	GinkgoHelper()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: user + "-"}, Rules: []rbacv1.PolicyRule{rule}}
	create(ctx, role)
	create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
	// The API server gets to know of it a moment later.
	resource, subresource, _ := strings.Cut(rule.Resources[0], "/")
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: resource, Subresource: subresource,
			Name: strings.Join(rule.ResourceNames, ""),
		},
	}}
	Eventually(func() bool {
		Expect(admin.Create(ctx, review)).To(Succeed())
		return review.Status.Allowed
	}).Should(BeTrue())
}

// connect asks for a connection as a user.
func connect(ctx context.Context, user, resource, subresource, namespace, name string) error {
	GinkgoHelper()
	who, err := corev1client.NewForConfig(named(user))
	Expect(err).NotTo(HaveOccurred())
	var request *rest.Request
	switch subresource {
	case "exec":
		request = who.RESTClient().Post().VersionedParams(&corev1.PodExecOptions{Container: "app", Command: []string{"secret-argument"}, Stdout: true}, scheme.ParameterCodec)
	case "attach":
		request = who.RESTClient().Post().VersionedParams(&corev1.PodAttachOptions{Container: "app", Stdout: true}, scheme.ParameterCodec)
	case "portforward":
		request = who.RESTClient().Post()
	case "proxy":
		request = who.RESTClient().Get()
	}
	return request.Namespace(namespace).Resource(resource).Name(name).SubResource(subresource).Do(ctx).Error()
}

// refusedBy is an error of one webhook that says all of the words.
func refusedBy(webhook string, words ...string) OmegaMatcher {
	said := []OmegaMatcher{MatchError(ContainSubstring(fmt.Sprintf("admission webhook %q denied the request", webhook)))}
	for _, word := range words {
		said = append(said, MatchError(ContainSubstring(word)))
	}
	return SatisfyAll(said...)
}
