package isolation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/isolation"
	"entrustment.dev/operator/test/builder"
)

// foreign is a policy that somebody wrote in the namespace of a store, or of an entrustee.
func foreign(namespace string, pods metav1.LabelSelector, types ...networkingv1.PolicyType) *networkingv1.NetworkPolicy {
	policy := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "theirs"}}
	policy.Spec = networkingv1.NetworkPolicySpec{PodSelector: pods, PolicyTypes: types}
	policy.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	policy.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{}}
	return policy
}

func under(contract string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelEntrustment: contract}}
}

func TestOpened(t *testing.T) {
	const ingress, egress = networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	inside := builder.Store("data", "ledger").Obj()
	outside := builder.Store("data", "archive").External("192.0.2.0/24").Obj()
	none := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: v1alpha1.LabelEntrustment, Operator: metav1.LabelSelectorOpDoesNotExist}}}
	labelled := func(policy *networkingv1.NetworkPolicy, name string) *networkingv1.NetworkPolicy {
		policy.Name, policy.Labels = name, map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
		return policy
	}
	for name, test := range map[string]struct {
		store  *v1alpha1.PersonalDataStore
		policy *networkingv1.NetworkPolicy
		want   []string
	}{
		"the store to everybody": {inside, foreign("data", metav1.LabelSelector{}, ingress),
			[]string{"NetworkPolicy data/theirs lets in everybody on a guarded port (spec.ingress[0]) without a grant"}},
		"a store outside has no pods to open": {outside, foreign("data", metav1.LabelSelector{}, ingress), nil},
		"another namespace":                   {inside, foreign("other", metav1.LabelSelector{}, ingress, egress), nil},
		"the way out of entrustees": {inside, foreign("biller", under("fees"), egress),
			[]string{`NetworkPolicy biller/theirs lets pods under Entrustment "fees" reach everybody (spec.egress[0]) besides what the contract permits`}},
		"the way out of entrustees of a store outside": {outside, foreign("biller", under("fees"), egress),
			[]string{`NetworkPolicy biller/theirs lets pods under Entrustment "fees" reach everybody (spec.egress[0]) besides what the contract permits`}},
		"the way out of those whose contract has ended": {inside, foreign("biller", under("ended"), egress),
			[]string{"NetworkPolicy biller/theirs lets pods whose contract grants nothing here reach everybody (spec.egress[0])"}},
		"the way out of own handling":               {inside, foreign("biller", none, egress), nil},
		"what looks like one of the operator's own": {inside, labelled(foreign("data", metav1.LabelSelector{}, ingress), "mine"), []string{"NetworkPolicy data/mine lets in everybody on a guarded port (spec.ingress[0]) without a grant"}},
		"the policy of another store":               {inside, labelled(foreign("data", metav1.LabelSelector{}, ingress), "pds.orders"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			grants := []entrustment.Grant{{Namespace: "biller", Entrustment: "fees"}, {Namespace: "own"}}
			found, err := isolation.Opened(test.store, grants, func(namespace string) ([]*networkingv1.NetworkPolicy, error) {
				if namespace == test.policy.Namespace {
					return []*networkingv1.NetworkPolicy{test.policy}, nil
				}
				return nil, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Policies that cannot be read are no policies that open nothing.
func TestErrorsAreTold(t *testing.T) {
	broken := errors.New("no connection")
	policies := func(string) ([]*networkingv1.NetworkPolicy, error) { return nil, broken }
	store := builder.Store("data", "archive").External("192.0.2.0/24").Obj()
	s := entrustment.Compile(entrustment.Inputs{}, time.Now())
	if _, err := isolation.Opened(builder.Store("data", "ledger").Obj(), nil, policies); !errors.Is(err, broken) {
		t.Errorf("Opened, of a store's namespace: %v", err)
	}
	if _, err := isolation.Opened(store, []entrustment.Grant{{Namespace: "biller", Entrustment: "fees"}}, policies); !errors.Is(err, broken) {
		t.Errorf("Opened, of an entrustee's namespace: %v", err)
	}
	if _, exposed, err := isolation.Exposed(s, "own", store, policies); !errors.Is(err, broken) || exposed {
		t.Errorf("Exposed: %v %v", exposed, err)
	}
	if _, err := isolation.AwaitsBaseline(s, "own", policies); !errors.Is(err, broken) {
		t.Errorf("AwaitsBaseline: %v", err)
	}
}
