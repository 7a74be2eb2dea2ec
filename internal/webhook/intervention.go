package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Interventions judges who reaches into a pod that is part of a store, or that declares something: past every policy,
// because what comes from the node is always let in. Only the holder of the verb intervene may, and each time is told.
//
// The pod is looked up when it is asked for: labels of a pod cannot be matched on a connection, and a cache of all pods
// would be as large as the cluster.
func Interventions(snapshots source, live client.Reader, access creator, recorder eventRecorder) admission.Handler {
	return &interventions{snapshots: snapshots, live: live, access: access, recorder: recorder}
}

type interventions struct {
	snapshots source
	live      client.Reader
	access    creator
	recorder  eventRecorder
}

// verbs are the ways to reach into something, by resource and subresource, in words.
var verbs = map[string]string{
	"pods/exec":                "exec into",
	"pods/attach":              "attach to",
	"pods/portforward":         "port-forward to",
	"pods/proxy":               "proxy to",
	"pods/ephemeralcontainers": "add ephemeral containers to",
	"services/proxy":           "proxy to",
}

// sealed is what somebody has to be allowed to open: a store, or all that declares something in a namespace.
type sealed struct {
	store *v1alpha1.PersonalDataStore // nil: what declares
	what  string                      // in words
}

func (s sealed) right(namespace string) right {
	if s.store != nil {
		return onStore(verbIntervene, s.store)
	}
	return right{verb: verbIntervene, resource: "personaldataaccesses", namespace: namespace, name: v1alpha1.PersonalDataAccessName}
}

// regarding is the object at which it is told.
func (s sealed) regarding(namespace string) runtime.Object {
	if s.store != nil {
		return s.store
	}
	return accessOf(namespace)
}

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list
// +kubebuilder:rbac:groups="",resources=services,verbs=get

// Handle answers one review.
func (h *interventions) Handle(ctx context.Context, req admission.Request) admission.Response {
	resource := req.Resource.Resource + "/" + req.SubResource
	verb, known := verbs[resource]
	operation := admissionv1.Connect
	if resource == "pods/ephemeralcontainers" {
		operation = admissionv1.Update
	}
	if !known || req.Resource.Group != "" || req.Operation != operation || req.Namespace == "" {
		return refused(fmt.Sprintf("operation %s on %s is not judged here", req.Operation, resource))
	}
	name := req.Name
	if req.SubResource == "proxy" {
		var valid bool
		if _, name, _, valid = utilnet.SplitSchemeNamePort(req.Name); !valid {
			return refused(fmt.Sprintf("%q is no name to proxy to: write NAME, NAME:PORT or SCHEME:NAME:PORT", req.Name))
		}
	}
	if name == "" {
		return refused(fmt.Sprintf("%s %s/: no name is given", verb, req.Namespace))
	}
	target := fmt.Sprintf("%s %s/%s", kindOf(req.Resource.Resource), req.Namespace, name)
	snapshot, err := h.snapshots.Current()
	if err != nil {
		return retry(fmt.Sprintf("%s %s cannot be judged yet: %v; try again", verb, target, err))
	}
	var seals []sealed
	switch {
	case operation == admissionv1.Update:
		// What it was decides; the labels of the new object are not stored through this subresource.
		var pod partialPod
		if err := decode(req.OldObject.Raw, &pod); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		seals = sealsOfPod(snapshot, req.Namespace, pod.Metadata.Labels)
	case req.Resource.Resource == "pods":
		seals, err = h.pod(ctx, snapshot, types.NamespacedName{Namespace: req.Namespace, Name: name})
	default:
		seals, err = h.service(ctx, snapshot, types.NamespacedName{Namespace: req.Namespace, Name: name})
	}
	if err != nil {
		return retry(fmt.Sprintf("%s %s cannot be judged: %v; try again", verb, target, err))
	}
	return h.judge(ctx, req, seals, verb, target, name)
}

