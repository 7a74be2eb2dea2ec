package bypass

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The rules on delivered Secrets, and on those that are to be delivered.
const (
	secretsRule     = "secrets.entrustment.dev"
	grantedSecrets  = "granted-secrets.entrustment.dev"
	secretAccess    = "secret-access.entrustment.dev"
	secretTemplates = "secrets-templates.entrustment.dev"
	credentialsRule = "credentials.entrustment.dev"
)

// secretVectors are S1, S2 and fact 11.
var secretVectors = func() []vector {
	const reserved = "a pod that declares no purpose must not reference a Secret named pds.*"
	var all []vector
	paths := references()
	for i, path := range slices.Sorted(maps.Keys(paths)) {
		all = append(all,
			vector{fmt.Sprintf("S1.%02d take a delivered Secret by %s and declare nothing", i+1, path), editor,
				creates(edited(ordinary("biller", "x"), paths[path](delivered))), unseen, guard(secretsRule, reserved)},
			vector{fmt.Sprintf("S1.%02d take a Secret that the grant does not list by %s", i+61, path), editor,
				creates(edited(declaring("x").Obj(), paths[path]("pds.data.other.reader"))), pods(""),
				guard(grantedSecrets, `Secret pds.data.other.reader is not granted to a pod with purpose "billing" under entrustment "fees" in namespace biller`)},
			vector{fmt.Sprintf("P4.%02d take a Secret of one's own by %s", i+1, path), editor,
				creates(edited(ordinary("biller", "x"), paths[path]("orders"))), unseen, admitted},
			vector{fmt.Sprintf("P5.%02d declare, and take a Secret by %s", i+1, path), editor,
				creates(edited(declaring("x").Obj(), paths[path](delivered))), pods(""), admitted})
	}
	debugging := func(name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			debug(p)
			p.Spec.EphemeralContainers[0].Env = []corev1.EnvVar{{Name: "password", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secretKey(name)}}}
		}
	}
	for i, workload := range workloads("biller", builder.Pod("biller", "").Label("app", "x").EnvFromSecret(delivered).Template())[:7] {
		all = append(all, vector{fmt.Sprintf("A3.%02d template a pod that takes a delivered Secret and declares nothing in a %T", i+41, workload), editor,
			creates(workload), unseen, verdict{warns, secretTemplates, reserved}})
	}
	binds := func(name, account string) *rbacv1.RoleBinding {
		return edited(roleBinding("data", name, nil), func(b *rbacv1.RoleBinding) {
			b.RoleRef.Name = v1alpha1.SecretAccessName
			b.Subjects[0].Namespace, b.Subjects[0].Name = v1alpha1.OperatorNamespace, account
		})
	}
	everywhere := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "x"}, RoleRef: binds("", "").RoleRef, Subjects: binds("", v1alpha1.OperatorServiceAccount).Subjects}
	const bound = "is bound by entrustment-operator alone, to itself"
	mustRead := guard(credentialsRule, "treasure")
	deliver := func(s *v1alpha1.PersonalDataStore) {
		s.Spec.Credentials = append(s.Spec.Credentials, v1alpha1.Credential{Name: "second", SecretName: "treasure"})
	}
	swap := func(s *v1alpha1.PersonalDataStore) { s.Spec.Credentials[0].SecretName = "treasure" }
	return append(all,
		vector{"S1.30 take it by an ephemeral container", platform, changesAt("ephemeralcontainers", plain, debugging(delivered), byApply, byJSON), hook(ephemeralHook, ""), guard(secretsRule, reserved)},
		vector{"S1.31 take it as a workload controller", replicator, posts(edited(ordinary("biller", "x"), paths["env"](delivered))), unseen, guard(secretsRule, reserved)},
		vector{"S1.32 take it as the cluster's administrator", root, creates(edited(ordinary("biller", "x"), paths["secret"](delivered))), unseen, guard(secretsRule, reserved)},
		vector{"S1.33 ask for it by a name yet to come, in a namespace of nobody", editor, creates(edited(ordinary("unbound", "x"), paths["secret"]("pds.x"))), unseen, guard(secretsRule, reserved)},
		vector{"S1.34 take one that is not granted by an ephemeral container, where one may intervene", rescuer, changesAt("ephemeralcontainers", acting, debugging("pds.data.other.reader"), byApply, byJSON),
			hook(ephemeralHook, ""), guard(grantedSecrets, "is not granted to a pod")},
		vector{"S1.35 take one where the binding only reports", editor, creates(edited(builder.Pod("reporting", "x").Purpose("billing").Obj(), paths["env"](delivered))),
			pods(""), guard(grantedSecrets, "under no entrustment in namespace reporting")},
		vector{"S1.36 take one under a grant that has ended, of which the operator does not know yet", editor, creates(edited(builder.Pod("own", "x").Purpose("ended").Obj(), paths["env"](delivered))),
			pods(""), guard(either(grants, grantedSecrets), "is not granted to")},
		vector{"S3.01 bind the role that reads Secrets", boss, creates(binds("x", "default")), unseen, guard(secretAccess, bound)},
		vector{"S3.02 bind it in the operator's stead", boss, creates(binds("x", v1alpha1.OperatorServiceAccount)), unseen, guard(secretAccess, bound)},
		vector{"S3.03 bind it in the whole cluster", root, creates(everywhere), unseen, guard(secretAccess, bound)},
		vector{"S3.04 have the operator bind it to another", itself, posts(binds(v1alpha1.SecretAccessName, "default")), unseen, guard(secretAccess, bound)},
		vector{"S3.05 have the operator bind it in the whole cluster", itself, creates(everywhere), unseen, guard(secretAccess, bound)},
		vector{"P6.03 bind it where it is needed", itself, changes(edited(binds(v1alpha1.SecretAccessName, v1alpha1.OperatorServiceAccount), func(b *rbacv1.RoleBinding) { b.Labels = managed }),
			func(b *rbacv1.RoleBinding) { b.Annotations = map[string]string{"note": "x"} }), unseen, admitted},
		vector{"S2.01 have a Secret delivered that one may not read", owner, changes(orders, deliver, byStrategic), unseen, mustRead},
		vector{"S2.02 have another Secret delivered than one may read", owner, changes(orders, swap, byStrategic, byApply), unseen, mustRead},
		vector{"S2.03 make a store that delivers a Secret one may not read", owner, creates(store("data", "x").Credential("reader", "treasure").Obj()), unseen, mustRead},
		vector{"P6.01 deliver a Secret that one may read", root, changes(orders, deliver, byStrategic), unseen, admitted},
		vector{"P6.02 go on delivering what is delivered", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Spec.Title = "Orders" }, byStrategic), unseen, admitted},
		vector{"S2.04 deliver a Secret of another namespace", root, creates(store("data", "x").Credential("reader", "biller/foreign").Obj()), unseen, invalid("secretName")},
	)
}()

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
