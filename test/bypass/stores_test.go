package bypass

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The rules on the namespace of a store, and the webhook that knows the addresses of its pods.
const (
	storeTemplates   = "store-confinement-templates.entrustment.dev" // a binding of its own
	storePods        = "store-pods.entrustment.dev"
	storeVolumes     = "store-volumes.entrustment.dev"
	storeConfinement = "store-confinement.entrustment.dev"
	storeRoutes      = "store-routes.entrustment.dev"
	storePolicies    = "store-policies.entrustment.dev"
	egressPolicies   = "egress-policies.entrustment.dev" // in a bound namespace
	endpointsHook    = "endpoints.admission.entrustment.dev"
)

// storeAddress is that of the store's pod.
const storeAddress = "10.99.0.7"

// storeVectors are N1, N5, N8, N9 and N10 in the namespace of a store, and N16 in a bound one.
var storeVectors = slices.Concat(becoming, mounting, unconfined, routing, opening)

// selected has the labels of the store's pods.
var selected = map[string]string{"app": "orders"}

// workloads are all kinds that make pods of a template, each never run.
func workloads(namespace string, template corev1.PodTemplateSpec) []client.Object {
	selector := &metav1.LabelSelector{MatchLabels: template.Labels}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "x"}
	none := ptr.To[int32](0)
	job := *template.DeepCopy()
	job.Spec.RestartPolicy = corev1.RestartPolicyNever
	return []client.Object{
		&appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Replicas: none, Selector: selector, Template: template}},
		&appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Replicas: none, Selector: selector, Template: template}},
		&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Replicas: none, Selector: selector, Template: template}},
		&appsv1.DaemonSet{ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}},
		&batchv1.Job{ObjectMeta: meta, Spec: batchv1.JobSpec{Suspend: ptr.To(true), Template: job}},
		&batchv1.CronJob{ObjectMeta: meta, Spec: batchv1.CronJobSpec{Suspend: ptr.To(true), Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: job}}}},
		&corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Replicas: none, Selector: template.Labels, Template: &template}},
		&corev1.PodTemplate{ObjectMeta: meta, Template: template},
	}
}

// templater is who may write that kind: the stock roles leave out a template that nothing runs.
func templater(workload client.Object) actor {
	if _, template := workload.(*corev1.PodTemplate); template {
		return platform
	}
	return editor
}

