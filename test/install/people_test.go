package install

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// People, by the role that each of them has. Where a role is for one namespace, it is bound in that.
var people = []struct{ name, role, in string }{
	{"officer", "entrustment-privacy-officer", ""},
	{"officer", "entrustment-entrust-example-controller", ""},
	{"owner", "entrustment-data-owner", "data-billing"},
	{"entrustee", "entrustment-entrustee-officer", ""},
	{"entrustee", "entrustment-entrust-billing-entrustee", ""},
	{"developer", "view", "billing-entrustee"},
	{"reader", "entrustment-purpose-reader", ""},
	{"auditor", "entrustment-auditor", ""},
}

// attributes of a request. Resources are those of the operator's group, unless another stands behind a dot.
type attributes struct{ verb, resource, namespace string }

var (
	writeAccess  = attributes{"create", "personaldataaccesses", "billing-entrustee"}
	readAccess   = attributes{"get", "personaldataaccesses", "billing-entrustee"}
	writeStore   = attributes{"update", "personaldatastores", "data-billing"}
	otherStore   = attributes{"update", "personaldatastores", "data-core"}
	readStore    = attributes{"list", "personaldatastores", "data-billing"}
	entrust      = attributes{"create", "entrustments", ""}
	terminate    = attributes{"delete", "entrustments", ""}
	readContract = attributes{"list", "entrustments", ""}
	publish      = attributes{"create", "purposes", ""}
	readPurposes = attributes{"list", "purposes", ""}
	bindParty    = attributes{"update", "dataprocessors", ""}
	readParties  = attributes{"get", "dataprocessors", ""}
	inAnyName    = attributes{"entrust", "dataprocessors", ""}
	ownAccess    = attributes{"get", "personaldataaccesses", "data-billing"}
	intervene    = attributes{"intervene", "personaldatastores", "data-billing"}
	writeStatus  = attributes{"update", "entrustments/status", ""}
	readSecrets  = attributes{"get", "secrets.", "data-billing"}
	readPolicies = attributes{"list", "networkpolicies.networking.k8s.io", "data-billing"}
	openPolicies = attributes{"delete", "networkpolicies.networking.k8s.io", "data-billing"}
	readEvents   = attributes{"list", "events.events.k8s.io", "data-billing"}
	getEvents    = attributes{"list", "events.", "data-billing"} // as kubectl asks for them
	readSpaces   = attributes{"list", "namespaces.", ""}
	readBindings = attributes{"list", "rolebindings.rbac.authorization.k8s.io", "data-billing"}
	bindPeople   = attributes{"create", "rolebindings.rbac.authorization.k8s.io", "data-billing"}
)

// rights are all that people may do of what is asked here; everything else they may not.
var rights = map[string][]attributes{
	"officer":   {readAccess, ownAccess, writeStore, otherStore, readStore, entrust, terminate, readContract, publish, readPurposes, bindParty, readParties, readSpaces},
	"owner":     {writeStore, readStore, ownAccess},
	"entrustee": {entrust, readContract, readPurposes, readParties},
	"developer": {readAccess},
	"reader":    {readPurposes},
	"auditor":   {readAccess, ownAccess, readStore, readContract, readPurposes, readParties, readPolicies, readEvents, getEvents, readSpaces, readBindings},
	"nobody":    {},
}

func (c *cluster) hire(ctx context.Context, g Gomega) {
	for _, p := range people {
		subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: p.name}}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: p.role}
		meta := metav1.ObjectMeta{Name: p.name + "-" + p.role, Namespace: p.in}
		if p.in != "" {
			g.Expect(c.admin.Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref})).To(Succeed())
			continue
		}
		g.Expect(c.admin.Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref})).To(Succeed())
	}
}

// as is the client of a person.
func (c *cluster) as(g Gomega, person string) client.Client {
	config := c.plane.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: person}
	who, err := client.New(config, client.Options{Scheme: c.admin.Scheme()})
	g.Expect(err).NotTo(HaveOccurred())
	return who
}

