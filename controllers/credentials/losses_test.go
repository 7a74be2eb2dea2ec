package credentials_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("A credential of a sub-entrustee", func() {
	var w *world
	const root, fees = 0, 1
	contract := func(w *world, at int, change func(*v1alpha1.Entrustment)) {
		changed := w.inputs.Entrustments[at].DeepCopy()
		change(changed)
		w.inputs.Entrustments[at] = changed
	}
	store := func(w *world, change func(*v1alpha1.PersonalDataStore)) {
		changed := w.inputs.Stores[0].DeepCopy()
		changed.Generation++
		change(changed)
		w.inputs.Stores = []*v1alpha1.PersonalDataStore{changed}
	}
	BeforeEach(func(ctx context.Context) {
		w = newWorld(ctx)
		w.source(ctx, "first")
		w.inputs.Purposes = append(w.inputs.Purposes, builder.Purpose("auditing").Obj())
		w.inputs.Processors = append(w.inputs.Processors, builder.Processor("broker").Obj())
		w.inputs.Stores[0].Spec.AllowedPurposes = append(w.inputs.Stores[0].Spec.AllowedPurposes, "auditing")
		w.inputs.Stores[0].Spec.AllowedRecipients = append(w.inputs.Stores[0].Spec.AllowedRecipients, v1alpha1.RecipientSubEntrustee)
		w.inputs.Stores = append(w.inputs.Stores, builder.Store(w.data, "other").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee).Obj())
		of := func(name string) *builder.EntrustmentBuilder {
			return builder.Entrustment(name).Purposes("billing", "auditing").Stores(w.data+"/ledger", w.data+"/other")
		}
		w.inputs.Entrustments = []*v1alpha1.Entrustment{
			of("root").To("broker").PriorApproval("biller").Obj(), of("fees").From("broker").To("biller").Parent("root").Obj(),
		}
		w.publish()
		w.start()
		DeferCleanup(func() {
			w.stop()
			Expect(w.violations).To(BeEmpty(), "no write grants more than the snapshot in force")
		})
		for _, namespace := range []string{w.own, w.biller} { // a copy that is under way would be made after what is lost next
			Eventually(w.copyIn).WithArguments(ctx, namespace).Should(Equal("first"))
		}
		Expect(w.rotation()).To(BeNil())
	})

	DescribeTable("has to be changed", func(ctx context.Context, lose func(w *world)) {
		lose(w)
		w.publish()
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(w.rotation).ShouldNot(BeNil())
	},
		Entry("when its contract is suspended", func(w *world) { contract(w, fees, func(e *v1alpha1.Entrustment) { e.Spec.Suspended = true }) }),
		Entry("when the one above is", func(w *world) { contract(w, root, func(e *v1alpha1.Entrustment) { e.Spec.Suspended = true }) }),
		Entry("when its contract ends, by time alone", func(w *world) { w.now.SetTime(w.inputs.Entrustments[fees].Spec.NotAfter.Time) }),
		Entry("when its contract is deleted, and kept", func(w *world) {
			contract(w, fees, func(e *v1alpha1.Entrustment) { e.DeletionTimestamp = &metav1.Time{Time: noon} })
		}),
		Entry("when its contract is gone", func(w *world) { w.inputs.Entrustments = w.inputs.Entrustments[:fees] }),
		Entry("when the one above is gone", func(w *world) { w.inputs.Entrustments = w.inputs.Entrustments[fees:] }),
		Entry("when its contract is narrowed to another store", func(w *world) {
			contract(w, fees, func(e *v1alpha1.Entrustment) { e.Spec.Stores = e.Spec.Stores[1:] })
		}),
		Entry("when the one above is", func(w *world) {
			contract(w, root, func(e *v1alpha1.Entrustment) { e.Spec.Stores = e.Spec.Stores[1:] })
		}),
		Entry("when the approval is withdrawn", func(w *world) {
			contract(w, root, func(e *v1alpha1.Entrustment) { e.Spec.SubEntrustment.ApprovedProcessorNames = nil })
		}),
		Entry("when a review is overdue that suspends", func(w *world) {
			contract(w, fees, func(e *v1alpha1.Entrustment) {
				e.CreationTimestamp = metav1.NewTime(noon.AddDate(-3, 0, 0))
				e.Spec.NotBefore = &metav1.Time{Time: noon.AddDate(-3, 0, 0)}
				e.Spec.Supervision = &v1alpha1.Supervision{OverdueAction: v1alpha1.OverdueSuspend}
			})
		}),
		Entry("when the party is suspended", func(w *world) {
			party := w.inputs.Processors[1].DeepCopy()
			party.Spec.Suspended = true
			w.inputs.Processors[1] = party
		}),
		Entry("when the namespace is bound no more", func(w *world) {
			w.inputs.Processors[1] = builder.Processor("biller").Obj()
		}),
		Entry("when the namespace is another under the same name", func(w *world) {
			w.inputs.Processors[1] = builder.Processor("biller").Namespace(w.biller).Observed(w.biller, "the one before").Obj()
			w.inputs.Namespaces = map[string]types.UID{w.data: "data", w.own: "own", w.biller: "another"}
		}),
		Entry("when the store is suspended", func(w *world) { store(w, func(s *v1alpha1.PersonalDataStore) { s.Spec.Suspended = true }) }),
		Entry("when the store is closed to sub-entrustees", func(w *world) {
			store(w, func(s *v1alpha1.PersonalDataStore) { s.Spec.AllowedRecipients = s.Spec.AllowedRecipients[:1] })
		}),
		Entry("when the store is narrowed to another purpose", func(w *world) {
			store(w, func(s *v1alpha1.PersonalDataStore) { s.Spec.AllowedPurposes = []v1alpha1.Name{"unknown"} })
		}),
		Entry("when the store holds more than is entrusted", func(w *world) {
			store(w, func(s *v1alpha1.PersonalDataStore) { s.Spec.DataCategories = append(s.Spec.DataCategories, "health") })
		}),
		Entry("when the credential goes to other purposes", func(w *world) {
			store(w, func(s *v1alpha1.PersonalDataStore) { s.Spec.Credentials[0].Purposes = []v1alpha1.Name{"unknown"} })
		}),
		Entry("when the purposes end", func(w *world) {
			w.inputs.Purposes = []*v1alpha1.Purpose{
				builder.Purpose("billing").NotAfter(noon).Obj(), builder.Purpose("auditing").NotAfter(noon).Obj(),
			}
		}),
	)

	It("is taken away also when it was made a moment ago, and has not been seen yet", func(ctx context.Context) {
		contract(w, fees, func(e *v1alpha1.Entrustment) { e.Spec.Suspended = true })
		w.publish()
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(w.condition).Should(HaveSuffix("credential: 1; none elsewhere"), "that it went was seen")
		open := w.close(w.biller)
		DeferCleanup(open)
		contract(w, fees, func(e *v1alpha1.Entrustment) { e.Spec.Suspended = false })
		w.publish()
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(Equal("first"))
		w.inputs.Processors[1] = builder.Processor("biller").Obj()
		w.publish()
		Consistently(bound).WithArguments(ctx, w.biller).WithTimeout(500*time.Millisecond).Should(BeTrue(), "who leaves does not come back for what he could not see")
		open()
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(bound).WithArguments(ctx, w.biller).Should(BeFalse())
	})

	It("has not, while another grant of the namespace delivers it", func(ctx context.Context) {
		contract(w, fees, func(e *v1alpha1.Entrustment) { e.Spec.Purposes = e.Spec.Purposes[:1] })
		w.publish()
		Consistently(w.copyIn).WithArguments(ctx, w.biller).WithTimeout(300 * time.Millisecond).Should(Equal("first"))
		Expect(w.rotation()).To(BeNil())
	})

	It("has to be changed when the namespace went, of which the operator had heard nothing before", func(ctx context.Context) {
		w.stop()
		contract(w, fees, func(e *v1alpha1.Entrustment) { e.Spec.Suspended = true })
		w.publish()
		w.start()
		Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.biller}})).To(Succeed()) // nobody ends it here
		Eventually(w.copyIn).WithArguments(ctx, w.biller).Should(BeEmpty())
		Eventually(w.rotation).ShouldNot(BeNil())
	})
})
