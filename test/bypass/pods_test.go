package bypass

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The rules on what pods declare, and on the pods that do.
const (
	grants            = "grants.entrustment.dev"
	grace             = "grace.entrustment.dev"
	graceOfEvictions  = "grace-evictions.entrustment.dev"
	purposeless       = "purposeless.entrustment.dev"
	labels            = "labels.entrustment.dev"
	labelsAlone       = "labels-entrustment.entrustment.dev" // of pods that name a contract and no purpose
	labelsBound       = "labels-bindings.entrustment.dev"
	confinement       = "confinement.entrustment.dev"
	confinedAlone     = "confinement-entrustment.entrustment.dev"
	confinedTemplates = "confinement-templates.entrustment.dev"
)

// multus is the annotation by which most clusters add a network.
const multus = "k8s.v1.cni.cncf.io/networks"

var (
	undeclared = builder.Pod("unbound", "x").Purpose("billing").Obj()
	acting     = declaring("declaring").Obj()             // is there
	placed     = edited(declaring("placed").Obj(), stays) // is there, on a node that does not answer
	plain      = ordinary("biller", "ordinary")
	contracted = builder.Pod("reporting", "purposeless").Entrustment("fees").Obj() // is there, and may be: its namespace reports
)

// podVectors are N4, N5, N7, N10, N13, A3 and what of N6 the rules refuse; facts 1, 8, 9 and 15.
var podVectors = slices.Concat(declarations, deadlines, relabellings, confinements, templates)