var becoming = func() []vector {
	becomes := guard(storePods, "orders")
	tool := ordinary("data", "tool")
	all := []vector{
		{"N8.01 make a pod of the store", editor, creates(builder.Pod("data", "x").Label("app", "orders").Obj()), unseen, becomes},
		{"N8.02 make one under a generated name", editor, posts(edited(builder.Pod("data", "").Label("app", "orders").Obj(), func(p *corev1.Pod) { p.GenerateName = "x-" })), unseen, becomes},
		{"N8.03 turn a pod into one of the store", editor, changes(tool, label("app", "orders")), unseen, becomes},
		{"N8.04 turn a pod into one of the store by status", node, changesAt("status", tool, label("app", "orders")), unseen, becomes},
		{"N8.05 turn a pod into one of the store by a binding", scheduler, binds("data", "tool", corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: selected}}), unseen, guard(storePods, "a binding must not carry labels of PersonalDataStore")},
		{"N8.06 swap the image of a pod of the store", editor, changes(storePod("data"), first(func(c *corev1.Container) { c.Image = "other" })), unseen, becomes},
		{"N8.07 make a pod of the store as the platform", platform, creates(builder.Pod("data", "x").Label("app", "orders").Obj()), unseen, becomes},
		{"N8.08 claim to be made by a workload", editor, posts(edited(builder.Pod("data", "x").Label("app", "orders").Obj(), func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "x", UID: "x", Controller: ptr.To(true)}}
		})), unseen, becomes},
		{"N8.10 take a pod out of the store, and of its policy", editor, changes(storePod("data"), label("app", "free")), unseen, becomes},
		{"N8.11 take a pod out of the store by status", node, changesAt("status", storePod("data"), label("app", "free")), unseen, becomes},
		{"N8.12 let a controller give the last label of the store", editor, creates(workloads("data", builder.Pod("data", "").Label("app", "index").Template())[2]), unseen, guard(storePods, "numbered")},
		{"P8.09 take a pod out of the store, as its owner", owner, changes(storePod("data"), label("app", "free")), unseen, admitted},
		{"P8.01 a pod of the store, as its owner", owner, creates(builder.Pod("data", "x").Label("app", "orders").Obj()), unseen, admitted},
		{"P8.02 a pod of the store, as a workload controller", replicator, posts(builder.Pod("data", "x").Label("app", "orders").Obj()), unseen, admitted},
		{"P8.03 a pod like the store's in another namespace", editor, creates(builder.Pod("unbound", "x").Label("app", "orders").Obj()), unseen, admitted},
		{"P8.04 another image, as its owner", owner, changes(storePod("data"), first(func(c *corev1.Container) { c.Image = "other" })), unseen, admitted},
		{"P8.05 the kubelet's status of a pod of the store", node, changesAt("status", storePod("data"), func(p *corev1.Pod) { p.Status.Message = "x" }), unseen, admitted},
		{"P8.06 a node for a pod of the store", scheduler, binds("data", "orders-0", corev1.Binding{}), unseen, admitted},
		{"P8.07 delete a pod of the store", editor, deletes(storePod("data")), unseen, admitted},
	}
	kinds := workloads("data", builder.Pod("data", "").Label("app", "orders").Template())
	for i, workload := range kinds {
		all = append(all,
			vector{fmt.Sprintf("N8.%02d template pods of the store in a %T", i+20, workload), templater(workload), creates(workload), unseen, becomes},
			vector{fmt.Sprintf("P8.%02d template pods of the store in a %T, as the cluster's administrator", i+20, workload), root, creates(workload), unseen, admitted})
	}
	return all
}()

var mounting = func() []vector {
	mounted := builder.Pod("data", "x").Label("tier", "web").With(func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "orders-0"}}}}
	})
	claim := func(edit func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
		return edited(&corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "x"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		}}, edit)
	}
	source := func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: "PersistentVolumeClaim", Name: "orders-0"}
	}
	sourceRef := func(c *corev1.PersistentVolumeClaim) {
		c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: ptr.To("snapshot.storage.k8s.io"), Kind: "VolumeSnapshot", Name: "orders-0"}
	}
	set := workloads("data", builder.Pod("data", "").Label("tier", "web").Template())[2].(*appsv1.StatefulSet)
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*claim(func(c *corev1.PersistentVolumeClaim) { c.Namespace = "" })}
	mounts := guard(storeVolumes, "")
	all := []vector{
		{"N8.40 mount a claim of the store's namespace", editor, creates(mounted.Obj()), unseen, mounts},
		{"N8.41 mount a claim by the template of a claim", editor, creates(set), unseen, mounts},
		{"N8.42 clone a claim", editor, creates(claim(source)), unseen, mounts},
		{"N8.43 restore a snapshot", editor, creates(claim(sourceRef)), unseen, mounts},
		{"N8.44 mount a claim for a moment", editor, creates(builder.Pod("data", "x").With(func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{
				VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim(source).Spec}}}}}
		}).Obj()), unseen, mounts},
		{"P8.40 mount a claim as the store's owner", owner, creates(mounted.Obj()), unseen, admitted},
		{"P8.41 mount a claim as a workload controller", replicator, posts(mounted.Obj()), unseen, admitted},
		{"P8.42 mount a claim elsewhere", editor, creates(edited(mounted.Obj(), func(p *corev1.Pod) { p.Namespace = "unbound" })), unseen, admitted},
		{"P8.43 claim an empty volume", editor, creates(claim(func(*corev1.PersistentVolumeClaim) {})), unseen, admitted},
		{"P8.44 clone a claim as the store's owner", owner, creates(claim(source)), unseen, admitted},
	}
	for i, workload := range workloads("data", mounted.Template()) {
		all = append(all, vector{fmt.Sprintf("N8.%02d template pods that mount a claim in a %T", i+50, workload), templater(workload), creates(workload), unseen, mounts})
	}
	return all
}()

