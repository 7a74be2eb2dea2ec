// Command node runs a command in a Kubernetes cluster of one real node: control plane, kubelet, containerd, kube-proxy and
// Calico, with pods that run and network policies that are enforced. It needs root, Linux and the programs that hack/e2e.sh
// prepares.
//
//	node run [--image ARCHIVE]… [--manifests PATH]… -- COMMAND…
//
// Everything lives in network, mount, process, IPC and host-name namespaces of its own, so that the kernel takes interfaces,
// packet filters, mounts and processes away when the first process ends, however it ends. What no namespace holds is removed by
// the process outside, or by the next run: one directory, and the control groups named after it.
//
// The stages of the program, each started by the one before:
//
//	outside  makes the directory, starts the first process in new namespaces, hands on signals, removes what is left
//	init     the first process inside: ends what is orphaned
//	inside   starts the cluster, runs the command, stops the cluster
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

const (
	stageInit   = "init"
	stageInside = "inside"
	pause       = "pause" // holds the namespaces of a pod: this program is an image as well
)

// errInterrupted ends the program as a shell expects of one that was interrupted.
var errInterrupted = errors.New("interrupted")

func main() {
	// The kernel ends the child with the thread that made it, so there must be but one and it must last.
	runtime.LockOSThread()
	if len(os.Args) > 1 && os.Args[1] == pause {
		beIdle()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == stageInit {
		os.Exit(beInit(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	err := dispatch(ctx, os.Args[1:])
	stop()
	os.Exit(exitCode(err))
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 1 && args[0] == stageInside {
		options, err := parse(args[2:])
		if err != nil {
			return err
		}
		return inside(ctx, args[1], options)
	}
	if len(args) == 0 || args[0] != "run" {
		return errUsage
	}
	if _, err := parse(args[1:]); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("a node takes root: run this as root")
	}
	return outside(ctx, args[1:])
}

var errUsage = errors.New("usage: node run [--image ARCHIVE]… [--manifests PATH]… -- COMMAND…")

// options of a run.
type options struct {
	images    []string // archives; e2e.entrustment.dev/node:run, which is this program, is among them
	manifests []string // applied before the command starts; directories and files as kubectl takes them
	command   []string
}

// beIdle waits until it is asked to end.
func beIdle() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	<-signals
}

func parse(args []string) (options, error) {
	var o options
	for len(args) > 0 {
		switch {
		case args[0] == "--" && len(args) > 1:
			o.command = args[1:]
			return o, nil
		case args[0] == "--image" && len(args) > 1:
			o.images = append(o.images, args[1])
		case args[0] == "--manifests" && len(args) > 1:
			o.manifests = append(o.manifests, args[1])
		default:
			return o, errUsage
		}
		args = args[2:]
	}
	return o, errUsage
}

// ended is how the command ended, or the stage inside.
type ended int

func (e ended) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// endOf makes the end of a process an error, unless it went well.
func endOf(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return ended(exit.ExitCode())
	}
	return err
}

// exitCode says what is wrong, unless it was said before, and how the program ends.
func exitCode(err error) int {
	var exit ended
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		return 130
	case errors.As(err, &exit): // it has spoken for itself
		return int(exit)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
