package install

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// rounds is how often the leader is killed: more often where ENTRUSTMENT_LONG says so, or as often as LEADER_KILLS says.
func rounds(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("LEADER_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("LEADER_KILLS must be a number: %v", err)
		}
		return n
	}
	if os.Getenv("ENTRUSTMENT_LONG") != "" {
		return 10
	}
	return 1
}

// From nothing to protected, through an upgrade, the death of leaders, and removal.
func TestInstallUpgradeUninstall(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	ctx := t.Context()
	c := start(t)

	g.Expect(c.install(t)).To(Succeed())
	first := c.replica(t, "replica-1")
	g.Eventually(first.ready).Should(Succeed())
	second := c.replica(t, "replica-2")
	g.Eventually(second.ready).Should(Succeed())

	g.Expect(c.publish(ctx, time.Now().UTC().AddDate(0, -4, 0).Year())).To(Succeed())
	biller := func() client.Object {
		return builder.Pod("billing-entrustee", "biller").Purpose("billing").Entrustment("fees").Obj()
	}
	thief := func() client.Object {
		return builder.Pod("billing-entrustee", "thief").Purpose("recommendation").Entrustment("fees").Obj()
	}
	dryRun := func(pod client.Object) error { return c.admin.Create(ctx, pod, client.DryRunAll) }
	admits := func(g Gomega) { g.Expect(dryRun(biller())).To(Succeed()) }
	refuses := func(g Gomega) { g.Expect(apierrors.IsForbidden(dryRun(thief()))).To(BeTrue(), "%v", dryRun(thief())) }
	g.Eventually(admits).Should(Succeed())
	g.Eventually(refuses).Should(Succeed())
	granted := c.settled(ctx, g)
	g.Expect(granted).NotTo(BeEmpty())

	t.Run("people may do what their role says", c.peopleMay)

	t.Run("an upgrade with the operator killed in between keeps what is granted, and no more", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		judged := c.judged(ctx, g)
		first.end(os.Kill)
		second.end(os.Kill)
		g.Expect(c.upgrade(t)).To(Succeed())
		g.Expect(dryRun(thief())).NotTo(Succeed(), "with nobody there")
		g.Expect(c.judged(ctx, g)).To(Equal(judged), "the namespaces in which connections are judged")
		first, second = c.replica(t, "replica-3"), c.replica(t, "replica-4")
		g.Eventually(first.ready).Should(Succeed())
		g.Eventually(second.ready).Should(Succeed())
		g.Eventually(admits).Should(Succeed())
		refuses(g)
		if diff := cmp.Diff(granted, c.settled(ctx, g)); diff != "" {
			t.Errorf("-before +after:\n%s", diff)
		}
	})

	t.Run("the leader dies under load", func(t *testing.T) {
		if first.over() || second.over() {
			t.Fatal("there are no two replicas")
		}
		for i := range rounds(t) {
			first, second = c.kill(t, first, second, syscall.SIGKILL, fmt.Sprintf("replica-%d", i+5), thief)
		}
		first, second = c.kill(t, first, second, syscall.SIGTERM, "replica-last", thief)
	})

	t.Run("without the operator, what was closed before stays closed", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		c.suspendStores(ctx, g)
		g.Eventually(func() []string { return c.admitted(ctx, g) }).Should(BeEmpty())
		closed := c.settled(ctx, g)
		first.end(syscall.SIGTERM)
		second.end(syscall.SIGTERM)
		g.Expect(c.uninstall(t)).To(Succeed())

		hooks := &admissionregistrationv1.MutatingWebhookConfigurationList{}
		g.Expect(c.admin.List(ctx, hooks)).To(Succeed())
		g.Expect(hooks.Items).To(BeEmpty())
		stores := &v1alpha1.PersonalDataStoreList{}
		g.Expect(c.admin.List(ctx, stores)).To(Succeed())
		g.Expect(stores.Items).NotTo(BeEmpty(), "what people wrote stays")
		if diff := cmp.Diff(closed, c.access(ctx, g)); diff != "" {
			t.Errorf("policies of stores stay; -before +after:\n%s", diff)
		}
		g.Expect(dryRun(biller())).NotTo(Succeed(), "the rules of the API server stay")
		g.Expect(c.admin.Create(ctx, builder.Pod("default", "ordinary").Obj(), client.DryRunAll)).To(Succeed())
	})

	t.Run("and is opened on purpose", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		managed := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		for _, kind := range []client.Object{
			&admissionregistrationv1.ValidatingAdmissionPolicyBinding{}, &admissionregistrationv1.ValidatingAdmissionPolicy{},
		} {
			g.Expect(c.admin.DeleteAllOf(ctx, kind, managed)).To(Succeed())
		}
		for _, kind := range []client.Object{&networkingv1.NetworkPolicy{}, &corev1.Secret{}, &rbacv1.RoleBinding{}} {
			namespaces := &corev1.NamespaceList{}
			g.Expect(c.admin.List(ctx, namespaces)).To(Succeed())
			for _, each := range namespaces.Items {
				// The API server forgets a rule a moment after it is deleted.
				g.Eventually(func() error { return c.admin.DeleteAllOf(ctx, kind, managed, client.InNamespace(each.Name)) }).Should(Succeed())
			}
		}
		g.Expect(c.access(ctx, g)).To(BeEmpty())
		g.Eventually(func() error { return dryRun(biller()) }).Should(Succeed())
	})
}

