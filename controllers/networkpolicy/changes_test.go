package networkpolicy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestChangedStores(t *testing.T) {
	ledger, orders := builder.Store("data", "ledger").AllowedPurposes("billing").Obj(), builder.Store("data", "orders").AllowedPurposes("delivery").Obj()
	edit := func(store *v1alpha1.PersonalDataStore, change func(*v1alpha1.PersonalDataStore)) *v1alpha1.PersonalDataStore {
		store = store.DeepCopy()
		change(store)
		return store
	}
	world := func(purposes []string, stores ...*v1alpha1.PersonalDataStore) *entrustment.Snapshot {
		inputs := entrustment.Inputs{
			Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj()},
			Stores:     stores,
		}
		for _, name := range purposes {
			inputs.Purposes = append(inputs.Purposes, builder.Purpose(name).Obj())
		}
		return entrustment.Compile(inputs, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	}
	both := []string{"billing", "delivery"}
	for name, test := range map[string]struct {
		old, next *entrustment.Snapshot
		want      []string
	}{
		"the first snapshot":                       {nil, world(both, ledger, orders), []string{"ledger", "orders"}},
		"nothing":                                  {world(both, ledger, orders), world(both, ledger, orders), nil},
		"a store is new":                           {world(both, ledger), world(both, ledger, orders), []string{"orders"}},
		"a store is gone":                          {world(both, ledger, orders), world(both, ledger), []string{"orders"}},
		"a purpose of one is gone":                 {world(both, ledger, orders), world([]string{"billing"}, ledger, orders), []string{"orders"}},
		"a store was edited":                       {world(both, ledger), world(both, edit(ledger, func(s *v1alpha1.PersonalDataStore) { s.Generation++ })), []string{"ledger"}},
		"a store was made anew":                    {world(both, ledger), world(both, edit(ledger, func(s *v1alpha1.PersonalDataStore) { s.UID = "new" })), []string{"ledger"}},
		"a status was written, which is no change": {world(both, ledger), world(both, edit(ledger, func(s *v1alpha1.PersonalDataStore) { s.ResourceVersion = "2" })), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, request := range changedStores(t.Context(), test.old, test.next) {
				got = append(got, request.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
