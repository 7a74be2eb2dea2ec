package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"entrustment.dev/operator/api/v1alpha1"
)

var (
	config    *rest.Config
	admin     client.Client
	clientset *kubernetes.Clientset
	scheme    = runtime.NewScheme()
	figures   []string // measured, and printed at the end
)

var operatorKey = client.ObjectKey{Namespace: "entrustment-system", Name: "entrustment-operator"}

func TestEndToEnd(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	EnforceDefaultTimeoutsWhenUsingContexts()
	RunSpecs(t, "A real cluster")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	log.SetLogger(GinkgoLogr)
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	var err error
	config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	Expect(err).NotTo(HaveOccurred(), "set KUBECONFIG, or run `make e2e`")
	config.QPS, config.Burst = 200, 400
	admin, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	clientset, err = kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())

	By("looking at the cluster, its images and its network plugin")
	lookAtCluster(ctx)
	if !onOwnNode() {
		lookAtOperator(ctx)
	}
	lookAtNetwork(ctx)
	if onOwnNode() {
		By("installing the operator as docs/install.md says")
		install(ctx)
		lookAtOperator(ctx)
	}
	By("publishing the policy, and starting a database and the other stores")
	publish(ctx)
	if onOwnNode() {
		By("starting a database outside the cluster")
		entrustArchive(ctx)
	}
	By("waiting for a pod that reaches them")
	callWitness(ctx)
}, NodeTimeout(5*time.Minute))

var _ = ReportAfterSuite("what was measured", func(ctx SpecContext, report Report) {
	if !report.SuiteSucceeded {
		showPods(ctx)
	}
	for _, figure := range figures {
		fmt.Println("measured: " + figure)
	}
})

// measured notes a figure.
func measured(what string, took time.Duration) {
	figures = append(figures, fmt.Sprintf("%s: %d ms", what, took.Milliseconds()))
}

// onOwnNode tells whether the cluster is that of hack/node, which alone has a host outside, and no operator.
func onOwnNode() bool { return os.Getenv("ENTRUSTMENT_NODE") != "" }

func skipElsewhere() {
	if !onOwnNode() {
		Skip("it needs the node of `make e2e`")
	}
}

// showPods tells why a pod did not do what was expected.
func showPods(ctx context.Context) {
	pods := &corev1.PodList{}
	if admin.List(ctx, pods) != nil {
		return
	}
	for _, pod := range pods.Items {
		GinkgoWriter.Printf("%s/%s: %s %s\n", pod.Namespace, pod.Name, pod.Status.Phase, pod.Status.PodIP)
		for _, status := range pod.Status.ContainerStatuses {
			if status.State.Waiting != nil {
				GinkgoWriter.Printf("\t%s: %s\n", status.State.Waiting.Reason, status.State.Waiting.Message)
			}
		}
	}
}

var _ = ReportAfterEach(func(ctx SpecContext, report SpecReport) {
	if report.Failed() {
		showPods(ctx)
	}
})