// there is what was made before the rules.
func there(object client.Object) []try {
	return []try{{byPost, func(ctx context.Context, _ session) error {
		return admin.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
	}}}
}

var unconfined = func() []vector {
	var all []vector
	for i, way := range onHost {
		all = append(all, vector{fmt.Sprintf("N5.%02d stand in the store's namespace, with %s", i+40, way.what), editor,
			creates(edited(ordinary("data", "x"), way.edit)), unseen, guard(storeConfinement, "")})
	}
	for i, key := range networks {
		all = append(all, vector{fmt.Sprintf("N10.%02d stand in the store's namespace, with a second network by %s", i+40, key), editor,
			creates(edited(ordinary("data", "x"), annotate(key, "lan"))), unseen, guard(storeConfinement, "")})
	}
	for i, workload := range workloads("data", builder.Pod("data", "").Label("tier", "web").With(func(p *corev1.Pod) { p.Spec.HostNetwork = true }).Template())[:7] {
		all = append(all, vector{fmt.Sprintf("A3.%02d template a pod on the host in the store's namespace in a %T", i+31, workload), editor,
			creates(workload), unseen, verdict{warns, storeTemplates, "must not use hostNetwork"}})
	}
	return append(all,
		vector{"N5.70 have run a store on the host before there were rules", editor, there(hosted), unseen, shown(string(v1alpha1.ReasonHostNetworkPods))},
		vector{"N5.60 stand in the store's namespace by a mirror pod", node, posts(edited(ordinary("data", "x"), func(p *corev1.Pod) {
			annotate(corev1.MirrorPodAnnotationKey, "x")(p)
			p.Spec.NodeName = "node"
		})), unseen, guard(storeConfinement, "")},
		vector{"N10.60 add a network to a pod of the store", editor, changes(storePod("data"), annotate(multus, "lan")), unseen, guard(storeConfinement, "")},
		vector{"N10.61 add a network to a pod of the store by status", node, changesAt("status", storePod("data"), annotate(multus, "lan")), unseen, guard(storeConfinement, "")},
		vector{"N6.50 add an ephemeral container to a pod of the store", platform, changesAt("ephemeralcontainers", storePod("data"), debug, byApply, byJSON), hook(ephemeralHook, "intervene"), guard(storeConfinement, "")},
		vector{"P9.01 intervene by an ephemeral container", rescuer, changesAt("ephemeralcontainers", storePod("data"), debug, byApply, byJSON), hook(ephemeralHook, ""), admitted},
	)
}()

func service(edit func(*corev1.Service)) *corev1.Service {
	return edited(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "x"},
		Spec: corev1.ServiceSpec{Selector: selected, Ports: []corev1.ServicePort{{Port: 5432}}}}, edit)
}

func slice(namespace, address string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x", Labels: map[string]string{discoveryv1.LabelServiceName: "x"}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
		Ports: []discoveryv1.EndpointPort{{Port: ptr.To[int32](5432)}}}
}

func endpoints(namespace, address string) *corev1.Endpoints { //nolint:staticcheck // the way from before the slices is a way
	return &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x"}, Subsets: []corev1.EndpointSubset{ //nolint:staticcheck // likewise
		{Addresses: []corev1.EndpointAddress{{IP: address}}, Ports: []corev1.EndpointPort{{Port: 5432}}}}}
}

