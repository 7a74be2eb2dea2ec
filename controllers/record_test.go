package controllers_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"entrustment.dev/operator/api/v1alpha1"
	auditledger "entrustment.dev/operator/internal/ledger"
	"entrustment.dev/operator/test/builder"
)

// entries of the ledger after a number of bytes.
func entries(from int) []auditledger.Entry {
	GinkgoHelper()
	var list []auditledger.Entry
	for line := range strings.Lines(record.String()[from:]) {
		var e auditledger.Entry
		Expect(json.Unmarshal([]byte(line), &e)).To(Succeed())
		list = append(list, e)
	}
	return list
}

func about(object client.Object) auditledger.Object {
	GinkgoHelper()
	gvk, err := apiutil.GVKForObject(object, admin.Scheme())
	Expect(err).NotTo(HaveOccurred())
	return auditledger.Object{Kind: gvk.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
}

// repairs are how often it was recorded that an object was put back.
func repairs(object client.Object) int {
	GinkgoHelper()
	count := 0
	for _, e := range entries(0) {
		if e.Event == auditledger.DriftRepaired && slices.Contains(e.Objects, about(object)) {
			count++
		}
	}
	return count
}

// repaired is the metric.
func repaired(kind string) float64 {
	GinkgoHelper()
	total := 0.0
	for _, s := range page() {
		if s.name == "entrustment_drift_repairs_total" && s.labels["kind"] == kind {
			total = s.value
		}
	}
	return total
}

var _ = Describe("The record of what the operator put back", Ordered, func() {
	var (
		fees   = &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
		policy = &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "data-billing", Name: "pds.billing-ledger"}}
		access = &v1alpha1.PersonalDataAccess{ObjectMeta: metav1.ObjectMeta{Namespace: "billing-entrustee", Name: v1alpha1.PersonalDataAccessName}}
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "billing-entrustee", Name: "pds.data-billing.billing-ledger.reader"}}
		hooks  = &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "entrustment-operator"}}
		rule   = &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "labels.entrustment.dev"}}
	)
	there := func(ctx context.Context, object client.Object) error {
		return admin.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
	}
	suspend := func(ctx context.Context, suspended bool) {
		change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = suspended, "incident" })
	}
	BeforeAll(func(ctx context.Context) {
		Eventually(operator.ready).Should(Succeed())
		for _, object := range []client.Object{policy, access, secret} {
			Eventually(there).WithArguments(ctx, object).Should(Succeed())
		}
		settle() // what was done before leaves no line of its own among these
	})

	DescribeTable("has a line of what somebody changed", func(ctx context.Context, object client.Object, edit func(client.Object)) {
		from, kind, before, counted := len(record.String()), about(object).Kind, 0, 0.
		key := client.ObjectKeyFromObject(object)
		Eventually(func(g Gomega) { // once the operator has looked at the object: what was done before is nobody's
			before, counted = repairs(object), repaired(kind)
			g.Expect(itself.Get(ctx, key, object)).To(Succeed())
			edit(object)
			g.Expect(itself.Update(ctx, object)).To(Succeed())
			g.Eventually(repairs).WithArguments(object).WithTimeout(2 * time.Second).Should(Equal(before + 1))
		}).Should(Succeed())
		Consistently(repairs).WithArguments(object).WithTimeout(300 * time.Millisecond).Should(Equal(before + 1))
		Expect(repaired(kind)).To(Equal(counted + 1))
		for _, e := range entries(from) {
			if e.Grant != nil { // somebody else's may still follow from what was done before
				Expect(e.Grant.Namespace).NotTo(Equal(access.Namespace), "%s: nobody was granted anything there, nor lost anything", e.Event)
			}
		}
	},
		Entry("of a policy", policy, func(o client.Object) { o.(*networkingv1.NetworkPolicy).Spec.Ingress = nil }),
		Entry("of what a namespace is shown, which grants less", access, func(o client.Object) {
			a := o.(*v1alpha1.PersonalDataAccess)
			a.Grants, a.GrantCount = nil, 0
		}),
		Entry("of what a namespace is shown, which grants more", access, func(o client.Object) {
			a := o.(*v1alpha1.PersonalDataAccess)
			a.Grants = append(a.Grants, v1alpha1.Grant{Purpose: "claims-disposal"})
		}),
		Entry("of a delivered credential", secret, func(o client.Object) { o.(*corev1.Secret).Data["password"] = []byte("forged") }),
		Entry("of a rule", rule, func(o client.Object) {
			o.(*admissionregistrationv1.ValidatingAdmissionPolicy).Spec.Validations[0].Expression = "true"
		}),
		Entry("of the namespaces of a webhook", hooks, func(o client.Object) {
			for i, hook := range o.(*admissionregistrationv1.MutatingWebhookConfiguration).Webhooks {
				if hook.Name == "intervene.admission.entrustment.dev" {
					o.(*admissionregistrationv1.MutatingWebhookConfiguration).Webhooks[i].NamespaceSelector.MatchExpressions[0].Values = []string{"no_namespace"}
				}
			}
		}),
	)

	DescribeTable("has a line of what somebody deleted", func(ctx context.Context, object client.Object) {
		from, before := len(record.String()), repairs(object)
		Eventually(func(g Gomega) { // once the operator has seen what it wrote last
			g.Expect(client.IgnoreNotFound(itself.Delete(ctx, object.DeepCopyObject().(client.Object)))).To(Succeed())
			g.Eventually(there).WithArguments(ctx, object).Should(Succeed())
			g.Eventually(repairs).WithArguments(object).WithTimeout(time.Second).Should(BeNumerically(">", before))
		}).Should(Succeed())
		for _, e := range entries(from) {
			if e.Grant != nil { // somebody else's may still follow from what was done before
				Expect(e.Grant.Namespace).NotTo(Equal(access.Namespace), "%s: nobody was granted anything there, nor lost anything", e.Event)
			}
		}
	},
		Entry("of a policy", policy),
		Entry("of what a namespace is shown", access),
		Entry("of a delivered credential", secret),
		Entry("of a rule", rule),
	)

	It("has none of what the operator does itself", func(ctx context.Context) {
		DeferCleanup(func(ctx context.Context) {
			suspend(ctx, false)
			Eventually(there).WithArguments(ctx, secret).Should(Succeed())
		})
		from := len(record.String())
		events := func() (list []auditledger.Event) {
			for _, e := range entries(from) {
				list = append(list, e.Event)
			}
			return list
		}
		suspend(ctx, true)
		Eventually(there).WithArguments(ctx, secret).ShouldNot(Succeed())
		Eventually(events).Should(ContainElement(auditledger.Suspended)) // the status, which tells of it, comes last
		suspend(ctx, false)
		Eventually(there).WithArguments(ctx, secret).Should(Succeed())
		Eventually(events).Should(ContainElements(auditledger.Suspended, auditledger.GrantWithdrawn, auditledger.Resumed, auditledger.GrantMade))
		Expect(events()).NotTo(ContainElement(auditledger.DriftRepaired))
	})

	It("has none of what happened while the operator was down", func(ctx context.Context) {
		operator.stop()
		from := len(record.String())
		Expect(itself.Get(ctx, client.ObjectKeyFromObject(policy), policy)).To(Succeed())
		want := policy.Spec.DeepCopy()
		policy.Spec.Ingress = nil
		Expect(itself.Update(ctx, policy)).To(Succeed())
		operator.start()
		Eventually(operator.ready).Should(Succeed())
		Eventually(func(g Gomega) {
			g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(policy), policy)).To(Succeed())
			g.Expect(policy.Spec).To(Equal(*want))
		}).Should(Succeed())
		for _, e := range entries(from) {
			Expect(e.Event).NotTo(Equal(auditledger.DriftRepaired))
		}
	})
})

