package bypass

import (
	"context"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The rules on what the operator alone writes.
const (
	managedRule = "managed.entrustment.dev"
	finalizers  = "finalizers.entrustment.dev"
	statusRule  = "status.entrustment.dev"
	storesRule  = "stores.entrustment.dev"
)

var (
	isolation = policy("data", "pds.orders", nil)    // the operator made it
	leftover  = policy("former", "pds.archive", nil) // of a store that went without its finalizer
	access    = builder.Access("biller").Obj()
	orders    = store("data", "orders").Obj()
	idle      = store("data", "idle").Controller("rival").AllowedPurposes("rivalry").Obj() // has no grant
	exposed   = store("data", "exposed").Controller("rival").AllowedPurposes("rivalry").Obj()
)

// dead is an owner that does not exist: the garbage collector would delete what hangs on it.
var dead = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "dead", UID: "dead"}}

// managedVectors are N3, of A9 what concerns finalizers and status, and facts 3 to 5.
var managedVectors = func() []vector {
	alone := func(what string) verdict {
		return guard(managedRule, what+" of entrustment-operator are written by it alone")
	}
	policies, secrets, bindings, accesses := alone("networkpolicies"), alone("secrets"), alone("rolebindings"), alone("personaldataaccesses")
	closed := guard(either(managedRule, storesRule), "")
	opened := guard(either(managedRule, storePolicies), "")
	open := func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
	}
	adopt := func(p *networkingv1.NetworkPolicy) { p.OwnerReferences = dead }
	const byOperator = "added and removed by entrustment-operator alone"
	const found = "status is written by entrustment-operator alone"
	return []vector{
		{"N3.01 delete a policy that was left of a store", editor, deletes(leftover), unseen, policies},
		{"N3.02 delete the policies of a namespace", editor, sweeps(&networkingv1.NetworkPolicy{}, "former", nil), unseen, policies},
		{"N3.03 delete the managed policies as the cluster's administrator", root, sweeps(&networkingv1.NetworkPolicy{}, "data", managed), unseen, closed},
		{"N3.04 open the store's policy", editor, changes(isolation, open), unseen, opened},
		{"N3.05 likewise as the network's administrator", network, changes(isolation, open), unseen, opened},
		{"N3.06 take its label away", editor, changes(isolation, func(p *networkingv1.NetworkPolicy) { delete(p.Labels, v1alpha1.LabelManagedBy) }, byApply), unseen, policies},
		{"N3.07 hang it on a dead owner", editor, changes(isolation, adopt), unseen, policies},
		{"N3.08 likewise as the garbage collector", collector, changes(isolation, adopt, byPut), unseen, policies},
		{"N3.09 delete it as the garbage collector", collector, deletes(isolation), unseen, closed},
		{"N3.16 delete the store's policy", editor, deletes(isolation), unseen, closed},
		{"N3.17 delete the policies of the store's namespace", editor, sweeps(&networkingv1.NetworkPolicy{}, "data", nil), unseen, closed},
		{"N3.18 delete what was left as the garbage collector", collector, deletes(leftover), unseen, policies},
		{"N3.10 delete it as the namespace controller, while the namespace stays", namespacer, deletes(isolation), unseen, closed},
		{"N3.11 delete all as the namespace controller, while the namespace stays", namespacer, sweeps(&networkingv1.NetworkPolicy{}, "former", nil), unseen, policies},
		{"N3.12 annotate it", boss, changes(isolation, func(p *networkingv1.NetworkPolicy) { metav1.SetMetaDataAnnotation(&p.ObjectMeta, "note", "x") }), unseen, policies},
		{"N3.13 make a policy in the operator's name", editor, creates(policy("data", "x", managed)), unseen, policies},
		{"N3.14 give a policy to the operator", editor, changes(policy("data", "foreign", nil), func(p *networkingv1.NetworkPolicy) { p.Labels = managed }), unseen, policies},
		{"N3.15 widen whom it selects not", network, changes(isolation, func(p *networkingv1.NetworkPolicy) {
			p.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "nothing"}}
		}, byApply, byStrategic), unseen, policies},

		{"N3.19 hold a delivered Secret beyond its end", editor, changes(secret("biller", "pds.data.orders.reader", nil), func(s *corev1.Secret) {
			s.Finalizers = append(s.Finalizers, "example.com/keep")
		}), unseen, secrets},
		{"N3.20 make a delivered Secret", editor, creates(secret("biller", "pds.x", nil)), unseen, secrets},
		{"N3.21 make one under a generated name", editor, posts(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "biller", GenerateName: "pds.x"}}), unseen, secrets},
		{"N3.22 make a Secret in the operator's name", editor, creates(secret("biller", "x", managed)), unseen, secrets},
		{"N3.23 change a delivered Secret", editor, changes(secret("biller", delivered, nil), func(s *corev1.Secret) { s.Data["password"] = []byte("y") }), unseen, secrets},
		{"N3.24 take the label of a Secret away", editor, changes(secret("biller", delivered, nil), func(s *corev1.Secret) { s.Labels = nil }, byApply), unseen, secrets},
		{"N3.25 delete a delivered Secret", editor, deletes(secret("biller", delivered, nil)), unseen, secrets},
		{"N3.26 delete the Secrets of the namespace", boss, sweeps(&corev1.Secret{}, "biller", nil), unseen, secrets},
		{"N3.27 hang a delivered Secret on a dead owner", editor, changes(secret("biller", delivered, nil), func(s *corev1.Secret) { s.OwnerReferences = dead }), unseen, secrets},
		{"N3.28 make a delivered Secret in a namespace of nobody", root, creates(secret("unbound", delivered, nil)), unseen, secrets},

		{"N3.30 make a role binding in the operator's name", boss, creates(roleBinding("data", "x", managed)), unseen, bindings},
		{"N3.31 add a reader to one", boss, changes(roleBinding("data", v1alpha1.SecretAccessName, nil), func(b *rbacv1.RoleBinding) {
			b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"})
		}), unseen, guard(either(managedRule, secretAccess), "by")},
		{"N3.32 delete one", boss, deletes(roleBinding("data", v1alpha1.SecretAccessName, nil)), unseen, bindings},
		{"N3.33 make one as a developer", editor, creates(roleBinding("data", "x", managed)), unseen, forbidden},

		{"N3.40 grant more", root, changes(access, func(a *v1alpha1.PersonalDataAccess) {
			a.Grants = append(a.Grants, v1alpha1.Grant{Purpose: "marketing"})
		}, byStrategic), unseen, accesses},
		{"N3.41 let a namespace only report", root, changes(access, func(a *v1alpha1.PersonalDataAccess) { a.Enforcement = v1alpha1.EnforcementReport }, byStrategic), unseen, accesses},
		{"N3.42 make grants", root, creates(builder.Access("unbound").Grant("billing", "").Obj()), unseen, accesses},
		{"N3.43 delete grants", root, deletes(access), unseen, accesses},
		{"N3.44 delete all grants", root, sweeps(&v1alpha1.PersonalDataAccess{}, "biller", nil), unseen, accesses},
		{"N3.45 delete grants as the garbage collector", collector, deletes(access), unseen, accesses},
		{"N3.46 make grants as the privacy office", privacy, creates(builder.Access("unbound").Grant("billing", "").Obj()), unseen, forbidden},
		{"N3.47 hang grants on a dead owner", root, changes(access, func(a *v1alpha1.PersonalDataAccess) { a.OwnerReferences = dead }, byStrategic), unseen, accesses},

		{"N3.50 let the policy of a store go with its namespace before its last pod", namespacer, deletes(policy("closing", "pds.orders", nil)), unseen, guard(storesRule, "the policy of PersonalDataStore orders goes after the last pod of the store")},
		{"N3.51 delete it as a developer, while the namespace goes", editor, deletes(policy("closing", "pds.orders", nil)), unseen, closed},
		{"N3.52 likewise all of them, as the namespace controller", namespacer, sweeps(&networkingv1.NetworkPolicy{}, "closing", nil), unseen, guard(storesRule, "goes after the last pod of the store")},
		{"N3.53 open it, while the namespace goes", root, changes(policy("closing", "pds.orders", nil), open), unseen, opened},

		{"N3.60 act as the operator's account", editor, impersonates("erin", itself.name, deletes(leftover)[0]), unseen, verdict{authz, "", "cannot impersonate"}},
		{"N3.61 act as an account of the namespace, as one may", editor, impersonates("erin", "system:serviceaccount:former:default", deletes(leftover)[0]), unseen, forbidden},
		{"N3.62 mint a token of the operator's account", editor, []try{{byPost, func(ctx context.Context, s session) error {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "entrustment-system", Name: "entrustment-operator"}}
			return s.SubResource("token").Create(ctx, account, &authenticationv1.TokenRequest{})
		}}}, unseen, forbidden},

		{"A9.01 strip the finalizer of a store", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Finalizers = nil }, byApply, byStrategic), unseen, guard(finalizers, byOperator)},
		{"A9.02 likewise as the namespace controller", namespacer, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Finalizers = nil }, byApply, byStrategic), unseen, forbidden},
		{"A9.03 likewise as the cluster's administrator", root, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Finalizers = nil }, byApply, byStrategic), unseen, guard(finalizers, byOperator)},
		{"A9.04 add a finalizer of the operator's", privacy, changes(builder.Purpose("billing").Obj(), func(p *v1alpha1.Purpose) {
			p.Finalizers = append(p.Finalizers, "entrustment.dev/anything")
		}, byStrategic), unseen, guard(finalizers, byOperator)},
		{"A9.05 make something with a finalizer of the operator's", privacy, creates(edited(builder.Purpose("x").Obj(), func(p *v1alpha1.Purpose) {
			p.Finalizers = []string{"entrustment.dev/anything"}
		})), unseen, guard(finalizers, byOperator)},
		{"A9.06 strip the finalizer of a store through its status", root, changesAt("status", orders, func(s *v1alpha1.PersonalDataStore) { s.Finalizers = nil }, byApply, byStrategic), unseen, invalid("put back")},
		{"A9.10 forge the status of a store", root, changesAt("status", orders, func(s *v1alpha1.PersonalDataStore) { s.Status.GrantCount = 9 }, byStrategic), unseen, guard(statusRule, found)},
		{"A9.11 forge the status of a purpose", root, changesAt("status", builder.Purpose("billing").Obj(), func(p *v1alpha1.Purpose) { p.Status.StoreCount = 0 }, byStrategic, byApply), unseen, guard(statusRule, found)},
		{"A9.12 forge the status of a contract", root, changesAt("status", builder.Entrustment("fees").Obj(), func(e *v1alpha1.Entrustment) { e.Status.Conditions = nil }, byStrategic, byApply), unseen, guard(statusRule, found)},
		{"A9.13 forge the status of a store as its owner", owner, changesAt("status", orders, func(s *v1alpha1.PersonalDataStore) { s.Status.GrantCount = 9 }, byStrategic), unseen, forbidden},
	}
}()

