package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"entrustment.dev/operator/controllers"
)

const drainUsage = `Prepare the cluster for the removal of the operator.

Without --open it withdraws every access to the stores that are enforced, ends the pods that had one, and leaves these stores
closed; those that only report stay as they are. With --open it opens everything: it removes the rules of the API server, the
policies, the delivered Secrets and the finalizers. The flags that the operator was started with are for it, too.

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
	options := controllers.Options{Clock: clock.RealClock{}}
	common := define(flags, &options)
	open := flags.Bool("open", false, "open everything, instead of leaving it closed")
	timeout := flags.Duration("timeout", 5*time.Minute, "how long to wait until it is done; 0 waits without an end")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see manager drain --help", flags.Arg(0))
	}
	cluster, end, err := common.begin()
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
		fmt.Fprintln(os.Stderr, "what was enforced is closed: uninstall the operator now, before another replica leads")
	}
	return nil
}
