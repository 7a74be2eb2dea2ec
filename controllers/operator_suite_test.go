package controllers_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers"
	auditledger "entrustment.dev/operator/internal/ledger"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

func TestOperator(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "Operator")
}

var japan = time.FixedZone("JST", 9*60*60)

// year in whose April the policy's contracts begin. The rules of the API server go by its clock, which nobody can set, so
// the contracts have to be in force when this is run.
var year = time.Now().In(japan).AddDate(0, -3, 0).Year()

// noon is when the policy's own examples are decided.
var noon = time.Date(year, time.November, 23, 12, 0, 0, 0, japan)

var (
	admin    client.Client // bypasses RBAC, as the people who write policies do not
	itself   client.Client // in the operator's name, for drift that the rules let nobody else bring about
	warned   = &warnings{}
	now      = clocktesting.NewFakePassiveClock(noon)
	operator *process

	connection *rest.Config // of the admin, who may impersonate
)

var _ = BeforeSuite(func(ctx context.Context) {
	logf.SetLogger(zap.New(zap.UseDevMode(true), zap.WriteTo(io.MultiWriter(GinkgoWriter, logged))))
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))

	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions, Controllers: true})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)

	config := cluster.Config()
	config.QPS = -1
	config.WarningHandler = warned
	admin, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	connection = config
	itself = as(admission.Operator, "system:masters")

	port := freePort()
	install(ctx, "../config/rbac", "")
	install(ctx, "../config/samples/policy", "")
	runStores(ctx)
	plant(ctx)
	install(ctx, "../config/webhook", fmt.Sprintf("127.0.0.1:%d", port)) // last: nobody answers yet

	// The operator is who it will be in a cluster: its ServiceAccount, with the role that ships.
	account, err := cluster.ServiceAccount(ctx, "entrustment-system", "entrustment-operator")
	Expect(err).NotTo(HaveOccurred())
	operator = &process{config: account, port: port, probes: freePort(), metrics: freePort(), ledger: record}
	operator.start()
	DeferCleanup(func(ctx context.Context) {
		operator.stop()
		proveLedger(ctx)
	})
})

