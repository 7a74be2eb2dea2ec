package operation

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/controllers/certificate"
	"entrustment.dev/operator/internal/certs"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
	"entrustment.dev/operator/test/service"
)

const namespace = "entrustment-system"

// rotations that both replicas go through.
const rotations = 4

// A certificate is replaced every few seconds, long before its end: on a busy machine everything takes a while.
var terms = certs.Terms{Lifetime: 10 * time.Minute, Renewal: 4 * time.Second, Settle: time.Second, Linger: 6 * time.Second}

func TestNoRequestIsLostWhileCertificatesChange(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(2 * time.Minute)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	admin, account, address := install(t)
	one, two := start(t, account), start(t, account)
	address.lead(one, two)
	g.Eventually(one.ready).Should(Succeed())
	g.Eventually(two.ready).Should(Succeed())
	g.Eventually(func(g Gomega) {
		ofOne, err := one.presents(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		ofTwo, err := two.presents(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(ofOne.Certificate[0]).To(Equal(ofTwo.Certificate[0]))
	}).Should(Succeed(), "two replicas share one certificate")
	first := authorities(t.Context(), g, admin)

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	answered, handshakes := &atomic.Int64{}, &atomic.Int64{}
	lost := make(chan error, 1000)
	for _, pod := range []struct {
		purpose string
		verdict func(error) bool
	}{
		{"delivery", func(err error) bool { return err == nil }},
		{"advertising", apierrors.IsForbidden},
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				err := admin.Create(ctx, builder.Pod("shop", "passing").Purpose(pod.purpose).Obj(), client.DryRunAll)
				switch {
				case ctx.Err() != nil:
				case pod.verdict(err):
					answered.Add(1)
				default:
					lost <- fmt.Errorf("a pod for %s: %w", pod.purpose, err)
				}
			}
		})
	}
	// Whoever goes by the bundle of a moment ago, as an API server does, trusts what either replica serves.
	served := map[*replica]*sync.Map{one: {}, two: {}}
	all.Go(func() {
		for ctx.Err() == nil {
			live := &admissionregistrationv1.MutatingWebhookConfiguration{}
			if err := admin.Get(ctx, types.NamespacedName{Name: certificate.ConfigurationName}, live); err != nil {
				continue
			}
			for _, r := range []*replica{one, two} {
				presented, err := r.presents(ctx)
				if ctx.Err() != nil {
					return
				}
				for i := range live.Webhooks {
					err = errors.Join(err, certs.Verify(presented, live.Webhooks[i].ClientConfig.CABundle, time.Now()))
				}
				if err != nil {
					lost <- fmt.Errorf("%s is not trusted: %w", r.webhook, err)
				}
				served[r].Store(string(presented.Certificate[0]), true)
				handshakes.Add(1)
			}
		}
	})

	for _, r := range []*replica{one, two} {
		g.Eventually(func() int { return count(served[r]) }).Should(BeNumerically(">", rotations))
	}
	g.Eventually(func() [][]byte { return authorities(ctx, g, admin) }).ShouldNot(ContainElement(first[0]), "it is served no more, and goes")
	stop()
	all.Wait()
	close(lost)
	for err := range lost {
		t.Error(err)
	}
	t.Logf("%d and %d certificates, %d pods judged, %d handshakes", count(served[one]), count(served[two]), answered.Load(), handshakes.Load())
	g.Expect(answered.Load()).To(BeNumerically(">", 100))
}