func (c *cluster) may(ctx context.Context, g Gomega, person string, a attributes) bool {
	resource, sub, _ := strings.Cut(a.resource, "/")
	resource, group, other := strings.Cut(resource, ".")
	if !other {
		group = v1alpha1.Group
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: person, ResourceAttributes: &authorizationv1.ResourceAttributes{
		Group: group, Resource: resource, Subresource: sub, Verb: a.verb, Namespace: a.namespace,
	}}}
	g.Expect(c.admin.Create(ctx, review)).To(Succeed())
	return review.Status.Allowed
}

// maySign says whether somebody writes in the name of a party.
func (c *cluster) maySign(ctx context.Context, g Gomega, person, party string) bool {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: person, ResourceAttributes: &authorizationv1.ResourceAttributes{
		Group: v1alpha1.Group, Resource: inAnyName.resource, Verb: inAnyName.verb, Name: party,
	}}}
	g.Expect(c.admin.Create(ctx, review)).To(Succeed())
	return review.Status.Allowed
}

// peopleMay is what each role lets do, by RBAC and by the rules behind it, and what not.
func (c *cluster) peopleMay(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	ctx := t.Context()
	c.hire(ctx, g)

	all := []attributes{writeAccess, readAccess, writeStore, otherStore, readStore, entrust, terminate, readContract, publish, readPurposes, bindParty, readParties, inAnyName, writeStatus,
		ownAccess, intervene, readSecrets, readPolicies, openPolicies, readEvents, getEvents, readSpaces, readBindings, bindPeople}
	for person, allowed := range rights {
		for _, a := range all {
			g.Eventually(func() bool { return c.may(ctx, g, person, a) }).Should(Equal(slices.Contains(allowed, a)), "%s: %v", person, a)
		}
	}

	for person, party := range map[string]string{"officer": "example-controller", "entrustee": "billing-entrustee"} {
		for _, name := range []string{"example-controller", "billing-entrustee"} {
			g.Eventually(func() bool { return c.maySign(ctx, g, person, name) }).Should(Equal(name == party), "%s in the name of %s", person, name)
		}
	}

	officer, owner, entrustee := c.as(g, "officer"), c.as(g, "owner"), c.as(g, "entrustee")
	purpose := func(controller string) client.Object { return builder.Purpose("another").Controller(controller).Obj() }
	g.Eventually(func() error { return officer.Create(ctx, purpose("example-controller"), client.DryRunAll) }).Should(Succeed())
	g.Expect(officer.Create(ctx, purpose("external-entruster"), client.DryRunAll)).To(MatchError(ContainSubstring("entrust")), "in a name that is not hers")

	end := time.Now().AddDate(0, 1, 0)
	contract := func(entruster, parent string) client.Object {
		return builder.Entrustment("another").From(entruster).To("print-mailing-subentrustee").Parent(parent).Purposes("billing").
			Categories("user.name", "user.contact.address", "user.payment").Stores("data-billing/invoice-print-queue").Territories("JP").NotAfter(end).Obj()
	}
	g.Eventually(func() error { return entrustee.Create(ctx, contract("billing-entrustee", "fees"), client.DryRunAll) }).Should(Succeed())
	g.Expect(entrustee.Create(ctx, contract("example-controller", ""), client.DryRunAll)).To(MatchError(ContainSubstring("entrust")), "in the controller's name")

	retitle := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"title":"another"}}`))
	store := func(namespace, name string) client.Object { return builder.Store(namespace, name).Obj() }
	g.Eventually(func() error {
		return owner.Patch(ctx, store("data-billing", "billing-ledger"), retitle, client.DryRunAll)
	}).Should(Succeed())
	g.Expect(entrustee.Patch(ctx, store("data-billing", "billing-ledger"), retitle, client.DryRunAll)).To(MatchError(ContainSubstring("forbidden")))

	access := &v1alpha1.PersonalDataAccess{}
	key := types.NamespacedName{Namespace: "billing-entrustee", Name: v1alpha1.PersonalDataAccessName}
	g.Expect(c.as(g, "developer").Get(ctx, key, access)).To(Succeed())
	g.Expect(c.as(g, "auditor").Delete(ctx, access, client.DryRunAll)).To(MatchError(ContainSubstring("forbidden")))
}
