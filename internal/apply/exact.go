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
	want, err := w.typed(desired)
	if err != nil {
		return err
	}
	absent, err := w.empty(want.GetObjectKind().GroupVersionKind())
	if err != nil {
		return err
	}
	_, err = w.repair(absent, want, func() (client.Object, bool, error) {
		made := want.DeepCopyObject().(client.Object)
		if err := w.client.Create(ctx, made, w.owner); err != nil {
			return nil, false, fmt.Errorf("creating %s: %w", describe(want), err)
		}
		w.wrote(made, "create")
		return made, true, nil
	})
	return err
}

// Replace brings the object, as it was read, to what desired says: one that has changed since, or was replaced, is a
// conflict. Unlike Ensure it has written when it returns, whatever the cache shows.
func (w Writer) Replace(ctx context.Context, live client.Object, desired runtime.ApplyConfiguration) error {
	want, err := w.typed(desired)
	if err != nil {
		return err
	}
	_, err = w.repair(live, want, func() (client.Object, bool, error) {
		exact := overlay(live, want)
		if err := w.client.Update(ctx, exact, w.owner); err != nil {
			return nil, false, fmt.Errorf("replacing %s: %w", describe(want), err)
		}
		w.wrote(exact, "update")
		return exact, true, nil
	})
	return err
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
	switch {
	case err != nil || w.Behind(live):
		return false, err
	case matches(live, want):
		return false, w.leave(live, want, true)
	}
	return true, w.Replace(ctx, live, desired)
}

// Update writes an object, a changed copy of what was read; one that has changed since is a conflict.
func (w Writer) Update(ctx context.Context, changed client.Object) error {
	name := w.object(changed)
	was, kept := w.drift.find(name)
	w.drift.forget(name) // lest another writer of the operator takes this for drift, if he sees it first
	if err := w.client.Update(ctx, changed, w.owner); err != nil {
		return fmt.Errorf("updating %s: %w", describe(changed), err)
	}
	w.wrote(changed, "update")
	if kept {
		return w.leaveWith(name, changed, was.labels, false)
	}
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
