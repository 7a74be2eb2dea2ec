package credentials_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/controllers/credentials"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/secrets"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

func TestCredentials(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	SetDefaultEventuallyPollingInterval(10 * time.Millisecond)
	RunSpecs(t, "Credentials")
}

var (
	noon   = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	scheme = clientgoscheme.Scheme
	admin  client.Client
	config *rest.Config // the operator's, with the rights that ship
)

var _ = BeforeSuite(func(ctx context.Context) {
	logf.SetLogger(GinkgoLogr)
	cluster, err := controlplane.Start(ctx, controlplane.Options{})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	own := cluster.Config()
	own.QPS = -1
	admin, err = client.New(own, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	config = cluster.Config()
	config.QPS = -1
	config.Impersonate = rest.ImpersonationConfig{UserName: admission.Operator, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	install(ctx, "../../config/rbac")
})

func install(ctx context.Context, dir string) {
	GinkgoHelper()
	Expect(manifests.Install(ctx, admin, "", dir)).To(Succeed())
}

// world is what one spec is about: a store in a namespace of its own, a namespace of the data controller, and one of an
// entrustee.
type world struct {
	inputs            entrustment.Inputs
	data, own, biller string
	store             *v1alpha1.PersonalDataStore

	publisher  *snapshot.Publisher
	recorder   *events.FakeRecorder
	readers    bool // whether accounts may read through the API
	now        *clocktesting.FakePassiveClock
	reconciler *credentials.Reconciler
	stop       func()

	mu         sync.Mutex
	violations []string
	writes     []string

	shut atomic.Pointer[gate] // before what the operator sees of Secrets; nil: it is open
}

// gate holds back what a watch has to tell until it is opened.
type gate struct {
	namespace string
	open      chan struct{}
}

// close holds back what happens to the Secrets of a namespace from now on.
func (w *world) close(namespace string) (open func()) {
	g := &gate{namespace, make(chan struct{})}
	w.shut.Store(g)
	return sync.OnceFunc(func() { w.shut.Store(nil); close(g.open) })
}

// watched is the body of a watch.
type watched struct {
	io.ReadCloser
	world     *world
	namespace string
}

func (b watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if g := b.world.shut.Load(); g != nil && g.namespace == b.namespace {
		<-g.open
	}
	return n, err
}

func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	w := &world{now: clocktesting.NewFakePassiveClock(noon), recorder: events.NewFakeRecorder(32), publisher: &snapshot.Publisher{}, stop: func() {}}
	for kind, name := range map[string]*string{"data-": &w.data, "own-": &w.own, "biller-": &w.biller} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: kind}}
		Expect(admin.Create(ctx, namespace)).To(Succeed())
		*name = namespace.Name
	}
	w.store = builder.Store(w.data, "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Credential("reader", "ledger-reader").Obj()
	w.inputs = entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace(w.own).Obj(), builder.Processor("biller").Namespace(w.biller).Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing").Stores(w.data + "/ledger").Obj()},
		Stores:       []*v1alpha1.PersonalDataStore{w.store},
	}
	return w
}

func (w *world) publish() {
	w.publisher.Publish(entrustment.Compile(w.inputs, w.now.Now()))
}

// end suspends the contract, or resumes it.
func (w *world) end(ended bool) {
	contract := w.inputs.Entrustments[0].DeepCopy()
	contract.Spec.Suspended = ended
	w.inputs.Entrustments = []*v1alpha1.Entrustment{contract}
	w.publish()
}

// start runs the operator as far as it is about credentials, with the rights that it has in a cluster.
func (w *world) start() {
	GinkgoHelper()
	own := rest.CopyConfig(config)
	own.Wrap(w.witness)
	mgr, err := manager.New(own, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"},
		Controller: controllerconfig.Controller{SkipNameValidation: ptr.To(true)},
	})
	Expect(err).NotTo(HaveOccurred())
	w.reconciler = w.newReconciler(mgr)
	Expect(w.reconciler.SetupWithManager(mgr)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		Expect(<-ended).To(Succeed())
	})
}

