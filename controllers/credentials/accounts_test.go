package credentials_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// account makes a ServiceAccount that declares a purpose and, if it is not empty, an entrustment.
func account(ctx context.Context, namespace, name, purpose, contract string) *corev1.ServiceAccount {
	GinkgoHelper()
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "web"}}}
	if purpose != "" {
		made.Labels[v1alpha1.LabelPurpose] = purpose
	}
	if contract != "" {
		made.Labels[v1alpha1.LabelEntrustment] = contract
	}
	Expect(admin.Create(ctx, made)).To(Succeed())
	return made
}

// reads is what the API server says to an account that asks for a Secret.
func reads(ctx context.Context, namespace, name, secret string) error {
	GinkgoHelper()
	who := rest.CopyConfig(config)
	who.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	c, err := client.New(who, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: secret}, &corev1.Secret{})
}

func forbidden() OmegaMatcher { return MatchError(apierrors.IsForbidden, "forbidden") }

// readerObjects are the names of the Roles and the bindings of readers in a namespace.
func readerObjects(ctx context.Context, namespace string) (names []string) {
	GinkgoHelper()
	roles, bindings := &rbacv1.RoleList{}, &rbacv1.RoleBindingList{}
	of := []client.ListOption{client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelPurpose}}
	Expect(admin.List(ctx, roles, of...)).To(Succeed())
	Expect(admin.List(ctx, bindings, of...)).To(Succeed())
	for i := range roles.Items {
		names = append(names, "Role "+roles.Items[i].Name)
	}
	for i := range bindings.Items {
		names = append(names, "RoleBinding "+bindings.Items[i].Name)
	}
	return names
}

