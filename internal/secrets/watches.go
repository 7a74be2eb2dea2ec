package secrets

import (
	"context"
	"errors"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
)

// Watches are the watches of some Secrets. They are a client.Reader of the managed ones.
type Watches struct {
	client client.WithWatch

	mu      sync.RWMutex
	running map[target]*running
	ctx     context.Context // in which watches run: that of whoever follows them
	changed func(namespace, name string)
}

// target is what one watch is about.
type target struct {
	namespace string
	name      string // empty: the managed Secrets of the namespace
}

type running struct {
	stop   context.CancelFunc
	store  cache.Store
	synced <-chan struct{}
}

// New returns watches of nothing. The client reads the API server itself.
func New(c client.WithWatch) *Watches {
	return &Watches{client: c, running: map[target]*running{}}
}

// Changes wakes a reconciler whenever a Secret is seen to change, and, without a name, when the managed Secrets of a namespace
// have been read. The watches run while the reconciler does; only one can follow them.
func (w *Watches) Changes(requests func(namespace, name string) []reconcile.Request) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ctx = ctx
		w.changed = func(namespace, name string) {
			for _, request := range requests(namespace, name) {
				queue.Add(request)
			}
		}
		return nil
	})
}

// Watch reads the managed Secrets of a namespace and the named ones, from now on; what else was read there is forgotten.
func (w *Watches) Watch(namespace string, names ...string) {
	wanted := map[target]bool{{namespace: namespace}: true}
	for _, name := range names {
		wanted[target{namespace, name}] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(namespace, wanted)
	for t := range wanted {
		if w.running[t] == nil {
			w.running[t] = w.start(t)
		}
	}
}

// Stop forgets a namespace.
func (w *Watches) Stop(namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(namespace, nil)
}

func (w *Watches) forget(namespace string, except map[target]bool) {
	for t, r := range w.running {
		if t.namespace == namespace && !except[t] {
			r.stop()
			delete(w.running, t)
		}
	}
}

func (w *Watches) start(t target) *running {
	ctx, stop := context.WithCancel(w.ctx)
	selection := client.ListOptions{Namespace: t.namespace}
	if t.name == "" {
		selection.LabelSelector = labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})
	} else {
		selection.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, t.name)
	}
	options := func(raw metav1.ListOptions) *client.ListOptions {
		o := selection
		o.Raw = &raw
		return &o
	}
	store, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
				list := &corev1.SecretList{}
				return list, w.client.List(ctx, list, options(raw))
			},
			WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
				return w.client.Watch(ctx, &corev1.SecretList{}, options(raw))
			},
		},
		ObjectType: &corev1.Secret{},
		Transform:  strip,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { w.tell(t.namespace, nameOf(object)) },
			UpdateFunc: func(_, object any) { w.tell(t.namespace, nameOf(object)) },
			DeleteFunc: func(object any) { w.tell(t.namespace, nameOf(object)) },
		},
	})
	go func() {
		w.untilReadable(ctx, &selection)
		informer.RunWithContext(ctx)
	}()
	go func() {
		if cache.WaitFor(ctx, "", informer.HasSyncedChecker()) {
			w.tell(t.namespace, t.name)
		}
	}()
	return &running{stop: stop, store: store, synced: informer.HasSyncedChecker().Done()}
}

func (w *Watches) tell(namespace, name string) {
	w.mu.RLock()
	changed := w.changed
	w.mu.RUnlock()
	changed(namespace, name)
}

// strip keeps what is asked for. Annotations may repeat the data, as those of kubectl apply do.
func strip(object any) (any, error) {
	if secret, ok := object.(*corev1.Secret); ok {
		secret.ManagedFields, secret.Annotations = nil, nil
	}
	return object, nil
}

func nameOf(object any) string {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}
	if secret, ok := object.(*corev1.Secret); ok {
		return secret.Name
	}
	return ""
}

// Synced says whether the managed Secrets of a namespace have been read.
func (w *Watches) Synced(namespace string) bool {
	_, known := w.store(target{namespace: namespace})
	return known
}

// Source is a Secret that is watched by name; nil if it does not exist. Until it has been read, it is not known whether it
// does. The caller must not change it.
func (w *Watches) Source(key types.NamespacedName) (secret *corev1.Secret, known bool) {
	store, known := w.store(target{key.Namespace, key.Name})
	if !known {
		return nil, false
	}
	if object, exists, err := store.GetByKey(key.String()); err == nil && exists {
		return object.(*corev1.Secret), true
	}
	return nil, true
}

// Managed are the managed Secrets of a namespace that is read; nobody may change them.
func (w *Watches) Managed(namespace string) []*corev1.Secret {
	store, known := w.store(target{namespace: namespace})
	if !known {
		return nil
	}
	var list []*corev1.Secret
	for _, object := range store.List() {
		list = append(list, object.(*corev1.Secret))
	}
	return list
}

func (w *Watches) store(t target) (cache.Store, bool) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	r := w.running[t]
	if r == nil {
		return nil, false
	}
	select {
	case <-r.synced:
		return r.store, true
	default:
		return nil, false
	}
}

// ErrUnread is the answer about a namespace whose Secrets have not been read.
var ErrUnread = errors.New("the Secrets of the namespace have not been read yet")

// Get reads a managed Secret.
func (w *Watches) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	out, ok := into.(*corev1.Secret)
	if !ok {
		return fmt.Errorf("%T is no Secret", into)
	}
	store, known := w.store(target{namespace: key.Namespace})
	if !known {
		return fmt.Errorf("reading Secret %s: %w", key, ErrUnread)
	}
	object, exists, err := store.GetByKey(key.String())
	if err != nil || !exists {
		return apierrors.NewNotFound(corev1.Resource("secrets"), key.Name)
	}
	object.(*corev1.Secret).DeepCopyInto(out)
	return nil
}

// List is not for anybody: who wants the managed Secrets of a namespace asks for them.
func (w *Watches) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	return fmt.Errorf("%T are not listed", list)
}
