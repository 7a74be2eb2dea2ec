package render_test

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/render"
)

var update = flag.Bool("update", false, "write the golden files anew")

func ledger(change ...func(*v1alpha1.PersonalDataStore)) *v1alpha1.PersonalDataStore {
	store := &v1alpha1.PersonalDataStore{
		ObjectMeta: metav1.ObjectMeta{Namespace: "data-billing", Name: "ledger"},
		Spec: v1alpha1.PersonalDataStoreSpec{Endpoint: v1alpha1.Endpoint{
			PodSelector: &v1alpha1.PodSelector{MatchLabels: map[string]string{"app": "ledger"}},
			Ports:       []v1alpha1.Port{{Port: 5432}},
		}},
	}
	for _, c := range change {
		c(store)
	}
	return store
}

func TestNetworkPolicy(t *testing.T) {
	for name, test := range map[string]struct {
		store  *v1alpha1.PersonalDataStore
		grants []entrustment.Grant
		golden string // empty: no policy
	}{
		"a store without grants is closed but for its own pods": {
			store: ledger(), golden: "closed.yaml",
		},
		"own handling asks for the absence of an entrustment": {
			store:  ledger(),
			grants: []entrustment.Grant{{Namespace: "billing", Purposes: []string{"billing"}}},
			golden: "own-handling.yaml",
		},
		"an entrustee has to name its entrustment": {
			store:  ledger(),
			grants: []entrustment.Grant{{Namespace: "printer", Entrustment: "fees-print", Purposes: []string{"billing", "dunning"}}},
			golden: "entrustee.yaml",
		},
		"namespaces with the same grants share a peer, others do not": {
			store: ledger(),
			grants: []entrustment.Grant{
				{Namespace: "support", Purposes: []string{"billing"}},
				{Namespace: "billing", Purposes: []string{"billing"}},
				{Namespace: "archive", Purposes: []string{"billing", "retention"}},
				{Namespace: "printer", Entrustment: "fees-print", Purposes: []string{"billing"}},
				{Namespace: "printer", Entrustment: "fees", Purposes: []string{"billing"}},
			},
			golden: "shared-peers.yaml",
		},
		"ports are sorted, spelled out and named once": {
			store: ledger(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Endpoint.Ports = []v1alpha1.Port{{Port: 5432}, {Port: 53, Protocol: "UDP"}, {Port: 5432, Protocol: "TCP"}, {Port: 53, Protocol: "TCP"}}
			}),
			grants: []entrustment.Grant{{Namespace: "billing", Purposes: []string{"billing"}}},
			golden: "ports.yaml",
		},
		"a selector of expressions is carried over": {
			store: ledger(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Endpoint.PodSelector = &v1alpha1.PodSelector{
					MatchLabels: map[string]string{"app": "ledger"},
					MatchExpressions: []v1alpha1.PodSelectorRequirement{
						{Key: "role", Operator: v1alpha1.PodSelectorIn, Values: []string{"replica", "primary"}},
						{Key: "shard", Operator: v1alpha1.PodSelectorExists},
					},
				}
			}),
			golden: "expressions.yaml",
		},
		"a grant without a purpose never becomes a peer": {
			store:  ledger(),
			grants: []entrustment.Grant{{Namespace: "billing"}},
			golden: "closed.yaml",
		},
		"a store without ports admits nobody": {
			store:  ledger(func(s *v1alpha1.PersonalDataStore) { s.Spec.Endpoint.Ports = nil }),
			grants: []entrustment.Grant{{Namespace: "billing", Purposes: []string{"billing"}}},
			golden: "portless.yaml",
		},
		"suspended wins over Report": {
			store: ledger(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Enforcement, s.Spec.Suspended = v1alpha1.EnforcementReport, true
			}),
			golden: "closed.yaml",
		},
		"nothing cuts in Report": {
			store:  ledger(func(s *v1alpha1.PersonalDataStore) { s.Spec.Enforcement = v1alpha1.EnforcementReport }),
			grants: []entrustment.Grant{{Namespace: "billing", Purposes: []string{"billing"}}},
		},
		"a store outside the cluster has no ingress to guard": {
			store: ledger(func(s *v1alpha1.PersonalDataStore) {
				s.Spec.Endpoint.PodSelector = nil
				s.Spec.Endpoint.External = &v1alpha1.ExternalEndpoint{CIDRs: []string{"192.0.2.0/24"}}
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := render.NetworkPolicy(test.store, test.grants)
			if test.golden == "" {
				if policy != nil {
					t.Fatalf("rendered a policy: %v", policy)
				}
				return
			}
			golden(t, test.golden, policy)
		})
	}
}

