package e2e

import (
	"net"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"entrustment.dev/operator/test/e2e/attempt"
)

var _ = Describe("The way out", func() {
	It("is closed to pods under a contract, but for what the contract names", func(ctx SpecContext) {
		skipElsewhere()
		listenOutside("8443")
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
})

// listenOutside lets the host outside accept connections on a port until the end of the spec.
func listenOutside(port string) {
	GinkgoHelper()
	listener := exec.Command("ip", "netns", "exec", "outside", "../../bin/e2e/agent", "listen", port)
	Expect(listener.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(listener.Process.Kill()).To(Succeed())
		_ = listener.Wait() // it was killed
	})
}