var declarations = []vector{
	{"N4.01 declare without a binding", editor, creates(undeclared), pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N4.02 declare another controller's purpose", editor, creates(builder.Pod("biller", "x").Purpose("marketing").Entrustment("fees").Obj()),
		pods("PurposeNotIntended"), guard(grants, "is not granted to namespace biller")},
	{"N4.03 declare no contract where one is needed", editor, creates(builder.Pod("biller", "x").Purpose("billing").Obj()),
		pods("NoEntrustment"), guard(grants, "under no entrustment is not granted")},
	{"N4.04 declare an empty purpose", editor, creates(builder.Pod("own", "x").Purpose("").Obj()),
		pods("PurposeNotDeclared"), guard(grants, "is not granted to namespace own")},
	{"N4.05 declare an empty contract", editor, creates(builder.Pod("own", "x").Purpose("billing").Entrustment("").Obj()),
		pods("EntrustmentNotFound"), guard(grants, `under entrustment "" is not granted`)},
	{"N4.06 declare somebody else's contract", editor, creates(builder.Pod("own", "x").Purpose("billing").Entrustment("fees").Obj()),
		pods("NotEntrustee"), guard(grants, `under entrustment "fees" is not granted`)},
	{"N4.07 declare a purpose beyond the contract", editor, creates(builder.Pod("biller", "x").Purpose("lasting").Entrustment("fees").Obj()),
		pods("PurposeNotEntrusted"), guard(grants, `purpose "lasting" under entrustment "fees" is not granted`)},
	{"N4.08 declare a prohibited purpose", boss, creates(builder.Pod("own", "x").Purpose("profiling").Obj()),
		pods("PurposeProhibited"), guard(grants, `purpose "profiling"`)},
	{"N4.09 declare a contract and no purpose", editor, creates(builder.Pod("biller", "x").Entrustment("fees").Obj()),
		pods("PurposeNotDeclared"), guard(purposeless, "has to declare a purpose")},
	{"N4.10 declare under a generated name", editor, posts(builder.Pod("biller", "").Purpose("marketing").With(func(p *corev1.Pod) { p.GenerateName = "x-" }).Obj()),
		pods("pod biller/x-"), guard(grants, "is not granted")},
	{"N4.11 copy a declaring pod into another namespace", editor, creates(builder.Pod("unbound", "copy").Purpose("billing").Entrustment("fees").Obj()),
		pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N4.12 debug a copy that declares more", editor, creates(declaring("copy").Purpose("marketing").Obj()),
		pods("PurposeNotIntended"), guard(grants, "is not granted")},
	{"N4.13 declare as the cluster's administrator", root, creates(builder.Pod("unbound", "x").Purpose("billing").Obj()),
		pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N4.14 declare in the store's own namespace", editor, creates(builder.Pod("data", "x").Purpose("billing").Obj()),
		pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N4.15 declare in the cluster's namespace, which the webhook leaves alone", root, creates(builder.Pod("kube-system", "x").Purpose("billing").Obj()),
		unseen, guard(either(grants, grantedSecrets), "no params found")},
	{"N4.16 declare in the operator's namespace, likewise", root, creates(builder.Pod("entrustment-system", "x").Purpose("billing").With(restricted).Obj()),
		unseen, guard(either(grants, grantedSecrets), "no params found")},
	{"N4.17 come as a workload controller", replicator, creates(builder.Pod("unbound", "x").Purpose("billing").Obj()),
		pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N4.18 declare a purpose that has ended, of which the operator does not know yet", editor, creates(builder.Pod("own", "x").Purpose("ended").Obj()),
		pods(""), guard(grants, `purpose "ended" under no entrustment is not granted to namespace own now`)},
	{"N4.19 forge the time of creation", editor, posts(builder.Pod("own", "x").Purpose("ended").With(func(p *corev1.Pod) { p.CreationTimestamp = metav1.Unix(0, 0) }).Obj()),
		pods(""), guard(grants, "is not granted to namespace own now")},
	{"N4.20 declare a contract that has ended, of which the operator does not know yet", editor, creates(builder.Pod("biller", "x").Purpose("billing").Entrustment("ending").Obj()),
		pods(""), guard(grants, `under entrustment "ending" is not granted to namespace biller now`)},

	{"N13.01 use a namespace that was made again under the name of a bound one", editor, creates(builder.Pod("recreated", "x").Purpose("billing").Obj()),
		pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N13.02 likewise as the cluster's administrator", root, creates(builder.Pod("recreated", "x").Purpose("billing").Obj()),
		pods("NamespaceNotBound"), guard(either(grants, grantedSecrets), "no params found")},
	{"N13.03 make the namespace again", root, madeAgain(), unseen, shown(string(v1alpha1.ReasonNamespaceRecreated))},
	{"N13.04 tell the operator another UID", boss, changesAt("status", builder.Processor("acme").Obj(), func(p *v1alpha1.DataProcessor) { p.Status.Namespaces = nil }, byStrategic, byApply),
		unseen, forbidden},
	{"N13.05 likewise as the cluster's administrator", root, changesAt("status", builder.Processor("acme").Obj(), func(p *v1alpha1.DataProcessor) { p.Status.Namespaces = nil }, byStrategic, byApply),
		unseen, guard("status.entrustment.dev", "status is written by entrustment-operator alone")},
}

