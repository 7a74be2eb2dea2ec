package controllers

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// running is a pod as the API server sends it, with what nobody here needs.
func running(number int) *corev1.Pod {
	return builder.Pod("biller", fmt.Sprintf("invoices-6d4cf56db6-%05d", number)).Purpose("billing").Entrustment("fees").Label("app", "invoices").
		Running("10.0.0.1").With(func(p *corev1.Pod) {
		p.UID, p.ResourceVersion = types.UID(fmt.Sprintf("7d6a3c3e-7a52-4d8f-8a35-%012d", number)), fmt.Sprint(number)
		p.CreationTimestamp = metav1.NewTime(time.Unix(1_800_000_000, 0))
		p.Annotations = map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-11-23T12:00:00Z"}
		p.Spec.ActiveDeadlineSeconds, p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](3600), ptr.To[int64](30)
		p.Status.StartTime = ptr.To(metav1.NewTime(time.Unix(1_800_000_001, 0)))
	}).Obj()
}

func TestOfPodsLittleIsKept(t *testing.T) {
	strip := stripPods()
	kept := func(p *corev1.Pod) *corev1.Pod {
		object, err := strip(p)
		if err != nil {
			t.Fatal(err)
		}
		return object.(*corev1.Pod)
	}
	want := running(1)
	delete(want.Labels, "app")
	want.Annotations, want.Spec.Containers, want.Spec.NodeName, want.Status.PodIP, want.Status.PodIPs = nil, nil, "", "", nil
	if diff := cmp.Diff(want, kept(running(1))); diff != "" {
		t.Error(diff)
	}
	for name, labels := range map[string]map[string]string{
		"own handling":     {v1alpha1.LabelPurpose: "billing"},
		"a contract":       {v1alpha1.LabelPurpose: "billing", v1alpha1.LabelEntrustment: "fees"},
		"an empty one":     {v1alpha1.LabelPurpose: "billing", v1alpha1.LabelEntrustment: ""},
		"another contract": {v1alpha1.LabelPurpose: "billing", v1alpha1.LabelEntrustment: "print"},
	} {
		for range 2 { // the second shares what the first left
			pod := running(2)
			pod.Labels = labels
			if diff := cmp.Diff(labels, kept(pod).Labels); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

// BenchmarkCachedPods shows the memory of 10,000 pods that declare something.
func BenchmarkCachedPods(b *testing.B) {
	const pods = 10_000
	for b.Loop() {
		strip := stripPods()
		indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc})
		before := heap()
		for i := range pods {
			sent, err := json.Marshal(running(i))
			if err != nil {
				b.Fatal(err)
			}
			pod := &corev1.Pod{}
			if err := json.Unmarshal(sent, pod); err != nil {
				b.Fatal(err)
			}
			kept, err := strip(pod)
			if err != nil {
				b.Fatal(err)
			}
			if err := indexer.Add(kept); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB/10000pods")
		runtime.KeepAlive(indexer)
	}
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
