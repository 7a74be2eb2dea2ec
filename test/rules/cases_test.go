package rules

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// try is one request and, if it is to be refused, what the refusal says.
type try struct {
	name    string
	attempt func(context.Context, client.Client) error
	says    string
}

func creates(object client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Create(ctx, object.DeepCopyObject().(client.Object))
	}
}

func deletes(object client.Object) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.Delete(ctx, object.DeepCopyObject().(client.Object))
	}
}

// ways by which an object can be changed. Applying does not take away what it does not name.
var ways = []string{"update", "merge patch", "JSON patch", "strategic patch", "apply"}

// changes returns one try for each way. The subresource may be empty.
func changes[O client.Object](name, says string, object O, subresource string, edit func(O), without ...string) []try {
	var tries []try
	for _, way := range ways {
		skip := false
		for _, w := range without {
			skip = skip || w == way
		}
		if skip {
			continue
		}
		tries = append(tries, try{name + " by " + way, func(ctx context.Context, c client.Client) error {
			before := object.DeepCopyObject().(O)
			if err := c.Get(ctx, client.ObjectKeyFromObject(object), before); err != nil {
				return err
			}
			after := before.DeepCopyObject().(O)
			edit(after)
			return change(ctx, c, way, subresource, before, after)
		}, says})
	}
	return tries
}

func change(ctx context.Context, c client.Client, way, subresource string, before, after client.Object) error {
	switch way {
	case "update":
		if subresource != "" {
			return c.SubResource(subresource).Update(ctx, after)
		}
		return c.Update(ctx, after)
	case "apply":
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(after)
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{Object: content}
		kind, err := c.GroupVersionKindFor(after)
		if err != nil {
			return err
		}
		object.SetGroupVersionKind(kind)
		object.SetManagedFields(nil)
		object.SetResourceVersion("")
		configuration := client.ApplyConfigurationFromUnstructured(object)
		if subresource != "" {
			return c.SubResource(subresource).Apply(ctx, configuration, client.FieldOwner("somebody"), client.ForceOwnership)
		}
		return c.Apply(ctx, configuration, client.FieldOwner("somebody"), client.ForceOwnership)
	}
	patch, err := patchFor(way, before, after)
	if err != nil {
		return err
	}
	if subresource != "" {
		return c.SubResource(subresource).Patch(ctx, after, patch)
	}
	return c.Patch(ctx, after, patch)
}

func patchFor(way string, before, after client.Object) (client.Patch, error) {
	switch way {
	case "merge patch":
		return client.MergeFrom(before), nil
	case "strategic patch":
		return client.StrategicMergeFrom(before), nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(after)
	if err != nil {
		return nil, err
	}
	var operations []map[string]any
	for key, value := range content {
		if key != "apiVersion" && key != "kind" {
			operations = append(operations, map[string]any{"op": "add", "path": "/" + key, "value": value})
		}
	}
	text, err := json.Marshal(operations)
	return client.RawPatch(types.JSONPatchType, text), err
}

func policy(namespace, name string, labels map[string]string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}
}

func secret(namespace, name string, labels map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Data: map[string][]byte{"password": []byte("x")},
	}
}

func roleBinding(namespace, name string, labels map[string]string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "default"}},
	}
}

func binding(name string, labels, annotations map[string]string) *corev1.Binding {
	return &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bound", Name: name, Labels: labels, Annotations: annotations},
		Target:     corev1.ObjectReference{Kind: "Node", Name: "node"},
	}
}

// binds a pod by its subresource.
func binds(pod string, b *corev1.Binding) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		return c.SubResource("binding").Create(ctx, ordinary(pod).Obj(), b.DeepCopy())
	}
}

func with(pod *builder.PodBuilder, edit func(*corev1.Pod)) *corev1.Pod {
	obj := pod.Obj()
	edit(obj)
	return obj
}

// refusals are what each rule is there for: any of them succeeds only if the rule is gone.
// missing is what the API server says of a rule without its parameter.
const missing = "no params found"

