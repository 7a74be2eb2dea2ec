package apply

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
)

// Writes counts the requests by which writers changed the cluster. Nothing changes it while nothing changes.
var Writes = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "entrustment_writes_total",
	Help: "Requests by which the operator changed objects, by field owner, kind and operation.",
}, []string{"owner", "kind", "operation"})

// Writer writes as one field owner.
type Writer struct {
	client client.Client
	owner  client.FieldOwner
	last   *sync.Map // resource version of the last write to each object, by UID, until the cache has seen it
	drift  *Drift    // nil: nothing is told
}

// NewWriter returns a writer for one reconciler. The client may read through a cache, of which every event wakes the
// reconciler.
func NewWriter(c client.Client, reconciler string) Writer {
	return Writer{client: c, owner: client.FieldOwner(ownerPrefix + reconciler), last: &sync.Map{}}
}

// ownerPrefix keeps the field owners of one operator together in managedFields.
const ownerPrefix = "entrustment-operator/"

// Ensure brings the live object to what desired says, and reports whether it had to write.
func (w Writer) Ensure(ctx context.Context, desired runtime.ApplyConfiguration) (wrote bool, err error) {
	want, err := w.typed(desired)
	if err != nil {
		return false, err
	}
	live, err := w.empty(want.GetObjectKind().GroupVersionKind())
	if err != nil {
		return false, err
	}
	switch err := w.client.Get(ctx, client.ObjectKeyFromObject(want), live); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return false, fmt.Errorf("reading %s: %w", describe(want), err)
	case w.Behind(live):
		return false, nil
	case matches(live, want):
		return false, w.leave(live, want, true)
	}
	return w.repair(live, want, func() (client.Object, bool, error) { return w.bring(ctx, live, want, desired) })
}

// repair writes an object, remembers how it was left, and tells if somebody else had changed it. Live without a UID: there
// is none.
func (w Writer) repair(live, want client.Object, write func() (exact client.Object, wrote bool, err error)) (wrote bool, err error) {
	drifted, err := w.drifted(live, want)
	if err != nil {
		return false, err
	}
	exact, wrote, err := write()
	if err != nil {
		if lost(err) {
			w.drift.forget(w.object(want))
		}
		return wrote, err
	}
	if drifted {
		w.repaired(want, live.GetUID() == "")
	}
	return wrote, w.leave(exact, want, false)
}

// bring applies what is desired, and takes away what others added.
func (w Writer) bring(ctx context.Context, live, want client.Object, desired runtime.ApplyConfiguration) (exact client.Object, wrote bool, err error) {
	configuration := &unstructured.Unstructured{}
	if err := convert(desired, &configuration.Object); err != nil {
		return nil, false, err
	}
	applied := live
	switch err := w.force(ctx, configuration); {
	case apierrors.IsInvalid(err) && live.GetUID() != "":
		// What others added need not go together with what is wanted, and must not keep it away.
	case err != nil:
		return nil, false, err
	default:
		if applied, err = w.typed(configuration); err != nil || matches(applied, want) {
			return applied, true, err
		}
	}
	// Apply takes away only what its owner once put there. What others added goes with an update.
	exact = overlay(applied, want)
	if err := w.client.Update(ctx, exact, w.owner); err != nil {
		return nil, true, fmt.Errorf("taking foreign fields from %s: %w", describe(want), err)
	}
	w.wrote(exact, "update")
	return exact, true, nil
}

// Status brings the status of the live object to that of want, a changed copy of it, and reports whether it had to write.
func (w Writer) Status(ctx context.Context, live, want client.Object) (wrote bool, err error) {
	if w.Behind(live) || equality.Semantic.DeepEqual(live, want) {
		return false, nil
	}
	content := map[string]any{}
	if err := convert(want, &content); err != nil {
		return false, err
	}
	object, err := w.identity(want)
	if err != nil {
		return false, err
	}
	object.Object["status"] = content["status"]
	err = w.client.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(object), w.owner, client.ForceOwnership)
	if err != nil {
		return false, fmt.Errorf("applying the status of %s: %w", describe(object), err)
	}
	w.wrote(object, "apply status")
	if equality.Semantic.DeepEqual(object.Object["status"], content["status"]) {
		return true, nil
	}

	object.Object["status"] = content["status"]
	if err := w.client.Status().Update(ctx, object, w.owner); err != nil {
		return true, fmt.Errorf("taking foreign fields from the status of %s: %w", describe(object), err)
	}
	w.wrote(object, "update status")
	return true, nil
}

// Delete removes the object as it was read: one that has changed since, or was replaced, is a conflict.
func (w Writer) Delete(ctx context.Context, live client.Object) error {
	uid, version := live.GetUID(), live.GetResourceVersion()
	err := w.client.Delete(ctx, live, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("deleting %s: %w", describe(live), err)
	}
	w.drift.forget(w.object(live))
	if err != nil {
		return nil //nolint:nilerr // it has gone
	}
	w.last.Delete(uid)
	w.count(live, "delete")
	return nil
}

