// Package webhook embeds the webhook configuration that ships, so that whoever compares the live one with it reads the same
// bytes. It decides nothing and imports the configuration's own types alone.
package webhook

import (
	_ "embed"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

//go:embed manifests.yaml
var manifests []byte

// Configuration returns what ships, with what the API server would default. The caller owns it.
func Configuration() (*admissionregistrationv1.MutatingWebhookConfiguration, error) {
	shipped := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict(manifests, shipped); err != nil {
		return nil, fmt.Errorf("decode the embedded webhook configuration: %w", err)
	}
	for i := range shipped.Webhooks {
		hook := &shipped.Webhooks[i]
		if hook.NamespaceSelector == nil {
			hook.NamespaceSelector = &metav1.LabelSelector{}
		}
		if hook.ObjectSelector == nil {
			hook.ObjectSelector = &metav1.LabelSelector{}
		}
		if hook.ReinvocationPolicy == nil {
			hook.ReinvocationPolicy = ptr.To(admissionregistrationv1.NeverReinvocationPolicy)
		}
	}
	return shipped, nil
}
