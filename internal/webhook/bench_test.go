package webhook_test

import (
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

// realistic is a review of a pod as workload controllers make them: 3.4 KB of JSON.
func realistic(t testing.TB) admission.Request {
	pod := builder.Pod("biller", "").Purpose("billing").Entrustment("fees").Label("app", "invoices").Label("pod-template-hash", "6d4cf56db6").
		With(func(p *corev1.Pod) {
			p.GenerateName = "invoices-6d4cf56db6-"
			p.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-11-23T12:00:00Z", "prometheus.io/scrape": "true", "prometheus.io/port": "8080"}
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "invoices-6d4cf56db6", UID: "7d6a3c3e-7a52-4d8f-8a35-0f3f3a4f5b1c", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true)}}
			p.ManagedFields = []metav1.ManagedFieldsEntry{{
				Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:entrustment.dev/entrustment":{},"f:entrustment.dev/purpose":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"7d6a3c3e-7a52-4d8f-8a35-0f3f3a4f5b1c\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"DATABASE\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}`),
			}}
			container := &p.Spec.Containers[0]
			container.Env = []corev1.EnvVar{{Name: "DATABASE", Value: "ledger.data.svc"}, {Name: "POD", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
			container.Resources = corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: quantity.MustParse("100m"), corev1.ResourceMemory: quantity.MustParse("128Mi")}}
			container.VolumeMounts = []corev1.VolumeMount{{Name: "token", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}, {Name: "config", MountPath: "/etc/app"}}
			probe := corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080), Scheme: corev1.URISchemeHTTP}}, TimeoutSeconds: 1, PeriodSeconds: 10, SuccessThreshold: 1, FailureThreshold: 3}
			container.LivenessProbe, container.ReadinessProbe = &probe, &probe
			container.SecurityContext = &corev1.SecurityContext{RunAsNonRoot: ptr.To(true), AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
			p.Spec.Containers = append(p.Spec.Containers, *container.DeepCopy())
			p.Spec.Containers[1].Name = "proxy"
			p.Spec.Volumes = []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "invoices"}}}},
				{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
					{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3607)}},
					{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}},
				}}}},
			}
			p.Spec.Tolerations = []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)},
			}
		}).Obj()
	encoded := raw(t, pod)
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		UID: types.UID("1"), Namespace: "biller", Operation: admissionv1.Create, Object: encoded, DryRun: ptr.To(false),
	}}
}

func podHandler() admission.Handler {
	snapshot := world()
	return webhook.Pods(snapshots(func() (*entrustment.Snapshot, error) { return snapshot, nil }), at(noon), events.NewFakeRecorder(1))
}

// The budget of one answer. The API server waits for it at every pod that declares something.
func TestPodAllocations(t *testing.T) {
	const budget = 45
	handler, request := podHandler(), realistic(t)
	if !handler.Handle(t.Context(), request).Allowed {
		t.Fatal("the pod is refused")
	}
	if spent := testing.AllocsPerRun(100, func() { handler.Handle(t.Context(), request) }); spent > budget {
		t.Errorf("%v allocations, budget %d", spent, budget)
	}
}

func BenchmarkPods(b *testing.B) {
	handler, request := podHandler(), realistic(b)
	b.ReportAllocs()
	for b.Loop() {
		if !handler.Handle(b.Context(), request).Allowed {
			b.Fatal("the pod is refused")
		}
	}
	b.ReportMetric(float64(len(request.Object.Raw)), "B/pod")
}
