package gather

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"entrustment.dev/operator/api/v1alpha1"
)

// A Workload is a pod, what makes pods, or a ServiceAccount that speaks for pods: what its pods declare, and what they are.
type Workload struct {
	Kind, Namespace, Name string
	Labels                map[string]string // of its pods
	Own                   map[string]string // labels of the object itself; of a Pod or a ServiceAccount they are the same
	Spec                  corev1.PodSpec    // of its pods; empty for a ServiceAccount
	Controlled            bool              // something else makes it, which was judged already
	Phase                 corev1.PodPhase   // of a Pod in a cluster
}

// workloadKinds tells where in an object of the kind its pods are described.
var workloadKinds = map[schema.GroupKind][]string{
	{Kind: "Pod"}:                        {},
	{Kind: "ServiceAccount"}:             {},
	{Kind: "ReplicationController"}:      {"spec", "template"},
	{Group: "apps", Kind: "Deployment"}:  {"spec", "template"},
	{Group: "apps", Kind: "StatefulSet"}: {"spec", "template"},
	{Group: "apps", Kind: "DaemonSet"}:   {"spec", "template"},
	{Group: "apps", Kind: "ReplicaSet"}:  {"spec", "template"},
	{Group: "batch", Kind: "Job"}:        {"spec", "template"},
	{Group: "batch", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template"},
}

// podOf is where an object describes its pods; false: it has none.
func podOf(content map[string]any) ([]string, bool) {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	path, ok := workloadKinds[schema.FromAPIVersionAndKind(apiVersion, kind).GroupKind()]
	return path, ok
}

// WorkloadOf reads an object as a workload; false: it is of no such kind.
func WorkloadOf(content map[string]any) (Workload, bool, error) {
	path, ok := podOf(content)
	if !ok {
		return Workload{}, false, nil
	}
	w := Workload{Kind: content["kind"].(string)}
	var about struct {
		Metadata struct {
			Name            string            `json:"name"`
			GenerateName    string            `json:"generateName"`
			Namespace       string            `json:"namespace"`
			Labels          map[string]string `json:"labels"`
			OwnerReferences []struct {
				Controller bool `json:"controller"`
			} `json:"ownerReferences"`
		} `json:"metadata"`
		Status struct {
			Phase corev1.PodPhase `json:"phase"`
		} `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(only(content, "metadata"), &about); err != nil {
		return w, true, err
	}
	w.Namespace, w.Name, w.Own = about.Metadata.Namespace, about.Metadata.Name, about.Metadata.Labels
	if w.Name == "" && about.Metadata.GenerateName != "" {
		w.Name = about.Metadata.GenerateName + "*"
	}
	for _, owner := range about.Metadata.OwnerReferences {
		w.Controlled = w.Controlled || owner.Controller
	}
	if w.Kind == "Pod" {
		status, _ := content["status"].(map[string]any)
		phase, _ := status["phase"].(string)
		w.Phase = corev1.PodPhase(phase)
	}

	at := content
	for _, key := range path {
		at, _ = at[key].(map[string]any)
	}
	var pod corev1.PodTemplateSpec
	parts := only(at, "metadata", "spec")
	if w.Kind == "ServiceAccount" {
		parts = only(at, "metadata")
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(parts, &pod); err != nil {
		return w, true, fmt.Errorf("%s of its pods: %w", strings.Join(append(path, "spec"), "."), err)
	}
	w.Labels, w.Spec = pod.Labels, pod.Spec
	return w, true, nil
}

func only(content map[string]any, keys ...string) map[string]any {
	part := map[string]any{}
	for _, key := range keys {
		if value, ok := content[key]; ok {
			part[key] = value
		}
	}
	return part
}

// LabelsPath is the field of the workload that holds the labels of its pods.
func (w *Workload) LabelsPath() string {
	for kind, path := range workloadKinds {
		if kind.Kind == w.Kind {
			return strings.Join(append(slices.Clone(path), "metadata", "labels"), ".")
		}
	}
	return ""
}

// String is the workload as people call it.
func (w *Workload) String() string { return fmt.Sprintf("%s %s/%s", w.Kind, w.Namespace, w.Name) }

// Declares tells what its pods declare. A label that is there but empty is not the same as none.
func (w *Workload) Declares() (purpose, entrustment string, anything, emptyEntrustment bool) {
	purpose, hasPurpose := w.Labels[v1alpha1.LabelPurpose]
	entrustment, hasEntrustment := w.Labels[v1alpha1.LabelEntrustment]
	return purpose, entrustment, hasPurpose || hasEntrustment, hasEntrustment && entrustment == ""
}

// Idle are labels of the operator's group that declare nothing, because nobody knows them, and those that would, were they not
// of the workload itself but of its pods; each sorted.
func (w *Workload) Idle() (unknown, misplaced []string) {
	for key := range w.Labels {
		if strings.HasPrefix(key, v1alpha1.Group+"/") && key != v1alpha1.LabelPurpose && key != v1alpha1.LabelEntrustment {
			unknown = append(unknown, key)
		}
	}
	for _, key := range []string{v1alpha1.LabelEntrustment, v1alpha1.LabelPurpose} {
		_, own := w.Own[key]
		if _, pods := w.Labels[key]; own && !pods {
			misplaced = append(misplaced, key)
		}
	}
	slices.Sort(unknown)
	return unknown, misplaced
}

// Secrets names the Secrets that its pods reference, sorted, each once.
func (w *Workload) Secrets() []string {
	var names []string
	add := func(name string) {
		if name != "" {
			names = append(names, name)
		}
	}
	for i := range w.Spec.Volumes {
		if source := w.Spec.Volumes[i].Secret; source != nil {
			add(source.SecretName)
		}
		if projected := w.Spec.Volumes[i].Projected; projected != nil {
			for _, source := range projected.Sources {
				if source.Secret != nil {
					add(source.Secret.Name)
				}
			}
		}
	}
	for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} {
		for i := range containers {
			for _, from := range containers[i].EnvFrom {
				if from.SecretRef != nil {
					add(from.SecretRef.Name)
				}
			}
			for _, env := range containers[i].Env {
				if env.ValueFrom != nil && env.ValueFrom.SecretKeyRef != nil {
					add(env.ValueFrom.SecretKeyRef.Name)
				}
			}
		}
	}
	for _, reference := range w.Spec.ImagePullSecrets {
		add(reference.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
