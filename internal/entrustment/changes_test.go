package entrustment_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestChanges(t *testing.T) {
	end := today.AddDate(1, 0, 0)
	own := func(purposes ...string) entrustment.GrantChange {
		return entrustment.GrantChange{Namespace: "shop", Store: ledgerKey, Purposes: purposes}
	}
	under := func(purposes ...string) entrustment.GrantChange {
		return entrustment.GrantChange{Namespace: "biller", Entrustment: "fees", Store: ledgerKey, Purposes: purposes}
	}
	lost := func(c entrustment.GrantChange, reason v1alpha1.Reason) entrustment.GrantChange {
		c.Reason = reason
		return c
	}
	gained := func(c entrustment.GrantChange, until time.Time) entrustment.GrantChange {
		c.Gained, c.Until = true, until
		return c
	}
	for name, test := range map[string]struct {
		before, after func(*entrustment.Inputs)
		want          []entrustment.GrantChange
		contracts     []entrustment.ContractChange
	}{
		"nothing": {},
		"a contract ends": {
			after:     func(in *entrustment.Inputs) { in.Entrustments[0].Spec.NotAfter.Time = today },
			want:      []entrustment.GrantChange{lost(under("billing", "invoices"), v1alpha1.ReasonExpired)},
			contracts: []entrustment.ContractChange{{Name: "fees", Before: entrustment.Activity{Active: true, Reason: v1alpha1.ReasonInForce}, After: entrustment.Activity{Reason: v1alpha1.ReasonExpired}, Was: end}},
		},
		"a contract is made": {
			before:    func(in *entrustment.Inputs) { in.Entrustments = nil },
			want:      []entrustment.GrantChange{gained(under("billing", "invoices"), end)},
			contracts: []entrustment.ContractChange{{Name: "fees", After: entrustment.Activity{Active: true, Reason: v1alpha1.ReasonInForce}, Until: end}},
		},
		"a contract is prolonged": {
			after: func(in *entrustment.Inputs) { in.Entrustments[0].Spec.NotAfter.Time = end.AddDate(1, 0, 0) },
			contracts: []entrustment.ContractChange{{
				Name: "fees", Before: entrustment.Activity{Active: true, Reason: v1alpha1.ReasonInForce}, After: entrustment.Activity{Active: true, Reason: v1alpha1.ReasonInForce},
				Was: end, Until: end.AddDate(1, 0, 0),
			}},
		},
		"a store is for less": {
			after: func(in *entrustment.Inputs) { in.Stores[0].Spec.AllowedPurposes = []string{"invoices"} },
			want:  []entrustment.GrantChange{lost(under("billing"), v1alpha1.ReasonPurposeTooGeneral), lost(own("billing"), v1alpha1.ReasonPurposeTooGeneral)},
		},
		"a store is gone": {
			after: func(in *entrustment.Inputs) { in.Stores = nil },
			want:  []entrustment.GrantChange{lost(under("billing", "invoices"), v1alpha1.ReasonStoreNotFound), lost(own("billing", "invoices"), v1alpha1.ReasonStoreNotFound)},
		},
		"one purpose for another": {
			before: func(in *entrustment.Inputs) {
				in.Processors[0].Spec.Namespaces = nil
				in.Purposes = append(in.Purposes, builder.Purpose("shipping").Controller("shop").Obj())
				in.Stores[0].Spec.AllowedPurposes = []string{"billing", "shipping"}
			},
			after: func(in *entrustment.Inputs) {
				in.Processors[0].Spec.Namespaces = nil
				in.Purposes = append(in.Purposes, builder.Purpose("shipping").Controller("shop").Obj())
				in.Stores[0].Spec.AllowedPurposes = []string{"billing", "shipping"}
				in.Entrustments[0].Spec.Purposes = []string{"shipping"}
			},
			want: []entrustment.GrantChange{lost(under("billing", "invoices"), v1alpha1.ReasonPurposeNotEntrusted), gained(under("shipping"), end)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, change := range []*func(*entrustment.Inputs){&test.before, &test.after} {
				if *change == nil {
					*change = func(*entrustment.Inputs) {}
				}
			}
			old, next := shop(test.before), shop(test.after)
			if diff := cmp.Diff(test.want, next.GrantChanges(old), cmpopts.IgnoreFields(entrustment.GrantChange{}, "Message")); diff != "" {
				t.Errorf("grants: %s", diff)
			}
			if diff := cmp.Diff(test.contracts, next.ContractChanges(old), cmpopts.IgnoreFields(entrustment.ContractChange{}, "Message", "Until", "Was")); diff != "" {
				t.Errorf("contracts: %s", diff)
			}
			for i, c := range next.ContractChanges(old) {
				if c.After.Active && !c.Until.Equal(test.contracts[i].Until) || c.Before.Active && !c.Was.Equal(test.contracts[i].Was) {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

func TestEnforcementChanges(t *testing.T) {
	reports := func(in *entrustment.Inputs) {
		in.Stores[0].Spec.Enforcement = v1alpha1.EnforcementReport
		in.Processors[1].Spec.Namespaces[0].Enforcement = v1alpha1.EnforcementReport
	}
	enforces := func(*entrustment.Inputs) {}
	for name, test := range map[string]struct {
		before, after func(*entrustment.Inputs)
		want          []entrustment.EnforcementChange
	}{
		"nothing":                 {before: reports, after: reports},
		"what reported is closed": {reports, enforces, []entrustment.EnforcementChange{{Store: ledgerKey, Begins: true}, {Namespace: "biller", Begins: true}}},
		"what was closed reports": {enforces, reports, []entrustment.EnforcementChange{{Store: ledgerKey}, {Namespace: "biller"}}},
		"a store that reports is suspended": {
			before: reports,
			after: func(in *entrustment.Inputs) {
				reports(in)
				in.Stores[0].Spec.Suspended = true
			},
			want: []entrustment.EnforcementChange{{Store: ledgerKey, Begins: true}},
		},
		"a store that is new, and a namespace that was nobody's": {
			before: func(in *entrustment.Inputs) { in.Stores, in.Processors[1].Spec.Namespaces = nil, nil }, after: reports,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, shop(test.after).EnforcementChanges(shop(test.before))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRivalBinding(t *testing.T) {
	twice := func(in *entrustment.Inputs) {
		in.Processors = append(in.Processors, builder.Processor("other").Namespace("biller").Obj())
	}
	for name, test := range map[string]struct {
		change               func(*entrustment.Inputs)
		namespace, processor string
		want                 string
	}{
		"nobody's":                 {func(*entrustment.Inputs) {}, "x", "biller", ""},
		"one's own":                {func(*entrustment.Inputs) {}, "biller", "biller", ""},
		"also another's":           {twice, "biller", "biller", "other"},
		"another's, who was first": {twice, "biller", "other", "biller"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := shop(test.change).RivalBinding(test.namespace, test.processor); got != test.want {
				t.Errorf("%q", got)
			}
		})
	}
}
