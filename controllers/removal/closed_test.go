package removal_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers/removal"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestRemoval(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Removal")
}

var admin client.Client

var _ = BeforeSuite(func(ctx context.Context) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, networkingv1.AddToScheme, rbacv1.AddToScheme, policyv1alpha2.Install, v1alpha1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	config := cluster.Config()
	config.QPS = -1
	admin, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"data", "biller"} {
		Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	}
})

// withdrawn is a cluster from which everything was withdrawn: a store that cuts lets nobody in, and one that only reports has all
// that it had.
type withdrawn struct {
	cuts, reports *v1alpha1.PersonalDataStore
	admitted      []entrustment.Grant // by the policy of the one that cuts
	access        *builder.AccessBuilder
	draining      []v1alpha1.DrainingGrant
	secrets       []string
	readable      []string // by the Role of a reader
}

const reader = "pds.data.reports.reader"

func (w *withdrawn) make(ctx context.Context) {
	GinkgoHelper()
	access := w.access.Obj()
	access.Draining = w.draining
	objects := []client.Object{w.cuts, w.reports, access, &rbacv1.RoleBinding{
		ObjectMeta: ours("biller", v1alpha1.SecretAccessName, nil),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.SecretAccessName},
	}, &rbacv1.Role{
		ObjectMeta: ours("biller", "pds.delivery", map[string]string{v1alpha1.LabelPurpose: "delivery"}),
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}, ResourceNames: w.readable}},
	}}
	for _, name := range w.secrets {
		part := strings.Split(name, ".")
		objects = append(objects, &corev1.Secret{ObjectMeta: ours("biller", name, map[string]string{
			v1alpha1.LabelStoreNamespace: part[1], v1alpha1.LabelStore: part[2], v1alpha1.LabelCredential: part[3],
		})})
	}
	if w.admitted != nil {
		_, err := apply.NewWriter(admin, "networkpolicy").Ensure(ctx, render.NetworkPolicy(w.cuts, w.admitted))
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) {
			Expect(admin.DeleteAllOf(ctx, &networkingv1.NetworkPolicy{}, client.InNamespace("data"))).To(Succeed())
		})
	}
	for _, object := range objects {
		Expect(admin.Create(ctx, object)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(admin.Delete(ctx, object)).To(Succeed()) })
	}
}

// ours is an object that the operator made.
func ours(namespace, name string, labels map[string]string) metav1.ObjectMeta {
	all := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	maps.Copy(all, labels)
	return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: all}
}

var _ = DescribeTable("What is left to withdraw",
	func(ctx context.Context, change func(*withdrawn), says string) {
		w := &withdrawn{
			cuts:     builder.Store("data", "cuts").AllowedPurposes("billing").Obj(),
			reports:  builder.Store("data", "reports").AllowedPurposes("delivery").Report().Obj(),
			admitted: []entrustment.Grant{},
			access:   builder.Access("biller").Grant("delivery", "", "data/reports").Secrets(reader),
			draining: []v1alpha1.DrainingGrant{{Purpose: "audit", Stores: []string{"data/reports"}, Generation: 1}},
			secrets:  []string{reader},
			readable: []string{reader},
		}
		change(w)
		w.make(ctx)
		left, err := removal.Left(ctx, admin)
		Expect(err).NotTo(HaveOccurred())
		Expect(left).To(Equal(says))
	},
	Entry("nothing", func(*withdrawn) {}, ""),
	Entry("a policy that is missing", func(w *withdrawn) { w.admitted = nil },
		"NetworkPolicy data/pds.cuts admits somebody, or is missing"),
	Entry("a policy that admits somebody", func(w *withdrawn) {
		w.admitted = []entrustment.Grant{{Namespace: "biller", Purposes: []string{"billing"}}}
	}, "NetworkPolicy data/pds.cuts admits somebody, or is missing"),
	Entry("a store that reported until its officer suspended it", func(w *withdrawn) {
		w.reports.Spec.Suspended, w.reports.Spec.SuspendedReason = true, "incident"
	}, "NetworkPolicy data/pds.reports admits somebody, or is missing"),
	Entry("a grant for a store that cuts", func(w *withdrawn) { w.access.Grant("billing", "", "data/cuts", "data/reports") },
		"namespace biller is granted purpose billing"),
	Entry("a grant for a store that is gone", func(w *withdrawn) { w.access.Grant("billing", "", "data/gone") },
		"namespace biller is granted purpose billing"),
	Entry("a grant that asks pods for a deadline", func(w *withdrawn) { w.access.Grant("delivery", "fees", "data/reports") },
		"pods for purpose delivery need a deadline in namespace biller"),
	Entry("pods of a store that cuts", func(w *withdrawn) {
		w.draining = append(w.draining, v1alpha1.DrainingGrant{Purpose: "billing", Stores: []string{"data/cuts", "data/reports"}, Generation: 1})
	}, "pods for purpose billing are being ended in namespace biller"),
	Entry("a credential of a store that cuts", func(w *withdrawn) { w.secrets = append(w.secrets, "pds.data.cuts.reader") },
		"Secret biller/pds.data.cuts.reader is delivered"),
	Entry("a credential that nobody is granted any more", func(w *withdrawn) { w.secrets = append(w.secrets, "pds.data.reports.writer") },
		"Secret biller/pds.data.reports.writer is delivered"),
	Entry("a reader of a credential of a store that cuts", func(w *withdrawn) { w.readable = append(w.readable, "pds.data.cuts.reader") },
		"Role biller/pds.delivery lets an account read a credential"),
)
