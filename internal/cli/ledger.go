package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/ledger"
)

func newLedger(kube *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	command := &cobra.Command{
		Use:   "ledger",
		Short: "Prove the record that the operator keeps",
	}
	command.AddCommand(newLedgerVerify(kube, streams))
	return command
}

// ledgerVerify follows the chains of a ledger.
type ledgerVerify struct {
	kube    *genericclioptions.ConfigFlags
	streams genericiooptions.IOStreams
	heads   bool
	output  string
}

func newLedgerVerify(kube *genericclioptions.ConfigFlags, streams genericiooptions.IOStreams) *cobra.Command {
	v := &ledgerVerify{kube: kube, streams: streams}
	command := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Tell whether lines of the ledger are missing or were changed",
		Long: `Tell whether lines of the ledger are missing or were changed.

Each line holds the hash of the one before, so a line that was taken away, put in or changed shows. Files are read in the
order in which they are given, as one; - is the standard input. What is no entry, such as the rest of a log, is passed over.

That the end was cut off shows only in comparison with the heads of the chains, which the operator keeps in the cluster:
--heads reads them there.

Exit codes: 0 intact, 1 not intact, 2 anything wrong with the call, the files or the cluster.`,
		Example: `  # Follow what the replicas have written to their logs
  kubectl logs -n entrustment-system -l app.kubernetes.io/name=entrustment-operator --tail=-1 | kubectl entrust ledger verify -

  # Follow files, and make sure that nothing is missing at their end
  kubectl entrust ledger verify --heads ledger-2026-10.jsonl ledger-2026-11.jsonl`,
		Args: takes(1, -1),
		RunE: func(command *cobra.Command, files []string) error { return v.run(command.Context(), files) },
	}
	command.Flags().BoolVar(&v.heads, "heads", false, "Compare the ends with the heads that are kept in the cluster")
	outputFlag(command, &v.output, "text", "json")
	return command
}

func (v *ledgerVerify) run(ctx context.Context, files []string) error {
	var heads map[string]ledger.Head
	if v.heads {
		var err error
		if heads, err = v.kept(ctx); err != nil {
			return fmt.Errorf("read the heads of the ledger: %w", err)
		}
	}
	if first := slices.Index(files, stdin); first >= 0 && slices.Contains(files[first+1:], stdin) {
		return errors.New("the standard input (-) can be read once")
	}
	var lines []io.Reader
	for _, name := range files {
		if name == stdin {
			lines = append(lines, v.streams.In)
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		lines = append(lines, file)
	}
	report, err := ledger.Verify(io.MultiReader(lines...), heads)
	if err != nil {
		return err
	}
	if err := v.print(report); err != nil {
		return err
	}
	if !report.Intact() {
		return errDenied
	}
	return nil
}

// kept reads the heads where the replicas keep them.
func (v *ledgerVerify) kept(ctx context.Context) (map[string]ledger.Head, error) {
	config, err := v.kube.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	reader, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	namespace := v1alpha1.OperatorNamespace
	if *v.kube.Namespace != "" {
		namespace = *v.kube.Namespace
	}
	kept := &corev1.ConfigMap{}
	if err := reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.LedgerHeadsName}, kept); err != nil {
		return nil, err
	}
	heads := map[string]ledger.Head{}
	for chain, text := range kept.Data {
		head, err := ledger.ParseHead(text)
		if err != nil {
			return nil, fmt.Errorf("ConfigMap %s/%s, chain %s: %w", namespace, v1alpha1.LedgerHeadsName, chain, err)
		}
		heads[chain] = head
	}
	return heads, nil
}

func (v *ledgerVerify) print(report *ledger.Report) error {
	if v.output == "json" {
		return json.NewEncoder(v.streams.Out).Encode(report)
	}
	if len(report.Chains) == 0 && report.Intact() {
		return errors.New("there is no entry of a ledger")
	}
	table := tabwriter.NewWriter(v.streams.Out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(table, "CHAIN\tENTRIES\tFIRST\tLAST")
	for _, c := range report.Chains {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\n", c.Name, c.Entries, c.First, c.Last)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(v.streams.Out)
	for _, p := range report.Problems {
		if p.Line > 0 {
			fmt.Fprintf(v.streams.Out, "line %d, chain %s: %s\n", p.Line, p.Chain, p.Text)
		} else {
			fmt.Fprintf(v.streams.Out, "chain %s: %s\n", p.Chain, p.Text)
		}
	}
	switch {
	case report.More:
		fmt.Fprintln(v.streams.Out, "and more; not intact")
	case !report.Intact():
		fmt.Fprintln(v.streams.Out, "not intact")
	default:
		fmt.Fprintln(v.streams.Out, "intact")
	}
	return nil
}
