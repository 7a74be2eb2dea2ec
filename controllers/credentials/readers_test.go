package credentials

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

func TestReadersOf(t *testing.T) {
	account := func(name, purpose string, contract ...string) metav1.PartialObjectMetadata {
		labels := map[string]string{v1alpha1.LabelPurpose: purpose}
		for _, c := range contract {
			labels[v1alpha1.LabelEntrustment] = c
		}
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	access := entrustment.Access{Grants: []entrustment.AccessGrant{
		{Purpose: "billing", Secrets: []string{"pds.a"}}, {Purpose: "statistics"}, {Purpose: "billing", Entrustment: "fees", Secrets: []string{"pds.b"}},
	}}
	for name, test := range map[string]struct {
		accounts []metav1.PartialObjectMetadata
		want     map[string][]string // by the name of the Role
	}{
		"no account":                      {nil, map[string][]string{}},
		"own handling":                    {[]metav1.PartialObjectMetadata{account("web", "billing")}, map[string][]string{"pds.billing": {"web"}}},
		"a contract, sorted":              {[]metav1.PartialObjectMetadata{account("b", "billing", "fees"), account("a", "billing", "fees")}, map[string][]string{"pds.billing.fees": {"a", "b"}}},
		"each its own":                    {[]metav1.PartialObjectMetadata{account("a", "billing", "fees"), account("b", "billing")}, map[string][]string{"pds.billing": {"b"}, "pds.billing.fees": {"a"}}},
		"a grant that delivers nothing":   {[]metav1.PartialObjectMetadata{account("a", "statistics")}, map[string][]string{}},
		"no grant":                        {[]metav1.PartialObjectMetadata{account("a", "marketing"), account("b", "billing", "credit")}, map[string][]string{}},
		"an entrustment that is nobody's": {[]metav1.PartialObjectMetadata{account("a", "billing", "")}, map[string][]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string][]string{}
			for _, one := range readersOf(access, test.accounts) {
				got[v1alpha1.ReaderName(one.grant.Purpose, one.grant.Entrustment)] = one.accounts
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
