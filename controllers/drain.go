package controllers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/controllers/removal"
	"entrustment.dev/operator/internal/apply"
)

// drainPoll is how often it is looked whether a drain is done. What it takes is in many objects of many kinds.
const drainPoll = 500 * time.Millisecond

// Drain prepares the cluster for the operator's removal, and says how it gets on. It takes the lead, and either withdraws every
// access to the stores that cut by being an operator to whom they are suspended, and leaves them closed; or it takes away all that
// the operator made. The lease stays taken for removal.Hold afterwards.
func Drain(ctx context.Context, config *rest.Config, o Options, open bool, progress io.Writer) error {
	live, err := client.New(config, client.Options{Scheme: newScheme()})
	if err != nil {
		return fmt.Errorf("reaching the API server at %s (see --kubeconfig): %w", config.Host, err)
	}
	tell := func(format string, args ...any) { _, _ = fmt.Fprintf(progress, format+"\n", args...) }
	lead := &removal.Lead{Client: live, Lease: types.NamespacedName{Namespace: o.Namespace, Name: leaseName}, Identity: o.Replica + " (drain)"}
	tell("taking the lead from the replica that has it")
	if err := lead.Take(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { cancel(lead.Keep(ctx)) }()

	if open {
		tell("opening everything")
		opener := &removal.Opener{Live: live, Writer: apply.NewWriter(live, "removal")}
		return untilDone(ctx, tell, func(ctx context.Context) (string, error) {
			err := opener.Open(ctx)
			if removal.Passing(err) {
				return "something changed meanwhile", nil
			}
			return "", err
		})
	}
	tell("withdrawing every access to what is enforced")
	return withdraw(ctx, config, live, o, tell)
}

// withdraw runs an operator to whom every store that cuts is suspended, until nothing of that is left to do.
func withdraw(ctx context.Context, config *rest.Config, live client.Reader, o Options, tell func(string, ...any)) error {
	o.withdrawn, o.LeaderElection, o.HealthProbeBindAddress, o.MetricsBindAddress = true, false, "0", "0"
	mgr, err := NewManager(config, o)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- mgr.Start(running)
	}()
	err = untilDone(running, tell, func(ctx context.Context) (string, error) { return removal.Left(ctx, live) })
	stop()
	return errors.Join(err, <-ended)
}

// untilDone asks until nothing is left, and tells what is, whenever that is something else.
func untilDone(ctx context.Context, tell func(string, ...any), left func(context.Context) (string, error)) error {
	last := ""
	err := wait.PollUntilContextCancel(ctx, drainPoll, true, func(ctx context.Context) (bool, error) {
		now, err := left(ctx)
		if now != last && now != "" {
			tell("waiting: %s", now)
		}
		last = now
		return now == "", err
	})
	if ctx.Err() != nil && last != "" {
		return fmt.Errorf("not done: %s: %w", last, context.Cause(ctx))
	}
	return err
}
