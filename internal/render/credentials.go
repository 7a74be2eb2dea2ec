package render

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// DeliveredSecret is the copy of a credential for a namespace that is granted it. Its type is fixed, because the API server
// acts upon others by itself.
func DeliveredSecret(namespace string, delivery *entrustment.Delivery, source *corev1.Secret) *corev1ac.SecretApplyConfiguration {
	return corev1ac.Secret(delivery.Name, namespace).
		WithLabels(map[string]string{
			v1alpha1.LabelManagedBy:      v1alpha1.ManagedBy,
			v1alpha1.LabelStore:          delivery.Store.Name,
			v1alpha1.LabelStoreNamespace: delivery.Store.Namespace,
			v1alpha1.LabelCredential:     delivery.Credential,
		}).
		WithType(corev1.SecretTypeOpaque).
		WithData(maps.Clone(source.Data))
}

// Delivered tells of which store and credential a Secret is the copy; false: it is none.
func Delivered(secret *corev1.Secret) (delivery entrustment.Delivery, ok bool) {
	l := secret.Labels
	delivery.Store.Namespace, delivery.Store.Name = l[v1alpha1.LabelStoreNamespace], l[v1alpha1.LabelStore]
	delivery.Credential, delivery.Name = l[v1alpha1.LabelCredential], secret.Name
	return delivery, l[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && secret.Type == corev1.SecretTypeOpaque &&
		secret.Name == v1alpha1.DeliveredSecretName(delivery.Store.Namespace, delivery.Store.Name, delivery.Credential)
}

// SecretAccess lets the operator itself read and write the Secrets of a namespace.
func SecretAccess(namespace string) *rbacv1ac.RoleBindingApplyConfiguration {
	return rbacv1ac.RoleBinding(v1alpha1.SecretAccessName, namespace).
		WithLabels(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}).
		WithRoleRef(rbacv1ac.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(v1alpha1.SecretAccessName)).
		WithSubjects(rbacv1ac.Subject().WithKind(rbacv1.ServiceAccountKind).
			WithNamespace(v1alpha1.OperatorNamespace).WithName(v1alpha1.OperatorServiceAccount))
}

// Reserved says whether a name is one that only the operator gives.
func Reserved(name string) bool { return strings.HasPrefix(name, v1alpha1.ReservedSecretPrefix) }
