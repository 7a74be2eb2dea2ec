package install

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Where the API server does not call the Service, the certificate is for the address that it calls.
func TestCertificateIsForTheAddressOfTheWebhook(t *testing.T) {
	service := []string{"entrustment-webhook.entrustment-system.svc", "entrustment-webhook.entrustment-system.svc.cluster.local"}
	for url, want := range map[string]struct{ names, addresses []string }{
		"":                                  {names: service},
		"https://127.0.0.1:9443":            {service, []string{"127.0.0.1"}},
		"https://[fd00::1]:9443":            {service, []string{"fd00::1"}},
		"https://operator.example.com:9443": {names: append(slices.Clone(service), "operator.example.com")},
	} {
		t.Run(url, func(t *testing.T) {
			g := NewWithT(t)
			objects, err := render(name, namespace, values{"certificates": values{"issuer": "cert-manager"}, "webhook": values{"url": url}})
			g.Expect(err).NotTo(HaveOccurred())
			at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
				return o.GetKind() == "Certificate" && o.GetName() == "entrustment-operator-webhook"
			})
			g.Expect(at).NotTo(Equal(-1))
			names, _, err := unstructured.NestedStringSlice(objects[at].Object, "spec", "dnsNames")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(names).To(Equal(want.names))
			addresses, _, err := unstructured.NestedStringSlice(objects[at].Object, "spec", "ipAddresses")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(addresses).To(Equal(want.addresses))
		})
	}
}
