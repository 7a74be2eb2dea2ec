package exposure

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	list := func(text string) []string { return strings.Split(text, " ") }
	return rbacv1.PolicyRule{Verbs: list(verbs), APIGroups: list(groups), Resources: list(resources), ResourceNames: names}
}

func user(name string) rbacv1.Subject  { return rbacv1.Subject{Kind: "User", Name: name} }
func group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }
func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

// bind gives subjects a role of their own; everywhere without a namespace.
func (o *Objects) bind(namespace string, r rbacv1.PolicyRule, subjects ...rbacv1.Subject) {
	name := fmt.Sprintf("r%d", len(o.ClusterRoles))
	o.ClusterRoles = append(o.ClusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{r}})
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: name}
	if namespace == "" {
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects})
		return
	}
	o.RoleBindings = append(o.RoleBindings, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: subjects})
}

func TestReaders(t *testing.T) {
	reads := rule("get", "", "secrets")
	for name, test := range map[string]struct {
		rbac func(o *Objects)
		want []string // besides system:masters
	}{
		"nobody":                   {func(*Objects) {}, nil},
		"a verb":                   {func(o *Objects) { o.bind("data", rule("watch", "", "secrets"), user("ann")) }, []string{"User ann: watch secrets"}},
		"any verb":                 {func(o *Objects) { o.bind("data", rule("*", "", "secrets"), user("ann")) }, []string{"User ann: get secrets"}},
		"any resource":             {func(o *Objects) { o.bind("", rule("list", "*", "*"), group("ops")) }, []string{"Group ops: list secrets"}},
		"its name":                 {func(o *Objects) { o.bind("data", rule("get", "", "secrets", "reader", "x"), user("ann")) }, []string{"User ann: get secrets"}},
		"another name":             {func(o *Objects) { o.bind("data", rule("get", "", "secrets", "other"), user("ann")) }, nil},
		"another namespace":        {func(o *Objects) { o.bind("other", reads, user("ann")) }, nil},
		"another group":            {func(o *Objects) { o.bind("data", rule("get", "apps", "secrets"), user("ann")) }, nil},
		"writing alone":            {func(o *Objects) { o.bind("data", rule("create update", "", "secrets"), user("ann")) }, nil},
		"an account":               {func(o *Objects) { o.bind("data", reads, account("data", "app")) }, []string{"ServiceAccount data/app: get secrets"}},
		"an account as a user":     {func(o *Objects) { o.bind("data", reads, user("system:serviceaccount:data:app")) }, []string{"ServiceAccount data/app: get secrets"}},
		"entering":                 {func(o *Objects) { o.bind("data", rule("create", "", "pods/exec"), user("ann")) }, []string{"User ann: create pods/exec"}},
		"entering, by subresource": {func(o *Objects) { o.bind("data", rule("get", "", "*/attach"), user("ann")) }, []string{"User ann: get pods/attach"}},
		"entering pods elsewhere":  {func(o *Objects) { o.bind("other", rule("create", "", "pods/exec"), user("ann")) }, nil},
		"the kubelet":              {func(o *Objects) { o.bind("", rule("get", "", "nodes/proxy"), user("ann")) }, []string{"User ann: get nodes/proxy"}},
		"pods that mount a source": {func(o *Objects) { o.bind("data", rule("create", "apps", "deployments"), user("ann")) }, []string{"User ann: create deployments"}},
		"binding any role":         {func(o *Objects) { o.bind("data", rule("bind", rbacv1.GroupName, "clusterroles"), user("ann")) }, []string{"User ann: bind clusterroles"}},
		"binding a role that reads": {func(o *Objects) {
			o.bind("other", reads)
			o.bind("data", rule("bind", rbacv1.GroupName, "clusterroles", "r0"), user("ann"))
		}, []string{"User ann: bind clusterroles"}},
		"binding one that does not": {func(o *Objects) {
			o.bind("other", rule("get", "", "pods"))
			o.bind("data", rule("bind", rbacv1.GroupName, "clusterroles", "r0"), user("ann"))
		}, nil},
		"escalating":            {func(o *Objects) { o.bind("data", rule("escalate", rbacv1.GroupName, "roles"), user("ann")) }, []string{"User ann: escalate roles"}},
		"impersonating anybody": {func(o *Objects) { o.bind("", rule("impersonate", "", "groups"), user("ann")) }, []string{"User ann: impersonate groups of Group system:masters"}},
		"impersonating one who does": {func(o *Objects) {
			o.bind("data", reads, user("bob"))
			o.bind("", rule("impersonate", "", "users", "bob"), user("ann"))
		}, []string{"User ann: impersonate users of User bob", "User bob: get secrets"}},
		"impersonating another": {func(o *Objects) {
			o.bind("data", reads, user("bob"))
			o.bind("", rule("impersonate", "", "users", "eve"), user("ann"))
		}, []string{"User bob: get secrets"}},
		"a token": {func(o *Objects) {
			o.bind("data", reads, account("app", "web"))
			o.bind("app", rule("create", "", "serviceaccounts/token", "web"), user("ann"))
			o.bind("", rule("impersonate", "", "users", "ann"), user("eve"))
		}, []string{"ServiceAccount app/web: get secrets", "User ann: create serviceaccounts/token of ServiceAccount app/web", "User eve: impersonate users of User ann"}},
		"a token of one of a group": {func(o *Objects) {
			o.bind("data", reads, group("system:serviceaccounts:app"))
			o.bind("app", rule("create", "", "serviceaccounts/token", "web"), user("ann"))
		}, []string{"Group system:serviceaccounts:app: get secrets", "User ann: create serviceaccounts/token of Group system:serviceaccounts:app"}},
		"pods of an account": {func(o *Objects) {
			o.bind("data", reads, account("app", "web"))
			o.bind("app", rule("create", "", "pods"), user("ann"))
		}, []string{"ServiceAccount app/web: get secrets", "User ann: create pods beside ServiceAccount app/web"}},
		"two ways, the nearer": {func(o *Objects) {
			o.bind("data", rule("create", "", "pods/exec"), user("ann"))
			o.bind("", reads, user("ann"))
		}, []string{"User ann: get secrets"}},
		"a role that is gone": {func(o *Objects) {
			o.RoleBindings = append(o.RoleBindings, &rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "gone"}, Subjects: []rbacv1.Subject{user("ann")}})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := Objects{}
			test.rbac(&o)
			var got []string
			for _, r := range Compile(o).Readers(Secret{Namespace: "data", Name: "reader", Mountable: true}) {
				if r.Name == mastersGroup {
					continue
				}
				how, source, _ := strings.Cut(r.How, ": ")
				if !strings.Contains(source, "Binding") {
					t.Errorf("%s does not say by which binding", r.How)
				}
				got = append(got, r.Subject.String()+": "+how)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPodsThatMountACopyDeclareAPurpose(t *testing.T) {
	o := Objects{}
	o.bind("data", rule("create", "", "pods"), user("ann"))
	if got := Compile(o).Readers(Secret{Namespace: "data", Name: "pds.x.y.z"}); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

// read lets accounts read what the operator delivered, as it does.
func (o *Objects) read(namespace, name string, managed bool, subjects ...rbacv1.Subject) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.ReaderName("billing", "fees"), Labels: map[string]string{v1alpha1.LabelPurpose: "billing"}}
	if managed {
		meta.Labels[v1alpha1.LabelManagedBy] = v1alpha1.ManagedBy
	}
	o.Roles = append(o.Roles, &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{rule("get", "", "secrets", name)}})
	o.RoleBindings = append(o.RoleBindings, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: meta.Name}, Subjects: subjects})
}