// deadlines end pods with their contract when everybody else is dead. The contract short ends within the hour; by the
// operator's clock, which is a day behind, it has a day more.
var deadlines = func() []vector {
	under := func(contract string) *builder.PodBuilder {
		return builder.Pod("biller", "x").Purpose("billing").Entrustment(contract)
	}
	slow := func(p *corev1.Pod) {
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](v1alpha1.MaxTerminationGracePeriodSeconds + 1)
	}
	slowest := func(p *corev1.Pod) {
		p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](v1alpha1.MaxTerminationGracePeriodSeconds)
	}
	raise := func(p *corev1.Pod) { *p.Spec.ActiveDeadlineSeconds++ }
	remove := func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = nil }
	const late = "has to end with it"
	all := []vector{
		{"A5.01 act under a contract without an end", editor, creates(under("fees").Obj()), mended(podHook), guard(grants, late)},
		{"A5.02 likewise as a workload controller", replicator, posts(under("fees").Obj()), mended(podHook), guard(grants, late)},
		{"A5.03 end later than the contract", editor, creates(under("short").Deadline(2 * 3600).Obj()), pods(""), guard(grants, late)},
		{"A5.04 end when the operator's slow clock says", editor, creates(under("short").Obj()), pods(""), guard(grants, late)},
		{"A5.05 likewise as the cluster's administrator", root, creates(under("short").Obj()), pods(""), guard(grants, late)},
		{"A5.06 raise the deadline", editor, changes(acting, raise), pods(""), invalid("must be less than or equal to previous value")},
		{"A5.07 raise it as the cluster's administrator", root, changes(acting, raise), pods(""), invalid("must be less than or equal to previous value")},
		{"A5.08 take the deadline away", root, changes(acting, remove, byApply), pods(""), invalid("must not update from a positive integer to nil")},
		{"A5.09 raise it by status", node, changesAt("status", acting, raise, byApply), unseen, invalid("put back")},
		{"A5.10 take it away by status", node, changesAt("status", acting, remove, byApply), unseen, invalid("put back")},
		{"A5.11 raise it by resizing", platform, changesAt("resize", acting, raise, byApply, byJSON), unseen, invalid("put back")},
		{"A5.12 take long to end", editor, creates(edited(declaring("x").Obj(), slow)), pods(""), guard(grants, "terminationGracePeriodSeconds must be at most 300")},
		{"A5.13 take longer to end later", editor, changes(acting, slow, byApply), pods(""), invalid("pod updates may not change fields other than")},
		{"A5.14 give it longer to end, by deleting it", editor, gives(301), unseen, guard(grace, "the grace period of its deletion must be at most 300 seconds")},
		{"A5.15 likewise as the cluster's administrator", root, gives(365 * 86400), unseen, guard(grace, "must be at most 300 seconds")},
		{"A5.16 give it longer to end, by evicting it", editor, evicts(ptr.To[int64](301)), unseen, guard(graceOfEvictions, "the grace period of an eviction must be at most 300 seconds")},

		{"P2.20 take as long to end as one may", editor, creates(edited(declaring("x").Obj(), slowest)), pods(""), admitted},
		{"P2.21 take longer in the data controller's own handling", editor, creates(edited(builder.Pod("own", "x").Purpose("billing").Obj(), slow)), pods(""), admitted},
		{"P2.22 end before a contract that ends soon", editor, creates(under("short").Deadline(60).Obj()), pods(""), admitted},
		{"P2.23 act without an end under a contract whose deadline is off", editor, creates(under("unarmed").Obj()), pods(""), admitted},
		{"P2.25 delete a pod with as long as one may", editor, gives(v1alpha1.MaxTerminationGracePeriodSeconds), unseen, admitted},
		{"P2.26 evict a pod as who drains a node", platform, evicts(nil), unseen, admitted},
		{"P2.24 tighten the deadline as the operator does", itself, changes(acting, func(p *corev1.Pod) { *p.Spec.ActiveDeadlineSeconds-- }, byPut), pods(""), admitted},
	}
	for i, workload := range workloads("biller", under("fees").Label("app", "x").With(slow).Template())[:7] {
		all = append(all, vector{fmt.Sprintf("A3.%02d template what takes long to end in a %s", i+51, reflect.TypeOf(workload).Elem().Name()), editor,
			creates(workload), warned("will be refused: terminationGracePeriodSeconds is 301"), admitted})
	}
	return all
}()

// gives deletes a pod that runs with a grace period of its own. Of one that has no node yet the API server takes none.
func gives(seconds int64) []try {
	return []try{
		{byDelete, func(ctx context.Context, s session) error {
			return s.Delete(ctx, placed.DeepCopy(), client.GracePeriodSeconds(seconds))
		}},
		{bySweep, func(ctx context.Context, s session) error {
			return s.DeleteAllOf(ctx, &corev1.Pod{}, client.InNamespace(placed.Namespace), client.MatchingLabels(placed.Labels), client.GracePeriodSeconds(seconds))
		}},
	}
}

