package bypass

import (
	"context"
	"errors"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
)

// actor is somebody with a name, whose rights are roles of RBAC.
type actor struct {
	name   string
	groups []string
}

var (
	root     = actor{"root", []string{"system:masters"}} // the cluster's administrator; RBAC does not count
	editor   = actor{name: "erin"}                       // the stock role edit, in every namespace of the world
	boss     = actor{name: "adam"}                       // the stock role admin, likewise
	owner    = actor{name: "dora"}                       // writes stores and workloads of namespace data; reads no Secrets
	officer  = actor{name: "otto"}                       // writes entrustments; entrusts in the name of biller alone
	privacy  = actor{name: "petra"}                      // the privacy office: all four kinds; entrusts in the name of acme
	platform = actor{name: "paul"}                       // runs the cluster: everything of the core groups, nothing of ours
	network  = actor{name: "nina"}                       // runs the network: policies, Services, endpoints, routes
	rescuer  = actor{name: "iris"}                       // edit, and may intervene in the store orders and in biller

	node       = actor{"system:node:node", []string{"system:nodes"}}
	scheduler  = actor{name: "system:kube-scheduler"}
	namespacer = actor{name: "system:serviceaccount:kube-system:namespace-controller"}
	collector  = actor{name: "system:serviceaccount:kube-system:generic-garbage-collector"}
	replicator = actor{name: "system:serviceaccount:kube-system:replicaset-controller"}
	itself     = actor{admission.Operator, []string{"system:masters"}} // the operator's name, so that only its name counts
)

// session is an actor at the API server. What it writes is only tried.
type session struct {
	client.Client
	core     rest.Interface
	warnings *warnings
}

var (
	sessions   = map[string]session{}
	sessionsMu sync.Mutex
)

// as returns the session of an actor.
func as(a actor) session {
	GinkgoHelper()
	sessionsMu.Lock()
	defer sessionsMu.Unlock()
	if s, open := sessions[a.name]; open {
		return s
	}
	config := cluster.Config()
	config.QPS = -1
	config.Impersonate = rest.ImpersonationConfig{UserName: a.name, Groups: a.groups}
	s := session{warnings: &warnings{}}
	config.WarningHandler = s.warnings
	live, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	s.Client = client.NewDryRunClient(live)
	clientset, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	s.core = clientset.CoreV1().RESTClient()
	sessions[a.name] = s
	return s
}

// impersonates tries something as a user who claims to be another. The other actors are made up by an administrator, which
// admission cannot tell from who they are; this one has a certificate of its own.
func impersonates(user, whom string, attempt try) []try {
	return []try{{attempt.way, func(ctx context.Context, _ session) error {
		config, err := cluster.User(user)
		if err != nil {
			return err
		}
		config.Impersonate = rest.ImpersonationConfig{UserName: whom}
		live, err := client.New(config, client.Options{Scheme: scheme, Mapper: admin.RESTMapper()}) // who may not be, may not discover
		if err != nil {
			return err
		}
		return attempt.do(ctx, session{Client: client.NewDryRunClient(live)})
	}}}
}

// warnings are what kubectl would print.
type warnings struct {
	mu   sync.Mutex
	list []string
}

// HandleWarningHeader keeps one.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// mention returns those with such words as an error, and forgets all.
func (w *warnings) mention(words string) error {
	for _, text := range w.take() {
		if strings.Contains(text, words) {
			return errors.New(text)
		}
	}
	return nil
}

// take returns what there is, and forgets it.
func (w *warnings) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

// hire gives the actors their roles.
func hire(ctx context.Context) {
	GinkgoHelper()
	everywhere := func(a actor, role string) {
		for _, namespace := range namespaces {
			grantIn(ctx, namespace, a, role)
		}
	}
	for _, a := range []actor{editor, rescuer} {
		everywhere(a, "edit")
	}
	everywhere(boss, "admin")

	rule := func(group string, resources []string, verbs []string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs, ResourceNames: names}
	}
	write := []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}
	all := []string{"*"}
	for a, rules := range map[*actor][]rbacv1.PolicyRule{
		&officer: {
			rule(v1alpha1.Group, []string{"entrustments"}, write),
			rule(v1alpha1.Group, []string{"purposes"}, write),
			rule(v1alpha1.Group, []string{"dataprocessors"}, []string{"entrust"}, "biller"),
		},
		&privacy: {
			rule(v1alpha1.Group, []string{"purposes", "dataprocessors", "entrustments", "personaldatastores"}, write),
			rule(v1alpha1.Group, []string{"dataprocessors"}, []string{"entrust"}, "acme"),
		},
		&platform: {
			rule("", all, all), rule("apps", all, all), rule("batch", all, all), rule("networking.k8s.io", all, all),
			rule("discovery.k8s.io", all, all), rule("rbac.authorization.k8s.io", []string{"rolebindings"}, write),
			// Whoever adds a subject to a role must hold it.
			rule("rbac.authorization.k8s.io", []string{"roles"}, []string{"bind"}),
			rule("admissionregistration.k8s.io", []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}, write),
			rule("apiextensions.k8s.io", all, all),
		},
		&network: {
			rule("", []string{"services", "endpoints"}, write), rule("discovery.k8s.io", []string{"endpointslices"}, write),
			rule("networking.k8s.io", []string{"networkpolicies", "ingresses"}, write),
		},
		&collector: {rule(v1alpha1.Group, all, all)}, // its role knows only what is built in
	} {
		everyRight(ctx, *a, rules...)
	}
	role(ctx, "data", owner, rule(v1alpha1.Group, []string{"personaldatastores"}, write),
		rule("", []string{"pods", "services", "endpoints", "persistentvolumeclaims"}, write), rule("apps", all, write),
		rule("discovery.k8s.io", []string{"endpointslices"}, write), rule("networking.k8s.io", []string{"ingresses"}, write))
	debugging := rule("", []string{"pods/ephemeralcontainers"}, write)
	role(ctx, "data", rescuer, debugging, rule(v1alpha1.Group, []string{"personaldatastores"}, []string{"intervene"}, "orders"))
	role(ctx, "biller", rescuer, debugging, rule(v1alpha1.Group, []string{"personaldataaccesses"}, []string{"intervene"}, v1alpha1.PersonalDataAccessName))
	// Nodes have an authorizer of their own in a cluster; here they have the role from before it.
	setUp(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "nodes"}, Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "system:nodes"}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
	})
}

func (a actor) subjects() []rbacv1.Subject {
	return []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: a.name}}
}

func (a actor) roleName() string { return "of-" + a.name }

// grantIn binds a stock role in a namespace.
func grantIn(ctx context.Context, namespace string, a actor, clusterRole string) {
	GinkgoHelper()
	setUp(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: a.name + "-" + clusterRole}, Subjects: a.subjects(),
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
	})
}

// role gives rights in a namespace, everyRight in the cluster.
func role(ctx context.Context, namespace string, a actor, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: a.roleName()}
	setUp(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules})
	setUp(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: a.subjects(), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: a.roleName()}})
}

func everyRight(ctx context.Context, a actor, rules ...rbacv1.PolicyRule) {
	GinkgoHelper()
	meta := metav1.ObjectMeta{Name: a.roleName()}
	setUp(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules})
	setUp(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: a.subjects(), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: a.roleName()}})
}