var routing = func() []vector {
	routes := guard(storeRoutes, "")
	exact := networkingv1.PathTypePrefix
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "x"}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{
		{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{
			{Path: "/", PathType: &exact, Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "orders", Port: networkingv1.ServiceBackendPort{Number: 5432}}}}}}}}}}}
	kind := func(t corev1.ServiceType) func(*corev1.Service) { return func(s *corev1.Service) { s.Spec.Type = t } }
	named := func(s *corev1.Service) {
		s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}
	}
	nobody := func(s *corev1.Service) { s.Spec.Selector = nil }
	made := service(func(s *corev1.Service) { s.Name = "orders" })
	mine := hook(endpointsHook, "")
	past := hook(endpointsHook, "orders")
	return []vector{
		{"N9.01 open the store at every node's port", editor, creates(service(kind(corev1.ServiceTypeNodePort))), unseen, routes},
		{"N9.02 open the store by a load balancer", editor, creates(service(kind(corev1.ServiceTypeLoadBalancer))), unseen, routes},
		{"N9.03 open the store at an address outside", editor, creates(service(func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.1"} })), unseen, routes},
		{"N9.04 open the store's own Service", editor, changes(made, kind(corev1.ServiceTypeNodePort)), unseen, routes},
		{"N9.05 likewise as the store's owner", owner, changes(made, kind(corev1.ServiceTypeNodePort)), unseen, routes},
		{"N9.15 lead the store's clients elsewhere", editor, changes(made, func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "evil"} }), unseen, routes},
		{"P9.14 lead them elsewhere as the store's owner", owner, changes(made, func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "orders", "role": "primary"} }), unseen, admitted},
		{"N9.06 open pods that may be the store's by another label", editor, creates(service(func(s *corev1.Service) {
			s.Spec.Type, s.Spec.Selector = corev1.ServiceTypeNodePort, map[string]string{"tier": "db"}
		})), unseen, routes},
		{"N9.07 a Service without a selector", editor, creates(service(nobody)), unseen, routes},
		{"N9.08 a Service that is another name", editor, creates(service(named)), unseen, routes},
		{"N9.09 an Ingress in the store's namespace", editor, creates(ingress), unseen, routes},
		{"N9.10 a slice in the store's namespace", network, creates(slice("data", "192.0.2.1")), mine, routes},
		{"N9.11 endpoints in the store's namespace", network, creates(endpoints("data", "192.0.2.1")), mine, routes},
		{"N9.12 a slice elsewhere with the address of the store's pod", network, creates(slice("own", storeAddress)), past, shown(webhookMissing)},
		{"N9.13 endpoints elsewhere with the address of the store's pod", network, creates(endpoints("own", storeAddress)), past, shown(webhookMissing)},
		{"N9.14 a slice as a developer", editor, creates(slice("own", storeAddress)), unseen, forbidden},
		{"P9.10 a Service of the store", editor, creates(service(func(*corev1.Service) {})), unseen, admitted},
		{"P9.11 a Service without a selector, as the store's owner", owner, creates(service(nobody)), unseen, admitted},
		{"P9.12 a node's port of another namespace", editor, creates(edited(service(kind(corev1.ServiceTypeNodePort)), func(s *corev1.Service) { s.Namespace = "unbound" })), unseen, admitted},
		{"P9.13 a slice of the control plane", actor{name: "system:serviceaccount:kube-system:endpointslice-controller"}, posts(slice("data", storeAddress)), unseen, admitted},
	}
}()

