package sequence

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
	"entrustment.dev/operator/test/oracle"
)

var served = flag.Int("served", 2, "how many sequences to play on a real API server; ENTRUSTMENT_LONG=1 makes it 50 at least")

func TestServedSequences(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	RunSpecs(t, "Sequences")
}

var _ = Describe("On a real API server", Ordered, func() {
	var s *server

	BeforeAll(func(ctx context.Context) { s = serve(ctx) })

	It("is closed what was closed, write by write, through random sequences", func(ctx context.Context) {
		seed := *seedValue
		if seed == 0 {
			seed = rand.Uint64()
		}
		count := *served
		if os.Getenv("ENTRUSTMENT_LONG") == "1" {
			count = max(count, 50)
		}
		for n := *first; n < *first+uint64(count); n++ {
			operations := sequence(seed, n)
			By(fmt.Sprintf("-seed %d -first %d -served 1: %d operations", seed, n, len(operations)))
			s.reset(ctx)
			for i, o := range operations {
				s.perform(ctx, fmt.Sprintf("sequence %d of seed %d, operation %d, %s, of\n%s", n, seed, i, o.Name, describe(operations)), o)
			}
		}
		s.census.writes = s.witness.writes
		AddReportEntry("what happened", fmt.Sprintf("%+v", s.census))
	})
})

// server is a real API server, with an operator that follows what the world becomes there.
type server struct {
	client.Client
	operator *operator
	witness  *witness
	world    oracle.World
	census   census
	ways     map[types.UID]map[types.NamespacedName]bool // of pods
	going    map[string]bool                             // namespaces that were deleted since the last testimony
}

func serve(ctx context.Context) *server {
	GinkgoHelper()
	logf.SetLogger(GinkgoLogr)
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions, Controllers: true})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(func() error { return cluster.Stop() })
	config := cluster.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	address, err := controlplane.FreeAddress()
	Expect(err).NotTo(HaveOccurred())
	Expect(manifests.Install(ctx, admin, address, "../../../config/rbac", "../../../config/webhook")).To(Succeed())
	account, err := cluster.ServiceAccount(ctx, "entrustment-system", "entrustment-operator")
	Expect(err).NotTo(HaveOccurred())
	s := &server{Client: admin, operator: &operator{config: account, address: address}, ways: map[types.UID]map[types.NamespacedName]bool{}, going: map[string]bool{}}
	s.witness = watchAll(ctx, config, scheme)
	s.operator.start()
	DeferCleanup(func() { s.operator.stop() })
	s.answers(ctx)
	return s
}

// answers waits for the webhooks: they fail closed until the operator answers, and it answers once it knows everything.
func (s *server) answers(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() error {
		return s.Create(ctx, builder.Purpose("probe").Controller(controller).Obj(), client.DryRunAll)
	}).Should(Succeed())
}

// operator is a whole one, with the clock that the API server has.
type operator struct {
	config  *rest.Config
	address string
	stop    func()
}

func (o *operator) start() {
	GinkgoHelper()
	config := rest.CopyConfig(o.config)
	config.QPS = -1
	mgr, err := controllers.NewManager(config, controllers.Options{
		Clock: clock.RealClock{}, WebhookBindAddress: o.address, HealthProbeBindAddress: "0", MetricsBindAddress: "0",
		LeaderElection: true, Namespace: "entrustment-system",
	})
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	o.stop = func() {
		cancel()
		Expect(<-ended).To(Succeed())
	}
}

// reset brings the server to the beginning of a sequence.
func (s *server) reset(ctx context.Context) {
	GinkgoHelper()
	Expect(s.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace("n-"+controller), client.GracePeriodSeconds(0))).To(Succeed())
	for _, party := range entrustees {
		Expect(s.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace("n-"+party), client.GracePeriodSeconds(0))).To(Succeed())
	}
	fresh := begin(time.Now())
	if s.world.Namespaces != nil { // those of before are kept, and bound anew: one of them may have been made anew while it was bound
		unbound := fresh.Clone()
		for _, p := range unbound.Processors {
			p.Spec.Namespaces, p.Status.Namespaces = nil, nil
		}
		for _, w := range []*oracle.World{&fresh, &unbound} {
			w.Namespaces = s.world.Namespaces
		}
		for _, p := range fresh.Processors {
			p.Status.Namespaces[0].UID = fresh.Namespaces[p.Status.Namespaces[0].Name]
		}
		s.changing(ctx, unbound, "before the beginning")
	}
	s.changing(ctx, fresh, "at the beginning")
}

