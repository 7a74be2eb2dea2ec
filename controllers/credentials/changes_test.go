package credentials

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestChangedNamespaces(t *testing.T) {
	store := func() *builder.StoreBuilder {
		return builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee)
	}
	world := func(changes ...func(*entrustment.Inputs)) *entrustment.Snapshot {
		in := entrustment.Inputs{
			Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{
				builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Namespace("printer").Obj(),
				builder.Processor("stranger").Namespace("stranger").Obj(),
			},
			Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").Obj()},
			Stores:       []*v1alpha1.PersonalDataStore{store().Credential("reader", "ledger-reader").Obj(), builder.Store("open", "bare").AllowedPurposes("billing").Obj()},
		}
		for _, change := range changes {
			change(&in)
		}
		return entrustment.Compile(in, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	}
	suspended := func(in *entrustment.Inputs) { in.Entrustments[0].Spec.Suspended = true }
	renamed := func(in *entrustment.Inputs) {
		in.Stores[0] = store().Credential("reader", "another").Obj()
		in.Stores[0].Generation++
	}
	for name, test := range map[string]struct {
		old, next *entrustment.Snapshot
		want      []reconcile.Request
	}{
		"the first snapshot":       {nil, world(), snapshot.Requests("biller", "data", "own", "printer", "stranger")},
		"nothing":                  {world(), world(), nil},
		"a grant ends":             {world(), world(suspended), snapshot.Requests("biller", "data", "own", "printer")},
		"a grant begins":           {world(suspended), world(), snapshot.Requests("biller", "data", "own", "printer")},
		"another source":           {world(), world(renamed), snapshot.Requests("biller", "data", "own", "printer")},
		"the store goes":           {world(), world(func(in *entrustment.Inputs) { in.Stores = in.Stores[1:] }), snapshot.Requests("biller", "data", "own", "printer")},
		"one is bound no more":     {world(), world(func(in *entrustment.Inputs) { in.Processors = in.Processors[:2] }), snapshot.Requests("stranger")},
		"a store without any goes": {world(), world(func(in *entrustment.Inputs) { in.Stores = in.Stores[:1] }), nil},
		"a namespace is another": {
			world(func(in *entrustment.Inputs) { in.Namespaces = map[string]types.UID{"stranger": "1"} }),
			world(func(in *entrustment.Inputs) { in.Namespaces = map[string]types.UID{"stranger": "2"} }), snapshot.Requests("stranger"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, changedNamespaces(t.Context(), test.old, test.next)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
