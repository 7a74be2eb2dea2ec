package bypass

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The world has one store, data/orders, which its controller acme uses in namespace own, and biller in namespace biller
// under the contract fees. Namespace reporting only reports; unbound is nobody's; former had a store; recreated was somebody else's once;
// closing is a store's that goes while a pod of the store stays.
var namespaces = []string{"data", "own", "biller", "reporting", "unbound", "former", "recreated", "closing", "leaving-store", "leaving-party"}

// managed labels an object as the operator's.
var managed = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}

// delivered is the Secret that brings the store's credential to biller.
var delivered = v1alpha1.DeliveredSecretName("data", "orders", "reader")

// ended is when a purpose and a contract ended of which the operator, whose clock is a day behind, does not know it yet.
var ended = time.Now().Add(-time.Hour).UTC().Truncate(time.Second)

// populate makes the namespaces and what people write in them.
func populate(ctx context.Context) {
	GinkgoHelper()
	setUp(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "silent"}})
	for _, name := range namespaces {
		setUp(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for _, name := range namespaces {
		Eventually(func() error {
			return admin.Get(ctx, types.NamespacedName{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
		}).Should(Succeed(), "until pods can be made in %s", name)
	}
	lasting := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for _, object := range []client.Object{
		builder.Purpose("billing").Obj(),
		builder.Purpose("invoicing").Parent("billing").Obj(),
		builder.Purpose("marketing").Obj(),
		builder.Purpose("unused").Obj(),
		builder.Purpose("whole").Obj(), builder.Purpose("part").Parent("whole").Obj(),
		builder.Purpose("consented").ConsentRequired().Obj(),
		builder.Purpose("rivalry").Controller("rival").Obj(),
		builder.Purpose("ended").NotAfter(ended).Obj(),
		builder.Purpose("lasting").NotAfter(lasting).Obj(),
		builder.Purpose("profiling").Prohibited().Obj(),
		builder.Processor("acme").Namespace("own").Namespace("recreated").Namespace("leaving-party").Obj(),
		builder.Processor("biller").Namespace("biller").Obj(),
		builder.Processor("adopter").Namespace("reporting").Report().Obj(),
		builder.Processor("rival").Obj(),
		secret("data", "orders-reader", nil), secret("data", "treasure", nil),
		store("data", "orders").Credential("reader", "orders-reader").Obj(),
		idle.DeepCopy(), opener.DeepCopy(), exposed.DeepCopy(), hosted.DeepCopy(),
		store("data", "numbered").Controller("rival").AllowedPurposes("rivalry").Selector(map[string]string{"app": "index", "apps.kubernetes.io/pod-index": "0"}).Obj(),
		store("closing", "orders").Obj(), store("leaving-store", "orders").Obj(),
		builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/orders").PriorApproval("rival").With(reviewed).Obj(),
		builder.Entrustment("fees-print").From("biller").To("rival").Parent("fees").Purposes("billing").Stores("data/orders").Obj(),
		builder.Entrustment("ending").To("biller").Purposes("billing").Stores("data/orders").NotAfter(ended).Obj(),
		builder.Entrustment("short").To("biller").Purposes("billing").Stores("data/orders").NotAfter(lasting).Obj(),
		builder.Entrustment("unarmed").To("biller").Purposes("billing").Stores("data/orders").NotAfter(lasting).With(unarmed).Obj(),
	} {
		setUp(ctx, object)
	}
}

// opener is a policy from before the rules, which opens the store idle.
var opener = edited(policy("data", "opener", nil), func(p *networkingv1.NetworkPolicy) {
	p.Spec.PodSelector = metav1.LabelSelector{MatchLabels: map[string]string{"app": "idle"}}
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
})

// hosted is a pod of the store exposed from before the rules, which no network policy sees.
var hosted = builder.Pod("data", "exposed-0").Label("app", "exposed").With(func(p *corev1.Pod) { p.Spec.HostNetwork = true }).Obj()

// people give the namespaces their pods and what else is there before anybody tries anything.
func people(ctx context.Context) {
	GinkgoHelper()
	for _, object := range []client.Object{
		// What is left of before; all else the operator has made.
		policy("former", "pds.archive", managed),
		secret("recreated", "pds.x", managed), secret("leaving-party", "pds.x", managed), roleBinding("leaving-store", "readers", managed),
	} {
		Expect(operatorWrites.Create(ctx, object)).To(Succeed())
	}
	held := storePod("closing")
	held.Finalizers = []string{"example.com/held"}
	for _, object := range []client.Object{
		policy("data", "foreign", nil), secret("biller", "foreign", nil), roleBinding("data", "foreign", nil),
		entrustees.DeepCopy(), handlers.DeepCopy(), leaver.DeepCopy(),
		acting.DeepCopy(), placed.DeepCopy(), ordinary("biller", "ordinary"), ordinary("unbound", "ordinary"), contracted.DeepCopy(),
		service(func(s *corev1.Service) { s.Name = "orders" }), ordinary("own", "ordinary"), ordinary("data", "tool"),
		storePod("data"), builder.Pod("data", "orders-1").Label("app", "orders").Obj(), held, storePod("leaving-store"),
		builder.Pod("leaving-party", "declaring").Purpose("billing").Obj(), builder.Pod("recreated", "declaring").Purpose("billing").Obj(),
	} {
		Eventually(func() error { return admin.Create(ctx, object) }).Should(Succeed(), "once the rules know the grants: %s", object.GetName())
	}
	readersRead(ctx)
	nowhere := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "silent"}}
	Expect(admin.SubResource("binding").Create(ctx, placed.DeepCopy(), nowhere)).To(Succeed())
	pod := storePod("data")
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(pod), pod)).To(Succeed())
	pod.Status.PodIP, pod.Status.PodIPs = storeAddress, []corev1.PodIP{{IP: storeAddress}}
	Expect(admin.Status().Update(ctx, pod)).To(Succeed())
}

