package bypass

import (
	"context"
	"errors"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The rules on pods that use an account which reads delivered Secrets.
const (
	readersRule     = "readers.entrustment.dev"
	readerTemplates = "readers-templates.entrustment.dev"
)

// The accounts named reader declare what they are for, and the operator lets them read it.
var (
	entrustees = account("biller", "reader", v1alpha1.LabelPurpose, "billing", v1alpha1.LabelEntrustment, "fees")
	handlers   = account("own", "reader", v1alpha1.LabelPurpose, "billing")
	leaver     = account("leaving-party", "reader", v1alpha1.LabelPurpose, "billing")

	entrusteesRole = v1alpha1.ReaderName("billing", "fees") // and its binding

	reading = actor{name: "system:serviceaccount:biller:reader"}
	beside  = actor{name: "system:serviceaccount:biller:default"}
)

// readerVectors are N4, S1 and S3 as to accounts that read through the API.
var readerVectors = func() []vector {
	const ungranted, unbound = "is not granted to namespace", "no params found"
	declares := func(namespace, name string, labels ...string) []try {
		return creates(account(namespace, name, labels...))
	}
	purpose, contract := v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment
	relabelled := func(key, value string) func(*corev1.ServiceAccount) {
		return func(a *corev1.ServiceAccount) { metav1.SetMetaDataLabel(&a.ObjectMeta, key, value) }
	}
	ordinaryAccount := account("biller", "default")

	alone := func(what string) verdict {
		return guard(managedRule, what+" of entrustment-operator are written by it alone")
	}
	roles, bindings := alone("roles"), alone("rolebindings")
	itsRole, itsBinding := secretsRole("biller", entrusteesRole, nil), roleBinding("biller", entrusteesRole, nil)
	toItsRole := func(name string) *rbacv1.RoleBinding {
		return edited(roleBinding("biller", name, nil), func(b *rbacv1.RoleBinding) { b.RoleRef.Kind, b.RoleRef.Name = "Role", entrusteesRole })
	}
	generated := edited(secretsRole("biller", "", nil), func(r *rbacv1.Role) { r.GenerateName = "pds." })

	const entrusted = `ServiceAccount "reader" reads Secrets for purpose "billing" under entrustment "fees", so a pod that uses it declares the same`
	const own = `ServiceAccount "reader" reads Secrets for purpose "billing" under no entrustment, so a pod that uses it declares the same`
	undeclared := edited(ordinary("biller", "x"), usesReader)

	all := []vector{
		{"N4.80 let an account declare another controller's purpose", editor, declares("own", "x", purpose, "marketing"), unseen, guard(grants, ungranted)},
		{"N4.81 let it declare an empty purpose", editor, declares("own", "x", purpose, ""), unseen, guard(grants, ungranted)},
		{"N4.82 let it declare somebody else's contract", editor, declares("own", "x", purpose, "billing", contract, "fees"), unseen, guard(grants, ungranted)},
		{"N4.83 let it declare an empty contract", editor, declares("own", "x", purpose, "billing", contract, ""), unseen, guard(grants, ungranted)},
		{"N4.84 let it declare no contract where one is needed", editor, declares("biller", "x", purpose, "billing"), unseen, guard(grants, ungranted)},
		{"N4.85 let it declare a purpose beyond the contract", editor, declares("biller", "x", purpose, "lasting", contract, "fees"), unseen, guard(grants, ungranted)},
		{"N4.86 let it declare a purpose that has ended, of which the operator does not know yet", editor, declares("own", "x", purpose, "ended"), unseen, guard(grants, ungranted)},
		{"N4.87 let it declare without a binding", editor, declares("unbound", "x", purpose, "billing"), unseen, guard(grants, unbound)},
		{"N4.88 let it declare as the cluster's administrator", root, declares("unbound", "x", purpose, "billing"), unseen, guard(grants, unbound)},
		{"N4.89 let it declare a contract and no purpose", editor, declares("biller", "x", contract, "fees"), unseen, guard(purposeless, "has to declare a purpose")},
		{"N4.90 let an account declare another purpose", editor, changes(entrustees, relabelled(purpose, "lasting")), unseen, guard(labels, immutable)},
		{"N4.91 take its contract away", editor, changes(entrustees, func(a *corev1.ServiceAccount) { delete(a.Labels, contract) }, byApply), unseen, guard(labels, immutable)},
		{"N4.92 take both away", editor, changes(entrustees, func(a *corev1.ServiceAccount) { a.Labels = nil }, byApply), unseen, guard(labels, immutable)},
		{"N4.93 let an ordinary account declare a purpose afterwards", editor, changes(ordinaryAccount, relabelled(purpose, "billing")), unseen, guard(labels, immutable)},
		{"N4.94 let it declare a contract afterwards", editor, changes(ordinaryAccount, relabelled(contract, "fees")), unseen, guard(labelsAlone, immutable)},
		{"N4.95 likewise as the cluster's administrator", root, changes(ordinaryAccount, relabelled(contract, "fees")), unseen, guard(labelsAlone, immutable)},

		{"S3.10 make a role in the operator's name", boss, creates(secretsRole("biller", "x", managed)), unseen, roles},
		{"S3.11 make the role of readers before the operator does", boss, creates(secretsRole("biller", v1alpha1.ReaderName("billing", ""), nil)), unseen, roles},
		{"S3.12 make one under a generated name", boss, posts(generated), unseen, roles},
		{"S3.13 make one in a namespace of nobody", root, creates(secretsRole("unbound", entrusteesRole, nil)), unseen, roles},
		{"S3.14 let readers read all", boss, changes(itsRole, func(r *rbacv1.Role) { r.Rules[0].ResourceNames = nil }), unseen, roles},
		{"S3.15 take the label of their role away", boss, changes(itsRole, func(r *rbacv1.Role) { r.Labels = nil }, byApply), unseen, roles},
		{"S3.16 hold their role beyond its end", boss, changes(itsRole, func(r *rbacv1.Role) { r.Finalizers = append(r.Finalizers, "example.com/keep") }), unseen, roles},
		{"S3.17 hang it on a dead owner", boss, changes(itsRole, func(r *rbacv1.Role) { r.OwnerReferences = dead }), unseen, roles},
		{"S3.18 delete it", boss, deletes(itsRole), unseen, roles},
		{"S3.19 delete all", boss, sweeps(&rbacv1.Role{}, "biller", nil), unseen, roles},
		{"S3.20 make it as a developer", editor, creates(secretsRole("biller", "x", managed)), unseen, forbidden},
		{"S3.21 make the binding of readers before the operator does", boss, creates(roleBinding("biller", v1alpha1.ReaderName("billing", ""), nil)), unseen, bindings},
		{"S3.22 bind somebody else to their role", boss, creates(toItsRole("x")), unseen, bindings},
		{"S3.23 likewise as the cluster's administrator", root, creates(toItsRole("x")), unseen, bindings},
		{"S3.24 add an account to their binding", boss, changes(itsBinding, func(b *rbacv1.RoleBinding) {
			b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "biller", Name: "default"})
		}), unseen, bindings},
		{"S3.25 take its labels away, which say what its accounts declare", boss, changes(itsBinding, func(b *rbacv1.RoleBinding) { b.Labels = nil }, byApply), unseen, bindings},
		{"S3.26 let it say something else", root, changes(itsBinding, func(b *rbacv1.RoleBinding) { delete(b.Labels, contract) }, byApply), unseen, bindings},
		{"S3.27 delete it", boss, deletes(itsBinding), unseen, bindings},
		{"S3.28 read another Secret by the account that reads", reading, reads("foreign"), unseen, forbidden},
		{"S3.29 list Secrets by it", reading, lists(), unseen, forbidden},
		{"S3.30 read by an account that declares nothing", beside, reads(delivered), unseen, forbidden},

		{"S1.40 use the account that reads, and declare nothing", editor, creates(undeclared), unseen, guard(readersRule, entrusted)},
		{"S1.41 use it by the field's old name", editor, creates(edited(ordinary("biller", "x"), func(p *corev1.Pod) { p.Spec.DeprecatedServiceAccount = "reader" })), unseen, guard(readersRule, entrusted)},
		{"S1.42 use it as a workload controller", replicator, posts(undeclared), unseen, guard(readersRule, entrusted)},
		{"S1.43 use it as the cluster's administrator", root, creates(undeclared), unseen, guard(readersRule, entrusted)},
		{"S1.44 use it, and declare another contract", editor, creates(builder.Pod("biller", "x").Purpose("billing").Entrustment("ending").With(usesReader).Obj()),
			pods(""), guard(either(grants, readersRule), "")},
		{"S1.45 use it, and declare another purpose", editor, creates(builder.Pod("own", "x").Purpose("lasting").With(usesReader).Obj()), pods(""), guard(readersRule, own)},
		{"S1.46 use it, and declare a part of its purpose", editor, creates(builder.Pod("own", "x").Purpose("invoicing").With(usesReader).Obj()), pods(""), guard(readersRule, own)},

		{"P11.01 an ordinary account", editor, declares("biller", "x", "app", "web"), unseen, admitted},
		{"P11.02 an ordinary account of a namespace of nobody", editor, declares("unbound", "x"), unseen, admitted},
		{"P11.03 an account for own handling", editor, declares("own", "x", purpose, "billing"), unseen, admitted},
		{"P11.04 an account of an entrustee", editor, declares("biller", "x", purpose, "billing", contract, "fees"), unseen, admitted},
		{"P11.05 an account for a grant that lasts", editor, declares("own", "x", purpose, "lasting"), unseen, admitted},
		{"P11.06 an account for anything, where the binding reports", editor, declares("reporting", "x", purpose, "marketing"), unseen, admitted},
		{"P11.07 an account without a purpose, where the binding reports", editor, declares("reporting", "x", contract, "x"), unseen, admitted},
		{"P11.08 another label of an account that declares", editor, changes(entrustees, relabelled("app", "web")), unseen, admitted},
		{"P11.09 delete it", editor, deletes(entrustees), unseen, admitted},
		{"P11.10 a pod that declares what its account does", editor, creates(declaring("x").With(usesReader).Obj()), pods(""), admitted},
		{"P11.11 a pod of own handling that does", editor, creates(builder.Pod("own", "x").Purpose("billing").With(usesReader).Obj()), pods(""), admitted},
		{"P11.12 an ordinary account beside readers", editor, creates(edited(ordinary("biller", "x"), func(p *corev1.Pod) { p.Spec.ServiceAccountName = "default" })), unseen, admitted},
		{"P11.13 a role of one's own", boss, creates(secretsRole("biller", "x", nil)), unseen, admitted},
		{"P11.14 a role binding of one's own", boss, creates(roleBinding("biller", "x", nil)), unseen, admitted},
		{"P11.15 migrate roles", root, changes(itsRole, func(*rbacv1.Role) {}), unseen, admitted},
		{"P11.16 read what one's account declares", reading, reads(delivered), unseen, admitted},
	}
	for i, workload := range workloads("biller", builder.Pod("biller", "").Label("app", "x").With(usesReader).Template())[:7] {
		all = append(all, vector{fmt.Sprintf("A3.%02d template a pod that uses the account that reads and declares nothing in a %T", i+61, workload), editor,
			creates(workload), unseen, verdict{warns, readerTemplates, entrusted}})
	}
	for i, workload := range workloads("biller", declaring("").Label("app", "x").With(usesReader).Template())[:7] {
		all = append(all, vector{fmt.Sprintf("P11.%02d template a pod that declares what its account does in a %T", i+21, workload), editor,
			silently(creates(workload), "reads Secrets"), unseen, admitted})
	}
	return all
}()