func TestNetworkPolicyIsTheSameForTheSameGrants(t *testing.T) {
	var grants []entrustment.Grant
	for _, namespace := range []string{"a", "b", "c", "d", "e"} {
		for _, contract := range []string{"", "x", "y"} {
			grants = append(grants, entrustment.Grant{Namespace: namespace, Entrustment: contract, Purposes: []string{"p", "q"}[:1+len(contract)]})
		}
	}
	want := encode(t, render.NetworkPolicy(ledger(), grants))
	for range 100 {
		shuffled := slices.Clone(grants)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(want, encode(t, render.NetworkPolicy(ledger(), shuffled))); diff != "" {
			t.Fatalf("the order of the grants shows (-want +got):\n%s", diff)
		}
	}
}

func TestAccess(t *testing.T) {
	billing := types.NamespacedName{Namespace: "data-billing", Name: "ledger"}
	printing := types.NamespacedName{Namespace: "data-billing", Name: "print-queue"}
	tokyo := time.FixedZone("JST", 9*60*60)

	for name, test := range map[string]struct {
		access entrustment.Access
		golden string
	}{
		"a bound namespace without grants": {
			access: entrustment.Access{Processor: "printer", Enforcement: v1alpha1.EnforcementEnforce},
			golden: "access-none.yaml",
		},
		"own handling has neither entrustment nor deadline": {
			access: entrustment.Access{Processor: "controller", Enforcement: v1alpha1.EnforcementReport, Grants: []entrustment.AccessGrant{
				{Purpose: "billing", Stores: []types.NamespacedName{billing}, Secrets: []string{"pds.data-billing.ledger.reader"}},
			}},
			golden: "access-own-handling.yaml",
		},
		"times are whole seconds in UTC, and the first end is the next change": {
			access: entrustment.Access{Processor: "printer", Enforcement: v1alpha1.EnforcementEnforce, Grants: []entrustment.AccessGrant{
				{Purpose: "billing", Entrustment: "fees", Stores: []types.NamespacedName{billing, printing},
					Until: time.Date(2027, 4, 1, 0, 0, 0, 0, tokyo), PodDeadline: v1alpha1.PodDeadlineArmed},
				{Purpose: "dunning", Entrustment: "fees", Stores: []types.NamespacedName{printing},
					Until: time.Date(2027, 1, 1, 12, 30, 15, 999_000_000, tokyo), PodDeadline: v1alpha1.PodDeadlineOff},
			}},
			golden: "access-entrustee.yaml",
		},
	} {
		t.Run(name, func(t *testing.T) { golden(t, test.golden, render.Access("printer", test.access)) })
	}
}

func TestIsolatedStores(t *testing.T) {
	ledger, other := types.NamespacedName{Namespace: "data", Name: "ledger"}, types.NamespacedName{Namespace: "data", Name: "other"}
	labels := func(store types.NamespacedName) map[string]string {
		return map[string]string{v1alpha1.LabelStore: store.Name, v1alpha1.LabelStoreNamespace: store.Namespace}
	}
	for name, test := range map[string]struct {
		policy string
		labels map[string]string
		want   []types.NamespacedName
	}{
		"name and labels agree":               {"pds.ledger", labels(ledger), []types.NamespacedName{ledger}},
		"the labels are gone":                 {"pds.ledger", nil, []types.NamespacedName{ledger}},
		"the labels were changed":             {"pds.ledger", labels(other), []types.NamespacedName{ledger, other}},
		"somebody copied the labels":          {"mine", labels(ledger), []types.NamespacedName{ledger}},
		"a policy that is nobody's":           {"mine", nil, nil},
		"a name that is nothing but a prefix": {"pds.", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			policy := &metav1.ObjectMeta{Namespace: "data", Name: test.policy, Labels: test.labels}
			if diff := cmp.Diff(test.want, render.IsolatedStores(policy)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func golden(t *testing.T, file string, rendered any) {
	t.Helper()
	path, got := filepath.Join("testdata", file), encode(t, rendered)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func encode(t *testing.T, rendered any) string {
	t.Helper()
	encoded, err := yaml.Marshal(rendered)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
