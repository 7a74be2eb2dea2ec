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
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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
	g.Expect(c.adopt(ctx)).To(Succeed())
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

	t.Run("alerts and dashboard ask for what is shown", c.shows)
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
			first, second = c.kill(t, first, second, syscall.SIGKILL, fmt.Sprintf("killed-%d", i), thief)
			first, second = c.kill(t, first, second, syscall.SIGTERM, fmt.Sprintf("stopped-%d", i), thief)
		}
	})

	var saved []*unstructured.Unstructured
	t.Run("uninstalled, it leaves closed what was, and alone what only reported", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		for namespace, name := range map[string]string{"data-billing": "billing-ledger-reader", "shop-data": "orders-reader"} {
			source := &corev1.Secret{StringData: map[string]string{"password": "secret"}}
			source.Namespace, source.Name = namespace, name
			g.Expect(c.admin.Create(ctx, source)).To(Succeed())
		}
		delivered := func(g Gomega) (names []string) {
			copies := &corev1.SecretList{}
			g.Expect(c.admin.List(ctx, copies, managed, client.HasLabels{v1alpha1.LabelCredential})).To(Succeed())
			for i := range copies.Items {
				names = append(names, client.ObjectKeyFromObject(&copies.Items[i]).String())
			}
			return names
		}
		ordersCopies := []string{"courier/pds.shop-data.orders.reader", "shop/pds.shop-data.orders.reader"}
		g.Eventually(delivered).Should(ContainElements("billing-entrustee/pds.data-billing.billing-ledger.reader", ordersCopies[0], ordersCopies[1]))
		running := biller()
		g.Expect(c.admin.Create(ctx, running)).To(Succeed())
		planner := func(name string) client.Object {
			return builder.Pod("courier", name).Purpose("delivery").Entrustment("delivery-by-courier").EnvFromSecret("pds.shop-data.orders.reader").Obj()
		}
		stays := planner("route-planner")
		g.Expect(c.admin.Create(ctx, stays)).To(Succeed())
		g.Expect(c.admitted(ctx, g)).NotTo(BeEmpty())

		c.drain(t) // while the replicas are there
		g.Expect(c.admitted(ctx, g)).To(BeEmpty(), "when the hook has succeeded")
		g.Expect(apierrors.IsNotFound(c.admin.Get(ctx, client.ObjectKeyFromObject(running), running))).To(BeTrue(), "what has an open connection is ended")
		g.Expect(c.admin.Get(ctx, client.ObjectKeyFromObject(stays), stays)).To(Succeed(), "a store that only reports ends nobody")
		g.Expect(stays.GetDeletionTimestamp()).To(BeNil())
		closed := c.access(ctx, g)
		g.Expect(closed).NotTo(HaveKey("shop-data/pds.orders"), "nor cuts")
		g.Expect(closed).To(HaveKeyWithValue("courier/pda.entrustment.delivery-by-courier", granted["courier/pda.entrustment.delivery-by-courier"]))
		g.Expect(c.uninstall(t)).To(Succeed())
		first.end(syscall.SIGTERM)
		second.end(syscall.SIGTERM)

		hooks := &admissionregistrationv1.MutatingWebhookConfigurationList{}
		g.Expect(c.admin.List(ctx, hooks)).To(Succeed())
		g.Expect(hooks.Items).To(BeEmpty())
		stores := &v1alpha1.PersonalDataStoreList{}
		g.Expect(c.admin.List(ctx, stores)).To(Succeed())
		g.Expect(stores.Items).NotTo(BeEmpty(), "what people wrote stays")
		for _, store := range stores.Items {
			g.Expect(store.Spec.Suspended).To(BeFalse(), "as they wrote it")
		}
		if diff := cmp.Diff(closed, c.access(ctx, g)); diff != "" {
			t.Errorf("policies stay; -before +after:\n%s", diff)
		}
		g.Expect(delivered(g)).To(ConsistOf(ordersCopies))
		g.Expect(dryRun(biller())).NotTo(Succeed(), "the rules of the API server stay")
		g.Expect(dryRun(planner("another"))).To(Succeed(), "and admit whom they admitted")
		g.Expect(c.admin.Create(ctx, builder.Pod("default", "ordinary").Obj(), client.DryRunAll)).To(Succeed())
	})

	t.Run("installed again, it gives back what is granted", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(2 * time.Minute)
		c.open = true
		g.Expect(c.install(t)).To(Succeed())
		first = c.replica(t, "replica-again")
		g.Eventually(first.ready).Should(Succeed())
		g.Eventually(admits).Should(Succeed())
		refuses(g)
		g.Eventually(func() string { return cmp.Diff(granted, c.access(ctx, g)) }).Should(BeEmpty())
	})

	t.Run("uninstalled with everything open, it leaves nothing that anybody has to wait for", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		c.drain(t)
		g.Expect(c.uninstall(t)).To(Succeed())
		first.end(syscall.SIGTERM)
		for _, kind := range []client.ObjectList{
			&admissionregistrationv1.ValidatingAdmissionPolicyList{}, &admissionregistrationv1.ValidatingAdmissionPolicyBindingList{},
			&networkingv1.NetworkPolicyList{}, &corev1.SecretList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{}, &v1alpha1.PersonalDataAccessList{},
		} {
			g.Expect(c.admin.List(ctx, kind, managed)).To(Succeed())
			g.Expect(meta.LenList(kind)).To(BeZero(), "%T", kind)
		}
		g.Eventually(func() error { return dryRun(thief()) }).Should(Succeed(), "the API server forgets a rule a moment after it is deleted")
		saved = c.backup(ctx, g)
		for _, all := range []client.ObjectList{
			&v1alpha1.EntrustmentList{}, &v1alpha1.PersonalDataStoreList{}, &v1alpha1.DataProcessorList{}, &v1alpha1.PurposeList{},
		} {
			g.Expect(c.admin.List(ctx, all)).To(Succeed())
			g.Expect(meta.LenList(all)).NotTo(BeZero(), "what people wrote stays")
			g.Expect(meta.EachListItem(all, func(object runtime.Object) error { return c.admin.Delete(ctx, object.(client.Object)) })).To(Succeed())
			g.Expect(c.admin.List(ctx, all)).To(Succeed())
			g.Expect(meta.LenList(all)).To(BeZero(), "%T: nothing holds them", all)
		}
	})

	t.Run("all that is rendered conforms", c.conforms) // here, because nothing of it is there

	t.Run("restored from a backup, it grants what was granted", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(2 * time.Minute)
		for _, object := range saved {
			g.Expect(c.admin.Create(ctx, object)).To(Succeed())
		}
		g.Expect(c.install(t)).To(Succeed())
		first = c.replica(t, "replica-restored")
		g.Eventually(first.ready).Should(Succeed())
		g.Eventually(admits).Should(Succeed())
		g.Eventually(refuses).Should(Succeed())
		g.Eventually(func() string { return cmp.Diff(granted, c.access(ctx, g)) }).Should(BeEmpty())
	})
}

// backup is what docs/install.md saves.
func (c *cluster) backup(ctx context.Context, g Gomega) (saved []*unstructured.Unstructured) {
	for _, kind := range []string{"Purpose", "DataProcessor", "Entrustment", "PersonalDataStore"} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind + "List"))
		g.Expect(c.admin.List(ctx, list)).To(Succeed())
		for i := range list.Items {
			object := &list.Items[i]
			delete(object.Object, "status")
			for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"} {
				unstructured.RemoveNestedField(object.Object, "metadata", field)
			}
			saved = append(saved, object)
		}
	}
	return saved
}

// managed is what the operator made.
var managed = client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}

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
	g.Expect(leader.command.Process.Signal(how)).To(Succeed())
	g.Eventually(func() string { return c.leader(ctx, g) }).ShouldNot(Or(BeEmpty(), Equal(holder)))
	took := time.Since(began)
	<-leader.ended
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
