package gather

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/internal/exposure"
)

// RBAC lists all there is of it. Read through a cache, the objects are the cache's and must not be changed. Any error is an
// error of the whole.
func RBAC(ctx context.Context, reader client.Reader) (exposure.Objects, error) {
	var (
		clusterRoles        rbacv1.ClusterRoleList
		roles               rbacv1.RoleList
		clusterRoleBindings rbacv1.ClusterRoleBindingList
		roleBindings        rbacv1.RoleBindingList
	)
	for _, list := range []struct {
		of   string
		into client.ObjectList
	}{
		{"ClusterRoles", &clusterRoles},
		{"Roles", &roles},
		{"ClusterRoleBindings", &clusterRoleBindings},
		{"RoleBindings", &roleBindings},
	} {
		if err := reader.List(ctx, list.into, client.UnsafeDisableDeepCopy); err != nil {
			return exposure.Objects{}, fmt.Errorf("list %s: %w", list.of, err)
		}
	}
	return exposure.Objects{
		ClusterRoles: pointers(clusterRoles.Items), Roles: pointers(roles.Items),
		ClusterRoleBindings: pointers(clusterRoleBindings.Items), RoleBindings: pointers(roleBindings.Items),
	}, nil
}
