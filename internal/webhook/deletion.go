package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Deletions judges whether a Purpose, a DataProcessor or a PersonalDataStore is still in use. A Purpose that is gone forbids
// nothing any more, so that its deletion could even open a store.
func Deletions(snapshots source, live client.Reader, recorder eventRecorder) admission.Handler {
	return &deletions{snapshots: snapshots, live: live, recorder: recorder}
}

type deletions struct {
	snapshots source
	live      client.Reader
	recorder  eventRecorder
}

// usable is a kind that others use.
type usable struct {
	kind string
	uses func(*entrustment.Snapshot, types.NamespacedName) []string
	fix  string
}

var usables = map[string]usable{
	"purposes": {
		kind: "Purpose",
		uses: func(s *entrustment.Snapshot, key types.NamespacedName) []string { return s.PurposeUses(key.Name) },
		fix:  "withdraw it with spec.notAfter, and delete it once nothing depends on it",
	},
	"dataprocessors": {
		kind: "DataProcessor",
		uses: func(s *entrustment.Snapshot, key types.NamespacedName) []string { return s.ProcessorUses(key.Name) },
		fix:  "end its contracts with spec.notAfter and delete its stores first; spec.suspended withdraws its accesses at once",
	},
	"personaldatastores": {
		kind: "PersonalDataStore",
		uses: (*entrustment.Snapshot).StoreUses,
		fix:  "suspend it with spec.suspended first, then delete it",
	},
}

// Handle answers one review.
func (h *deletions) Handle(ctx context.Context, req admission.Request) admission.Response {
	of, known := usables[req.Resource.Resource]
	if !known || req.Resource.Group != v1alpha1.Group || req.Operation != admissionv1.Delete {
		return refused(fmt.Sprintf("operation %s on %s is not judged here", req.Operation, req.Resource.Resource))
	}
	// The name of the request is empty when many are deleted at once; the object is always there.
	var object struct {
		Metadata metadata `json:"metadata"`
	}
	if err := decode(req.OldObject.Raw, &object); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	key := types.NamespacedName{Namespace: req.Namespace, Name: object.Metadata.Name}
	title := fmt.Sprintf("%s %q", of.kind, key.Name)
	if key.Namespace != "" {
		title = fmt.Sprintf("%s %q", of.kind, key)
	}
	if key.Name == "" {
		return refused(of.kind + " without a name: the object under review is none")
	}
	snapshot, err := h.snapshots.Current()
	if err != nil {
		return retry(fmt.Sprintf("deleting %s cannot be judged yet: %v; try again", title, err))
	}
	uses := of.uses(snapshot, key)
	if len(uses) == 0 {
		return admission.Allowed("")
	}
	if key.Namespace != "" {
		going, err := h.going(ctx, key.Namespace)
		if err != nil {
			return retry(fmt.Sprintf("deleting %s cannot be judged: %v; try again", title, err))
		}
		if going {
			return admission.Allowed("")
		}
	}
	message := fmt.Sprintf("%s cannot be deleted: %s: %s; %s", title, v1alpha1.ReasonInUse, first(uses), of.fix)
	if told(req) {
		regarding := &metav1.PartialObjectMetadata{TypeMeta: typeOf(of.kind), ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: object.Metadata.UID}}
		h.recorder.Eventf(regarding, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonInUse), "RefuseDeletion", "%.*s", maxNote, message)
	}
	return refusedFor(v1alpha1.ReasonInUse, message)
}

// going says whether a namespace is being deleted, with all that is in it.
func (h *deletions) going(ctx context.Context, name string) (bool, error) {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := h.live.Get(ctx, types.NamespacedName{Name: name}, namespace); apierrors.IsNotFound(err) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("reading namespace %s: %w", name, err)
	}
	return namespace.DeletionTimestamp != nil, nil
}
