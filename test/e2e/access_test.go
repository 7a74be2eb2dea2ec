package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/e2e/attempt"
)

// The parties of the sample policy that deal with the ledger.
const (
	entrustee = "billing-entrustee"
	purpose   = "billing"
	contract  = "fees"
	own       = "trust-safety" // the controller's own namespace
	ownUse    = "fraud-prevention"
)

func underContract(name string, arguments ...string) *builder.PodBuilder {
	return agent(entrustee, name, arguments...).Purpose(purpose).Entrustment(contract)
}

var _ = Describe("The billing ledger", func() {
	database := host(ledger)
	port := database + ":5432"

	It("is read by the controller's own pod, and by the entrustee's under its contract", func(ctx SpecContext) {
		for _, pod := range []*builder.PodBuilder{
			agent(own, "fraud-monitor", "query", database).Purpose(ownUse),
			underContract("invoice-run", "query", database),
		} {
			running := start(ctx, withCredential(pod))
			answer := comesTo(ctx, running, database, attempt.Answered, time.Time{})
			Expect(answer.Detail).To(Equal(rows))
		}
	}, NodeTimeout(2*time.Minute))

	It("gives its credential to those it is granted to alone", func(ctx SpecContext) {
		name := v1alpha1.DeliveredSecretName(ledger.Namespace, ledger.Name, "reader")
		Eventually(func() error {
			return admin.Get(ctx, client.ObjectKey{Namespace: entrustee, Name: name}, &corev1.Secret{})
		}).
			WithContext(ctx).Should(Succeed())
		for _, elsewhere := range []string{"default", "marketing", "repair-entrustee"} {
			err := admin.Get(ctx, client.ObjectKey{Namespace: elsewhere, Name: name}, &corev1.Secret{})
			Expect(err).To(MatchError(apierrors.IsNotFound, "not found"), elsewhere)
		}
		err := admin.Create(ctx, withCredential(agent(entrustee, "thief", "query", database)).Obj())
		Expect(err).To(MatchError(apierrors.IsForbidden, "forbidden"), "a pod that declares nothing")
	}, NodeTimeout(time.Minute))

	It("is silent to pods without a purpose, with another one, and of other namespaces", func(ctx SpecContext) {
		noneReaches(ctx, port,
			agent(entrustee, "undeclared", "dial", port),
			agent(own, "undeclared", "dial", port),
			agent("core-services", "other-purpose", "dial", port).Purpose("after-service"),
			agent("default", "stranger", "dial", port),
			agent(ledgerIn, "neighbour", "dial", port),
		)
	}, NodeTimeout(2*time.Minute))

	It("has no place for forged labels, nor for declared pods on the host's network", func(ctx SpecContext) {
		forged := agent("default", "forged", "dial", port).Purpose(purpose).Entrustment(contract)
		Expect(admin.Create(ctx, forged.Obj())).To(MatchError(apierrors.IsForbidden, "forbidden"), "labels at creation")

		later := start(ctx, agent(entrustee, "forged-later", "dial", port))
		labelled := later.DeepCopy()
		labelled.Labels = map[string]string{v1alpha1.LabelPurpose: purpose, v1alpha1.LabelEntrustment: contract}
		Expect(admin.Patch(ctx, labelled, client.MergeFrom(later))).To(MatchError(apierrors.IsForbidden, "forbidden"), "labels afterwards")
		neverReaches(ctx, later, port)

		onHost := underContract("on-host", "dial", port).With(func(pod *corev1.Pod) { pod.Spec.HostNetwork = true })
		Expect(admin.Create(ctx, onHost.Obj())).To(MatchError(apierrors.IsForbidden, "forbidden"), "host network")
	}, NodeTimeout(time.Minute))

	It("is not opened by a policy of somebody with the role edit, nor by taking its own away", func(ctx SpecContext) {
		intruder := start(ctx, agent("default", "intruder", "dial", port))
		editor := editorOf(ctx, ledgerIn)
		open := &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: ledgerIn, Name: "open"},
			Spec:       networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}},
		}
		Expect(editor.Create(ctx, open)).To(MatchError(apierrors.IsForbidden, "forbidden"))
		shut := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ledgerIn, Name: "pds." + ledger.Name}}
		Expect(admin.Delete(ctx, shut)).To(MatchError(apierrors.IsForbidden, "forbidden"))
		neverReaches(ctx, intruder, port)
	}, NodeTimeout(time.Minute))

	It("is closed again when its policy is gone all the same", func(ctx SpecContext) {
		intruder := start(ctx, agent("default", "waiting-intruder", "dial", port))
		neverReaches(ctx, intruder, port)
		operator := impersonate("system:serviceaccount:entrustment-system:entrustment-operator",
			"system:serviceaccounts", "system:serviceaccounts:entrustment-system", "system:authenticated")
		key := client.ObjectKey{Namespace: ledgerIn, Name: "pds." + ledger.Name}
		before := &networkingv1.NetworkPolicy{}
		Expect(admin.Get(ctx, key, before)).To(Succeed())
		gone := time.Now()
		Expect(operator.Delete(ctx, before)).To(Succeed())
		Eventually(func(g Gomega) {
			after := &networkingv1.NetworkPolicy{}
			g.Expect(admin.Get(ctx, key, after)).To(Succeed())
			g.Expect(after.UID).NotTo(Equal(before.UID))
		}).WithPolling(5 * time.Millisecond).WithContext(ctx).Should(Succeed())
		measured("policy deleted → written again", time.Since(gone))
		comesTo(ctx, intruder, port, attempt.Silent, time.Now().Add(500*time.Millisecond))
	}, NodeTimeout(time.Minute))

	It("lets nobody with the role edit into its pods, or into pods that may read it", func(ctx SpecContext) {
		consumer := start(ctx, underContract("consumer", "dial", port))
		for namespace, pod := range map[string]string{ledgerIn: ledger.Name + "-0", entrustee: consumer.Name} {
			editorOf(ctx, namespace)
			for _, command := range [][]string{
				{"exec", pod, "--", "/agent"},
				{"port-forward", "pod/" + pod, ":5432"},
				{"attach", pod},
			} {
				output, err := kubectl(ctx, "", append([]string{"--as=editor", "--namespace=" + namespace}, command...)...)
				Expect(err).To(HaveOccurred(), "%s in %s", command, namespace)
				Expect(output).To(ContainSubstring("intervene"), "%s in %s", command, namespace)
			}
		}
	}, NodeTimeout(time.Minute))
})

// editorOf is a client of the user editor, who has the stock role edit in a namespace.
func editorOf(ctx SpecContext, namespace string) client.Client {
	GinkgoHelper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "editor"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "editor"}},
	}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, binding))).To(Succeed())
	return impersonate("editor", "system:authenticated")
}

func impersonate(user string, groups ...string) client.Client {
	GinkgoHelper()
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	c, err := client.New(as, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	return c
}
