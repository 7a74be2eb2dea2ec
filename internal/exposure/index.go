package exposure

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"entrustment.dev/operator/internal/render"
)

// Objects are all there is of RBAC. Aggregated ClusterRoles hold the rules that the cluster's controller collected.
type Objects struct {
	ClusterRoles        []*rbacv1.ClusterRole
	Roles               []*rbacv1.Role
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	RoleBindings        []*rbacv1.RoleBinding
}

// capability is a kind of right that leads to a Secret.
type capability int

const (
	reading capability = iota // of Secrets, by their name
	binding                   // of ClusterRoles, by their name
	bindingRoles
	escalating
	entering // of pods
	enteringNodes
	creatingPods
	creatingTokens // of ServiceAccounts, by their name
	impersonatingUsers
	impersonatingGroups
	impersonatingAccounts
	capabilities // how many there are
)

// rights are the requests that make a capability: any of them is enough.
var rights = [capabilities][]request{
	reading:    {{"", "secrets", "", []string{"get", "list", "watch"}}},
	binding:    {{rbacv1.GroupName, "clusterroles", "", []string{"bind"}}},
	escalating: {{rbacv1.GroupName, "clusterroles", "", []string{"escalate"}}, {rbacv1.GroupName, "roles", "", []string{"escalate"}}},
	bindingRoles: {
		{rbacv1.GroupName, "roles", "", []string{"bind"}},
	},
	entering: {
		{"", "pods", "exec", []string{"create", "get"}}, {"", "pods", "attach", []string{"create", "get"}},
		{"", "pods", "ephemeralcontainers", []string{"update", "patch"}},
	},
	enteringNodes: {{"", "nodes", "proxy", []string{"create", "get"}}},
	creatingPods: {
		{"", "pods", "", []string{"create"}},
		{"", "replicationcontrollers", "", workloadVerbs},
		{"apps", "deployments", "", workloadVerbs}, {"apps", "statefulsets", "", workloadVerbs},
		{"apps", "daemonsets", "", workloadVerbs}, {"apps", "replicasets", "", workloadVerbs},
		{"batch", "jobs", "", workloadVerbs}, {"batch", "cronjobs", "", workloadVerbs},
	},
	creatingTokens:        {{"", "serviceaccounts", "token", []string{"create"}}},
	impersonatingUsers:    impersonation("users"),
	impersonatingGroups:   impersonation("groups"),
	impersonatingAccounts: impersonation("serviceaccounts"),
}

var workloadVerbs = []string{"create", "update", "patch"}

// impersonation in both of its forms; the constrained one is taken for the other.
func impersonation(resource string) []request {
	const constrained = "authentication.k8s.io"
	return []request{
		{"", resource, "", []string{"impersonate"}},
		{constrained, resource, "", []string{"impersonate:user-info", "impersonate:serviceaccount"}},
	}
}

// request is what RBAC is asked, but for names and namespaces.
type request struct {
	group, resource, subresource string
	verbs                        []string // any of them
}

// verb of the request that a rule allows; empty: none.
func (q *request) verb(rule *rbacv1.PolicyRule) string {
	if !has(rule.APIGroups, q.group) || !q.matches(rule.Resources) {
		return ""
	}
	for _, verb := range q.verbs {
		if has(rule.Verbs, verb) {
			return verb
		}
	}
	return ""
}

func has(list []string, word string) bool {
	return slices.Contains(list, word) || slices.Contains(list, "*")
}

func (q *request) name() string {
	if q.subresource == "" {
		return q.resource
	}
	return q.resource + "/" + q.subresource
}

func (q *request) matches(resources []string) bool {
	return has(resources, q.name()) || q.subresource != "" && slices.Contains(resources, "*/"+q.subresource)
}

// right is a capability that somebody has.
type right struct {
	subject Subject
	what    string   // verb and resource
	names   []string // empty: all
	source  string   // binding and role
	granted bool     // by the operator, to an account that declares what the Secret was delivered for
}

// concerns says whether the right is about an object of that name.
func (r *right) concerns(name string) bool {
	return len(r.names) == 0 || slices.Contains(r.names, name)
}

// Index is what RBAC grants of what matters here.
type Index struct {
	rights       [capabilities]map[string][]right // by namespace; empty: in all
	clusterRoles map[string][]rbacv1.PolicyRule
	roles        map[[2]string][]rbacv1.PolicyRule
}

// Compile reads all there is of RBAC.
func Compile(o Objects) *Index {
	i := &Index{clusterRoles: map[string][]rbacv1.PolicyRule{}, roles: map[[2]string][]rbacv1.PolicyRule{}}
	for c := range i.rights {
		i.rights[c] = map[string][]right{}
	}
	for _, role := range o.ClusterRoles {
		i.clusterRoles[role.Name] = role.Rules
	}
	for _, role := range o.Roles {
		i.roles[[2]string{role.Namespace, role.Name}] = role.Rules
	}
	for _, b := range o.ClusterRoleBindings {
		if b.RoleRef.Kind == "ClusterRole" {
			i.add("", i.clusterRoles[b.RoleRef.Name], b.Subjects, false, "ClusterRoleBinding "+b.Name+" of ClusterRole "+b.RoleRef.Name)
		}
	}
	for _, b := range o.RoleBindings {
		rules := i.clusterRoles[b.RoleRef.Name]
		if b.RoleRef.Kind != "ClusterRole" {
			rules = i.roles[[2]string{b.Namespace, b.RoleRef.Name}]
		}
		reader := render.IsReader(b) && b.RoleRef.Kind == "Role" && b.RoleRef.Name == b.Name
		i.add(b.Namespace, rules, b.Subjects, reader, "RoleBinding "+b.Namespace+"/"+b.Name+" of "+b.RoleRef.Kind+" "+b.RoleRef.Name)
	}
	return i
}

func (i *Index) add(namespace string, rules []rbacv1.PolicyRule, subjects []rbacv1.Subject, reader bool, source string) {
	for r := range rules {
		rule := &rules[r]
		for c := range rights {
			for q := range rights[c] {
				verb := rights[c][q].verb(rule)
				if verb == "" {
					continue
				}
				for _, s := range subjects {
					subject, ok := newSubject(s)
					if !ok {
						continue
					}
					i.rights[c][namespace] = append(i.rights[c][namespace], right{
						subject: subject, what: verb + " " + rights[c][q].name(), names: rule.ResourceNames, source: source,
						granted: reader && len(rule.ResourceNames) > 0 && subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == namespace,
					})
				}
			}
		}
	}
}

// newSubject takes a ServiceAccount that is written as a user for what it is.
func newSubject(s rbacv1.Subject) (Subject, bool) {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return Subject{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, true
	case rbacv1.UserKind:
		if rest, is := strings.CutPrefix(s.Name, accountPrefix); is {
			if namespace, name, ok := strings.Cut(rest, ":"); ok {
				return Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}, true
			}
		}
		return Subject{Kind: s.Kind, Name: s.Name}, true
	case rbacv1.GroupKind:
		return Subject{Kind: s.Kind, Name: s.Name}, true
	}
	return Subject{}, false
}

const (
	accountPrefix = "system:serviceaccount:"
	accountsGroup = "system:serviceaccounts" // and, with a namespace behind a colon, those of one
	mastersGroup  = "system:masters"
)

// allows says whether rules read a Secret.
func allows(rules []rbacv1.PolicyRule, name string) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		return rights[reading][0].verb(&rule) != "" && (len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, name))
	})
}
