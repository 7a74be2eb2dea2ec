package webhook_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/tools/events"

	"entrustment.dev/operator/internal/webhook"
	"entrustment.dev/operator/test/builder"
)

// paths are served as they are in a cluster, by an operator that has read everything and a user who may do nothing.
func paths(recorder *events.FakeRecorder) map[string]http.Handler {
	return webhook.Handlers(webhook.Dependencies{
		Snapshots: snapshots(inhabited), Clock: at(noon), Recorder: recorder, Access: rights{}, Ledger: &recorded{},
		Live: live{pods: []*builder.PodBuilder{builder.Pod("data", "ledger-0").Label("app", "ledger").Running("10.0.0.1")}},
	})
}

// FuzzReviews: whatever the body, no path panics, every answer is a bounded review, and what is no review is refused.
func FuzzReviews(f *testing.F) {
	handlers := paths(&events.FakeRecorder{})
	var names []string
	for path := range handlers {
		names = append(names, path)
	}
	slices.Sort(names)
	f.Add(uint8(0), []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"1"}}`))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		path := names[int(which)%len(names)]
		post := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
		post.Header.Set("Content-Type", "application/json")
		recorded := httptest.NewRecorder()
		handlers[path].ServeHTTP(recorded, post) // a panic that was recovered shows in the message
		if recorded.Body.Len() > len(body)+64<<10 {
			t.Fatalf("%s answers %d bytes to %d", path, recorded.Body.Len(), len(body))
		}
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil || answer.Response == nil {
			t.Fatalf("%s answers no review: %v: %s", path, err, recorded.Body)
		}
		if answer.Response.Result != nil && strings.Contains(answer.Response.Result.Message, "[recovered]") {
			t.Fatalf("%s panicked: %s", path, answer.Response.Result.Message)
		}
		if !answer.Response.Allowed {
			return
		}
		var asked admissionv1.AdmissionReview
		if err := utiljson.Unmarshal(body, &asked); err != nil || asked.Request == nil || asked.Request.UID == "" {
			t.Fatalf("%s admits what is no review: %v: %s", path, err, body)
		}
		if answer.Response.UID != asked.Request.UID || len(answer.Response.Patch) > 0 {
			t.Fatalf("%s answers another review: %s", path, recorded.Body)
		}
	})
}

// A body beyond the bound is refused, and not read to its end.
func TestOversizedReviews(t *testing.T) {
	const gigabyte = 1 << 30
	for path, handler := range paths(&events.FakeRecorder{}) {
		t.Run(path, func(t *testing.T) {
			endless := &counted{}
			post := httptest.NewRequest(http.MethodPost, path, io.NopCloser(io.LimitReader(endless, gigabyte)))
			post.Header.Set("Content-Type", "application/json")
			recorded := httptest.NewRecorder()

			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			handler.ServeHTTP(recorded, post)
			runtime.ReadMemStats(&after)

			var answer admissionv1.AdmissionReview
			if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil || answer.Response == nil {
				t.Fatalf("no review: %v: %s", err, recorded.Body)
			}
			if answer.Response.Allowed || answer.Response.Result.Code != http.StatusRequestEntityTooLarge {
				t.Errorf("answered %+v", answer.Response)
			}
			if endless.read > 8<<20 {
				t.Errorf("read %d bytes", endless.read)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
				t.Errorf("allocated %d bytes", allocated)
			}
		})
	}
}

// counted is a stream of spaces, in which no review ever begins.
type counted struct{ read int }

func (c *counted) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	c.read += len(p)
	return len(p), nil
}

// A message that names of hostile length would make long is cut.
func TestBoundedAnswers(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	request := &admissionv1.AdmissionRequest{
		UID: "1", Operation: admissionv1.Connect, Resource: resource("", "v1", "pods"), SubResource: "exec", Namespace: "data", Name: long,
	}
	handler := webhook.Handlers(webhook.Dependencies{
		Snapshots: snapshots(cold), Clock: at(noon), Recorder: &events.FakeRecorder{}, Access: rights{}, Live: live{err: errors.New("timeout")}, Ledger: &recorded{},
	})["/admit-connect"]
	post := httptest.NewRequest(http.MethodPost, "/admit-connect", bytes.NewReader(review(t, request)))
	post.Header.Set("Content-Type", "application/json")
	recorded := httptest.NewRecorder()
	handler.ServeHTTP(recorded, post)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if message := answer.Response.Result.Message; answer.Response.Allowed || len(message) > 5000 || !strings.HasSuffix(message, "é…") {
		t.Errorf("allowed %v with %d bytes ending in %q", answer.Response.Allowed, len(message), message[max(0, len(message)-10):])
	}
}

// A review without a uid, or with one that nobody gives, is none.
func TestReviewsWithoutUID(t *testing.T) {
	for path, handler := range paths(&events.FakeRecorder{}) {
		for name, uid := range map[string]string{"none": "", "long": strings.Repeat("x", 65)} {
			t.Run(path+" "+name, func(t *testing.T) {
				body := `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"` + uid + `","operation":"CREATE","object":{"metadata":{"name":"x"}}}}`
				post := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
				post.Header.Set("Content-Type", "application/json")
				recorded := httptest.NewRecorder()
				handler.ServeHTTP(recorded, post)
				var answer admissionv1.AdmissionReview
				if err := json.Unmarshal(recorded.Body.Bytes(), &answer); err != nil {
					t.Fatal(err)
				}
				if answer.Response.Allowed || answer.Response.Result.Code != http.StatusBadRequest {
					t.Errorf("answered %+v", answer.Response)
				}
			})
		}
	}
}
