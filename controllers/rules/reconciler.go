package rules

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/internal/apply"
)

// Of the event that tells of a rule that was put in place.
const (
	reasonInstalled = "RuleInstalled"
	reasonRepaired  = "RuleRepaired"
	action          = "KeepRule"
)

// eventRecorder is where it is told that a rule was put back.
type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// Reconciler keeps what has one name: a policy and the binding that denies, or another binding.
type Reconciler struct {
	Writer   apply.Writer
	Recorder eventRecorder
	Elected  <-chan struct{} // closed when it is this replica that writes

	rules map[string]*rule
}

type rule struct {
	objects []*unstructured.Unstructured // the policy before its binding
	kept    atomic.Bool
	once    atomic.Bool // it was kept before: who writes now repairs
}

// The names are what this replica may write. Kinds as a whole are only watched: no list can be limited to several names. Who
// writes a rule must be allowed to get every object of the kind that it takes for a parameter: RoleBindings among them.
//
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=get
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=list;watch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,resourceNames=confinement-entrustment.entrustment.dev;confinement-templates.entrustment.dev;confinement.entrustment.dev;credentials.entrustment.dev;egress-policies.entrustment.dev;entrust.entrustment.dev;finalizers.entrustment.dev;grace-evictions.entrustment.dev;grace.entrustment.dev;granted-secrets.entrustment.dev;grants.entrustment.dev;in-use-prohibitions.entrustment.dev;in-use-purposes.entrustment.dev;in-use.entrustment.dev;installation.entrustment.dev;labels-bindings.entrustment.dev;labels-entrustment.entrustment.dev;labels.entrustment.dev;managed.entrustment.dev;namespaces.entrustment.dev;purposeless.entrustment.dev;readers-templates.entrustment.dev;readers.entrustment.dev;secret-access.entrustment.dev;secrets-templates.entrustment.dev;secrets.entrustment.dev;status.entrustment.dev;store-confinement-templates.entrustment.dev;store-confinement.entrustment.dev;store-namespaces.entrustment.dev;store-pods.entrustment.dev;store-policies.entrustment.dev;store-routes.entrustment.dev;store-volumes.entrustment.dev;stores.entrustment.dev,verbs=get;create;update;patch

// SetupWithManager watches the rules for what others do to them. Those that are not there yet are asked for once.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	objects, err := admission.All()
	if err != nil {
		return err
	}
	r.rules = map[string]*rule{}
	missing := make(chan event.GenericEvent, len(objects))
	for _, object := range objects {
		name := object.GetName()
		if r.rules[name] == nil {
			r.rules[name] = &rule{}
			missing <- event.GenericEvent{Object: object}
		}
		r.rules[name].objects = append(r.rules[name].objects, object)
	}
	return builder.ControllerManagedBy(mgr).Named("rules").
		Watches(&admissionregistrationv1.ValidatingAdmissionPolicy{}, &handler.EnqueueRequestForObject{}).
		Watches(&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &handler.EnqueueRequestForObject{}).
		WatchesRawSource(source.Channel(missing, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: len(r.rules)}).
		Complete(r)
}

// Reconcile puts one rule in place.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	kept := r.rules[req.Name]
	if kept == nil {
		return reconcile.Result{}, nil // somebody else's
	}
	for _, object := range kept.objects {
		wrote, err := r.Writer.Ensure(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()))
		if err != nil {
			kept.kept.Store(false)
			return reconcile.Result{}, err
		}
		if wrote {
			r.tell(object, kept.once.Load())
		}
	}
	kept.kept.Store(true)
	kept.once.Store(true)
	return reconcile.Result{}, nil
}

func (r *Reconciler) tell(object *unstructured.Unstructured, repaired bool) {
	if repaired {
		r.Recorder.Eventf(object, nil, corev1.EventTypeWarning, reasonRepaired, action,
			"%s %s was deleted or changed by somebody, and is in place again", object.GetKind(), object.GetName())
		return
	}
	r.Recorder.Eventf(object, nil, corev1.EventTypeNormal, reasonInstalled, action,
		"%s %s is in place", object.GetKind(), object.GetName())
}

// Kept is a check that every rule is in place, of the replica that sees to it. Another one must not wait for that: in an
// upgrade the newer replica gets to write only after it is ready.
func (r *Reconciler) Kept(*http.Request) error {
	select {
	case <-r.Elected:
	default:
		return nil
	}
	var missing []string
	for name, rule := range r.rules {
		if !rule.kept.Load() {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("admission rules that are not in place: %s", strings.Join(missing, ", "))
	}
	return nil
}
