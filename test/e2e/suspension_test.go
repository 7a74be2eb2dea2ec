package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/e2e/attempt"
)

// slack is what a busy machine may take beyond the time that pods are given.
const slack = 10 * time.Second

var _ = Describe("A session that is open at the moment of suspension", func() {
	var database, port string // addresses: a pod whose contract is suspended cannot ask for names either

	BeforeEach(func(ctx SpecContext) {
		database = address(ctx, ledger)
		port = database + ":5432"
	})

	It("is dead soon after the contract is suspended, and another can be opened when it goes on", func(ctx SpecContext) {
		pod := start(ctx, withCredential(patient(underContract("accountant", "query", database))))
		accountant := openSession(ctx, pod, database)
		suspended := suspend(ctx, &v1alpha1.Entrustment{}, contract)
		accountant.isDead(ctx, suspended, "contract suspended")

		resume(ctx, &v1alpha1.Entrustment{}, contract)
		resumed := start(ctx, withCredential(underContract("resumed", "query", database)))
		comesTo(ctx, resumed, database, attempt.Answered, time.Time{})
	}, NodeTimeout(3*time.Minute))

	It("is dead when the time is up after the party is suspended, however its program clings to it", func(ctx SpecContext) {
		pod := start(ctx, withCredential(patient(underContract("clinger", "stubborn", "query", database, "dial", port))))
		clinger := openSession(ctx, pod, database)
		comesTo(ctx, pod, port, attempt.Open, time.Time{})
		suspended := suspend(ctx, &v1alpha1.DataProcessor{}, entrustee)
		last := clinger.isDead(ctx, suspended, "party suspended, program that does not stop")

		silence := clinger.story.of(port, attempt.Silent)
		Expect(silence).NotTo(BeEmpty(), "the pod had time to try new connections")
		opened := clinger.story.of(port, attempt.Open)
		Expect(opened[len(opened)-1].Began).To(BeTemporally("<", silence[0].Began), "once closed, it stays closed")
		measured("party suspended → packets of new connections dropped", silence[0].Began.Sub(suspended))
		figures = append(figures, fmt.Sprintf("meanwhile the open session was answered for another %d ms, until its pod ended",
			last.Sub(silence[0].Began).Milliseconds()))
	}, NodeTimeout(3*time.Minute))
})

// patient lets a pod ask for all the time to stop that one under a contract may ask for.
func patient(pod *builder.PodBuilder) *builder.PodBuilder {
	long := int64(5 * time.Minute / time.Second)
	return pod.With(func(pod *corev1.Pod) { pod.Spec.TerminationGracePeriodSeconds = &long })
}

// session is one of SQL, seen from both ends.
type session struct {
	pod      *corev1.Pod
	database string
	story    *story
	gone     chan time.Time // when the database had no session of the pod any more, by its own clock
}

// openSession waits until a pod's queries are answered, and watches both ends from then on.
func openSession(ctx SpecContext, pod *corev1.Pod, database string) *session {
	GinkgoHelper()
	comesTo(ctx, pod, database, attempt.Answered, time.Time{})
	s := &session{pod: pod, database: database, story: follow(ctx, pod), gone: make(chan time.Time, 1)}
	Expect(atDatabase(ctx, "SELECT count(*) FROM pg_stat_activity WHERE "+sessionsOf(pod))).To(Equal("1"))
	go func() {
		defer GinkgoRecover()
		at, err := strconv.ParseFloat(atDatabase(ctx, fmt.Sprintf(`DO $$ BEGIN
			WHILE EXISTS (SELECT FROM pg_stat_activity WHERE %s) LOOP
				PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
			END LOOP;
		END $$;
		SELECT extract(epoch FROM clock_timestamp())`, sessionsOf(pod))), 64)
		Expect(err).NotTo(HaveOccurred())
		s.gone <- time.UnixMicro(int64(at * 1e6))
	}()
	return s
}

