// Package integration asks a real API server what unit tests cannot know: what it accepts, refuses, defaults and prints.
package integration

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
)

var (
	controlPlane *envtest.Environment
	cfg          *rest.Config  // of an administrator
	k8s          client.Client // likewise
	scheme       = runtime.NewScheme()
)

func init() {
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
}

func TestIntegration(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Integration")
}

var _ = BeforeSuite(func() {
	logf.SetLogger(GinkgoLogr)

	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())

	controlPlane = &envtest.Environment{
		Scheme:            scheme,
		CRDInstallOptions: envtest.CRDInstallOptions{CRDs: definitions},
	}
	DeferCleanup(controlPlane.Stop)
	cfg, err = controlPlane.Start()
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")

	k8s, err = client.New(cfg, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
})
