package entrustment_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestSuspensionChanges(t *testing.T) {
	compile := func(suspended bool, uid types.UID) *entrustment.Snapshot {
		reason := map[bool]v1alpha1.Line{true: "incident"}[suspended]
		return entrustment.Compile(entrustment.Inputs{
			Processors: []*v1alpha1.DataProcessor{builder.Processor("biller").With(func(p *v1alpha1.DataProcessor) {
				p.UID, p.Spec.Suspended, p.Spec.SuspendedReason = uid, suspended, reason
			}).Obj()},
			Stores: []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").With(func(s *v1alpha1.PersonalDataStore) {
				s.UID, s.Spec.Suspended, s.Spec.SuspendedReason = uid, suspended, reason
			}).Obj()},
			Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").With(func(e *v1alpha1.Entrustment) {
				e.UID, e.Generation, e.Spec.Suspended, e.Spec.SuspendedReason = uid, 3, suspended, reason
			}).Obj(), builder.Entrustment("others").With(func(e *v1alpha1.Entrustment) { e.UID = "others" }).Obj()},
		}, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	}
	suspended, resumed, anew := compile(true, "one"), compile(false, "one"), compile(true, "another")
	for name, c := range map[string]struct {
		old, next *entrustment.Snapshot
		want      []string
	}{
		"suspended":                    {resumed, suspended, []string{"{/biller true incident 0}", "{data/ledger true incident 0}", "{/fees true incident 3}"}},
		"resumed":                      {suspended, resumed, []string{"{/biller false  0}", "{data/ledger false  0}", "{/fees false  3}"}},
		"suspended still":              {suspended, suspended, nil},
		"not suspended, as before":     {resumed, resumed, nil},
		"made anew, suspended as well": {suspended, anew, []string{"{/biller true incident 0}", "{data/ledger true incident 0}", "{/fees true incident 3}"}},
		"gone":                         {suspended, &entrustment.Snapshot{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, kind := range []string{"Purpose", "DataProcessor", "PersonalDataStore", "Entrustment"} {
				for _, change := range c.next.SuspensionChanges(kind, c.old.Suspended(kind)) {
					got = append(got, fmt.Sprint(change))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
