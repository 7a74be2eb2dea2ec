package credentials

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
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
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/internal/secrets"
)

const (
	// workers write the Secrets of different namespaces at once.
	workers = 4

	// conflictInterval is how often a name that somebody else has is tried again: his Secret is not watched.
	conflictInterval = 30 * time.Second
)

// Reconciler keeps the delivered Secrets of a namespace.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader // of Roles and RoleBindings, and of the metadata of ServiceAccounts that declare a purpose
	Live      client.Reader // the API server itself
	Secrets   *secrets.Watches
	Access    apply.Writer // of Roles and RoleBindings
	Writer    apply.Writer // of Secrets; it reads them through Secrets
	Recorder  eventRecorder
	Clock     clock.PassiveClock
	Readers   bool // let ServiceAccounts that declare a purpose read what is delivered for it

	observations
	rotations sync.Mutex // one record is written by the reconciliations of several namespaces
}

type eventRecorder interface {
	Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any)
}

// The operator reads and writes Secrets only where it binds itself to the one role that lets it; bind lets it give away
// that role and no other.
//
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles,resourceNames=entrustment-operator-secrets,verbs=bind
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=list;watch
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,resourceNames=entrustment-operator-secrets,verbs=get;create;update;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager follows the snapshot and the Secrets, watches the bindings for what others do to them, and waits for
// bound namespaces that do not exist yet.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	if err := registerMetrics(); err != nil {
		return err
	}
	there := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, object client.Object) []reconcile.Request {
		return snapshot.Requests(object.GetNamespace())
	})
	own := builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
		return object.GetName() == v1alpha1.SecretAccessName || render.Reserved(object.GetName())
	}))
	controlled := builder.ControllerManagedBy(mgr).Named("credentials")
	if r.Readers {
		controlled.WatchesMetadata(&corev1.ServiceAccount{}, there, builder.WithPredicates(predicate.NewPredicateFuncs(func(account client.Object) bool {
			_, declares := account.GetLabels()[v1alpha1.LabelPurpose]
			return declares
		})))
	}
	follower := r.Publisher.Follow(snapshot.Credentials, changedNamespaces)
	return controlled.
		Watches(&rbacv1.RoleBinding{}, there, own).
		Watches(&rbacv1.Role{}, there, own).
		WatchesMetadata(&corev1.Namespace{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(event.UpdateEvent) bool { return false },
		})).
		WatchesRawSource(r.Secrets.Changes(r.concerned)).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(follower.Attempts(r))
}

// Reconcile delivers to a namespace what it is granted, and takes away what it is not.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (_ reconcile.Result, err error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	n := needsOf(current, req.Name)
	if n.readers, err = r.standingReaders(ctx, req.Name); err != nil {
		return reconcile.Result{}, err
	}
	defer func() { r.observe(n, err) }()
	readable, err := r.enter(ctx, n)
	if err != nil || !readable {
		return reconcile.Result{}, err
	}
	again, unread := r.read(ctx, current, n)
	conflict, err := r.deliver(ctx, current, n)
	err = errors.Join(unread, err, r.endRotations(ctx, n))
	if err == nil && !n.any() {
		err = r.leave(ctx, n)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if conflict && again == 0 {
		again = conflictInterval
	}
	return reconcile.Result{RequeueAfter: again}, nil
}

// needs are what a snapshot wants to know of a namespace, and to have there.
type needs struct {
	namespace  string
	bound      bool
	deliveries []entrustment.Delivery
	stores     []*v1alpha1.PersonalDataStore // of the namespace, that have credentials
	readers    []client.Object               // Roles and RoleBindings that are there for accounts
}

func needsOf(s *entrustment.Snapshot, namespace string) *needs {
	n := &needs{namespace: namespace, deliveries: s.Deliveries(namespace)}
	_, _, n.bound = s.Binding(namespace)
	for _, key := range s.Stores() {
		if store := s.Store(key); key.Namespace == namespace && len(store.Spec.Credentials) > 0 {
			n.stores = append(n.stores, store)
		}
	}
	return n
}

// any says whether Secrets of the namespace have to be read at all.
func (n *needs) any() bool { return n.bound || len(n.stores) > 0 }

