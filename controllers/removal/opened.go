package removal

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/internal/apply"
)

// Opener takes away everything that the operator made, so that the cluster is as if it had never been there, but for what
// people wrote.
type Opener struct {
	Live   client.Reader // the API server itself
	Writer apply.Writer
}

// Open may be called again, and has to be after an error: something may have changed meanwhile. What lets the operator take
// things away goes last.
func (o *Opener) Open(ctx context.Context) error {
	for _, remove := range []func(context.Context) error{
		o.rules, o.policies, o.outside, o.accesses, o.credentials, o.readers, o.finalizers, o.access,
	} {
		if err := remove(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rules go before all else, bindings before what they bind: nothing is judged by half.
func (o *Opener) rules(ctx context.Context) error {
	objects, err := admission.All()
	if err != nil {
		return err
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return len(b.GetKind()) - len(a.GetKind()) // the binding's is longer
	})
	for _, object := range objects {
		live := &unstructured.Unstructured{}
		live.SetGroupVersionKind(object.GroupVersionKind())
		err := o.Live.Get(ctx, client.ObjectKeyFromObject(object), live)
		if err == nil {
			err = o.Writer.Delete(ctx, live)
		}
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("removing %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

func (o *Opener) policies(ctx context.Context) error {
	list := &networkingv1.NetworkPolicyList{}
	return remove(ctx, o, list, func() []networkingv1.NetworkPolicy { return list.Items })
}

func (o *Opener) outside(ctx context.Context) error {
	list := &policyv1alpha2.ClusterNetworkPolicyList{}
	err := remove(ctx, o, list, func() []policyv1alpha2.ClusterNetworkPolicy { return list.Items })
	if meta.IsNoMatchError(err) {
		return nil // there is no such kind
	}
	return err
}

func (o *Opener) accesses(ctx context.Context) error {
	list := &v1alpha1.PersonalDataAccessList{}
	return remove(ctx, o, list, func() []v1alpha1.PersonalDataAccess { return list.Items })
}

func (o *Opener) credentials(ctx context.Context) error {
	namespaces, err := entered(ctx, o.Live)
	for _, namespace := range namespaces {
		list := &corev1.SecretList{}
		err = errors.Join(err, remove(ctx, o, list, func() []corev1.Secret { return list.Items }, client.InNamespace(namespace)))
	}
	return err
}

// readers are Roles and what binds them, in namespaces where the operator may write either.
func (o *Opener) readers(ctx context.Context) error {
	bindings, roles := &rbacv1.RoleBindingList{}, &rbacv1.RoleList{}
	return errors.Join(
		remove(ctx, o, bindings, func() []rbacv1.RoleBinding {
			return slices.DeleteFunc(bindings.Items, func(b rbacv1.RoleBinding) bool { return b.Name == v1alpha1.SecretAccessName })
		}),
		remove(ctx, o, roles, func() []rbacv1.Role { return roles.Items }))
}

// access is the operator's own.
func (o *Opener) access(ctx context.Context) error {
	bindings := &rbacv1.RoleBindingList{}
	return remove(ctx, o, bindings, func() []rbacv1.RoleBinding { return bindings.Items })
}

// finalizers keep what people delete until the operator has seen to it. Nobody will.
func (o *Opener) finalizers(ctx context.Context) error {
	stores, contracts := &v1alpha1.PersonalDataStoreList{}, &v1alpha1.EntrustmentList{}
	if err := errors.Join(o.Live.List(ctx, stores), o.Live.List(ctx, contracts)); err != nil {
		return fmt.Errorf("listing stores and contracts: %w", err)
	}
	var errs []error
	for i := range stores.Items {
		errs = append(errs, o.Writer.RemoveFinalizer(ctx, &stores.Items[i], v1alpha1.FinalizerIsolation))
	}
	for i := range contracts.Items {
		errs = append(errs, o.Writer.RemoveFinalizer(ctx, &contracts.Items[i], v1alpha1.FinalizerDisposal))
	}
	return errors.Join(errs...)
}

// remove deletes what of a kind the operator made.
func remove[T any, P interface {
	*T
	client.Object
}](ctx context.Context, o *Opener, list client.ObjectList, items func() []T, in ...client.ListOption) error {
	if err := o.Live.List(ctx, list, append(in, managed)...); err != nil {
		return fmt.Errorf("listing what the operator made: %w", err)
	}
	var errs []error
	for _, item := range items() {
		live := P(&item)
		if live.GetDeletionTimestamp() == nil {
			errs = append(errs, o.Writer.Delete(ctx, live))
		}
	}
	return errors.Join(errs...)
}

// Passing says that an error is one of a moment: somebody else wrote what was about to be deleted.
func Passing(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err)
}
