package revocation

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

func TestRevocation(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Revocation")
}

// What all specs have: a data controller that handles its own data for billing.
const (
	home    = "home" // its namespace
	billing = "billing"
)

var (
	admin    client.WithWatch
	operator *process
	seen     *record
)

// The order is that of the work: what comes last leaves much behind.
var _ = Describe("Revocation", func() {
	describeSweep()
	describeKilled()
	describeChain()
	describeReports()
	describeEnds()
	describeGoing()
	describeLate()
	describeExpiry()
})

var _ = BeforeSuite(func(ctx context.Context) {
	logf.SetLogger(GinkgoLogr)
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
	admin, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	create(ctx, builder.Purpose(billing).Obj(), builder.Processor(builder.Controller).Namespace(home).Obj(), namespaced(home))
	plantUnjudged(ctx)

	address, err := controlplane.FreeAddress()
	Expect(err).NotTo(HaveOccurred())
	Expect(manifests.Install(ctx, admin, address, "../../config/rbac", "../../config/webhook")).To(Succeed()) // last: nobody answers yet
	account, err := cluster.ServiceAccount(ctx, "entrustment-system", "entrustment-operator")
	Expect(err).NotTo(HaveOccurred())
	seen = watchAll(ctx)
	operator = &process{config: account, address: address}
	operator.start(ctx)
	DeferCleanup(func() { operator.stop() })
})

// process is the operator as it runs in a cluster, with its requests watched. It holds no lease: the one of an operator that was
// killed would have to run out before the next may begin.
type process struct {
	config  *rest.Config
	address string
	wire    *wire
	stop    func()
}

// start returns when the webhooks answer, and so everything is known.
func (p *process) start(ctx context.Context) {
	GinkgoHelper()
	p.wire = newWire()
	config := rest.CopyConfig(p.config)
	config.QPS = -1
	config.Wrap(p.wire.carry)
	mgr, err := controllers.NewManager(config, controllers.Options{
		Clock: clock.RealClock{}, WebhookBindAddress: p.address, HealthProbeBindAddress: "0", MetricsBindAddress: "0",
		Namespace: "entrustment-system", RevocationGrace: 2 * time.Second,
	})
	Expect(err).NotTo(HaveOccurred())
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	p.stop = func() {
		cancel()
		Expect(<-ended).To(Succeed())
	}
	Eventually(func() error { return admin.Create(ctx, builder.Purpose("probe").Obj(), client.DryRunAll) }).Should(Succeed())
}

// restart ends the operator in order, and begins anew.
func (p *process) restart(ctx context.Context) {
	GinkgoHelper()
	p.stop()
	p.start(ctx)
}

func namespaced(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func source(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{"password": []byte("secret")}}
}

// create makes objects one after the other. What is new to the API server, or to the operator, may be refused for a moment.
func create(ctx context.Context, objects ...client.Object) {
	GinkgoHelper()
	for _, object := range objects {
		Eventually(func() error { return admin.Create(ctx, object) }).Should(Succeed(), "%T %s", object, object.GetName())
	}
}

// change patches an object to what the change makes of it.
func change[O client.Object](ctx context.Context, object O, alter func(O)) {
	GinkgoHelper()
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
	before := object.DeepCopyObject().(O)
	alter(object)
	Expect(admin.Patch(ctx, object, client.MergeFrom(before))).To(Succeed())
}

func suspend(ctx context.Context, contract string, suspended bool) {
	GinkgoHelper()
	change(ctx, &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: contract}}, func(e *v1alpha1.Entrustment) {
		e.Spec.Suspended, e.Spec.SuspendedReason = suspended, ""
		if suspended {
			e.Spec.SuspendedReason = "incident"
		}
	})
}

// shown is the PersonalDataAccess of a namespace; nil: there is none.
func shown(ctx context.Context, namespace string) *v1alpha1.PersonalDataAccess {
	GinkgoHelper()
	access := &v1alpha1.PersonalDataAccess{}
	err := admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: v1alpha1.PersonalDataAccessName}, access)
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	if err != nil {
		return nil
	}
	return access
}

// noted are the contracts of which a namespace notes that pods may be left.
func noted(ctx context.Context, namespace string) (contracts []string) {
	GinkgoHelper()
	if access := shown(ctx, namespace); access != nil {
		for _, d := range access.Draining {
			contracts = append(contracts, d.Entrustment)
		}
	}
	return contracts
}

// granted are the contracts under which a namespace is granted something.
func granted(ctx context.Context, namespace string) (contracts []string) {
	GinkgoHelper()
	if access := shown(ctx, namespace); access != nil {
		for _, g := range access.Grants {
			contracts = append(contracts, g.Entrustment)
		}
	}
	return contracts
}

// lives says whether the very pod is there and was not told to end.
func lives(ctx context.Context, pod *corev1.Pod) bool {
	GinkgoHelper()
	live := &corev1.Pod{}
	err := admin.Get(ctx, client.ObjectKeyFromObject(pod), live)
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	return err == nil && live.UID == pod.UID && live.DeletionTimestamp == nil
}

// under is a pod that acts under a contract.
func under(contract, namespace, name string) *builder.PodBuilder {
	return builder.Pod(namespace, name).Purpose(billing).Entrustment(contract).Deadline(600)
}
