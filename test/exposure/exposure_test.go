package exposure

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/internal/exposure"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/test/controlplane"
)

const (
	graphs  = 300
	workers = 8
)

// All graphs are in the cluster at once, beside the roles that ship with Kubernetes. Each has its own subjects and two
// namespaces, and is asked about one Secret.
func TestTheAPIServerAllowsNobodyWhoIsMissing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("EXPOSURE_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("EXPOSURE_SEED=%d", seed)
	ctx := t.Context()
	cluster, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		t.Fatalf("start a control plane; `make test` finds or builds one: %v", err)
	}
	t.Cleanup(func() { _ = cluster.Stop() })
	config := cluster.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{Scheme: clientgoscheme.Scheme})
	if err != nil {
		t.Fatal(err)
	}

	all := make([]*graph, graphs)
	began := time.Now()
	each(all, func(n int) {
		all[n] = newGraph(rand.New(rand.NewPCG(seed, uint64(n))), n)
		for _, object := range all[n].objects {
			if err := admin.Create(ctx, object); err != nil {
				t.Errorf("graph %d: %v", n, err)
			}
		}
	})
	(&asker{admin, ctx, t}).settle()
	t.Logf("made in %s", time.Since(began).Round(time.Millisecond))

	objects, err := gather.RBAC(ctx, admin)
	if err != nil {
		t.Fatal(err)
	}
	index := exposure.Compile(objects)
	began = time.Now()
	var counts [2]int
	var mu sync.Mutex
	each(all, func(n int) {
		listed, direct := all[n].check(&asker{admin, ctx, t}, index)
		mu.Lock()
		defer mu.Unlock()
		counts[0] += listed
		counts[1] += direct
	})
	t.Logf("%d graphs: %d subjects listed, %d of them read directly, checked in %s", graphs, counts[0], counts[1], time.Since(began).Round(time.Millisecond))
	if counts[0] < graphs || counts[1] < graphs/3 {
		t.Error("the graphs are too poor to tell anything")
	}
}

func each(all []*graph, do func(n int)) {
	var group sync.WaitGroup
	next := make(chan int)
	for range workers {
		group.Go(func() {
			for n := range next {
				do(n)
			}
		})
	}
	for n := range all {
		next <- n
	}
	close(next)
	group.Wait()
}

// graph is some RBAC about two namespaces.
type graph struct {
	here, there string
	subjects    []exposure.Subject
	objects     []client.Object
	roles       []string // ClusterRoles
}

func newGraph(r *rand.Rand, n int) *graph {
	here := fmt.Sprintf("g%d", n)
	g := &graph{here: here, there: here + "-x"}
	for _, name := range []string{g.here, g.there} {
		g.objects = append(g.objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	for i := range 3 {
		g.subjects = append(g.subjects, exposure.Subject{Kind: "User", Name: fmt.Sprintf("%s-u%d", here, i)})
	}
	g.subjects = append(g.subjects,
		exposure.Subject{Kind: "Group", Name: here + "-team"},
		exposure.Subject{Kind: "ServiceAccount", Namespace: g.here, Name: "app"},
		exposure.Subject{Kind: "ServiceAccount", Namespace: g.there, Name: "web"})
	for i := range 3 + r.IntN(4) {
		name := fmt.Sprintf("%s-r%d", here, i)
		namespace := pick(r, g.here, g.here, g.there)
		rules := []rbacv1.PolicyRule{g.rule(r)}
		if r.IntN(3) == 0 {
			rules = append(rules, g.rule(r))
		}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
		if r.IntN(3) == 0 {
			ref.Kind = "Role"
			g.objects = append(g.objects, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules})
		} else {
			g.roles = append(g.roles, name)
			g.objects = append(g.objects, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})
		}
		subjects := []rbacv1.Subject{g.subject(r)}
		if r.IntN(3) == 0 {
			subjects = append(subjects, g.subject(r))
		}
		if ref.Kind == "ClusterRole" && r.IntN(3) == 0 {
			g.objects = append(g.objects, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects})
		} else {
			g.objects = append(g.objects, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: subjects})
		}
	}
	return g
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// secret is what every graph is asked about.
const secret = "reader"

