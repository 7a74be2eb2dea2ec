package scope

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	admissionregistrationv1ac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
)

// Webhooks are those of which the namespaces are kept.
var Webhooks = []string{"intervene.admission.entrustment.dev", "ephemeralcontainers.admission.entrustment.dev"}

// exempt are never asked about: the cluster's own namespace must not depend on the operator, nor the operator on itself.
var exempt = []string{metav1.NamespaceSystem, "entrustment-system"}

// nowhere is a name that no namespace can have, because a selector has to name one.
const nowhere = "no_namespace"

// Reconciler keeps the namespaces of one webhook configuration.
type Reconciler struct {
	Name      string      // of the configuration
	Cache     cache.Cache // of the configuration
	Publisher *snapshot.Publisher
	Writer    apply.Writer
	Elected   <-chan struct{} // closed when it is this replica that writes

	flaw atomic.Pointer[string] // what is wrong with the live configuration; nil: nobody has looked
	last written
}

// written is what was written last, until the cache shows it.
type written struct {
	over       string // the version that was read before
	namespaces []string
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=entrustment-operator,verbs=get;list;watch;patch

// SetupWithManager watches the configuration for what others do to it, and follows the snapshot.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	configuration := source.Kind(r.Cache, &admissionregistrationv1.MutatingWebhookConfiguration{},
		&handler.TypedEnqueueRequestForObject[*admissionregistrationv1.MutatingWebhookConfiguration]{})
	return builder.ControllerManagedBy(mgr).Named("scope").
		WatchesRawSource(configuration).
		WatchesRawSource(r.Publisher.Follow(snapshot.Unordered, r.moved)).
		Complete(r)
}

// moved asks for a look when other namespaces hold a store or are bound.
func (r *Reconciler) moved(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old != nil && slices.Equal(old.GuardedNamespaces(), next.GuardedNamespaces()) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: r.Name}}}
}

// Reconcile writes the namespaces into each webhook, unless they are there.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, nil //nolint:nilerr // without it nothing is narrowed; its arrival wakes us
	}
	live := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := r.Cache.Get(ctx, types.NamespacedName{Name: r.Name}, live); err != nil {
		if apierrors.IsNotFound(err) {
			r.say("it is missing")
			return reconcile.Result{}, nil // its creation wakes us
		}
		return reconcile.Result{}, fmt.Errorf("reading the webhook configuration: %w", err)
	}
	want := namespaces(current)
	flaw, same, configuration := compare(live, want)
	r.say(flaw)
	if r.last.over == live.ResourceVersion && slices.Equal(r.last.namespaces, want) {
		return reconcile.Result{}, nil // the cache has yet to see it, and that wakes us
	}
	wrote, err := r.Writer.Keep(ctx, live, configuration, same)
	if wrote {
		r.last = written{live.ResourceVersion, want}
	}
	return reconcile.Result{}, err
}

// namespaces that the webhooks have to be asked about, sorted; at least one.
func namespaces(current *entrustment.Snapshot) []string {
	guarded := slices.DeleteFunc(current.GuardedNamespaces(), func(name string) bool { return slices.Contains(exempt, name) })
	if len(guarded) == 0 {
		return []string{nowhere}
	}
	return guarded
}

// compare says what the live configuration lacks, whether it is as wanted, and what is applied to bring it there.
func compare(live *admissionregistrationv1.MutatingWebhookConfiguration, want []string) (flaw string, same bool, _ *admissionregistrationv1ac.MutatingWebhookConfigurationApplyConfiguration) {
	selector := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: want},
	}}
	configuration := admissionregistrationv1ac.MutatingWebhookConfiguration(live.Name)
	same = true
	for _, name := range Webhooks {
		i := slices.IndexFunc(live.Webhooks, func(hook admissionregistrationv1.MutatingWebhook) bool { return hook.Name == name })
		if i < 0 {
			flaw = "it has no webhook " + name // only who installed it knows what else belongs to it
			continue
		}
		// All are applied together: apply takes back what its owner once wrote and leaves out.
		configuration.WithWebhooks(hookWith(name, want))
		hook := &live.Webhooks[i]
		same = same && equality.Semantic.DeepEqual(hook.NamespaceSelector, selector)
		if lacks(hook.NamespaceSelector, want) && flaw == "" {
			flaw = "webhook " + name + " is not asked about every namespace that holds a store or is bound: " + strings.Join(want, ", ")
		}
	}
	return flaw, same, configuration
}

func hookWith(name string, namespaces []string) *admissionregistrationv1ac.MutatingWebhookApplyConfiguration {
	return admissionregistrationv1ac.MutatingWebhook().WithName(name).WithNamespaceSelector(metav1ac.LabelSelector().WithMatchExpressions(
		metav1ac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName).WithOperator(metav1.LabelSelectorOpIn).WithValues(namespaces...)))
}

// lacks says whether a selector may leave out one of the namespaces. What it selects besides does no harm for now.
func lacks(selector *metav1.LabelSelector, want []string) bool {
	if selector == nil || len(selector.MatchLabels) == 0 && len(selector.MatchExpressions) == 0 {
		return false // it selects all
	}
	if len(selector.MatchLabels) > 0 || len(selector.MatchExpressions) != 1 {
		return true
	}
	e := selector.MatchExpressions[0]
	return e.Key != corev1.LabelMetadataName || e.Operator != metav1.LabelSelectorOpIn ||
		slices.ContainsFunc(want, func(name string) bool { return name != nowhere && !slices.Contains(e.Values, name) })
}

func (r *Reconciler) say(flaw string) { r.flaw.Store(&flaw) }

// Covers is a check that the webhooks are asked about every namespace they have to be, of the replica that sees to it. As
// for the admission rules, another one must not wait for that.
func (r *Reconciler) Covers(*http.Request) error {
	select {
	case <-r.Elected:
	default:
		return nil
	}
	switch flaw := r.flaw.Load(); {
	case flaw == nil:
		return errors.New("the namespaces of the webhooks were not looked at yet")
	case *flaw != "":
		return fmt.Errorf("MutatingWebhookConfiguration %s: %s", r.Name, *flaw)
	}
	return nil
}
