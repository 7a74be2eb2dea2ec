package apply

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Matches reports whether the live object is what desired says, nothing less and nothing more.
func Matches[P interface {
	*T
	client.Object
}, T any](live P, desired runtime.ApplyConfiguration) (bool, error) {
	want := P(new(T))
	if err := convert(desired, want); err != nil {
		return false, err
	}
	return matches(live, want), nil
}

// Terminating says that a write was refused because the namespace is going: nothing can be kept there any more.
func Terminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func matches(live, want client.Object) bool {
	return equality.Semantic.DeepEqual(live, overlay(live, want))
}

// overlay is the live object with the content and the labels that are wanted, and without owners. Its status is not
// content: who writes that does so elsewhere.
func overlay(live, want client.Object) client.Object {
	target := want.DeepCopyObject().(client.Object)
	metadata(live).DeepCopyInto(metadata(target))
	labels := map[string]string{}
	maps.Copy(labels, live.GetLabels())
	maps.Copy(labels, want.GetLabels())
	target.SetLabels(labels)
	target.SetOwnerReferences(nil)
	if status := reflect.ValueOf(target).Elem().FieldByName("Status"); status.IsValid() {
		status.Set(reflect.ValueOf(live).Elem().FieldByName("Status"))
	}
	target.GetObjectKind().SetGroupVersionKind(live.GetObjectKind().GroupVersionKind())
	return target
}

// metadata is what every typed object embeds.
func metadata(obj client.Object) *metav1.ObjectMeta {
	return obj.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
}

// convert goes by way of JSON, the form that apply configurations and objects have in common.
func convert(from, to any) error {
	encoded, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", from, err)
	}
	if err := utiljson.Unmarshal(encoded, to); err != nil {
		return fmt.Errorf("decoding %T: %w", to, err)
	}
	return nil
}

func describe(object client.Object) string {
	return fmt.Sprintf("%s %s", cmp.Or(object.GetObjectKind().GroupVersionKind().Kind, fmt.Sprintf("%T", object)), client.ObjectKeyFromObject(object))
}
