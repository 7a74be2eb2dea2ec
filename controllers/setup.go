package controllers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	webhookserver "sigs.k8s.io/controller-runtime/pkg/webhook"

	shippedwebhook "entrustment.dev/operator/config/webhook"
	accessreconciler "entrustment.dev/operator/controllers/admission"
	"entrustment.dev/operator/controllers/certificate"
	"entrustment.dev/operator/controllers/clusternetworkpolicy"
	"entrustment.dev/operator/controllers/credentials"
	"entrustment.dev/operator/controllers/deadline"
	"entrustment.dev/operator/controllers/egress"
	"entrustment.dev/operator/controllers/exposure"
	"entrustment.dev/operator/controllers/freshness"
	"entrustment.dev/operator/controllers/metrics"
	"entrustment.dev/operator/controllers/networkpolicy"
	"entrustment.dev/operator/controllers/removal"
	"entrustment.dev/operator/controllers/revocation"
	"entrustment.dev/operator/controllers/rules"
	"entrustment.dev/operator/controllers/schema"
	"entrustment.dev/operator/controllers/scope"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/controllers/status"
	"entrustment.dev/operator/controllers/termination"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/certs"
	"entrustment.dev/operator/internal/webhook"
)

// component is the name under which the operator reports events.
const component = "entrustment-operator"

// setup adds the reconcilers and the webhook to the manager, and the checks that tell when they are ready.
func setup(mgr manager.Manager, server webhookserver.Server, serving *certificates, o Options) error {
	configuration, err := configurationCache(mgr)
	if err != nil {
		return err
	}
	shipped, err := shippedwebhook.Configuration()
	if err != nil {
		return err
	}
	watches, secretWriter, err := secretAccess(mgr)
	if err != nil {
		return err
	}
	record, err := startLedger(mgr, o)
	if err != nil {
		return err
	}
	compiler := &snapshot.Reconciler{Reader: mgr.GetCache(), Publisher: &snapshot.Publisher{}, Clock: o.Clock, Location: o.Location, Lookout: o.Lookout}
	definitions, err := definitionCaches(mgr)
	if err != nil {
		return err
	}
	fits := &schema.Reconciler{Definitions: definitions, Changed: make(chan event.GenericEvent, 1)}
	compiler.Amend, compiler.Amended = fits.Hold, fits.Changed
	if o.withdrawn {
		compiler.Amend = removal.Withdraw(fits.Hold)
	}
	var (
		publisher = compiler.Publisher
		cache     = mgr.GetCache()
		recorder  = mgr.GetEventRecorder(component)
		drift     = apply.NewDrift(record)
		writer    = func(reconciler string) apply.Writer {
			return apply.NewWriter(mgr.GetClient(), reconciler).Minding(drift)
		}
		outside  = make(chan event.GenericEvent)
		wide     = &clusternetworkpolicy.Reconciler{Publisher: publisher, Cache: cache, Writer: writer("clusternetworkpolicy"), Lookout: o.Lookout, Changed: outside}
		keeper   = &rules.Reconciler{Writer: writer("rules"), Recorder: recorder, Elected: mgr.Elected()}
		scoper   = &scope.Reconciler{Name: certificate.ConfigurationName, Cache: configuration, Publisher: publisher, Writer: writer("scope"), Elected: mgr.Elected()}
		readers  = &exposure.Reconciler{Publisher: publisher, Cache: cache}
		delivery = &credentials.Reconciler{
			Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Secrets: watches, Access: writer("credentials"),
			Writer: apply.NewWriter(secretWriter, "credentials").Minding(drift), Recorder: recorder, Clock: o.Clock, Readers: o.CredentialReaders,
		}
		ending = &revocation.Reconciler{
			Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Writer: writer("revocation"), Secrets: delivery,
			Recorder: recorder, Ledger: record, Grace: o.RevocationGrace, Recheck: o.Recheck,
		}
	)
	for _, reconciler := range []interface{ SetupWithManager(manager.Manager) error }{
		compiler, fits,
		&networkpolicy.Reconciler{Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Writer: writer("networkpolicy"), Recorder: recorder},
		&egress.Reconciler{Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Writer: writer("egress")},
		&accessreconciler.Reconciler{Publisher: publisher, Cache: cache, Writer: writer("admission"), Recorder: recorder, Ledger: record},
		&deadline.Reconciler{Publisher: publisher, Cache: cache, Writer: writer("deadline")},
		delivery,
		ending,
		readers,
		status.Options{
			Publisher: publisher, Cache: cache, Live: mgr.GetAPIReader(), Writer: writer("status"), Recorder: recorder, Ledger: record, Clock: o.Clock, Recheck: o.Recheck,
			Clusterwide: wide, Changed: outside,
			Credentials: delivery, Exposure: readers, Revocation: ending,
			Guard: status.Guard{Reader: configuration, Cache: configuration, Shipped: shipped, Scoped: scope.Webhooks},
		},
		&termination.Reconciler{Publisher: publisher, Cache: cache, Writer: writer("termination")},
		wide,
		keeper,
		scoper,
	} {
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("setting up %T: %w", reconciler, err)
		}
	}

	if o.withdrawn {
		return nil // it serves nobody
	}
	trust, err := serving.setup(mgr, configuration, writer("cabundle"), o)
	if err != nil {
		return fmt.Errorf("setting up the certificates: %w", err)
	}
	lease := &freshness.Lease{Snapshots: publisher, Silence: o.Silence, Alone: !o.LeaderElection}
	if err := followLease(mgr, lease, o); err != nil {
		return err
	}
	for path, handler := range webhook.Handlers(webhook.Dependencies{
		Snapshots: lease, Clock: o.Clock, Recorder: recorder, Live: mgr.GetAPIReader(), Access: mgr.GetClient(), Ledger: record,
	}) {
		server.Register(path, handler)
	}

	if err := register(&metrics.Collector{Snapshots: publisher, Clock: o.Clock}, ending, webhook.Denials, apply.Writes, apply.Repairs, schema.Differences); err != nil {
		return err
	}
	published := func(*http.Request) error {
		_, err := publisher.Current()
		return err
	}
	return checks{
		{"snapshot", published}, {"webhook", server.StartedChecker()}, {"cabundle", trust.Trusted}, {"rules", keeper.Kept},
		{"scope", scoper.Covers}, {"lease", lease.Heard},
	}.add(mgr)
}