// named is the connection of a user, who may do what RBAC says.
func named(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(connection)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// as is the client of a user.
func as(user string, groups ...string) client.Client {
	GinkgoHelper()
	who, err := client.New(named(user, groups...), client.Options{Scheme: admin.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	return who
}

// record is the ledger of the operator, over all its restarts.
var record = &lines{}

type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// proveLedger makes sure that no line of all that was recorded is missing, through every restart, and that all kinds are there.
func proveLedger(ctx context.Context) {
	GinkgoHelper()
	kept := &corev1.ConfigMap{}
	Expect(admin.Get(ctx, types.NamespacedName{Namespace: "entrustment-system", Name: v1alpha1.LedgerHeadsName}, kept)).To(Succeed())
	head, err := auditledger.ParseHead(kept.Data["replica-0"])
	Expect(err).NotTo(HaveOccurred())
	text := record.String()
	report, err := auditledger.Verify(strings.NewReader(text), map[string]auditledger.Head{"replica-0": head})
	Expect(err).NotTo(HaveOccurred())
	Expect(report.Problems).To(BeEmpty())
	for _, event := range []auditledger.Event{auditledger.Started, auditledger.GrantMade, auditledger.GrantWithdrawn, auditledger.Refused, auditledger.Intervened, auditledger.DriftRepaired,
		auditledger.Suspended, auditledger.Resumed, auditledger.ContractEnded, auditledger.ContractTerminated,
		auditledger.DisposalRecorded, auditledger.ReviewRecorded, auditledger.ApprovalGiven, auditledger.ApprovalWithdrawn,
	} {
		Expect(text).To(ContainSubstring(`"event":"` + string(event) + `"`))
	}
}

// install creates the objects of a directory, but no workloads. Webhooks are called at an address: no node runs a Service.
func install(ctx context.Context, dir, webhook string) {
	GinkgoHelper()
	objects, err := manifests.Read(dir)
	Expect(err).NotTo(HaveOccurred())
	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			continue
		}
		Expect(manifests.CallDirectly(object, webhook)).To(Succeed())
		Expect(manifests.MoveToYear(object, year)).To(Succeed())
		Expect(admin.Create(ctx, object)).To(Succeed(), "%s: %s", dir, object.GetName())
	}
}

// runStores makes a pod of each store: a store is not called isolated before its selector has matched one.
func runStores(ctx context.Context) {
	GinkgoHelper()
	stores := &v1alpha1.PersonalDataStoreList{}
	Expect(admin.List(ctx, stores)).To(Succeed())
	for _, store := range stores.Items {
		pod := builder.Pod(store.Namespace, store.Name+"-0")
		for key, value := range store.Spec.Endpoint.PodSelector.MatchLabels {
			pod.Label(key, value)
		}
		Expect(admin.Create(ctx, pod.Obj())).To(Succeed())
	}
}

func freePort() int {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// process is the operator as it runs in a cluster, but for its clock, with its requests watched.
type process struct {
	config       *rest.Config
	port, probes int
	metrics      int // 0: off

	stop   func()
	writes writes
	gate   gate
	cable  cable

	ledger  io.Writer
	silence time.Duration
}

func (p *process) start() {
	GinkgoHelper()
	config := rest.CopyConfig(p.config)
	config.QPS = -1
	config.Wrap(p.writes.count)
	config.Wrap(p.gate.hold)
	config.Wrap(p.cable.carry)
	mgr, err := controllers.NewManager(config, controllers.Options{
		Clock: now, Lookout: 100 * time.Millisecond, Recheck: 200 * time.Millisecond,
		WebhookBindAddress:     fmt.Sprintf("127.0.0.1:%d", p.port),
		HealthProbeBindAddress: fmt.Sprintf("127.0.0.1:%d", p.probes),
		MetricsBindAddress:     p.metricsAddress(),
		LeaderElection:         true,
		Namespace:              "entrustment-system",
		Ledger:                 p.ledger,
		Replica:                "replica-0",
		RevocationGrace:        7 * time.Second,
		CredentialReaders:      true,
		Silence:                p.silence,
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

func (p *process) metricsAddress() string {
	if p.metrics == 0 {
		return "0"
	}
	return fmt.Sprintf("127.0.0.1:%d", p.metrics)
}

// leader is who holds the lease; empty: nobody, or it was given back.
func leader(ctx context.Context) string {
	GinkgoHelper()
	lease := &coordinationv1.Lease{}
	Expect(client.IgnoreNotFound(admin.Get(ctx, types.NamespacedName{Namespace: "entrustment-system", Name: "entrustment-operator"}, lease))).To(Succeed())
	return ptr.Deref(lease.Spec.HolderIdentity, "")
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

// writes counts what changed the cluster: what the API server refused did not. Events are told, not kept, the lease is the
// process's own, and a review of somebody's access is a question.
type writes struct {
	mu     sync.Mutex
	list   []string // methods and paths
	bodies []string // of each
}

func (w *writes) count(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err != nil || response.StatusCode >= http.StatusBadRequest || r.Method == http.MethodGet || strings.Contains(r.URL.Path, "/events") ||
			strings.Contains(r.URL.Path, "/leases") || strings.Contains(r.URL.Path, "/configmaps") || strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") {
			return response, err
		}
		body := ""
		if r.GetBody != nil {
			if sent, err := r.GetBody(); err == nil {
				text, _ := io.ReadAll(sent)
				body = string(text)
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list, w.bodies = append(w.list, r.Method+" "+r.URL.Path), append(w.bodies, body)
		return response, nil
	})
}

// since returns what was written after a number of writes.
func (w *writes) since(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list[n:len(w.list):len(w.list)]
}

// repeated is what was sent more than once after a number of writes, each time with the same content.
func (w *writes) repeated(n int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	type write struct{ request, body string }
	seen, again := map[write]bool{}, []string(nil)
	for i := n; i < len(w.list); i++ {
		sent := write{w.list[i], w.bodies[i]}
		if seen[sent] {
			again = append(again, sent.request+" "+sent.body)
		}
		seen[sent] = true
	}
	return again
}

// gate holds back what the operator reads of one resource while it is shut.
type gate struct{ shut atomic.Pointer[gateState] }

type gateState struct {
	resource string
	opened   chan struct{}
}

func (g *gate) close(resource string) (open func()) {
	state := &gateState{resource: resource, opened: make(chan struct{})}
	g.shut.Store(state)
	return sync.OnceFunc(func() { close(state.opened); g.shut.Store(nil) })
}

func (g *gate) hold(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if state := g.shut.Load(); state != nil && strings.HasSuffix(r.URL.Path, "/"+state.resource) {
			select {
			case <-state.opened:
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		return next.RoundTrip(r)
	})
}

// cable leads to the API server. Once it is cut nothing gets through, and nobody is told: watches stay open, and silent.
type cable struct{ cut atomic.Bool }

func (c *cable) carry(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if c.cut.Load() {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		response, err := next.RoundTrip(r)
		if err == nil {
			response.Body = &carried{ReadCloser: response.Body, cable: c}
		}
		return response, err
	})
}

type carried struct {
	io.ReadCloser
	cable *cable
}

func (c *carried) Read(into []byte) (int, error) {
	for {
		n, err := c.ReadCloser.Read(into)
		if err != nil || !c.cable.cut.Load() {
			return n, err
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// warnings are what kubectl would print.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code != 299 || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// during returns the warnings that a call gave rise to.
func (w *warnings) during(call func()) []string {
	w.mu.Lock()
	w.list = nil
	w.mu.Unlock()
	call()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.list
}

// reviews is how many reviews the webhook answered.
func reviews(path string) int {
	GinkgoHelper()
	return int(counted("controller_runtime_webhook_requests_total", "webhook")[path])
}

// counted is what a metric counts, by the value of a label. A histogram counts what it observed.
func counted(name, label string) map[string]float64 {
	GinkgoHelper()
	families, err := metrics.Registry.Gather()
	Expect(err).NotTo(HaveOccurred())
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if pair.GetName() == label {
					counts[pair.GetValue()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + float64(metric.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return counts
}
