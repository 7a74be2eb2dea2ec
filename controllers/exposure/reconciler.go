package exposure

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/exposure"
	"entrustment.dev/operator/internal/gather"
)

// calm is how long a change of RBAC waits for others that come with it.
const calm = 500 * time.Millisecond

// Reconciler finds who could read the credentials of all stores.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader

	mu    sync.Mutex
	found map[types.NamespacedName][]v1alpha1.ExposedSubject // nil: not yet
	wake  func(store types.NamespacedName)
}

// everything is the one key of the queue, so that a burst of changes is one search.
var everything = reconcile.Request{}

// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles;clusterrolebindings;roles;rolebindings,verbs=list;watch

// SetupWithManager watches all of RBAC, and follows the snapshot.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	b := builder.ControllerManagedBy(mgr).Named("exposure").WatchesRawSource(r.Publisher.Follow(snapshot.Unordered, changed))
	for _, kind := range []client.Object{&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleBinding{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}} {
		b.Watches(kind, later)
	}
	return b.Complete(r)
}

// later looks at everything once it is calm.
var later = handler.Funcs{
	CreateFunc: func(_ context.Context, _ event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		queue.AddAfter(everything, calm)
	},
	UpdateFunc: func(_ context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
			queue.AddAfter(everything, calm)
		}
	},
	DeleteFunc: func(_ context.Context, _ event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		queue.AddAfter(everything, calm)
	},
}

// changed says whether the Secrets of some store are others than before.
func changed(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old == nil || !slices.Equal(old.Stores(), next.Stores()) || slices.ContainsFunc(next.Stores(), func(key types.NamespacedName) bool {
		return old.Store(key).Generation != next.Store(key).Generation || !next.SameStoreGrants(old, key)
	}) {
		return []reconcile.Request{everything}
	}
	return nil
}

// Reconcile looks at every store.
func (r *Reconciler) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	objects, err := gather.RBAC(ctx, r.Cache)
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("gathering who may do what: %w", err)
	}
	index := exposure.Compile(objects)
	found := map[types.NamespacedName][]v1alpha1.ExposedSubject{}
	for _, key := range current.Stores() {
		found[key] = exposure.Status(exposure.Readers(index, exposure.Secrets(current, key)))
	}
	r.tell(found)
	return reconcile.Result{}, nil
}

// tell keeps what was found, and wakes for the stores about which it is new.
func (r *Reconciler) tell(found map[types.NamespacedName][]v1alpha1.ExposedSubject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.found
	r.found = found
	if r.wake == nil {
		return
	}
	for key, subjects := range found {
		if was, known := before[key]; !known || !slices.Equal(was, subjects) {
			r.wake(key)
		}
	}
}

// Observed wakes a reconciler of stores when others could read a store's credentials than before.
func (r *Reconciler) Observed() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wake = func(store types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: store}) }
		for key := range r.found {
			r.wake(key)
		}
		return nil
	})
}

// ExposedTo lists who could read the credentials of a store; false: that is not known yet.
func (r *Reconciler) ExposedTo(store types.NamespacedName) ([]v1alpha1.ExposedSubject, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	subjects, known := r.found[store]
	return subjects, known
}
