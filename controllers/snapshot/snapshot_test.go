package snapshot_test

import (
	"context"
	"errors"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
)

func TestSnapshot(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Snapshot")
}

var (
	noon  = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	admin client.WithWatch
)

var _ = BeforeSuite(func(ctx context.Context) {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	definitions, err := crd.All()
	Expect(err).NotTo(HaveOccurred())
	cluster, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions})
	Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	DeferCleanup(cluster.Stop)
	admin, err = client.NewWithWatch(cluster.Config(), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	for _, object := range []client.Object{
		builder.Purpose("billing").Obj(),
		builder.Processor(builder.Controller).Namespace("default").Obj(),
		builder.Store("default", "ledger").AllowedPurposes("billing").Obj(),
	} {
		Expect(admin.Create(ctx, object)).To(Succeed())
	}
})

var _ = Describe("Reconcile", func() {
	var (
		broken error // of reading
		r      *snapshot.Reconciler
		now    *clocktesting.FakePassiveClock
	)
	BeforeEach(func() {
		broken, now = nil, clocktesting.NewFakePassiveClock(noon)
		reader := interceptor.NewClient(admin, interceptor.Funcs{
			List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
				if _, stores := list.(*v1alpha1.PersonalDataStoreList); stores && broken != nil {
					return broken
				}
				return c.List(ctx, list, opts...)
			},
		})
		r = &snapshot.Reconciler{Reader: reader, Publisher: &snapshot.Publisher{}, Clock: now}
	})
	allowed := func() bool {
		GinkgoHelper()
		current, err := r.Publisher.Current()
		Expect(err).NotTo(HaveOccurred())
		return current.AuthorizePod("default", "billing", "").Allowed()
	}

	It("publishes what is granted", func(ctx context.Context) {
		_, err := r.Publisher.Current()
		Expect(err).To(MatchError(snapshot.ErrNotReady))
		_, err = r.Reconcile(ctx, reconcile.Request{})
		Expect(err).NotTo(HaveOccurred())
		Expect(allowed()).To(BeTrue())
	})

	It("publishes nothing made from less than all inputs", func(ctx context.Context) {
		broken = errors.New("the kind does not exist any more")
		_, err := r.Reconcile(ctx, reconcile.Request{})
		Expect(err).To(MatchError(broken))
		_, err = r.Publisher.Current()
		Expect(err).To(MatchError(snapshot.ErrNotReady), "not even an empty one")

		By("keeping what was published before")
		broken = nil
		_, err = r.Reconcile(ctx, reconcile.Request{})
		Expect(err).NotTo(HaveOccurred())
		broken = errors.New("the kind does not exist any more")
		_, err = r.Reconcile(ctx, reconcile.Request{})
		Expect(err).To(MatchError(broken))
		Expect(allowed()).To(BeTrue())
	})

	It("comes back at the next instant that matters, and looks at the clock in between", func(ctx context.Context) {
		purpose := builder.Purpose("campaign").NotAfter(noon.Add(90 * time.Second)).Obj()
		Expect(admin.Create(ctx, purpose)).To(Succeed())
		DeferCleanup(func(ctx context.Context) { Expect(admin.Delete(ctx, purpose)).To(Succeed()) })
		wait := func() time.Duration {
			result, err := r.Reconcile(ctx, reconcile.Request{})
			Expect(err).NotTo(HaveOccurred())
			return result.RequeueAfter
		}
		Expect(wait()).To(Equal(snapshot.Lookout))
		now.SetTime(noon.Add(60 * time.Second))
		Expect(wait()).To(Equal(30 * time.Second))
		now.SetTime(noon.Add(90*time.Second - time.Nanosecond))
		Expect(wait()).To(Equal(time.Millisecond), "never zero, which would be never")
		now.SetTime(noon.Add(90 * time.Second))
		Expect(wait()).To(Equal(snapshot.Lookout))
	})
})

var _ = Describe("A follower", func() {
	compile := func(stores ...string) *entrustment.Snapshot {
		var inputs entrustment.Inputs
		for _, name := range stores {
			inputs.Stores = append(inputs.Stores, builder.Store("data", name).AllowedPurposes("billing").Obj())
		}
		return entrustment.Compile(inputs, noon)
	}
	// added wakes the stores that are new.
	added := func(_ context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
		var requests []reconcile.Request
		for _, key := range next.Stores() {
			if old == nil || old.Store(key) == nil {
				requests = append(requests, reconcile.Request{NamespacedName: key})
			}
		}
		return requests
	}
	request := func(store string) reconcile.Request {
		return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "data", Name: store}}
	}
	var (
		publisher *snapshot.Publisher
		queue     workqueue.TypedRateLimitingInterface[reconcile.Request]
	)
	BeforeEach(func() {
		publisher = &snapshot.Publisher{}
		queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		DeferCleanup(queue.ShutDown)
	})
	woken := func() reconcile.Request {
		request, _ := queue.Get()
		queue.Done(request)
		return request
	}

	It("has not synced before there is a snapshot", func(ctx context.Context) {
		follower := publisher.Follow(snapshot.Unordered, added)
		Expect(follower.Start(ctx, queue)).To(Succeed())
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		Expect(follower.WaitForSync(short)).To(MatchError(context.DeadlineExceeded))

		publisher.Publish(compile("a"))
		Expect(follower.WaitForSync(ctx)).To(Succeed())
		Expect(woken()).To(Equal(request("a")), "and its queue is filled by then")
	})

	It("is woken for what changed, from the snapshot that it saw last", func(ctx context.Context) {
		publisher.Publish(compile("a"))
		follower := publisher.Follow(snapshot.Unordered, added)
		Expect(follower.Start(ctx, queue)).To(Succeed())
		Expect(woken()).To(Equal(request("a")), "one that comes late is told of all")

		publisher.Publish(compile("a", "b"))
		Expect(woken()).To(Equal(request("b")))
		publisher.Publish(compile("a", "b"))
		Consistently(queue.Len).WithTimeout(100 * time.Millisecond).Should(BeZero())
	})

	It("that is slow misses snapshots but no change", func(ctx context.Context) {
		seen, hold := make(chan struct{}), make(chan struct{})
		first := true
		Expect(publisher.Follow(snapshot.Unordered, func(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
			if first {
				first = false
				close(seen)
				<-hold
			}
			return added(ctx, old, next)
		}).Start(ctx, queue)).To(Succeed())
		publisher.Publish(compile("a"))
		<-seen
		publisher.Publish(compile("a", "b"))
		publisher.Publish(compile("a", "b", "c"))
		close(hold)
		Expect([]reconcile.Request{woken(), woken(), woken()}).To(Equal([]reconcile.Request{request("a"), request("b"), request("c")}))
	})
})