var _ = Describe("The record of reviews", func() {
	It("has a line of each, once", func(ctx context.Context) {
		Eventually(operator.ready).Should(Succeed())
		first := v1alpha1.Review{Date: "2026-01-15", Method: "OnSiteAudit", Result: "Satisfactory"}
		contract := builder.Entrustment("reviewed").From("example-controller").To("billing-entrustee").Purposes("billing").
			Stores("data-billing/billing-ledger").NotAfter(noon.AddDate(1, 0, 0)).With(func(e *v1alpha1.Entrustment) {
			e.Spec.Supervision = &v1alpha1.Supervision{Reviews: []v1alpha1.Review{first}}
		}).Obj()
		create(ctx, contract)
		told := func() (list []string) {
			for _, e := range entries(0) {
				if e.Event == auditledger.ReviewRecorded && e.Objects[0].Name == "reviewed" {
					list = append(list, e.Message)
				}
			}
			return list
		}
		Eventually(told).Should(Equal([]string{"OnSiteAudit of 2026-01-15: Satisfactory"}))
		change(ctx, contract, func() {
			contract.Spec.Supervision.Reviews = append(contract.Spec.Supervision.Reviews, v1alpha1.Review{Date: "2026-02-15", Method: "Report", Result: v1alpha1.ReviewUnsatisfactory})
		})
		want := []string{"OnSiteAudit of 2026-01-15: Satisfactory", "Report of 2026-02-15: Unsatisfactory"}
		Eventually(told).Should(Equal(want))

		By("restarting")
		operator.stop()
		operator.start()
		Eventually(operator.ready).Should(Succeed())
		Consistently(told).WithTimeout(300 * time.Millisecond).Should(Equal(want))
	})
})

