package controllers_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	auditledger "entrustment.dev/operator/internal/ledger"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("The record of a suspension", func() {
	It("has its lines though it is lifted before any status tells of it", func(ctx context.Context) {
		const peer = "billing-entrustee under fees"
		fees := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: "fees"}}
		suspend := func(suspended bool) {
			change(ctx, fees, func() { fees.Spec.Suspended, fees.Spec.SuspendedReason = suspended, "incident" })
		}
		Eventually(operator.ready).Should(Succeed())
		Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).Should(ContainElement(peer))
		from := len(record.String())
		events := func() (list []auditledger.Event) {
			for _, e := range entries(from) {
				if (e.Event == auditledger.Suspended || e.Event == auditledger.Resumed) && e.Objects[0].Name == fees.Name {
					list = append(list, e.Event)
				}
			}
			return list
		}
		open := operator.gate.close("pods") // so that nothing is said before it is resumed
		DeferCleanup(open)
		suspend(true)
		Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).ShouldNot(ContainElement(peer))
		suspend(false)
		Eventually(admittedTo).WithArguments(ctx, ledgerPolicy).Should(ContainElement(peer))
		open()
		Eventually(events).Should(Equal([]auditledger.Event{auditledger.Suspended, auditledger.Resumed}))
		Consistently(events).WithTimeout(time.Second).Should(HaveLen(2))
	})
})

var _ = Describe("The record of a grant", func() {
	It("says that it went with its namespace", func(ctx context.Context) {
		const name = "vanishing"
		Eventually(operator.ready).Should(Succeed())
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		party := builder.Processor(name).Namespace(name).Obj()
		contract := builder.Entrustment(name).From("example-controller").To(name).Purposes("billing").Stores(queue).Obj()
		create(ctx, namespace)
		create(ctx, party)
		create(ctx, contract)
		of := func(event auditledger.Event) (reasons []string) {
			for _, e := range entries(0) {
				if e.Event == event && e.Grant.Namespace == name {
					reasons = append(reasons, e.Reason)
				}
			}
			return reasons
		}
		Eventually(of).WithArguments(auditledger.GrantMade).Should(HaveLen(1))
		Expect(admin.Delete(ctx, namespace)).To(Succeed())
		Eventually(of).WithArguments(auditledger.GrantWithdrawn).Should(Equal([]string{"NamespaceNotFound"}))
		Expect(of(auditledger.GrantMade)).To(HaveLen(1))
	})
})