func account(namespace, name string, labels ...string) *corev1.ServiceAccount {
	made := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for i := 0; i < len(labels); i += 2 {
		metav1.SetMetaDataLabel(&made.ObjectMeta, labels[i], labels[i+1])
	}
	return made
}

func usesReader(p *corev1.Pod) { p.Spec.ServiceAccountName = "reader" }

// secretsRole lets read a delivered Secret.
func secretsRole(namespace, name string, labels map[string]string) *rbacv1.Role {
	return &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{delivered}, Verbs: []string{"get"}}},
	}
}

// reads gets a Secret of biller, lists gets all.
func reads(name string) []try {
	return []try{{"GET", func(ctx context.Context, s session) error {
		return s.Get(ctx, client.ObjectKey{Namespace: "biller", Name: name}, &corev1.Secret{})
	}}}
}

func lists() []try {
	return []try{{"LIST", func(ctx context.Context, s session) error {
		return s.List(ctx, &corev1.SecretList{}, client.InNamespace("biller"))
	}}}
}

// silently fails where a warning comes with such words.
func silently(tries []try, words string) []try {
	var silent []try
	for _, t := range tries {
		silent = append(silent, try{t.way, func(ctx context.Context, s session) error {
			return errors.Join(t.do(ctx, s), s.warnings.mention(words))
		}})
	}
	return silent
}

// readersRead waits until the operator lets the accounts read.
func readersRead(ctx context.Context) {
	GinkgoHelper()
	for _, a := range []*corev1.ServiceAccount{entrustees, handlers, leaver} {
		binding := &rbacv1.RoleBinding{}
		name := v1alpha1.ReaderName(a.Labels[v1alpha1.LabelPurpose], a.Labels[v1alpha1.LabelEntrustment])
		Eventually(func() error { return admin.Get(ctx, client.ObjectKey{Namespace: a.Namespace, Name: name}, binding) }).Should(Succeed(), a.Namespace)
		Expect(binding.Subjects).To(ConsistOf(rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: a.Namespace, Name: a.Name}))
	}
}
