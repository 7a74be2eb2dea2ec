package metrics_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/metrics"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

type snapshots struct{ current *entrustment.Snapshot }

func (s snapshots) Current() (*entrustment.Snapshot, error) {
	if s.current == nil {
		return nil, errors.New("not yet")
	}
	return s.current, nil
}

func TestMetrics(t *testing.T) {
	noon := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	contract := func(name string) *builder.EntrustmentBuilder {
		return builder.Entrustment(name).To("biller").Purposes("billing").Stores("data/ledger").NotAfter(noon.Add(time.Hour))
	}
	current := entrustment.Compile(entrustment.Inputs{
		Purposes:     []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors:   []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Obj()},
		Stores:       []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj()},
		Entrustments: []*v1alpha1.Entrustment{contract("fees").Obj(), contract("later").NotAfter(noon.Add(2 * time.Hour)).Obj(), contract("stopped").Suspended().Obj(), contract("over").NotAfter(noon.Add(-time.Hour)).Obj()},
	}, noon)
	want := `
# HELP entrustment_entrustments Entrustments, by the status and the reason of their condition Active.
# TYPE entrustment_entrustments gauge
entrustment_entrustments{active="false",reason="Expired"} 1
entrustment_entrustments{active="false",reason="Suspended"} 1
entrustment_entrustments{active="true",reason="InForce"} 2
# HELP entrustment_entrustments_ending Entrustments that are in force, by how near their end is: the reason of their condition Ending.
# TYPE entrustment_entrustments_ending gauge
entrustment_entrustments_ending{reason="EndsLater"} 0
entrustment_entrustments_ending{reason="EndsWithin1Day"} 2
entrustment_entrustments_ending{reason="EndsWithin30Days"} 0
entrustment_entrustments_ending{reason="EndsWithin7Days"} 0
# HELP entrustment_grants Grants in force: a purpose under an entrustment, or none, in a namespace; by the DataProcessor to which it is bound.
# TYPE entrustment_grants gauge
entrustment_grants{processor="acme"} 1
entrustment_grants{processor="biller"} 2
# HELP entrustment_next_end_timestamp_seconds Instant at which the next entrustment that is in force ends, in seconds since the epoch. Absent: none ends.
# TYPE entrustment_next_end_timestamp_seconds gauge
entrustment_next_end_timestamp_seconds 1.7954388e+09
# HELP entrustment_snapshot_age_seconds Time since what is granted was compiled.
# TYPE entrustment_snapshot_age_seconds gauge
entrustment_snapshot_age_seconds 60
# HELP entrustment_snapshot_objects Objects that the snapshot was compiled from, by kind.
# TYPE entrustment_snapshot_objects gauge
entrustment_snapshot_objects{kind="DataProcessor"} 2
entrustment_snapshot_objects{kind="Entrustment"} 4
entrustment_snapshot_objects{kind="PersonalDataStore"} 1
entrustment_snapshot_objects{kind="Purpose"} 1
`
	clock := clocktesting.NewFakePassiveClock(noon.Add(time.Minute))
	if err := testutil.CollectAndCompare(&metrics.Collector{Snapshots: snapshots{current}, Clock: clock}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(&metrics.Collector{Snapshots: snapshots{}, Clock: clock}); n != 0 {
		t.Errorf("%d metrics without a snapshot", n)
	}
}
