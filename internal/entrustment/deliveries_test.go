package entrustment_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestDeliveries(t *testing.T) {
	ledger := types.NamespacedName{Namespace: "data", Name: "ledger"}
	reader := entrustment.Delivery{Name: "pds.data.ledger.reader", Store: ledger, Credential: "reader", Source: "ledger-reader"}
	mailer := entrustment.Delivery{Name: "pds.data.ledger.mailer", Store: ledger, Credential: "mailer", Source: "ledger-mailer"}
	for name, test := range map[string]struct {
		change func(*entrustment.Inputs)
		want   map[string][]entrustment.Delivery // by namespace
	}{
		"a credential for every purpose, and one for a single one": {
			func(*entrustment.Inputs) {},
			map[string][]entrustment.Delivery{"own": {mailer, reader}, "biller": {reader}},
		},
		"the contract is suspended": {
			func(in *entrustment.Inputs) { in.Entrustments[0].Spec.Suspended = true },
			map[string][]entrustment.Delivery{"own": {mailer, reader}},
		},
		"the store is suspended": {
			func(in *entrustment.Inputs) { in.Stores[0].Spec.Suspended = true }, nil,
		},
		"the store goes": {
			func(in *entrustment.Inputs) {
				in.Stores[0].DeletionTimestamp = &in.Entrustments[0].Spec.NotAfter
			}, nil,
		},
		"a namespace that reports, and is assigned one purpose": {
			func(in *entrustment.Inputs) {
				in.Processors[0] = builder.Processor(builder.Controller).Namespace("own", "billing").Report().Obj()
			},
			map[string][]entrustment.Delivery{"own": {reader}, "biller": {reader}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := entrustment.Inputs{
				Purposes: []*v1alpha1.Purpose{
					builder.Purpose("service").Obj(), builder.Purpose("billing").Parent("service").Obj(), builder.Purpose("mailing").Parent("service").Obj(),
				},
				Processors: []*v1alpha1.DataProcessor{
					builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Obj(),
				},
				Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").Obj()},
				Stores: []*v1alpha1.PersonalDataStore{
					builder.Store("data", "ledger").AllowedPurposes("service").Recipients(v1alpha1.RecipientEntrustee).
						Credential("reader", "ledger-reader").Credential("mailer", "ledger-mailer", "mailing").Obj(),
				},
			}
			test.change(&in)
			snapshot := entrustment.Compile(in, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
			for _, namespace := range []string{"own", "biller", "data", "nowhere"} {
				if diff := cmp.Diff(test.want[namespace], snapshot.Deliveries(namespace)); diff != "" {
					t.Errorf("%s: %s", namespace, diff)
				}
			}
			byNamespace := map[string][]entrustment.Delivery{}
			for _, d := range snapshot.StoreDeliveries(ledger) {
				byNamespace[d.Namespace] = append(byNamespace[d.Namespace], d.Delivery)
			}
			for _, deliveries := range byNamespace {
				slices.SortFunc(deliveries, func(a, b entrustment.Delivery) int { return strings.Compare(a.Name, b.Name) })
			}
			if diff := cmp.Diff(test.want, byNamespace, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("of the store: %s", diff)
			}
		})
	}
}
