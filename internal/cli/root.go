package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"entrustment.dev/operator/internal/entrustment"
)

// The exit codes, which scripts rely on.
const (
	exitAllowed = 0 // or: the question was answered, whatever it was
	exitDenied  = 1
	exitWrong   = 2 // the call, the files or the cluster: there is no answer
)

// errDenied ends a command whose answer, already printed, is no.
var errDenied = errors.New("denied")

// Run executes the command line and returns the exit code: 0 allowed, 1 denied, 2 anything wrong. Answers go to
// streams.Out; what is wrong goes to streams.ErrOut, a line each.
func Run(ctx context.Context, args []string, streams genericiooptions.IOStreams, clock clock.PassiveClock, version string) int {
	root := newRoot(streams, clock, version)
	root.SetArgs(args)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitAllowed
	case errors.Is(err, errDenied):
		return exitDenied
	case errors.Is(err, errRefused):
		return exitRefused
	default:
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintln(streams.ErrOut, "error:", line)
		}
		return exitWrong
	}
}

func newRoot(streams genericiooptions.IOStreams, clock clock.PassiveClock, version string) *cobra.Command {
	root := &cobra.Command{
		Use:         "kubectl-entrust",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl entrust"},
		Short:       "Ask who may use which personal data, for which purpose, under which contract",
		Long: `Ask who may use which personal data, for which purpose, under which contract.

The questions are answered for a cluster, which kubectl's own flags select, or with -f for files that need no cluster.

Exit codes: 0 allowed, 1 denied, 2 anything wrong with the call, the files or the cluster.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)

	kube := genericclioptions.NewConfigFlags(true)
	kube.AddFlags(root.PersistentFlags())
	root.PersistentFlags().Lookup("namespace").Usage = "Namespace of the workload"

	bound := source{kube: kube, streams: streams, clock: clock}
	_ = root.RegisterFlagCompletionFunc("namespace", bound.complete((*entrustment.Snapshot).BoundNamespaces)) // it only fails for a flag that is not there

	root.AddCommand(
		newCan(source{kube: kube, streams: streams, clock: clock}),
		newWhy(source{kube: kube, streams: streams, clock: clock}),
		newWho(source{kube: kube, streams: streams, clock: clock}),
		newPlan(source{kube: kube, streams: streams, clock: clock}),
		newLint(source{kube: kube, streams: streams, clock: clock}, version),
		newMatrix(source{kube: kube, streams: streams, clock: clock}),
		newVerify(source{kube: kube, streams: streams, clock: clock}),
		newExposure(source{kube: kube, streams: streams, clock: clock}),
		newLedger(kube, streams),
		newReport(source{kube: kube, streams: streams, clock: clock}),
		newBootstrap(source{kube: kube, streams: streams, clock: clock}),
		newMap(source{kube: kube, streams: streams, clock: clock}),
		&cobra.Command{
			Use:   "version",
			Short: "Print the version",
			Args:  takes(0, 0),
			RunE: func(*cobra.Command, []string) error {
				_, err := fmt.Fprintln(streams.Out, version)
				return err
			},
		},
	)
	root.InitDefaultCompletionCmd()
	group(root)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		if command.HasSubCommands() && command.Flags().NArg() > 0 { // the flags are those of a command that there is not
			return command.ValidateArgs(command.Flags().Args())
		}
		if unknown := (*pflag.NotExistError)(nil); errors.As(err, &unknown) {
			return fmt.Errorf("%w; see %s --help", err, command.CommandPath())
		}
		return err
	})
	return root
}

// group makes a word that is no command a mistake, also below others: cobra would show the help, and end as if all were well.
func group(command *cobra.Command) {
	if !command.HasSubCommands() {
		return
	}
	command.DisableFlagsInUseLine = true
	command.SuggestionsMinimumDistance = 2
	command.RunE = func(command *cobra.Command, _ []string) error { return command.Help() }
	command.Args = func(command *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		help := "see " + command.CommandPath() + " --help"
		if near := command.SuggestionsFor(args[0]); len(near) > 0 {
			help = "did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("there is no command %q; %s", command.CommandPath()+" "+args[0], help)
	}
	for _, below := range command.Commands() {
		group(below)
	}
}

// takes is how many arguments a command takes; a negative most is any number.
func takes(least, most int) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return fmt.Errorf("%s given; usage: %s", counted(len(args), "argument"), command.UseLine())
		}
		return nil
	}
}