func (w *world) newReconciler(mgr manager.Manager) *credentials.Reconciler {
	options := client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: scheme, Mapper: mgr.GetRESTMapper()}
	reader, err := client.NewWithWatch(mgr.GetConfig(), options)
	Expect(err).NotTo(HaveOccurred())
	watches := secrets.New(reader)
	options.Cache = &client.CacheOptions{Reader: watches}
	writer, err := client.New(mgr.GetConfig(), options)
	Expect(err).NotTo(HaveOccurred())
	return &credentials.Reconciler{
		Publisher: w.publisher, Cache: mgr.GetCache(), Live: mgr.GetAPIReader(), Secrets: watches,
		Access: apply.NewWriter(mgr.GetClient(), "credentials"), Writer: apply.NewWriter(writer, "credentials"),
		Recorder: w.recorder, Clock: w.now, Readers: w.readers,
	}
}

// witness looks at every write of a Secret: it must be one that the snapshot in force grants to the namespace, or the note
// of a store. A Role must read nothing else.
func (w *world) witness(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if parts := strings.Split(r.URL.Path, "/"); slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch}, r.Method) && (slices.Contains(parts, "secrets") || slices.Contains(parts, "roles")) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			judge, namespace := w.judge, parts[4]
			if slices.Contains(parts, "roles") {
				judge, namespace = w.judgeRole, parts[5]
			}
			if wrong := judge(namespace, body); wrong != "" {
				w.mu.Lock()
				w.violations = append(w.violations, fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, wrong))
				w.mu.Unlock()
			}
		}
		if r.Method != http.MethodGet {
			w.mu.Lock()
			w.writes = append(w.writes, r.Method+" "+r.URL.Path)
			w.mu.Unlock()
		}
		response, err := next.RoundTrip(r)
		if parts := strings.Split(r.URL.Path, "/"); err == nil && r.URL.Query().Has("watch") && parts[len(parts)-1] == "secrets" {
			response.Body = watched{response.Body, w, parts[4]}
		}
		return response, err
	})
}

func (w *world) judgeRole(namespace string, body []byte) string {
	role := &rbacv1.Role{}
	if _, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(body, nil, role); err != nil {
		return err.Error()
	}
	current, err := w.publisher.Current()
	if err != nil {
		return err.Error()
	}
	access, _ := current.NamespaceAccess(namespace)
	for _, grant := range access.Grants {
		if grant.Purpose == role.Labels[v1alpha1.LabelPurpose] && grant.Entrustment == role.Labels[v1alpha1.LabelEntrustment] &&
			len(role.Rules) == 1 && slices.Equal(role.Rules[0].ResourceNames, grant.Secrets) {
			return ""
		}
	}
	return "it is not granted"
}

func (w *world) judge(namespace string, body []byte) string {
	secret := &corev1.Secret{}
	if _, _, err := clientgoscheme.Codecs.UniversalDeserializer().Decode(body, nil, secret); err != nil {
		return err.Error()
	}
	current, err := w.publisher.Current()
	if err != nil {
		return err.Error()
	}
	if _, copied := secret.Labels[v1alpha1.LabelCredential]; !copied {
		if store := current.Store(types.NamespacedName{Namespace: namespace, Name: secret.Labels[v1alpha1.LabelStore]}); store == nil ||
			secret.Name != v1alpha1.RotationRecordName(store.Name) {
			return fmt.Sprintf("Secret %q with labels %v is neither a copy nor the note of a store (store known: %t)", secret.Name, secret.Labels, store != nil)
		}
		return ""
	}
	for _, d := range current.Deliveries(namespace) {
		if d.Name == secret.Name {
			source := &corev1.Secret{}
			err := admin.Get(context.Background(), types.NamespacedName{Namespace: d.Store.Namespace, Name: d.Source}, source)
			if client.IgnoreNotFound(err) != nil {
				return err.Error()
			}
			return ""
		}
	}
	return "it is not granted"
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (w *world) source(ctx context.Context, value string) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.data, Name: "ledger-reader"}}
	err := admin.Get(ctx, client.ObjectKeyFromObject(secret), secret)
	secret.Data = map[string][]byte{"username": []byte("reader"), "password": []byte(value)}
	if apierrors.IsNotFound(err) {
		secret.Type = corev1.SecretTypeBasicAuth
		Expect(admin.Create(ctx, secret)).To(Succeed())
		return
	}
	Expect(err).NotTo(HaveOccurred())
	Expect(admin.Update(ctx, secret)).To(Succeed())
}