// suspendStores is what docs/install.md does before the operator goes.
func (c *cluster) suspendStores(ctx context.Context, g Gomega) {
	stores := &v1alpha1.PersonalDataStoreList{}
	g.Expect(c.admin.List(ctx, stores)).To(Succeed())
	for i := range stores.Items {
		g.Expect(c.admin.Patch(ctx, &stores.Items[i], client.RawPatch(types.MergePatchType,
			[]byte(`{"spec":{"suspended":true,"suspendedReason":"the operator is removed"}}`)))).To(Succeed())
	}
}

// admitted are the policies of stores that admit anybody of another namespace.
func (c *cluster) admitted(ctx context.Context, g Gomega) (names []string) {
	policies := &networkingv1.NetworkPolicyList{}
	g.Expect(c.admin.List(ctx, policies, client.HasLabels{v1alpha1.LabelStore})).To(Succeed())
	for _, policy := range policies.Items {
		for _, rule := range policy.Spec.Ingress {
			for _, peer := range rule.From {
				if peer.NamespaceSelector != nil {
					names = append(names, policy.Namespace+"/"+policy.Name)
				}
			}
		}
	}
	return names
}

// kill ends the leader while forbidden pods are tried without a pause, prints how long it takes until another leads, and
// returns the two that run then.
func (c *cluster) kill(t *testing.T, first, second *replica, how syscall.Signal, next string, forbidden func() client.Object) (*replica, *replica) {
	t.Helper()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	g.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	tried, admitted := make(chan int, 1), make(chan error, 1)
	go func() {
		n := 0
		defer func() { tried <- n }()
		for ; ctx.Err() == nil; n++ {
			if err := c.admin.Create(ctx, forbidden(), client.DryRunAll); err == nil {
				admitted <- fmt.Errorf("a forbidden pod was admitted")
				return
			}
		}
	}()

	g.Eventually(func() bool { return c.leads(first) || c.leads(second) }).Should(BeTrue())
	holder := c.leader(ctx, g)
	leader, other := first, second
	if c.leads(second) {
		leader, other = second, first
	}
	began := time.Now()
	leader.end(how)
	g.Eventually(func() string { return c.leader(ctx, g) }).ShouldNot(Or(BeEmpty(), Equal(holder)))
	took := time.Since(began)
	replacement := c.replica(t, next)
	g.Eventually(replacement.ready).Should(Succeed())
	stop()
	t.Logf("%s: another replica led after %s; %d forbidden pods were tried meanwhile", how, took.Round(10*time.Millisecond), <-tried)
	g.Expect(admitted).NotTo(Receive())
	return other, replacement
}

// leader is who holds the lease.
func (c *cluster) leader(ctx context.Context, g Gomega) string {
	lease := &coordinationv1.Lease{}
	err := c.admin.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, lease)
	g.Expect(client.IgnoreNotFound(err)).To(Succeed())
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// leads tells by the log: names of holders are those of the machine, which the replicas share.
func (c *cluster) leads(r *replica) bool {
	return strings.Contains(r.log.String(), "uccessfully acquired lease")
}

// access is who is let to whom: the peers of every policy that the operator keeps.
func (c *cluster) access(ctx context.Context, g Gomega) map[string]any {
	policies := &networkingv1.NetworkPolicyList{}
	g.Expect(c.admin.List(ctx, policies, client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy})).To(Succeed())
	all := map[string]any{}
	for _, policy := range policies.Items {
		all[policy.Namespace+"/"+policy.Name] = policy.Spec
	}
	return all
}

// settled is the access once it changes no more.
func (c *cluster) settled(ctx context.Context, g Gomega) (access map[string]any) {
	g.Eventually(func() bool {
		before := access
		access = c.access(ctx, g)
		return cmp.Equal(before, access)
	}).MustPassRepeatedly(40).Should(BeTrue())
	return access
}

// judged are the namespaces in which the operator judges connections.
func (c *cluster) judged(ctx context.Context, g Gomega) []metav1.LabelSelectorRequirement {
	hooks := &admissionregistrationv1.MutatingWebhookConfiguration{}
	g.Expect(c.admin.Get(ctx, types.NamespacedName{Name: name}, hooks)).To(Succeed())
	for _, hook := range hooks.Webhooks {
		if hook.Name == "intervene.admission.entrustment.dev" {
			return hook.NamespaceSelector.MatchExpressions
		}
	}
	return nil
}
