package snapshot_test

import (
	"context"
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

var _ = Describe("Stages", func() {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	everyTime := func(name string) snapshot.Changes {
		return func(context.Context, *entrustment.Snapshot, *entrustment.Snapshot) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name}}}
		}
	}
	var publisher *snapshot.Publisher
	BeforeEach(func() { publisher = &snapshot.Publisher{} })
	start := func(ctx context.Context, f *snapshot.Follower) queue {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		DeferCleanup(q.ShutDown)
		Expect(f.Start(ctx, q)).To(Succeed())
		return q
	}
	publish := func() { publisher.Publish(entrustment.Compile(entrustment.Inputs{}, noon)) }
	// worker attempts what is in a queue, one by one.
	attempt := func(ctx context.Context, q queue, r reconcile.Reconciler) {
		request, _ := q.Get()
		_, _ = r.Reconcile(ctx, request)
		q.Done(request)
	}
	fails := reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
		return reconcile.Result{}, errors.New("the policy cannot be written")
	})

	It("come one after the other, whatever came of the ones before", func(ctx context.Context) {
		policies, parameters := publisher.Follow(snapshot.Policies, everyTime("policy")), publisher.Follow(snapshot.Parameters, everyTime("parameter"))
		first, second := start(ctx, policies), start(ctx, parameters)
		publish()
		Eventually(first.Len).Should(Equal(1))
		Consistently(second.Len).WithTimeout(100 * time.Millisecond).Should(BeZero())
		Expect(publisher.Passed(snapshot.Parameters)).To(BeNil())
		attempt(ctx, first, policies.Attempts(fails))
		Eventually(second.Len).Should(Equal(1))
		Expect(publisher.Current()).To(BeIdenticalTo(publisher.Passed(snapshot.Parameters)))
	})

	It("tell how long ago what is asked of them may have come about, over the snapshots that they missed", func(ctx context.Context) {
		var follower *snapshot.Follower
		since, hold := make(chan time.Time, 3), make(chan struct{})
		follower = publisher.Follow(snapshot.Policies, func(context.Context, *entrustment.Snapshot, *entrustment.Snapshot) []reconcile.Request {
			since <- follower.Since()
			<-hold
			return nil
		})
		start(ctx, follower)
		publish()
		Eventually(since).Should(Receive(BeZero()))
		before := time.Now()
		publish()
		after := time.Now()
		publish()
		close(hold)
		Eventually(since).Should(Receive(SatisfyAll(BeTemporally(">=", before), BeTemporally("<=", after))))
	})

	It("count an attempt only if it began after the snapshot", func(ctx context.Context) {
		policies, parameters := publisher.Follow(snapshot.Policies, everyTime("policy")), publisher.Follow(snapshot.Parameters, everyTime("parameter"))
		first, second := start(ctx, policies), start(ctx, parameters)
		publish()
		attempt(ctx, first, policies.Attempts(fails))
		Eventually(second.Len).Should(Equal(1))
		request, _ := second.Get()
		second.Done(request)

		begun, end := make(chan struct{}), make(chan struct{})
		slow := policies.Attempts(reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			close(begun)
			<-end
			return reconcile.Result{}, nil
		}))
		ended := make(chan struct{})
		go func() { // as if drift had woken it
			defer close(ended)
			_, _ = slow.Reconcile(ctx, request)
		}()
		<-begun
		publish()
		Eventually(first.Len).Should(Equal(1))
		close(end)
		<-ended
		Consistently(second.Len).WithTimeout(100 * time.Millisecond).Should(BeZero())
		attempt(ctx, first, policies.Attempts(fails))
		Eventually(second.Len).Should(Equal(1))
	})

	It("do not count as an attempt what only began to read", func(ctx context.Context) {
		policies, parameters := publisher.Follow(snapshot.Policies, everyTime("policy")), publisher.Follow(snapshot.Parameters, everyTime("parameter"))
		first, second := start(ctx, policies), start(ctx, parameters)
		publish()
		r := &reading{yes: true}
		request, _ := first.Get()
		_, _ = policies.Attempts(r).Reconcile(ctx, request)
		Consistently(second.Len).WithTimeout(100 * time.Millisecond).Should(BeZero())
		r.yes = false
		_, _ = policies.Attempts(r).Reconcile(ctx, request)
		Eventually(second.Len).Should(Equal(1))
	})

	It("are not held up by snapshots that follow one another", func(ctx context.Context) {
		policies, parameters := publisher.Follow(snapshot.Policies, everyTime("policy")), publisher.Follow(snapshot.Parameters, everyTime("parameter"))
		first, second := start(ctx, policies), start(ctx, parameters)
		r := policies.Attempts(fails)
		for range 50 {
			publish()
			attempt(ctx, first, r)
		}
		Eventually(second.Len).Should(Equal(1), "one request, however often it was due")
	})

	It("hold what others ask of them, and nobody holds those without an order", func(ctx context.Context) {
		policies := publisher.Follow(snapshot.Policies, everyTime("policy"))
		telling := publisher.Follow(snapshot.Telling, func(context.Context, *entrustment.Snapshot, *entrustment.Snapshot) []reconcile.Request { return nil })
		unordered := publisher.Follow(snapshot.Unordered, everyTime("scope"))
		first, last, free := start(ctx, policies), start(ctx, telling), start(ctx, unordered)
		publish()
		Eventually(free.Len).Should(Equal(1))
		held := telling.InTurn(func(_ context.Context, object client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(object)}}
		})
		held.Create(ctx, event.CreateEvent{Object: builder.Store("data", "ledger").Obj()}, last)
		Consistently(last.Len).WithTimeout(100 * time.Millisecond).Should(BeZero())
		Eventually(first.Len).Should(Equal(1))
		attempt(ctx, first, policies.Attempts(fails))
		Eventually(last.Len).Should(Equal(1))
	})

	It("wait for nobody who has stopped", func(ctx context.Context) {
		stopping, stop := context.WithCancel(ctx)
		start(stopping, publisher.Follow(snapshot.Policies, everyTime("policy")))
		second := start(ctx, publisher.Follow(snapshot.Parameters, everyTime("parameter")))
		publish()
		stop()
		Eventually(second.Len).Should(Equal(1))
	})
})

// reading is a reconciler that may have to read something before it does anything.
type reading struct{ yes bool }

func (r *reading) Reconcile(context.Context, reconcile.Request) (reconcile.Result, error) {
	return reconcile.Result{}, nil
}

func (r *reading) Reading(reconcile.Request) bool { return r.yes }