// permissions are what nobody may be in the way of.
var permissions = slices.Concat(ordinaryPods, compliantPods, maintenance)

var ordinaryPods = []vector{
	{"P1.01 an ordinary pod", editor, creates(ordinary("biller", "x")), unseen, admitted},
	{"P1.02 an ordinary pod of the store's namespace", editor, creates(ordinary("data", "x")), unseen, admitted},
	{"P1.03 an ordinary pod of a namespace of nobody", editor, creates(ordinary("unbound", "x")), unseen, admitted},
	{"P1.04 an ordinary pod of the cluster, on the host", root, creates(edited(ordinary("kube-system", "x"), func(p *corev1.Pod) {
		p.Spec.HostNetwork, p.Spec.NodeName = true, "node"
	})), unseen, admitted},
	{"P1.05 an ordinary pod on the host", editor, creates(edited(ordinary("own", "x"), func(p *corev1.Pod) {
		p.Spec.HostNetwork, p.Spec.HostPID, p.Spec.HostIPC, p.Spec.NodeName = true, true, true, "node"
		p.Spec.Containers[0].SecurityContext = privileged()
		annotate(multus, "lan")(p)
	})), unseen, admitted},
	{"P1.06 a mirror pod", node, posts(edited(ordinary("biller", "x"), func(p *corev1.Pod) {
		annotate(corev1.MirrorPodAnnotationKey, "x")(p)
		p.Spec.NodeName = "node"
	})), unseen, admitted},
	{"P1.07 another image of an ordinary pod", editor, changes(plain, first(func(c *corev1.Container) { c.Image = "other" })), unseen, admitted},
	{"P1.08 another label of an ordinary pod", editor, changes(plain, label("version", "2")), unseen, admitted},
	{"P1.09 an ephemeral container of an ordinary pod", platform, changesAt("ephemeralcontainers", plain, debug, byApply, byJSON), hook(ephemeralHook, ""), admitted},
	{"P1.10 the kubelet's status of an ordinary pod", node, changesAt("status", plain, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), unseen, admitted},
	{"P1.11 a node for an ordinary pod", scheduler, binds("biller", "ordinary", corev1.Binding{}), unseen, admitted},
	{"P1.12 delete an ordinary pod", editor, deletes(plain), unseen, admitted},
	{"P1.13 delete ordinary pods", editor, sweeps(&corev1.Pod{}, "own", nil), unseen, admitted},
	{"P1.14 a pod of a workload", replicator, posts(ordinary("biller", "x")), unseen, admitted},
	{"P1.15 an ordinary workload", editor, creates(workloads("biller", builder.Pod("biller", "").Label("app", "x").Template())[0]), unseen, admitted},
}

