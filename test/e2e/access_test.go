package e2e

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
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

	It("gives its credential to those it is granted to alone, as every store does", func(ctx SpecContext) {
		inputs, err := gather.FromReader(ctx, admin)
		Expect(err).NotTo(HaveOccurred())
		snapshot := entrustment.Compile(inputs, time.Now())
		namespaces := &corev1.NamespaceList{}
		Expect(admin.List(ctx, namespaces)).To(Succeed())
		granted := map[string]map[string][]byte{} // what each Secret holds, by namespace and name
		for _, namespace := range namespaces.Items {
			for _, delivery := range snapshot.Deliveries(namespace.Name) {
				source := &corev1.Secret{}
				Expect(admin.Get(ctx, client.ObjectKey{Namespace: delivery.Store.Namespace, Name: delivery.Source}, source)).To(Succeed())
				granted[namespace.Name+"/"+delivery.Name] = source.Data
			}
		}
		reader := v1alpha1.DeliveredSecretName(ledger.Namespace, ledger.Name, "reader")
		Expect(granted).To(And(HaveKey(entrustee+"/"+reader), HaveKey(own+"/"+reader), Not(HaveKey("marketing/"+reader))))
		Eventually(func(g Gomega) {
			secrets := &corev1.SecretList{}
			g.Expect(admin.List(ctx, secrets)).To(Succeed())
			delivered := map[string]map[string][]byte{}
			for _, secret := range secrets.Items {
				if strings.HasPrefix(secret.Name, v1alpha1.ReservedSecretPrefix) && !strings.HasPrefix(secret.Name, v1alpha1.RotationRecordName("")) {
					delivered[secret.Namespace+"/"+secret.Name] = secret.Data
				}
			}
			g.Expect(cmp.Diff(granted, delivered)).To(BeEmpty(), "-granted +delivered")
		}).WithContext(ctx).Should(Succeed())
		figures = append(figures, fmt.Sprintf("credentials: %d in %d namespaces, as decided", len(granted), len(namespaces.Items)))

		err = admin.Create(ctx, withCredential(agent(entrustee, "thief", "query", database)).Obj())
		Expect(err).To(MatchError(ContainSubstring("must not reference a Secret named pds.*")), "a pod that declares nothing")
	}, NodeTimeout(time.Minute))

	It("is silent to pods without a purpose, with another one, and of other namespaces", func(ctx SpecContext) {
		noneReaches(ctx, port,
			passerBy(entrustee, "undeclared", port),
			passerBy(own, "undeclared", port),
			passerBy("core-services", "other-purpose", port).Purpose("after-service"),
			passerBy("default", "stranger", port),
			passerBy(ledgerIn, "neighbour", port),
		)
	}, NodeTimeout(2*time.Minute))

	It("has no place for forged labels, nor for declared pods on the host's network", func(ctx SpecContext) {
		forged := agent("default", "forged", "dial", port).Purpose(purpose).Entrustment(contract)
		Expect(admin.Create(ctx, forged.Obj())).To(MatchError(ContainSubstring(string(v1alpha1.ReasonNamespaceNotBound))), "labels at creation")

		later := start(ctx, passerBy(entrustee, "forged-later", port))
		labelled := later.DeepCopy()
		labelled.Labels = map[string]string{v1alpha1.LabelPurpose: purpose, v1alpha1.LabelEntrustment: contract}
		Expect(admin.Patch(ctx, labelled, client.MergeFrom(later))).To(MatchError(ContainSubstring("immutable")), "labels afterwards")
		neverReaches(ctx, later, port, time.Time{}, control{landmark, witness})

		onHost := underContract("on-host", "dial", port).With(func(pod *corev1.Pod) { pod.Spec.HostNetwork = true })
		Expect(admin.Create(ctx, onHost.Obj())).To(MatchError(ContainSubstring("must not use hostNetwork")), "host network")
	}, NodeTimeout(time.Minute))

	It("is not opened by a policy of somebody with the role edit, nor by taking its own away", func(ctx SpecContext) {
		intruder := start(ctx, passerBy("default", "intruder", port))
		editor := editorOf(ctx, ledgerIn)
		harmless := opening("harmless", map[string]string{"app": "something-else"})
		Eventually(func() error { return editor.Create(ctx, harmless) }).WithContext(ctx).Should(Succeed(), "a policy for other pods")
		Expect(editor.Delete(ctx, harmless)).To(Succeed())
		for _, who := range []client.Client{editor, admin} {
			Expect(who.Create(ctx, opening("open", map[string]string{"app": ledger.Name}))).To(MatchError(ContainSubstring(`would open PersonalDataStore "%s"`, ledger.Name)))
			shut := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ledgerIn, Name: "pds." + ledger.Name}}
			Expect(who.Delete(ctx, shut)).To(MatchError(Or(
				ContainSubstring("are written by it alone"), ContainSubstring("goes after the last pod of the store"))))
		}
		neverReaches(ctx, intruder, port, time.Time{}, control{landmark, witness})
	}, NodeTimeout(time.Minute))

	It("is closed again when its policy is gone all the same, and open all the time to whom it is granted", func(ctx SpecContext) {
		intruder := start(ctx, passerBy("default", "waiting-intruder", port))
		neverReaches(ctx, intruder, port, time.Time{}, control{landmark, witness})
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
		neverReaches(ctx, intruder, port, time.Now().Add(500*time.Millisecond), control{landmark, witness})
		direct := address(ctx, ledger) + ":5432"
		for _, one := range attempts(ctx, witness, gone) {
			if one.Target == direct {
				Expect(one.Outcome).To(Equal(attempt.Open), "%+v", one)
			}
		}
	}, NodeTimeout(time.Minute))

	It("lets nobody with the role edit into its pods, or into pods that may read it", func(ctx SpecContext) {
		ordinary := start(ctx, agent(entrustee, "ordinary", "dial", port))
		editorOf(ctx, entrustee)
		Eventually(func() string {
			output, _ := kubectl(ctx, "", "exec", "--as=editor", "--namespace="+entrustee, ordinary.Name, "--", "/agent") // it fails: nothing to do
			return output
		}).WithContext(ctx).Should(ContainSubstring("usage: agent"), "into a pod that declares nothing")

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
				Expect(output).To(ContainSubstring("may not intervene"), "%s in %s", command, namespace)
			}
		}
	}, NodeTimeout(time.Minute))
})

// opening is a policy in the namespace of the ledger that lets everybody reach pods.
func opening(name string, pods map[string]string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: ledgerIn, Name: name},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: pods}, Ingress: []networkingv1.NetworkPolicyIngressRule{{}},
		},
	}
}

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
