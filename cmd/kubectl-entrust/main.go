// Command kubectl-entrust is a plugin of kubectl that answers who may use which personal data.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // --time-zone works where the system has no time zones

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"entrustment.dev/operator/internal/cli"
)

// version is set when a release is built.
var version = "v0.0.0-dev"

func main() {
	// A command lives for a moment: memory is cheaper than collecting it, within a limit.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(1 << 30)

	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	// An interrupt ends what goes on, and lets it tidy up; a second one does not wait for that.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], streams, clock.RealClock{}, version))
}
