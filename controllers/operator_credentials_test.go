package controllers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// planted is in the value of every credential of the policy, and nowhere else in the cluster.
const planted = "correct-horse-battery-staple"

// logged is what the operator logs.
var logged = &buffer{}

type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// plant makes the Secrets that the stores of the policy name.
func plant(ctx context.Context) {
	GinkgoHelper()
	stores := &v1alpha1.PersonalDataStoreList{}
	Expect(admin.List(ctx, stores)).To(Succeed())
	for _, store := range stores.Items {
		for _, c := range store.Spec.Credentials {
			Expect(client.IgnoreAlreadyExists(admin.Create(ctx, source(store.Namespace, c.SecretName, "one")))).To(Succeed())
		}
	}
}

func source(namespace, name, edition string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"password": []byte(planted + "-" + edition)},
	}
}

var _ = Describe("The credentials of the policy", Ordered, func() {
	var (
		fees   = &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
		store  = &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: ledger.Namespace, Name: ledger.Name}}
		copied = types.NamespacedName{Namespace: "billing-entrustee", Name: "pds.data-billing.billing-ledger.reader"}
	)
	held := func(ctx context.Context) string {
		secret := &corev1.Secret{}
		Expect(client.IgnoreNotFound(admin.Get(ctx, copied, secret))).To(Succeed())
		return string(secret.Data["password"])
	}
	live := func(ctx context.Context) *v1alpha1.PersonalDataStore {
		found := &v1alpha1.PersonalDataStore{}
		Expect(admin.Get(ctx, ledger, found)).To(Succeed())
		return found
	}
	suspend := func(ctx context.Context, suspended bool) {
		change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = suspended, "incident" })
	}

	It("are delivered to those with a grant", func(ctx context.Context) {
		Eventually(held).WithArguments(ctx).Should(Equal(planted + "-one"))
		Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionCredentialsDelivered).Should(is(metav1.ConditionTrue, v1alpha1.ReasonDelivered))
	})

	It("are where they are granted, and nowhere else", func(ctx context.Context) {
		shown := map[types.NamespacedName]bool{}
		accesses := &v1alpha1.PersonalDataAccessList{}
		Expect(admin.List(ctx, accesses)).To(Succeed())
		for _, access := range accesses.Items {
			for _, grant := range access.Grants {
				for _, name := range grant.Secrets {
					shown[types.NamespacedName{Namespace: access.Namespace, Name: name}] = true
				}
			}
		}
		Expect(shown).NotTo(BeEmpty())
		Eventually(func() map[types.NamespacedName]bool {
			found := map[types.NamespacedName]bool{}
			secrets := &corev1.SecretList{}
			Expect(admin.List(ctx, secrets, client.HasLabels{v1alpha1.LabelCredential})).To(Succeed())
			for i := range secrets.Items {
				found[client.ObjectKeyFromObject(&secrets.Items[i])] = true
			}
			return found
		}).Should(Equal(shown))
	})

	It("are read by the operator in the namespaces of stores and of parties alone", func(ctx context.Context) {
		bindings := &rbacv1.RoleBindingList{}
		Expect(admin.List(ctx, bindings, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})).To(Succeed())
		Expect(bindings.Items).NotTo(BeEmpty())
		for _, b := range bindings.Items {
			access, stores := &v1alpha1.PersonalDataAccessList{}, &v1alpha1.PersonalDataStoreList{}
			Expect(admin.List(ctx, access, client.InNamespace(b.Namespace))).To(Succeed())
			Expect(admin.List(ctx, stores, client.InNamespace(b.Namespace))).To(Succeed())
			Expect(len(access.Items)+len(stores.Items)).NotTo(BeZero(), b.Namespace)
		}
	})

	It("follow their source within a second", func(ctx context.Context) {
		Expect(admin.Update(ctx, source("data-billing", "billing-ledger-reader", "two"))).To(Succeed())
		Eventually(held).WithArguments(ctx).WithTimeout(time.Second).Should(Equal(planted + "-two"))
	})

	It("are shown with those whom RBAC lets read them", func(ctx context.Context) {
		Eventually(live).WithArguments(ctx).Should(HaveField("Status.ExposedTo", ContainElement(HaveField("Name", "system:masters"))))
		role := &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: "billing-entrustee", Name: "developers"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"list"}}},
		}
		create(ctx, role)
		create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "billing-entrustee", Name: "developers"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "developers"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "billing-developers"}},
		})
		Eventually(live).WithArguments(ctx).Should(HaveField("Status.ExposedTo", ContainElement(v1alpha1.ExposedSubject{
			Kind: "Group", Name: "billing-developers", How: "list secrets: RoleBinding billing-entrustee/developers of Role developers",
		})))
		Expect(live(ctx).Status.ExposedTo).NotTo(ContainElement(HaveField("Name", v1alpha1.OperatorServiceAccount)), "whose work it is")
		Expect(admin.Delete(ctx, role)).To(Succeed())
		Eventually(live).WithArguments(ctx).ShouldNot(HaveField("Status.ExposedTo", ContainElement(HaveField("Name", "billing-developers"))))
	})

	It("are read through the API by accounts that declare what they are for", func(ctx context.Context) {
		const namespace = "billing-entrustee"
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "biller", Labels: map[string]string{
			v1alpha1.LabelPurpose: "billing", v1alpha1.LabelEntrustment: "fees",
		}}}
		create(ctx, account)
		get := func() error {
			return as("system:serviceaccount:"+namespace+":biller", "system:authenticated").Get(ctx, copied, &corev1.Secret{})
		}
		Eventually(get).Should(Succeed())
		pod := builder.Pod(namespace, "biller")
		using := pod.Obj()
		using.Spec.ServiceAccountName = account.Name
		Eventually(func() error { return admin.Create(ctx, using.DeepCopy(), client.DryRunAll) }).Should(
			MatchError(ContainSubstring("ServiceAccount \"biller\" reads Secrets for purpose \"billing\" under entrustment \"fees\"")))
		using = pod.Purpose("billing").Entrustment("fees").Deadline(60).Obj()
		using.Spec.ServiceAccountName = account.Name
		Expect(admin.Create(ctx, using, client.DryRunAll)).To(Succeed())

		By("showing who could become it, and not the account itself")
		role := &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "minters"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, ResourceNames: []string{"biller"}, Verbs: []string{"create"}}},
		}
		create(ctx, role)
		create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "minters"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "minters"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "minter"}},
		})
		Eventually(live).WithArguments(ctx).Should(HaveField("Status.ExposedTo", ContainElement(v1alpha1.ExposedSubject{
			Kind: "User", Name: "minter", How: "create serviceaccounts/token of ServiceAccount billing-entrustee/biller: RoleBinding billing-entrustee/minters of Role minters",
		})))
		Expect(live(ctx).Status.ExposedTo).NotTo(ContainElement(HaveField("Name", "biller")))

		By("ending the grant")
		suspend(ctx, true)
		DeferCleanup(func(ctx context.Context) { suspend(ctx, false) })
		Eventually(get).Should(MatchError(ContainSubstring("forbidden")))
		Eventually(held).WithArguments(ctx).Should(BeEmpty())
		suspend(ctx, false)
		Eventually(get).Should(Succeed())
		Expect(admin.Update(ctx, source("data-billing", "billing-ledger-reader", "again"))).To(Succeed())
		Expect(admin.Delete(ctx, account)).To(Succeed())
		Eventually(get).Should(MatchError(ContainSubstring("forbidden")))
	})

	It("go with the grant, and have to be changed then", func(ctx context.Context) {
		suspend(ctx, true)
		DeferCleanup(func(ctx context.Context) { suspend(ctx, false) })
		Eventually(held).WithArguments(ctx).Should(BeEmpty())
		Eventually(live).WithArguments(ctx).Should(HaveField("Status.RotationRequiredSince", Not(BeNil())))
		Eventually(events).WithArguments(ctx, ledger.Namespace).Should(ContainElement(HaveField("Reason", "RotationRequired")))
		Expect(measured()).To(MatchRegexp(`entrustment_rotation_required_since_seconds .*billing-ledger`))

		By("changing it")
		for _, c := range live(ctx).Spec.Credentials {
			Expect(admin.Update(ctx, source("data-billing", c.SecretName, "three"))).To(Succeed())
		}
		Eventually(live).WithArguments(ctx).Should(HaveField("Status.RotationRequiredSince", BeNil()))
		Eventually(measured).ShouldNot(MatchRegexp(`entrustment_rotation_required_since_seconds .*billing-ledger`))
	})

	It("are missed when their source is", func(ctx context.Context) {
		Eventually(held).WithArguments(ctx).Should(Equal(planted + "-three"))
		Expect(admin.Delete(ctx, source("data-billing", "billing-ledger-reader", ""))).To(Succeed())
		Eventually(held).WithArguments(ctx).Should(BeEmpty())
		Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionCredentialsDelivered).Should(is(metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound))
		Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionReady).Should(is(metav1.ConditionFalse, v1alpha1.ReasonCredentialNotFound))
		Expect(admin.Create(ctx, source("data-billing", "billing-ledger-reader", "four"))).To(Succeed())
		Eventually(condition).WithArguments(ctx, store, v1alpha1.ConditionReady).Should(is(metav1.ConditionTrue, v1alpha1.ReasonEnforced))
	})

	It("are told to nobody", func(ctx context.Context) {
		said := map[string]string{"logs": logged.String(), "metrics": measured()}
		Expect(said["logs"]).To(ContainSubstring("credentials"), "the logs are looked at")
		for name, list := range map[string]client.ObjectList{
			"events": &eventsv1.EventList{}, "core events": &corev1.EventList{}, "stores": &v1alpha1.PersonalDataStoreList{},
			"entrustments": &v1alpha1.EntrustmentList{}, "parties": &v1alpha1.DataProcessorList{}, "access": &v1alpha1.PersonalDataAccessList{},
		} {
			Expect(admin.List(ctx, list)).To(Succeed())
			text, err := yaml.Marshal(list)
			Expect(err).NotTo(HaveOccurred())
			said[name] = string(text)
		}
		for _, value := range []string{planted, base64.StdEncoding.EncodeToString([]byte(planted))[:32], fmt.Sprintf("%x", planted)} {
			for where, text := range said {
				Expect(bytes.Contains([]byte(text), []byte(value))).To(BeFalse(), "%s tell of %s", where, value)
			}
		}
	})
})

// measured is what a scrape sees.
func measured() string {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	var text bytes.Buffer
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			fmt.Fprintln(&text, family.GetName(), metric)
		}
	}
	return text.String()
}
