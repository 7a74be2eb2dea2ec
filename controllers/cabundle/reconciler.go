package cabundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	admissionregistrationv1ac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/certs"
)

// ConfigurationName is the name of the operator's webhook configuration.
const ConfigurationName = "entrustment-operator"

// Reconciler keeps an authority trusted.
type Reconciler struct {
	Cache     cache.Cache // of the one configuration
	Writer    apply.Writer
	Authority []byte // PEM

	trusted atomic.Bool
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=entrustment-operator,verbs=get;list;watch;patch

// SetupWithManager watches the one configuration.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	configuration := source.Kind(r.Cache, &admissionregistrationv1.MutatingWebhookConfiguration{},
		&handler.TypedEnqueueRequestForObject[*admissionregistrationv1.MutatingWebhookConfiguration]{})
	return builder.ControllerManagedBy(mgr).Named("cabundle").
		WatchesRawSource(configuration).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(r)
}

// Reconcile adds the authority to every webhook that lacks it.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := r.Cache.Get(ctx, types.NamespacedName{Name: ConfigurationName}, live); err != nil {
		r.trusted.Store(false)
		if apierrors.IsNotFound(err) {
			log.FromContext(ctx).Info("Pods are not judged: the webhook configuration is missing; install it again as it was installed at first", "name", ConfigurationName)
			return reconcile.Result{}, nil // its creation wakes us
		}
		return reconcile.Result{}, fmt.Errorf("reading the webhook configuration: %w", err)
	}
	configuration := admissionregistrationv1ac.MutatingWebhookConfiguration(ConfigurationName)
	complete := true
	for i := range live.Webhooks {
		hook := &live.Webhooks[i]
		bundle := certs.Join(hook.ClientConfig.CABundle, r.Authority)
		complete = complete && bytes.Equal(bundle, hook.ClientConfig.CABundle)
		configuration.WithWebhooks(admissionregistrationv1ac.MutatingWebhook().WithName(hook.Name).
			WithClientConfig(admissionregistrationv1ac.WebhookClientConfig().WithCABundle(bundle...)))
	}
	r.trusted.Store(complete && len(live.Webhooks) > 0)
	if complete {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, r.Writer.Fields(ctx, configuration)
}

// Trusted is a check that the API server trusts this replica.
func (r *Reconciler) Trusted(*http.Request) error {
	if r.trusted.Load() {
		return nil
	}
	return errors.New("MutatingWebhookConfiguration " + ConfigurationName +
		" is missing, or does not trust this replica yet")
}
