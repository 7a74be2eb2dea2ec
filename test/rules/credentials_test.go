package rules

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// addCredentials are the refusals by the rules on delivered Secrets, and on the role that reads them.
func addCredentials(add func(rule string, tries ...try)) {
	const mounting, binding = "granted-secrets.entrustment.dev", "secret-access.entrustment.dev"
	for path, edit := range references() {
		add(mounting,
			try{"one that the grant does not list, by " + path, creates(with(declaring("x"), edit("pds.data.other.reader"))),
				`Secret pds.data.other.reader is not granted to a pod with purpose "billing" under entrustment "fees" in namespace bound`},
			try{"where the binding reports, by " + path, creates(with(builder.Pod("reporting", "x").Purpose("billing"), edit("pds.x"))),
				`Secret pds.x is not granted to a pod with purpose "billing" under no entrustment in namespace reporting`})
	}
	secret := references()["env"]("pds.x")
	add(mounting, try{"one of another grant", creates(with(builder.Pod("bound", "x").Purpose("billing"), secret)), "under no entrustment"})
	debug := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "debug", Env: []corev1.EnvVar{
		{Name: "password", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secretKey("pds.data.other.reader")}},
	}}}
	add(mounting, changes("one of an ephemeral container", "is not granted to a pod", declaring("declaring").Obj(), "ephemeralcontainers", func(p *corev1.Pod) {
		p.Spec.EphemeralContainers = []corev1.EphemeralContainer{debug}
	}, "apply", "JSON patch")...)

	const says = "is bound by entrustment-operator alone"
	add(binding,
		try{"a RoleBinding", creates(secretAccess("anybody", "bound", "entrustment-operator")), says},
		try{"a RoleBinding of the operator's name", creates(secretAccess(v1alpha1.SecretAccessName, "bound", "entrustment-operator")), says},
		try{"a ClusterRoleBinding", creates(&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "x"}, RoleRef: secretAccess("", "", "").RoleRef, Subjects: secretAccess("", "", "entrustment-operator").Subjects,
		}), says})
}

func secretAccess(name, namespace, account string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: v1alpha1.SecretAccessName},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "entrustment-system", Name: account}},
	}
}

var _ = Describe("The role that reads Secrets", func() {
	It("is bound by the operator to itself, in one namespace", func(ctx context.Context) {
		dry := client.NewDryRunClient(operator)
		Expect(dry.Create(ctx, secretAccess(v1alpha1.SecretAccessName, "bound", "entrustment-operator"))).To(Succeed())
		Expect(dry.Create(ctx, secretAccess(v1alpha1.SecretAccessName, "bound", "default"))).To(MatchError(ContainSubstring("to itself")))
		Expect(dry.Create(ctx, secretAccess("another", "bound", "entrustment-operator"))).To(MatchError(ContainSubstring("to itself")))
		Expect(dry.Create(ctx, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "x"}, RoleRef: secretAccess("", "", "").RoleRef, Subjects: secretAccess("", "", "entrustment-operator").Subjects,
		})).To(MatchError(ContainSubstring("in the namespaces")))
	})
})

var _ = Describe("A pod whose grant lists a Secret", func() {
	It("may have it, unless the grant ended", func(ctx context.Context) {
		dry := client.NewDryRunClient(admin)
		secret := references()["secret"]("pds.x")
		Expect(dry.Create(ctx, with(declaring("x"), secret))).To(Succeed())
		Expect(dry.Create(ctx, with(builder.Pod("bound", "x").Purpose("lasting"), secret))).NotTo(Succeed())
	})
})
