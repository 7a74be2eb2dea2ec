package admission

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// workers write the objects of different namespaces at once.
const workers = 4

// Reconciler keeps the PersonalDataAccess of a namespace.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Writer    apply.Writer
	Recorder  eventRecorder
	Ledger    recorder

	told told
}

type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// reasonNotDrained is that of the event that tells of pods that nobody will end.
const reasonNotDrained = "NotDrained"

// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=entrustment.dev,resources=personaldataaccesses,verbs=get;list;watch;create;update;patch;delete

// SetupWithManager follows the snapshot, watches the objects for what others do to them, and waits for bound namespaces
// that do not exist yet.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	follower := r.Publisher.Follow(snapshot.Parameters, changedNamespaces)
	return builder.ControllerManagedBy(mgr).Named("admission").
		Watches(&v1alpha1.PersonalDataAccess{}, handler.EnqueueRequestsFromMapFunc(
			func(_ context.Context, access client.Object) []reconcile.Request {
				return snapshot.Requests(access.GetNamespace())
			})).
		WatchesMetadata(&corev1.Namespace{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(event.UpdateEvent) bool { return false },
			DeleteFunc: func(event.DeleteEvent) bool { return false },
		})).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(follower.Attempts(r))
}

// changedNamespaces are those that were bound or unbound, and those whose grants changed.
func changedNamespaces(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old == nil {
		return snapshot.Requests(next.BoundNamespaces()...)
	}
	var requests []reconcile.Request
	for _, namespace := range next.BoundNamespaces() {
		if !next.SameNamespaceAccess(old, namespace) {
			requests = append(requests, snapshot.Requests(namespace)...)
		}
	}
	for _, namespace := range old.BoundNamespaces() {
		if _, _, bound := next.Binding(namespace); !bound {
			requests = append(requests, snapshot.Requests(namespace)...)
		}
	}
	return requests
}

// Reconcile shows a namespace what it may do; one that is bound to nobody is shown nothing.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	before, err := r.shown(ctx, req.Name)
	if err != nil {
		return reconcile.Result{}, err
	}
	access, bound := current.NamespaceAccess(req.Name)
	noted, left := draining.Note(current, before, access.Grants)
	switch {
	case !bound && len(noted) == 0:
		return reconcile.Result{}, r.remove(ctx, current, req.Name, before)
	case !bound:
		access = nothing(before)
	default:
		if same, err := r.isStill(ctx, req.Name, access.Namespace); err != nil || !same {
			return reconcile.Result{}, err
		}
	}
	wrote, err := r.Writer.Amend(ctx, before, render.Access(req.Name, access, noted...))
	if apply.Terminating(err) || apierrors.IsNotFound(err) {
		if before == nil { // there is no namespace to show it to; a new one wakes us
			r.Ledger.Record(changes(current, req.Name, r.told.before(req.Name, nil), nil)...)
			r.told.forget(req.Name)
		}
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if wrote {
		r.overlooked(before, left)
	}
	if wrote || before != nil && !r.Writer.Behind(before) {
		r.Ledger.Record(changes(current, req.Name, r.told.before(req.Name, before), access.Grants)...)
		r.told.show(req.Name, access.Grants)
	}
	return reconcile.Result{}, nil
}

// nothing is what a namespace is shown that is no longer bound, while pods that it once let in are ended.
func nothing(before *v1alpha1.PersonalDataAccess) entrustment.Access {
	return entrustment.Access{
		Processor: before.ProcessorName, Enforcement: before.Enforcement, Namespace: types.UID(before.Labels[v1alpha1.LabelNamespaceUID]),
	}
}

// overlooked tells of ended grants that were too many to be noted.
func (r *Reconciler) overlooked(access *v1alpha1.PersonalDataAccess, left []v1alpha1.DrainingGrant) {
	if len(left) == 0 {
		return
	}
	r.Recorder.Eventf(access, nil, corev1.EventTypeWarning, reasonNotDrained, "Revoke",
		"%d grants ended beyond those that there is room to note, the first for purpose %q under entrustment %q: delete the pods that declare them",
		len(left), left[0].Purpose, left[0].Entrustment)
}

// isStill says whether a namespace is the one that the snapshot knows. If not, it has just been made, perhaps by somebody
// else under the name of a bound one: the snapshot that knows it wakes us.
func (r *Reconciler) isStill(ctx context.Context, name string, uid types.UID) (bool, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Cache.Get(ctx, types.NamespacedName{Name: name}, namespace); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return namespace.UID == uid, nil
}

// shown is what a namespace was shown last; nil: nothing.
func (r *Reconciler) shown(ctx context.Context, namespace string) (*v1alpha1.PersonalDataAccess, error) {
	access := &v1alpha1.PersonalDataAccess{}
	key := types.NamespacedName{Namespace: namespace, Name: v1alpha1.PersonalDataAccessName}
	err := r.Cache.Get(ctx, key, access)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what the namespace was shown: %w", err)
	}
	return access, nil
}

// remove needs no label to tell whose the object is: nobody else has any business with this kind.
func (r *Reconciler) remove(ctx context.Context, current *entrustment.Snapshot, namespace string, access *v1alpha1.PersonalDataAccess) error {
	if access != nil {
		if err := r.Writer.Delete(ctx, access); err != nil {
			return err
		}
	}
	r.Ledger.Record(changes(current, namespace, r.told.before(namespace, access), nil)...)
	r.told.forget(namespace)
	return nil
}
