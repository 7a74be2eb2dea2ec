package scope

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		in   entrustment.Inputs
		want []string
	}{
		"nothing":            {want: []string{"no_namespace"}},
		"stores and parties": {in: entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{builder.Store("data", "b").Obj(), builder.Store("data", "a").Obj()}, Processors: []*v1alpha1.DataProcessor{builder.Processor("x").Namespace("bound").Namespace("data").Obj()}}, want: []string{"bound", "data"}},
		"those that are exempt": {
			in:   entrustment.Inputs{Stores: []*v1alpha1.PersonalDataStore{builder.Store("kube-system", "a").Obj(), builder.Store("entrustment-system", "a").Obj()}},
			want: []string{"no_namespace"},
		},
		"one that two parties claim, which is bound to nobody": {
			in:   entrustment.Inputs{Processors: []*v1alpha1.DataProcessor{builder.Processor("x").Namespace("rival").Obj(), builder.Processor("y").Namespace("rival").Obj()}},
			want: []string{"no_namespace"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, namespaces(entrustment.Compile(test.in, time.Now()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	in := func(names ...string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpIn, Values: names}}}
	}
	narrowed := in("bound", "data")
	narrowed.MatchLabels = map[string]string{"guarded": "yes"}
	const lacking = " is not asked about every namespace that holds a store or is bound: bound, data"
	for name, test := range map[string]struct {
		first, second *metav1.LabelSelector
		missing       bool // the second webhook
		flaw          string
		writes        int
	}{
		"as it should be":                   {first: in("bound", "data"), second: in("bound", "data")},
		"as it was installed":               {first: in("no_namespace"), second: in("no_namespace"), flaw: "webhook " + Webhooks[0] + lacking, writes: 2},
		"one short, of which both are told": {first: in("bound", "data"), second: in("data"), flaw: "webhook " + Webhooks[1] + lacking, writes: 2},
		"one too many, which does no harm":  {first: in("bound", "data", "gone"), second: in("bound", "data"), writes: 2},
		"all namespaces, likewise":          {first: nil, second: &metav1.LabelSelector{}, writes: 2},
		"narrowed by another label":         {first: narrowed, second: in("bound", "data"), flaw: "webhook " + Webhooks[0] + lacking, writes: 2},
		"turned round": {
			first:  &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"bound", "data"}}}},
			second: in("bound", "data"), flaw: "webhook " + Webhooks[0] + lacking, writes: 2,
		},
		"a webhook that somebody took away":         {first: in("bound", "data"), missing: true, flaw: "it has no webhook " + Webhooks[1]},
		"a webhook taken away, and the other short": {first: in("data"), missing: true, flaw: "it has no webhook " + Webhooks[1], writes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			live := &admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: []admissionregistrationv1.MutatingWebhook{
				{Name: "pod.admission.entrustment.dev"}, {Name: Webhooks[0], NamespaceSelector: test.first},
			}}
			if !test.missing {
				live.Webhooks = append(live.Webhooks, admissionregistrationv1.MutatingWebhook{Name: Webhooks[1], NamespaceSelector: test.second})
			}
			flaw, same, configuration := compare(live, []string{"bound", "data"})
			if flaw != test.flaw {
				t.Errorf("flaw %q, want %q", flaw, test.flaw)
			}
			writes := 0
			if !same {
				writes = len(configuration.Webhooks)
			}
			if writes != test.writes {
				t.Errorf("writes %d webhooks, want %d", writes, test.writes)
			}
		})
	}
}

// Without a snapshot nothing is looked at, let alone narrowed: the cache is not even there.
func TestWithoutSnapshot(t *testing.T) {
	r := &Reconciler{Publisher: &snapshot.Publisher{}}
	if _, err := r.Reconcile(t.Context(), reconcile.Request{}); err != nil {
		t.Error(err)
	}
}

func TestCovers(t *testing.T) {
	elected := make(chan struct{})
	r := &Reconciler{Name: "hooks", Elected: elected}
	check := func(want string) {
		t.Helper()
		got := ""
		if err := r.Covers(&http.Request{}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("") // somebody else sees to it
	close(elected)
	check("the namespaces of the webhooks were not looked at yet")
	r.say("it is missing")
	check("MutatingWebhookConfiguration hooks: it is missing")
	r.say("")
	check("")
}