// compliantPods declare what they are granted. While the webhook is down none of them is made.
var compliantPods = []vector{
	{"P2.01 own handling", editor, creates(builder.Pod("own", "x").Purpose("billing").Obj()), pods(""), admitted},
	{"P2.02 a part of a purpose that is allowed", editor, creates(builder.Pod("own", "x").Purpose("invoicing").Obj()), pods(""), admitted},
	{"P2.03 an entrustee", editor, creates(declaring("x").Obj()), pods(""), admitted},
	{"P2.04 a grant that lasts", editor, creates(builder.Pod("own", "x").Purpose("lasting").Obj()), pods(""), admitted},
	{"P2.05 anything, where the binding reports", editor, creates(builder.Pod("reporting", "x").Purpose("marketing").Entrustment("x").Obj()), pods(""), admitted},
	{"P2.06 no purpose, where the binding reports", editor, creates(builder.Pod("reporting", "x").Entrustment("x").Obj()), pods(""), admitted},
	{"P2.07 node affinity, as of the pods of a DaemonSet", editor, creates(edited(declaring("x").Obj(), func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"node"}}}}},
		}}}
	})), pods(""), admitted},
	{"P2.08 another label of a declaring pod", editor, changes(acting, label("version", "2")), pods(""), admitted},
	{"P2.09 an end of its own", editor, changes(acting, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = new(int64(60)) }), pods(""), admitted},
	{"P2.10 nothing new", editor, changes(acting, func(*corev1.Pod) {}), pods(""), admitted},
	{"P2.11 the kubelet's status", node, changesAt("status", acting, func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), unseen, admitted},
	{"P2.12 a node", scheduler, binds("biller", "declaring", corev1.Binding{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"scheduler": "x"}}}), unseen, admitted},
	{"P2.13 delete a declaring pod", editor, deletes(acting), unseen, admitted},
	{"P2.14 the pod of a workload", replicator, posts(declaring("x").Obj()), pods(""), admitted},
}