func (w *world) name() string { return v1alpha1.DeliveredSecretName(w.data, "ledger", "reader") }

// copyIn is the password that a namespace was delivered; empty: it has no copy.
func (w *world) copyIn(ctx context.Context, namespace string) string {
	GinkgoHelper()
	secret := &corev1.Secret{}
	err := admin.Get(ctx, types.NamespacedName{Namespace: namespace, Name: w.name()}, secret)
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	return string(secret.Data["password"])
}

func (w *world) condition() string {
	current, err := w.publisher.Current()
	Expect(err).NotTo(HaveOccurred())
	condition, known := w.reconciler.Delivered(current, w.inputs.Stores[0])
	if !known {
		return ""
	}
	return condition.Reason + ": " + condition.Message
}

func (w *world) rotation() *metav1.Time {
	since, known := w.reconciler.RotationRequiredSince(types.NamespacedName{Namespace: w.data, Name: "ledger"})
	if !known {
		return nil
	}
	return since
}

func bound(ctx context.Context, namespace string) bool {
	GinkgoHelper()
	err := admin.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.SecretAccessName}, &rbacv1.RoleBinding{})
	Expect(client.IgnoreNotFound(err)).To(Succeed())
	return err == nil
}

var _ = Describe("A credential", func() {
	var w *world
	BeforeEach(func(ctx context.Context) {
		w = newWorld(ctx)
		w.source(ctx, "first")
		w.publish()
		w.start()
		DeferCleanup(func() {
			w.stop()
			Expect(w.violations).To(BeEmpty(), "no write grants more than the snapshot in force")
		})
	})
	delivered := func(ctx context.Context, namespaces ...string) {
		GinkgoHelper()
		for _, namespace := range namespaces {
			Eventually(w.copyIn).WithArguments(ctx, namespace).ShouldNot(BeEmpty())
		}
	}

	It("is where it is granted, and follows its source", func(ctx context.Context) {
		delivered(ctx, w.own, w.biller)
		live := &corev1.Secret{}
		Expect(admin.Get(ctx, types.NamespacedName{Namespace: w.biller, Name: w.name()}, live)).To(Succeed())
		Expect(live.Type).To(Equal(corev1.SecretTypeOpaque))
		Expect(live.Data).To(Equal(map[string][]byte{"username": []byte("reader"), "password": []byte("first")}))
		Expect(live.Labels).To(Equal(map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelStore: "ledger", v1alpha1.LabelStoreNamespace: w.data, v1alpha1.LabelCredential: "reader",
		}))
		Expect(live.OwnerReferences).To(BeEmpty())
		Eventually(w.condition).Should(Equal("Delivered: copies in the namespaces that are granted a credential: 2; none elsewhere"))

		w.source(ctx, "second")
		Eventually(w.copyIn).WithArguments(ctx, w.biller).WithTimeout(time.Second).Should(Equal("second"))
		Eventually(w.copyIn).WithArguments(ctx, w.own).WithTimeout(time.Second).Should(Equal("second"))
	})

	It("goes with the last grant, and asks to be changed until it is", func(ctx context.Context) {
		delivered(ctx, w.own, w.biller)
		Expect(w.rotation()).To(BeNil())
		w.end(true)
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Expect(w.copyIn(ctx, w.own)).To(Equal("first"), "the others keep theirs")
		Eventually(w.rotation).Should(HaveValue(HaveField("Time", BeTemporally("==", noon))))
		Eventually(w.recorder.Events).Should(Receive(SatisfyAll(HavePrefix("Warning RotationRequired"), ContainSubstring(w.biller), Not(ContainSubstring("first")))))

		By("coming back and going again, without the day being forgotten")
		w.now.SetTime(noon.Add(time.Hour))
		w.end(false)
		delivered(ctx, w.biller)
		w.end(true)
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Consistently(w.rotation).WithTimeout(300 * time.Millisecond).Should(HaveValue(HaveField("Time", BeTemporally("==", noon))))

		By("changing what is not the credential")
		secret := &corev1.Secret{}
		Expect(admin.Get(ctx, types.NamespacedName{Namespace: w.data, Name: "ledger-reader"}, secret)).To(Succeed())
		secret.Labels = map[string]string{"note": "x"}
		Expect(admin.Update(ctx, secret)).To(Succeed())
		Consistently(w.rotation).WithTimeout(300 * time.Millisecond).ShouldNot(BeNil())

		By("changing the credential")
		w.source(ctx, "second")
		Eventually(w.rotation).Should(BeNil())
		Eventually(w.copyIn).WithArguments(ctx, w.own).Should(Equal("second"))
		Eventually(func() error {
			return admin.Get(ctx, types.NamespacedName{Namespace: w.data, Name: v1alpha1.RotationRecordName("ledger")}, &corev1.Secret{})
		}).Should(MatchError(apierrors.IsNotFound, "the note is gone"))
	})

	It("that lost its grant while nobody looked, is taken away and noted at the start", func(ctx context.Context) {
		delivered(ctx, w.own, w.biller)
		w.stop()
		w.end(true)
		w.start()
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(w.rotation).ShouldNot(BeNil())

		By("starting once more")
		w.stop()
		w.start()
		Eventually(w.rotation).ShouldNot(BeNil(), "it is still noted")
	})

	It("leaves nothing in a namespace that is bound no more, not even the right to read it", func(ctx context.Context) {
		delivered(ctx, w.biller)
		Expect(bound(ctx, w.biller)).To(BeTrue())
		w.inputs.Processors = w.inputs.Processors[:1]
		w.publish()
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(bound).WithArguments(ctx, w.biller).Should(BeFalse())
		Expect(bound(ctx, w.own)).To(BeTrue())
		Eventually(w.rotation).ShouldNot(BeNil())
	})

	It("never takes over a Secret of somebody else", func(ctx context.Context) {
		delivered(ctx, w.biller)
		w.end(true)
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.biller, Name: w.name()}, Data: map[string][]byte{"password": []byte("theirs")}}
		Expect(admin.Create(ctx, foreign)).To(Succeed())
		w.end(false)
		Eventually(w.condition).Should(SatisfyAll(HavePrefix("NameConflict: "), ContainSubstring(w.biller+"/"+w.name())))
		Consistently(w.copyIn).WithArguments(ctx, w.biller).WithTimeout(300 * time.Millisecond).Should(Equal("theirs"))
		w.end(true)
		Consistently(w.copyIn).WithArguments(ctx, w.biller).WithTimeout(300*time.Millisecond).Should(Equal("theirs"), "nor removes it")

		By("leaving the name")
		Expect(admin.Delete(ctx, foreign)).To(Succeed())
		w.end(false)
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(Equal("first"))
	})

	It("goes with its source, and comes back with it", func(ctx context.Context) {
		delivered(ctx, w.own, w.biller)
		Expect(admin.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.data, Name: "ledger-reader"}})).To(Succeed())
		Eventually(w.copyIn).WithArguments(ctx, w.own).Should(BeEmpty())
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(w.condition).Should(SatisfyAll(HavePrefix("SecretNotFound: "), ContainSubstring(`"ledger-reader"`), ContainSubstring(w.data)))
		Expect(w.rotation()).To(BeNil(), "no grant ended")
		w.source(ctx, "second")
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(Equal("second"))
	})

	It("is not delivered when it opens the cluster, or was delivered itself", func(ctx context.Context) {
		for name, secret := range map[string]*corev1.Secret{
			"token":           {Type: corev1.SecretTypeBootstrapToken, Data: map[string][]byte{"token": []byte("x")}},
			"pds.other.x.yes": {Data: map[string][]byte{"password": []byte("x")}},
		} {
			secret.Namespace, secret.Name = w.data, name
			Expect(admin.Create(ctx, secret)).To(Succeed())
			store := builder.Store(w.data, "ledger").AllowedPurposes("billing").Credential("reader", name).Obj()
			store.Generation = w.inputs.Stores[0].Generation + 1
			w.inputs.Stores = []*v1alpha1.PersonalDataStore{store}
			w.publish()
			Eventually(w.condition).Should(SatisfyAll(HavePrefix("SecretRefused: "), ContainSubstring(name)))
			Eventually(w.copyIn).WithArguments(ctx, w.own).Should(BeEmpty())
		}
	})

	It("that somebody changed or removed, is put right", func(ctx context.Context) {
		delivered(ctx, w.biller)
		live := &corev1.Secret{}
		key := types.NamespacedName{Namespace: w.biller, Name: w.name()}
		Expect(admin.Get(ctx, key, live)).To(Succeed())
		live.Data["password"], live.Data["more"] = []byte("forged"), []byte("x")
		live.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "dead", UID: "dead"}}
		Expect(admin.Update(ctx, live)).To(Succeed())
		Eventually(func() (*corev1.Secret, error) { return live, admin.Get(ctx, key, live) }).Should(SatisfyAll(
			HaveField("Data", HaveLen(2)), HaveField("Data", HaveKeyWithValue("password", []byte("first"))), HaveField("OwnerReferences", BeEmpty())))
		Expect(admin.Delete(ctx, live)).To(Succeed())
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(Equal("first"))
		Expect(w.rotation()).To(BeNil())
	})

	DescribeTable("may be maintained by a secret operator, and is only read", func(ctx context.Context, writer string, kind corev1.SecretType, owner metav1.OwnerReference, keys ...string) {
		Expect(admin.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.data, Name: "ledger-reader"}})).To(Succeed())
		Eventually(w.copyIn).WithArguments(ctx, w.own).Should(BeEmpty())
		rotate := func(edition string) *corev1.Secret {
			owner.UID = "maintainer"
			data := map[string][]byte{}
			for _, key := range keys {
				data[key] = []byte(key + edition)
			}
			Expect(admin.Apply(ctx, corev1ac.Secret("ledger-reader", w.data).WithType(kind).WithData(data).
				WithLabels(map[string]string{"app.kubernetes.io/managed-by": writer}).
				WithOwnerReferences(metav1ac.OwnerReference().WithAPIVersion(owner.APIVersion).WithKind(owner.Kind).WithName(owner.Name).WithUID(owner.UID)),
				client.FieldOwner(writer))).To(Succeed())
			live := &corev1.Secret{}
			Expect(admin.Get(ctx, types.NamespacedName{Namespace: w.data, Name: "ledger-reader"}, live)).To(Succeed())
			return live
		}
		for _, edition := range []string{"one", "two"} {
			source := rotate(edition)
			copied := &corev1.Secret{}
			Eventually(func(g Gomega) {
				g.Expect(admin.Get(ctx, types.NamespacedName{Namespace: w.biller, Name: w.name()}, copied)).To(Succeed())
				g.Expect(copied.Data).To(Equal(source.Data))
			}).Should(Succeed())
			Expect(copied.Type).To(Equal(corev1.SecretTypeOpaque))
			Expect(copied.OwnerReferences).To(BeEmpty())
			after := &corev1.Secret{}
			Expect(admin.Get(ctx, client.ObjectKeyFromObject(source), after)).To(Succeed())
			Expect(after).To(Equal(source), "nobody but its writer has written it")
		}
	},
		Entry("External Secrets Operator", "external-secrets", corev1.SecretTypeOpaque,
			metav1.OwnerReference{APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret", Name: "ledger-reader"}, "username", "password"),
		Entry("Vault Secrets Operator", "hashicorp-vso", corev1.SecretTypeOpaque,
			metav1.OwnerReference{APIVersion: "secrets.hashicorp.com/v1beta1", Kind: "VaultDynamicSecret", Name: "ledger-reader"}, "username", "password", "_raw"),
		Entry("cert-manager", "cert-manager-certificates-issuing", corev1.SecretTypeTLS,
			metav1.OwnerReference{APIVersion: "cert-manager.io/v1", Kind: "Certificate", Name: "ledger-reader"}, "tls.crt", "tls.key", "ca.crt"),
	)

	It("is not for a namespace that somebody made anew under the same name", func(ctx context.Context) {
		delivered(ctx, w.biller)
		w.end(true)
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		w.inputs.Namespaces = map[string]types.UID{w.data: "data", w.own: "own", w.biller: "the one before"}
		w.end(false)
		Consistently(w.copyIn).WithArguments(ctx, w.biller).WithTimeout(300 * time.Millisecond).Should(BeEmpty())
	})

	It("that cannot be written, is said to be, and is tried again", func(ctx context.Context) {
		delivered(ctx, w.own, w.biller)
		w.end(true)
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		none := corev1.ResourceList{corev1.ResourceSecrets: resource.MustParse("0")}
		quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: w.biller, Name: "none"}, Spec: corev1.ResourceQuotaSpec{Hard: none}}
		Expect(admin.Create(ctx, quota)).To(Succeed())
		quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
		Expect(admin.Status().Update(ctx, quota)).To(Succeed())
		w.end(false)
		Eventually(w.condition).Should(SatisfyAll(HavePrefix("DeliveryPending: "), ContainSubstring(w.biller)))
		Expect(admin.Delete(ctx, quota)).To(Succeed())
		Eventually(w.condition).Should(HavePrefix("Delivered: "))
		Expect(w.copyIn(ctx, w.biller)).To(Equal("first"))
	})

	It("that goes with its namespace, has to be changed", func(ctx context.Context) {
		delivered(ctx, w.biller)
		Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.biller}})).To(Succeed()) // nobody ends it here
		Expect(w.rotation()).To(BeNil())
		Expect(admin.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.biller, Name: w.name()}})).To(Succeed())
		Eventually(w.rotation).ShouldNot(BeNil())
	})

	It("stays where it is while its source cannot be read", func(ctx context.Context) {
		delivered(ctx, w.biller)
		w.stop()
		mgr, err := manager.New(config, manager.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
		Expect(err).NotTo(HaveOccurred())
		blind := w.newReconciler(mgr)
		blind.Cache, blind.Access = admin, apply.NewWriter(admin, "credentials")
		changes := blind.Secrets.Changes(func(string, string) []reconcile.Request { return nil })
		Expect(changes.Start(ctx, nil)).To(Succeed())
		reconciled := func() bool {
			_, err := blind.Reconcile(ctx, reconcile.Request{NamespacedName: types.NamespacedName{Name: w.biller}})
			Expect(err).NotTo(HaveOccurred())
			return blind.Secrets.Synced(w.biller)
		}
		Eventually(reconciled).Should(BeTrue())
		Expect(reconciled()).To(BeTrue()) // with what was read
		Expect(w.copyIn(ctx, w.biller)).To(Equal("first"))
	})
})

func TestNothingIsReadOrWrittenBeforeThereIsASnapshot(t *testing.T) {
	r := &credentials.Reconciler{Publisher: &snapshot.Publisher{}} // without clients: any use of them would panic
	if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "biller"}}); err == nil {
		t.Error("no error")
	}
}