func TestADeletedSecretIsMadeAnewAndNoRequestLost(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(2 * time.Minute)
	g.SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	admin, account, address := install(t)
	only := start(t, account)
	address.lead(only)
	g.Eventually(only.ready).Should(Succeed())
	before, err := only.presents(t.Context())
	g.Expect(err).NotTo(HaveOccurred())

	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = namespace, certificate.SecretName
	g.Expect(admin.Delete(t.Context(), secret)).To(Succeed())
	g.Eventually(func(g Gomega) {
		if err := admin.Create(t.Context(), builder.Pod("shop", "passing").Purpose("delivery").Obj(), client.DryRunAll); err != nil {
			t.Errorf("a pod was not judged: %v", err)
		}
		now, err := only.presents(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(now.Certificate[0]).NotTo(Equal(before.Certificate[0]))
	}).Should(Succeed())
}

func count(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// authorities are those that the first webhook trusts.
func authorities(ctx context.Context, g Gomega, c client.Client) [][]byte {
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	g.Expect(c.Get(ctx, types.NamespacedName{Name: certificate.ConfigurationName}, live)).To(Succeed())
	return certs.Authorities(live.Webhooks[0].ClientConfig.CABundle)
}

// install returns a client of the administrator, the operator's account and the address at which the webhook is called.
func install(t *testing.T) (client.Client, *rest.Config, *turns) {
	t.Helper()
	g := NewWithT(t)
	definitions, err := crd.All()
	g.Expect(err).NotTo(HaveOccurred())
	plane, err := controlplane.Start(t.Context(), controlplane.Options{CRDs: definitions, Controllers: true})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(plane.Stop()).To(Succeed()) })
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	utilruntime.Must(apiextensionsv1.AddToScheme(scheme))
	config := plane.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	at := listen(t)
	g.Expect(manifests.Install(t.Context(), admin, at.Address(), "../../config/rbac")).To(Succeed())
	sample, err := manifests.Read("../../config/samples/minimal")
	g.Expect(err).NotTo(HaveOccurred())
	for _, object := range sample {
		if object.GetKind() != "Pod" {
			g.Expect(admin.Create(t.Context(), object)).To(Succeed())
		}
	}
	g.Expect(manifests.Install(t.Context(), admin, at.Address(), "../../config/webhook")).To(Succeed())
	account, err := plane.ServiceAccount(t.Context(), namespace, "entrustment-operator")
	g.Expect(err).NotTo(HaveOccurred())
	account.QPS = -1
	return admin, account, at
}

// replica is one operator of several.
type replica struct{ webhook, probes string }

func start(t *testing.T, account *rest.Config) *replica {
	t.Helper()
	g := NewWithT(t)
	r := &replica{free(t), free(t)}
	mgr, err := controllers.NewManager(account, controllers.Options{
		Clock: clock.RealClock{}, WebhookBindAddress: r.webhook, HealthProbeBindAddress: r.probes, MetricsBindAddress: "0",
		LeaderElection: true, Namespace: namespace, Certificates: terms,
	})
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
	return r
}

func (r *replica) ready() error {
	response, err := http.Get("http://" + r.probes + "/readyz?verbose") //nolint:noctx // a probe has none
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if text, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		return errors.New(string(text))
	}
	return nil
}

// presents is the certificate that the replica shows to whoever connects now.
func (r *replica) presents(ctx context.Context) (*tls.Certificate, error) {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // it is verified by the caller
	conn, err := dialer.DialContext(ctx, "tcp", r.webhook)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	presented := &tls.Certificate{}
	for _, each := range conn.(*tls.Conn).ConnectionState().PeerCertificates {
		presented.Certificate = append(presented.Certificate, bytes.Clone(each.Raw))
	}
	return presented, nil
}

// turns leads to one replica after the other.
type turns struct {
	*service.Service
	mu       sync.Mutex
	replicas []*replica
}

func listen(t *testing.T) *turns {
	t.Helper()
	a := &turns{}
	var err error
	if a.Service, err = service.Listen(a.next); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func (a *turns) lead(replicas ...*replica) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replicas = replicas
}

// next is one replica: what it does not answer is lost, and nobody else is asked.
func (a *turns) next(yield func(string) bool) {
	a.mu.Lock()
	if len(a.replicas) == 0 {
		a.mu.Unlock()
		return
	}
	next := a.replicas[0]
	a.replicas = append(a.replicas[1:len(a.replicas):len(a.replicas)], next)
	a.mu.Unlock()
	yield(next.webhook)
}

func free(t *testing.T) string {
	t.Helper()
	address, err := controlplane.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
