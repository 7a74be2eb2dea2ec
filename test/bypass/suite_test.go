package bypass

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

func TestBypass(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Bypass")
}

var (
	cluster *controlplane.ControlPlane
	scheme  = runtime.NewScheme()

	admin          client.Client // makes the world; nothing it does is a vector
	operatorWrites client.Client // likewise, in the operator's name
	operator       *process
)

var _ = BeforeSuite(func(ctx context.Context) {
	logf.SetLogger(GinkgoLogr)
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))

	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err = controlplane.Start(ctx, controlplane.Options{CRDs: definitions, Controllers: true})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(func() error { return cluster.Stop() })
	config := cluster.Config()
	config.QPS = -1
	admin, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: itself.name, Groups: itself.groups}
	operatorWrites, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	operator = &process{port: freePort(), probes: freePort()}
	install(ctx, "../../config/rbac")
	operator.config, err = cluster.ServiceAccount(ctx, "entrustment-system", "entrustment-operator")
	Expect(err).NotTo(HaveOccurred())
	populate(ctx)
	hire(ctx)
	install(ctx, "../../config/webhook") // only now: while nobody answers, it fails closed
	answeredAt(ctx, operator.port)
	operator.start()
	DeferCleanup(func() { operator.stop() })
	Eventually(operator.ready).Should(Succeed())
	people(ctx)
	recreate(ctx)
	Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "closing"}})).To(Succeed())
})

// install creates the objects of a directory.
func install(ctx context.Context, dir string) {
	GinkgoHelper()
	objects, err := manifests.Read(dir)
	Expect(err).NotTo(HaveOccurred())
	for _, object := range objects {
		setUp(ctx, object)
	}
}

// hooks are the operator's webhook configurations that exist.
func hooks(ctx context.Context) []*unstructured.Unstructured {
	GinkgoHelper()
	var found []*unstructured.Unstructured
	for _, kind := range []string{"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"} {
		object := &unstructured.Unstructured{}
		object.SetAPIVersion("admissionregistration.k8s.io/v1")
		object.SetKind(kind)
		err := admin.Get(ctx, client.ObjectKey{Name: "entrustment-operator"}, object)
		if client.IgnoreNotFound(err) != nil {
			Expect(err).NotTo(HaveOccurred())
		}
		if err == nil {
			found = append(found, object)
		}
	}
	return found
}

// answeredAt lets the API server call a port of this host: there is no node to run a Service.
func answeredAt(ctx context.Context, port int) {
	GinkgoHelper()
	for _, configuration := range hooks(ctx) {
		list, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks")
		for _, hook := range list {
			config := hook.(map[string]any)["clientConfig"].(map[string]any)
			if path, found, _ := unstructured.NestedString(config, "service", "path"); found {
				config["url"] = path
				delete(config, "service")
			}
			path := config["url"].(string)
			config["url"] = fmt.Sprintf("https://127.0.0.1:%d/%s", port, filepath.Base(path))
		}
		Expect(unstructured.SetNestedSlice(configuration.Object, list, "webhooks")).To(Succeed())
		Expect(admin.Update(ctx, configuration)).To(Succeed())
	}
}

func freePort() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// process is the operator as it runs in a cluster, but for its clock, which is a day behind: what has ended since, the
// API server alone knows.
type process struct {
	config       *rest.Config
	port, probes int

	stop func()
}

func (p *process) start() {
	GinkgoHelper()
	config := rest.CopyConfig(p.config)
	config.QPS = -1
	mgr, err := controllers.NewManager(config, controllers.Options{
		Clock:                  clocktesting.NewFakePassiveClock(time.Now().AddDate(0, 0, -1)),
		WebhookBindAddress:     fmt.Sprintf("127.0.0.1:%d", p.port),
		HealthProbeBindAddress: fmt.Sprintf("127.0.0.1:%d", p.probes),
		MetricsBindAddress:     "0",
		LeaderElection:         true,
		Namespace:              "entrustment-system",
		CredentialReaders:      true,
	})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	p.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-ended).To(Succeed())
	})
}

// ready is what the kubelet sees.
func (p *process) ready() error {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz?verbose", p.probes)) //nolint:noctx // a probe has none
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

// reviews is how many reviews the webhook has answered, whatever they were about.
func reviews() int {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	total := 0
	for _, family := range families {
		if family.GetName() == "controller_runtime_webhook_requests_total" {
			for _, metric := range family.GetMetric() {
				total += int(metric.GetCounter().GetValue())
			}
		}
	}
	return total
}
