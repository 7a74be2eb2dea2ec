package revocation

import "github.com/prometheus/client_golang/prometheus"

var (
	noncompliant = prometheus.NewDesc("entrustment_noncompliant_pods",
		"Pods of bound namespaces that declare what is neither granted nor about to be ended.", nil, nil)
	drainingGrants = prometheus.NewDesc("entrustment_draining_grants",
		"Grants that ended, not only for stores that report, and of which something is left: a policy, a Secret or a pod.", nil, nil)
	drainingPods = prometheus.NewDesc("entrustment_draining_pods",
		"Pods that are ending because their grant ended.", nil, nil)
)

// latency of the steps of a revocation.
var latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
	Name:    "entrustment_revocation_seconds",
	Help:    "Time from the publication of a snapshot that took a grant away until a step of it was done.",
	Buckets: prometheus.ExponentialBuckets(0.01, 2.5, 12), // to four minutes
}, []string{"step"})

// Describe lists what Collect collects.
func (r *Reconciler) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{noncompliant, drainingGrants, drainingPods} {
		descs <- d
	}
	latency.Describe(descs)
}

// Collect shows what was last seen.
func (r *Reconciler) Collect(to chan<- prometheus.Metric) {
	latency.Collect(to)
	r.mu.Lock()
	defer r.mu.Unlock()
	others, grants, pods := 0, 0, 0
	for _, s := range r.seen {
		others += s.noncompliant
		for _, l := range s.left {
			if !l.Stays {
				grants++
				pods += l.Pods
			}
		}
	}
	for d, value := range map[*prometheus.Desc]int{noncompliant: others, drainingGrants: grants, drainingPods: pods} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value))
	}
}
