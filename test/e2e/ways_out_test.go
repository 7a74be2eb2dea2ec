package e2e

import (
	"net"
	"os/exec"
	"runtime"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"entrustment.dev/operator/test/e2e/attempt"
)

// gateway is the one way out that the contract names, with a port. The host outside takes its address.
const gateway = "203.0.113.10"

var _ = Describe("The way out", func() {
	It("is closed to pods under a contract, but for what the contract names", func(ctx SpecContext) {
		skipElsewhere()
		listenOutside("443", "8443")
		named := net.JoinHostPort(gateway, "443")
		closed := []string{net.JoinHostPort(gateway, "8443"), "kubernetes.default.svc.cluster.local:443", landmark}
		for _, address := range outsideAddresses(ctx) {
			closed = append(closed, net.JoinHostPort(address, "443"))
		}
		targets := append([]string{"dial", named}, closed...)
		free := start(ctx, agent("default", "free", targets...))
		bound := start(ctx, underContract("bound", targets...))
		comesTo(ctx, free, named, attempt.Open, time.Time{})
		for _, elsewhere := range closed {
			neverReaches(ctx, bound, elsewhere, time.Time{}, control{named, free})
		}
	}, NodeTimeout(2*time.Minute))
})

// listenOutside lets the host outside be the gateway as well, and accept connections until the end of the spec.
func listenOutside(ports ...string) {
	GinkgoHelper()
	output, err := exec.Command("ip", "-netns", "outside", "address", "replace", gateway+"/32", "dev", "lo").CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(output))
	listener := exec.Command("ip", append([]string{"netns", "exec", "outside", "../../bin/e2e/linux/" + runtime.GOARCH + "/agent", "listen"}, ports...)...)
	Expect(listener.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(listener.Process.Kill()).To(Succeed())
		_ = listener.Wait() // it was killed
	})
}