// maintenance is what people and the cluster's own controllers do.
var maintenance = []vector{
	{"P3.01 a Secret of one's own", editor, creates(secret("biller", "x", map[string]string{"app": "pds.x"})), unseen, admitted},
	{"P3.02 a policy of one's own", editor, creates(policy("biller", "x", nil)), unseen, admitted},
	{"P3.03 delete what is one's own", editor, deletes(secret("biller", "foreign", nil)), unseen, admitted},
	{"P3.04 a role binding of one's own", boss, changes(roleBinding("data", "foreign", nil), func(b *rbacv1.RoleBinding) { metav1.SetMetaDataLabel(&b.ObjectMeta, "a", "b") }), unseen, admitted},
	{"P3.05 delete a store", owner, deletes(idle), hook(deleteHook, ""), admitted},
	{"P3.06 annotate a store", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, "note", "x") }, byStrategic), unseen, admitted},
	{"P3.07 allow another purpose", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Spec.AllowedPurposes = []string{"billing", "marketing"} }, byStrategic), unseen, admitted},
	{"P3.08 finalizers of others", privacy, creates(edited(builder.Purpose("x").Obj(), func(p *v1alpha1.Purpose) { p.Finalizers = []string{"example.com/x"} })), unseen, admitted},
	{"P3.09 the finalizer of a network plugin on a policy", network, changes(isolation, func(p *networkingv1.NetworkPolicy) {
		p.Finalizers = append(p.Finalizers, "example.com/enforced")
	}), unseen, admitted},
	{"P3.10 migrate policies", root, changes(isolation, func(*networkingv1.NetworkPolicy) {}), unseen, admitted},
	{"P3.11 migrate Secrets", root, changes(secret("biller", delivered, nil), func(*corev1.Secret) {}), unseen, admitted},
	{"P3.12 migrate grants", root, changes(access, func(*v1alpha1.PersonalDataAccess) {}, byStrategic), unseen, admitted},
	{"P3.13 migrate role bindings", root, changes(roleBinding("data", v1alpha1.SecretAccessName, nil), func(*rbacv1.RoleBinding) {}), unseen, admitted},
	{"P3.14 write a status as it is", root, changesAt("status", builder.Purpose("billing").Obj(), func(*v1alpha1.Purpose) {}, byStrategic), unseen, admitted},
	{"P3.15 publish a purpose", privacy, creates(builder.Purpose("x").Obj()), unseen, admitted},
	{"P3.16 entrust in one's own name", officer, creates(builder.Entrustment("x").From("biller").To("rival").Parent("fees").Purposes("billing").Stores("data/orders").Obj()), hook(entrustmentHook, ""), admitted},
	{"P3.17 record a review", privacy, changes(builder.Entrustment("fees").Obj(), func(e *v1alpha1.Entrustment) {
		e.Spec.Supervision.Reviews = append(e.Spec.Supervision.Reviews, v1alpha1.Review{Date: "2026-11-01", Method: "Report", Result: "Satisfactory"})
	}, byStrategic), unseen, admitted},
	{"P3.18 register a party", privacy, creates(builder.Processor("x").Namespace("unheard-of").Obj()), unseen, admitted},
	{"P3.19 delete a purpose that nobody uses", privacy, deletes(builder.Purpose("unused").Obj()), hook(deleteHook, ""), admitted},
	{"P3.20 label a namespace", platform, changes(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "biller"}}, func(n *corev1.Namespace) { n.Labels["team"] = "x" }), unseen, admitted},
	{"P3.21 write an event", editor, posts(&corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "biller", Name: "x"}, InvolvedObject: corev1.ObjectReference{Namespace: "biller"}}), unseen, admitted},
}
