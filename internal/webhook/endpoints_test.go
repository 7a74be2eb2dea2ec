package webhook_test

import (
	"errors"
	"fmt"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

func TestEndpoints(t *testing.T) {
	slice := func(addresses ...string) *discoveryv1.EndpointSlice {
		s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "anywhere", Name: "way-round"}}
		for _, address := range addresses {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
		}
		return s
	}
	legacy := func(ready, notReady string) *corev1.Endpoints { //nolint:staticcheck // deprecated, and still served
		return &corev1.Endpoints{ //nolint:staticcheck // as above
			ObjectMeta: metav1.ObjectMeta{Namespace: "anywhere", Name: "way-round"},
			Subsets:    []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: ready}}, NotReadyAddresses: []corev1.EndpointAddress{{IP: notReady}}}}, //nolint:staticcheck // as above
		}
	}
	writes := func(object, before runtime.Object) admissionv1.AdmissionRequest {
		request := admissionv1.AdmissionRequest{
			Operation: admissionv1.Create, Namespace: "anywhere", Object: raw(t, object),
			Kind: metav1.GroupVersionKind{Kind: "EndpointSlice"}, Resource: resource("discovery.k8s.io", "v1", "endpointslices"),
		}
		if _, old := object.(*corev1.Endpoints); old { //nolint:staticcheck // as above
			request.Kind.Kind, request.Resource = "Endpoints", resource("", "v1", "endpoints")
		}
		if before != nil {
			request.Operation, request.OldObject = admissionv1.Update, raw(t, before)
		}
		return request
	}
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf("10.1.%d.%d", i/250, i%250))
	}
	cluster := live{pods: []*builder.PodBuilder{
		builder.Pod("data", "ledger-0").Label("app", "ledger").Running("10.0.0.1").With(func(p *corev1.Pod) {
			p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: "fd00::1"})
		}),
		builder.Pod("data", "ended").Label("app", "ledger").Running("10.0.0.5").With(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
		builder.Pod("data", "pending").Label("app", "ledger"),
		builder.Pod("data", "adopted-0").Label("app", "adopted").Running("10.0.0.2"),
		builder.Pod("data", "web").Label("app", "web").Running("10.0.0.3"),
		builder.Pod("elsewhere", "ledger-0").Label("app", "ledger").Running("10.0.0.4"),
	}}
	refusal := []string{"Warning LeadsToStore EndpointSlice anywhere/way-round"}

	for name, test := range map[string]answered{
		"the address of a store's pod": {
			request: writes(slice("10.0.0.9", "10.0.0.1"), nil), events: refusal,
			says: []string{
				"EndpointSlice anywhere/way-round names 10.0.0.1, the address of pod data/ledger-0 of PersonalDataStore data/ledger: LeadsToStore: ",
				"verb update on personaldatastores.entrustment.dev/ledger in namespace data",
			},
		},
		"its address of the other family": {request: writes(slice("fd00::1"), nil), says: []string{"names fd00::1"}, events: refusal},
		"the same, written otherwise":     {request: writes(slice("fd00:0:0::0001"), nil), says: []string{"names fd00::1"}, events: refusal},
		"its address mapped into IPv6":    {request: writes(slice("::ffff:10.0.0.1"), nil), says: []string{"names 10.0.0.1"}, events: refusal},
		"in Endpoints":                    {request: writes(legacy("10.0.0.1", "10.0.0.9"), nil), says: []string{"Endpoints anywhere/way-round names 10.0.0.1"}, events: []string{"Warning LeadsToStore"}},
		"in Endpoints that are not ready": {request: writes(legacy("10.0.0.9", "10.0.0.1"), nil), says: []string{"names 10.0.0.1"}, events: []string{"Warning LeadsToStore"}},
		"added to others":                 {request: writes(slice("10.0.0.9", "10.0.0.1"), slice("10.0.0.9")), says: []string{"names 10.0.0.1"}, events: refusal},
		"there before":                    {request: writes(slice("10.0.0.9", "10.0.0.1"), slice("10.0.0.1")), allowed: true},
		"in a dry run":                    {request: dryRun(writes(slice("10.0.0.1"), nil)), says: []string{"names 10.0.0.1"}},
		"by somebody who may update it":   {rights: rights{"update personaldatastores data/ledger"}, request: writes(slice("10.0.0.1"), nil), allowed: true},
		"of a store that reports":         {request: writes(slice("10.0.0.2"), nil), allowed: true, warns: "would be refused: EndpointSlice anywhere/way-round names 10.0.0.2"},
		"of another pod of the namespace": {request: writes(slice("10.0.0.3"), nil), allowed: true},
		"of such a pod elsewhere":         {request: writes(slice("10.0.0.4"), nil), allowed: true},
		"of a pod that has ended":         {request: writes(slice("10.0.0.5"), nil), allowed: true},
		"of nobody":                       {request: writes(slice("203.0.113.1"), nil), allowed: true},
		"that is a name":                  {request: writes(slice("ledger.example.com"), nil), allowed: true},
		"none":                            {snapshots: cold, request: writes(slice(), nil), allowed: true},
		"too many":                        {request: writes(slice(many...), nil), says: []string{"adds 1001 addresses; at most 1000 are looked at in one: split it"}},
		"as many as are looked at":        {request: writes(slice(many[1:]...), nil), allowed: true},
		"no snapshot":                     {snapshots: cold, request: writes(slice("10.0.0.9"), nil), says: []string{"cannot be judged yet", "try again"}},
		"no answer of the pods":           {live: live{err: errors.New("timeout")}, request: writes(slice("10.0.0.9"), nil), says: []string{"listing the pods of namespace data: timeout; try again"}},
		"no answer of who may":            {rights: rights{askingFails}, request: writes(slice("10.0.0.1"), nil), says: []string{"the authorizer does not answer; try again"}},
		"an object that cannot be read":   {request: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource("", "v1", "endpoints")}, says: []string{"reading the object under review"}},
		"an old object that cannot be read": {request: func() admissionv1.AdmissionRequest {
			request := writes(slice("10.0.0.9"), slice())
			request.OldObject = runtime.RawExtension{}
			return request
		}(), says: []string{"reading the object under review"}},
		"another resource": {request: admissionv1.AdmissionRequest{Operation: admissionv1.Create, Resource: resource("", "v1", "services")}, says: []string{"not judged here"}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.live.err == nil {
				test.live = cluster
			}
			test.check(t, func(d dependencies) admission.Handler {
				return webhook.Endpoints(d.snapshots, d.live, d.rights, d.recorder)
			})
		})
	}
}
