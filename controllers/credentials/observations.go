package credentials

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// observations are what was seen of namespaces besides their Secrets.
type observations struct {
	mu       sync.Mutex
	taken    map[string]map[string]bool           // by namespace: names that are somebody else's
	failing  map[string]bool                      // namespaces that could not be brought to what they are granted
	absent   map[string]bool                      // namespaces that do not exist, or go
	reading  map[string]bool                      // namespaces of which the Secrets have yet to be read
	standing map[string]map[string]*corev1.Secret // by namespace: copies that were last there
	made     map[types.NamespacedName]bool        // of those, the ones that were made and not seen yet
	rotating map[string]map[string]bool           // by namespace: stores whose credentials are shown as to be changed
	wake     func(store types.NamespacedName)

	of         *entrustment.Snapshot // what follows was asked of this one
	deliveries map[string][]entrustment.Delivery
}

// delivered are the deliveries of a namespace, asked once a snapshot.
func (o *observations) delivered(current *entrustment.Snapshot, namespace string) []entrustment.Delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of != current {
		o.of, o.deliveries = current, map[string][]entrustment.Delivery{}
	}
	deliveries, known := o.deliveries[namespace]
	if !known {
		deliveries = current.Deliveries(namespace)
		o.deliveries[namespace] = deliveries
	}
	return deliveries
}

// note keeps a set of namespaces.
func (o *observations) note(set *map[string]bool, namespace string, in bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if delete(*set, namespace); in {
		if *set == nil {
			*set = map[string]bool{}
		}
		(*set)[namespace] = true
	}
}

func (o *observations) noted(set *map[string]bool, namespace string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return (*set)[namespace]
}

// remember which names are somebody else's.
func (o *observations) remember(namespace string, taken map[string]bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken == nil {
		o.taken = map[string]map[string]bool{}
	}
	o.taken[namespace] = taken
}

func (o *observations) isTaken(namespace, name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken[namespace][name]
}

// stood are the copies that were there when the namespace was last looked at.
func (o *observations) stood(namespace string) map[string]*corev1.Secret {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.standing[namespace])
}

// place adds a copy that was made.
func (o *observations) place(copied *corev1.Secret) {
	standing := o.stood(copied.Namespace)
	if standing == nil {
		standing = map[string]*corev1.Secret{}
	}
	standing[copied.Name] = copied
	o.stand(copied.Namespace, standing)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.made == nil {
		o.made = map[types.NamespacedName]bool{}
	}
	o.made[client.ObjectKeyFromObject(copied)] = true
}

func (o *observations) isNew(copied *corev1.Secret) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.made[client.ObjectKeyFromObject(copied)]
}

func (o *observations) seen(copied *corev1.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.made, client.ObjectKeyFromObject(copied))
}

func (o *observations) stand(namespace string, copies map[string]*corev1.Secret) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.standing == nil {
		o.standing = map[string]map[string]*corev1.Secret{}
	}
	o.standing[namespace] = copies
	if len(copies) == 0 {
		delete(o.standing, namespace)
	}
}

// Observed wakes a reconciler of stores when there may be something new to say of one.
func (r *Reconciler) Observed() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wake = func(store types.NamespacedName) { queue.Add(reconcile.Request{NamespacedName: store}) }
		return nil
	})
}

// observe tells of the stores that a namespace has to do with.
func (r *Reconciler) observe(n *needs, err error) {
	stores := map[types.NamespacedName]bool{}
	for i := range n.deliveries {
		stores[n.deliveries[i].Store] = true
	}
	for _, store := range n.stores {
		stores[client.ObjectKeyFromObject(store)] = true
	}
	r.show(n)
	for _, secret := range r.Secrets.Managed(n.namespace) {
		if d, ok := render.Delivered(secret); ok {
			stores[d.Store] = true
		}
	}
	r.note(&r.failing, n.namespace, err != nil)
	r.mu.Lock()
	wake := r.wake
	r.mu.Unlock()
	if wake == nil {
		return
	}
	for store := range stores {
		wake(store)
	}
}

// show says which stores of a namespace wait for other credentials, and no more of those that do not, or are gone.
func (r *Reconciler) show(n *needs) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rotating := map[string]bool{}
	for _, store := range n.stores {
		since, known := r.RotationRequiredSince(client.ObjectKeyFromObject(store))
		if known && since != nil {
			rotationDue.WithLabelValues(n.namespace, store.Name).Set(float64(since.Unix()))
		}
		if since != nil || !known && r.rotating[n.namespace][store.Name] {
			rotating[store.Name] = true
		}
	}
	for store := range r.rotating[n.namespace] {
		if !rotating[store] {
			rotationDue.DeleteLabelValues(n.namespace, store)
		}
	}
	if r.rotating == nil {
		r.rotating = map[string]map[string]bool{}
	}
	if r.rotating[n.namespace] = rotating; len(rotating) == 0 {
		delete(r.rotating, n.namespace)
	}
}

