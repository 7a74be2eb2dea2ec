package webhook_test

import (
	"errors"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

func TestInterventions(t *testing.T) {
	connect := func(target, subresource, namespace, name string) admissionv1.AdmissionRequest {
		return admissionv1.AdmissionRequest{
			Operation: admissionv1.Connect, Resource: resource("", "v1", target), SubResource: subresource, Namespace: namespace, Name: name,
		}
	}
	exec := func(name string) admissionv1.AdmissionRequest { return connect("pods", "exec", "data", name) }
	debug := func(pod *builder.PodBuilder) admissionv1.AdmissionRequest {
		request := connect("pods", "ephemeralcontainers", pod.Obj().Namespace, pod.Obj().Name)
		request.Operation, request.Object, request.OldObject = admissionv1.Update, raw(t, builder.Pod("data", "forged").Obj()), raw(t, pod.Obj())
		return request
	}
	service := func(name string, selector map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: name}, Spec: corev1.ServiceSpec{Selector: selector}}
	}
	ledger := builder.Pod("data", "ledger-0").Label("app", "ledger")
	cluster := live{
		pods: []*builder.PodBuilder{
			ledger,
			builder.Pod("data", "ledger-1").Label("app", "ledger").Purpose("billing"),
			builder.Pod("data", "adopted-0").Label("app", "adopted"),
			builder.Pod("data", "closed-0").Label("app", "closed"),
			builder.Pod("data", "web").Label("app", "web"),
			builder.Pod("adopting", "invoices").Label("app", "invoices").Purpose("billing"),
			builder.Pod("own", "mailer").Label("app", "mailer").Entrustment(""),
		},
		services: []*corev1.Service{
			service("ledger", map[string]string{"app": "ledger"}),
			service("web", map[string]string{"app": "web"}),
			service("anything", nil),
			{ObjectMeta: metav1.ObjectMeta{Namespace: "adopting", Name: "invoices"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "invoices"}}},
			{ObjectMeta: metav1.ObjectMeta{Namespace: "unbound", Name: "anything"}},
		},
	}
	const onLedger, onEffective = "intervene personaldatastores data/ledger", "intervene personaldataaccesses data/effective"

	for name, test := range map[string]answered{
		"exec into a pod of a store": {
			request: exec("ledger-0"), events: []string{"Warning InterventionNotPermitted exec into pod data/ledger-0"},
			says: []string{
				`exec into pod data/ledger-0, a pod of PersonalDataStore data/ledger: InterventionNotPermitted: user "alice" may not intervene there`,
				"verb intervene on personaldatastores.entrustment.dev/ledger in namespace data",
				"kubectl auth can-i intervene personaldatastores.entrustment.dev/ledger -n data",
			},
		},
		"attach":       {request: connect("pods", "attach", "data", "ledger-0"), says: []string{"attach to pod data/ledger-0"}, events: []string{"Warning Interv"}},
		"port-forward": {request: connect("pods", "portforward", "data", "ledger-0"), says: []string{"port-forward to pod data/ledger-0"}, events: []string{"Warning Interv"}},
		"proxy":        {request: connect("pods", "proxy", "data", "ledger-0"), says: []string{"proxy to pod data/ledger-0"}, events: []string{"Warning Interv"}},
		"proxy to a port with a scheme": {
			request: connect("pods", "proxy", "data", "https:ledger-0:8443"), says: []string{"proxy to pod data/ledger-0,"}, events: []string{"Warning Interv"},
		},
		"proxy to what cannot be read": {request: connect("pods", "proxy", "data", "a:b:c:d"), says: []string{`"a:b:c:d" is no name to proxy to`}},
		"proxy by an unknown scheme":   {request: connect("pods", "proxy", "data", "ftp:ledger-0:21"), says: []string{"is no name to proxy to"}},
		"no name":                      {request: exec(""), says: []string{"no name is given"}},
		"a holder of the verb": {
			rights: rights{onLedger}, request: exec("ledger-0"), allowed: true,
			events: []string{`Warning Intervened user "alice" was let exec into pod data/ledger-0, a pod of PersonalDataStore data/ledger`},
		},
		"a holder of the verb for another store": {
			rights: rights{"intervene personaldatastores data/closed"}, request: exec("ledger-0"), says: []string{"personaldatastores.entrustment.dev/ledger"}, events: []string{"Warning Interv"},
		},
		"a holder of another verb": {
			rights: rights{"update personaldatastores data/ledger"}, request: exec("ledger-0"), says: []string{"personaldatastores.entrustment.dev/ledger"}, events: []string{"Warning Interv"},
		},
		"a pod of a store that declares something, with one of the two rights": {
			rights: rights{onLedger}, request: exec("ledger-1"), events: []string{"Warning InterventionNotPermitted"},
			says: []string{`which declares purpose "billing"`, "personaldataaccesses.entrustment.dev/effective in namespace data"},
		},
		"the same, with both": {
			rights: rights{onLedger, onEffective}, request: exec("ledger-1"), allowed: true, events: []string{"Warning Intervened", "Warning Intervened"},
		},
		"a store that reports":            {request: exec("adopted-0"), allowed: true, warns: "would be refused: exec into pod data/adopted-0"},
		"a store that reports, suspended": {request: exec("closed-0"), says: []string{"personaldatastores.entrustment.dev/closed"}, events: []string{"Warning Interv"}},
		"an ordinary pod":                 {request: exec("web"), allowed: true},
		"a pod that does not exist":       {request: exec("nothing"), allowed: true},
		"a pod that declares, where the binding only reports": {
			request: connect("pods", "exec", "adopting", "invoices"), events: []string{"Warning Interv"},
			says: []string{`which declares purpose "billing"`, "personaldataaccesses.entrustment.dev/effective in namespace adopting"},
		},
		"a pod with an empty entrustment": {request: connect("pods", "exec", "own", "mailer"), says: []string{"no purpose under entrustment"}, events: []string{"Warning Interv"}},

		"a service of a store": {
			request: connect("services", "proxy", "data", "http:ledger:80"), events: []string{"Warning Interv"},
			says: []string{"proxy to service data/ledger, which may lead to a pod of PersonalDataStore data/ledger"},
		},
		"a service of declaring pods": {
			request: connect("services", "proxy", "adopting", "invoices"), says: []string{"which may lead to pods that declare a purpose"}, events: []string{"Warning Interv"},
		},
		"a service of ordinary pods":    {request: connect("services", "proxy", "data", "web"), allowed: true},
		"a service that does not exist": {request: connect("services", "proxy", "data", "nothing"), allowed: true},
		"a service without a selector": {
			request: connect("services", "proxy", "data", "anything"), says: []string{"which may lead to a pod of PersonalDataStore data/closed"},
			events: []string{"Warning Interv"},
		},
		"the same, with every right": {
			rights: rights{onLedger, onEffective, "intervene personaldatastores data/closed"}, request: connect("services", "proxy", "data", "anything"),
			allowed: true, warns: "would be refused", events: []string{"Warning Intervened", "Warning Intervened", "Warning Intervened"},
		},
		"the same, with all but that for declaring pods": {
			rights: rights{onLedger, "intervene personaldatastores data/closed"}, request: connect("services", "proxy", "data", "anything"),
			says: []string{"personaldataaccesses.entrustment.dev/effective"}, events: []string{"Warning InterventionNotPermitted"},
		},
		"a service without a selector where nothing is": {request: connect("services", "proxy", "unbound", "anything"), allowed: true},

		"an ephemeral container, whatever the new labels say": {
			request: debug(ledger), says: []string{"add ephemeral containers to pod data/ledger-0"}, events: []string{"Warning Interv"},
		},
		"an ephemeral container, permitted":               {rights: rights{onLedger}, request: debug(ledger), allowed: true, events: []string{"Warning Intervened"}},
		"an ephemeral container, permitted, in a dry run": {rights: rights{onLedger}, request: dryRun(debug(ledger)), allowed: true},
		"an ephemeral container, refused, in a dry run":   {request: dryRun(debug(ledger)), says: []string{"ephemeral"}},
		"an ephemeral container of an ordinary pod":       {request: debug(builder.Pod("data", "web")), allowed: true},
		"an ephemeral container of a pod that cannot be read": {request: admissionv1.AdmissionRequest{
			Operation: admissionv1.Update, Resource: resource("", "v1", "pods"), SubResource: "ephemeralcontainers", Namespace: "data", Name: "x",
		}, says: []string{"reading the object under review"}},

		"no snapshot":            {snapshots: cold, request: exec("web"), says: []string{"cannot be judged yet: nothing was read yet; try again"}},
		"no answer of a pod":     {live: live{err: errors.New("timeout")}, request: exec("web"), says: []string{"cannot be judged: reading the pod: timeout; try again"}},
		"no answer of a service": {live: live{err: errors.New("timeout")}, request: connect("services", "proxy", "data", "web"), says: []string{"reading the service: timeout; try again"}},
		"no answer of who may":   {rights: rights{askingFails}, request: exec("ledger-0"), says: []string{"the authorizer does not answer; try again"}},
		"another subresource":    {request: connect("pods", "eviction", "data", "web"), says: []string{"not judged here"}},
		"another operation":      {request: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource("", "v1", "pods"), SubResource: "exec", Namespace: "data", Name: "web"}, says: []string{"not judged here"}},
		"no namespace":           {request: connect("pods", "exec", "", "web"), says: []string{"not judged here"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.live.err == nil {
				test.live = cluster
			}
			test.check(t, func(d dependencies) admission.Handler {
				return webhook.Interventions(d.snapshots, d.live, d.rights, d.recorder)
			})
		})
	}
}

func dryRun(request admissionv1.AdmissionRequest) admissionv1.AdmissionRequest {
	request.DryRun = dry
	return request
}
