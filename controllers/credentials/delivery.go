package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// unfit says why a Secret is never delivered; empty: it may be. Tokens of the cluster open the cluster, not a store; and what
// was delivered to somebody is not his to pass on.
func unfit(source *corev1.Secret) string {
	switch {
	case render.Reserved(source.Name):
		return "has a reserved name"
	case source.Type == corev1.SecretTypeServiceAccountToken, source.Type == corev1.SecretTypeBootstrapToken:
		return fmt.Sprintf("is of type %s, which opens the cluster itself", source.Type)
	}
	return ""
}

// deliver brings the copies of a namespace to what it is granted, and says whether a name was taken.
func (r *Reconciler) deliver(ctx context.Context, current *entrustment.Snapshot, n *needs) (conflict bool, err error) {
	var errs []error
	kept := map[string]bool{} // copies that stay
	taken := map[string]bool{}
	for i := range n.deliveries {
		d := &n.deliveries[i]
		source, known := r.Secrets.Source(types.NamespacedName{Namespace: d.Store.Namespace, Name: d.Source})
		if !known {
			kept[d.Name] = true
			continue
		}
		if source == nil || unfit(source) != "" {
			continue
		}
		kept[d.Name] = true
		foreign, err := r.copy(ctx, current, n.namespace, d, source)
		if foreign {
			taken[d.Name] = true
		}
		errs = append(errs, err)
	}
	r.remember(n.namespace, taken)
	return len(taken) > 0, errors.Join(append(errs, r.prune(ctx, current, n, kept))...)
}

// copy writes one delivered Secret; foreign: its name is somebody else's.
func (r *Reconciler) copy(ctx context.Context, current *entrustment.Snapshot, namespace string, d *entrustment.Delivery, source *corev1.Secret) (foreign bool, err error) {
	desired := render.DeliveredSecret(namespace, d, source)
	live, key := &corev1.Secret{}, types.NamespacedName{Namespace: namespace, Name: d.Name}
	switch err := r.Secrets.Get(ctx, key, live); {
	case apierrors.IsNotFound(err):
		if same, err := r.same(ctx, current, namespace); !same || err != nil {
			return false, err
		}
		if granted, err := r.stillGranted(current, namespace, d); !granted || err != nil {
			return false, err
		}
		err = r.Writer.Create(ctx, desired)
		if err == nil {
			r.place(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: d.Name, Labels: desired.Labels}, Data: source.Data})
		}
		if apply.Exists(err) {
			return r.foreign(ctx, key)
		}
		if apply.Terminating(err) || apierrors.IsNotFound(err) {
			return false, r.gone(ctx, namespace)
		}
		return false, err
	case err != nil:
		return false, err
	}
	if _, ours := render.Delivered(live); !ours {
		return true, nil
	}
	if granted, err := r.stillGranted(current, namespace, d); !granted || err != nil {
		return false, err
	}
	_, err = r.Writer.Ensure(ctx, desired.WithUID(live.UID)) // this very one, lest another that took its name be overwritten
	return false, err
}

// stillGranted says whether a delivery is granted by the snapshot in force, which may have followed while the API server was
// asked. It is asked last before a write; what changed wakes us.
func (r *Reconciler) stillGranted(current *entrustment.Snapshot, namespace string, d *entrustment.Delivery) (bool, error) {
	latest, err := r.Publisher.Current()
	return err == nil && (latest == current || slices.Contains(latest.Deliveries(namespace), *d)), err
}

// same says whether a namespace is the one that is granted something, and not another that somebody made under its name.
func (r *Reconciler) same(ctx context.Context, current *entrustment.Snapshot, namespace string) (bool, error) {
	uid := current.NamespaceUID(namespace)
	if uid == "" {
		return true, nil
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return live.UID == uid, nil // the snapshot that knows of the other wakes us
}

// foreign says whether a name that is taken is somebody else's, or our own that has not been seen yet.
func (r *Reconciler) foreign(ctx context.Context, key types.NamespacedName) (bool, error) {
	live := &corev1.Secret{}
	if err := r.Live.Get(ctx, key, live); err != nil {
		return false, fmt.Errorf("reading who has the name of Secret %s: %w", key, err)
	}
	_, ours := render.Delivered(live)
	return !ours, nil
}

// prune removes the copies that are not to stay. Those whose grant ended have to be followed by a new credential, which is
// noted first; that it cannot be noted must not keep them.
func (r *Reconciler) prune(ctx context.Context, current *entrustment.Snapshot, n *needs, kept map[string]bool) error {
	var errs []error
	granted := func(name string) bool {
		return slices.ContainsFunc(n.deliveries, func(d entrustment.Delivery) bool { return d.Name == name })
	}
	standing := map[string]*corev1.Secret{}
	for _, live := range r.Secrets.Managed(n.namespace) {
		d, ours := render.Delivered(live)
		if !ours {
			continue
		}
		standing[live.Name] = live
		if kept[live.Name] {
			continue
		}
		if !granted(live.Name) {
			if err := r.due(ctx, current, n.namespace, &d, live); err != nil {
				errs = append(errs, err)
			} else {
				delete(standing, live.Name)
			}
		}
		errs = append(errs, r.Writer.Delete(ctx, live))
	}
	// What was there before and is not now was not noted, or went with somebody else, or was made and has not been seen yet.
	for name, before := range r.stood(n.namespace) {
		if standing[name] != nil {
			r.seen(before)
			continue
		}
		unseen, err := r.unseen(ctx, before, granted(name))
		if errs = append(errs, err); unseen || err != nil {
			standing[name] = before // seeing it wakes us
			continue
		}
		if granted(name) {
			continue
		}
		d, _ := render.Delivered(before)
		if err := r.due(ctx, current, n.namespace, &d, before); err != nil {
			standing[name] = before
			errs = append(errs, err)
		}
	}
	r.stand(n.namespace, standing)
	return errors.Join(errs...)
}

// unseen says whether a copy was made that the cache has yet to show. One that is not to stay is asked for, lest the namespace be
// left for one that somebody deleted meanwhile, or kept waiting for.
func (r *Reconciler) unseen(ctx context.Context, made *corev1.Secret, stays bool) (bool, error) {
	if !r.isNew(made) || stays {
		return r.isNew(made), nil
	}
	err := r.Live.Get(ctx, client.ObjectKeyFromObject(made), &corev1.Secret{})
	if apierrors.IsNotFound(err) {
		r.seen(made)
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for Secret %s/%s, which was made a moment ago: %w", made.Namespace, made.Name, err)
	}
	return true, nil
}

// gone notes that the copies of a namespace went with it.
func (r *Reconciler) gone(ctx context.Context, namespace string) error {
	current, err := r.Publisher.Current()
	if err != nil {
		return err
	}
	var errs []error
	left := map[string]*corev1.Secret{}
	for name, before := range r.stood(namespace) {
		r.seen(before)
		d, _ := render.Delivered(before)
		if err := r.due(ctx, current, namespace, &d, before); err != nil {
			left[name] = before
			errs = append(errs, err)
		}
	}
	r.stand(namespace, left)
	return errors.Join(errs...)
}

// declared is the credential of a store; nil if it has none of that name.
func declared(store *v1alpha1.PersonalDataStore, name string) *v1alpha1.Credential {
	if store == nil {
		return nil
	}
	if i := slices.IndexFunc(store.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.Name == name }); i >= 0 {
		return &store.Spec.Credentials[i]
	}
	return nil
}
