package draining_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestNote(t *testing.T) {
	reporting := builder.Store("data", "reporting").AllowedPurposes("billing").Obj()
	reporting.Spec.Enforcement = v1alpha1.EnforcementReport
	current := entrustment.Compile(entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{
		builder.Store("data", "a").AllowedPurposes("billing").Obj(), builder.Store("data", "b").AllowedPurposes("billing").Obj(), reporting,
	}}, noon)
	granted := func(under string, stores ...string) entrustment.AccessGrant {
		g := entrustment.AccessGrant{Purpose: "billing", Entrustment: under}
		for _, name := range stores {
			g.Stores = append(g.Stores, types.NamespacedName{Namespace: "data", Name: name})
		}
		return g
	}
	note := func(under string, generation int64, stores ...string) v1alpha1.DrainingGrant {
		return v1alpha1.DrainingGrant{Purpose: "billing", Entrustment: under, Stores: stores, Generation: generation}
	}
	shown := func(b *builder.AccessBuilder, draining ...v1alpha1.DrainingGrant) *v1alpha1.PersonalDataAccess {
		access := b.Obj()
		access.Generation, access.Draining = 7, draining
		return access
	}
	for name, test := range map[string]struct {
		before *v1alpha1.PersonalDataAccess
		now    []entrustment.AccessGrant
		want   []v1alpha1.DrainingGrant
	}{
		"a namespace that was shown nothing has lost nothing": {nil, []entrustment.AccessGrant{granted("fees", "a")}, nil},
		"what stays is not noted":                             {shown(builder.Access("n").Grant("billing", "fees", "data/a")), []entrustment.AccessGrant{granted("fees", "a")}, nil},
		"a grant that ended is noted with its stores": {
			shown(builder.Access("n").Grant("billing", "fees", "data/b", "data/a")), nil, []v1alpha1.DrainingGrant{note("fees", 7, "data/a", "data/b")}},
		"a grant that reaches less is noted with what it lost": {
			shown(builder.Access("n").Grant("billing", "fees", "data/a", "data/b")), []entrustment.AccessGrant{granted("fees", "b")},
			[]v1alpha1.DrainingGrant{note("fees", 7, "data/a")}},
		"own handling is noted first": {
			shown(builder.Access("n").Grant("billing", "fees", "data/a").Grant("billing", "", "data/a")), nil,
			[]v1alpha1.DrainingGrant{note("", 7, "data/a"), note("fees", 7, "data/a")}},
		"what is draining goes on": {shown(builder.Access("n"), note("fees", 3, "data/a")), nil, []v1alpha1.DrainingGrant{note("fees", 3, "data/a")}},
		"what is lost again is lost anew": {
			shown(builder.Access("n").Grant("billing", "fees", "data/b"), note("fees", 3, "data/a")), nil,
			[]v1alpha1.DrainingGrant{note("fees", 7, "data/a", "data/b")}},
		"a contract that is resumed ends nobody": {shown(builder.Access("n"), note("fees", 3, "data/a")), []entrustment.AccessGrant{granted("fees", "a")}, nil},
		"what is lost of a store that reports is noted, because it may cut some day": {
			shown(builder.Access("n").Grant("billing", "fees", "data/reporting"), note("", 3, "data/reporting")), nil,
			[]v1alpha1.DrainingGrant{note("", 3, "data/reporting"), note("fees", 7, "data/reporting")}},
		"a store that is gone is forgotten": {shown(builder.Access("n").Grant("billing", "fees", "data/gone")), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, left := draining.Note(current, test.before, test.now)
			if diff := cmp.Diff(test.want, got); diff != "" || len(left) > 0 {
				t.Errorf("-want +got:\n%s, left %v", diff, left)
			}
		})
	}
}

func TestEnds(t *testing.T) {
	current := entrustment.Compile(entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{
		builder.Store("data", "cuts").Obj(), builder.Store("data", "reports").Report().Obj(), builder.Store("data", "suspended").Report().Suspended().Obj(),
	}}, noon)
	for name, test := range map[string]struct {
		stores        []string
		ends, matters bool
	}{
		"a store that cuts ends the pods":                           {[]string{"data/cuts"}, true, true},
		"one that reports ends nobody, but may":                     {[]string{"data/reports"}, false, true},
		"one of several that cuts is enough":                        {[]string{"data/cuts", "data/reports"}, true, true},
		"one that is suspended cuts, whatever it did before":        {[]string{"data/suspended"}, true, true},
		"one that is gone ends nobody, and never will":              {[]string{"data/gone"}, false, false},
		"one that is gone beside one that reports does not hide it": {[]string{"data/gone", "data/reports"}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			note := &v1alpha1.DrainingGrant{Stores: test.stores}
			if ends, matters := draining.Ends(current, note), draining.Matters(current, note); ends != test.ends || matters != test.matters {
				t.Errorf("ends %t, matters %t", ends, matters)
			}
		})
	}
}

func TestWhatEndsPodsIsNotedFirst(t *testing.T) {
	current := entrustment.Compile(entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{
		builder.Store("data", "cuts").Obj(), builder.Store("data", "reports").Report().Obj(),
	}}, noon)
	before := builder.Access("n")
	for i := range v1alpha1.MaxGrants {
		before.Grant(fmt.Sprintf("purpose-%03d", i), "fees", "data/reports")
	}
	before.Grant("zeal", "fees", "data/cuts")
	noted, left := draining.Note(current, before.Obj(), nil)
	if len(left) != 1 || left[0].Stores[0] != "data/reports" || noted[len(noted)-1].Purpose != "zeal" {
		t.Errorf("the last that is noted is %v, left are %v", noted[len(noted)-1], left)
	}
}

func TestNoteIsBounded(t *testing.T) {
	current := entrustment.Compile(entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{builder.Store("data", "a").AllowedPurposes("billing").Obj()}}, noon)
	before := builder.Access("n")
	for i := range 600 {
		before.Grant(fmt.Sprintf("purpose-%03d", i), "fees", "data/a")
	}
	noted, left := draining.Note(current, before.Obj(), nil)
	if len(noted) != v1alpha1.MaxGrants || len(noted)+len(left) != 600 {
		t.Errorf("%d noted, %d left", len(noted), len(left))
	}
	if left[0].Purpose != "purpose-512" {
		t.Errorf("the first that is left is %s", left[0].Purpose)
	}
}
