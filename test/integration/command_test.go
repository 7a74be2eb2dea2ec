package integration

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/cli"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("kubectl entrust, asked about a cluster", Ordered, func() {
	const policy = "../../config/samples/policy"
	const at = "2026-12-01T12:00:00+09:00" // after the objects are created here, whenever that is

	BeforeAll(func(ctx context.Context) {
		files, err := filepath.Glob(policy + "/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		for _, object := range objectsOf(files...) {
			switch {
			case object.GroupVersionKind().Group == v1alpha1.Group:
				Expect(k8s.Create(ctx, object)).To(Succeed())
				DeferCleanup(k8s.Delete, object)
			case object.GetKind() == "Namespace": // which nothing here could delete again
				Expect(client.IgnoreAlreadyExists(k8s.Create(ctx, object))).To(Succeed())
			}
		}
	})

	It("grants what the same files grant", func(ctx context.Context) {
		fromFiles, wrong, code := entrust(ctx, nil, "matrix", "-f", policy, "--at", at)
		Expect(code).To(BeZero(), wrong)
		fromCluster, wrong, code := entrust(ctx, controlPlane.KubeConfig, "matrix", "--at", at)
		Expect(code).To(BeZero(), wrong)
		Expect(fromCluster).To(Equal(fromFiles))
	})

	It("takes the namespace from the flags, or from the kubeconfig", func(ctx context.Context) {
		question := []string{"can", "--purpose", "billing", "--store", "data-billing/billing-ledger", "--at", at}
		out, wrong, code := entrust(ctx, controlPlane.KubeConfig, append(question, "-n", "core-services")...)
		Expect(code).To(BeZero(), wrong)
		Expect(out).To(HavePrefix("yes\n"))

		out, wrong, code = entrust(ctx, controlPlane.KubeConfig, question...)
		Expect(code).To(Equal(1), wrong)
		Expect(out).To(And(HavePrefix("no\n"), ContainSubstring("NamespaceNotBound"), ContainSubstring(`"default"`)))
	})

	It("proves why a pod reaches a store, and lists it among those who do", func(ctx context.Context) {
		pod := builder.Pod("billing-entrustee", "calculator").Purpose("billing").Entrustment("fees").Obj()
		Expect(k8s.Create(ctx, pod)).To(Succeed())
		DeferCleanup(k8s.Delete, pod)
		opening := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "data-billing", Name: "everybody"}}
		opening.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
		Expect(k8s.Create(ctx, opening)).To(Succeed())
		DeferCleanup(k8s.Delete, opening)

		out, wrong, code := entrust(ctx, controlPlane.KubeConfig, "why", "calculator", "data-billing/billing-ledger", "-n", "billing-entrustee", "--at", at)
		Expect(code).To(BeZero(), wrong)
		Expect(out).To(And(HavePrefix("yes: Entrusted"), ContainSubstring("Pod billing-entrustee/calculator")))

		out, wrong, code = entrust(ctx, controlPlane.KubeConfig, "who", "data-billing/billing-ledger", "-o", "wide", "--effective", "--at", at)
		Expect(code).To(BeZero(), wrong)
		Expect(out).To(MatchRegexp(`(?m)^billing-entrustee +fees +billing-entrustee .* calculator$`))
		Expect(out).To(ContainSubstring("Open besides: NetworkPolicy data-billing/everybody lets in everybody on a guarded port"))

		_, wrong, code = entrust(ctx, controlPlane.KubeConfig, "why", "deployment/none", "data-billing/billing-ledger", "-n", "billing-entrustee")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("read Deployment billing-entrustee/none"))
	})

	It("plans a change of the cluster, and what time makes of it", func(ctx context.Context) {
		pod := builder.Pod("billing-entrustee", "planned").Purpose("billing").Entrustment("fees").Obj()
		Expect(k8s.Create(ctx, pod)).To(Succeed())
		DeferCleanup(k8s.Delete, pod)

		out, wrong, code := entrust(ctx, controlPlane.KubeConfig, "plan", "-f", policy, "--at", at)
		Expect(code).To(BeZero(), out+wrong)

		contracts, err := os.ReadFile(policy + "/40-entrustments.yaml")
		Expect(err).NotTo(HaveOccurred())
		changed := filepath.Join(GinkgoT().TempDir(), "contracts.yaml")
		narrower := strings.Replace(string(contracts), "  entrusteeName: billing-entrustee\n", "  entrusteeName: billing-entrustee\n  prohibitedPurposes: [billing]\n", 1)
		Expect(os.WriteFile(changed, []byte(narrower), 0o600)).To(Succeed())
		out, wrong, code = entrust(ctx, controlPlane.KubeConfig, "plan", "-f", changed, "--at", at)
		Expect(code).To(Equal(1), out+wrong)
		Expect(out).To(MatchRegexp(`(?m)^lost +billing-entrustee +fees +data-billing/billing-ledger .* planned +`))
		Expect(out).To(ContainSubstring("1 pod hit"))

		out, wrong, code = entrust(ctx, controlPlane.KubeConfig, "plan", "-f", changed, "--prune", "--at", at)
		Expect(code).To(Equal(3), out+wrong)
		Expect(out).To(MatchRegexp(`DataProcessor example-controller +cannot be deleted: Entrustment "analysis" has not ended`))

		out, wrong, code = entrust(ctx, controlPlane.KubeConfig, "plan", "--until", "2040-01-01T00:00:00Z")
		Expect(code).To(Equal(1), out+wrong)
		Expect(out).To(MatchRegexp(`ends +fees `))
	})

	It("has an answer to every example of its help", func(ctx context.Context) {
		pod := builder.Pod("billing-entrustee", "example").Purpose("billing").Entrustment("fees").Obj()
		deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "billing-entrustee", Name: "invoice-calculation"}}
		deployment.Spec.Selector = &metav1.LabelSelector{MatchLabels: pod.Labels}
		deployment.Spec.Template = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
		Expect(k8s.Create(ctx, deployment)).To(Succeed())
		DeferCleanup(k8s.Delete, deployment)

		database := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data-billing", Name: "ledger-db", Labels: map[string]string{"app.kubernetes.io/component": "database"}}}
		database.Spec = corev1.ServiceSpec{Selector: map[string]string{"app": "ledger-db"}, Ports: []corev1.ServicePort{{Port: 5432}}}
		Expect(k8s.Create(ctx, database)).To(Succeed())
		DeferCleanup(k8s.Delete, database)

		tried := 0
		for _, example := range cli.Examples() {
			if !cli.AsksCluster(example) || strings.Contains(example, " ledger ") || strings.Contains(example, " verify ") { // these take logs, and nodes
				continue
			}
			args := strings.Fields(strings.NewReplacer("policy/", policy, "orders.yaml", policy+"/30-personaldatastores.yaml").Replace(strings.Split(strings.Split(example, " > ")[0], " | ")[0]))[2:]
			out, wrong, code := entrust(ctx, controlPlane.KubeConfig, args...)
			Expect(code).NotTo(Equal(2), "%s\n%s%s", example, out, wrong)
			tried++
		}
		Expect(tried).To(BeNumerically(">", 5))
	})

	It("lists who could read the credentials of a store", func(ctx context.Context) {
		out, wrong, code := entrust(ctx, controlPlane.KubeConfig, "exposure", "data-billing/billing-ledger")
		Expect(code).To(BeZero(), wrong)
		Expect(out).To(HavePrefix("STORE "))
		Expect(out).To(MatchRegexp(`(?m)^data-billing/billing-ledger +Group +- +system:masters +.*cluster-admin`))
		Expect(out).NotTo(ContainSubstring("data-core/"))

		all, wrong, code := entrust(ctx, controlPlane.KubeConfig, "exposure", "-o", "json")
		Expect(code).To(BeZero(), wrong)
		Expect(all).To(And(ContainSubstring(`"store": "data-core/orders"`), ContainSubstring(`"name": "system:masters"`)))

		_, wrong, code = entrust(ctx, controlPlane.KubeConfig, "exposure", "data-billing/nothing")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("PersonalDataStore data-billing/nothing does not exist"))
	})

	It("reports and draws a cluster as its files, and what was observed besides", func(ctx context.Context) {
		for _, kind := range []string{"records", "ledger", "processors", "access"} {
			fromFiles, wrong, code := entrust(ctx, nil, "report", kind, "-f", policy, "--at", at)
			Expect(code).To(BeZero(), wrong)
			fromCluster, wrong, code := entrust(ctx, controlPlane.KubeConfig, "report", kind, "--at", at)
			Expect(code).To(BeZero(), wrong)
			Expect(fromCluster).To(Equal(fromFiles), kind)
		}
		contract := &v1alpha1.Entrustment{}
		Expect(k8s.Get(ctx, client.ObjectKey{Name: "fees"}, contract)).To(Succeed())
		verified := metav1.NewTime(time.Date(2026, 11, 30, 1, 2, 3, 0, time.UTC))
		contract.Status.Revocation = &v1alpha1.Revocation{VerifiedTime: &verified}
		Expect(k8s.Status().Update(ctx, contract)).To(Succeed())
		out, wrong, code := entrust(ctx, controlPlane.KubeConfig, "report", "ledger", "--at", at, "-o", "json")
		Expect(code).To(BeZero(), wrong)
		Expect(out).To(And(ContainSubstring(`"observed"`), ContainSubstring("2026-11-30T01:02:03Z")))

		for format, holds := range map[string]string{"html": "<!DOCTYPE html>", "svg": "<svg", "dot": "digraph", "mermaid": "flowchart"} {
			out, wrong, code := entrust(ctx, controlPlane.KubeConfig, "map", "--at", at, "-o", format)
			Expect(code).To(BeZero(), wrong)
			Expect(strings.ToLower(out)).To(And(ContainSubstring(strings.ToLower(holds)), ContainSubstring("billing-ledger"), ContainSubstring("fees")), format)
		}
	})

	It("goes without the pods that it may not list", func(ctx context.Context) {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "policy-reader"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{v1alpha1.Group}, Resources: []string{"*"}, Verbs: []string{"get", "list"}},
			{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get", "list"}},
		}}
		kubeconfig := permitted(ctx, "reader", role)

		for _, args := range [][]string{{"who", "data-billing/billing-ledger"}, {"plan", "-f", policy}} {
			Eventually(func(g Gomega) { // the authorizer hears of the binding by watching
				out, wrong, code := entrust(ctx, kubeconfig, append(args, "--at", at)...)
				g.Expect(code).To(BeZero(), out+wrong)
				g.Expect(out).NotTo(BeEmpty())
				g.Expect(out).To(Or(MatchRegexp(`(?m)^billing-entrustee +fees .* <unknown>$`), Equal("Nothing changes.\n")), "0 pods would be an answer")
				g.Expect(wrong).To(And(HavePrefix("warning: the answer goes without running pods"), ContainSubstring("the verb list on pods in all namespaces"), ContainSubstring("forbidden")))
			}).WithTimeout(30 * time.Second).Should(Succeed())
		}
	})

	It("answers those whose work it is, with the roles that ship", func(ctx context.Context) {
		kubeconfigs := map[string][]byte{}
		for _, object := range objectsOf("../../config/rbac/roles.yaml") {
			if name := object.GetName(); name == "entrustment-auditor" || name == "entrustment-privacy-officer" {
				role := &rbacv1.ClusterRole{}
				Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, role)).To(Succeed())
				kubeconfigs[name] = permitted(ctx, name, role)
			}
		}
		asked := [][]string{{"matrix"}, {"who", "data-billing/billing-ledger"}, {"report", "access"}, {"map", "-o", "dot"}, {"plan", "-f", policy}}
		for role, questions := range map[string][][]string{
			"entrustment-privacy-officer": asked,
			"entrustment-auditor":         append(asked, []string{"exposure"}, []string{"who", "data-billing/billing-ledger", "--effective"}),
		} {
			for _, args := range questions {
				if args[0] != "exposure" {
					args = append(slices.Clone(args), "--at", at)
				}
				var wrong string
				Eventually(func() (code int) { // the authorizer hears of the binding by watching
					_, wrong, code = entrust(ctx, kubeconfigs[role], args...)
					return code
				}).WithTimeout(30*time.Second).Should(BeZero(), func() string { return role + ": " + wrong })
			}
		}
	})

	It("drafts a policy for what runs, with the rights that the documentation tells of", func(ctx context.Context) {
		for _, name := range []string{"orders-data", "storefront", "dispatch"} { // which nothing here could delete again
			Expect(k8s.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"uses": "orders"}}})).To(Succeed())
		}
		for _, object := range objectsOf("../../config/samples/adoption/cluster.yaml") {
			if object.GetKind() != "Namespace" {
				Expect(k8s.Create(ctx, object)).To(Succeed())
				DeferCleanup(k8s.Delete, object)
			}
		}
		// A pod that a workload makes, one that another operator's object makes, and one that has ended.
		owned := func(name, apiVersion, kind string, phase corev1.PodPhase) {
			pod := builder.Pod("storefront", name).With(func(p *corev1.Pod) {
				p.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "x", UID: "x", Controller: new(true)}}
				p.Spec.Containers[0].Args = []string{"--database=orders-db.orders-data"}
			}).Obj()
			Expect(k8s.Create(ctx, pod)).To(Succeed())
			DeferCleanup(k8s.Delete, pod)
			pod.Status.Phase = phase
			Expect(k8s.Status().Update(ctx, pod)).To(Succeed())
		}
		owned("made-by-replicaset", "apps/v1", "ReplicaSet", corev1.PodRunning)
		owned("made-by-rollout", "example.com/v1", "Rollout", corev1.PodRunning)
		owned("ended", "example.com/v1", "Rollout", corev1.PodSucceeded)

		page, err := os.ReadFile("../../docs/commands.md")
		Expect(err).NotTo(HaveOccurred())
		_, text, found := strings.Cut(string(page), "```yaml\napiVersion: rbac.authorization.k8s.io/v1\n")
		Expect(found).To(BeTrue())
		text, _, _ = strings.Cut(text, "```")
		role := &rbacv1.ClusterRole{}
		Expect(yaml.Unmarshal([]byte(text), role)).To(Succeed())
		kubeconfig := permitted(ctx, "drafter", role)

		args := []string{"bootstrap", "-n", "orders-data", "--controller", "shop"}
		var out, wrong string
		Eventually(func() int { // the authorizer hears of the binding by watching
			var code int
			out, wrong, code = entrust(ctx, kubeconfig, args...)
			return code
		}).WithTimeout(30*time.Second).Should(BeZero(), func() string { return wrong })
		Expect(out).To(And(ContainSubstring("name: orders-db"), ContainSubstring("Pod storefront/made-by-rollout names Service orders-data/orders-db in its arguments"),
			ContainSubstring("Deployment dispatch/route-planner references a Secret orders-db"), ContainSubstring("StatefulSet orders-data/orders-db")))
		Expect(out).NotTo(Or(ContainSubstring("made-by-replicaset"), ContainSubstring("ended")))

		_, wrong, code := entrust(ctx, kubeconfig, "bootstrap", "orders-data/nothing", "--controller", "shop")
		Expect(code).To(Equal(2))
		Expect(wrong).To(ContainSubstring("there is no Service orders-data/nothing"))
	})

	It("has no answer where it may not read everything", func(ctx context.Context) {
		nobody, err := controlPlane.AddUser(envtest.User{Name: "nobody"}, nil)
		Expect(err).NotTo(HaveOccurred())
		kubeconfig, err := nobody.KubeConfig()
		Expect(err).NotTo(HaveOccurred())

		out, wrong, code := entrust(ctx, kubeconfig, "matrix")
		Expect(code).To(Equal(2))
		Expect(out).To(BeEmpty())
		Expect(wrong).To(And(HavePrefix("error: read the cluster"), ContainSubstring("forbidden"), ContainSubstring(`"nobody"`)))
		Expect(wrong).To(And(ContainSubstring("ClusterRole entrustment-auditor"), ContainSubstring("kubectl apply --dry-run=server")), "what would help")
	})
})