func TestAccountsThatDeclareAreNotExposedToWhatTheyAreGranted(t *testing.T) {
	copied, source := Secret{Namespace: "app", Name: "pds.data.ledger.reader"}, Secret{Namespace: "app", Name: "pds.data.ledger.reader", Mountable: true}
	for name, test := range map[string]struct {
		secret Secret
		rbac   func(o *Objects)
		want   []string
	}{
		"the account":               {copied, func(o *Objects) { o.read("app", copied.Name, true, account("app", "web")) }, nil},
		"of a source":               {source, func(o *Objects) { o.read("app", copied.Name, true, account("app", "web")) }, []string{"ServiceAccount app/web: Reads"}},
		"another Secret":            {copied, func(o *Objects) { o.read("app", "pds.data.other.reader", true, account("app", "web")) }, nil},
		"a binding of somebody":     {copied, func(o *Objects) { o.read("app", copied.Name, false, account("app", "web")) }, []string{"ServiceAccount app/web: Reads"}},
		"an account from elsewhere": {copied, func(o *Objects) { o.read("app", copied.Name, true, account("other", "web")) }, []string{"ServiceAccount other/web: Reads"}},
		"a user":                    {copied, func(o *Objects) { o.read("app", copied.Name, true, user("ann")) }, []string{"User ann: Reads"}},
		"a binding to another role": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.Roles[0].Name, o.RoleBindings[0].RoleRef.Name = "other", "other"
		}, []string{"ServiceAccount app/web: Reads"}},
		"a Role that reads everything": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.Roles[0].Rules[0].ResourceNames = nil
		}, []string{"ServiceAccount app/web: Reads"}},
		"an account with more rights": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.bind("app", rule("list", "", "secrets"), account("app", "web"))
			o.bind("app", rule("create", "", "pods"), user("ann"))
		}, []string{"ServiceAccount app/web: Reads", "User ann: Becomes"}},
		"who makes its tokens, and who becomes him": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.bind("app", rule("create", "", "serviceaccounts/token", "web"), user("ann"))
			o.bind("app", rule("create", "", "serviceaccounts/token", "other"), user("bob"))
			o.bind("", rule("impersonate", "", "users", "ann"), user("eve"))
		}, []string{"User ann: Becomes", "User eve: Becomes"}},
		"who impersonates it": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.bind("app", rule("impersonate", "", "serviceaccounts"), user("ann"))
		}, []string{"User ann: Becomes"}},
		"who enters its pods": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.bind("app", rule("create", "", "pods/exec"), user("ann"))
		}, []string{"User ann: Enters"}},
		"who makes pods beside it": {copied, func(o *Objects) {
			o.read("app", copied.Name, true, account("app", "web"))
			o.bind("app", rule("create", "", "pods"), user("ann"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := Objects{}
			test.rbac(&o)
			var got []string
			for _, r := range Compile(o).Readers(test.secret) {
				if r.Name != mastersGroup {
					got = append(got, r.Subject.String()+": "+[]string{"Reads", "Rules", "Enters", "Mounts", "Becomes"}[r.Way])
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStatusFits(t *testing.T) {
	o := Objects{}
	for i := range 100 {
		o.bind("", rule("get", "", "secrets"), user(fmt.Sprintf("system:part-%d", i)), user(fmt.Sprintf("person-%d", i)))
	}
	long := strings.Repeat("長", 300)
	o.bind("", rule("get", "", "secrets"), user("a"+long), account("n"+long, "b"+long))
	status := Status(Compile(o).Readers(Secret{Namespace: "data", Name: "reader"}))
	if len(status) != maxSubjects {
		t.Errorf("%d subjects", len(status))
	}
	for _, s := range status {
		if strings.HasPrefix(s.Name, "system:") {
			t.Errorf("%s comes before people", s.Name)
		}
		if utf8.RuneCountInString(s.Name) > maxName || utf8.RuneCountInString(s.Namespace) > maxNamespace || utf8.RuneCountInString(s.How) > maxHow {
			t.Errorf("%v does not fit", s)
		}
	}
}