func (g *graph) rule(r *rand.Rand) rbacv1.PolicyRule {
	rule := pick(r,
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{pick(r, "get", "list", "watch", "create", "*")}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets", "pods"}, Verbs: []string{"get", "create"}},
		rbacv1.PolicyRule{APIGroups: []string{pick(r, "", "*", "apps")}, Resources: []string{pick(r, "*", "secrets")}, Verbs: []string{pick(r, "get", "update", "*")}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{pick(r, "pods/exec", "pods/attach", "*/exec", "pods/ephemeralcontainers", "pods/log", "nodes/proxy")}, Verbs: []string{pick(r, "create", "get", "update")}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{pick(r, "serviceaccounts/token", "*/token", "serviceaccounts")}, Verbs: []string{"create"}},
		rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{pick(r, "users", "groups", "serviceaccounts")}, Verbs: []string{"impersonate"}},
		rbacv1.PolicyRule{APIGroups: []string{pick(r, "", "apps", "batch")}, Resources: []string{pick(r, "pods", "deployments", "jobs", "cronjobs")}, Verbs: []string{pick(r, "create", "patch")}},
		rbacv1.PolicyRule{APIGroups: []string{rbacv1.GroupName}, Resources: []string{pick(r, "roles", "clusterroles")}, Verbs: []string{pick(r, "bind", "escalate", "get")}},
	)
	switch {
	case r.IntN(3) > 0:
	case slices.Contains(rule.Resources, "secrets"):
		rule.ResourceNames = []string{pick(r, secret, "other")}
	case slices.ContainsFunc(rule.Resources, func(s string) bool { return strings.Contains(s, "token") || s == "serviceaccounts" }):
		rule.ResourceNames = []string{pick(r, "app", "web", "other")}
	case slices.Contains(rule.Resources, "users"), slices.Contains(rule.Resources, "groups"):
		rule.ResourceNames = []string{pick(r, g.subjects...).Name}
	case slices.Contains(rule.Resources, "clusterroles"):
		rule.ResourceNames = []string{pick(r, "system:discovery", "cluster-admin", g.here+"-r0", g.here+"-r1")}
	}
	return rule
}

func (g *graph) subject(r *rand.Rand) rbacv1.Subject {
	s := pick(r, g.subjects...)
	if s.Kind != "ServiceAccount" {
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: s.Kind, Name: s.Name}
	}
	return pick(r,
		rbacv1.Subject{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name},
		rbacv1.Subject{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name},
		rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: "system:serviceaccount:" + s.Namespace + ":" + s.Name},
		rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: "system:serviceaccounts:" + s.Namespace})
}

// check asks about every subject of the graph.
func (g *graph) check(ask *asker, index *exposure.Index) (listed, direct int) {
	readers := map[exposure.Subject]exposure.Reader{}
	for _, reader := range index.Readers(exposure.Secret{Namespace: g.here, Name: secret, Mountable: true}) {
		readers[reader.Subject] = reader
	}
	reads := func(s exposure.Subject) bool {
		return slices.ContainsFunc([]string{"get", "list", "watch"}, func(verb string) bool {
			return ask.may(s, verb, "", "secrets", "", g.here, secret)
		})
	}
	for _, s := range g.subjects {
		reader, is := readers[s]
		for _, of := range groups(s) { // what a group may, its members may
			if r, in := readers[exposure.Subject{Kind: "Group", Name: of}]; in && (!is || r.Way < reader.Way) {
				reader, is = r, true
			}
		}
		switch {
		case is && reader.Way == exposure.Reads:
			if !reads(s) {
				ask.t.Errorf("%s: %s is said to read the Secret, and may not: %s", g.here, s, reader.How)
			}
			listed++
			direct++
		case is:
			if reads(s) {
				ask.t.Errorf("%s: %s reads the Secret, and is said to do so only so: %s", g.here, s, reader.How)
			}
			listed++
		default:
			if how := g.gets(ask, s, readers, reads); how != "" {
				ask.t.Errorf("%s: %s is missing: it may %s", g.here, s, how)
			}
		}
	}
	return listed, direct
}

