package certificate

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	admissionregistrationv1ac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
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

const (
	// ConfigurationName is the name of the operator's webhook configuration.
	ConfigurationName = "entrustment-operator"
	// SecretName is the name of the Secret that holds the certificates.
	SecretName = "entrustment-operator-webhook"
)

// everything is decided at once.
var everything = reconcile.Request{NamespacedName: types.NamespacedName{Name: SecretName}}

// Reconciler keeps the certificates of one namespace's operator.
type Reconciler struct {
	Secrets        cache.Cache // of the one Secret
	Configurations cache.Cache // of the one configuration
	Writer         apply.Writer
	Namespace      string
	Hosts          []string // by which this replica is called
	Terms          certs.Terms
	Clock          clock.PassiveClock // by which the API server judges certificates
	Serving        *certs.Serving

	trusted, strangers certs.Sight
}

// No list can limit a creation to one name.
//
// +kubebuilder:rbac:groups="",namespace=entrustment-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=entrustment-system,resources=secrets,resourceNames=entrustment-operator-webhook,verbs=get;list;watch;update
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=entrustment-operator,verbs=get;list;watch;patch

// SetupWithManager watches the Secret and the configuration, neither of which need be there.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	r.Terms = r.Terms.Complete()
	r.trusted, r.strangers = certs.Sight{}, certs.Sight{}
	secrets := source.Kind(r.Secrets, &corev1.Secret{}, handler.TypedEnqueueRequestsFromMapFunc(
		func(context.Context, *corev1.Secret) []reconcile.Request { return []reconcile.Request{everything} }))
	configurations := source.Kind(r.Configurations, &admissionregistrationv1.MutatingWebhookConfiguration{}, handler.TypedEnqueueRequestsFromMapFunc(
		func(context.Context, *admissionregistrationv1.MutatingWebhookConfiguration) []reconcile.Request {
			return []reconcile.Request{everything}
		}))
	begin := source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		queue.Add(everything)
		return nil
	})
	return builder.ControllerManagedBy(mgr).Named("certificate").
		WatchesRawSource(secrets).
		WatchesRawSource(configurations).
		WatchesRawSource(begin).
		WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)}).
		Complete(r)
}

// Reconcile makes the next certificate when it is time, lets the API server trust it, and serves it once that has settled.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	pairs, err := r.keep(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	switch err := r.Configurations.Get(ctx, types.NamespacedName{Name: ConfigurationName}, live); {
	case apierrors.IsNotFound(err):
		log.FromContext(ctx).Info("Pods are not judged: the webhook configuration is missing; install it again as it was installed at first", "name", ConfigurationName)
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading the webhook configuration: %w", err)
	}
	now := r.Clock.Now()
	r.see(live, pairs)
	r.Serving.Serve(r.Terms.Choose(r.Serving.Pair(), pairs, r.Hosts, r.trusted, now))

	if configuration, complete := r.trusting(live, pairs); !complete && len(pairs) > 0 {
		if err := r.Writer.Fields(ctx, configuration); err != nil && !apierrors.IsConflict(err) { // what it has become wakes us
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{RequeueAfter: r.Terms.Next(pairs, r.trusted, r.strangers, now)}, nil
}

// keep returns what is in the Secret, after it was renewed if that was due. Nothing and no error: another replica came
// first, and what it wrote wakes us.
func (r *Reconciler) keep(ctx context.Context) ([]certs.Pair, error) {
	live := &corev1.Secret{}
	err := r.Secrets.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: SecretName}, live)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return nil, fmt.Errorf("reading Secret %s/%s: %w", r.Namespace, SecretName, err)
	}
	pairs, renewed, err := r.Terms.Renew(certs.Parse(live.Data), r.Hosts, r.Clock.Now())
	if err != nil || !renewed {
		return pairs, err
	}
	data, err := certs.Data(pairs)
	if err != nil {
		return nil, err
	}
	if missing {
		err = r.Writer.Create(ctx, corev1ac.Secret(SecretName, r.Namespace).WithType(corev1.SecretTypeTLS).WithData(data))
	} else {
		changed := live.DeepCopy()
		changed.Data = data
		err = r.Writer.Update(ctx, changed)
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || !missing && apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err == nil {
		log.FromContext(ctx).Info("Made a certificate for the webhook", "validUntil", pairs[0].Certificate.Leaf.NotAfter)
	}
	return pairs, err
}

// see takes note of the authorities that every webhook trusts, and of those of which nobody knows whose they are.
func (r *Reconciler) see(live *admissionregistrationv1.MutatingWebhookConfiguration, pairs []certs.Pair) {
	var trusted, strangers [][]byte
	for i := range live.Webhooks {
		bundle := live.Webhooks[i].ClientConfig.CABundle
		strangers = append(strangers, certs.Strangers(bundle, pairs)...)
		authorities := certs.Authorities(bundle)
		if i == 0 {
			trusted = authorities
		}
		trusted = slices.DeleteFunc(trusted, func(authority []byte) bool {
			return !slices.ContainsFunc(authorities, func(other []byte) bool { return bytes.Equal(authority, other) })
		})
	}
	now := r.Clock.Now()
	r.trusted.See(trusted, now)
	r.strangers.See(strangers, now)
}

// trusting is the configuration with the authorities of the pairs, on the very version that was read, and whether it has
// them already: had another replica added one meanwhile, it would be taken away again.
func (r *Reconciler) trusting(live *admissionregistrationv1.MutatingWebhookConfiguration, pairs []certs.Pair) (_ *admissionregistrationv1ac.MutatingWebhookConfigurationApplyConfiguration, complete bool) {
	configuration := admissionregistrationv1ac.MutatingWebhookConfiguration(ConfigurationName).WithResourceVersion(live.ResourceVersion)
	complete = true
	for i := range live.Webhooks {
		hook := &live.Webhooks[i]
		bundle := r.Terms.Bundle(hook.ClientConfig.CABundle, pairs, r.strangers, r.Clock.Now())
		complete = complete && bytes.Equal(bundle, hook.ClientConfig.CABundle)
		configuration.WithWebhooks(admissionregistrationv1ac.MutatingWebhook().WithName(hook.Name).
			WithClientConfig(admissionregistrationv1ac.WebhookClientConfig().WithCABundle(bundle...)))
	}
	return configuration, complete
}
