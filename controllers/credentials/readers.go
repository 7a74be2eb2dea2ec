package credentials

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

// What is told of accounts that read through the API.
const (
	reasonReaderRefused = "ReaderRefused"
	actionBindReader    = "BindReader"
)

// settling is how long after a binding was written the pods of its accounts are looked at again: the rule that judges new
// pods reads the binding through a cache of the API server.
const settling = 2 * time.Second

// The operator writes Roles and RoleBindings by the role to which it binds itself in single namespaces, and no others.
//
// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=roles,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list

// standingReaders are the Roles and RoleBindings of readers that are in a namespace, bindings first.
func (r *Reconciler) standingReaders(ctx context.Context, namespace string) ([]client.Object, error) {
	bindings, roles := &rbacv1.RoleBindingList{}, &rbacv1.RoleList{}
	of := []client.ListOption{
		client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}, client.HasLabels{v1alpha1.LabelPurpose},
	}
	if err := errors.Join(r.Cache.List(ctx, bindings, of...), r.Cache.List(ctx, roles, of...)); err != nil {
		return nil, fmt.Errorf("listing the readers of namespace %s: %w", namespace, err)
	}
	var found []client.Object
	for i := range bindings.Items {
		found = append(found, &bindings.Items[i])
	}
	for i := range roles.Items {
		found = append(found, &roles.Items[i])
	}
	return slices.DeleteFunc(found, func(o client.Object) bool { return !render.IsReader(o) }), nil
}

// reader is a grant with the accounts that declare it. There is always one: a Role that nobody has is only in the way.
type reader struct {
	grant    entrustment.AccessGrant
	accounts []string // sorted
}

// readersOf are the grants of a namespace that deliver Secrets and are declared by some account.
func readersOf(access entrustment.Access, accounts []metav1.PartialObjectMetadata) []reader {
	var readers []reader
	for _, grant := range access.Grants {
		if len(grant.Secrets) == 0 {
			continue
		}
		one := reader{grant: grant}
		for i := range accounts {
			if render.Declares(accounts[i].Labels, &grant) {
				one.accounts = append(one.accounts, accounts[i].Name)
			}
		}
		if len(one.accounts) > 0 {
			slices.Sort(one.accounts)
			readers = append(readers, one)
		}
	}
	return readers
}

// read lets the accounts of a namespace read what they declare and are granted, and nobody else. It says after what time to
// look again; zero: when something changes.
func (r *Reconciler) read(ctx context.Context, current *entrustment.Snapshot, n *needs) (time.Duration, error) {
	readers, again, err := r.wanted(ctx, current, n.namespace)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, live := range n.readers { // what ends comes first
		if !slices.ContainsFunc(readers, func(one reader) bool { return render.IsReaderOf(live, &one.grant) }) {
			errs = append(errs, r.Access.Delete(ctx, live))
		}
	}
	for i := range readers {
		wrote, err := r.bind(ctx, current, n.namespace, &readers[i])
		if errs = append(errs, err); wrote {
			again = settling
		}
	}
	return again, errors.Join(errs...)
}

// wanted are the readers of a namespace as it is. An account that a pod uses which does not declare the same is none: the
// pod was there before the account was, and no rule has judged it.
func (r *Reconciler) wanted(ctx context.Context, current *entrustment.Snapshot, namespace string) (readers []reader, again time.Duration, err error) {
	access, bound := current.NamespaceAccess(namespace)
	if !r.Readers || !bound {
		return nil, 0, nil
	}
	accounts := &metav1.PartialObjectMetadataList{}
	accounts.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ServiceAccountList"))
	if err := r.Cache.List(ctx, accounts, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelPurpose}); err != nil {
		return nil, 0, fmt.Errorf("listing the accounts of namespace %s that declare a purpose: %w", namespace, err)
	}
	readers = readersOf(access, accounts.Items)
	for i := range readers {
		one := &readers[i]
		var fit []string
		for _, account := range one.accounts {
			pod, err := r.undeclared(ctx, namespace, account, &one.grant)
			if err != nil {
				return nil, 0, err
			}
			if pod == nil {
				fit = append(fit, account)
				continue
			}
			again = conflictInterval
			r.refuse(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}},
				"ServiceAccount %s/%s reads no Secret, because pod %s uses it and does not declare the same; delete the pod", namespace, account, pod.Name)
		}
		one.accounts = fit
	}
	return slices.DeleteFunc(readers, func(one reader) bool { return len(one.accounts) == 0 }), again, nil
}