// judge asks for the right to each seal. One that is lacking refuses all, unless the store only reports.
func (h *interventions) judge(ctx context.Context, req admission.Request, seals []sealed, verb, target, name string) admission.Response {
	var broken []sealed
	var warnings []string
	for _, seal := range seals {
		right := seal.right(req.Namespace)
		permitted, err := may(ctx, h.access, &req.UserInfo, right)
		if err != nil {
			return retry(fmt.Sprintf("%s %s cannot be judged: %v; try again", verb, target, err))
		}
		if permitted {
			broken = append(broken, seal)
			continue
		}
		message := fmt.Sprintf("%s %s, %s: %s: user %q may not intervene there; to permit it, %s",
			verb, target, seal.what, v1alpha1.ReasonInterventionNotPermitted, req.UserInfo.Username, right)
		if seal.store != nil && entrustment.Reports(seal.store) {
			warnings = append(warnings, "would be refused: "+message)
			continue
		}
		if told(req) {
			h.recorder.Eventf(seal.regarding(req.Namespace), nil, corev1.EventTypeWarning,
				string(v1alpha1.ReasonInterventionNotPermitted), "RefuseIntervention", "%.*s", maxNote, message)
		}
		return refusedFor(v1alpha1.ReasonInterventionNotPermitted, message)
	}
	if told(req) {
		for _, seal := range broken {
			h.recorder.Eventf(seal.regarding(req.Namespace), h.related(req, name), corev1.EventTypeWarning,
				string(v1alpha1.ReasonIntervened), "Intervene", "%.*s", maxNote,
				fmt.Sprintf("user %q was let %s %s, %s", req.UserInfo.Username, verb, target, seal.what))
		}
	}
	answer := admission.Allowed("").WithWarnings(warnings...)
	if len(broken) > 0 {
		answer.AuditAnnotations = map[string]string{auditReason: string(v1alpha1.ReasonIntervened)}
	}
	return answer
}

// related is what was reached into. Events about the same things are counted together and keep the note of the first, so
// that another's intervention would be told in the name of the first: the review tells them apart.
func (h *interventions) related(req admission.Request, name string) *corev1.ObjectReference {
	kind := "Pod"
	if req.Resource.Resource == "services" {
		kind = "Service"
	}
	return &corev1.ObjectReference{
		APIVersion: "v1", Kind: kind, Namespace: req.Namespace, Name: name, FieldPath: "review{" + string(req.UID) + "}",
	}
}

func kindOf(resource string) string {
	if resource == "services" {
		return "service"
	}
	return "pod"
}

// sealsOfPod are those of one pod.
func sealsOfPod(snapshot *entrustment.Snapshot, namespace string, labels map[string]string) []sealed {
	var seals []sealed
	for _, store := range snapshot.StoresOfPod(namespace, labels) {
		seals = append(seals, sealed{store: store, what: ofStore(store)})
	}
	if asked := declared(labels); asked.any() {
		seals = append(seals, sealed{what: "which declares " + asked.String()})
	}
	return seals
}

func ofStore(store *v1alpha1.PersonalDataStore) string {
	return fmt.Sprintf("a pod of PersonalDataStore %s/%s", store.Namespace, store.Name)
}

// sealsOfService are those of all that a service may lead to. One without a selector leads wherever somebody writes.
func sealsOfService(snapshot *entrustment.Snapshot, namespace string, selector map[string]string, declaring bool) []sealed {
	var seals []sealed
	for _, store := range snapshot.StoresBehind(namespace, selector) {
		seals = append(seals, sealed{store: store, what: "which may lead to " + ofStore(store)})
	}
	if declaring {
		seals = append(seals, sealed{what: "which may lead to pods that declare a purpose"})
	}
	return seals
}

func (h *interventions) pod(ctx context.Context, snapshot *entrustment.Snapshot, key types.NamespacedName) ([]sealed, error) {
	pod := &metav1.PartialObjectMetadata{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	if err := h.live.Get(ctx, key, pod); apierrors.IsNotFound(err) {
		return nil, nil // the API server will say so
	} else if err != nil {
		return nil, fmt.Errorf("reading the pod: %w", err)
	}
	return sealsOfPod(snapshot, key.Namespace, pod.Labels), nil
}

func (h *interventions) service(ctx context.Context, snapshot *entrustment.Snapshot, key types.NamespacedName) ([]sealed, error) {
	service := &corev1.Service{}
	if err := h.live.Get(ctx, key, service); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the service: %w", err)
	}
	if len(service.Spec.Selector) == 0 {
		_, _, bound := snapshot.Binding(key.Namespace)
		return sealsOfService(snapshot, key.Namespace, nil, bound), nil
	}
	declaring, err := h.declaring(ctx, key.Namespace, service.Spec.Selector)
	if err != nil {
		return nil, err
	}
	return sealsOfService(snapshot, key.Namespace, service.Spec.Selector, declaring), nil
}

// declaring says whether a selector selects a pod that declares something.
func (h *interventions) declaring(ctx context.Context, namespace string, selector map[string]string) (bool, error) {
	for _, label := range []string{v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment} {
		has, err := labels.NewRequirement(label, selection.Exists, nil)
		if err != nil {
			return false, err
		}
		pods := &metav1.PartialObjectMetadataList{}
		pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		if err := h.live.List(ctx, pods, client.InNamespace(namespace), client.Limit(1),
			client.MatchingLabelsSelector{Selector: labels.SelectorFromSet(selector).Add(*has)}); err != nil {
			return false, fmt.Errorf("listing the pods of the service: %w", err)
		}
		if len(pods.Items) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// told says whether anybody is to be told: a dry run is nobody's business.
func told(req admission.Request) bool { return req.DryRun == nil || !*req.DryRun }
