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

// Describe lists what Collect collects.
func (r *Reconciler) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{noncompliant, drainingGrants, drainingPods} {
		descs <- d
	}
}

// Collect shows what was last seen.
func (r *Reconciler) Collect(to chan<- prometheus.Metric) {
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
