package e2e

import (
	"net"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/e2e/attempt"
)

// The host outside the cluster that hack/node makes.
const outside = "192.0.2.2"

var _ = Describe("The way out", func() {
	It("is closed to pods under a contract, but for what the contract names", func(ctx SpecContext) {
		onOwnNode()
		listenOutside(ctx, "8443")
		elsewhere := net.JoinHostPort(outside, "8443")
		api := "kubernetes.default.svc.cluster.local:443"
		free := start(ctx, agent("default", "free", "dial", elsewhere, api))
		comesTo(ctx, free, elsewhere, attempt.Open, time.Time{})
		comesTo(ctx, free, api, attempt.Open, time.Time{})
		bound := start(ctx, underContract("bound", "dial", elsewhere, api, host(ledger)+":5432"))
		comesTo(ctx, bound, host(ledger)+":5432", attempt.Open, time.Time{})
		neverReaches(ctx, bound, elsewhere)
		neverReaches(ctx, bound, api)
	}, NodeTimeout(time.Minute))

	It("leads to a store outside the cluster for pods with a grant alone", func(ctx SpecContext) {
		onOwnNode()
		listenOutside(ctx, "5433")
		store := &v1alpha1.PersonalDataStore{}
		Expect(admin.Get(ctx, ledger, store)).To(Succeed())
		external := &v1alpha1.PersonalDataStore{Spec: *store.Spec.DeepCopy()}
		external.Namespace, external.Name = ledgerIn, "archive"
		external.Spec.Credentials = nil
		external.Spec.Endpoint = v1alpha1.Endpoint{
			External: &v1alpha1.ExternalEndpoint{CIDRs: []string{outside + "/32"}},
			Ports:    []v1alpha1.Port{{Port: 5433, Protocol: "TCP"}},
		}
		Expect(admin.Create(ctx, external)).To(Succeed())
		DeferCleanup(func(ctx SpecContext) { // a store that somebody may reach is not deleted
			before := external.DeepCopy()
			external.Spec.Suspended, external.Spec.SuspendedReason = true, "the spec is over"
			Expect(admin.Patch(ctx, external, client.MergeFrom(before))).To(Succeed())
			Eventually(func() error { return admin.Delete(ctx, external) }).WithContext(ctx).Should(Succeed())
		})

		archive := net.JoinHostPort(outside, "5433")
		granted := start(ctx, agent(own, "archivist", "dial", archive).Purpose(ownUse))
		comesTo(ctx, granted, archive, attempt.Open, time.Time{})
		undeclared := start(ctx, agent(own, "no-archivist", "dial", archive))
		comesTo(ctx, undeclared, archive, attempt.Silent, time.Time{})
		neverReaches(ctx, start(ctx, underContract("not-entrusted", "dial", archive)), archive)
	}, NodeTimeout(time.Minute))
})

// listenOutside lets the host outside accept connections on a port until the end of the spec.
func listenOutside(ctx SpecContext, port string) {
	GinkgoHelper()
	listener := exec.Command("ip", "netns", "exec", "outside", "../../bin/e2e/agent", "listen", port)
	Expect(listener.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(listener.Process.Kill()).To(Succeed())
		_ = listener.Wait() // it was killed
	})
	_ = ctx
}
