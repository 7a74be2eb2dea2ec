package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/controllers/revocation"
)

const drainUsage = `Prepare the cluster for the removal of the operator.

Without --open it withdraws every access, ends the pods that had one, and leaves every store closed. With --open it opens
everything: it removes the rules of the API server, the policies, the delivered Secrets and the finalizers.

Usage: manager drain [flags]
`

// drain is what is run before the operator is removed.
func drain(args []string) (err error) {
	flags := flag.NewFlagSet("drain", flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = fmt.Fprint(flags.Output(), drainUsage)
		flags.PrintDefaults()
	}
	config.RegisterFlags(flags)
	options := controllers.Options{Clock: clock.RealClock{}, RevocationGrace: revocation.Grace, Replica: cmp.Or(os.Getenv("POD_NAME"), hostname())}
	open := flags.Bool("open", false, "open everything, instead of leaving it closed")
	timeout := flags.Duration("timeout", 5*time.Minute, "how long to wait until it is done; 0 waits without an end")
	flags.StringVar(&options.Namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "entrustment-system"), "the operator's own namespace")
	record := flags.String("ledger", "-", "file to which the lines of the ledger are added; - is the standard output, empty turns it off")
	logging := zap.Options{}
	logging.BindFlags(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see manager drain --help", flags.Arg(0))
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	cluster, end, err := begin(&options, *record)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	ctx := ctrl.SetupSignalHandler()
	if *timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("it took longer than --timeout=%s", *timeout))
		defer cancel()
	}
	if err := controllers.Drain(ctx, cluster, options, *open, os.Stderr); err != nil {
		return fmt.Errorf("draining: %w", err)
	}
	if *open {
		fmt.Fprintln(os.Stderr, "everything is open: uninstall the operator now, before another replica leads")
	} else {
		fmt.Fprintln(os.Stderr, "everything is closed: uninstall the operator now, before another replica leads")
	}
	return nil
}
