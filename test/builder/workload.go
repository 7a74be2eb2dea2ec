package builder

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// Namespace makes a namespace as the API server would, with the label that carries its name.
func Namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{corev1.LabelMetadataName: name},
	}}
}

// PodBuilder builds a Pod.
type PodBuilder struct{ obj corev1.Pod }

// Pod starts a pod of one container that declares nothing.
func Pod(namespace, name string) *PodBuilder {
	return &PodBuilder{corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.example.com/app:1"}}},
	}}
}

// Obj returns what was built.
func (b *PodBuilder) Obj() *corev1.Pod { return b.obj.DeepCopy() }

// Template returns what was built as the template of a workload, without a deadline: most workloads take none.
func (b *PodBuilder) Template() corev1.PodTemplateSpec {
	pod := b.obj.DeepCopy()
	pod.Spec.ActiveDeadlineSeconds = nil
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: pod.Labels}, Spec: pod.Spec}
}

// Purpose declares a purpose.
func (b *PodBuilder) Purpose(name string) *PodBuilder { return b.Label(v1alpha1.LabelPurpose, name) }

// Entrustment declares the entrustment acted under.
func (b *PodBuilder) Entrustment(name string) *PodBuilder {
	return b.Label(v1alpha1.LabelEntrustment, name)
}

// Deadline lets the pod be active for so many seconds at most.
func (b *PodBuilder) Deadline(seconds int64) *PodBuilder {
	b.obj.Spec.ActiveDeadlineSeconds = &seconds
	return b
}

// Label sets a label.
func (b *PodBuilder) Label(key, value string) *PodBuilder {
	b.obj.Labels[key] = value
	return b
}

// EnvFromSecret lets the container take its environment from a Secret.
func (b *PodBuilder) EnvFromSecret(name string) *PodBuilder {
	c := &b.obj.Spec.Containers[0]
	c.EnvFrom = append(c.EnvFrom, corev1.EnvFromSource{
		SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}},
	})
	return b
}

// Running puts the pod on a node with an address.
func (b *PodBuilder) Running(ip string) *PodBuilder {
	b.obj.Spec.NodeName = "node"
	b.obj.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	return b
}

// With changes what has no method of its own.
func (b *PodBuilder) With(change func(*corev1.Pod)) *PodBuilder {
	change(&b.obj)
	return b
}
