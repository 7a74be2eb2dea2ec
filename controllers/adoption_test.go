package controllers_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/cli"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

// A person completes what kubectl entrust bootstrap drafts, and applies it: the whole way into the cluster, with nothing in it denied.
func describeAdoption() {
	It("takes a cluster in by a draft, and denies nothing of what runs", func(ctx context.Context) {
		const at = "orders-data/orders-db"
		orders := types.NamespacedName{Namespace: "orders-data", Name: "orders-db"}
		before, err := manifests.Read("../config/samples/adoption")
		Expect(err).NotTo(HaveOccurred())
		for _, object := range before {
			create(ctx, typed(object))
		}
		create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: orders.Namespace, Name: "orders-db"}, StringData: map[string]string{"password": "secret"}})
		planners := func(g Gomega) []corev1.Pod {
			pods := &corev1.PodList{}
			g.Expect(admin.List(ctx, pods, client.InNamespace("dispatch"))).To(Succeed())
			return pods.Items
		}
		Eventually(planners).Should(HaveLen(1), "which the Deployment makes")

		By("drafting")
		draft, wrong, code := entrust("bootstrap", at, "--controller", "shop", "--own", "storefront")
		Expect(code).To(BeZero(), wrong)
		Expect(draft).To(ContainSubstring("REPLACE-ME"))
		for _, object := range decode(draft) {
			err := admin.Create(ctx, object, client.DryRunAll)
			Expect(err).To(HaveOccurred(), "%s %s with what is left open", object.GetKind(), object.GetName())
		}
		path := filepath.Join(GinkgoT().TempDir(), "draft.yaml")
		Expect(os.WriteFile(path, []byte(draft), 0o600)).To(Succeed())
		out, _, code := entrust("lint", "-f", path)
		Expect(code).To(Equal(1))
		Expect(out).To(And(ContainSubstring("ENT106"), Not(ContainSubstring("ENT103"))))

		By("completing it")
		text := complete(draft)
		Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
		out, _, code = entrust("lint", "-f", path, "--fail-on", "note", "--at", noon.Format(time.RFC3339))
		Expect(code).To(BeZero(), out+text)

		By("applying it")
		for _, object := range decode(text) {
			made := typed(object)
			Eventually(func() error { return admin.Create(ctx, made) }).Should(Succeed(), object.GetName())
			DeferCleanup(func(ctx context.Context) { remove(ctx, made) })
		}
		DeferCleanup(func(ctx context.Context) { // a store is kept until its pods are gone
			Expect(admin.DeleteAllOf(ctx, &appsv1.StatefulSet{}, client.InNamespace(orders.Namespace))).To(Succeed())
			Eventually(func(g Gomega) {
				pods := &corev1.PodList{}
				g.Expect(admin.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(orders.Namespace), client.GracePeriodSeconds(0))).To(Succeed())
				g.Expect(admin.List(ctx, pods, client.InNamespace(orders.Namespace))).To(Succeed())
				g.Expect(pods.Items).To(BeEmpty())
			}).Should(Succeed())
		})
		store := &v1alpha1.PersonalDataStore{}
		Eventually(func(g Gomega) {
			g.Expect(admin.Get(ctx, orders, store)).To(Succeed())
			g.Expect(store.Spec.Enforcement).To(Equal(v1alpha1.EnforcementReport))
			g.Expect(store.Status.ObservedGeneration).To(Equal(store.Generation))
			g.Expect(store.Status.GrantCount).To(BeEquivalentTo(3), "two namespaces of the data controller, and one of a party")
			g.Expect(meta.IsStatusConditionTrue(store.Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue(), "%v", store.Status.Conditions)
			g.Expect(store.Status.WouldDeny).To(ContainElement(And(HaveField("Namespace", "dispatch"), HaveField("Name", planners(g)[0].Name))))
		}).Should(Succeed())

		By("running what ran")
		policies := &networkingv1.NetworkPolicyList{}
		Expect(admin.List(ctx, policies)).To(Succeed())
		for _, policy := range policies.Items {
			selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
			Expect(err).NotTo(HaveOccurred())
			for namespace, app := range map[string]string{orders.Namespace: "orders-db", "dispatch": "route-planner", "storefront": "web"} {
				selects := policy.Namespace == namespace && selector.Matches(labels.Set{"app": app})
				Expect(selects).To(Equal(policy.Name == "orders-db" && app == "orders-db"), "%s/%s: only what was there selects pods that declare nothing", policy.Namespace, policy.Name)
			}
		}
		planner := planners(NewGomega(Fail))[0]
		Expect(planner.DeletionTimestamp).To(BeNil())
		again := []client.Object{&planner}
		for _, object := range before {
			if object.GetKind() != "Namespace" && object.GetKind() != "Service" {
				again = append(again, typed(object))
			}
		}
		for _, object := range again {
			object.SetName(object.GetName() + "-again")
			object.SetResourceVersion("")
			object.SetUID("")
			object.SetOwnerReferences(nil)
			Expect(admin.Create(ctx, object, client.DryRunAll)).To(Succeed(), object.GetName())
		}
		undeclared := builder.Pod("dispatch", "tries").Purpose("unheard-of").Obj()
		said := warned.during(func() { Expect(admin.Create(ctx, undeclared, client.DryRunAll)).To(Succeed()) })
		Expect(said).To(ContainElement(ContainSubstring("PurposeUnknown")))
	})
}

// entrust runs the command against the cluster.
func entrust(args ...string) (out, wrong string, code int) {
	GinkgoHelper()
	kubeconfig, err := controlplane.Kubeconfig(connection, "admin")
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())
	var stdout, stderr bytes.Buffer
	streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: &stdout, ErrOut: &stderr}
	code = cli.Run(context.Background(), append(args, "--kubeconfig", path), streams, now, "test")
	return stdout.String(), stderr.String(), code
}

// complete says what only people know.
func complete(draft string) string {
	for field, value := range map[string]string{
		"name": "delivery", "title": "Deliver what was ordered", "legalName": "A company", "country": "JP", "notAfter": `"` + noon.AddDate(1, 0, 0).UTC().Format(time.RFC3339) + `"`,
		"reference": "C-1", "concludedDate": `"` + noon.Format(time.DateOnly) + `"`,
	} {
		draft = regexp.MustCompile(`(\b`+field+`: )REPLACE-ME`).ReplaceAllString(draft, "${1}"+value)
	}
	for field, value := range map[string]string{
		"dataCategories": "user.contact", "allowedPurposes": "delivery", "purposes": "delivery",
		"clauses": "DocumentedInstructions\n      - Confidentiality\n      - SecurityMeasures\n      - SubEntrustment\n      - RightsAssistance\n      - IncidentReporting\n      - ReturnOrErasure\n      - Audit",
	} {
		draft = regexp.MustCompile(`(\b`+field+`:\n +- )REPLACE-ME`).ReplaceAllString(draft, "${1}"+value)
	}
	return draft
}

// typed is an object as the specs handle it.
func typed(object *unstructured.Unstructured) client.Object {
	GinkgoHelper()
	made, err := admin.Scheme().New(object.GroupVersionKind())
	Expect(err).NotTo(HaveOccurred())
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, made)).To(Succeed())
	return made.(client.Object)
}

func decode(text string) []*unstructured.Unstructured {
	GinkgoHelper()
	objects, err := manifests.Decode([]byte(text))
	Expect(err).NotTo(HaveOccurred())
	return objects
}
