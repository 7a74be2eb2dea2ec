package rules

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("The rules", Ordered, ContinueOnFailure, func() {
	for rule, tries := range refusals() {
		for _, t := range tries {
			It("refuse by "+rule+": "+t.name, func(ctx context.Context) {
				err := t.attempt(ctx, admin)
				Expect(err).To(MatchError(ContainSubstring(t.says)))
				if t.says != missing { // which several rules ask for, and any of them may be the first
					Expect(err).To(MatchError(ContainSubstring("ValidatingAdmissionPolicy '%s'", rule)))
				}
			})
		}
	}

	for _, t := range permissions() {
		It("permit "+t.name, func(ctx context.Context) {
			Expect(t.attempt(ctx, client.NewDryRunClient(admin))).To(Succeed())
		})
	}

	It("let the operator write what is its own", func(ctx context.Context) {
		dry := client.NewDryRunClient(operator)
		for _, rule := range []string{"managed.entrustment.dev", "finalizers.entrustment.dev", "status.entrustment.dev"} {
			for _, t := range refusals()[rule] {
				Expect(t.attempt(ctx, dry)).To(Succeed(), t.name)
			}
		}
	})

	It("make no exception for controllers in a namespace that stays", func(ctx context.Context) {
		remove := deletes(policy("bound", "pds.archive", nil))
		Expect(remove(ctx, namespacer)).To(MatchError(ContainSubstring("written by it alone")))
		Expect(remove(ctx, collector)).To(MatchError(ContainSubstring("written by it alone")))
	})

	It("leave the pods of a workload to it, and its template to whoever writes it", func(ctx context.Context) {
		deploy := func(name string, pod *builder.PodBuilder) {
			template := pod.Label("app", name).Template()
			Expect(admin.Create(ctx, &appsv1.Deployment{
				ObjectMeta: metav1.ObjectMeta{Namespace: "bound", Name: name},
				Spec:       appsv1.DeploymentSpec{Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: template},
			})).To(Succeed())
		}
		made := func(name string) int {
			pods := &corev1.PodList{}
			Expect(admin.List(ctx, pods, client.InNamespace("bound"), client.MatchingLabels{"app": name})).To(Succeed())
			return len(pods.Items)
		}
		deploy("granted", declaring(""))
		deploy("ungranted", builder.Pod("bound", "").Purpose("marketing"))
		deploy("undeclared", builder.Pod("bound", ""))
		Eventually(made).WithArguments("granted").Should(Equal(2))
		Eventually(made).WithArguments("undeclared").Should(Equal(2))
		Eventually(func() *appsv1.DeploymentCondition {
			deployment := &appsv1.Deployment{}
			Expect(admin.Get(ctx, types.NamespacedName{Namespace: "bound", Name: "ungranted"}, deployment)).To(Succeed())
			for _, c := range deployment.Status.Conditions {
				if c.Type == appsv1.DeploymentReplicaFailure {
					return &c
				}
			}
			return nil
		}).Should(HaveField("Message", ContainSubstring("is not granted to namespace bound")))
		Expect(made("ungranted")).To(BeZero())
	})

	It("let a namespace go with all that is managed there", func(ctx context.Context) {
		uid := makeNamespace(ctx, "going")
		for _, object := range []client.Object{
			builder.Access("going").Namespace(uid).Grant("billing", "").Obj(), policy("going", "pds.orders", managed),
			secret("going", "pds.data.orders.reader", managed), roleBinding("going", "readers", managed),
		} {
			Expect(operator.Create(ctx, object)).To(Succeed())
		}
		Eventually(func() error { return admin.Create(ctx, builder.Pod("going", "pod").Purpose("billing").Obj()) }).Should(Succeed())
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "going"}}
		Expect(admin.Delete(ctx, namespace)).To(Succeed())
		Eventually(func() bool {
			return apierrors.IsNotFound(admin.Get(ctx, client.ObjectKeyFromObject(namespace), namespace))
		}).WithTimeout(time.Minute).Should(BeTrue())
	})

	It("are understood by the API server as they are meant", func(ctx context.Context) {
		policies := &admissionregistrationv1.ValidatingAdmissionPolicyList{}
		Eventually(func(g Gomega) {
			g.Expect(admin.List(ctx, policies)).To(Succeed())
			for _, p := range policies.Items {
				g.Expect(p.Status.TypeChecking).NotTo(BeNil(), p.Name)
				g.Expect(p.Status.TypeChecking.ExpressionWarnings).To(BeEmpty(), p.Name)
			}
		}).Should(Succeed())
	})

	// Last, because what was refused goes through meanwhile.
	for rule, tries := range refusals() {
		It("do not refuse without "+rule+" what it is there for", func(ctx context.Context) {
			live := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
			Expect(admin.Get(ctx, types.NamespacedName{Name: rule}, live)).To(Succeed())
			Expect(admin.Delete(ctx, live)).To(Succeed())
			DeferCleanup(func(ctx context.Context) {
				live.ResourceVersion, live.UID = "", ""
				Expect(admin.Create(ctx, live)).To(Succeed())
				Eventually(tries[0].attempt).WithArguments(ctx, client.NewDryRunClient(admin)).ShouldNot(Succeed())
			})
			Eventually(func() error {
				var err error
				for _, t := range tries {
					if err = t.attempt(ctx, client.NewDryRunClient(admin)); err == nil {
						return nil
					}
				}
				return err
			}).Should(Succeed())
		})
	}
})