// evicts does it by an eviction; nil: with the grace period of the pod.
func evicts(seconds *int64) []try {
	return []try{{byPost, func(ctx context.Context, s session) error {
		return s.SubResource("eviction").Create(ctx, placed.DeepCopy(), &policyv1.Eviction{
			ObjectMeta: metav1.ObjectMeta{Namespace: placed.Namespace, Name: placed.Name}, DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: seconds},
		})
	}}}
}

// madeAgain is what somebody did before the runs.
func madeAgain() []try {
	return []try{{byPost, func(ctx context.Context, _ session) error {
		namespace, party := &corev1.Namespace{}, builder.Processor("acme").Obj()
		err := errors.Join(admin.Get(ctx, client.ObjectKey{Name: "recreated"}, namespace), admin.Get(ctx, client.ObjectKeyFromObject(party), party))
		if slices.ContainsFunc(party.Status.Namespaces, func(n v1alpha1.ObservedNamespace) bool { return n.UID == namespace.UID }) {
			return errors.New("the binding follows the new namespace")
		}
		return err
	}}}
}

// restricted makes a pod that the namespace of the operator takes.
func restricted(p *corev1.Pod) {
	p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
}

func label(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { metav1.SetMetaDataLabel(&p.ObjectMeta, key, value) }
}

func unlabel(keys ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for _, key := range keys {
			delete(p.Labels, key)
		}
	}
}

func annotate(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, key, value) }
}

const immutable = "labels entrustment.dev/purpose and entrustment.dev/entrustment are immutable"

// relabellings are every way by which labels of a pod that exists change.
var relabellings = func() []vector {
	var all []vector
	rule := labels
	add := func(what string, pod *corev1.Pod, edit func(*corev1.Pod), without ...string) {
		id := fmt.Sprintf("N4.%d", 30+len(all)/3*3)
		all = append(all,
			vector{id + " " + what, editor, changes(pod, edit, without...), pods("are immutable"), guard(rule, immutable)},
			vector{id + "s " + what + " by status", node, changesAt("status", pod, edit, without...), unseen, guard(rule, immutable)},
			vector{id + "p " + what + " by status as the platform", platform, changesAt("status", pod, edit, without...), unseen, guard(rule, immutable)})
	}
	add("declare another purpose", acting, label(v1alpha1.LabelPurpose, "marketing"))
	add("declare another contract", acting, label(v1alpha1.LabelEntrustment, "credit"))
	add("empty the contract", acting, label(v1alpha1.LabelEntrustment, ""))
	add("declare a purpose afterwards", plain, label(v1alpha1.LabelPurpose, "billing"))
	add("declare an empty purpose afterwards", plain, label(v1alpha1.LabelPurpose, ""))
	add("take the purpose away", acting, unlabel(v1alpha1.LabelPurpose), byApply)
	add("take the contract away", acting, unlabel(v1alpha1.LabelEntrustment), byApply)
	add("take both away", acting, unlabel(v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment), byApply)

	add("declare a purpose where one was missing", contracted, label(v1alpha1.LabelPurpose, "billing"))
	rule = labelsAlone
	add("declare a contract afterwards", plain, label(v1alpha1.LabelEntrustment, "fees"))
	add("declare another contract without a purpose", contracted, label(v1alpha1.LabelEntrustment, "credit"))
	add("take a lone contract away", contracted, unlabel(v1alpha1.LabelEntrustment), byApply)

	with := func(labels, annotations map[string]string) corev1.Binding {
		return corev1.Binding{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations}}
	}
	const carries = "a binding must not carry the label"
	return append(all,
		vector{"N4.70 bring a purpose by a binding", scheduler, binds("biller", "ordinary", with(map[string]string{v1alpha1.LabelPurpose: "billing"}, nil)), unseen, guard(labelsBound, carries)},
		vector{"N4.71 bring a contract by a binding", scheduler, binds("biller", "ordinary", with(map[string]string{v1alpha1.LabelEntrustment: "fees"}, nil)), unseen, guard(labelsBound, carries)},
		vector{"N4.72 overwrite a purpose by a binding", platform, binds("biller", "declaring", with(map[string]string{v1alpha1.LabelPurpose: "marketing"}, nil)), unseen, guard(labelsBound, carries)},
		vector{"N4.73 bring the same purpose again by a binding", root, binds("biller", "declaring", with(map[string]string{v1alpha1.LabelPurpose: "billing"}, nil)), unseen, guard(labelsBound, carries)},
		vector{"N4.74 bind as a developer", editor, binds("biller", "ordinary", with(map[string]string{v1alpha1.LabelPurpose: "billing"}, nil)), unseen, forbidden},
		vector{"N10.20 add a network by a binding", scheduler, binds("biller", "declaring", with(nil, map[string]string{multus: "lan"})), unseen, guard(labelsBound, "asks for a second network")},
		vector{"N4.75 relabel with an ephemeral container", platform, changesAt("ephemeralcontainers", acting, func(p *corev1.Pod) {
			debug(p)
			label(v1alpha1.LabelPurpose, "marketing")(p)
		}, byApply, byJSON), hook(ephemeralHook, "intervene"), guard(confinement, "must not be given ephemeral containers")},
		vector{"N4.76 relabel by resizing", platform, changesAt("resize", acting, label(v1alpha1.LabelPurpose, "marketing"), byApply, byJSON), unseen, invalid("put back")},
	)
}()