func unarmed(e *v1alpha1.Entrustment) { e.Spec.PodDeadline = v1alpha1.PodDeadlineOff }

func reviewed(e *v1alpha1.Entrustment) {
	e.Spec.Supervision = &v1alpha1.Supervision{Reviews: []v1alpha1.Review{
		{Date: "2026-06-01", Method: "OnSiteAudit", Result: "Satisfactory"}}}
}

func store(namespace, name string) *builder.StoreBuilder {
	return builder.Store(namespace, name).AllowedPurposes("billing", "ended", "lasting").Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee)
}

// declaring is a pod of biller as it may be, also where no webhook gives it a deadline.
func declaring(name string) *builder.PodBuilder {
	return builder.Pod("biller", name).Purpose("billing").Entrustment("fees").Deadline(600)
}

// ordinary is a pod that is nobody's business.
func ordinary(namespace, name string) *corev1.Pod {
	return builder.Pod(namespace, name).Label("tier", "web").Obj()
}

// storePod is a pod of the store orders.
func storePod(namespace string) *corev1.Pod {
	return builder.Pod(namespace, "orders-0").Label("app", "orders").Obj()
}

func policy(namespace, name string, labels map[string]string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"tier": "web"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
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
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "default"}},
	}
}

func edited[O any](object O, edit func(O)) O {
	edit(object)
	return object
}

// recreate deletes the bound namespace with all that is in it, and lets somebody else make it again.
func recreate(ctx context.Context) {
	GinkgoHelper()
	party := &v1alpha1.DataProcessor{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
	Eventually(func(g Gomega) {
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(party), party)).To(Succeed())
		g.Expect(party.Status.Namespaces).To(ContainElement(HaveField("Name", "recreated")))
	}).Should(Succeed())
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "recreated"}}
	Expect(admin.Delete(ctx, namespace)).To(Succeed())
	Eventually(gone).WithArguments(ctx, namespace).WithTimeout(time.Minute).Should(BeTrue())
	setUp(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "recreated"}})
	Eventually(func() error {
		return admin.Get(ctx, types.NamespacedName{Namespace: "recreated", Name: "default"}, &corev1.ServiceAccount{})
	}).Should(Succeed())
	grantIn(ctx, "recreated", editor, "edit")
	Eventually(func(g Gomega) {
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(party), party)).To(Succeed())
		g.Expect(meta.FindStatusCondition(party.Status.Conditions, v1alpha1.ConditionReady)).To(
			HaveValue(HaveField("Reason", string(v1alpha1.ReasonNamespaceRecreated))))
	}).Should(Succeed())
}

// gone says whether an object is.
func gone(ctx context.Context, object client.Object) bool {
	return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object)))
}

// setUp creates an object of the world.
func setUp(ctx context.Context, object client.Object) {
	GinkgoHelper()
	Expect(admin.Create(ctx, object)).To(Succeed(), "%T %s", object, object.GetName())
}

func privileged() *corev1.SecurityContext { return &corev1.SecurityContext{Privileged: ptr.To(true)} }

// stays lets a pod stay on a node that is not there.
func stays(p *corev1.Pod) {
	p.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
}
