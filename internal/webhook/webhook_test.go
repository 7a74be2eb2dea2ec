package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

var (
	noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)
	end  = noon.Add(time.Hour)
)

// world has one store, which the controller's own namespace and an entrustee's reach, and a namespace that reports.
func world() *entrustment.Snapshot { return worldWith(func(*entrustment.Inputs) {}) }

func worldWith(change func(*entrustment.Inputs)) *entrustment.Snapshot {
	inputs := entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj(), builder.Purpose("research").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace("own").Namespace("adopting").Report().Obj(),
			builder.Processor("biller").Namespace("biller").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").With(func(e *v1alpha1.Entrustment) {
				e.Spec.NotAfter = metav1.NewTime(end)
			}).Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{
			builder.Store("data", "ledger").AllowedPurposes("billing").Recipients(v1alpha1.RecipientEntrustee).Obj(),
		},
	}
	change(&inputs)
	return entrustment.Compile(inputs, noon)
}

type snapshots func() (*entrustment.Snapshot, error)

func (f snapshots) Current() (*entrustment.Snapshot, error) { return f() }

func warm() (*entrustment.Snapshot, error) { return world(), nil }

var errCold = errors.New("nothing was read yet")

func cold() (*entrustment.Snapshot, error) { return nil, errCold }

func hangs() (*entrustment.Snapshot, error) { panic("impossible state") }