// isDead waits until a session has ended at both ends, and expects that it did so in the time that pods are given, and that the contract
// was not called closed before. It returns when the last query was answered.
func (s *session) isDead(ctx SpecContext, suspended time.Time, why string) time.Time {
	GinkgoHelper()
	promised := graceOfRevocation(ctx) + slack
	var gone time.Time
	Eventually(s.gone).WithContext(ctx).WithTimeout(2 * promised).Should(Receive(&gone))
	Eventually(s.story.ended).WithContext(ctx).Should(BeClosed())
	answers := s.story.of(s.database, attempt.Answered)
	last := answers[len(answers)-1].Ended
	measured(why+" → last answer in the open SQL session", last.Sub(suspended))
	measured(why+" → the database has no session any more", gone.Sub(suspended))
	Expect(last.Sub(suspended)).To(And(BeNumerically(">", 0), BeNumerically("<", promised)), "it was the suspension that ended it")
	Expect(gone.Sub(suspended)).To(BeNumerically("<", promised))
	comesTo(ctx, witness, s.database+":5432", attempt.Open, gone) // what others are granted goes on
	Eventually(func() error { return admin.Get(ctx, client.ObjectKeyFromObject(s.pod), &corev1.Pod{}) }).
		WithContext(ctx).Should(MatchError(apierrors.IsNotFound, "gone"))

	Eventually(func(g Gomega) {
		closed := &v1alpha1.Entrustment{}
		g.Expect(admin.Get(ctx, client.ObjectKey{Name: contract}, closed)).To(Succeed())
		g.Expect(meta.IsStatusConditionTrue(closed.Status.Conditions, v1alpha1.ConditionRevoked)).To(BeTrue())
		g.Expect(closed.Status.Revocation.VerifiedTime.Time).To(BeTemporally(">=", gone.Truncate(time.Second)))
	}).WithContext(ctx).Should(Succeed())
	return last
}

func sessionsOf(pod *corev1.Pod) string {
	addresses := make([]string, 0, len(pod.Status.PodIPs))
	for _, address := range pod.Status.PodIPs {
		addresses = append(addresses, address.IP)
	}
	return fmt.Sprintf("usename = 'reader' AND client_addr = ANY ('{%s}')", strings.Join(addresses, ","))
}

// atDatabase asks the ledger as its owner, from within its pod, and returns the answer to the last statement.
func atDatabase(ctx SpecContext, sql string) string {
	GinkgoHelper()
	output, err := kubectl(ctx, sql, "exec", "--stdin", "--namespace="+ledgerIn, ledger.Name+"-0", "--",
		"psql", "--quiet", "--no-align", "--tuples-only", "host=/tmp user=owner password=nobody-knows dbname=ledger")
	Expect(err).NotTo(HaveOccurred(), output)
	return strings.TrimSpace(output)
}

// graceOfRevocation is the time that the operator gives pods to stop.
func graceOfRevocation(ctx SpecContext) time.Duration {
	GinkgoHelper()
	const flag, byDefault = "--revocation-grace=", 30 * time.Second
	operator := &appsv1.Deployment{}
	Expect(admin.Get(ctx, operatorKey, operator)).To(Succeed())
	for _, argument := range operator.Spec.Template.Spec.Containers[0].Args {
		if value, found := strings.CutPrefix(argument, flag); found {
			grace, err := time.ParseDuration(value)
			Expect(err).NotTo(HaveOccurred())
			return grace
		}
	}
	return byDefault
}

// suspend suspends a contract or a party until the end of the spec, and returns when it did.
func suspend(ctx SpecContext, object client.Object, name string) time.Time {
	GinkgoHelper()
	DeferCleanup(func(ctx SpecContext) { resume(ctx, object, name) })
	object.SetName(name)
	at := time.Now()
	Expect(admin.Patch(ctx, object, client.RawPatch(types.MergePatchType,
		[]byte(`{"spec":{"suspended":true,"suspendedReason":"an incident at the entrustee"}}`)))).To(Succeed())
	return at
}

func resume(ctx SpecContext, object client.Object, name string) {
	GinkgoHelper()
	object.SetName(name)
	Expect(admin.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspended":false}}`)))).To(Succeed())
}