// gets says how a subject could come by the Secret; empty: it could not.
func (g *graph) gets(ask *asker, s exposure.Subject, readers map[exposure.Subject]exposure.Reader, reads func(exposure.Subject) bool) string {
	if reads(s) {
		return "read it"
	}
	type try struct{ verb, group, resource, sub, namespace, name string }
	tries := []try{
		{"create", "", "pods", "exec", g.here, ""}, {"create", "", "pods", "attach", g.here, ""},
		{"update", "", "pods", "ephemeralcontainers", g.here, ""},
		{"get", "", "nodes", "proxy", "", ""},
		{"create", "", "pods", "", g.here, ""}, {"create", "apps", "deployments", "", g.here, ""}, {"patch", "batch", "cronjobs", "", g.here, ""},
		{"escalate", rbacv1.GroupName, "roles", "", g.here, "x"}, {"bind", rbacv1.GroupName, "clusterroles", "", g.here, "cluster-admin"},
		{"impersonate", "", "groups", "", "", "system:masters"},
	}
	for of := range readers {
		if of == s || !strings.HasPrefix(of.Name, g.here) && !strings.HasPrefix(of.Namespace, g.here) {
			continue
		}
		switch of.Kind {
		case "ServiceAccount":
			tries = append(tries, try{"create", "", "serviceaccounts", "token", of.Namespace, of.Name}, try{"impersonate", "", "serviceaccounts", "", of.Namespace, of.Name},
				try{"create", "", "pods", "", of.Namespace, ""})
		case "User":
			tries = append(tries, try{"impersonate", "", "users", "", "", of.Name})
		case "Group":
			tries = append(tries, try{"impersonate", "", "groups", "", "", of.Name})
		}
	}
	for _, t := range tries {
		if ask.may(s, t.verb, t.group, t.resource, t.sub, t.namespace, t.name) {
			return fmt.Sprint(t)
		}
	}
	return ""
}

func groups(s exposure.Subject) []string {
	if s.Kind != "ServiceAccount" {
		return nil
	}
	return []string{"system:serviceaccounts", "system:serviceaccounts:" + s.Namespace}
}

// asker asks the API server.
type asker struct {
	admin client.Client
	ctx   context.Context
	t     *testing.T
}

func (a *asker) may(s exposure.Subject, verb, group, resource, sub, namespace, name string) bool {
	spec := authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
		Verb: verb, Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Name: name, Version: "v1",
	}, Groups: groups(s)}
	switch s.Kind {
	case "User":
		spec.User = s.Name
	case "Group":
		spec.User, spec.Groups = "nobody", []string{s.Name}
	default:
		spec.User = "system:serviceaccount:" + s.Namespace + ":" + s.Name
	}
	review := &authorizationv1.SubjectAccessReview{Spec: spec}
	if err := a.admin.Create(a.ctx, review); err != nil {
		a.t.Errorf("ask about %s: %v", s, err)
	}
	return review.Status.Allowed
}

// settle returns when the API server honours what was made last, of every kind.
func (a *asker) settle() {
	role := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "last"}
	rules := []rbacv1.PolicyRule{{APIGroups: []string{"last.example.com"}, Resources: []string{"things"}, Verbs: []string{"get"}}}
	own := role
	own.Kind = "Role"
	subject := func(name string) []rbacv1.Subject {
		return []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}}
	}
	for _, object := range []client.Object{
		&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "last"}, Rules: rules},
		&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: "g0", Name: "last"}, Rules: rules},
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "last"}, RoleRef: role, Subjects: subject("last-cluster")},
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "g0", Name: "last"}, RoleRef: own, Subjects: subject("last-here")},
	} {
		if err := a.admin.Create(a.ctx, object); err != nil {
			a.t.Fatal(err)
		}
	}
	for _, name := range []string{"last-cluster", "last-here"} {
		for deadline := time.Now().Add(30 * time.Second); !a.may(exposure.Subject{Kind: "User", Name: name}, "get", "last.example.com", "things", "", "g0", "x"); {
			if time.Now().After(deadline) {
				a.t.Fatal("the API server does not honour what was made")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}
