package controllers_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("A replica that is cut off from the API server", func() {
	It("refuses for now what it would have granted, once it has not seen the leader for too long", func(ctx context.Context) {
		second := &process{config: operator.config, port: freePort(), probes: freePort(), silence: 5 * time.Second}
		second.start()
		DeferCleanup(func() {
			second.cable.cut.Store(false)
			second.stop()
		})
		pod := builder.Pod("billing-entrustee", "invoices").Purpose("billing").Entrustment("fees").Obj()
		judge := func(g Gomega) *admissionv1.AdmissionResponse { return second.judge(ctx, g, pod, "billing-entrustee") }
		Eventually(judge).Should(HaveField("Allowed", BeTrue()))

		By("cutting it off, and withdrawing the grant")
		second.cable.cut.Store(true)
		fees := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
		change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = true, "incident" })
		DeferCleanup(func(ctx context.Context) {
			change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = false, "" })
			Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).Should(ContainElement("billing-entrustee under fees"))
		})
		Eventually(judge).Should(SatisfyAll(HaveField("Allowed", BeFalse()), HaveField("Result", HaveValue(SatisfyAll(
			HaveField("Code", BeEquivalentTo(http.StatusServiceUnavailable)), HaveField("Message", ContainSubstring("may not know what was withdrawn since")))))))
		Expect(second.ready()).To(MatchError(ContainSubstring("[-]lease failed")))
		Expect(operator.ready()).To(Succeed(), "the one that leads")
	})
})

// judge asks the webhook of this replica itself, as the API server would.
func (p *process) judge(ctx context.Context, g Gomega, pod runtime.Object, namespace string) *admissionv1.AdmissionResponse {
	object, err := json.Marshal(pod)
	g.Expect(err).NotTo(HaveOccurred())
	review, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"},
		Request:  &admissionv1.AdmissionRequest{UID: "1", Namespace: namespace, Operation: admissionv1.Create, Object: runtime.RawExtension{Raw: object}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("https://127.0.0.1:%d/admit-pod", p.port), bytes.NewReader(review))
	g.Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} // its certificate is its own
	answer, err := client.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = answer.Body.Close() }()
	var answered admissionv1.AdmissionReview
	g.Expect(json.NewDecoder(answer.Body).Decode(&answered)).To(Succeed())
	g.Expect(answered.Response).NotTo(BeNil())
	return answered.Response
}