// changing changes more than one thing: what is open between two of the writes is not held against anybody.
func (s *server) changing(ctx context.Context, next oracle.World, what string) {
	GinkgoHelper()
	Eventually(func() error { return s.become(ctx, next) }).Should(Succeed(), what)
	for _, d := range declarations {
		s.going[d.namespace] = true
	}
	s.settles(ctx, what)
}

// perform does an operation, and waits until the operator has followed.
func (s *server) perform(ctx context.Context, what string, o Operation) {
	GinkgoHelper()
	s.census.operations++
	s.world.Now = time.Now()
	if o.start != nil {
		s.start(ctx, what, o.start)
		return
	}
	next := s.world.Clone()
	o.change(&next)
	if next.Now.After(time.Now()) {
		return // the API server's clock cannot be set
	}
	Eventually(func() error { // until the API server trusts an operator that was started anew
		err := s.become(ctx, next)
		if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
			s.census.refused++ // a child that asks for more than its parent gives, for one
			return nil
		}
		return err
	}).Should(Succeed(), what)
	if s.census.operations%25 == 0 {
		s.census.restarts++
		s.operator.stop()
		s.operator.start()
		s.answers(ctx)
	}
	s.settles(ctx, what)
}

// become writes whatever differs between two worlds, and leaves it at what was refused.
func (s *server) become(ctx context.Context, next oracle.World) error {
	for namespace, uid := range next.Namespaces {
		if s.world.Namespaces[namespace] != uid {
			s.recreate(ctx, namespace)
		}
	}
	var refused []error
	for _, p := range next.Purposes {
		refused = append(refused, ensure(ctx, s, p, &v1alpha1.Purpose{}, func(live, want *v1alpha1.Purpose) { live.Spec = want.Spec }))
	}
	for _, p := range next.Processors {
		refused = append(refused, ensure(ctx, s, p, &v1alpha1.DataProcessor{}, func(live, want *v1alpha1.DataProcessor) { live.Spec = want.Spec }))
	}
	for _, st := range next.Stores {
		refused = append(refused, ensure(ctx, s, st, &v1alpha1.PersonalDataStore{}, func(live, want *v1alpha1.PersonalDataStore) { live.Spec = want.Spec }))
	}
	for _, e := range next.Entrustments {
		refused = append(refused, s.conclude(ctx, e))
	}
	if err := cmp.Or(refused...); err != nil {
		return err
	}
	s.world = next
	return nil
}

// ensure makes an object, or gives it another content. What admission refuses is returned.
func ensure[O client.Object](ctx context.Context, s *server, want, live O, content func(live, want O)) error {
	err := s.Get(ctx, client.ObjectKeyFromObject(want), live)
	if apierrors.IsNotFound(err) {
		fresh := want.DeepCopyObject().(O)
		fresh.SetResourceVersion("")
		return s.Create(ctx, fresh)
	}
	if err != nil {
		return err
	}
	before := live.DeepCopyObject().(O)
	content(live, want)
	if equality.Semantic.DeepEqual(before, live) {
		return nil
	}
	return s.Patch(ctx, live, client.MergeFrom(before))
}

// conclude brings a contract to what it is to be: with its term, ended by deletion, or concluded anew after its disposal.
func (s *server) conclude(ctx context.Context, want *v1alpha1.Entrustment) error {
	live := &v1alpha1.Entrustment{}
	err := s.Get(ctx, client.ObjectKeyFromObject(want), live)
	gone := apierrors.IsNotFound(err)
	switch {
	case err != nil && !gone:
		return err
	case want.DeletionTimestamp != nil && (gone || live.DeletionTimestamp != nil):
		return nil
	case want.DeletionTimestamp != nil:
		return s.Delete(ctx, live)
	case !gone && live.DeletionTimestamp != nil:
		s.dispose(ctx, live)
	}
	return ensure(ctx, s, want, &v1alpha1.Entrustment{}, func(live, want *v1alpha1.Entrustment) { live.Spec = want.Spec })
}

// dispose records that the data were erased, which lets a contract go.
func (s *server) dispose(ctx context.Context, live *v1alpha1.Entrustment) {
	GinkgoHelper()
	before := live.DeepCopy()
	live.Spec.Disposal = &v1alpha1.Disposal{CompletedDate: time.Now().UTC().Format(time.DateOnly), EvidenceURL: "https://example.com/certificate"}
	Expect(client.IgnoreNotFound(s.Patch(ctx, live, client.MergeFrom(before)))).To(Succeed())
	Eventually(func() bool { return apierrors.IsNotFound(s.Get(ctx, client.ObjectKeyFromObject(live), live)) }).
		Should(BeTrue(), func() string {
			text := "Entrustment " + live.Name + " goes once its disposal is recorded"
			for _, c := range live.Status.Conditions {
				text += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
			}
			return text
		})
	s.world.Entrustments = slices.DeleteFunc(slices.Clone(s.world.Entrustments), func(e *v1alpha1.Entrustment) bool { return e.Name == live.Name })
}

