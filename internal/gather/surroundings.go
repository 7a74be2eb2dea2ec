package gather

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Surroundings are what runs beside a policy. Of Secrets they hold nothing but their names, where workloads reference them.
type Surroundings struct {
	Namespaces map[string]map[string]string // labels by name; with files only those that are written
	Services   []*corev1.Service
	Policies   []*networkingv1.NetworkPolicy
	Workloads  []Workload // that nothing else makes, as far as it is known here; ended pods are left out
}

// surrounding kinds are read besides workloads, for whoever asks for surroundings.
var surrounding = map[schema.GroupVersionKind]func() runtime.Object{
	corev1.SchemeGroupVersion.WithKind("Namespace"):           func() runtime.Object { return &corev1.Namespace{} },
	corev1.SchemeGroupVersion.WithKind("Service"):             func() runtime.Object { return &corev1.Service{} },
	networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"): func() runtime.Object { return &networkingv1.NetworkPolicy{} },
}

func surrounds(content map[string]any) (func() runtime.Object, bool) {
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	empty, ok := surrounding[schema.FromAPIVersionAndKind(apiVersion, kind)]
	return empty, ok
}

func (s *Surroundings) add(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.Namespace:
		s.Namespaces[o.Name] = o.Labels
	case *corev1.Service:
		s.Services = append(s.Services, o)
	case *networkingv1.NetworkPolicy:
		s.Policies = append(s.Policies, o)
	}
}

// Surroundings of the policy in the files. What names no namespace is in the given one.
func (f *Files) Surroundings(home string) (Surroundings, error) {
	s := Surroundings{Namespaces: map[string]map[string]string{}}
	var wrong []problem
	for i := range f.objects {
		o := &f.objects[i]
		empty, ok := surrounds(o.content)
		if !ok {
			continue
		}
		typed := empty()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.content, typed); err != nil {
			wrong = append(wrong, o.problem("", err.Error()))
			continue
		}
		if namespaced, isObject := typed.(client.Object); isObject && namespaced.GetNamespace() == "" {
			namespaced.SetNamespace(home)
		}
		s.add(typed)
	}
	if len(wrong) > 0 {
		return Surroundings{}, report(wrong)
	}
	for _, w := range f.Workloads {
		if w.Namespace == "" {
			w.Namespace = home
		}
		if w.Kind != "ServiceAccount" && !w.Controlled && !w.ended() {
			s.Workloads = append(s.Workloads, w)
		}
	}
	return s, nil
}

func (w *Workload) ended() bool { return w.Phase == corev1.PodSucceeded || w.Phase == corev1.PodFailed }

// listed are the workloads of a cluster. A ServiceAccount has no pods of its own.
var listed = []schema.GroupVersionKind{
	{Version: "v1", Kind: "Pod"},
	{Version: "v1", Kind: "ReplicationController"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "batch", Version: "v1", Kind: "CronJob"},
}

// SurroundingsOf a cluster. Any error is an error of the whole: what may not be read must not look like what is not there.
func SurroundingsOf(ctx context.Context, reader client.Reader) (Surroundings, error) {
	s := Surroundings{Namespaces: map[string]map[string]string{}}
	var (
		services   corev1.ServiceList
		policies   networkingv1.NetworkPolicyList
		namespaces = metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}}
	)
	for _, list := range []struct {
		of   string
		into client.ObjectList
	}{{"Namespaces", &namespaces}, {"Services", &services}, {"NetworkPolicies", &policies}} {
		if err := reader.List(ctx, list.into); err != nil {
			return Surroundings{}, fmt.Errorf("list %s: %w", list.of, err)
		}
	}
	for i := range namespaces.Items {
		s.Namespaces[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	s.Services, s.Policies = pointers(services.Items), pointers(policies.Items)

	for _, kind := range listed {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		if err := reader.List(ctx, list); err != nil {
			return Surroundings{}, fmt.Errorf("list %ss: %w", kind.Kind, err)
		}
		for i := range list.Items {
			if madeByListed(&list.Items[i]) {
				continue
			}
			w, _, err := WorkloadOf(list.Items[i].Object)
			if err != nil {
				return Surroundings{}, errors.Join(fmt.Errorf("read %s %s/%s", kind.Kind, list.Items[i].GetNamespace(), list.Items[i].GetName()), err)
			}
			if !w.ended() {
				s.Workloads = append(s.Workloads, w)
			}
		}
	}
	return s, nil
}

// madeByListed says whether an object is made by another that is read too. The pods of other operators' kinds are not.
func madeByListed(object *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(object)
	if owner == nil {
		return false
	}
	_, read := workloadKinds[schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind).GroupKind()]
	return read
}
