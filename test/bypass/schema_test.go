package bypass

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// schemaVectors are A7, A8, fact 2, and of A9 what the definitions themselves refuse.
var schemaVectors = slices.Concat(malformed, lookalikes, immutables)

const (
	asJSON     = "application/json"
	podsPath   = "/api/v1/namespaces/biller/pods"
	purposeAPI = "/apis/entrustment.dev/v1alpha1/purposes"
)

// podText is a pod whose labels are a text of JSON.
func podText(labels string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","labels":%s},"spec":{"containers":[{"name":"app","image":"app"}]}}`, labels)
}

var malformed = []vector{
	{"A7.01 labels that are numbers", editor, sends(http.MethodPost, podsPath, asJSON, podText(`{"entrustment.dev/purpose":1}`)), unseen, invalid("cannot unmarshal number")},
	{"A7.02 labels that are a list", editor, sends(http.MethodPost, podsPath, asJSON, podText(`["entrustment.dev/purpose"]`)), unseen, invalid("cannot unmarshal array")},
	{"A7.03 half a pod", editor, sends(http.MethodPost, podsPath, asJSON, podText(`{"entrustment.dev/purpose":"bill`)), unseen, invalid("")},
	{"A7.04 the label twice, first what is granted", editor, sends(http.MethodPost, podsPath, asJSON, podText(`{"entrustment.dev/entrustment":"fees","entrustment.dev/purpose":"billing","entrustment.dev/purpose":"marketing"}`)),
		pods("PurposeNotIntended"), guard(grants, `purpose "marketing"`)},
	{"A7.05 the labels twice, last none", editor, sends(http.MethodPost, podsPath, asJSON,
		[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","labels":{"entrustment.dev/purpose":"marketing"},"labels":{}},"spec":{"containers":[{"name":"app","image":"app"}]}}`)),
		pods("NoEntrustment"), guard(grants, `purpose "marketing"`)},
	{"A7.06 a field in upper case", editor, sends(http.MethodPost, podsPath, asJSON,
		[]byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","Labels":{"entrustment.dev/purpose":"marketing"}},"spec":{"containers":[{"name":"app","image":"app"}]}}`)), unseen, admitted},
	{"A7.07 a body of four megabytes", editor, sends(http.MethodPost, podsPath, asJSON, podText(`{"a":"`+strings.Repeat("x", 4<<20)+`"}`)), unseen, invalid("limit is 3145728")},
	{"A7.08 ten thousand levels", privacy, sends(http.MethodPost, purposeAPI, asJSON, bytes.Repeat([]byte(`{"a":`), 10001)), unseen, invalid("")},
	{"A7.09 a patch of ten thousand operations", editor, sends(http.MethodPatch, podsPath+"/ordinary", "application/json-patch+json",
		[]byte("["+strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/metadata/name","value":"ordinary"},`, 10001), ",")+"]")), unseen, invalid("operations")},
	{"A7.10 bytes that are no UTF-8 in a label", editor, sends(http.MethodPost, podsPath, asJSON, podText("{\"entrustment.dev/purpose\":\"billing\xff\",\"entrustment.dev/entrustment\":\"fees\"}")),
		pods("billing"), invalid("")},
	{"A7.11 another type than it says", editor, sends(http.MethodPost, podsPath, "application/vnd.kubernetes.protobuf", podText(`{"entrustment.dev/purpose":"marketing"}`)), unseen, invalid("")},
	{"A7.12 a party that is a list", privacy, sends(http.MethodPost, "/apis/entrustment.dev/v1alpha1/dataprocessors", asJSON, []byte(`{"apiVersion":"entrustment.dev/v1alpha1","kind":"DataProcessor","metadata":{"name":"x"},"spec":[]}`)), unseen, invalid("must be of type object")},
	{"A7.13 a date that no client reads", privacy, sends(http.MethodPost, purposeAPI, asJSON,
		[]byte(`{"apiVersion":"entrustment.dev/v1alpha1","kind":"Purpose","metadata":{"name":"x"},"spec":{"controllerName":"acme","title":"x","notAfter":"2026-11-24t12:00:00+99:99"}}`)), unseen, invalid("notAfter")},
}

var lookalikes = func() []vector {
	names := []struct{ what, name string }{
		{"Cyrillic letters", "b\u0456lling"}, {"full-width letters", "\uff42illing"}, {"upper case", "Billing"}, {"a soft hyphen", "bill\u00ading"},
		{"a joiner of no width", "bill\u200ding"}, {"NUL", "billing\x00"}, {"a space", "billing "}, {"a line break", "billing\n"},
		{"a dot", "billing.x"}, {"64 characters", strings.Repeat("a", 64)}, {"253 characters", strings.Repeat("a", 253)}, {"right to left", "\u202egnillib"},
	}
	var all []vector
	for i, n := range names {
		all = append(all,
			vector{fmt.Sprintf("A8.%02d publish a purpose with %s in its name", i+1, n.what), privacy, posts(builder.Purpose(n.name).Obj()), unseen, invalid("")},
			vector{fmt.Sprintf("A8.%02d name an entruster with %s", i+21, n.what), privacy,
				posts(builder.Entrustment("x").From(n.name).To("biller").Purposes("billing").Stores("data/orders").Obj()), unseen, invalid("entrusterName")})
		alone := invalid("metadata.labels")
		if slices.Contains([]string{"upper case", "a dot"}, n.what) {
			alone = guard(grants, "is not granted")
		}
		all = append(all, vector{fmt.Sprintf("A8.%02d declare a purpose with %s", i+41, n.what), editor,
			posts(builder.Pod("biller", "x").Purpose(n.name).Entrustment("fees").Obj()), pods("PurposeUnknown"), alone})
	}
	return append(all,
		vector{"A8.60 a key like the label's", editor, posts(edited(ordinary("biller", "x"), label("entrustment.dev/purp\u043ese", "billing"))), unseen, invalid("name part must consist of")},
		vector{"A8.61 the key in upper case, which is another", editor, posts(edited(ordinary("biller", "x"), label("entrustment.dev/Purpose", "billing"))), unseen, admitted},
		vector{"A8.62 a party whose name is too long for a label", privacy, posts(builder.Processor(strings.Repeat("a", 64)).Obj()), unseen, invalid("at most 63 characters")},
		vector{"A8.63 a store whose name is too long for a label", root, posts(store("data", strings.Repeat("a", 64)).Selector(selected).Obj()), unseen, invalid("at most 63 characters")},
	)
}()

var unbound = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "unbound"}}

// rename gives a namespace the label by which policies know another one.
func rename(n *corev1.Namespace) { n.Labels[corev1.LabelMetadataName] = "own" }

var immutables = []vector{
	{"A9.20 forget a review", privacy, changes(builder.Entrustment("fees").Obj(), func(e *v1alpha1.Entrustment) { e.Spec.Supervision = nil }, byStrategic, byApply), unseen, invalid("append")},
	{"A9.21 change a review", privacy, changes(builder.Entrustment("fees").Obj(), func(e *v1alpha1.Entrustment) {
		e.Spec.Supervision.Reviews[0].Result = v1alpha1.ReviewUnsatisfactory
	}, byStrategic), unseen, invalid("append")},
	{"A9.22 permit a prohibited purpose", privacy, changes(builder.Purpose("profiling").Obj(), func(p *v1alpha1.Purpose) { p.Spec.Disposition = v1alpha1.DispositionPermitted }, byStrategic), unseen, invalid("a prohibited purpose cannot be made permitted")},
	{"A9.23 move a purpose under one that is allowed", privacy, changes(builder.Purpose("marketing").Obj(), func(p *v1alpha1.Purpose) { p.Spec.ParentName = "billing" }, byStrategic), unseen, invalid("parentName is immutable")},
	{"A9.24 take a purpose over", privacy, changes(builder.Purpose("billing").Obj(), func(p *v1alpha1.Purpose) { p.Spec.ControllerName = "rival" }, byStrategic), unseen, invalid("controllerName is immutable")},
	{"A9.25 take a store over", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Spec.ControllerName = "rival" }, byStrategic), unseen, invalid("controllerName is immutable")},
	{"A9.26 move the store away from its pods", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) {
		s.Spec.Endpoint.PodSelector.MatchLabels = map[string]string{"app": "nothing"}
	}, byStrategic), unseen, invalid("immutable")},
	{"A9.27 declare the data anonymised", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) {
		s.Spec.DataForm, s.Spec.PublicationURL = v1alpha1.DataFormAnonymised, "https://example.com"
	}, byStrategic), unseen, invalid("immutable")},
	{"A9.28 hand a contract over", officer, changes(builder.Entrustment("fees").Obj(), func(e *v1alpha1.Entrustment) { e.Spec.EntrusteeName = "rival" }, byStrategic), unseen, invalid("entrusteeName is immutable")},
	{"A9.29 turn a contract into one of one's own", officer, changes(builder.Entrustment("fees").Obj(), func(e *v1alpha1.Entrustment) { e.Spec.EntrusterName = "rival" }, byStrategic), unseen, invalid("entrusterName is immutable")},
	{"A9.30 free a sub-entrustment from its parent", officer, changes(builder.Entrustment("fees-print").Obj(), func(e *v1alpha1.Entrustment) { e.Spec.ParentName = "" }, byStrategic, byApply), unseen, invalid("parentName is immutable")},
	{"A9.31 bind a system namespace", privacy, creates(builder.Processor("x").Namespace("kube-system").Obj()), unseen, invalid("system namespaces cannot be bound")},
	{"A9.32 an external store that is everywhere", privacy, creates(store("data", "x").External("0.0.0.0/0").Obj()), unseen, invalid("cidrs")},
	{"A9.33 a store of all pods", privacy, creates(store("data", "x").Selector(nil).Obj()), unseen, invalid("podSelector")},
	{"A9.34 bind a namespace as its developer", editor, changes(builder.Processor("biller").Obj(), func(p *v1alpha1.DataProcessor) { p.Spec.Namespaces[0].Name = "unbound" }, byStrategic), unseen, forbidden},
	{"A9.35 publish a purpose as a store's owner", owner, creates(builder.Purpose("x").Obj()), unseen, forbidden},

	{"N13.10 rename a namespace for policies by its label", platform, changes(unbound, rename, byApply), unseen, invalid("put back")},
	{"N13.11 likewise by its status", platform, changesAt("status", unbound, rename, byApply), unseen, invalid("put back")},
	{"N13.12 likewise while it is finalized", platform, changesAt("finalize", unbound, rename, byApply, byMerge, byJSON, byStrategic), unseen, invalid("put back")},
	{"N13.13 likewise as the cluster's administrator", root, changesAt("finalize", unbound, rename, byApply, byMerge, byJSON, byStrategic), unseen, invalid("put back")},
}
