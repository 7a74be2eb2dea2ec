package webhook_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/internal/ledger"
	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

// recorded is a ledger in memory.
type recorded struct {
	mu      sync.Mutex
	entries []string
}

func (r *recorded) Record(entries ...ledger.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range entries {
		r.entries = append(r.entries, fmt.Sprintf("%s by %s: %s %s %s/%s", e.Event, e.Actor, e.Reason, e.Objects[0].Kind, e.Objects[0].Namespace, e.Objects[0].Name))
	}
}

func TestRefusalsAndInterventionsAreRecorded(t *testing.T) {
	pods := live{pods: []*builder.PodBuilder{builder.Pod("data", "ledger-0").Label("app", "ledger").Running("10.0.0.1")}}
	exec := func(user string, dry bool) *admissionv1.AdmissionRequest {
		return &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Connect, Resource: resource("", "v1", "pods"), SubResource: "exec", Namespace: "data", Name: "ledger-0",
			DryRun: ptr.To(dry), UserInfo: authenticationv1.UserInfo{
				Username: user, UID: "u", Groups: []string{"staff"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"all"}},
			},
		}
	}
	may := rights{"intervene personaldatastores data/ledger"}
	for name, test := range map[string]struct {
		rights  rights
		request *admissionv1.AdmissionRequest
		want    []string
		denials float64
	}{
		"a refusal":                {rights{}, exec("oscar", false), []string{"Refused by oscar: InterventionNotPermitted  data/ledger-0"}, 1},
		"a refusal of a dry run":   {rights{}, exec("oscar", true), nil, 0},
		"an intervention":          {may, exec("alice", false), []string{"Intervened by alice: Intervened  data/ledger-0"}, 0},
		"an intervention, dry run": {may, exec("alice", true), nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			record := &recorded{}
			before := testutil.ToFloat64(webhook.Denials.WithLabelValues("InterventionNotPermitted"))
			handler := webhook.Handlers(webhook.Dependencies{
				Snapshots: snapshots(inhabited), Clock: at(noon), Recorder: &events.FakeRecorder{}, Access: test.rights, Live: pods, Ledger: record,
			})["/admit-connect"]
			post := httptest.NewRequest(http.MethodPost, "/admit-connect", bytes.NewReader(review(t, test.request)))
			post.Header.Set("Content-Type", "application/json")
			handler.ServeHTTP(httptest.NewRecorder(), post)
			if diff := cmp.Diff(test.want, record.entries); diff != "" {
				t.Error(diff)
			}
			if n := testutil.ToFloat64(webhook.Denials.WithLabelValues("InterventionNotPermitted")) - before; n != test.denials {
				t.Errorf("counted %v denials", n)
			}
		})
	}
}