func debug(p *corev1.Pod) {
	p.Spec.EphemeralContainers = append(p.Spec.EphemeralContainers,
		corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug"}})
}

func hostPort(c *corev1.Container) {
	c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
}

func initial(edit func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "init"}}
		edit(&p.Spec.InitContainers[0])
	}
}

func first(edit func(*corev1.Container)) func(*corev1.Pod) {
	return func(p *corev1.Pod) { edit(&p.Spec.Containers[0]) }
}

// onHost are the ways by which a pod leaves its confinement when it is made.
var onHost = []struct {
	what string
	edit func(*corev1.Pod)
	says string
}{
	{"the host's network", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, "hostNetwork, hostPID or hostIPC"},
	{"the host's processes", func(p *corev1.Pod) { p.Spec.HostPID = true }, "hostNetwork, hostPID or hostIPC"},
	{"the host's IPC", func(p *corev1.Pod) { p.Spec.HostIPC = true }, "hostNetwork, hostPID or hostIPC"},
	{"a host port", first(hostPort), "hostPort"},
	{"a host port of an init container", initial(hostPort), "hostPort"},
	{"a host port of a sidecar", initial(func(c *corev1.Container) {
		c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		hostPort(c)
	}), "hostPort"},
	{"a privileged container", first(func(c *corev1.Container) { c.SecurityContext = privileged() }), "privileged"},
	{"a privileged init container", initial(func(c *corev1.Container) { c.SecurityContext = privileged() }), "privileged"},
	{"a directory of the node", func(p *corev1.Pod) {
		p.Spec.Volumes = []corev1.Volume{{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	}, "hostPath"},
	{"a capability that reaches the node", first(func(c *corev1.Container) {
		c.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}
	}), "capability"},
	{"a chosen node", func(p *corev1.Pod) { p.Spec.NodeName = "node" }, "nodeName"},
}

// networks are the annotations by which network plugins add interfaces.
var networks = []string{multus, "kubernetes.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network",
	"network.v1alpha1.isovalent.com/pod-networks", "networking.gke.io/interfaces", "networking.gke.io/default-interface",
	"danm.k8s.io/interfaces", "tke.cloud.tencent.com/networks", "cni"}

var confinements = func() []vector {
	var all []vector
	for i, way := range onHost {
		all = append(all, vector{fmt.Sprintf("N5.%02d declare, with %s", i+1, way.what), editor,
			creates(edited(declaring("x").Obj(), way.edit)), pods(""), guard(confinement, way.says)})
	}
	for i, key := range networks {
		all = append(all, vector{fmt.Sprintf("N10.%02d declare, with a second network by %s", i+1, key), editor,
			creates(edited(declaring("x").Obj(), annotate(key, "lan"))), pods(""), guard(confinement, "a second network")})
	}
	mirror := edited(declaring("x").Obj(), func(p *corev1.Pod) {
		annotate(corev1.MirrorPodAnnotationKey, "x")(p)
		p.Spec.NodeName = "node"
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "node", UID: "x", Controller: ptr.To(true)}}
	})
	ipOf := func(p *corev1.Pod) {
		p.Status.PodIP, p.Status.PodIPs = "192.0.2.1", []corev1.PodIP{{IP: "192.0.2.1"}}
		label(v1alpha1.LabelPurpose, "billing")(p)
	}
	for i, workload := range workloads("biller", declaring("").Label("app", "x").With(func(p *corev1.Pod) { p.Spec.HostNetwork = true }).Template()) {
		if i < 7 {
			all = append(all, vector{fmt.Sprintf("A3.%02d template a declaring pod on the host in a %T", i+21, workload), editor,
				creates(workload), unseen, verdict{warns, confinedTemplates, "must not use hostNetwork"}})
		}
	}
	return append(all,
		vector{"N5.23 name a contract alone, with the host's network", editor, creates(edited(builder.Pod("reporting", "x").Entrustment("fees").Obj(), func(p *corev1.Pod) { p.Spec.HostNetwork = true })),
			pods(""), guard(confinedAlone, "must not use hostNetwork")},
		vector{"N7.04 swap the image of a pod that names a contract alone", editor, changes(contracted, first(func(c *corev1.Container) { c.Image = "other" })), pods(""), guard(confinedAlone, "the images of a pod")},
		vector{"N5.20 declare by a mirror pod with a node's credential", node, posts(mirror), pods(""), guard(confinement, "must not be a mirror pod")},
		vector{"N5.21 declare by a mirror pod as the cluster's administrator", root, creates(mirror), pods(""), guard(confinement, "must not be a mirror pod")},
		vector{"N5.22 give a mirror pod labels and an address by status", node, changesAt("status", plain, ipOf), unseen, guard(labels, immutable)},
		vector{"N7.01 swap the image of a declaring pod", editor, changes(acting, first(func(c *corev1.Container) { c.Image = "other" })), pods(""), guard(confinement, "the images of a pod that declares a purpose are immutable")},
		vector{"N7.02 likewise as the cluster's administrator", root, changes(acting, first(func(c *corev1.Container) { c.Image = "other" })), pods(""), guard(confinement, "the images of a pod")},
		vector{"N7.03 swap the command of a declaring pod", editor, changes(acting, first(func(c *corev1.Container) { c.Command = []string{"sh"} }), byApply), pods(""), invalid("pod updates may not change fields other than")},
		vector{"N10.21 add a network later", editor, changes(acting, annotate(multus, "lan")), pods(""), guard(confinement, "a second network")},
		vector{"N10.22 add a network later by status", node, changesAt("status", acting, annotate(multus, "lan")), unseen, guard(confinement, "a second network")},
		vector{"N6.60 add an ephemeral container to a declaring pod", platform, changesAt("ephemeralcontainers", acting, debug, byApply, byJSON), hook(ephemeralHook, "intervene"), guard(confinement, "ephemeral containers")},
		vector{"N6.62 likewise as a developer", editor, changesAt("ephemeralcontainers", acting, debug, byApply, byJSON), unseen, forbidden},
		vector{"N6.63 be born with an ephemeral container", editor, posts(edited(declaring("x").Obj(), debug)), pods(""), invalid("ephemeralContainers")},
	)
}()

// templates are of workloads whose pods declare what they are not granted: they are made, and warned about.
var templates = func() []vector {
	var all []vector
	for i, workload := range workloads("biller", builder.Pod("biller", "").Purpose("marketing").Label("app", "x").Template())[:7] {
		all = append(all, vector{fmt.Sprintf("A3.%02d template what will be refused in a %s", i+1, reflect.TypeOf(workload).Elem().Name()), editor,
			creates(workload), warned("will be refused: NoEntrustment"), admitted})
	}
	return all
}()
