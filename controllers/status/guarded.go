package status

import (
	"context"
	"fmt"
	"slices"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
)

// Guard compares the live webhook configuration with the one that ships. What the admission rules stop by themselves they
// stop without it; who reaches into the pods of a store, and what leads past its policy from elsewhere, only a webhook sees.
type Guard struct {
	Reader  client.Reader // of the configuration
	Cache   cache.Cache   // of the configuration, to watch it
	Shipped *admissionregistrationv1.MutatingWebhookConfiguration
	// Scoped are the webhooks whose namespaces are not as shipped, because they are kept.
	Scoped []string
}

// watch wakes every store when the configuration changes.
func (g Guard) watch(stores func(context.Context) []reconcile.Request) source.SyncingSource {
	return source.Kind(g.Cache, &admissionregistrationv1.MutatingWebhookConfiguration{}, handler.TypedEnqueueRequestsFromMapFunc(
		func(ctx context.Context, _ *admissionregistrationv1.MutatingWebhookConfiguration) []reconcile.Request {
			return stores(ctx)
		}))
}

// condition says whether the webhooks are there, as they ship.
func (g Guard) condition(ctx context.Context) (metav1.Condition, error) {
	is := func(status metav1.ConditionStatus, reason v1alpha1.Reason, format string, args ...any) (metav1.Condition, error) {
		return metav1.Condition{Type: v1alpha1.ConditionGuarded, Status: status, Reason: string(reason), Message: fmt.Sprintf(format, args...)}, nil
	}
	const unseen = "so nothing judges who reaches into its pods, nor addresses and contracts that others write; install it again as it was installed at first"
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	err := g.Reader.Get(ctx, types.NamespacedName{Name: g.Shipped.Name}, live)
	switch {
	case apierrors.IsNotFound(err):
		return is(metav1.ConditionFalse, v1alpha1.ReasonWebhookMissing, "MutatingWebhookConfiguration %s is missing, %s", g.Shipped.Name, unseen)
	case err != nil:
		return metav1.Condition{}, fmt.Errorf("reading the webhook configuration: %w", err)
	}
	if hook, missing := g.flaw(live); hook != "" {
		if missing {
			return is(metav1.ConditionFalse, v1alpha1.ReasonWebhookMissing, "MutatingWebhookConfiguration %s has no webhook %s, %s", live.Name, hook, unseen)
		}
		return is(metav1.ConditionFalse, v1alpha1.ReasonWebhookAltered, "webhook %s of MutatingWebhookConfiguration %s is not as it ships, %s", hook, live.Name, unseen)
	}
	return is(metav1.ConditionTrue, v1alpha1.ReasonAsShipped, "the webhooks that guard it are in place, as they ship")
}

// flaw names the first webhook that is missing or was changed. How it is called is for whoever installs it.
func (g Guard) flaw(live *admissionregistrationv1.MutatingWebhookConfiguration) (hook string, missing bool) {
	for i := range g.Shipped.Webhooks {
		want := g.Shipped.Webhooks[i].DeepCopy()
		at := slices.IndexFunc(live.Webhooks, func(h admissionregistrationv1.MutatingWebhook) bool { return h.Name == want.Name })
		if at < 0 {
			return want.Name, true
		}
		is := live.Webhooks[at].DeepCopy()
		want.ClientConfig = is.ClientConfig
		if slices.Contains(g.Scoped, want.Name) {
			want.NamespaceSelector = is.NamespaceSelector
		}
		if !equality.Semantic.DeepEqual(want, is) {
			return want.Name, false
		}
	}
	return "", false
}
