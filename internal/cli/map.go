package cli

import (
	"bufio"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"entrustment.dev/operator/internal/report/chart"
)

// mapper draws what there is.
type mapper struct {
	source
	party  string
	output string
}

func newMap(from source) *cobra.Command {
	m := &mapper{source: from}
	command := &cobra.Command{
		Use:   "map",
		Short: "Draw parties, contracts, purposes, stores and namespaces",
		Long: `Draw parties, contracts, purposes, stores and namespaces, with their state and their end, as one page to search, filter and
focus. The page needs nothing else and loads nothing.`,
		Example: `  # A page of a policy as it will be at the beginning of the year
  kubectl entrust map -f policy/ --at 2027-01-01T00:00:00+09:00 > map.html

  # What concerns one party, for a document
  kubectl entrust map -f policy/ --party billing-entrustee -o svg > billing.svg`,
		Args: m.arguments,
		RunE: func(command *cobra.Command, _ []string) error {
			world, err := m.world(command.Context(), m.party)
			if err != nil {
				return err
			}
			drawing := chart.New(world, m.party)
			write := map[string]func(io.Writer) error{
				"html": drawing.WritePage, "svg": drawing.WriteSVG, "dot": drawing.WriteDot, "mermaid": drawing.WriteMermaid,
			}[m.output]
			out := bufio.NewWriter(m.streams.Out)
			return errors.Join(write(out), out.Flush())
		},
	}
	m.addFlags(command)
	command.Flags().StringVar(&m.party, "party", "", "DataProcessor to draw, with what concerns it (default all)")
	m.completeFlags(command, map[string]string{"party": "DataProcessor"})
	outputFlag(command, &m.output, "html", "svg", "dot", "mermaid")
	return command
}
