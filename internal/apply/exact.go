package apply

import (
	"context"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Create makes an object that must not exist: one that has its name already is left as it is, and is an error.
func (w Writer) Create(ctx context.Context, desired runtime.ApplyConfiguration) error {
	object, err := w.typed(desired)
	if err != nil {
		return err
	}
	if err := w.client.Create(ctx, object, w.owner); err != nil {
		return fmt.Errorf("creating %s: %w", describe(object), err)
	}
	w.wrote(object, "create")
	return nil
}

// Replace brings the object, as it was read, to what desired says: one that has changed since, or was replaced, is a
// conflict. Unlike Ensure it has written when it returns, whatever the cache shows.
func (w Writer) Replace(ctx context.Context, live client.Object, desired runtime.ApplyConfiguration) error {
	want, err := w.typed(desired)
	if err != nil {
		return err
	}
	exact := overlay(live, want)
	if err := w.client.Update(ctx, exact, w.owner); err != nil {
		return fmt.Errorf("replacing %s: %w", describe(want), err)
	}
	w.wrote(exact, "update")
	return nil
}

// Amend is Ensure for an object from whose content it was found what it should say: written is that very version or none,
// and one that has changed since is a conflict. Nil makes it; one that is there all the same wakes the reconciler.
func (w Writer) Amend(ctx context.Context, live client.Object, desired runtime.ApplyConfiguration) (wrote bool, err error) {
	if live == nil || reflect.ValueOf(live).IsNil() {
		err := w.Create(ctx, desired)
		if Exists(err) {
			return false, nil
		}
		return err == nil, err
	}
	want, err := w.typed(desired)
	if err != nil || w.Behind(live) || matches(live, want) {
		return false, err
	}
	return true, w.Replace(ctx, live, desired)
}

// Update writes an object, a changed copy of what was read; one that has changed since is a conflict.
func (w Writer) Update(ctx context.Context, changed client.Object) error {
	if err := w.client.Update(ctx, changed, w.owner); err != nil {
		return fmt.Errorf("updating %s: %w", describe(changed), err)
	}
	w.wrote(changed, "update")
	return nil
}

// End deletes an object, whatever has become of it since it was read, unless another took its name; whoever runs it has as
// long as grace to stop.
func (w Writer) End(ctx context.Context, live client.Object, grace time.Duration) error {
	uid := live.GetUID()
	err := w.client.Delete(ctx, live, client.Preconditions{UID: &uid}, client.GracePeriodSeconds(grace/time.Second))
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it has gone
	}
	if err != nil {
		return fmt.Errorf("ending %s: %w", describe(live), err)
	}
	w.count(live, "delete")
	return nil
}

// Exists says that nothing was made because something has the name already.
func Exists(err error) bool { return apierrors.IsAlreadyExists(err) }