func TestPods(t *testing.T) {
	granted := builder.Pod("biller", "invoices").Purpose("billing").Entrustment("fees")
	for name, test := range map[string]struct {
		snapshots snapshots // absent: warm
		at        time.Time // absent: noon
		pod       *builder.PodBuilder
		before    *builder.PodBuilder // absent: it is created
		operation admissionv1.Operation
		dryRun    bool

		allowed bool
		code    int32
		says    []string
		warns   string
		event   string
	}{
		"own handling": {
			pod: builder.Pod("own", "invoices").Purpose("billing"), allowed: true, code: http.StatusOK,
		},
		"an entrustee": {
			pod: granted, allowed: true, code: http.StatusOK,
		},
		"a pod that declares nothing, even before there is a snapshot": {
			snapshots: cold, pod: builder.Pod("own", "web"), allowed: true, code: http.StatusOK,
		},
		"a purpose beyond the contract": {
			pod:  builder.Pod("biller", "study").Purpose("research").Entrustment("fees"),
			code: http.StatusForbidden, event: "Warning PurposeNotIntended pod biller/study",
			says: []string{`pod biller/study with purpose "research" under entrustment "fees": PurposeNotIntended: `},
		},
		"a refusal in a dry run tells nobody else": {
			pod:  builder.Pod("biller", "study").Purpose("research").Entrustment("fees"),
			code: http.StatusForbidden, dryRun: true,
			says: []string{"PurposeNotIntended"},
		},
		"an entrustment without a purpose": {
			pod: builder.Pod("biller", "x").Entrustment("fees"), code: http.StatusForbidden, event: "Warning PurposeNotDeclared",
			says: []string{`pod biller/x with no purpose under entrustment "fees": PurposeNotDeclared: `},
		},
		"an entrustment that is there but empty is not the controller's own handling": {
			pod: builder.Pod("own", "x").Purpose("billing").Entrustment(""), code: http.StatusForbidden, event: "Warning EntrustmentNotFound",
			says: []string{"EntrustmentNotFound: ", "remove the label"},
		},
		"a generated name": {
			pod: builder.Pod("nobody", "").Purpose("billing").With(func(p *corev1.Pod) { p.GenerateName = "worker-" }), code: http.StatusForbidden,
			event: "Warning NamespaceNotBound", says: []string{"pod nobody/worker-* with"},
		},
		"a grant that ended since the snapshot was compiled": {
			at: end, pod: granted, code: http.StatusForbidden, event: "Warning Expired",
			says: []string{"Expired: the grant ended at 2026-11-23T13:00:00Z"},
		},
		"a grant in its last instant": {
			at: end.Add(-time.Nanosecond), pod: granted, allowed: true, code: http.StatusOK,
		},
		"a namespace that reports is warned": {
			pod: builder.Pod("adopting", "study").Purpose("research"), allowed: true, code: http.StatusOK,
			warns: `would be refused: pod adopting/study with purpose "research": PurposeNotIntended: `,
		},
		"no snapshot": {
			snapshots: cold, pod: granted, code: http.StatusServiceUnavailable,
			says: []string{"cannot be judged yet: nothing was read yet; try again"},
		},
		"no snapshot, though the namespace may only report": {
			snapshots: cold, pod: builder.Pod("adopting", "study").Purpose("research"), code: http.StatusServiceUnavailable,
			says: []string{"try again"},
		},
		"a panic": {
			snapshots: hangs, pod: granted, code: http.StatusInternalServerError, says: []string{"panic"},
		},
		"an update that changes neither label, even before there is a snapshot": {
			snapshots: cold, before: granted, pod: builder.Pod("biller", "invoices").Purpose("billing").Entrustment("fees").Label("v", "2"), allowed: true, code: http.StatusOK,
		},
		"an update of a pod whose grant ended": {
			at: end, before: granted, pod: granted, allowed: true, code: http.StatusOK,
		},
		"another purpose": {
			before: granted, pod: builder.Pod("biller", "invoices").Purpose("research").Entrustment("fees"), code: http.StatusForbidden,
			says: []string{"pod biller/invoices: labels entrustment.dev/purpose and entrustment.dev/entrustment are immutable", `admitted with purpose "billing" under entrustment "fees"`},
		},
		"no entrustment any more": {
			before: granted, pod: builder.Pod("biller", "invoices").Purpose("billing"), code: http.StatusForbidden, says: []string{"immutable"},
		},
		"an empty entrustment instead of none": {
			before: builder.Pod("own", "x").Purpose("billing"), pod: builder.Pod("own", "x").Purpose("billing").Entrustment(""), code: http.StatusForbidden, says: []string{"immutable"},
		},
		"a purpose where there was none": {
			before: builder.Pod("own", "x"), pod: builder.Pod("own", "x").Purpose("billing"), code: http.StatusForbidden, says: []string{"immutable"},
		},
		"labels changed in a namespace that reports": {
			before: builder.Pod("adopting", "x").Purpose("billing"), pod: builder.Pod("adopting", "x").Purpose("research"), code: http.StatusForbidden, says: []string{"immutable"},
		},
		"an operation that nobody sends": {
			pod: granted, operation: admissionv1.Connect, code: http.StatusForbidden, says: []string{"not judged here"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := events.NewFakeRecorder(1)
			handler := webhook.Pods(or(test.snapshots, warm), at(test.at), recorder)
			request := &admissionv1.AdmissionRequest{UID: "1", Namespace: test.pod.Obj().Namespace, Operation: admissionv1.Create, Object: raw(t, test.pod.Obj()), DryRun: &test.dryRun}
			if test.before != nil {
				request.Operation, request.OldObject = admissionv1.Update, raw(t, test.before.Obj())
			}
			if test.operation != "" {
				request.Operation = test.operation
			}
			answer := ask(t, handler, review(t, request))

			if answer.Allowed != test.allowed || answer.Result.Code != test.code {
				t.Errorf("allowed %v with code %d, want %v with %d: %s", answer.Allowed, answer.Result.Code, test.allowed, test.code, answer.Result.Message)
			}
			for _, words := range test.says {
				if !strings.Contains(answer.Result.Message, words) {
					t.Errorf("message %q does not say %q", answer.Result.Message, words)
				}
			}
			if warnings := strings.Join(answer.Warnings, "\n"); !strings.HasPrefix(warnings, test.warns) || (test.warns == "") != (warnings == "") {
				t.Errorf("warnings %q, want %q", warnings, test.warns)
			}
			event := ""
			select {
			case event = <-recorder.Events:
			default:
			}
			if !strings.HasPrefix(event, test.event) || (test.event == "") != (event == "") {
				t.Errorf("event %q, want %q", event, test.event)
			}
			if answer.UID != "1" {
				t.Errorf("the answer is for review %q", answer.UID)
			}
		})
	}
}