// permitted is the kubeconfig of a user who has a role.
func permitted(ctx context.Context, user string, role *rbacv1.ClusterRole) []byte {
	GinkgoHelper()
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}}
	for _, object := range []client.Object{role, binding} {
		Expect(k8s.Create(ctx, object)).To(Succeed())
		DeferCleanup(k8s.Delete, object)
	}
	account, err := controlPlane.AddUser(envtest.User{Name: user}, nil)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig, err := account.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	return kubeconfig
}

// entrust runs the command with a kubeconfig.
func entrust(ctx context.Context, kubeconfig []byte, args ...string) (out, wrong string, code int) {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}
	code = cli.Run(ctx, append(args, "--kubeconfig", path), streams, clock.RealClock{}, "test")
	return stdout.String(), stderr.String(), code
}

// objectsOf reads the objects of files, those that mean nothing to this project included.
func objectsOf(files ...string) []*unstructured.Unstructured {
	GinkgoHelper()
	var objects []*unstructured.Unstructured
	for _, name := range files {
		text, err := os.ReadFile(name)
		Expect(err).NotTo(HaveOccurred())
		for decoder := yaml.NewYAMLToJSONDecoder(bytes.NewReader(text)); ; {
			object := &unstructured.Unstructured{}
			err := decoder.Decode(object)
			if errors.Is(err, io.EOF) {
				break
			}
			Expect(err).NotTo(HaveOccurred(), name)
			objects = append(objects, object)
		}
	}
	Expect(objects).NotTo(BeEmpty())
	return objects
}
