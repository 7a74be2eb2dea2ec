package cli

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"entrustment.dev/operator/internal/entrustment"
)

// matrix lists everything that is granted.
type matrix struct {
	source
	output string
}

func newMatrix(from source) *cobra.Command {
	m := &matrix{source: from}
	command := &cobra.Command{
		Use:   "matrix",
		Short: "List every grant: which pods reach which store for which purposes",
		Long: `List every grant in force: the namespace whose pods reach a store, the entrustment that they have to name (none: the data
controller's own handling), the store, and the purposes of which they have to declare one. What is not listed is denied.`,
		Example: `  # All that is granted in this cluster now
  kubectl entrust matrix

  # What one namespace will be granted by a policy at the beginning of the year
  kubectl entrust matrix -f policy/ -n billing-entrustee --at 2027-01-01T00:00:00+09:00

  # For a spreadsheet
  kubectl entrust matrix -f policy/ -o csv > grants.csv`,
		Args: m.arguments,
		RunE: func(command *cobra.Command, _ []string) error { return m.run(command.Context()) },
	}
	m.addFlags(command)
	outputFlag(command, &m.output, "table", "json", "csv")
	return command
}

func (m *matrix) run(ctx context.Context) error {
	snapshot, err := m.snapshot(ctx)
	if err != nil {
		return err
	}
	rows := []row{} // not nil: no grants are [] in JSON
	for _, store := range snapshot.Stores() {
		for _, grant := range snapshot.StoreGrants(store) {
			if only := *m.kube.Namespace; only == "" || only == grant.Namespace {
				rows = append(rows, newRow(grant))
			}
		}
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Entrustment, b.Entrustment), cmp.Compare(a.Store, b.Store))
	})

	write := map[string]func(io.Writer, []row) error{"table": writeTable, "json": writeJSON, "csv": writeCSV}[m.output]
	return write(m.streams.Out, rows)
}

// A row is one grant as programs read it.
type row struct {
	Namespace   string   `json:"namespace"`
	Entrustment string   `json:"entrustment"` // empty: the data controller's own handling
	Store       string   `json:"store"`       // NAMESPACE/NAME
	Purposes    []string `json:"purposes"`
}

func newRow(grant entrustment.Grant) row {
	return row{grant.Namespace, grant.Entrustment, grant.Store.String(), grant.Purposes}
}

func writeTable(out io.Writer, rows []row) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "NAMESPACE\tENTRUSTMENT\tSTORE\tPURPOSES")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.Namespace, cmp.Or(r.Entrustment, "-"), r.Store, strings.Join(r.Purposes, ","))
	}
	return table.Flush()
}

func writeJSON(out io.Writer, rows []row) error {
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

func writeCSV(out io.Writer, rows []row) error {
	table := csv.NewWriter(out)
	records := [][]string{{"namespace", "entrustment", "store", "purposes"}}
	for _, r := range rows {
		records = append(records, []string{inert(r.Namespace), inert(r.Entrustment), inert(r.Store), inert(strings.Join(r.Purposes, ","))})
	}
	return table.WriteAll(records)
}

// inert keeps a spreadsheet from taking a cell for a formula. The API's own names cannot be one; this says so locally.
func inert(cell string) string {
	if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r\n") {
		return "'" + cell
	}
	return cell
}