func TestPodsGetTheDeadlineOfTheirContract(t *testing.T) {
	const hour = int64(time.Hour / time.Second)
	pod := builder.Pod("biller", "invoices").Purpose("billing").Entrustment("fees")
	own := func(seconds int64) *builder.PodBuilder {
		return builder.Pod("biller", "invoices").Purpose("billing").Entrustment("fees").Deadline(seconds)
	}
	contract := func(change func(*v1alpha1.EntrustmentSpec)) snapshots {
		return func() (*entrustment.Snapshot, error) {
			return worldWith(func(in *entrustment.Inputs) { change(&in.Entrustments[0].Spec) }), nil
		}
	}
	ends := func(at time.Time) snapshots {
		return contract(func(e *v1alpha1.EntrustmentSpec) { e.NotAfter = metav1.NewTime(at) })
	}
	for name, test := range map[string]struct {
		snapshots snapshots // absent: warm
		at        time.Time // absent: noon
		pod       *builder.PodBuilder
		before    *builder.PodBuilder
		want      int64 // zero: the pod is left as it is
	}{
		"until the contract's end":                          {pod: pod, want: hour},
		"a part of a second is not rounded up":              {at: noon.Add(time.Millisecond), pod: pod, want: hour - 1},
		"nor is one of the contract's end":                  {snapshots: ends(end.Add(900 * time.Millisecond)), at: noon.Add(100 * time.Millisecond), pod: pod, want: hour - 1},
		"in the last instant":                               {at: end.Add(-time.Millisecond), pod: pod, want: 1},
		"a pod that would be active for longer":             {pod: own(hour + 1), want: hour},
		"a pod that ends earlier":                           {pod: own(hour - 1)},
		"a pod that ends then":                              {pod: own(hour)},
		"a contract whose end is further than pods can run": {snapshots: ends(noon.AddDate(70, 0, 0)), pod: pod, want: math.MaxInt32},
		"a deadline that is off":                            {snapshots: contract(func(e *v1alpha1.EntrustmentSpec) { e.PodDeadline = v1alpha1.PodDeadlineOff }), pod: pod},
		"a contract from a file, without the default":       {snapshots: contract(func(e *v1alpha1.EntrustmentSpec) { e.PodDeadline = "" }), pod: pod, want: hour},
		"the data controller's own handling":                {pod: builder.Pod("own", "invoices").Purpose("billing")},
		"what is not granted, where that is only reported":  {pod: builder.Pod("adopting", "study").Purpose("research").Entrustment("fees")},
		"a pod that is there":                               {before: pod, pod: pod},
		"what is granted, where the rest is only reported": {snapshots: func() (*entrustment.Snapshot, error) {
			return worldWith(func(in *entrustment.Inputs) {
				in.Processors[1].Spec.Namespaces[0].Enforcement = v1alpha1.EnforcementReport
			}), nil
		}, pod: pod, want: hour},
	} {
		t.Run(name, func(t *testing.T) {
			request := &admissionv1.AdmissionRequest{UID: "1", Namespace: test.pod.Obj().Namespace, Operation: admissionv1.Create, Object: raw(t, test.pod.Obj())}
			if test.before != nil {
				request.Operation, request.OldObject = admissionv1.Update, raw(t, test.before.Obj())
			}
			answer := ask(t, webhook.Pods(or(test.snapshots, warm), at(test.at), events.NewFakeRecorder(1)), review(t, request))
			if !answer.Allowed {
				t.Fatal(answer.Result.Message)
			}
			want := ""
			if test.want != 0 {
				want = fmt.Sprintf(`[{"op":"add","path":"/spec/activeDeadlineSeconds","value":%d}]`, test.want)
				if answer.PatchType == nil || *answer.PatchType != admissionv1.PatchTypeJSONPatch {
					t.Errorf("patch type %v", answer.PatchType)
				}
			}
			if string(answer.Patch) != want {
				t.Errorf("patch %s, want %s", answer.Patch, want)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	deployment := func(pod *builder.PodBuilder, owners ...metav1.OwnerReference) *appsv1.Deployment {
		return &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: pod.Obj().Namespace, Name: "work", OwnerReferences: owners},
			Spec:       appsv1.DeploymentSpec{Template: pod.Template()},
		}
	}
	fails := builder.Pod("biller", "").Purpose("research").Entrustment("fees")
	slow := func(namespace string) *builder.PodBuilder {
		return builder.Pod(namespace, "").With(func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = ptr.To[int64](301) })
	}
	for name, test := range map[string]struct {
		snapshots snapshots
		at        time.Time
		object    runtime.Object
		warns     string
	}{
		"pods that will be refused": {
			object: deployment(fails),
			warns:  `pods of Deployment biller/work with purpose "research" under entrustment "fees" will be refused: PurposeNotIntended: `,
		},
		"pods that will be admitted": {object: deployment(builder.Pod("biller", "").Purpose("billing").Entrustment("fees"))},
		"pods whose grant ended":     {at: end, object: deployment(builder.Pod("biller", "").Purpose("billing").Entrustment("fees")), warns: "pods of Deployment biller/work with purpose \"billing\" under entrustment \"fees\" will be refused: Expired: "},
		"pods that declare nothing":  {object: deployment(builder.Pod("biller", ""))},
		"a namespace that reports":   {object: deployment(builder.Pod("adopting", "").Purpose("research")), warns: `pods of Deployment adopting/work with purpose "research" would be refused: `},
		"a workload made by another": {object: deployment(fails, metav1.OwnerReference{Controller: ptr.To(true)})},
		"a workload with an owner that does not control it": {
			object: deployment(fails, metav1.OwnerReference{}), warns: "pods of Deployment biller/work",
		},
		"no snapshot": {snapshots: cold, object: deployment(fails)},
		"pods that take too long to end": {
			object: deployment(slow("biller").Purpose("billing").Entrustment("fees")),
			warns:  `pods of Deployment biller/work with purpose "billing" under entrustment "fees" will be refused: terminationGracePeriodSeconds is 301 and may be at most 300`,
		},
		"own handling may take longer": {object: deployment(slow("own").Purpose("billing"))},
	} {
		t.Run(name, func(t *testing.T) {
			accessor := test.object.(metav1.Object)
			answer := ask(t, webhook.Templates(or(test.snapshots, warm), at(test.at)), review(t, &admissionv1.AdmissionRequest{
				Namespace: accessor.GetNamespace(), Kind: metav1.GroupVersionKind{Kind: "Deployment"}, Operation: admissionv1.Create, Object: raw(t, test.object),
			}))
			if !answer.Allowed {
				t.Errorf("refused: %s", answer.Result.Message)
			}
			if warnings := strings.Join(answer.Warnings, "\n"); !strings.HasPrefix(warnings, test.warns) || (test.warns == "") != (warnings == "") {
				t.Errorf("warnings %q, want %q", warnings, test.warns)
			}
		})
	}
}

// A review that cannot be read admits nothing.
func TestMalformedReviews(t *testing.T) {
	request := func(object string) []byte {
		return []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1","operation":"CREATE","object":` + object + `}}`)
	}
	for name, test := range map[string]struct {
		body        []byte
		contentType string
		code        int32
	}{
		"nothing":                {body: nil, code: http.StatusBadRequest},
		"no JSON":                {body: []byte("{"), code: http.StatusBadRequest},
		"another kind":           {body: []byte(`{"kind":"Pod","apiVersion":"v1"}`), code: http.StatusBadRequest},
		"no request":             {body: []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}`), code: http.StatusBadRequest},
		"another type":           {body: request(`{}`), contentType: "text/plain", code: http.StatusBadRequest},
		"no object":              {body: request(`null`), code: http.StatusBadRequest},
		"an object that is none": {body: request(`[]`), code: http.StatusBadRequest},
		"labels that are none":   {body: request(`{"metadata":{"labels":{"entrustment.dev/purpose":1}}}`), code: http.StatusBadRequest},
		"more than is read":      {body: request(`{"metadata":{"name":"` + strings.Repeat("x", 8<<20) + `"}}`), code: http.StatusRequestEntityTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			post := httptest.NewRequest(http.MethodPost, "/admit-pod", bytes.NewReader(test.body))
			post.Header.Set("Content-Type", or(test.contentType, "application/json"))
			answer := serve(t, webhook.Pods(snapshots(warm), at(noon), events.NewFakeRecorder(1)), post)
			if answer.Allowed || answer.Result.Code != test.code {
				t.Errorf("allowed %v with code %d, want a refusal with %d: %s", answer.Allowed, answer.Result.Code, test.code, answer.Result.Message)
			}
		})
	}
}

// FuzzPods: no review panics, and in a namespace of nobody no pod is created that declares anything.
func FuzzPods(f *testing.F) {
	f.Add("CREATE", []byte(`{"metadata":{"name":"x","labels":{"entrustment.dev/purpose":"research"}}}`), []byte(nil))
	f.Add("CREATE", []byte(`{"metadata":{"labels":{"entrustment.dev/purpose":"billing","entrustment.dev/entrustment":""}}}`), []byte(nil))
	f.Add("CREATE", []byte(`{"metadata":{"labels":{"app":"x"}}}`), []byte(nil))
	f.Add("UPDATE", []byte(`{"metadata":{"labels":{"entrustment.dev/purpose":"billing"}}}`), []byte(`{"metadata":{}}`))
	handler := webhook.Pods(snapshots(warm), at(noon), events.NewFakeRecorder(1))
	f.Fuzz(func(t *testing.T, operation string, object, before []byte) {
		answer := handler.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
			Namespace: "nobody", Operation: admissionv1.Operation(operation),
			Object: runtime.RawExtension{Raw: object}, OldObject: runtime.RawExtension{Raw: before}, DryRun: ptr.To(true),
		}})
		var pod metav1.PartialObjectMetadata
		if operation != "CREATE" || !answer.Allowed || utiljson.Unmarshal(object, &pod) != nil {
			return
		}
		for _, label := range []string{v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment} {
			if _, declared := pod.Labels[label]; declared {
				t.Errorf("admitted %s", object)
			}
		}
	})
}

func ask(t *testing.T, handler admission.Handler, body []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	post := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	post.Header.Set("Content-Type", "application/json")
	return serve(t, handler, post)
}

func serve(t *testing.T, handler admission.Handler, post *http.Request) *admissionv1.AdmissionResponse {
	t.Helper()
	recorded := httptest.NewRecorder()
	(&admission.Webhook{Handler: handler}).ServeHTTP(recorded, post)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil {
		t.Fatalf("the answer is no review: %v: %s", err, recorded.Body)
	}
	return answer.Response
}

func review(t *testing.T, request *admissionv1.AdmissionRequest) []byte {
	t.Helper()
	encoded, err := json.Marshal(&admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "AdmissionReview"}, Request: request,
	})
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func raw(t testing.TB, object runtime.Object) runtime.RawExtension {
	t.Helper()
	encoded, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: encoded}
}

func at(t time.Time) *clocktesting.FakePassiveClock {
	if t.IsZero() {
		t = noon
	}
	return clocktesting.NewFakePassiveClock(t)
}

func or[T any](value, otherwise T) T {
	if reflect.ValueOf(&value).Elem().IsZero() {
		return otherwise
	}
	return value
}