// sources are the Secrets that the stores of the namespace name, sorted.
func (n *needs) sources() []string {
	var names []string
	for _, store := range n.stores {
		for _, c := range store.Spec.Credentials {
			names = append(names, c.SecretName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// changedNamespaces are those that were bound or unbound, and those to which a store with credentials goes that was changed, or
// whose grants were.
func changedNamespaces(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old == nil {
		old = &entrustment.Snapshot{}
	}
	changed := map[string]bool{}
	for _, s := range [2][2]*entrustment.Snapshot{{old, next}, {next, old}} {
		here, there := s[0], s[1]
		for _, name := range here.BoundNamespaces() {
			if _, _, bound := there.Binding(name); !bound || here.NamespaceUID(name) != there.NamespaceUID(name) {
				changed[name] = true
			}
		}
		for _, key := range here.Stores() {
			store, other := here.Store(key), there.Store(key)
			if len(store.Spec.Credentials) == 0 || other != nil && other.UID == store.UID && other.Generation == store.Generation &&
				here.SameStoreGrants(there, key) {
				continue
			}
			changed[key.Namespace] = true
			for _, d := range here.StoreDeliveries(key) {
				changed[d.Namespace] = true
			}
		}
	}
	return snapshot.Requests(slices.Sorted(maps.Keys(changed))...)
}

// concerned are the namespaces to look at when a Secret changed, or was read for the first time: its own, and those to which
// a source is delivered.
func (r *Reconciler) concerned(namespace, name string) []reconcile.Request {
	names := map[string]bool{namespace: true}
	if current, err := r.Publisher.Current(); err == nil {
		for _, key := range current.Stores() {
			if key.Namespace != namespace {
				continue
			}
			for _, d := range current.StoreDeliveries(key) {
				if name == "" || d.Source == name {
					names[d.Namespace] = true
				}
			}
		}
	}
	return snapshot.Requests(slices.Sorted(maps.Keys(names))...)
}

// enter makes the Secrets of a namespace readable, and reads them; false: that is not done, or there is nothing to be done.
// A namespace that is needed no more is entered too, for what was left there: with Roles that nobody else may delete, even by
// taking the right anew.
func (r *Reconciler) enter(ctx context.Context, n *needs) (bool, error) {
	r.note(&r.reading, n.namespace, false)
	if n.any() || len(n.readers) > 0 {
		_, err := r.Access.Ensure(ctx, render.SecretAccess(n.namespace))
		absent := apply.Terminating(err) || apierrors.IsNotFound(err)
		if r.note(&r.absent, n.namespace, absent); absent {
			r.Secrets.Stop(n.namespace)
			return false, r.gone(ctx, n.namespace) // a new one wakes us
		}
		if err != nil {
			return false, err
		}
	} else if binding, err := r.binding(ctx, n.namespace); binding == nil || err != nil {
		r.Secrets.Stop(n.namespace)
		return false, errors.Join(err, r.gone(ctx, n.namespace))
	}
	r.Secrets.Watch(n.namespace, n.sources()...)
	readable := r.Secrets.Synced(n.namespace) // reading them wakes us
	r.note(&r.reading, n.namespace, !readable)
	return readable, nil
}

// Reading says whether the Secrets of a namespace were not read yet when it was last looked at, so that nothing was taken away.
func (r *Reconciler) Reading(req reconcile.Request) bool { return r.noted(&r.reading, req.Name) }

// leave gives up the right to read a namespace in which nothing is left.
func (r *Reconciler) leave(ctx context.Context, n *needs) error {
	if len(r.Secrets.Managed(n.namespace)) > 0 || len(r.stood(n.namespace)) > 0 || len(n.readers) > 0 {
		return nil // seeing the last of them go wakes us, and so does seeing one for the first time
	}
	binding, err := r.binding(ctx, n.namespace)
	if binding == nil || err != nil {
		return err
	}
	if err := r.Access.Delete(ctx, binding); err != nil {
		return err
	}
	r.Secrets.Stop(n.namespace)
	return nil
}

// binding by which the operator may read a namespace; nil if there is none.
func (r *Reconciler) binding(ctx context.Context, namespace string) (*rbacv1.RoleBinding, error) {
	binding := &rbacv1.RoleBinding{}
	err := r.Cache.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.SecretAccessName}, binding)
	switch {
	case apierrors.IsNotFound(err) || err == nil && binding.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the operator's binding: %w", err)
	}
	return binding, nil
}