var _ = Describe("An account that declares a purpose", func() {
	const reader = "pds.billing.fees"
	var w *world
	both := ConsistOf("Role "+reader, "RoleBinding "+reader)
	BeforeEach(func(ctx context.Context) {
		w = newWorld(ctx)
		w.readers = true
		w.source(ctx, "first")
		account(ctx, w.biller, "web", "billing", "fees")
		account(ctx, w.biller, "own", "billing", "")
		account(ctx, w.biller, "other", "billing", "credit")
		account(ctx, w.biller, "plain", "", "")
		account(ctx, w.own, "web", "billing", "")
		w.publish()
		w.start()
		DeferCleanup(func() {
			w.stop()
			Expect(w.violations).To(BeEmpty(), "no write grants more than the snapshot in force")
		})
		Eventually(reads).WithArguments(ctx, w.biller, "web", w.name()).Should(Succeed())
	})

	It("gets what it is granted through the API, and nothing else does", func(ctx context.Context) {
		Eventually(reads).WithArguments(ctx, w.own, "web", w.name()).Should(Succeed(), "own handling")
		Expect(admin.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.biller, Name: "theirs"}})).To(Succeed())
		Expect(reads(ctx, w.biller, "web", "theirs")).To(forbidden())
		for _, name := range []string{"own", "other", "plain", "default"} {
			Expect(reads(ctx, w.biller, name, w.name())).To(forbidden(), name)
		}
		Expect(reads(ctx, w.data, "web", "ledger-reader")).To(forbidden())
		Expect(readerObjects(ctx, w.biller)).To(both)
		Expect(readerObjects(ctx, w.own)).To(ConsistOf("Role pds.billing", "RoleBinding pds.billing"))

		By("coming later, and going")
		late := account(ctx, w.biller, "late", "billing", "fees")
		Eventually(reads).WithArguments(ctx, w.biller, "late", w.name()).Should(Succeed())
		Expect(admin.Delete(ctx, late)).To(Succeed())
		Eventually(reads).WithArguments(ctx, w.biller, "late", w.name()).Should(forbidden())
		Expect(reads(ctx, w.biller, "web", w.name())).To(Succeed())
	})

	It("reads nothing once its grant ended", func(ctx context.Context) {
		w.end(true)
		Eventually(readerObjects).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(reads).WithArguments(ctx, w.biller, "web", w.name()).Should(forbidden())
		w.end(false)
		Eventually(reads).WithArguments(ctx, w.biller, "web", w.name()).Should(Succeed())
	})

	It("reads nothing once its namespace is bound no more, and nothing is left", func(ctx context.Context) {
		w.inputs.Processors = w.inputs.Processors[:1]
		w.publish()
		Eventually(readerObjects).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(bound).WithArguments(ctx, w.biller).Should(BeFalse())
		Eventually(reads).WithArguments(ctx, w.biller, "web", w.name()).Should(forbidden())
	})

	It("reads nothing where that is not switched on", func(ctx context.Context) {
		w.stop()
		w.readers = false
		w.start()
		Eventually(readerObjects).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(readerObjects).WithArguments(ctx, w.own).Should(BeEmpty())
		Expect(w.copyIn(ctx, w.biller)).To(Equal("first"), "it is mounted all the same")
	})

	It("has its rights put right, and nothing is written otherwise", func(ctx context.Context) {
		Eventually(reads).WithArguments(ctx, w.own, "web", w.name()).Should(Succeed())
		key := types.NamespacedName{Namespace: w.biller, Name: reader}
		role, binding := &rbacv1.Role{}, &rbacv1.RoleBinding{}
		writes := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.writes) }
		Eventually(func() int { before := writes(); time.Sleep(300 * time.Millisecond); return writes() - before }).Should(BeZero())
		before := writes()
		w.publish()
		account(ctx, w.biller, "later", "billing", "credit") // wakes it, for nothing
		Consistently(writes).WithTimeout(2500*time.Millisecond).Should(Equal(before), "also when it is looked at again")

		Expect(admin.Get(ctx, key, role)).To(Succeed())
		role.Rules[0].ResourceNames, role.Rules[0].Verbs = nil, []string{"get", "list"}
		Expect(admin.Update(ctx, role)).To(Succeed())
		Eventually(func() ([]rbacv1.PolicyRule, error) { return role.Rules, admin.Get(ctx, key, role) }).Should(ConsistOf(rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{w.name()}, Verbs: []string{"get"},
		}))
		Expect(admin.Get(ctx, key, binding)).To(Succeed())
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: "ServiceAccount", Namespace: w.biller, Name: "plain"})
		Expect(admin.Update(ctx, binding)).To(Succeed())
		Eventually(func() ([]rbacv1.Subject, error) { return binding.Subjects, admin.Get(ctx, key, binding) }).Should(HaveLen(1))

		By("labels that say something else, and another Role")
		binding.Labels[v1alpha1.LabelEntrustment] = "credit"
		Expect(admin.Update(ctx, binding)).To(Succeed())
		Eventually(func() (map[string]string, error) { return binding.Labels, admin.Get(ctx, key, binding) }).Should(HaveKeyWithValue(v1alpha1.LabelEntrustment, "fees"))
		Expect(admin.Delete(ctx, role)).To(Succeed())
		Expect(admin.Delete(ctx, binding)).To(Succeed())
		Eventually(readerObjects).WithArguments(ctx, w.biller).Should(both)
	})

	It("waits for a pod to go that uses it and declares something else", func(ctx context.Context) {
		late := account(ctx, w.biller, "late", "", "")
		pod := builder.Pod(w.biller, "early").Obj()
		pod.Spec.ServiceAccountName = late.Name
		Expect(admin.Create(ctx, pod)).To(Succeed())
		Expect(admin.Delete(ctx, late)).To(Succeed())
		late = account(ctx, w.biller, "late", "billing", "fees")
		Eventually(w.recorder.Events).Should(Receive(SatisfyAll(HavePrefix("Warning ReaderRefused"), ContainSubstring(w.biller+"/late"), ContainSubstring("pod early"))))
		Expect(reads(ctx, w.biller, "late", w.name())).To(forbidden())
		Expect(reads(ctx, w.biller, "web", w.name())).To(Succeed(), "the others are not concerned")
		Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
		late.Labels["app"] = "again"
		Expect(admin.Update(ctx, late)).To(Succeed())
		Eventually(reads).WithArguments(ctx, w.biller, "late", w.name()).Should(Succeed())
	})

	It("reads nothing while its Role's name is somebody else's, which is left as it is", func(ctx context.Context) {
		w.end(true)
		Eventually(readerObjects).WithArguments(ctx, w.biller).Should(BeEmpty())
		foreign := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: w.biller, Name: reader}}
		Expect(admin.Create(ctx, foreign)).To(Succeed())
		w.end(false)
		Eventually(w.recorder.Events).Should(Receive(SatisfyAll(HavePrefix("Warning ReaderRefused"), ContainSubstring(w.biller+"/"+reader))))
		live := &rbacv1.Role{}
		Expect(admin.Get(ctx, client.ObjectKeyFromObject(foreign), live)).To(Succeed())
		Expect(live.Rules).To(BeEmpty())
		Expect(readerObjects(ctx, w.biller)).To(BeEmpty())
		Expect(admin.Delete(ctx, foreign)).To(Succeed())
		Eventually(reads).WithArguments(ctx, w.biller, "web", w.name()).Should(Succeed())
	})

	It("is let read nothing by a snapshot of a namespace that is another", func(ctx context.Context) {
		w.end(true)
		Eventually(readerObjects).WithArguments(ctx, w.biller).Should(BeEmpty())
		w.inputs.Namespaces = map[string]types.UID{w.data: "data", w.own: "own", w.biller: "the one before"}
		w.end(false)
		Consistently(readerObjects).WithArguments(ctx, w.biller).WithTimeout(300 * time.Millisecond).Should(BeEmpty())
	})
})

var _ = Describe("The operator", func() {
	It("may let read where it reads itself, and nowhere else", func(ctx context.Context) {
		w := newWorld(ctx)
		w.source(ctx, "first")
		w.publish()
		w.start()
		DeferCleanup(func() { w.stop() })
		Eventually(w.copyIn).WithArguments(ctx, w.biller).ShouldNot(BeEmpty())
		itself, err := client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		role := func(namespace, resource string) *rbacv1.Role {
			return &rbacv1.Role{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x"},
				Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{"get"}}},
			}
		}
		Expect(itself.Create(ctx, role(w.biller, "secrets"))).To(Succeed())
		Expect(itself.Create(ctx, role(w.biller, "pods/exec"))).To(forbidden(), "it may not escalate")
		Expect(itself.Create(ctx, role("default", "secrets"))).To(forbidden())
	})
})
