package admission

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

func TestNothingIsReadOrWrittenBeforeThereIsASnapshot(t *testing.T) {
	r := &Reconciler{Publisher: &snapshot.Publisher{}} // without clients: any use of them would panic
	if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "biller"}}); err == nil {
		t.Error("no error")
	}
}

func TestChangedNamespaces(t *testing.T) {
	world := func(change ...func(*entrustment.Inputs)) *entrustment.Snapshot {
		inputs := entrustment.Inputs{
			Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
			Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Namespace("other").Obj()},
			Stores:     []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").AllowedPurposes("billing").Obj()},
		}
		for _, c := range change {
			c(&inputs)
		}
		return entrustment.Compile(inputs, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	}
	bind := func(namespaces func(*builder.ProcessorBuilder) *builder.ProcessorBuilder) func(*entrustment.Inputs) {
		return func(in *entrustment.Inputs) {
			in.Processors = []*v1alpha1.DataProcessor{namespaces(builder.Processor(builder.Controller)).Obj()}
		}
	}
	for name, test := range map[string]struct {
		old, next *entrustment.Snapshot
		want      []reconcile.Request
	}{
		"the first snapshot":     {nil, world(), snapshot.Requests("other", "own")},
		"nothing":                {world(), world(), nil},
		"a namespace is unbound": {world(), world(bind(func(p *builder.ProcessorBuilder) *builder.ProcessorBuilder { return p.Namespace("own") })), snapshot.Requests("other")},
		"a namespace is bound":   {world(bind(func(p *builder.ProcessorBuilder) *builder.ProcessorBuilder { return p.Namespace("own") })), world(), snapshot.Requests("other")},
		"one has fewer purposes": {world(), world(bind(func(p *builder.ProcessorBuilder) *builder.ProcessorBuilder {
			return p.Namespace("own", "research").Namespace("other")
		})), snapshot.Requests("own")},
		"one only reports": {world(), world(bind(func(p *builder.ProcessorBuilder) *builder.ProcessorBuilder {
			return p.Namespace("own").Report().Namespace("other")
		})), snapshot.Requests("own")},
		"the store is gone": {world(), world(func(in *entrustment.Inputs) { in.Stores = nil }), snapshot.Requests("other", "own")},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, changedNamespaces(t.Context(), test.old, test.next)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