// permissions are what no rule may be in the way of.
func permissions() []try {
	pod, plain := declaring("declaring").Obj(), ordinary("ordinary").Obj()
	all := []try{
		{name: "own handling", attempt: creates(builder.Pod("bound", "x").Purpose("billing").Obj())},
		{name: "an entrustment", attempt: creates(declaring("x").Obj())},
		{name: "a grant that lasts", attempt: creates(builder.Pod("bound", "x").Purpose("lasting").Obj())},
		{name: "anything declared where the binding reports", attempt: creates(builder.Pod("reporting", "x").Purpose("marketing").Entrustment("x").Obj())},
		{name: "no purpose where the binding reports", attempt: creates(builder.Pod("reporting", "x").Entrustment("x").Obj())},
		{name: "an ordinary pod without grants", attempt: creates(builder.Pod("unbound", "x").Obj())},
		{name: "an ordinary pod of the cluster", attempt: creates(with(builder.Pod("kube-system", "x"), func(p *corev1.Pod) { p.Spec.HostNetwork = true }))},
		{name: "an ordinary pod on the host", attempt: creates(with(ordinary("x"), func(p *corev1.Pod) {
			p.Spec.HostNetwork, p.Spec.HostPID, p.Spec.HostIPC, p.Spec.NodeName = true, true, true, "node"
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, "k8s.v1.cni.cncf.io/networks", "lan")
		}))},
		{name: "node affinity, as of the pods of a DaemonSet", attempt: creates(with(declaring("x"), func(p *corev1.Pod) {
			p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
				NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: "In", Values: []string{"node"}}}}},
			}}}
		}))},
		{name: "a binding", attempt: binds("declaring", binding("declaring", nil, map[string]string{"scheduler": "x"}))},
		{name: "deleting a pod", attempt: deletes(pod)},
		{name: "a Secret of one's own", attempt: creates(secret("bound", "x", map[string]string{"app": "pds.x"}))},
		{name: "a policy of one's own", attempt: creates(policy("bound", "x", nil))},
		{name: "deleting what is one's own", attempt: deletes(secret("bound", "foreign", nil))},
		{name: "deleting a store", attempt: deletes(builder.Store("bound", "orders").Obj())},
		{name: "finalizers of others", attempt: creates(edited(builder.Purpose("x").Obj(), func(p *v1alpha1.Purpose) { p.Finalizers = []string{"example.com/x"} }))},
	}
	for path, edit := range references() {
		all = append(all,
			try{name: "Secrets of one's own by " + path, attempt: creates(with(ordinary("x"), edit("orders")))},
			try{name: "delivered Secrets to a pod that declares by " + path, attempt: creates(with(declaring("x"), edit("pds.x")))})
	}
	all = append(all, changes("another image of an ordinary pod", "", plain, "", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "other" })...)
	all = append(all, changes("another label", "", pod, "", func(p *corev1.Pod) { p.Labels["version"] = "2" })...)
	all = append(all, changes("an end of its own", "", pod, "", func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To[int64](60) })...)
	all = append(all, changes("the kubelet's status", "", pod, "status", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })...)
	all = append(all, changes("an ephemeral container of an ordinary pod", "", plain, "ephemeralcontainers", func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug"}}}
	}, "apply", "JSON patch")...)
	all = append(all, changes("nothing on a pod", "", pod, "", func(*corev1.Pod) {})...)
	all = append(all, changes("nothing on a policy", "", policy("bound", "pds.archive", nil), "", func(*networkingv1.NetworkPolicy) {})...)
	all = append(all, changes("a network plugin's finalizer", "", policy("bound", "pds.archive", nil), "", func(p *networkingv1.NetworkPolicy) {
		p.Finalizers = append(p.Finalizers, "example.com/enforced")
	})...)
	all = append(all, changes("nothing on a Secret", "", secret("bound", "pds.data.orders.reader", nil), "", func(*corev1.Secret) {})...)
	all = append(all, changes("nothing on grants", "", builder.Access("bound").Obj(), "", func(*v1alpha1.PersonalDataAccess) {}, "strategic patch")...)
	all = append(all, changes("nothing on a status", "", builder.Purpose("billing").Obj(), "status", func(*v1alpha1.Purpose) {}, "strategic patch")...)
	all = append(all, changes("an annotation of a store", "", builder.Store("bound", "orders").Obj(), "", func(s *v1alpha1.PersonalDataStore) {
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, "note", "x")
	}, "strategic patch")...)
	return all
}

func edited[O any](object O, edit func(O)) O {
	edit(object)
	return object
}