var opening = func() []vector {
	from := func(selector metav1.LabelSelector, port int, peers ...networkingv1.NetworkPolicyPeer) *networkingv1.NetworkPolicy {
		return edited(policy("data", "x", nil), func(p *networkingv1.NetworkPolicy) {
			p.Spec.PodSelector = selector
			rule := networkingv1.NetworkPolicyIngressRule{From: peers}
			if port != 0 {
				rule.Ports = []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt(port))}}
			}
			p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{rule}
		})
	}
	pods, everything := metav1.LabelSelector{MatchLabels: selected}, metav1.LabelSelector{}
	anyone := networkingv1.NetworkPolicyPeer{NamespaceSelector: &everything}
	out := func(namespace string, selector metav1.LabelSelector) *networkingv1.NetworkPolicy {
		return edited(policy(namespace, "x", nil), func(p *networkingv1.NetworkPolicy) {
			p.Spec = networkingv1.NetworkPolicySpec{PodSelector: selector, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: []networkingv1.NetworkPolicyEgressRule{{}}}
		})
	}
	opens := guard(storePolicies, "would open PersonalDataStore")
	return []vector{
		{"N1.01 open the store to all", editor, creates(from(pods, 0)), unseen, opens},
		{"N1.02 open the store's port to every namespace", editor, creates(from(pods, 5432, anyone)), unseen, opens},
		{"N1.03 open all pods of the namespace", editor, creates(from(everything, 5432)), unseen, opens},
		{"N1.04 open pods that may be the store's by another label", editor, creates(from(metav1.LabelSelector{MatchLabels: map[string]string{"tier": "db"}}, 5432, anyone)), unseen, opens},
		{"N1.05 open the store to addresses", network, creates(from(pods, 5432, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}})), unseen, opens},
		{"N1.06 open it by a policy that was harmless", editor, changes(policy("data", "foreign", nil), func(p *networkingv1.NetworkPolicy) {
			p.Spec = from(pods, 5432, anyone).Spec
		}, byApply, byStrategic), unseen, opens},
		{"N1.07 likewise as the cluster's administrator", root, creates(from(pods, 0)), unseen, opens},
		{"N1.08 keep today's peers beyond their grants", editor, []try{{"POST", func(ctx context.Context, s session) error {
			live := &networkingv1.NetworkPolicy{}
			if err := admin.Get(ctx, client.ObjectKeyFromObject(isolation), live); err != nil {
				return err
			}
			return s.Create(ctx, edited(policy("data", "copied", nil), func(p *networkingv1.NetworkPolicy) { p.Spec = live.Spec }))
		}}}, unseen, opens},
		{"P9.26 let the store's own pods in once more", editor, creates(from(pods, 5432, networkingv1.NetworkPolicyPeer{PodSelector: &pods})), unseen, admitted},
		{"N16.01 open ways out to entrustees", editor, creates(out("biller", everything)), unseen, guard(egressPolicies, "would open ways out")},
		{"N16.02 open ways out to pods that may be entrustees'", network, creates(out("biller", metav1.LabelSelector{MatchLabels: map[string]string{"tier": "web"}})), unseen, guard(egressPolicies, "would open ways out")},
		{"N16.03 likewise as the cluster's administrator", root, creates(out("own", everything)), unseen, guard(egressPolicies, "would open ways out")},
		{"P9.24 open ways out to pods that act under no contract", editor, creates(out("biller", metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: v1alpha1.LabelEntrustment, Operator: metav1.LabelSelectorOpDoesNotExist}}})), unseen, admitted},
		{"P9.25 open ways out elsewhere", editor, creates(out("unbound", everything)), unseen, admitted},
		{"N1.20 have opened a store before there were rules", editor, there(opener), unseen, shown(string(v1alpha1.ReasonForeignNetworkPolicy))},
		{"P9.20 close all pods", editor, creates(edited(policy("data", "x", nil), func(p *networkingv1.NetworkPolicy) { p.Spec.PodSelector = everything })), unseen, admitted},
		{"P9.21 open another port", editor, creates(from(pods, 9187, anyone)), unseen, admitted},
		{"P9.22 open what is no pod of the store", editor, creates(from(metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, 5432, anyone)), unseen, admitted},
		{"P9.23 open a port elsewhere", editor, creates(edited(from(pods, 5432, anyone), func(p *networkingv1.NetworkPolicy) { p.Namespace = "unbound" })), unseen, admitted},
	}
}()
