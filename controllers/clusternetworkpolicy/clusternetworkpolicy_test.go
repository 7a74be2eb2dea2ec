package clusternetworkpolicy_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/clusternetworkpolicy"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestClusterNetworkPolicy(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute)
	RunSpecs(t, "ClusterNetworkPolicy")
}

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// definition is that of the module whose types are written.
func definition() *apiextensionsv1.CustomResourceDefinition {
	GinkgoHelper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api").Output()
	Expect(err).NotTo(HaveOccurred())
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/policy.networking.k8s.io_clusternetworkpolicies.yaml"))
	Expect(err).NotTo(HaveOccurred())
	crd := &apiextensionsv1.CustomResourceDefinition{}
	Expect(yaml.Unmarshal(text, crd)).To(Succeed())
	return crd
}

var _ = It("keeps pods without a grant from a store outside the cluster, once the API is installed", func(ctx context.Context) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme, policyv1alpha2.Install, apiextensionsv1.AddToScheme} {
		utilruntime.Must(add(scheme))
	}
	cluster, err := controlplane.Start(ctx, controlplane.Options{})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	config := cluster.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	mgr, err := manager.New(config, manager.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	Expect(err).NotTo(HaveOccurred())

	changed := make(chan event.GenericEvent, 100)
	r := &clusternetworkpolicy.Reconciler{
		Publisher: &snapshot.Publisher{}, Cache: mgr.GetCache(), Writer: apply.NewWriter(mgr.GetClient(), "clusternetworkpolicy"),
		Lookout: 50 * time.Millisecond, Changed: changed,
	}
	Expect(r.SetupWithManager(mgr)).To(Succeed())
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- mgr.Start(running) }()
	DeferCleanup(func() {
		stop()
		Expect(<-ended).To(Succeed())
	})
	store := builder.Store("data", "archive").External("192.0.2.0/24", "2001:db8::/48").AllowedPurposes("billing").Obj()
	publish := func(stores ...*v1alpha1.PersonalDataStore) []entrustment.Grant {
		s := entrustment.Compile(entrustment.Inputs{
			Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj()},
			Stores:     stores,
		}, noon)
		r.Publisher.Publish(s)
		return s.StoreGrants(client.ObjectKeyFromObject(store))
	}
	grants := publish(store)
	covered := func() bool {
		covered, err := r.Covers(ctx, store, grants)
		return err == nil && covered
	}
	Consistently(covered).WithTimeout(300 * time.Millisecond).Should(BeFalse())

	By("installing the API")
	Expect(admin.Create(ctx, definition())).To(Succeed())
	Eventually(covered).Should(BeTrue())
	Eventually(changed).Should(Receive())
	policies := func() []policyv1alpha2.ClusterNetworkPolicy {
		list := &policyv1alpha2.ClusterNetworkPolicyList{}
		Expect(admin.List(ctx, list)).To(Succeed())
		return list.Items
	}
	Expect(policies()).To(ConsistOf(
		SatisfyAll(HaveField("Name", "pds.data.archive"), HaveField("Spec.Priority", BeEquivalentTo(101)),
			HaveField("Spec.Egress", ConsistOf(HaveField("Action", policyv1alpha2.ClusterNetworkPolicyRuleActionDeny)))),
		SatisfyAll(HaveField("Name", HavePrefix("pds.data.archive.")), HaveField("Spec.Priority", BeEquivalentTo(100)),
			HaveField("Spec.Subject.Pods.NamespaceSelector.MatchLabels", HaveKeyWithValue(corev1.LabelMetadataName, "own")),
			HaveField("Spec.Egress", ConsistOf(HaveField("Action", policyv1alpha2.ClusterNetworkPolicyRuleActionPass)))),
	))

	By("somebody deleting one, and opening the other")
	for _, policy := range policies() {
		if policy.Spec.Priority == 100 {
			Expect(admin.Delete(ctx, &policy)).To(Succeed())
			continue
		}
		policy.Labels, policy.Spec.Egress = nil, nil
		Expect(admin.Update(ctx, &policy)).To(Succeed())
	}
	Eventually(covered).Should(BeTrue())
	Eventually(func() []policyv1alpha2.ClusterNetworkPolicy { return policies() }).Should(HaveEach(HaveField("Spec.Egress", Not(BeEmpty()))))

	By("writing nothing when nothing changes")
	var version []policyv1alpha2.ClusterNetworkPolicy
	Eventually(func(g Gomega) { // what was put right may take a second write
		version = policies()
		g.Consistently(policies).WithTimeout(300 * time.Millisecond).Should(Equal(version))
	}).Should(Succeed())
	publish(store)
	Consistently(policies).WithTimeout(300 * time.Millisecond).Should(Equal(version))

	By("the store going")
	publish()
	Eventually(policies).Should(BeEmpty())
})
