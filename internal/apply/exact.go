package apply

import (
	"context"
	"fmt"

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

// Exists says that nothing was made because something has the name already.
func Exists(err error) bool { return apierrors.IsAlreadyExists(err) }