// recreate makes a namespace anew, with the Secrets that its stores name.
func (s *server) recreate(ctx context.Context, name string) {
	GinkgoHelper()
	namespace := builder.Namespace(name)
	s.going[name] = true
	err := s.Delete(ctx, namespace)
	if apierrors.IsNotFound(err) && slices.ContainsFunc(stores, func(key types.NamespacedName) bool { return key.Namespace == name }) {
		Expect(s.Create(ctx, builder.Namespace(name))).To(Succeed())
		for _, key := range stores {
			if key.Namespace == name {
				Expect(s.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: "reader-of-" + key.Name}})).To(Succeed())
			}
		}
		return
	}
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	Eventually(func() bool { return apierrors.IsNotFound(s.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)) }).Should(BeTrue(), "namespace %s goes", name)
	Expect(s.Create(ctx, builder.Namespace(name))).To(Succeed())
}

// start a pod; what is granted and in force gets in, and nothing else.
func (s *server) start(ctx context.Context, what string, p *pod) {
	GinkgoHelper()
	object := builder.Pod(p.namespace, fmt.Sprintf("pod-%d", s.census.operations)).Purpose(p.purpose)
	if p.entrustment != "" {
		object.Entrustment(p.entrustment)
	}
	allowed := entrustment.Compile(s.world.Inputs, s.world.Now).AuthorizePod(p.namespace, p.purpose, p.entrustment).Allowed()
	Eventually(func() error { // the ServiceAccount of a namespace that was just made, and a parameter that the rules have yet to see
		err := s.Create(ctx, object.Obj())
		switch {
		case allowed || err == nil:
			return err
		case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
			return nil
		}
		return err
	}).Should(Succeed(), what)
	if allowed {
		s.census.admitted++
	} else {
		err := s.Get(ctx, client.ObjectKeyFromObject(object.Obj()), &corev1.Pod{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%s: a pod that is granted nothing got in", what)
	}
}

// settles waits until the cluster is what the world authorises: no more is open, no less, and nobody runs who lost a way.
func (s *server) settles(ctx context.Context, what string) {
	GinkgoHelper()
	var live *player
	Eventually(func() string {
		var err error
		if live, err = s.observe(ctx); err != nil {
			return err.Error()
		}
		if wrong := live.settled(); wrong != "" {
			return wrong
		}
		if !s.witness.sees(live.cluster) {
			return "the watch is behind"
		}
		return ""
	}).Should(BeEmpty(), what)
	live.connect()
	Expect(s.witness.testify(live, s.going)).To(BeEmpty(), what)
	s.going = map[string]bool{}
}

// observe reads the cluster into the model, which judges it.
func (s *server) observe(ctx context.Context) (*player, error) {
	c := newCluster()
	policies, shown, secrets, pods := &networkingv1.NetworkPolicyList{}, &v1alpha1.PersonalDataAccessList{}, &corev1.SecretList{}, &corev1.PodList{}
	managed := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	for list, options := range map[client.ObjectList][]client.ListOption{
		policies: nil, shown: nil, secrets: {managed}, pods: {client.HasLabels{v1alpha1.LabelPurpose}},
	} {
		if err := s.List(ctx, list, options...); err != nil {
			return nil, err
		}
	}
	for i := range policies.Items {
		c.policies[client.ObjectKeyFromObject(&policies.Items[i])] = policy{typed: &policies.Items[i]}
	}
	for i := range shown.Items {
		c.access[shown.Items[i].Namespace] = access{typed: &shown.Items[i]}
	}
	for i := range secrets.Items {
		if _, delivered := render.Delivered(&secrets.Items[i]); delivered {
			c.secrets[client.ObjectKeyFromObject(&secrets.Items[i])] = true
		}
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		c.pods = append(c.pods, &pod{
			name: p.Name, namespace: p.Namespace, purpose: p.Labels[v1alpha1.LabelPurpose], entrustment: p.Labels[v1alpha1.LabelEntrustment],
			ways: s.ways[p.UID],
		})
		if s.ways[p.UID] == nil {
			s.ways[p.UID] = map[types.NamespacedName]bool{}
			c.pods[i].ways = s.ways[p.UID]
		}
	}
	s.world.Now = time.Now()
	return &player{world: s.world, cluster: c, snapshot: entrustment.Compile(s.world.Inputs, s.world.Now)}, nil
}