// undeclared is a pod that uses an account and does not declare what it is for; nil: there is none.
func (r *Reconciler) undeclared(ctx context.Context, namespace, account string, grant *entrustment.AccessGrant) (*metav1.PartialObjectMetadata, error) {
	pods := &metav1.PartialObjectMetadataList{}
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := r.Live.List(ctx, pods, client.InNamespace(namespace), client.MatchingFields{"spec.serviceAccountName": account}); err != nil {
		return nil, fmt.Errorf("listing the pods of ServiceAccount %s/%s: %w", namespace, account, err)
	}
	slices.SortFunc(pods.Items, func(a, b metav1.PartialObjectMetadata) int { return strings.Compare(a.Name, b.Name) })
	for i := range pods.Items {
		if !render.Declares(pods.Items[i].Labels, grant) {
			return &pods.Items[i], nil
		}
	}
	return nil, nil
}

func (r *Reconciler) refuse(about runtime.Object, format string, args ...any) {
	r.Recorder.Eventf(about, nil, corev1.EventTypeWarning, reasonReaderRefused, actionBindReader, format, args...)
}

// bind writes the Role of a reader, then its binding.
func (r *Reconciler) bind(ctx context.Context, current *entrustment.Snapshot, namespace string, one *reader) (wrote bool, err error) {
	if latest, err := r.Publisher.Current(); err != nil || latest != current && !grants(latest, namespace, &one.grant) {
		return false, err // what changed wakes us
	}
	if same, err := r.same(ctx, current, namespace); !same || err != nil {
		return false, err
	}
	if _, ours, err := keep(ctx, r, &rbacv1.Role{}, &one.grant, render.ReaderRole(namespace, &one.grant)); !ours || err != nil {
		return false, err
	}
	wrote, _, err = keep(ctx, r, &rbacv1.RoleBinding{}, &one.grant, render.ReaderBinding(namespace, &one.grant, one.accounts))
	return wrote, err
}

// grants says whether a snapshot grants the same to a namespace.
func grants(s *entrustment.Snapshot, namespace string, grant *entrustment.AccessGrant) bool {
	access, _ := s.NamespaceAccess(namespace)
	return slices.ContainsFunc(access.Grants, func(g entrustment.AccessGrant) bool {
		return g.Purpose == grant.Purpose && g.Entrustment == grant.Entrustment && slices.Equal(g.Secrets, grant.Secrets)
	})
}

// configuration is what a Role and a RoleBinding are rendered into.
type configuration[C any] interface {
	runtime.ApplyConfiguration
	GetName() *string
	GetNamespace() *string
	WithUID(types.UID) C
}

// keep brings an object of a reader to what it is to be. One that somebody else made is left as it is: its name may be bound
// to others.
func keep[C configuration[C]](ctx context.Context, r *Reconciler, live client.Object, grant *entrustment.AccessGrant, desired C) (wrote, ours bool, err error) {
	key := types.NamespacedName{Namespace: *desired.GetNamespace(), Name: *desired.GetName()}
	switch err := r.Cache.Get(ctx, key, live); {
	case apierrors.IsNotFound(err):
		if err = r.Access.Create(ctx, desired); apply.Exists(err) {
			return false, false, nil // seeing it wakes us
		}
		return err == nil, err == nil, err
	case err != nil:
		return false, false, fmt.Errorf("reading reader %s: %w", key, err)
	}
	switch {
	case !render.IsReader(live):
		r.refuse(live, "%s is somebody else's and is left as it is, so the accounts of its grant read nothing; delete it", key)
		return false, false, nil
	case !render.IsReaderOf(live, grant):
		return false, false, nil // it was deleted; seeing it go wakes us
	}
	wrote, err = r.Access.Ensure(ctx, desired.WithUID(live.GetUID())) // this very one
	return wrote, err == nil, err
}
