package certificate

import (
	"crypto/tls"
	"fmt"
	"net/http"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/internal/certs"
)

// Trust tells whether the API server trusts what this replica serves, whoever made it.
type Trust struct {
	Configurations client.Reader
	Served         func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Clock          clock.PassiveClock
}

// Trusted is a check.
func (t Trust) Trusted(request *http.Request) error {
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := t.Configurations.Get(request.Context(), types.NamespacedName{Name: ConfigurationName}, live); err != nil {
		return fmt.Errorf("reading MutatingWebhookConfiguration %s: %w", ConfigurationName, err)
	}
	served, err := t.Served(nil)
	if err != nil {
		return err
	}
	for i := range live.Webhooks {
		if err := certs.Verify(served, live.Webhooks[i].ClientConfig.CABundle, t.Clock.Now()); err != nil {
			return fmt.Errorf("webhook %s of MutatingWebhookConfiguration %s does not trust this replica: %w", live.Webhooks[i].Name, ConfigurationName, err)
		}
	}
	return nil
}
