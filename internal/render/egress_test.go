package render_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// contract lets biller, and its namespace of that name, bill for acme from the stores.
func contract(change func(*v1alpha1.Entrustment), stores ...*v1alpha1.PersonalDataStore) entrustment.Inputs {
	var keys []string
	for _, store := range stores {
		keys = append(keys, store.Namespace+"/"+store.Name)
	}
	return entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj(), builder.Purpose("dunning").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace("own").Obj(), builder.Processor("biller").Namespace("biller").Obj(),
		},
		Stores:       stores,
		Entrustments: []*v1alpha1.Entrustment{builder.Entrustment("fees").To("biller").Purposes("billing", "dunning").Stores(keys...).With(change).Obj()},
	}
}

func TestEgressPolicies(t *testing.T) {
	store := func(name string) *builder.StoreBuilder {
		return builder.Store("data", name).AllowedPurposes("billing", "dunning").Recipients(v1alpha1.RecipientEntrustee)
	}
	outside := func() *builder.StoreBuilder { return store("archive").External("192.0.2.8/29", "2001:db8::/48") }
	egress := func(cidrs ...string) func(*v1alpha1.Entrustment) {
		return func(e *v1alpha1.Entrustment) {
			for _, cidr := range cidrs {
				e.Spec.Egress = append(e.Spec.Egress, v1alpha1.EgressDestination{CIDR: cidr, Ports: []v1alpha1.Port{{Port: 443}}})
			}
		}
	}
	none := func(*v1alpha1.Entrustment) {}
	for name, test := range map[string]struct {
		namespace string
		inputs    entrustment.Inputs
		governed  reach.Governed
		golden    string
	}{
		"a contract opens its stores' pods":                     {"biller", contract(none, store("ledger").Obj(), store("orders").Ports(5432, 5433).Obj()), 0, "egress-entrustee.yaml"},
		"what a contract permits besides":                       {"biller", contract(egress("192.0.2.0/24", "192.0.2.8/30", "198.51.100.0/24"), store("ledger").Obj(), outside().AllowedPurposes("other").Obj()), 0, "egress-destinations.yaml"},
		"a contract that has ended leaves the floor":            {"biller", contract(func(e *v1alpha1.Entrustment) { e.Spec.Suspended = true }, store("ledger").Obj()), 0, "egress-floor.yaml"},
		"own handling needs no more than the floor":             {"own", contract(none, store("ledger").Obj()), 0, "egress-floor-own.yaml"},
		"a store outside the cluster":                           {"own", contract(none, outside().Obj()), 0, "egress-outside-own.yaml"},
		"a store outside the cluster, for an entrustee":         {"biller", contract(none, outside().AllowedPurposes("dunning").Obj()), 0, "egress-outside-entrustee.yaml"},
		"a store outside the cluster, where others govern some": {"own", contract(none, outside().Obj()), reach.GovernedSome, "egress-floor-own.yaml"},
		"a store outside the cluster, where others govern all":  {"own", contract(none, outside().Obj()), reach.GovernedAll, "egress-outside-governed.yaml"},
		"a store outside the cluster that only reports":         {"own", contract(none, outside().Report().Obj()), 0, "egress-floor-own.yaml"},
		"one that reports is the entrustee's by grant alone":    {"biller", contract(none, outside().AllowedPurposes("dunning").Report().Obj()), 0, "egress-reporting-entrustee.yaml"},
		"a suspended one is nobody's":                           {"own", contract(none, outside().Suspended().Obj()), 0, "egress-suspended.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, test.golden, render.EgressPolicies(entrustment.Compile(test.inputs, noon), test.namespace, test.governed))
		})
	}
}

func TestNoPolicyOfEgressNamesAStore(t *testing.T) {
	s := entrustment.Compile(contract(func(*v1alpha1.Entrustment) {}, builder.Store("data", "archive").External("192.0.2.0/24").
		AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj()), noon)
	for _, policy := range render.EgressPolicies(s, "biller", 0) {
		if policy.Labels[v1alpha1.LabelStore] != "" || strings.HasPrefix(*policy.Name, "pds.") || len(*policy.Name) > 253 {
			t.Errorf("%s %v", *policy.Name, policy.Labels)
		}
	}
}

// The largest policies of a large cluster stay far from what the API server takes.
func TestSizes(t *testing.T) {
	const most = 256 << 10
	long := func(prefix string, i int) string {
		return fmt.Sprintf("%s-%s-%04d", prefix, strings.Repeat("x", 40), i)
	}
	inputs := entrustment.Inputs{
		Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Obj()},
		Stores:     []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj()},
	}
	for i := range 500 {
		inputs.Processors = append(inputs.Processors, builder.Processor(long("party", i)).Namespace(long("first", i)).Namespace(long("second", i)).Obj())
		inputs.Entrustments = append(inputs.Entrustments, builder.Entrustment(long("contract", i)).To(long("party", i)).Purposes("billing").Stores("data/ledger").Obj())
	}
	check := func(what string, grants int) {
		s := entrustment.Compile(inputs, noon)
		store := s.Stores()[0]
		if found := s.StoreGrants(store); len(found) != grants {
			t.Errorf("%s: %d grants", what, len(found))
		}
		size := len(encodeJSON(t, render.NetworkPolicy(s.Store(store), s.StoreGrants(store))))
		if t.Logf("%s: %d bytes", what, size); size > most {
			t.Errorf("%s: more than %d bytes", what, most)
		}
	}
	check("1,000 namespaces under 500 entrustments of 500 parties", 1000)

	all := builder.Processor("party")
	for i := range 1000 {
		all.Namespace(long("namespace", i))
	}
	inputs.Processors = []*v1alpha1.DataProcessor{inputs.Processors[0], all.Obj()}
	for _, e := range inputs.Entrustments {
		e.Spec.EntrusteeName = "party"
	}
	check("1,000 namespaces under 500 entrustments of one party", 500_000)
}

// encodeJSON is what is sent and kept.
func encodeJSON(t *testing.T, rendered any) []byte {
	t.Helper()
	encoded, err := json.Marshal(rendered)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestOpenTo(t *testing.T) {
	managed := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	under := func(names ...string) *metav1.LabelSelector {
		if len(names) == 1 {
			return &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelEntrustment: names[0]}}
		}
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: v1alpha1.LabelEntrustment, Operator: metav1.LabelSelectorOpIn, Values: names}}}
	}
	policy := func(name string, labels map[string]string, spec networkingv1.NetworkPolicySpec) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, Labels: labels}, Spec: spec}
	}
	ingress := networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
		{PodSelector: under("fees")}, {PodSelector: under("credit", "analysis")}, {PodSelector: under("fees")}, {PodSelector: render.Undeclared()}, {},
	}}}}
	for name, test := range map[string]struct {
		policy *networkingv1.NetworkPolicy
		want   []string
	}{
		"a store's":                     {policy("pds.ledger", managed, ingress), []string{"analysis", "credit", "fees"}},
		"somebody else's":               {policy("pds.ledger", nil, ingress), nil},
		"one that lets pods out":        {policy("pda.entrustment.fees", managed, networkingv1.NetworkPolicySpec{PodSelector: *under("fees"), Egress: make([]networkingv1.NetworkPolicyEgressRule, 1)}), []string{"fees"}},
		"one that lets nobody out":      {policy("pda.entrustment.fees", managed, networkingv1.NetworkPolicySpec{PodSelector: *under("fees")}), nil},
		"one of the pods of a contract": {policy("pds.ledger", managed, networkingv1.NetworkPolicySpec{PodSelector: *under("fees")}), nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, render.OpenTo(test.policy)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
