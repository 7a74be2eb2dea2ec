package install

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/test/builder"
)

// earlierChart is the chart as it was some time ago: make earlier.
const earlierChart = "testdata/entrustment-operator-earlier.tgz"

// Whoever upgrades from an earlier chart, with the operator killed in between, keeps what is granted, and gets no more.
//
// The operator that works under the earlier chart is today's, for want of the earlier one: it is lent the rights that it lacks there.
func TestUpgradeFromAnEarlierChart(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	ctx := t.Context()
	c := start(t)
	with := c.values()
	delete(with, "uninstall") // of which the earlier chart knows nothing
	g.Expect(c.installChart(t, earlierChart, with)).To(Succeed())

	lent := &rbacv1.ClusterRoleBinding{
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}
	lent.Name = "lent"
	g.Expect(c.admin.Create(ctx, lent)).To(Succeed())
	before := c.replica(t, "before")
	g.Eventually(before.ready).Should(Succeed())
	g.Expect(c.publish(ctx, time.Now().UTC().AddDate(0, -4, 0).Year())).To(Succeed())
	dryRun := func(pod client.Object) error { return c.admin.Create(ctx, pod, client.DryRunAll) }
	biller := builder.Pod("billing-entrustee", "biller").Purpose("billing").Entrustment("fees")
	thief := builder.Pod("billing-entrustee", "thief").Purpose("recommendation").Entrustment("fees")
	g.Eventually(func() error { return dryRun(biller.Obj()) }).Should(Succeed())
	granted, judged := c.settled(ctx, g), c.judged(ctx, g)
	g.Expect(granted).NotTo(BeEmpty())

	before.end(os.Kill)
	g.Expect(c.admin.Delete(ctx, lent)).To(Succeed())
	g.Expect(c.upgrade(t)).To(Succeed())
	g.Expect(dryRun(thief.Obj())).NotTo(Succeed(), "with nobody there")
	g.Expect(c.judged(ctx, g)).To(Equal(judged), "the namespaces in which connections are judged")
	if diff := cmp.Diff(granted, c.access(ctx, g)); diff != "" {
		t.Errorf("with nobody there; -before +after:\n%s", diff)
	}

	one, two := c.replica(t, "one"), c.replica(t, "two")
	g.Eventually(one.ready).Should(Succeed())
	g.Eventually(two.ready).Should(Succeed())
	g.Eventually(func() error { return dryRun(biller.Obj()) }).Should(Succeed())
	g.Expect(apierrors.IsForbidden(dryRun(thief.Obj()))).To(BeTrue())
	if diff := cmp.Diff(granted, c.settled(ctx, g)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}
