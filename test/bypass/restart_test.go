package bypass

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

const (
	kills     = 3
	underLoad = 10 // requests of each kind that are answered before each kill, and after the last
	loadLabel = "load"

	// enough is the time for all of it; on two idle cores it takes a quarter.
	enough = time.Minute
)

// stream creates pods of one kind, as fast as its client is let, and counts what became of them.
type stream struct {
	pod                        func(name string) *corev1.Pod
	admitted, refused, without atomic.Int64 // without an answer
	said                       atomic.Value // the last refusal
}

func (s *stream) answered() int64 { return s.admitted.Load() + s.refused.Load() }

func (s *stream) flow(ctx context.Context, c client.Client, name string) {
	for i := 0; ctx.Err() == nil; i++ {
		pod := s.pod(fmt.Sprintf("%s-%d", name, i))
		pod.Labels[loadLabel] = name
		switch err := c.Create(ctx, pod); {
		case err == nil:
			s.admitted.Add(1)
		case strings.Contains(err.Error(), "ValidatingAdmissionPolicy '"): // of which not every one is Forbidden
			s.refused.Add(1)
			s.said.Store(err.Error())
		default:
			s.without.Add(1)
		}
	}
}

// restarts kills the API server while pods are made, those that may be and those that may not.
func restarts(ctx context.Context) {
	GinkgoHelper()
	streams := map[string]*stream{
		"forbidden": {pod: func(name string) *corev1.Pod { return declaring(name).Purpose("marketing").Obj() }},
		"unbound":   {pod: func(name string) *corev1.Pod { return builder.Pod("unbound", name).Purpose("billing").Obj() }},
		"granted":   {pod: func(name string) *corev1.Pod { return declaring(name).Obj() }},
		"ordinary":  {pod: func(name string) *corev1.Pod { return ordinary("own", name) }},
	}
	ctx, stop := context.WithTimeout(ctx, enough)
	defer stop()
	var flowing sync.WaitGroup
	for name, s := range streams {
		config := cluster.Config()
		config.QPS, config.Burst = 25, 5
		config.Timeout = 5 * time.Second
		c, err := client.New(config, client.Options{Scheme: scheme})
		Expect(err).NotTo(HaveOccurred())
		flowing.Go(func() { s.flow(ctx, c, name) })
	}
	answered := func() {
		GinkgoHelper()
		before := map[string]int64{}
		for name, s := range streams {
			before[name] = s.answered()
		}
		Eventually(func(g Gomega) {
			for name, s := range streams {
				g.Expect(s.answered()).To(BeNumerically(">=", before[name]+underLoad), name)
			}
		}).WithContext(ctx).Should(Succeed())
	}
	for range kills {
		answered()
		Expect(cluster.KillAPIServer()).To(Succeed())
		Expect(cluster.RestartAPIServer()).To(Succeed())
	}
	answered()
	stop()
	flowing.Wait()

	for name, s := range streams {
		AddReportEntry(fmt.Sprintf("%s: %d admitted, %d refused, %d without an answer, over %d kills of the API server",
			name, s.admitted.Load(), s.refused.Load(), s.without.Load(), kills), ReportEntryVisibilityAlways, s.said.Load())
	}
	// Until the API server knows the kinds of definitions again, which takes it up to half a minute, it refuses whatever a
	// rule judges that has one of them as its parameter.
	Eventually(func() error { return admin.Create(context.Background(), declaring("after").Obj(), client.DryRunAll) }).WithTimeout(time.Minute).Should(Succeed())
	Expect(streams["ordinary"].refused.Load()).To(BeZero())

	pods := &corev1.PodList{}
	Expect(admin.List(context.Background(), pods, client.HasLabels{loadLabel, v1alpha1.LabelPurpose})).To(Succeed())
	Expect(pods.Items).NotTo(BeEmpty(), "some were made before the first kill")
	for _, pod := range pods.Items {
		Expect(pod.Labels).To(SatisfyAll(HaveKeyWithValue(loadLabel, "granted"), HaveKeyWithValue(v1alpha1.LabelPurpose, "billing")))
	}
	Expect(streams["forbidden"].admitted.Load() + streams["unbound"].admitted.Load()).To(BeZero())
}
