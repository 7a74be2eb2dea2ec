package schema

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/internal/entrustment"
)

// Kinds that people write, and the names of their definitions.
var Kinds = map[string]string{
	"Purpose":           "purposes." + v1alpha1.Group,
	"DataProcessor":     "dataprocessors." + v1alpha1.Group,
	"Entrustment":       "entrustments." + v1alpha1.Group,
	"PersonalDataStore": "personaldatastores." + v1alpha1.Group,
}

// Differences counts in what the served definitions differ from those that the program was built with.
var Differences = prometheus.NewGaugeVec(prometheus.GaugeOpts{
	Name: "entrustment_schema_differences",
	Help: "Fields and values in which the served definition of a kind differs from the operator's own: unknown to the operator, or absent from the cluster.",
}, []string{"kind", "reason"})

// errUnread is why nothing can be compiled yet.
var errUnread = errors.New("the definitions were not read yet")

// Reconciler compares the definitions of the four kinds.
type Reconciler struct {
	Definitions map[string]cache.Cache  // of one definition each, by kind
	Changed     chan event.GenericEvent // told when it is another answer; it has room for one

	mu      sync.Mutex
	unknown map[string][]string // by kind; absent: not read yet
}

// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=purposes.entrustment.dev;dataprocessors.entrustment.dev;entrustments.entrustment.dev;personaldatastores.entrustment.dev,verbs=get;list;watch

// SetupWithManager watches the definitions.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	r.unknown = map[string][]string{}
	b := builder.ControllerManagedBy(mgr).Named("schema").WithOptions(controller.Options{NeedLeaderElection: ptr.To(false)})
	for kind, definitions := range r.Definitions {
		b.WatchesRawSource(source.Kind(definitions, &apiextensionsv1.CustomResourceDefinition{}, handler.TypedEnqueueRequestsFromMapFunc(
			func(context.Context, *apiextensionsv1.CustomResourceDefinition) []reconcile.Request {
				return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: kind}}}
			})))
	}
	return b.Complete(r)
}

// Reconcile compares one kind. A definition that is gone says nothing new: what it said last stands.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	kind := req.Name
	served := &apiextensionsv1.CustomResourceDefinition{}
	if err := r.Definitions[kind].Get(ctx, types.NamespacedName{Name: Kinds[kind]}, served); err != nil {
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("reading the definition of %s: %w", kind, err)
	}
	unknown, absent, err := crd.Compare(served)
	if err != nil {
		return reconcile.Result{}, reconcile.TerminalError(err)
	}
	Differences.WithLabelValues(kind, "Unknown").Set(float64(len(unknown)))
	Differences.WithLabelValues(kind, "Absent").Set(float64(len(absent)))
	if r.learn(kind, unknown) {
		if len(unknown) > 0 {
			log.FromContext(ctx).Info("New and changed objects grant nothing: "+reason(kind, unknown), "kind", kind)
		}
		if len(absent) > 0 {
			log.FromContext(ctx).Info("The cluster's definition is older than the operator, and the API server drops what is written in these fields; "+
				"upgrade the definitions: kubectl apply --server-side -k config/crd", "kind", kind, "fields", absent)
		}
		select {
		case r.Changed <- event.GenericEvent{Object: served}:
		default: // it has been told
		}
	}
	return reconcile.Result{}, nil
}

// learn says whether that is something new.
func (r *Reconciler) learn(kind string, unknown []string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, known := r.unknown[kind]
	r.unknown[kind] = unknown
	return !known || strings.Join(before, " ") != strings.Join(unknown, " ")
}

// Hold takes the effect from what is new or changed, of the kinds of which somebody may have written what this program does not
// know.
func (r *Reconciler) Hold(in entrustment.Inputs) (entrustment.Inputs, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	reasons := map[string]string{}
	for kind := range Kinds {
		unknown, known := r.unknown[kind]
		if !known {
			return entrustment.Inputs{}, errUnread
		}
		if len(unknown) > 0 {
			reasons[kind] = reason(kind, unknown)
		}
	}
	return in.Held(reasons), nil
}

// named is how many fields a message names.
const named = 5

func reason(kind string, unknown []string) string {
	fields := strings.Join(unknown[:min(len(unknown), named)], ", ")
	if len(unknown) > named {
		fields += ", …"
	}
	return fmt.Sprintf("the cluster's definition of %s has what this operator does not know (%s); upgrade the operator", kind, fields)
}