// RotationRequiredSince is when a grant ended that had received a credential of the store, which has not been changed since;
// nil: none did. False: that is not known yet.
func (r *Reconciler) RotationRequiredSince(store types.NamespacedName) (since *metav1.Time, known bool) {
	secret := &corev1.Secret{}
	err := r.Secrets.Get(context.Background(), types.NamespacedName{Namespace: store.Namespace, Name: v1alpha1.RotationRecordName(store.Name)}, secret)
	switch {
	case apierrors.IsNotFound(err):
		return nil, true
	case err != nil:
		return nil, false
	}
	return rotationSince(secret), true
}

// Delivered is the condition CredentialsDelivered of a store as it is now; false: it is not known yet, or about to change.
func (r *Reconciler) Delivered(current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore) (metav1.Condition, bool) {
	is := func(status metav1.ConditionStatus, reason v1alpha1.Reason, format string, args ...any) (metav1.Condition, bool) {
		return metav1.Condition{
			Type: v1alpha1.ConditionCredentialsDelivered, Status: status, Reason: string(reason),
			Message: fmt.Sprintf(format, args...), ObservedGeneration: store.Generation,
		}, true
	}
	if len(store.Spec.Credentials) == 0 {
		return is(metav1.ConditionTrue, v1alpha1.ReasonNoneDeclared, "the store declares no credentials")
	}
	for _, c := range store.Spec.Credentials {
		source, known := r.Secrets.Source(types.NamespacedName{Namespace: store.Namespace, Name: c.SecretName})
		switch {
		case !known:
			return metav1.Condition{}, false
		case source == nil:
			return is(metav1.ConditionFalse, v1alpha1.ReasonSecretNotFound,
				"Secret %q, credential %q, does not exist in namespace %s, so nobody has a copy; create it", c.SecretName, c.Name, store.Namespace)
		case unfit(source) != "":
			return is(metav1.ConditionFalse, v1alpha1.ReasonSecretRefused,
				"Secret %q, credential %q, %s, so nobody has a copy; name another", c.SecretName, c.Name, unfit(source))
		}
	}
	copies, pending, failing := 0, false, ""
	for _, d := range current.StoreDeliveries(client.ObjectKeyFromObject(store)) {
		if r.isTaken(d.Namespace, d.Name) {
			return is(metav1.ConditionFalse, v1alpha1.ReasonNameConflict,
				"Secret %s/%s is somebody else's and is left as it is; delete it there to let the credential be delivered", d.Namespace, d.Name)
		}
		if r.noted(&r.absent, d.Namespace) {
			continue
		}
		if copies++; r.stands(d.Namespace, &d.Delivery) {
			continue
		}
		if !slices.Contains(r.delivered(current, d.Namespace), d.Delivery) {
			copies-- // there was no room to grant it
			continue
		}
		if pending = true; r.noted(&r.failing, d.Namespace) {
			failing = d.Namespace
		}
	}
	if failing != "" {
		return is(metav1.ConditionFalse, v1alpha1.ReasonDeliveryPending,
			"the copy in namespace %s could not be written and is tried again; the operator's log says why", failing)
	}
	if pending {
		return metav1.Condition{}, false
	}
	return is(metav1.ConditionTrue, v1alpha1.ReasonDelivered, "copies in the namespaces that are granted a credential: %d; none elsewhere", copies)
}

// Undue are the copies in a namespace that it is granted no more, sorted; false: they are not known.
func (r *Reconciler) Undue(ctx context.Context, current *entrustment.Snapshot, namespace string) (names []string, known bool, err error) {
	if !r.Secrets.Synced(namespace) {
		binding, err := r.binding(ctx, namespace)
		return nil, binding == nil && err == nil, err
	}
	granted := r.delivered(current, namespace)
	for _, live := range r.Secrets.Managed(namespace) {
		_, ours := render.Delivered(live)
		if ours && !slices.ContainsFunc(granted, func(d entrustment.Delivery) bool { return d.Name == live.Name }) {
			names = append(names, live.Name)
		}
	}
	slices.Sort(names)
	return names, true, nil
}

// stands says whether a copy is there, and says what its source does.
func (r *Reconciler) stands(namespace string, d *entrustment.Delivery) bool {
	live := &corev1.Secret{}
	if r.Secrets.Get(context.Background(), types.NamespacedName{Namespace: namespace, Name: d.Name}, live) != nil {
		return false
	}
	source, _ := r.Secrets.Source(types.NamespacedName{Namespace: d.Store.Namespace, Name: d.Source})
	return source != nil && maps.EqualFunc(live.Data, source.Data, slices.Equal[[]byte])
}
