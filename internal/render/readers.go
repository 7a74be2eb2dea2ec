package render

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// ReaderRole lets whoever is bound to it get the delivered Secrets of one grant. There is one for each grant and not for each
// store, because two accounts of a namespace may hold different grants of one store, and neither is to read what only the
// other is granted. It gets and neither lists nor watches: a list can be limited to one name, not to several.
func ReaderRole(namespace string, grant *entrustment.AccessGrant) *rbacv1ac.RoleApplyConfiguration {
	return rbacv1ac.Role(readerName(grant), namespace).
		WithLabels(readerLabels(grant)).
		WithRules(rbacv1ac.PolicyRule().WithAPIGroups("").WithResources("secrets").WithVerbs("get").WithResourceNames(grant.Secrets...))
}

// ReaderBinding binds ServiceAccounts of the namespace, sorted, to the ReaderRole of a grant. An admission rule reads in its
// labels what the pods that use them have to declare.
func ReaderBinding(namespace string, grant *entrustment.AccessGrant, accounts []string) *rbacv1ac.RoleBindingApplyConfiguration {
	binding := rbacv1ac.RoleBinding(readerName(grant), namespace).
		WithLabels(readerLabels(grant)).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("Role").WithName(readerName(grant)))
	for _, account := range accounts {
		binding.WithSubjects(rbacv1ac.Subject().WithKind(rbacv1.ServiceAccountKind).WithNamespace(namespace).WithName(account))
	}
	return binding
}

// Declares says whether labels of a pod or a ServiceAccount declare what a grant is for. An empty label is not an absent one.
func Declares(labels map[string]string, grant *entrustment.AccessGrant) bool {
	purpose, declared := labels[v1alpha1.LabelPurpose]
	contract, entrusted := labels[v1alpha1.LabelEntrustment]
	return declared && purpose == grant.Purpose && entrusted == (grant.Entrustment != "") && contract == grant.Entrustment
}

// IsReader says whether a Role or a RoleBinding is the operator's, and for those who read delivered Secrets.
func IsReader(object metav1.Object) bool {
	l := object.GetLabels()
	_, reads := l[v1alpha1.LabelPurpose]
	return reads && l[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && Reserved(object.GetName())
}

// IsReaderOf says whether a reader's object is as that of its grant is: what cannot be changed, or is not by applying.
func IsReaderOf(object metav1.Object, grant *entrustment.AccessGrant) bool {
	binding, binds := object.(*rbacv1.RoleBinding)
	return IsReader(object) && Declares(object.GetLabels(), grant) && object.GetName() == readerName(grant) &&
		(!binds || binding.RoleRef == rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: readerName(grant)})
}

func readerName(grant *entrustment.AccessGrant) string {
	return v1alpha1.ReaderName(grant.Purpose, grant.Entrustment)
}

func readerLabels(grant *entrustment.AccessGrant) map[string]string {
	labels := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelPurpose: grant.Purpose}
	if grant.Entrustment != "" {
		labels[v1alpha1.LabelEntrustment] = grant.Entrustment
	}
	return labels
}
