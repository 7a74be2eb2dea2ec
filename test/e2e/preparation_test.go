package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/test/e2e/attempt"
)

// scratch is a namespace for pods that have nothing to do with the policy.
const scratch = "e2e"

var (
	landmark string      // a target in the cluster that every pod reaches which may go where it will
	witness  *corev1.Pod // one of the controller's own, which reaches the ledger and the archive all the time
)

// lookAtCluster sees that the suite can run in the cluster, lest every spec wait for what cannot come.
func lookAtCluster(ctx SpecContext) {
	GinkgoHelper()
	_, err := exec.LookPath("kubectl")
	Expect(err).NotTo(HaveOccurred(), "the suite calls kubectl")
	_, err = clientset.Discovery().ServerVersion()
	Expect(err).NotTo(HaveOccurred(), "the cluster of KUBECONFIG does not answer")
	everything := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Group: "*", Resource: "*", Verb: "*"},
	}}
	Expect(admin.Create(ctx, everything)).To(Succeed())
	Expect(everything.Status.Allowed).To(BeTrue(),
		"the suite writes policies, impersonates people and stops the operator; the user of KUBECONFIG has to be an administrator of the cluster")
}

// lookAtOperator sees that the operator is installed and ready.
func lookAtOperator(ctx SpecContext) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		operator := &appsv1.Deployment{}
		err := admin.Get(ctx, operatorKey, operator)
		if apierrors.IsNotFound(err) {
			StopTrying(fmt.Sprintf("there is no Deployment %s: install the operator as docs/install.md says", operatorKey)).Now()
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(operator.Status.AvailableReplicas).To(BeNumerically(">", 0), "the operator is installed, and no replica is ready")
	}).WithContext(ctx).Should(Succeed())
}

// lookAtNetwork sees that the images of the suite are there and that policies are enforced. The landmark stays until the end.
func lookAtNetwork(ctx SpecContext) {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: scratch}}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, namespace))).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { Expect(client.IgnoreNotFound(admin.Delete(ctx, namespace))).To(Succeed()) })
	landmark = targetOf(start(ctx, agent(scratch, "landmark", "listen", "8080")))
	start(ctx, agent(scratch, "database").With(func(pod *corev1.Pod) {
		container := &pod.Spec.Containers[0]
		container.Image, container.ImagePullPolicy = imageOf("postgres")
		container.Command, container.Stdin = []string{"cat"}, true // it waits
	}))

	gate := targetOf(start(ctx, agent(scratch, "gate", "listen", "8080").Label("app", "gate")))
	traveller := start(ctx, agent(scratch, "traveller", "dial", gate, landmark))
	comesTo(ctx, traveller, gate, attempt.Open, time.Time{})
	shut := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: scratch, Name: "gate"},
		Spec:       networkingv1.NetworkPolicySpec{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "gate"}}},
	}
	written := time.Now()
	Expect(admin.Create(ctx, shut)).To(Succeed())
	var silence attempt.Attempt
	Eventually(func() attempt.Outcome {
		last := attempt.Open
		for _, one := range attempts(ctx, traveller, written) {
			if one.Target == gate && last == attempt.Open {
				last, silence = one.Outcome, one
			}
		}
		return last
	}).WithTimeout(30*time.Second).WithContext(ctx).Should(Equal(attempt.Silent),
		"the network plugin of this cluster lets through, or answers, what a NetworkPolicy denies; the suite takes one that drops it")
	measured("policy written → packets of new connections dropped", silence.Began.Sub(written))
	neverReaches(ctx, traveller, gate, silence.Began, control{reaches: landmark})
	Expect(admin.Delete(ctx, shut)).To(Succeed())
	comesTo(ctx, traveller, gate, attempt.Open, time.Now())
}

func targetOf(pod *corev1.Pod) string { return net.JoinHostPort(pod.Status.PodIP, "8080") }

// callWitness starts the witness.
func callWitness(ctx SpecContext) {
	GinkgoHelper()
	targets := []string{host(ledger) + ":5432", address(ctx, ledger) + ":5432"}
	if onOwnNode() {
		targets = append(targets, net.JoinHostPort(outside, "5432"))
	}
	witness = start(ctx, agent(own, "witness", append([]string{"dial"}, targets...)...).Purpose(ownUse))
	for _, target := range targets {
		comesTo(ctx, witness, target, attempt.Open, time.Time{})
	}
}
