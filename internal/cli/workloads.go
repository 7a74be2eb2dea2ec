package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/gather"
)

// subjects are the kinds that can be asked about, by the names that kubectl knows them by.
var subjects = []struct {
	kind  schema.GroupVersionKind
	names []string // the first is the full one
}{
	{schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, []string{"pod", "pods", "po"}},
	{schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, []string{"namespace", "namespaces", "ns"}},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, []string{"deployment", "deployments", "deploy"}},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, []string{"statefulset", "statefulsets", "sts"}},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}, []string{"daemonset", "daemonsets", "ds"}},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"}, []string{"replicaset", "replicasets", "rs"}},
	{schema.GroupVersionKind{Version: "v1", Kind: "ReplicationController"}, []string{"replicationcontroller", "replicationcontrollers", "rc"}},
	{schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"}, []string{"job", "jobs"}},
	{schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "CronJob"}, []string{"cronjob", "cronjobs", "cj"}},
	{schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, []string{"serviceaccount", "serviceaccounts", "sa"}},
}

// parseSubject reads [KIND/]NAME.
func parseSubject(text string) (kind, name string, err error) {
	kind, name, found := strings.Cut(text, "/")
	if !found {
		kind, name = "pod", text
	}
	resource, _, _ := strings.Cut(strings.ToLower(kind), ".") // deployments.apps
	if name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q is not [KIND/]NAME", text)
	}
	var known []string
	for _, s := range subjects {
		if slices.Contains(s.names, resource) {
			return s.kind.Kind, name, nil
		}
		known = append(known, s.names[0])
	}
	return "", "", fmt.Errorf("%q is no kind that has pods; it is one of %s", kind, strings.Join(known, ", "))
}

// workloadNamespace is that of the workload: kubectl's own with a cluster, and that of an object without one in a file.
func (s *source) workloadNamespace() (string, error) {
	if s.offline() && *s.kube.Namespace == "" {
		return "", nil // any
	}
	return s.namespace()
}

// workload looks for one in the files, or in the cluster.
func (s *source) workload(ctx context.Context, files *gather.Files, kind, namespace, name string) (gather.Workload, error) {
	if files != nil {
		return workloadOfFiles(files, kind, namespace, name)
	}
	reader, err := s.client()
	if err != nil {
		return gather.Workload{}, err
	}
	object := &unstructured.Unstructured{}
	for _, subject := range subjects {
		if subject.kind.Kind == kind {
			object.SetGroupVersionKind(subject.kind)
		}
	}
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object); err != nil {
		return gather.Workload{}, fmt.Errorf("read %s %s/%s: %w", kind, namespace, name, err)
	}
	workload, _, err := gather.WorkloadOf(object.Object)
	return workload, err
}

func workloadOfFiles(files *gather.Files, kind, namespace, name string) (gather.Workload, error) {
	var found []gather.Workload
	for _, w := range files.Workloads {
		if w.Kind == kind && w.Name == name && (namespace == "" || w.Namespace == namespace || w.Namespace == "") {
			if w.Namespace == "" { // kubectl would apply it there
				w.Namespace = namespace
			}
			found = append(found, w)
		}
	}
	switch {
	case len(found) == 0 && namespace != "":
		return gather.Workload{}, fmt.Errorf("there is no %s %s/%s in the files", kind, namespace, name)
	case len(found) == 0:
		return gather.Workload{}, fmt.Errorf("there is no %s %s in the files", kind, name)
	case len(found) > 1 && found[0].Namespace != found[1].Namespace:
		return gather.Workload{}, fmt.Errorf("%s %s is in several namespaces of the files; name one with --namespace", kind, name)
	case found[0].Namespace == "":
		return gather.Workload{}, fmt.Errorf("%s %s names no namespace; name it with --namespace", kind, name)
	}
	return found[0], nil
}

// declaringPods are the pods of the cluster that declare a purpose and have not ended, sorted by namespace and name.
func declaringPods(ctx context.Context, reader client.Reader) ([]gather.Workload, error) {
	list := &corev1.PodList{}
	if err := reader.List(ctx, list, client.HasLabels{v1alpha1.LabelPurpose}); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	pods := []gather.Workload{}
	for i := range list.Items {
		pod := &list.Items[i]
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		pods = append(pods, gather.Workload{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, Spec: pod.Spec, Phase: pod.Status.Phase})
	}
	sortWorkloads(pods)
	return pods, nil
}

func sortWorkloads(list []gather.Workload) {
	slices.SortFunc(list, func(a, b gather.Workload) int { return strings.Compare(a.String(), b.String()) })
}

// workloads are the pods of the cluster, or what makes pods in the files, that declare a purpose. Whoever may not list pods is
// told so, and gets nil: none is another answer.
func (s *source) workloads(ctx context.Context, files *gather.Files) ([]gather.Workload, error) {
	if files == nil {
		reader, err := s.client()
		if err != nil {
			return nil, err
		}
		pods, err := declaringPods(ctx, reader)
		if apierrors.IsForbidden(err) { // what is granted does not depend on them
			fmt.Fprintln(s.streams.ErrOut, "warning: the answer goes without running pods, for which one has to have the verb list on pods in all namespaces:", err)
			return nil, nil
		}
		return pods, err
	}
	found := []gather.Workload{}
	for _, w := range files.Workloads {
		if purpose, _, _, _ := w.Declares(); purpose != "" && w.Kind != "ServiceAccount" {
			found = append(found, w)
		}
	}
	sortWorkloads(found)
	return found, nil
}