// followLease lets the webhook know whether this replica still hears of what is withdrawn.
func followLease(mgr manager.Manager, lease *freshness.Lease, o Options) error {
	if !o.LeaderElection {
		return nil
	}
	leases, err := leaseCache(mgr, o.Namespace)
	if err != nil {
		return err
	}
	return lease.Follow(context.Background(), leases)
}

// Options of the operator.
type Options struct {
	Clock    clock.PassiveClock
	Location *time.Location // of calendar dates; nil is UTC
	Lookout  time.Duration  // how often the clock is looked at, at least; zero is snapshot.Lookout

	Recheck time.Duration // how often pods are looked at for the status of stores; zero is a few minutes

	RevocationGrace time.Duration // pods that are ended have no longer than this to stop, nor than they ask for; from 0 to revocation.MaxGrace

	CredentialReaders bool // let ServiceAccounts that declare a purpose read what is delivered for it, through the API

	WebhookBindAddress     string // host:port
	WebhookCertDir         string // tls.crt and tls.key that somebody else keeps; empty: the operator makes its own
	HealthProbeBindAddress string
	MetricsBindAddress     string // "0" is off

	Certificates certs.Terms // of the operator's own; zero is as for a cluster

	Silence time.Duration // how long this replica may go without seeing the leader; zero is freshness.Silence

	LeaderElection bool
	Namespace      string // of the lease, the certificates and the ledger's heads

	Ledger  io.Writer // where its lines go; nil: nowhere, and no head is kept
	Replica string    // name of this replica's chain in the ledger

	withdrawn bool // stores that cut are closed, and nobody is served: the operator is being removed
}
