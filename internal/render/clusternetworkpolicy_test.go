package render_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
)

func TestClusterNetworkPolicies(t *testing.T) {
	var many []string
	for i := range 32 {
		many = append(many, fmt.Sprintf("10.%d.0.0/16", i))
	}
	outside := func() *builder.StoreBuilder { return builder.Store("data", "archive").External("192.0.2.0/24") }
	grants := []entrustment.Grant{
		{Namespace: "own", Purposes: []string{"billing"}}, {Namespace: "more", Purposes: []string{"billing"}},
		{Namespace: "biller", Entrustment: "fees", Purposes: []string{"billing"}},
	}
	for name, test := range map[string]struct {
		store  *v1alpha1.PersonalDataStore
		grants []entrustment.Grant
		want   []string // action, priority and peers of each
	}{
		"with grants, one pass for each scope": {outside().Obj(), grants, []string{"Pass 100 1", "Pass 100 1", "Deny 101 1"}},
		"without grants":                       {outside().Obj(), nil, []string{"Deny 101 1"}},
		"more addresses than one peer takes":   {outside().External(many...).Obj(), nil, []string{"Deny 101 2"}},
		"in Report":                            {outside().Report().Obj(), grants, nil},
		"in the cluster":                       {builder.Store("data", "ledger").Obj(), grants, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			names := map[string]bool{}
			for _, policy := range render.ClusterNetworkPolicies(test.store, test.grants) {
				rule := policy.Spec.Egress[0]
				got = append(got, fmt.Sprint(*rule.Action, " ", *policy.Spec.Priority, " ", len(rule.To)))
				names[*policy.Name] = true
				if store, ours := render.ClusterwideStore(&metav1.ObjectMeta{Name: *policy.Name}); !ours || store != (types.NamespacedName{Namespace: "data", Name: "archive"}) {
					t.Errorf("%s belongs to %s", *policy.Name, store)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if len(names) != len(got) {
				t.Errorf("%d names of %d policies", len(names), len(got))
			}
		})
	}
	for _, other := range []string{"mine", "pds.ledger", "pds.data.ledger.x.y"} {
		if store, ours := render.ClusterwideStore(&metav1.ObjectMeta{Name: other}); ours {
			t.Errorf("%s belongs to %s", other, store)
		}
	}
}
