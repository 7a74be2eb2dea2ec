// Package rules tries the in-process admission rules alone: a real API server with its controllers, and neither the
// operator nor its webhook. What the operator would write, the test writes in its name.
package rules

import (
	"context"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestRules(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second)
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "In-process rules")
}

// Everybody here is a member of system:masters, so that nothing but the rules refuses.
var (
	admin      client.Client
	operator   client.Client
	namespacer client.Client // the namespace controller
	collector  client.Client // the garbage collector
)

var _ = BeforeSuite(func(ctx context.Context) {
	logf.SetLogger(GinkgoLogr)
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions, Controllers: true})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	as := func(user string) client.Client {
		config := cluster.Config()
		config.QPS = -1
		if user != "" {
			config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters"}}
		}
		c, err := client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		return c
	}
	admin, operator = as(""), as(admission.Operator)
	namespacer = as("system:serviceaccount:kube-system:namespace-controller")
	collector = as("system:serviceaccount:kube-system:generic-garbage-collector")

	// Objects from before the rules: whatever the rules refuse to make.
	uids := map[string]types.UID{}
	for _, name := range []string{"bound", "reporting", "unbound"} {
		uids[name] = makeNamespace(ctx, name)
	}
	now := time.Now().UTC().Truncate(time.Second)
	create := func(as client.Client, object client.Object) { Expect(as.Create(ctx, object)).To(Succeed()) }
	create(operator, builder.Access("bound").Namespace(uids["bound"]).
		Grant("billing", "").Grant("billing", "fees").Secrets("pds.data.orders.reader", "pds.x").
		Grant("ended", "").NotAfter(now.Add(-time.Hour)).
		Grant("lasting", "").NotAfter(now.Add(time.Hour)).Obj())
	create(operator, builder.Access("reporting").Namespace(uids["reporting"]).Report().Obj())
	create(operator, policy("bound", "pds.archive", managed))
	create(operator, secret("bound", "pds.data.orders.reader", managed))
	create(operator, secret("bound", "labelled", managed))
	create(operator, roleBinding("bound", "readers", managed))
	create(admin, policy("bound", "foreign", nil))
	create(admin, secret("bound", "foreign", nil))
	create(admin, roleBinding("bound", "foreign", nil))
	create(admin, declaring("declaring").Obj())
	create(admin, ordinary("ordinary").Obj())
	store := builder.Store("bound", "orders").AllowedPurposes("billing").Obj()
	store.Finalizers = []string{v1alpha1.FinalizerIsolation}
	create(operator, store)
	purpose := builder.Purpose("billing").Obj()
	create(admin, purpose)
	purpose.Status = v1alpha1.PurposeStatus{ObservedGeneration: 1, StoreCount: 1, EntrustmentCount: 1}
	Expect(operator.Status().Update(ctx, purpose)).To(Succeed())

	rules, err := admission.All()
	Expect(err).NotTo(HaveOccurred())
	for _, rule := range rules {
		Expect(admin.Create(ctx, rule)).To(Succeed())
	}
	makeNamespace(ctx, "closing")
	closing := builder.Store("closing", "orders").AllowedPurposes("billing").Obj()
	closing.Finalizers = []string{v1alpha1.FinalizerIsolation}
	create(operator, closing)
	create(operator, policy("closing", "pds.orders", managed))
	Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "closing"}})).To(Succeed())
	for rule, tries := range refusals() {
		Eventually(tries[0].attempt).WithArguments(ctx, client.NewDryRunClient(admin)).ShouldNot(Succeed(), rule)
	}
})

// managed labels an object as the operator's.
var managed = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}

// makeNamespace returns once pods can be made there.
func makeNamespace(ctx context.Context, name string) types.UID {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(admin.Create(ctx, namespace)).To(Succeed())
	Eventually(func() error {
		return admin.Get(ctx, types.NamespacedName{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
	}).Should(Succeed())
	return namespace.UID
}

func declaring(name string) *builder.PodBuilder {
	return builder.Pod("bound", name).Purpose("billing").Entrustment("fees")
}

func ordinary(name string) *builder.PodBuilder { return builder.Pod("bound", name).Label("app", name) }
