package egress

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestChangedNamespaces(t *testing.T) {
	type change = func(*entrustment.Inputs)
	world := func(changes ...change) *entrustment.Snapshot {
		inputs := entrustment.Inputs{
			Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{
				builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Obj(),
			},
			Stores: []*v1alpha1.PersonalDataStore{
				builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
				builder.Store("data", "archive").External("192.0.2.0/24").AllowedPurposes("other").Obj(),
			},
			Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").Obj()},
		}
		for _, c := range changes {
			c(&inputs)
		}
		return entrustment.Compile(inputs, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	}
	for name, test := range map[string]struct {
		old, next *entrustment.Snapshot
		want      []string
	}{
		"the first snapshot": {nil, world(), []string{"biller", "own"}},
		"nothing":            {world(), world(), nil},
		"a contract ends":    {world(), world(func(in *entrustment.Inputs) { in.Entrustments = nil }), []string{"biller"}},
		"a contract permits more": {world(), world(func(in *entrustment.Inputs) {
			in.Entrustments[0].Spec.Egress = []v1alpha1.EgressDestination{{CIDR: "198.51.100.0/24"}}
		}), []string{"biller"}},
		"a store in the cluster moves":    {world(), world(func(in *entrustment.Inputs) { in.Stores[0].Generation++ }), []string{"biller", "own"}},
		"a store outside the cluster":     {world(), world(func(in *entrustment.Inputs) { in.Stores[1].Generation++ }), []string{"biller", "own"}},
		"one outside the cluster is gone": {world(), world(func(in *entrustment.Inputs) { in.Stores = in.Stores[:1] }), []string{"biller", "own"}},
		"a namespace is bound no more":    {world(), world(func(in *entrustment.Inputs) { in.Processors[1].Spec.Namespaces = nil }), []string{"biller"}},
		"a status was written":            {world(), world(func(in *entrustment.Inputs) { in.Stores[1].ResourceVersion = "2" }), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, request := range changedNamespaces(t.Context(), test.old, test.next) {
				got = append(got, request.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
