package controllers

import (
	"fmt"
	"net/http"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	accessreconciler "entrustment.dev/operator/controllers/admission"
	"entrustment.dev/operator/controllers/cabundle"
	"entrustment.dev/operator/controllers/credentials"
	"entrustment.dev/operator/controllers/exposure"
	"entrustment.dev/operator/controllers/networkpolicy"
	"entrustment.dev/operator/controllers/rules"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/controllers/status"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/certs"
	"entrustment.dev/operator/internal/webhook"
)

// component is the name under which the operator reports events.
const component = "entrustment-operator"

// setup adds the reconcilers and the webhook to the manager, and the checks that tell when they are ready.
func setup(mgr manager.Manager, serving *certs.Serving, o Options) error {
	watches, secretWriter, err := secretAccess(mgr)
	if err != nil {
		return err
	}
	var (
		publisher = &snapshot.Publisher{}
		cache     = mgr.GetCache()
		recorder  = mgr.GetEventRecorder(component)
		writer    = func(reconciler string) apply.Writer { return apply.NewWriter(mgr.GetClient(), reconciler) }
		trust     = &cabundle.Reconciler{Writer: writer("cabundle"), Authority: serving.CA}
		keeper    = &rules.Reconciler{Writer: writer("rules"), Recorder: recorder, Elected: mgr.Elected()}
		readers   = &exposure.Reconciler{Publisher: publisher, Cache: cache}
		delivery  = &credentials.Reconciler{
			Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Secrets: watches, Access: writer("credentials"),
			Writer: apply.NewWriter(secretWriter, "credentials"), Recorder: recorder, Clock: o.Clock,
		}
	)
	for _, reconciler := range []interface{ SetupWithManager(manager.Manager) error }{
		&snapshot.Reconciler{Reader: cache, Publisher: publisher, Clock: o.Clock, Location: o.Location, Lookout: o.Lookout},
		&networkpolicy.Reconciler{Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Writer: writer("networkpolicy"), Recorder: recorder},
		&accessreconciler.Reconciler{Publisher: publisher, Cache: cache, Writer: writer("admission")},
		delivery,
		readers,
		status.Options{Publisher: publisher, Cache: cache, Writer: writer("status"), Recorder: recorder, Clock: o.Clock, Credentials: delivery, Exposure: readers},
		trust,
		keeper,
	} {
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("setting up %T: %w", reconciler, err)
		}
	}

	server := mgr.GetWebhookServer()
	server.Register("/admit-pod", &admission.Webhook{Handler: webhook.Pods(publisher, o.Clock, recorder)})
	server.Register("/admit-template", &admission.Webhook{Handler: webhook.Templates(publisher, o.Clock)})

	published := func(*http.Request) error {
		_, err := publisher.Current()
		return err
	}
	return checks{
		{"snapshot", published}, {"webhook", server.StartedChecker()}, {"cabundle", trust.Trusted}, {"rules", keeper.Kept},
	}.add(mgr)
}

// Options of the operator.
type Options struct {
	Clock    clock.PassiveClock
	Location *time.Location // of calendar dates; nil is UTC
	Lookout  time.Duration  // how often the clock is looked at, at least; zero is snapshot.Lookout

	WebhookBindAddress     string // host:port
	HealthProbeBindAddress string
	MetricsBindAddress     string // "0" is off

	LeaderElection bool
	Namespace      string // of the lease
}