func refusals() map[string][]try {
	all := map[string][]try{}
	add := func(rule string, tries ...try) { all[rule] = append(all[rule], tries...) }
	create := func(rule, name, says string, object client.Object) { add(rule, try{name, creates(object), says}) }

	addCredentials(add)

	// grants
	const ungranted = "is not granted to namespace"
	for name, pod := range map[string]*builder.PodBuilder{
		"a purpose without a grant":                builder.Pod("bound", "x").Purpose("marketing"),
		"an empty purpose":                         builder.Pod("bound", "x").Purpose(""),
		"an entrustment without a grant":           builder.Pod("bound", "x").Purpose("billing").Entrustment("credit"),
		"an empty entrustment":                     builder.Pod("bound", "x").Purpose("billing").Entrustment(""),
		"the purpose of one grant under another's": builder.Pod("bound", "x").Purpose("lasting").Entrustment("fees"),
		"a grant that has ended":                   builder.Pod("bound", "x").Purpose("ended"),
	} {
		create("grants.entrustment.dev", name, ungranted, pod.Obj())
	}
	create("grants.entrustment.dev", "a creation time in the past", ungranted, with(builder.Pod("bound", "x").Purpose("ended"), func(p *corev1.Pod) {
		p.CreationTimestamp = metav1.Unix(0, 0)
	}))
	create("grants.entrustment.dev", "a namespace without grants", missing, builder.Pod("unbound", "x").Purpose("billing").Obj())
	create("purposeless.entrustment.dev", "an entrustment without a purpose", "has to declare a purpose", builder.Pod("bound", "x").Entrustment("fees").Obj())

	// labels
	const immutable = "are immutable"
	relabel := func(name string, pod *corev1.Pod, edit func(*corev1.Pod), without ...string) {
		rule := "labels.entrustment.dev"
		if name == "an entrustment that was not declared" {
			rule = "labels-entrustment.entrustment.dev" // an ordinary pod has no other label that a selector could know it by
		}
		for _, sub := range []string{"", "status"} {
			add(rule, changes(fmt.Sprintf("%s at %q", name, sub), immutable, pod, sub, edit, without...)...)
		}
	}
	pod, plain := declaring("declaring").Obj(), ordinary("ordinary").Obj()
	label := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, key, value) }
	}
	unlabel := func(key string) func(*corev1.Pod) { return func(p *corev1.Pod) { delete(p.Labels, key) } }
	relabel("another purpose", pod, label(v1alpha1.LabelPurpose, "marketing"))
	relabel("another entrustment", pod, label(v1alpha1.LabelEntrustment, "credit"))
	relabel("an empty entrustment", pod, label(v1alpha1.LabelEntrustment, ""))
	relabel("a purpose that was not declared", plain, label(v1alpha1.LabelPurpose, "billing"))
	relabel("an entrustment that was not declared", plain, label(v1alpha1.LabelEntrustment, "fees"))
	relabel("an empty purpose that was not declared", plain, label(v1alpha1.LabelPurpose, ""))
	relabel("no purpose", pod, unlabel(v1alpha1.LabelPurpose), "apply")
	relabel("no entrustment", pod, unlabel(v1alpha1.LabelEntrustment), "apply")
	relabel("no labels", pod, func(p *corev1.Pod) { p.Labels = nil }, "apply")
	debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug"}}
	for _, key := range []string{v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment} {
		labels := map[string]string{key: "billing"}
		add("labels-bindings.entrustment.dev", try{"a binding with " + key, binds("ordinary", binding("ordinary", labels, nil)), "a binding must not carry"},
			try{"a legacy binding with " + key, creates(binding("ordinary", labels, nil)), "a binding must not carry"})
	}
	add("labels-bindings.entrustment.dev", try{"a binding that adds a network",
		binds("declaring", binding("declaring", nil, map[string]string{"k8s.v1.cni.cncf.io/networks": "lan"})), "a binding must not carry an annotation"})

	// confinement
	const confined = "a pod that declares a purpose must not"
	always := corev1.ContainerRestartPolicyAlways
	for name, edit := range map[string]func(*corev1.Pod){
		"the host's network":   func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"the host's processes": func(p *corev1.Pod) { p.Spec.HostPID = true },
		"the host's IPC":       func(p *corev1.Pod) { p.Spec.HostIPC = true },
		"a host port": func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
		},
		"a privileged container": func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
		},
		"a chosen node":    func(p *corev1.Pod) { p.Spec.NodeName = "node" },
		"a second network": func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, "k8s.v1.cni.cncf.io/networks", "lan") },
		"another default network": func(p *corev1.Pod) {
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, "v1.multus-cni.io/default-network", "lan")
		},
		"a privileged first container": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init", SecurityContext: &corev1.SecurityContext{Privileged: ptr.To(true)}}}
		},
		"a host port of a sidecar": func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init", RestartPolicy: &always, Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}}}
		},
	} {
		create("confinement.entrustment.dev", name, confined, with(declaring("x"), edit))
	}
	create("confinement-entrustment.entrustment.dev", "the host's network without a purpose", confined, with(builder.Pod("reporting", "x").Entrustment("fees"), func(p *corev1.Pod) {
		p.Spec.HostNetwork = true
	}))
	create("confinement.entrustment.dev", "a mirror pod", "must not be a mirror pod", with(declaring("x"), func(p *corev1.Pod) {
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, corev1.MirrorPodAnnotationKey, "x")
		p.Spec.NodeName = "node"
	}))
	add("confinement.entrustment.dev", changes("another image", "the images of a pod", pod, "", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "other" })...)
	for _, sub := range []string{"", "status"} {
		add("confinement.entrustment.dev", changes(fmt.Sprintf("a second network later at %q", sub), confined+" ask for a second network", pod, sub, func(p *corev1.Pod) {
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, "k8s.v1.cni.cncf.io/networks", "lan")
		})...)
	}

	// managed objects
	const alone = "written by it alone"
	managedRule := func(tries ...try) { add("managed.entrustment.dev", tries...) }
	own := policy("bound", "pds.archive", managed)
	managedRule(
		try{"deleting a policy", deletes(own), alone},
		try{"deleting policies", func(ctx context.Context, c client.Client) error {
			return c.DeleteAllOf(ctx, &networkingv1.NetworkPolicy{}, client.InNamespace("bound"), client.MatchingLabels(managed))
		}, alone},
		try{"making a policy in its name", creates(policy("bound", "x", managed)), alone},
		try{"making a delivered Secret", creates(secret("bound", "pds.x", nil)), alone},
		try{"making a delivered Secret by a generated name", creates(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "bound", GenerateName: "pds.x"}}), alone},
		try{"making a Secret in its name", creates(secret("bound", "x", managed)), alone},
		try{"deleting a delivered Secret", deletes(secret("bound", "pds.data.orders.reader", nil)), alone},
		try{"deleting a Secret of its", deletes(secret("bound", "labelled", nil)), alone},
		try{"making a role binding in its name", creates(roleBinding("bound", "x", managed)), alone},
		try{"deleting a role binding", deletes(roleBinding("bound", "readers", nil)), alone},
		try{"making grants", creates(builder.Access("unbound").Grant("billing", "").Obj()), alone},
		try{"deleting grants", deletes(builder.Access("bound").Obj()), alone},
		try{"deleting all grants", func(ctx context.Context, c client.Client) error {
			return c.DeleteAllOf(ctx, &v1alpha1.PersonalDataAccess{}, client.InNamespace("bound"))
		}, alone},
	)
	managedRule(changes("opening a policy", alone, own, "", func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
	})...)
	managedRule(changes("taking its label away", alone, own, "", func(p *networkingv1.NetworkPolicy) { p.Labels = nil }, "apply")...)
	managedRule(changes("hanging it on a dead owner", alone, own, "", func(p *networkingv1.NetworkPolicy) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "dead", UID: "dead"}}
	})...)
	managedRule(changes("annotating it", alone, own, "", func(p *networkingv1.NetworkPolicy) {
		metav1.SetMetaDataAnnotation(&p.ObjectMeta, "note", "x")
	})...)
	managedRule(changes("adopting a foreign policy in its name", alone, policy("bound", "foreign", nil), "", func(p *networkingv1.NetworkPolicy) { p.Labels = managed })...)
	managedRule(changes("changing a Secret", alone, secret("bound", "pds.data.orders.reader", nil), "", func(s *corev1.Secret) { s.Data["password"] = []byte("y") })...)
	managedRule(changes("relabelling a Secret", alone, secret("bound", "labelled", nil), "", func(s *corev1.Secret) { s.Labels = nil }, "apply")...)
	managedRule(changes("adding a reader", alone, roleBinding("bound", "readers", nil), "", func(b *rbacv1.RoleBinding) {
		b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"})
	})...)
	managedRule(changes("granting more", alone, builder.Access("bound").Obj(), "", func(a *v1alpha1.PersonalDataAccess) {
		a.Grants = append(a.Grants, v1alpha1.Grant{Purpose: "marketing"})
	}, "strategic patch")...)

	// finalizers and status
	const finalizers = "added and removed by entrustment-operator alone"
	store, purpose := builder.Store("bound", "orders").Obj(), builder.Purpose("billing").Obj()
	add("finalizers.entrustment.dev", changes("taking the finalizer away", finalizers, store, "", func(s *v1alpha1.PersonalDataStore) {
		s.Finalizers = nil
	}, "apply", "strategic patch")...)
	add("finalizers.entrustment.dev", changes("adding a finalizer", finalizers, purpose, "", func(p *v1alpha1.Purpose) {
		p.Finalizers = append(p.Finalizers, "entrustment.dev/anything")
	}, "strategic patch")...)
	born := builder.Purpose("born").Obj()
	born.Finalizers = []string{"entrustment.dev/anything"}
	create("finalizers.entrustment.dev", "being born with a finalizer", finalizers, born)
	add("status.entrustment.dev", changes("a status", "status is written by", purpose, "status", func(p *v1alpha1.Purpose) {
		p.Status.StoreCount = 9
	}, "strategic patch")...)
	add("status.entrustment.dev", changes("the status of a store", "status is written by", store, "status", func(s *v1alpha1.PersonalDataStore) {
		s.Status.GrantCount = 9
	}, "strategic patch")...)

	// A namespace that goes while one of its stores stays.
	add("stores.entrustment.dev", try{"deleting the policy of a store with its namespace", func(ctx context.Context, _ client.Client) error {
		return namespacer.Delete(ctx, policy("closing", "pds.orders", nil), client.DryRunAll) // whoever asks
	}, "goes after the last pod of the store"})

	// Secrets
	for path, edit := range references() {
		create("secrets.entrustment.dev", path, "must not reference a Secret named pds.*", with(ordinary("x"), edit("pds.data.orders.reader")))
	}
	debug.Env = []corev1.EnvVar{{Name: "password", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secretKey("pds.x")}}}
	add("secrets.entrustment.dev", changes("an ephemeral container", "must not reference a Secret named pds.*", plain, "ephemeralcontainers", func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	}, "apply", "JSON patch")...)
	return all
}

