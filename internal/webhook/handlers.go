package webhook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Dependencies of the handlers.
type Dependencies struct {
	Snapshots source
	Clock     clock.PassiveClock
	Recorder  eventRecorder
	Live      client.Reader // reads the API server, not a cache
	Access    creator       // asks it who may do what
}

// Handlers are all that is served, by path.
func Handlers(d Dependencies) map[string]http.Handler {
	handlers := map[string]http.Handler{}
	for path, handler := range map[string]admission.Handler{
		"/admit-pod":         Pods(d.Snapshots, d.Clock, d.Recorder),
		"/admit-template":    Templates(d.Snapshots, d.Clock),
		"/admit-connect":     Interventions(d.Snapshots, d.Live, d.Access, d.Recorder),
		"/admit-endpoints":   Endpoints(d.Snapshots, d.Live, d.Access, d.Recorder),
		"/admit-entrustment": Entrustments(d.Snapshots, d.Recorder),
		"/admit-purpose":     Purposes(d.Snapshots, d.Recorder),
		"/admit-delete":      Deletions(d.Snapshots, d.Live, d.Recorder),
	} {
		handlers[path] = &admission.Webhook{Handler: bounded{handler}}
	}
	return handlers
}

// Bounds of an answer. The API server waits three seconds; what is known by then can still be said.
const (
	answerWithin = 2500 * time.Millisecond
	maxMessage   = 4096
	maxUID       = 64
)

// bounded keeps a handler from what is no review, and its answer within bounds.
type bounded struct{ admission.Handler }

// Handle answers one review.
func (h bounded) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.UID == "" || len(req.UID) > maxUID {
		return admission.Errored(http.StatusBadRequest, errors.New("the review has no uid, or one that nobody gives"))
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answer := h.Handler.Handle(ctx, req)
	if answer.Result != nil {
		answer.Result.Message = shortened(answer.Result.Message)
	}
	for i := range answer.Warnings {
		answer.Warnings[i] = shortened(answer.Warnings[i])
	}
	return answer
}

// shortened cuts what names of hostile length have made of a message.
func shortened(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}
