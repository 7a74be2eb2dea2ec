package admission

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

func TestChanges(t *testing.T) {
	noon := time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	contract := builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").NotAfter(noon.Add(time.Hour)).Suspended().Obj()
	contract.Generation = 7
	current := entrustment.Compile(entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Obj(), builder.Processor("biller").Namespace("biller").With(func(p *v1alpha1.DataProcessor) { p.Generation = 3 }).Obj(),
		},
		Stores:       []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj()},
		Entrustments: []*v1alpha1.Entrustment{contract},
	}, noon)
	grant := func(until time.Time, stores ...string) []entrustment.AccessGrant {
		g := entrustment.AccessGrant{Purpose: "billing", Entrustment: "fees", Until: until}
		for _, store := range stores {
			g.Stores = append(g.Stores, types.NamespacedName{Namespace: "data", Name: store})
		}
		return []entrustment.AccessGrant{g}
	}
	shown := func(until time.Time, stores ...string) []v1alpha1.Grant {
		for i := range stores {
			stores[i] = "data/" + stores[i]
		}
		b := builder.Access("biller").Grant("billing", "fees", stores...)
		if !until.IsZero() {
			b.NotAfter(until)
		}
		return b.Obj().Grants
	}
	never, later := time.Time{}, noon.Add(time.Hour)
	for name, test := range map[string]struct {
		before []v1alpha1.Grant
		now    []entrustment.AccessGrant
		want   []string
	}{
		"nothing, and nothing":   {nil, nil, nil},
		"the same":               {shown(later, "ledger"), grant(later.Add(time.Millisecond), "ledger"), nil},
		"a first grant":          {nil, grant(later, "ledger"), []string{"GrantMade [data/ledger] until 13:00 []"}},
		"a grant for good":       {[]v1alpha1.Grant{}, grant(never, "ledger"), []string{"GrantMade [data/ledger] []"}},
		"another store":          {shown(never, "ledger"), grant(never, "archive", "ledger"), []string{"GrantWidened [data/archive] []"}},
		"a store fewer":          {shown(never, "archive", "ledger"), grant(never, "ledger"), []string{"GrantNarrowed [data/archive] []"}},
		"one store for another":  {shown(never, "archive"), grant(never, "ledger"), []string{"GrantNarrowed [data/archive] []", "GrantWidened [data/ledger] []"}},
		"an earlier end":         {shown(later, "ledger"), grant(noon, "ledger"), []string{"GrantNarrowed [] until 12:00 []"}},
		"a later end":            {shown(noon, "ledger"), grant(later, "ledger"), []string{"GrantWidened [] until 13:00 []"}},
		"an end":                 {shown(never, "ledger"), grant(later, "ledger"), []string{"GrantNarrowed [] until 13:00 []"}},
		"no end any more":        {shown(later, "ledger"), grant(never, "ledger"), []string{"GrantWidened [] []"}},
		"a grant that was taken": {shown(never, "ledger"), nil, []string{"GrantWithdrawn [data/ledger] [Suspended]"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range changes(current, "biller", test.before, test.now) {
				text := fmt.Sprintf("%s %v", e.Event, e.Grant.Stores)
				if e.Grant.NotAfter != nil {
					text += e.Grant.NotAfter.Format(" until 15:04")
				}
				got = append(got, text+fmt.Sprintf(" [%s]", e.Reason))
				if diff := cmp.Diff("DataProcessor biller 3, Entrustment fees 7", fmt.Sprintf("%s %s %d, %s %s %d",
					e.Objects[0].Kind, e.Objects[0].Name, e.Objects[0].Generation, e.Objects[1].Kind, e.Objects[1].Name, e.Objects[1].Generation)); diff != "" {
					t.Error(diff)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGrantGoesWithItsNamespace(t *testing.T) {
	current := entrustment.Compile(entrustment.Inputs{
		Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj()},
		Stores:     []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").AllowedPurposes("billing").Obj()},
	}, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	got := changes(current, "own", builder.Access("own").Grant("billing", "", "data/ledger").Obj().Grants, nil)
	if len(got) != 1 || got[0].Event != "GrantWithdrawn" || got[0].Reason != "NamespaceNotFound" || got[0].Message != "namespace own is gone" {
		t.Errorf("%+v", got)
	}
}

func TestNobodyElseMakesOrWithdrawsAGrant(t *testing.T) {
	current := entrustment.Compile(entrustment.Inputs{}, time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC))
	now := []entrustment.AccessGrant{{Purpose: "billing", Stores: []types.NamespacedName{{Namespace: "data", Name: "ledger"}}}}
	told := &told{}
	forged := builder.Access("biller").Grant("billing", "", "data/ledger").Grant("marketing", "", "data/ledger").Obj()
	if got := told.before("biller", forged); len(got) != 2 {
		t.Errorf("the live object tells nothing at first: %v", got)
	}
	told.show("biller", now)
	for name, live := range map[string]*v1alpha1.PersonalDataAccess{"forged": forged, "deleted": nil, "emptied": builder.Access("biller").Obj()} {
		if got := changes(current, "biller", told.before("biller", live), now); len(got) > 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := changes(current, "biller", told.before("biller", nil), nil); len(got) != 1 || got[0].Event != "GrantWithdrawn" {
		t.Errorf("what is withdrawn while the object is missing is not told: %v", got)
	}
	told.forget("biller")
	if got := told.before("biller", nil); got != nil {
		t.Errorf("still knows %v", got)
	}
}