func secretKey(name string) *corev1.SecretKeySelector {
	return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "password"}
}

// references are the ways by which the spec of a new pod names a Secret.
func references() map[string]func(name string) func(*corev1.Pod) {
	ref := func(name string) *corev1.LocalObjectReference { return &corev1.LocalObjectReference{Name: name} }
	container := func(edit func(c *corev1.Container, name string)) func(string) func(*corev1.Pod) {
		return func(name string) func(*corev1.Pod) {
			return func(p *corev1.Pod) { edit(&p.Spec.Containers[0], name) }
		}
	}
	first := func(edit func(c *corev1.Container, name string)) func(string) func(*corev1.Pod) {
		return func(name string) func(*corev1.Pod) {
			return func(p *corev1.Pod) {
				p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init"}}
				edit(&p.Spec.InitContainers[0], name)
			}
		}
	}
	volume := func(source func(name string) corev1.VolumeSource) func(string) func(*corev1.Pod) {
		return func(name string) func(*corev1.Pod) {
			return func(p *corev1.Pod) { p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: source(name)}} }
		}
	}
	env := func(c *corev1.Container, name string) {
		c.Env = []corev1.EnvVar{{Name: "a", Value: "b"}, {Name: "password", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secretKey(name)}}}
	}
	envFrom := func(c *corev1.Container, name string) {
		c.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: *ref(name)}}}
	}
	return map[string]func(string) func(*corev1.Pod){
		"env": container(env), "envFrom": container(envFrom), "env of an init container": first(env), "envFrom of an init container": first(envFrom),
		"imagePullSecrets": func(name string) func(*corev1.Pod) {
			return func(p *corev1.Pod) { p.Spec.ImagePullSecrets = []corev1.LocalObjectReference{*ref(name)} }
		},
		"secret": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: n}}
		}),
		"projected": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: *ref("other")}}, {Secret: &corev1.SecretProjection{LocalObjectReference: *ref(n)}}}}}
		}),
		"csi": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example.com", NodePublishSecretRef: ref(n)}}
		}),
		"azureFile": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: n, ShareName: "x"}}
		}),
		"cephfs": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{Monitors: []string{"x"}, SecretRef: ref(n)}}
		}),
		"cinder": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{VolumeID: "x", SecretRef: ref(n)}}
		}),
		"iscsi": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{TargetPortal: "192.0.2.1", IQN: "iqn.2026-11.com.example:x", SessionCHAPAuth: true, SecretRef: ref(n)}}
		}),
		"flexVolume": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "example.com/x", SecretRef: ref(n)}}
		}),
		"rbd": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{CephMonitors: []string{"x"}, RBDImage: "x", SecretRef: ref(n)}}
		}),
		"scaleIO": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{Gateway: "x", System: "x", VolumeName: "x", SecretRef: ref(n)}}
		}),
		"storageos": volume(func(n string) corev1.VolumeSource {
			return corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{VolumeName: "x", SecretRef: ref(n)}}
		}),
	}
}
