// Package metrics shows the snapshot in force as metrics. It decides nothing: what it counts, the snapshot says.
//
// Labels are bounded: by the kinds, the reasons of the API, and the DataProcessors.
package metrics

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"entrustment.dev/operator/internal/entrustment"
)

// source of the snapshot in force.
type source interface {
	// Current returns the snapshot, or an error while there is none.
	Current() (*entrustment.Snapshot, error)
}

// Collector reads the snapshot whenever it is asked, and looks at each as a whole once.
type Collector struct {
	Snapshots source
	Clock     clock.PassiveClock

	mu      sync.Mutex
	seen    *entrustment.Snapshot
	summary entrustment.Summary // of the snapshot that was seen
}

var (
	age = prometheus.NewDesc("entrustment_snapshot_age_seconds",
		"Time since what is granted was compiled.", nil, nil)
	objects = prometheus.NewDesc("entrustment_snapshot_objects",
		"Objects that the snapshot was compiled from, by kind.", []string{"kind"}, nil)
	grants = prometheus.NewDesc("entrustment_grants",
		"Grants in force: a purpose under an entrustment, or none, in a namespace; by the DataProcessor to which it is bound.", []string{"processor"}, nil)
	entrustments = prometheus.NewDesc("entrustment_entrustments",
		"Entrustments, by the status and the reason of their condition Active.", []string{"active", "reason"}, nil)
	ending = prometheus.NewDesc("entrustment_entrustments_ending",
		"Entrustments that are in force, by how near their end is: the reason of their condition Ending.", []string{"reason"}, nil)
	nextEnd = prometheus.NewDesc("entrustment_next_end_timestamp_seconds",
		"Instant at which the next entrustment that is in force ends, in seconds since the epoch. Absent: none ends.", nil, nil)
)

// Describe lists what Collect collects.
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{age, objects, grants, entrustments, ending, nextEnd} {
		descs <- d
	}
}

// Collect shows nothing while there is no snapshot: a count of zero would be a claim.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	snapshot, err := c.Snapshots.Current()
	if err != nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(age, c.Clock.Since(snapshot.Now()).Seconds())
	summary := c.summarize(snapshot)
	for kind, count := range summary.Objects {
		gauge(objects, float64(count), kind)
	}
	for processor, count := range summary.Grants {
		gauge(grants, float64(count), processor)
	}
	for state, count := range summary.Entrustments {
		gauge(entrustments, float64(count), strconv.FormatBool(state.Active), string(state.Reason))
	}
	for near, count := range summary.Ending {
		gauge(ending, float64(count), string(near))
	}
	if !summary.NextEnd.IsZero() {
		gauge(nextEnd, float64(summary.NextEnd.UnixMilli())/1000)
	}
}

func (c *Collector) summarize(snapshot *entrustment.Snapshot) entrustment.Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen != snapshot {
		c.seen, c.summary = snapshot, snapshot.Summary()
	}
	return c.summary
}
