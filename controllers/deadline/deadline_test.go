package deadline_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/controllers/deadline"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

func TestDeadlines(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "Deadlines")
}

var (
	noon  = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	admin client.Client
	own   *rest.Config // the operator's, with the rights that ship
)

const hour = int64(time.Hour / time.Second)

var _ = BeforeSuite(func(ctx context.Context) {
	logf.SetLogger(GinkgoLogr)
	cluster, err := controlplane.Start(ctx, controlplane.Options{})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	config := cluster.Config()
	config.QPS = -1
	admin, err = client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	Expect(err).NotTo(HaveOccurred())
	own = rest.CopyConfig(config)
	own.Impersonate = rest.ImpersonationConfig{UserName: admission.Operator, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	Expect(manifests.Install(ctx, admin, "", "../../config/rbac")).To(Succeed())
})

// world has a namespace of the data controller, and one of a biller whose contract ends two hours after noon.
type world struct {
	inputs      entrustment.Inputs
	own, biller string
	publisher   *snapshot.Publisher
	stop        func()

	mu     sync.Mutex
	writes []string
}

func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	w := &world{publisher: &snapshot.Publisher{}}
	for kind, name := range map[string]*string{"own-": &w.own, "biller-": &w.biller} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: kind}}
		Expect(admin.Create(ctx, namespace)).To(Succeed())
		*name = namespace.Name
	}
	w.inputs = entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace(w.own).Obj(), builder.Processor("biller").Namespace(w.biller).Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").NotAfter(noon.Add(2 * time.Hour)).Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj()},
	}
	w.publish()
	w.start()
	DeferCleanup(func() { w.stop() })
	return w
}

func (w *world) publish() { w.publisher.Publish(entrustment.Compile(w.inputs, noon)) }

// contract changes it.
func (w *world) contract(change func(*v1alpha1.EntrustmentSpec)) {
	changed := w.inputs.Entrustments[0].DeepCopy()
	change(&changed.Spec)
	w.inputs.Entrustments = []*v1alpha1.Entrustment{changed}
	w.publish()
}

func (w *world) start() {
	GinkgoHelper()
	config := rest.CopyConfig(own)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method != http.MethodGet {
				w.mu.Lock()
				w.writes = append(w.writes, r.Method+" "+r.URL.Path)
				w.mu.Unlock()
			}
			return next.RoundTrip(r)
		})
	})
	mgr, err := manager.New(config, manager.Options{
		Scheme: clientgoscheme.Scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: controllerconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	reconciler := &deadline.Reconciler{Publisher: w.publisher, Cache: mgr.GetCache(), Writer: apply.NewWriter(mgr.GetClient(), "deadline")}
	Expect(reconciler.SetupWithManager(mgr)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-ended).To(Succeed())
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (w *world) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.writes...)
}

// run makes a pod under the contract and lets it start, as a kubelet would say.
func (w *world) run(ctx context.Context, name string, start time.Time, change ...func(*builder.PodBuilder)) *corev1.Pod {
	GinkgoHelper()
	made := builder.Pod(w.biller, name).Purpose("billing").Entrustment("fees")
	for _, c := range change {
		c(made)
	}
	pod := made.Obj()
	Expect(admin.Create(ctx, pod)).To(Succeed())
	pod.Status.Phase, pod.Status.StartTime = corev1.PodRunning, ptr.To(metav1.NewTime(start))
	Expect(admin.Status().Update(ctx, pod)).To(Succeed())
	return pod
}

func deadlineOf(seconds int64) func(*builder.PodBuilder) {
	return func(p *builder.PodBuilder) { p.Deadline(seconds) }
}

// of is the deadline of a pod as it is now.
func of(ctx context.Context, pod *corev1.Pod) func(Gomega) *int64 {
	return func(g Gomega) *int64 {
		live := &corev1.Pod{}
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(pod), live)).To(Succeed())
		return live.Spec.ActiveDeadlineSeconds
	}
}

// idle waits until everything that happened before was acted on: a pod that starts last has its deadline. It costs a write.
func (w *world) idle(ctx context.Context, name string) {
	GinkgoHelper()
	last := w.run(ctx, name, noon, deadlineOf(1000*hour))
	Eventually(of(ctx, last)).Should(HaveValue(BeNumerically("<", 1000*hour)))
}

