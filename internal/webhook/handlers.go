package webhook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/ledger"
)

// Dependencies of the handlers.
type Dependencies struct {
	Snapshots source
	Clock     clock.PassiveClock
	Recorder  eventRecorder
	Live      client.Reader // reads the API server, not a cache
	Access    creator       // asks it who may do what
	Ledger    ledgerRecorder
}

// ledgerRecorder is where refusals and interventions are recorded.
type ledgerRecorder interface{ Record(...ledger.Entry) }

// Denials counts what the webhook refused.
var Denials = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "entrustment_denials_total",
	Help: "Requests that the webhook refused, by reason; without one, the request itself was wrong, or is to be tried again.",
}, []string{"reason"})

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
		handlers[path] = &admission.Webhook{Handler: bounded{handler, d.Ledger}}
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
type bounded struct {
	admission.Handler
	ledger ledgerRecorder
}

// Handle answers one review.
func (h bounded) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.UID == "" || len(req.UID) > maxUID {
		return admission.Errored(http.StatusBadRequest, errors.New("the review has no uid, or one that nobody gives"))
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	answer := h.Handler.Handle(ctx, req)
	if told(req) {
		h.record(&req, &answer)
	}
	if answer.Result != nil {
		answer.Result.Message = shortened(answer.Result.Message)
	}
	for i := range answer.Warnings {
		answer.Warnings[i] = shortened(answer.Warnings[i])
	}
	return answer
}

// record writes into the ledger who was refused what, and who used break-glass.
func (h bounded) record(req *admission.Request, answer *admission.Response) {
	reason := answer.AuditAnnotations[auditReason]
	entry := ledger.Entry{
		Event: ledger.Refused, Actor: req.UserInfo.Username, Reason: reason,
		Objects: []ledger.Object{{Kind: req.Kind.Kind, Namespace: req.Namespace, Name: req.Name}},
	}
	switch {
	case !answer.Allowed:
		Denials.WithLabelValues(reason).Inc()
		if answer.Result != nil {
			entry.Message = shortened(answer.Result.Message)
		}
	case reason == string(v1alpha1.ReasonIntervened):
		entry.Event = ledger.Intervened
		entry.Message = req.Resource.Resource + "/" + req.SubResource
	default:
		return
	}
	h.ledger.Record(entry)
}

// shortened cuts what names of hostile length have made of a message.
func shortened(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "…"
}
