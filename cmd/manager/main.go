// Command manager is the operator.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // --time-zone works where the system has none

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/controllers/revocation"
)

// version is set when a release is built.
var version = "v0.0.0-dev"

func main() {
	command := run
	if len(os.Args) > 1 && os.Args[1] == "drain" {
		command = func() error { return drain(os.Args[2:]) }
	}
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	options := controllers.Options{Clock: clock.RealClock{}}
	flag.StringVar(&options.WebhookBindAddress, "webhook-bind-address", ":9443", "host:port at which the webhook listens")
	flag.StringVar(&options.WebhookCertDir, "webhook-cert-dir", "",
		"directory with tls.crt and tls.key that somebody else keeps, such as cert-manager; empty: the operator makes and renews its own")
	flag.StringVar(&options.HealthProbeBindAddress, "health-probe-bind-address", ":8081", "host:port of /healthz and /readyz")
	flag.StringVar(&options.MetricsBindAddress, "metrics-bind-address", ":8080", "host:port of /metrics; 0 turns it off")
	flag.BoolVar(&options.LeaderElection, "leader-elect", false, "let one of several replicas write")
	common := define(flag.CommandLine, &options)
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Parse()

	if *showVersion {
		fmt.Println(version)
		return nil
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see --help", flag.Arg(0))
	}
	cluster, end, err := common.begin()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	mgr, err := controllers.NewManager(cluster, options)
	if err != nil {
		return err
	}
	if err := mgr.Start(ctrl.SetupSignalHandler()); err != nil {
		return errors.Join(errors.New("the operator stopped"), err)
	}
	return nil
}

// common are the flags of both commands. Both decide what is granted, so they have to decide alike.
type common struct {
	options *controllers.Options
	zone    *string
	record  *string
	logging zap.Options
}

func define(flags *flag.FlagSet, options *controllers.Options) *common {
	c := &common{options: options}
	flags.StringVar(&options.Namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "entrustment-system"), "the operator's own namespace, of its lease and its certificates")
	flags.BoolVar(&options.CredentialReaders, "credential-readers", false,
		"let ServiceAccounts that declare a purpose by their labels read the Secrets delivered for it through the API")
	flags.DurationVar(&options.RevocationGrace, "revocation-grace", revocation.Grace,
		"how long pods whose grant ended have to stop, at most; a pod that asks for less gets less; up to "+revocation.MaxGrace.String())
	flags.StringVar(&options.Replica, "replica", cmp.Or(os.Getenv("POD_NAME"), hostname()), "name of this replica's chain in the ledger")
	c.zone = flags.String("time-zone", "UTC", "IANA time zone of calendar dates, such as Asia/Tokyo")
	c.record = flags.String("ledger", "-", "file to which the lines of the ledger are added; - is the standard output, empty turns it off")
	c.logging.BindFlags(flags)
	return c
}

// begin does what the flags say, finds the cluster and opens the ledger, which is closed at the end.
func (c *common) begin() (cluster *rest.Config, end func() error, err error) {
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&c.logging)))
	if c.options.Location, err = time.LoadLocation(*c.zone); err != nil {
		return nil, nil, fmt.Errorf("--time-zone must be an IANA name such as Asia/Tokyo: %w", err)
	}
	if cluster, err = config.GetConfig(); err != nil {
		return nil, nil, fmt.Errorf("finding a cluster; set --kubeconfig: %w", err)
	}
	switch *c.record {
	case "":
		return cluster, func() error { return nil }, nil
	case "-":
		c.options.Ledger = os.Stdout
		return cluster, os.Stdout.Close, nil
	}
	file, err := os.OpenFile(*c.record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("--ledger: %w", err)
	}
	c.options.Ledger = file
	return cluster, file.Close, nil
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "entrustment-operator"
	}
	return name
}