// sample is a line of the page of metrics.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

var (
	sampleLine = regexp.MustCompile(`^(entrustment_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
	metricRow  = regexp.MustCompile("(?m)^\\| `(entrustment_\\w+)` \\|([^|]*)\\|")
)

// page is what Prometheus reads of the operator itself.
func page() []sample {
	GinkgoHelper()
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", operator.metrics)) //nolint:noctx // a scrape has none
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = response.Body.Close() }()
	Expect(response.StatusCode).To(Equal(http.StatusOK))
	text, err := io.ReadAll(response.Body)
	Expect(err).NotTo(HaveOccurred())
	var list []sample
	for scanner := bufio.NewScanner(strings.NewReader(string(text))); scanner.Scan(); {
		line := sampleLine.FindStringSubmatch(scanner.Text())
		if line == nil {
			continue
		}
		s := sample{name: line[1], labels: map[string]string{}}
		for _, pair := range labelPair.FindAllStringSubmatch(line[2], -1) {
			if pair[1] != "le" { // of every histogram
				s.labels[pair[1]] = pair[2]
			}
		}
		_, err := fmt.Sscan(line[3], &s.value)
		Expect(err).NotTo(HaveOccurred())
		list = append(list, s)
	}
	return list
}

var _ = Describe("The page of metrics", func() {
	It("shows what is documented, nothing else, and no label that grows with the pods or the people", func(ctx context.Context) {
		Eventually(operator.ready).Should(Succeed())
		text, err := os.ReadFile("../docs/metrics.md")
		Expect(err).NotTo(HaveOccurred())
		documented := map[string][]string{}
		for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
			documented[row[1]] = []string{}
			for _, label := range strings.Split(row[2], ",") {
				if label = strings.Trim(label, " `"); label != "" {
					documented[row[1]] = append(documented[row[1]], label)
				}
			}
			slices.Sort(documented[row[1]])
		}
		Expect(documented).NotTo(BeEmpty())

		By("bringing about what is only shown when it has happened")
		Expect(admin.Create(ctx, builder.Pod("billing-entrustee", "refused").Purpose("nonsense").Obj())).NotTo(Succeed())
		policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "data-billing", Name: "pds.billing-ledger"}}
		Expect(itself.Get(ctx, client.ObjectKeyFromObject(policy), policy)).To(Succeed())
		policy.Spec.Ingress = nil
		Expect(itself.Update(ctx, policy)).To(Succeed())
		fees := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
		suspend := func(ctx context.Context, suspended bool) {
			change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = suspended, "incident" })
		}
		delivered := types.NamespacedName{Namespace: "billing-entrustee", Name: "pds.data-billing.billing-ledger.reader"}
		Eventually(func() error { return admin.Get(ctx, delivered, &corev1.Secret{}) }).Should(Succeed())
		suspend(ctx, true)
		DeferCleanup(func(ctx context.Context) {
			suspend(ctx, false)
			Eventually(func() error { return admin.Get(ctx, delivered, &corev1.Secret{}) }).Should(Succeed())
		})
		names := func(list []sample) map[string]bool {
			found := map[string]bool{}
			for _, s := range list {
				found[s.name] = true
			}
			return found
		}
		var all []any
		for name := range documented {
			all = append(all, name)
		}
		Eventually(func() map[string]bool { return names(page()) }).Should(SatisfyAll(HaveLen(len(all)), HaveEach(true), WithTransform(func(found map[string]bool) []string {
			var list []string
			for name := range found {
				list = append(list, name)
			}
			return list
		}, ConsistOf(all...))))

		parties := &v1alpha1.DataProcessorList{}
		Expect(admin.List(ctx, parties)).To(Succeed())
		stores := &v1alpha1.PersonalDataStoreList{}
		Expect(admin.List(ctx, stores)).To(Succeed())
		word := regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)
		bounded := map[string]func(string) bool{
			"kind": func(value string) bool {
				return admin.Scheme().Recognizes(v1alpha1.SchemeGroupVersion.WithKind(value)) || slices.ContainsFunc([]schema.GroupVersion{
					corev1.SchemeGroupVersion, networkingv1.SchemeGroupVersion, admissionregistrationv1.SchemeGroupVersion, {Group: "rbac.authorization.k8s.io", Version: "v1"},
				}, func(gv schema.GroupVersion) bool { return admin.Scheme().Recognizes(gv.WithKind(value)) })
			},
			"reason":    func(value string) bool { return value == "" || word.MatchString(value) },
			"active":    func(value string) bool { return value == "true" || value == "false" },
			"owner":     func(value string) bool { return regexp.MustCompile(`^entrustment-operator/[a-z]+$`).MatchString(value) },
			"operation": func(value string) bool { return regexp.MustCompile(`^[a-z ]+$`).MatchString(value) },
			"step": func(value string) bool {
				return slices.Contains([]string{"policies", "parameters", "secrets", "pods", "verified"}, value)
			},
			"processor": func(value string) bool {
				return slices.ContainsFunc(parties.Items, func(p v1alpha1.DataProcessor) bool { return p.Name == value })
			},
			"store": func(value string) bool {
				return slices.ContainsFunc(stores.Items, func(s v1alpha1.PersonalDataStore) bool { return s.Name == value })
			},
			"store_namespace": func(value string) bool {
				return slices.ContainsFunc(stores.Items, func(s v1alpha1.PersonalDataStore) bool { return s.Namespace == value })
			},
		}
		Eventually(func(g Gomega) { // what is gone leaves the page once it was seen to go
			for _, s := range page() {
				var labels []string
				for label, value := range s.labels {
					labels = append(labels, label)
					g.Expect(bounded).To(HaveKey(label), s.name)
					g.Expect(bounded[label](value)).To(BeTrue(), "%s: %s=%q", s.name, label, value)
				}
				g.Expect(labels).To(ConsistOf(documented[s.name]), s.name)
			}
		}).Should(Succeed())
	})
})
