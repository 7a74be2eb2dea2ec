package bench

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

// What a pod that has nothing to do with personal data meets, each in a namespace of its own.
const (
	nothing     = "nothing"
	emptyPolicy = "empty-policy"
	ourRules    = "our-rules"
	noopWebhook = "no-op-webhook"
)

// BenchmarkOrdinaryPod measures what the in-process rules add to the admission of an ordinary pod, beside a policy and a
// webhook that allow everything. The four take turns, so that a machine that gets slower meanwhile slows all of them.
func BenchmarkOrdinaryPod(b *testing.B) {
	ctx := context.Background()
	definitions, err := crd.All()
	must(b, err)
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions})
	must(b, err)
	defer func() { must(b, cluster.Stop()) }()
	config := cluster.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{})
	must(b, err)
	server := httptest.NewTLSServer(http.HandlerFunc(allow))
	defer server.Close()

	variants := []string{nothing, emptyPolicy, ourRules, noopWebhook}
	for _, name := range variants {
		must(b, admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	for _, object := range append(rules(b), policy(), binding(), webhook(server)) {
		must(b, admin.Create(ctx, object))
	}
	dry := client.NewDryRunClient(admin)
	for _, name := range []string{emptyPolicy, ourRules} { // both refuse a pod without a right to its purpose
		must(b, wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			return dry.Create(ctx, builder.Pod(name, "probe").Purpose("none").Obj()) != nil, nil
		}))
	}

	took := map[string][]time.Duration{}
	for i := 0; b.Loop(); i++ {
		for _, name := range variants {
			pod := builder.Pod(name, fmt.Sprintf("ordinary-%d", i)).Obj()
			start := time.Now()
			must(b, dry.Create(ctx, pod))
			took[name] = append(took[name], time.Since(start))
		}
	}
	base := median(took[nothing])
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(microseconds(base), "µs-in-all")
	for _, name := range variants[1:] {
		b.ReportMetric(microseconds(median(took[name])-base), "µs-by-"+name)
	}
}

func rules(b *testing.B) []client.Object {
	shipped, err := admission.All()
	must(b, err)
	var objects []client.Object
	for _, rule := range shipped {
		if rule.GetKind() == "ValidatingAdmissionPolicy" {
			here := map[string]any{"matchLabels": map[string]any{corev1.LabelMetadataName: ourRules}}
			must(b, unstructured.SetNestedMap(rule.Object, here, "spec", "matchConstraints", "namespaceSelector"))
		}
		objects = append(objects, rule)
	}
	return objects
}

func in(namespace string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
}

var createdPods = admissionregistrationv1.RuleWithOperations{
	Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
	Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
}

func policy() client.Object {
	return &admissionregistrationv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: emptyPolicy},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionregistrationv1.MatchResources{
				NamespaceSelector: in(emptyPolicy),
				ResourceRules:     []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: createdPods}},
			},
			Validations: []admissionregistrationv1.Validation{{Expression: "object.metadata.name != 'probe'"}},
		},
	}
}

func binding() client.Object {
	return &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: emptyPolicy},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: emptyPolicy, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}
}

func webhook(server *httptest.Server) client.Object {
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: noopWebhook},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "allow.example.com", NamespaceSelector: in(noopWebhook), AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: &server.URL, CABundle: authority},
			Rules:        []admissionregistrationv1.RuleWithOperations{createdPods},
			SideEffects:  ptr.To(admissionregistrationv1.SideEffectClassNone),
		}},
	}
}

func allow(w http.ResponseWriter, r *http.Request) {
	review := admissionv1.AdmissionReview{}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // a client that is gone need not be told
}

func median(d []time.Duration) time.Duration { return slices.Sorted(slices.Values(d))[len(d)/2] }

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
