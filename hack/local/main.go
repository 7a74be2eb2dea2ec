// Command local runs the operator in a cluster on this machine: a real control plane without nodes, the operator as
// a process beside it, under its own ServiceAccount. Nothing of the machine is used but free ports on the loopback
// address and one directory, so clusters of several checkouts can run side by side.
//
//	local up                start it in the background, and return when the operator is ready
//	local down              stop it and remove all it left
//	local run [-- COMMAND]  start one in a temporary directory, for the time of a command
//
// It is run from the top of the repository, as the Makefile does, with KUBEBUILDER_ASSETS set.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// stateDir holds what the cluster of this checkout keeps: data, logs, kubeconfigs and links to commands.
const stateDir = ".local"

// commandGrace is the time a command has to end after an interrupt.
const commandGrace = 10 * time.Second

// errInterrupted ends the program as a shell expects of one that was interrupted.
var errInterrupted = errors.New("interrupted")

func main() {
	// The first signal asks for an orderly end, and so do those that follow: an impatient Ctrl-C must leave nothing behind.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := dispatch(ctx, os.Args[1:])
	stop()
	os.Exit(exitCode(err))
}

// exitCode says what is wrong, unless it was said before, and how the program ends.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return 130
	case errors.As(err, &exit) && exit.Exited(): // the command of run, which speaks for itself
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func dispatch(ctx context.Context, args []string) error {
	dir, err := filepath.Abs(stateDir)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 1 && args[0] == "up":
		return up(ctx, dir)
	case len(args) == 1 && args[0] == "down":
		return down(ctx, dir)
	case len(args) == 1 && args[0] == superviseCommand:
		return supervise(ctx, dir)
	case len(args) == 1 && args[0] == "run":
		return run(ctx, nil)
	case len(args) > 2 && args[0] == "run" && args[1] == "--":
		return run(ctx, args[2:])
	}
	return errors.New("usage: local up | down | run [-- COMMAND…]")
}

// run starts a cluster for the time of a command, which finds it through KUBECONFIG and PATH, or without a command until it
// is interrupted. Nothing of the cluster is left when it returns.
func run(ctx context.Context, command []string) (err error) {
	c, err := start(ctx, "", func(line string) { fmt.Fprintln(os.Stderr, line) })
	if err != nil {
		return interruptedOr(ctx, err)
	}
	defer func() { err = errors.Join(err, c.stop()) }()

	if command == nil {
		fmt.Fprintf(os.Stderr, "\n%s\nInterrupt to stop.\n", howToUse(c.plane.Dir()))
		return c.wait(ctx)
	}
	return c.attend(ctx, command)
}

// attend runs a command and returns its error, unless the cluster ends first.
func (c *cluster) attend(ctx context.Context, command []string) error {
	cmd := c.plane.Command("command", command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(),
		"ENTRUSTMENT_LOCAL="+c.plane.Dir(), // tells a script that this cluster is its own
		"KUBECONFIG="+c.path("kubeconfig"),
		"PATH="+c.path("bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	done := make(chan struct{})
	var failure error
	go func() {
		failure = cmd.Wait()
		close(done)
	}()

	var cause error
	select {
	case <-done:
		return failure
	case <-ctx.Done():
		cause = errInterrupted
	case <-c.manager.Done():
		cause = c.manager.Err()
	case cause = <-c.broken:
	}
	// Errors mean that the group has ended already.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-done:
	case <-time.After(commandGrace):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	}
	return cause
}

// interruptedOr hides the many errors that an interrupt causes behind the one that explains them.
func interruptedOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errInterrupted
	}
	return err
}