var _ = Describe("A pod under a contract", func() {
	var w *world
	BeforeEach(func(ctx context.Context) { w = newWorld(ctx) })

	It("ends with the contract, counted from its start, and costs one write", func(ctx context.Context) {
		pod := w.run(ctx, "invoices", noon.Add(30*time.Minute), deadlineOf(2*hour))
		Eventually(of(ctx, pod)).Should(HaveValue(Equal(hour + hour/2)))
		w.idle(ctx, "last")
		Expect(w.written()).To(ConsistOf(HaveSuffix("/pods/invoices"), HaveSuffix("/pods/last")))

		By("a restart")
		w.stop()
		w.start()
		w.idle(ctx, "later")
		Expect(w.written()).To(HaveLen(3))
	})

	It("is given a deadline if it has none", func(ctx context.Context) {
		Eventually(of(ctx, w.run(ctx, "invoices", noon))).Should(HaveValue(Equal(2 * hour)))
	})

	It("follows an end that is moved closer, and never one that is moved away", func(ctx context.Context) {
		pod := w.run(ctx, "invoices", noon, deadlineOf(2*hour))
		w.contract(func(e *v1alpha1.EntrustmentSpec) { e.NotAfter = metav1.NewTime(noon.Add(time.Hour)) })
		Eventually(of(ctx, pod)).Should(HaveValue(Equal(hour)))
		w.contract(func(e *v1alpha1.EntrustmentSpec) { e.NotAfter = metav1.NewTime(noon.Add(3 * time.Hour)) })
		w.idle(ctx, "last")
		Expect(of(ctx, pod)(NewWithT(GinkgoT()))).To(HaveValue(Equal(hour)))
		Expect(w.written()).To(ConsistOf(HaveSuffix("/pods/invoices"), HaveSuffix("/pods/last")))
	})

	It("is armed when its contract's deadline is switched on", func(ctx context.Context) {
		w.contract(func(e *v1alpha1.EntrustmentSpec) { e.PodDeadline = v1alpha1.PodDeadlineOff })
		pod := w.run(ctx, "invoices", noon)
		w.contract(func(e *v1alpha1.EntrustmentSpec) { e.PodDeadline = v1alpha1.PodDeadlineArmed })
		Eventually(of(ctx, pod)).Should(HaveValue(Equal(2 * hour)))
	})

	It("is left alone if it ends in time, has ended, has not started, or acts under nothing", func(ctx context.Context) {
		early := w.run(ctx, "early", noon, deadlineOf(hour))
		done := builder.Pod(w.biller, "done").Purpose("billing").Entrustment("fees").Deadline(3 * hour).Obj()
		Expect(admin.Create(ctx, done)).To(Succeed())
		done.Status.Phase, done.Status.StartTime = corev1.PodSucceeded, ptr.To(metav1.NewTime(noon))
		Expect(admin.Status().Update(ctx, done)).To(Succeed())
		pending := builder.Pod(w.biller, "pending").Purpose("billing").Entrustment("fees").Deadline(3 * hour).Obj()
		Expect(admin.Create(ctx, pending)).To(Succeed())
		handler := builder.Pod(w.own, "handler").Purpose("billing").Obj()
		Expect(admin.Create(ctx, handler)).To(Succeed())
		handler.Status.StartTime = ptr.To(metav1.NewTime(noon))
		Expect(admin.Status().Update(ctx, handler)).To(Succeed())
		stranger := w.run(ctx, "stranger", noon, func(p *builder.PodBuilder) { p.Entrustment("nothing") })
		w.idle(ctx, "last")
		for pod, want := range map[*corev1.Pod]OmegaMatcher{
			early: HaveValue(Equal(hour)), done: HaveValue(Equal(3 * hour)), pending: HaveValue(Equal(3 * hour)), handler: BeNil(), stranger: BeNil(),
		} {
			Expect(of(ctx, pod)(NewWithT(GinkgoT()))).To(want, pod.Name)
		}
	})
})
