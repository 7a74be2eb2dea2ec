package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/exposure"
	"entrustment.dev/operator/internal/gather"
)

// exposed lists who could read credentials without declaring anything.
type exposed struct {
	source
	output string
}

func newExposure(from source) *cobra.Command {
	e := &exposed{source: from}
	command := &cobra.Command{
		Use:   "exposure [NAMESPACE/NAME]",
		Short: "List who could read the credentials of stores without declaring a purpose",
		Long: `List the users, groups and service accounts that RBAC lets read a credential of a store, at its source or where it is
delivered, without declaring a purpose: directly, by giving themselves a role, by entering pods, or by becoming somebody who
could. For each the nearest way is shown, and the binding that opens it.

A store's status shows the same, up to 64 subjects. Only a cluster can be asked; reading all of RBAC takes the right to list
it. Not seen are authorizers other than RBAC, and who the members of a group are.`,
		Example: `  # Every store of the cluster
  kubectl entrust exposure

  # One store, for a program
  kubectl entrust exposure data-billing/billing-ledger -o json`,
		Args: takes(0, 1),
		RunE: func(command *cobra.Command, args []string) error { return e.run(command.Context(), args) },
	}
	command.ValidArgsFunction = e.completeStore(0)
	outputFlag(command, &e.output, "table", "json")
	return command
}

func (e *exposed) run(ctx context.Context, args []string) error {
	reader, err := e.client()
	if err != nil {
		return err
	}
	inputs, err := gather.FromReader(ctx, reader)
	if err != nil {
		return fmt.Errorf("read the cluster: %w", err)
	}
	snapshot := entrustment.Compile(inputs, e.clock.Now())
	stores := snapshot.Stores()
	if len(args) > 0 {
		key, err := storeKey(args[0])
		if err != nil {
			return err
		}
		if snapshot.Store(key) == nil {
			return missingStore(snapshot, key)
		}
		stores = []types.NamespacedName{key}
	}
	objects, err := gather.RBAC(ctx, reader)
	if err != nil {
		return fmt.Errorf("read who may do what: %w", err)
	}
	index := exposure.Compile(objects)
	readers := []exposedRow{} // not nil: nobody is [] in JSON
	for _, key := range stores {
		for _, r := range exposure.Readers(index, exposure.Secrets(snapshot, key)) {
			readers = append(readers, exposedRow{key.String(), r.Kind, r.Namespace, r.Name, r.How})
		}
	}
	return map[string]func(io.Writer, []exposedRow) error{"table": writeExposed, "json": writeExposedJSON}[e.output](e.streams.Out, readers)
}

// An exposedRow is one subject as programs read it.
type exposedRow struct {
	Store     string `json:"store"` // NAMESPACE/NAME
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"` // of a ServiceAccount
	Name      string `json:"name"`
	How       string `json:"how"`
}

func writeExposed(out io.Writer, rows []exposedRow) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "STORE\tKIND\tNAMESPACE\tNAME\tHOW")
	for _, r := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Store, r.Kind, cmp.Or(r.Namespace, "-"), printable(r.Name), printable(r.How))
	}
	return table.Flush()
}

// printable keeps what somebody named on his terminal line: RBAC takes any name.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}

func writeExposedJSON(out io.Writer, rows []exposedRow) error {
	text, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}