// Keep is Fields for what is to stay as it is, with the object as it was read, and whether it agrees already. It tells when
// somebody else changed those fields.
func (w Writer) Keep(ctx context.Context, live client.Object, partial runtime.ApplyConfiguration, agrees bool) (wrote bool, err error) {
	text, err := json.Marshal(partial)
	if err != nil {
		return false, fmt.Errorf("encoding %T: %w", partial, err)
	}
	name, now := w.object(live), left{content: sha256.Sum256(text), version: live.GetResourceVersion()}
	if agrees {
		w.drift.remember(name, now)
		return false, nil
	}
	was, ok := w.drift.find(name)
	drifted := ok && was.content == now.content && newer(live, was.version)
	configuration := &unstructured.Unstructured{}
	if err := convert(partial, &configuration.Object); err != nil {
		return false, err
	}
	if err := w.force(ctx, configuration); err != nil {
		return false, err
	}
	if drifted {
		w.repaired(live, false)
	}
	now.version = configuration.GetResourceVersion()
	w.drift.remember(name, now)
	return true, nil
}

// Fields brings some fields of somebody else's object to what partial says. It does not look whether they are so already:
// the caller does, and asks Behind before.
func (w Writer) Fields(ctx context.Context, partial runtime.ApplyConfiguration) error {
	configuration := &unstructured.Unstructured{}
	if err := convert(partial, &configuration.Object); err != nil {
		return err
	}
	return w.force(ctx, configuration)
}

// AddFinalizer makes the object stay until RemoveFinalizer is called, and reports whether it had to write.
func (w Writer) AddFinalizer(ctx context.Context, live client.Object, finalizer string) (wrote bool, err error) {
	if w.Behind(live) || controllerutil.ContainsFinalizer(live, finalizer) {
		return false, nil
	}
	configuration, err := w.identity(live)
	if err != nil {
		return false, err
	}
	configuration.SetFinalizers([]string{finalizer})
	return true, w.force(ctx, configuration)
}

// RemoveFinalizer lets the object go. It is a patch and no apply, because what was applied stays where somebody else's
// manifest names it too; and it asks only that the finalizers are those that were read, because the status may well have
// changed, by what was done to let the object go.
func (w Writer) RemoveFinalizer(ctx context.Context, live client.Object, finalizer string) error {
	changed := live.DeepCopyObject().(client.Object)
	if !controllerutil.RemoveFinalizer(changed, finalizer) {
		return nil
	}
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	patch, err := json.Marshal([]operation{
		{"test", "/metadata/uid", live.GetUID()},
		{"test", "/metadata/finalizers", live.GetFinalizers()},
		{"replace", "/metadata/finalizers", changed.GetFinalizers()},
	})
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	err = w.client.Patch(ctx, changed, client.RawPatch(types.JSONPatchType, patch), w.owner)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing the finalizer from %s: %w", describe(live), err)
	}
	w.wrote(changed, "patch")
	return nil
}

// force applies a configuration; what the API server made of it is in the configuration afterwards.
func (w Writer) force(ctx context.Context, configuration *unstructured.Unstructured) error {
	err := w.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(configuration), w.owner, client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("applying %s: %w", describe(configuration), err)
	}
	w.wrote(configuration, "apply")
	return nil
}

// identity is the beginning of an apply configuration for this very object: with its UID the API server refuses to make
// another one, or to change one that took its name.
func (w Writer) identity(live client.Object) (*unstructured.Unstructured, error) {
	gvk, err := apiutil.GVKForObject(live, w.client.Scheme())
	if err != nil {
		return nil, err
	}
	configuration := &unstructured.Unstructured{}
	configuration.SetGroupVersionKind(gvk)
	configuration.SetNamespace(live.GetNamespace())
	configuration.SetName(live.GetName())
	configuration.SetUID(live.GetUID())
	return configuration, nil
}

// typed is an apply configuration as an object of its kind.
func (w Writer) typed(configuration any) (client.Object, error) {
	var kind metav1.TypeMeta
	if err := convert(configuration, &kind); err != nil {
		return nil, err
	}
	object, err := w.empty(kind.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return object, convert(configuration, object)
}

// empty is a new object of a kind: decoding into a used one would leave what it held.
func (w Writer) empty(kind schema.GroupVersionKind) (client.Object, error) {
	object, err := w.client.Scheme().New(kind)
	if err != nil {
		return nil, err
	}
	return object.(client.Object), nil
}

// Behind says whether the cache has yet to see what was written last: what it shows instead would be mended twice. The
// arrival wakes the reconciler.
func (w Writer) Behind(live client.Object) bool {
	last, ok := w.last.Load(live.GetUID())
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(live.GetResourceVersion(), last.(string)); err == nil && order < 0 {
		return true
	}
	w.last.Delete(live.GetUID())
	return false
}

func (w Writer) wrote(object client.Object, operation string) {
	w.last.Store(object.GetUID(), object.GetResourceVersion())
	w.count(object, operation)
}

func (w Writer) count(object client.Object, operation string) {
	kind := "unknown"
	if gvk, err := apiutil.GVKForObject(object, w.client.Scheme()); err == nil {
		kind = gvk.Kind
	}
	Writes.WithLabelValues(string(w.owner), kind, operation).Inc()
}
