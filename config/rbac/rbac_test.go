// Package rbac holds the operator to the least that it needs.
package rbac

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/manifests"
)

// The manifests of this directory, and what the Helm chart takes over.
var rendered = []string{"*.yaml", "../../charts/entrustment-operator/files/rbac.yaml"}

// Whatever the operator is given, it must not be able to take more.
func TestTheOperatorCannotTakeMore(t *testing.T) {
	for _, pattern := range rendered {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		roles, access := 0, 0
		for _, object := range read(t, files) {
			switch object.GetKind() {
			case "ClusterRole", "Role":
				roles++
				role := rbacv1.ClusterRole{} // a Role has the same fields, but for aggregation
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
					t.Fatal(err)
				}
				if object.GetName() == v1alpha1.SecretAccessName {
					access++
				}
				for _, complaint := range complaints(object.GetKind(), &role) {
					t.Errorf("%s %s %s", object.GetKind(), object.GetName(), complaint)
				}
			case "ClusterRoleBinding", "RoleBinding":
				if name, _, _ := unstructured.NestedString(object.Object, "roleRef", "name"); name == v1alpha1.SecretAccessName {
					t.Errorf("%s %s binds %s, which the operator binds itself", object.GetKind(), object.GetName(), name)
				}
			}
		}
		if roles < 3 || access != 1 {
			t.Errorf("%s: %d roles, %d of them %s", pattern, roles, access, v1alpha1.SecretAccessName)
		}
	}
}

func TestComplaints(t *testing.T) {
	for name, test := range map[string]struct {
		rule rbacv1.PolicyRule
		want string
	}{
		"any verb":                 {rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"*"}}, "wildcard"},
		"any resource":             {rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"*"}, Verbs: []string{"get"}}, "wildcard"},
		"any subresource":          {rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"*/status"}, Verbs: []string{"get"}}, "wildcard"},
		"any group":                {rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"pods"}, Verbs: []string{"get"}}, "wildcard"},
		"any URL":                  {rbacv1.PolicyRule{NonResourceURLs: []string{"*"}, Verbs: []string{"get"}}, "wildcard"},
		"escalation":               {rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"escalate"}}, "escalate"},
		"impersonation":            {rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"users"}, Verbs: []string{"impersonate"}}, "impersonate"},
		"constrained":              {rbacv1.PolicyRule{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"users"}, Verbs: []string{"impersonate:user-info"}}, "impersonate"},
		"binding anything":         {rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"bind"}}, "bind"},
		"binding another role":     {rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, ResourceNames: []string{"edit"}, Verbs: []string{"bind"}}, "bind"},
		"writing any binding":      {rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, Verbs: []string{"create"}}, "bindings"},
		"changing a Role":          {rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, Verbs: []string{"create"}}, "roles"},
		"changing roles":           {rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterroles"}, Verbs: []string{"update"}}, "roles"},
		"Secrets everywhere":       {rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}, "Secrets"},
		"named Secrets everywhere": {rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"x"}, Verbs: []string{"get"}}, "Secrets"},
		"tokens":                   {rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}, "tokens"},
	} {
		t.Run(name, func(t *testing.T) {
			got := complaints("ClusterRole", &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{test.rule}})
			if !slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, test.want) }) {
				t.Errorf("%q, want something about %s", got, test.want)
			}
		})
	}
}

func TestRolesAndBindingsAreWrittenInSingleNamespacesAlone(t *testing.T) {
	role := func(name string, resources ...string) *rbacv1.ClusterRole {
		made := &rbacv1.ClusterRole{Rules: []rbacv1.PolicyRule{{APIGroups: []string{rbacv1.GroupName}, Resources: resources, Verbs: []string{"create", "delete"}}}}
		made.Name = name
		return made
	}
	if got := complaints("ClusterRole", role(v1alpha1.SecretAccessName, "roles", "rolebindings")); len(got) > 0 {
		t.Error(got)
	}
	for _, resource := range []string{"clusterroles", "clusterrolebindings"} {
		if len(complaints("ClusterRole", role(v1alpha1.SecretAccessName, resource))) == 0 {
			t.Errorf("nobody complains about %s", resource)
		}
	}
	if len(complaints("ClusterRole", role("another", "rolebindings"))) == 0 {
		t.Error("nobody complains about another role")
	}
}

// complaints are what is too much in a role.
func complaints(kind string, role *rbacv1.ClusterRole) (found []string) {
	if role.AggregationRule != nil {
		found = append(found, "is what others add to it")
	}
	for _, rule := range role.Rules {
		has := slices.ContainsFunc[[]string]
		named := func(names ...string) func(string) bool {
			return func(s string) bool { return slices.Contains(names, s) }
		}
		onlySecretAccess := slices.Equal(rule.ResourceNames, []string{v1alpha1.SecretAccessName})
		if has(slices.Concat(rule.Verbs, rule.APIGroups, rule.Resources, rule.NonResourceURLs), func(s string) bool { return strings.Contains(s, "*") }) {
			found = append(found, "has a wildcard")
		}
		if has(rule.Verbs, func(s string) bool { return s == "escalate" || strings.HasPrefix(s, "impersonate") }) {
			found = append(found, "lets it escalate or impersonate")
		}
		if has(rule.Verbs, named("bind")) && !onlySecretAccess {
			found = append(found, "lets it bind more than "+v1alpha1.SecretAccessName)
		}
		changes := has(rule.Verbs, named("create", "update", "patch", "delete", "deletecollection"))
		there := role.Name == v1alpha1.SecretAccessName // bound in single namespaces, where it is all that the operator can give
		if changes && (has(rule.Resources, named("clusterrolebindings")) || has(rule.Resources, named("rolebindings")) && !there) && !onlySecretAccess {
			found = append(found, "lets it write bindings of others")
		}
		if changes && (has(rule.Resources, named("clusterroles")) || has(rule.Resources, named("roles")) && !there) {
			found = append(found, "lets it change roles")
		}
		if has(rule.Resources, named("serviceaccounts/token")) {
			found = append(found, "lets it make tokens")
		}
		if kind == "ClusterRole" && role.Name != v1alpha1.SecretAccessName && has(rule.Resources, named("secrets")) {
			found = append(found, "reaches Secrets of the whole cluster")
		}
	}
	return found
}

// In its own namespace it reads and changes one Secret; no list can limit a creation to a name.
func TestInItsOwnNamespaceItHasOneSecret(t *testing.T) {
	for _, object := range read(t, []string{"role.yaml", "../../charts/entrustment-operator/files/rbac.yaml"}) {
		if object.GetKind() != "Role" {
			continue
		}
		role := rbacv1.Role{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		rules := 0
		for _, rule := range role.Rules {
			if !slices.Contains(rule.Resources, "secrets") {
				continue
			}
			rules++
			if !slices.Equal(rule.Verbs, []string{"create"}) && !slices.Equal(rule.ResourceNames, []string{"entrustment-operator-webhook"}) {
				t.Errorf("%s Secrets %q", rule.Verbs, rule.ResourceNames)
			}
		}
		if rules != 2 {
			t.Errorf("%d rules about Secrets", rules)
		}
	}
}

func read(t *testing.T, files []string) (objects []*unstructured.Unstructured) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		some, err := manifests.Decode(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		objects = append(objects, some...)
	}
	return objects
}
