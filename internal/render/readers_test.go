package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

func TestReaders(t *testing.T) {
	fees := &entrustment.AccessGrant{Purpose: "billing", Entrustment: "fees", Secrets: []string{"pds.data.ledger.reader", "pds.data.ledger.writer"}}
	own := &entrustment.AccessGrant{Purpose: "billing", Secrets: []string{"pds.data.ledger.reader"}}
	for name, test := range map[string]struct {
		object any
		want   string
	}{
		"the Role of an entrustment": {ReaderRole("biller", fees), `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  labels: {app.kubernetes.io/managed-by: entrustment-operator, entrustment.dev/purpose: billing, entrustment.dev/entrustment: fees}
  name: pds.billing.fees
  namespace: biller
rules:
- {apiGroups: [""], resources: [secrets], resourceNames: [pds.data.ledger.reader, pds.data.ledger.writer], verbs: [get]}`},
		"the binding of own handling": {ReaderBinding("own", own, []string{"a", "b"}), `
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  labels: {app.kubernetes.io/managed-by: entrustment-operator, entrustment.dev/purpose: billing}
  name: pds.billing
  namespace: own
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: pds.billing}
subjects:
- {kind: ServiceAccount, name: a, namespace: own}
- {kind: ServiceAccount, name: b, namespace: own}`},
	} {
		t.Run(name, func(t *testing.T) {
			var got, want any
			text, err := yaml.Marshal(test.object)
			if err != nil || yaml.Unmarshal(text, &got) != nil || yaml.Unmarshal([]byte(test.want), &want) != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReaderNamesFit(t *testing.T) {
	longest := strings.Repeat("a", 63)
	if problems := validation.IsDNS1123Subdomain(v1alpha1.ReaderName(longest, longest)); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestDeclares(t *testing.T) {
	const purpose, contract = v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment
	fees, own := &entrustment.AccessGrant{Purpose: "billing", Entrustment: "fees"}, &entrustment.AccessGrant{Purpose: "billing"}
	for name, test := range map[string]struct {
		labels    map[string]string
		fees, own bool
	}{
		"nothing":                {nil, false, false},
		"the purpose":            {map[string]string{purpose: "billing"}, false, true},
		"both":                   {map[string]string{purpose: "billing", contract: "fees"}, true, false},
		"another purpose":        {map[string]string{purpose: "marketing", contract: "fees"}, false, false},
		"another contract":       {map[string]string{purpose: "billing", contract: "credit"}, false, false},
		"an empty contract":      {map[string]string{purpose: "billing", contract: ""}, false, false},
		"a contract for nothing": {map[string]string{contract: "fees"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			if Declares(test.labels, fees) != test.fees || Declares(test.labels, own) != test.own {
				t.Errorf("%v, %v", Declares(test.labels, fees), Declares(test.labels, own))
			}
		})
	}
	if Declares(nil, &entrustment.AccessGrant{}) {
		t.Error("nothing is declared for nothing")
	}
}

func TestIsReaderOf(t *testing.T) {
	grant := &entrustment.AccessGrant{Purpose: "billing"}
	binding := func(edit func(*rbacv1.RoleBinding)) *rbacv1.RoleBinding {
		b := &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "pds.billing", Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelPurpose: "billing"}},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "pds.billing"},
		}
		edit(b)
		return b
	}
	for name, test := range map[string]struct {
		edit       func(*rbacv1.RoleBinding)
		reader, of bool
	}{
		"as it is":             {func(*rbacv1.RoleBinding) {}, true, true},
		"of somebody":          {func(b *rbacv1.RoleBinding) { b.Labels[v1alpha1.LabelManagedBy] = "helm" }, false, false},
		"of another grant":     {func(b *rbacv1.RoleBinding) { b.Labels[v1alpha1.LabelPurpose] = "marketing" }, true, false},
		"of a contract":        {func(b *rbacv1.RoleBinding) { b.Labels[v1alpha1.LabelEntrustment] = "fees" }, true, false},
		"of another name":      {func(b *rbacv1.RoleBinding) { b.Name = "pds.other" }, true, false},
		"of an ordinary name":  {func(b *rbacv1.RoleBinding) { b.Name = "billing" }, false, false},
		"of another Role":      {func(b *rbacv1.RoleBinding) { b.RoleRef.Name = "admin" }, true, false},
		"of a ClusterRole":     {func(b *rbacv1.RoleBinding) { b.RoleRef.Kind = "ClusterRole" }, true, false},
		"the operator's other": {func(b *rbacv1.RoleBinding) { delete(b.Labels, v1alpha1.LabelPurpose) }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := binding(test.edit)
			if IsReader(b) != test.reader || IsReaderOf(b, grant) != test.of {
				t.Errorf("%v, %v", IsReader(b), IsReaderOf(b, grant))
			}
		})
	}
}
