package entrustment_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

var today = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

func TestPurposeUses(t *testing.T) {
	ledger := func() *builder.StoreBuilder { return builder.Store("data", "ledger") }
	for name, test := range map[string]struct {
		purposes     []*builder.PurposeBuilder // besides billing
		stores       []*builder.StoreBuilder
		entrustments []*builder.EntrustmentBuilder
		processors   []*builder.ProcessorBuilder
		purpose      string // absent: billing
		want         []string
	}{
		"nobody": {},
		"one that does not exist": {
			purpose: "nothing", stores: []*builder.StoreBuilder{ledger().AllowedPurposes("nothing")},
		},
		"a purpose below it": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("invoices").Parent("billing")},
			want:     []string{`Purpose "invoices" below it`},
		},
		"a store that allows it": {
			stores: []*builder.StoreBuilder{ledger().AllowedPurposes("billing")}, want: []string{`PersonalDataStore "data/ledger" names it`},
		},
		"a store that prohibits it": {
			stores: []*builder.StoreBuilder{ledger().With(func(s *v1alpha1.PersonalDataStore) { s.Spec.ProhibitedPurposes = []string{"billing"} })},
			want:   []string{`PersonalDataStore "data/ledger" names it`},
		},
		"a store limited to those who consented to it": {
			stores: []*builder.StoreBuilder{ledger().With(func(s *v1alpha1.PersonalDataStore) { s.Spec.ConsentedPurposes = []string{"billing"} })},
			want:   []string{`PersonalDataStore "data/ledger" names it`},
		},
		"a credential made for it": {
			stores: []*builder.StoreBuilder{ledger().With(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Credentials = []v1alpha1.Credential{{Name: "ro", SecretName: "ro", Purposes: []string{"billing"}}}
			})},
			want: []string{`PersonalDataStore "data/ledger" names it`},
		},
		"a store that allows what it is a part of": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("invoices").Parent("billing")}, purpose: "invoices",
			stores: []*builder.StoreBuilder{ledger().AllowedPurposes("billing")}, want: []string{`PersonalDataStore "data/ledger" is for it`},
		},
		"the same, once it is withdrawn": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("invoices").Parent("billing").NotAfter(today)}, purpose: "invoices",
			stores: []*builder.StoreBuilder{ledger().AllowedPurposes("billing")},
		},
		"a store of another data controller": {
			stores: []*builder.StoreBuilder{ledger().Controller("rival").AllowedPurposes("billing")},
		},
		"a store, of a prohibited purpose that nobody names": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("scoring").Prohibited()}, purpose: "scoring",
			stores: []*builder.StoreBuilder{ledger().AllowedPurposes("billing")},
			want:   []string{`PersonalDataStore "data/ledger" of "acme", which it protects`},
		},
		"a store, of a purpose that needs consent": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("ads").ConsentRequired()}, purpose: "ads",
			stores: []*builder.StoreBuilder{ledger().AllowedPurposes("billing")},
			want:   []string{`PersonalDataStore "data/ledger" of "acme", which it protects`},
		},
		"a store, of a purpose that contacts individuals": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("calls").ContactsIndividuals()}, purpose: "calls",
			stores: []*builder.StoreBuilder{ledger().AllowedPurposes("billing")},
			want:   []string{`PersonalDataStore "data/ledger" of "acme", which it protects`},
		},
		"no store, of a prohibited purpose": {
			purposes: []*builder.PurposeBuilder{builder.Purpose("scoring").Prohibited()}, purpose: "scoring",
		},
		"a contract": {
			entrustments: []*builder.EntrustmentBuilder{builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger")},
			want:         []string{`Entrustment "fees" names it`},
		},
		"a contract that carves it out": {
			entrustments: []*builder.EntrustmentBuilder{builder.Entrustment("fees").To("biller").Purposes("all").ProhibitedPurposes("billing").Stores("data/ledger")},
			want:         []string{`Entrustment "fees" names it`},
		},
		"a namespace": {
			processors: []*builder.ProcessorBuilder{builder.Processor("biller").Namespace("biller", "billing")},
			want:       []string{`DataProcessor "biller" assigns it to namespace "biller"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := entrustment.Inputs{Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()}}
			for _, b := range test.purposes {
				in.Purposes = append(in.Purposes, b.Obj())
			}
			for _, b := range test.stores {
				in.Stores = append(in.Stores, b.Obj())
			}
			for _, b := range test.entrustments {
				in.Entrustments = append(in.Entrustments, b.Obj())
			}
			for _, b := range test.processors {
				in.Processors = append(in.Processors, b.Obj())
			}
			purpose := test.purpose
			if purpose == "" {
				purpose = "billing"
			}
			if diff := cmp.Diff(test.want, entrustment.Compile(in, today).PurposeUses(purpose)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOtherUses(t *testing.T) {
	snapshot := entrustment.Compile(entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Obj(), builder.Processor("former").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").Obj(),
			builder.Entrustment("ended").To("former").Purposes("billing").Stores("data/ledger").NotAfter(today).Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{
			builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
			builder.Store("data", "shut").AllowedPurposes("billing").With(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Suspended, s.Spec.SuspendedReason = true, "incident"
			}).Obj(),
		},
	}, today)
	for name, test := range map[string]struct{ got, want []string }{
		"a data controller": {snapshot.ProcessorUses(builder.Controller), []string{
			`Entrustment "fees" has not ended`, `PersonalDataStore "data/ledger" holds its data`, `PersonalDataStore "data/shut" holds its data`,
		}},
		"an entrustee":                     {snapshot.ProcessorUses("biller"), []string{`Entrustment "fees" has not ended`}},
		"one whose contracts have ended":   {snapshot.ProcessorUses("former"), nil},
		"a store with grants":              {snapshot.StoreUses(types.NamespacedName{Namespace: "data", Name: "ledger"}), []string{`namespace "biller" has a grant under Entrustment "fees"`, `namespace "own" has a grant`}},
		"a store that is suspended":        {snapshot.StoreUses(types.NamespacedName{Namespace: "data", Name: "shut"}), nil},
		"a store that does not exist":      {snapshot.StoreUses(types.NamespacedName{Namespace: "data", Name: "nothing"}), nil},
		"namespaces that are looked after": {snapshot.GuardedNamespaces(), []string{"biller", "data", "own"}},
		"namespaces that hold a store":     {snapshot.StoreNamespaces(), []string{"data"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStoresOfPods(t *testing.T) {
	store := func(name string, selector v1alpha1.PodSelector) *v1alpha1.PersonalDataStore {
		return builder.Store("data", name).With(func(s *v1alpha1.PersonalDataStore) { s.Spec.Endpoint.PodSelector = &selector }).Obj()
	}
	snapshot := entrustment.Compile(entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{
		store("ledger", v1alpha1.PodSelector{MatchLabels: map[string]string{"app": "ledger"}}),
		store("shards", v1alpha1.PodSelector{MatchExpressions: []v1alpha1.PodSelectorRequirement{
			{Key: "app", Operator: v1alpha1.PodSelectorIn, Values: []string{"shard", "ledger"}}, {Key: "shard", Operator: v1alpha1.PodSelectorExists},
		}}),
		builder.Store("data", "outside").With(func(s *v1alpha1.PersonalDataStore) {
			s.Spec.Endpoint.PodSelector, s.Spec.Endpoint.External = nil, &v1alpha1.ExternalEndpoint{CIDRs: []string{"192.0.2.0/24"}}
		}).Obj(),
	}}, today)
	names := func(stores []*v1alpha1.PersonalDataStore) (names []string) {
		for _, s := range stores {
			names = append(names, s.Name)
		}
		return names
	}
	for name, test := range map[string]struct{ got, want []string }{
		"a pod of one":                    {names(snapshot.StoresOfPod("data", map[string]string{"app": "ledger"})), []string{"ledger"}},
		"a pod of both":                   {names(snapshot.StoresOfPod("data", map[string]string{"app": "ledger", "shard": "1"})), []string{"ledger", "shards"}},
		"a pod of neither":                {names(snapshot.StoresOfPod("data", map[string]string{"app": "web", "shard": "1"})), nil},
		"a pod without labels":            {names(snapshot.StoresOfPod("data", nil)), nil},
		"a pod of another namespace":      {names(snapshot.StoresOfPod("other", map[string]string{"app": "ledger"})), nil},
		"a selector that excludes both":   {names(snapshot.StoresBehind("data", map[string]string{"app": "web"})), nil},
		"a selector that excludes one":    {names(snapshot.StoresBehind("data", map[string]string{"app": "shard"})), []string{"shards"}},
		"a selector of something else":    {names(snapshot.StoresBehind("data", map[string]string{"tier": "db"})), []string{"ledger", "shards"}},
		"no selector":                     {names(snapshot.StoresBehind("data", nil)), []string{"ledger", "shards"}},
		"a selector of another namespace": {names(snapshot.StoresBehind("other", nil)), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, test.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNewExcess(t *testing.T) {
	parent := builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger", "data/later").Categories("user.name").
		NotBefore(today.AddDate(0, -1, 0)).NotAfter(today.AddDate(1, 0, 0)).PriorApproval("printer")
	child := func() *builder.EntrustmentBuilder {
		return builder.Entrustment("printing").Parent("fees").From("biller").To("printer").Purposes("billing").Stores("data/ledger").
			Categories("user.name").NotAfter(today.AddDate(0, 6, 0))
	}
	toMirror := func(cidr string, ports ...int32) func(*v1alpha1.Entrustment) {
		return func(e *v1alpha1.Entrustment) {
			destination := v1alpha1.EgressDestination{Description: "mirror", CIDR: cidr}
			for _, port := range ports {
				destination.Ports = append(destination.Ports, v1alpha1.Port{Port: port})
			}
			e.Spec.Egress = []v1alpha1.EgressDestination{destination}
		}
	}
	snapshot := entrustment.Compile(entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj(), builder.Purpose("research").Obj(), builder.Purpose("ads").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Obj(), builder.Processor("biller").Obj(), builder.Processor("printer").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{parent.Obj()},
		Stores: []*v1alpha1.PersonalDataStore{
			builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee).Obj(),
			builder.Store("data", "orders").AllowedPurposes("billing").Obj(),
		},
	}, today)
	for name, test := range map[string]struct {
		child, before *builder.EntrustmentBuilder
		want          []string
	}{
		"nothing beyond":               {child: child()},
		"no parent":                    {child: child().Parent("").Purposes("research")},
		"a parent that is not there":   {child: child().Parent("nothing").Purposes("research")},
		"a purpose":                    {child: child().Purposes("billing", "research"), want: []string{`purpose "research" exceeds the tiers above`}},
		"a purpose nobody published":   {child: child().Purposes("billing", "unknown")},
		"a store":                      {child: child().Stores("data/ledger", "data/orders"), want: []string{`store "data/orders" exceeds the tiers above`}},
		"a store yet to be made":       {child: child().Stores("data/ledger", "data/later")},
		"another store yet to be made": {child: child().Stores("data/another"), want: []string{`store "data/another" exceeds the tiers above`}},
		"a category":                   {child: child().Categories("user.name", "user.address"), want: []string{`category "user.address" exceeds Entrustment "fees"`}},
		"a longer term":                {child: child().NotAfter(today.AddDate(2, 0, 0)), want: []string{`notAfter is later than that of Entrustment "fees"`}},
		"an earlier beginning":         {child: child().NotBefore(today.AddDate(-1, 0, 0)), want: []string{`notBefore is earlier than that of Entrustment "fees"`}},
		"a country":                    {child: child().Territories("JP", "US"), want: []string{"territory US exceeds the tiers above"}},
		"a destination":                {child: child().With(toMirror("192.0.2.0/24")), want: []string{"egress to 192.0.2.0/24 exceeds the tiers above"}},
		"several things, all of them": {
			child: child().Purposes("research", "ads").Territories("US"),
			want:  []string{`purpose "ads" exceeds the tiers above`, `purpose "research" exceeds the tiers above`, "territory US exceeds the tiers above"},
		},
		"what it asked for before": {
			child:  child().Purposes("research").Stores("data/orders").Categories("user").NotAfter(today.AddDate(2, 0, 0)).Territories("US").With(toMirror("192.0.2.0/24")).Suspended(),
			before: child().Purposes("research").Stores("data/orders").Categories("user").NotAfter(today.AddDate(2, 0, 0)).Territories("US").With(toMirror("192.0.2.0/24")),
		},
		"less than before, still too much": {
			child:  child().Purposes("research").Categories("user.address").NotAfter(today.AddDate(2, 0, 0)).With(toMirror("192.0.2.0/28", 443)),
			before: child().Purposes("research", "ads").Categories("user").NotAfter(today.AddDate(3, 0, 0)).With(toMirror("192.0.2.0/24")),
		},
		"more than before": {
			child:  child().Purposes("research", "ads").NotAfter(today.AddDate(3, 0, 0)).With(toMirror("192.0.2.0/24", 80, 443)),
			before: child().Purposes("research").NotAfter(today.AddDate(2, 0, 0)).With(toMirror("192.0.2.0/24", 443)),
			want: []string{
				`purpose "ads" exceeds the tiers above`, `notAfter is later than that of Entrustment "fees"`, "egress to 192.0.2.0/24 exceeds the tiers above",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var before *v1alpha1.Entrustment
			if test.before != nil {
				before = test.before.Obj()
			}
			var everybody sync.WaitGroup
			for range 4 { // the race detector sees a snapshot that does not stay as it is
				everybody.Go(func() {
					if diff := cmp.Diff(test.want, snapshot.NewExcess(test.child.Obj(), before)); diff != "" {
						t.Error(diff)
					}
				})
			}
			everybody.Wait()
		})
	}
}

func TestParentOfOther(t *testing.T) {
	snapshot := entrustment.Compile(entrustment.Inputs{Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()}}, today)
	for name, test := range map[string]struct {
		purpose *builder.PurposeBuilder
		want    string
	}{
		"a root":                     {builder.Purpose("invoices"), ""},
		"a parent of its own":        {builder.Purpose("invoices").Parent("billing"), ""},
		"a parent that is not there": {builder.Purpose("invoices").Parent("nothing").Controller("rival"), ""},
		"a parent of another":        {builder.Purpose("invoices").Parent("billing").Controller("rival"), builder.Controller},
	} {
		t.Run(name, func(t *testing.T) {
			if got := snapshot.ParentOfOther(test.purpose.Obj()); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
