package e2e

import (
	"bytes"
	"context"
	"os/exec"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"entrustment.dev/operator/test/e2e/attempt"
)

const chart = "../../charts/entrustment-operator"

// install does what docs/install.md says, with the operator's image of this run.
func install(ctx context.Context) {
	GinkgoHelper()
	output, err := helm(ctx, "install", operatorKey.Name, chart, "--namespace="+operatorKey.Namespace, "--create-namespace",
		"--set=image.repository="+images+"/manager", "--set=image.tag=run")
	Expect(err).NotTo(HaveOccurred(), output)
	output, err = kubectl(ctx, "", "rollout", "status", "--namespace="+operatorKey.Namespace, "deployment/"+operatorKey.Name)
	Expect(err).NotTo(HaveOccurred(), output)
}

// Whoever removes the operator opens nothing by that: every access ends before it goes.
var _ = AfterSuite(func(ctx SpecContext) {
	if !onOwnNode() || witness == nil { // nil: the suite did not begin
		return
	}
	targets := []string{"dial", landmark}
	for _, endpoint := range everyEndpoint(ctx) {
		if endpoint.store != archive {
			targets = append(targets, endpoint.target)
		}
	}
	before := start(ctx, agent("default", "before-removal", targets...))
	database := address(ctx, ledger)
	reader := start(ctx, withCredential(underContract("last-reader", "query", database)))
	comesTo(ctx, reader, database, attempt.Answered, time.Time{})
	told := follow(ctx, reader)

	removed := time.Now()
	output, err := helm(ctx, "uninstall", operatorKey.Name, "--namespace="+operatorKey.Namespace, "--wait")
	Expect(err).NotTo(HaveOccurred(), output)
	Eventually(told.ended).WithContext(ctx).Should(BeClosed())
	answers := told.of(database, attempt.Answered)
	measured("operator uninstalled → last answer in an open SQL session", answers[len(answers)-1].Ended.Sub(removed))

	late := withCredential(underContract("too-late", "query", database)).Obj()
	Expect(admin.Create(ctx, late)).To(MatchError(apierrors.IsForbidden, "forbidden"), "by the rules that stay")
	after := start(ctx, agent("default", "after-removal", targets...))
	for _, target := range targets[2:] {
		neverReaches(ctx, before, target, time.Time{}, control{reaches: landmark})
		neverReaches(ctx, after, target, time.Time{}, control{reaches: landmark})
	}
	Expect(atDatabase(ctx, "SELECT count(*) FROM invoices")).To(Equal("3"), "the database is there all the same")
}, NodeTimeout(5*time.Minute))

// helm runs it with the suite's KUBECONFIG, and returns all that it printed.
func helm(ctx context.Context, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "../../bin/e2e/helm", arguments...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	return output.String(), err
}
