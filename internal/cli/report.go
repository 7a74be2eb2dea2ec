package cli

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/report"
)

func newReport(from source) *cobra.Command {
	command := &cobra.Command{
		Use:   "report",
		Short: "Write the records that an auditor asks for",
		Long: `Write the records that an auditor asks for, of one party or all, as of any instant, from the cluster or from files.

Each column says where it comes from: declared by people, derived from that, observed in the cluster, or unknown to it and
left blank. Files show nothing of what only a cluster can.`,
	}
	command.AddCommand(
		newReportKind(from, reportKind{
			name:  "records",
			short: "Record of processing activities (GDPR art. 30)",
			long: `The record of processing activities: for a data controller a row for each published purpose (GDPR art. 30(1)), for an
entrustee a row for each contract (art. 30(2)).`,
			example: `  # The record of one party, to be printed
  kubectl entrust report records -f policy/ --party example-controller -o html > records.html

  # The same in terms of the Data Privacy Vocabulary
  kubectl entrust report records -f policy/ -o jsonld > records.jsonld`,
			formats: []string{"table", "csv", "json", "html", "jsonld"},
			of:      (*report.World).Records,
		}),
		newReportKind(from, reportKind{
			name:  "ledger",
			short: "Ledger of entrustees and their supervision (APPI art. 25)",
			long: `The ledger of entrustees: contract and clauses, term, sub-entrustment, handling abroad, selection, reviews and the next that is
due, return or erasure, and what is reached now (APPI art. 25; GDPR art. 28).`,
			example: `  # Which reviews are due, and when
  kubectl entrust report ledger -f policy/ --at 2026-12-01T12:00:00+09:00

  # For a spreadsheet that expects a byte order mark
  kubectl entrust report ledger -f policy/ --at 2026-12-01T12:00:00+09:00 -o csv --bom > ledger.csv`,
			formats: []string{"table", "csv", "json", "html"},
			of:      (*report.World).Ledger,
		}),
		newReportKind(from, reportKind{
			name:  "processors",
			short: "List of processors, with the changes that come",
			long: `The list of processors and sub-processors as a data controller publishes it, with the changes that come and the last instant
at which somebody may object (GDPR art. 28(2)). What has ended is not on it.`,
			example: `  # The list to publish
  kubectl entrust report processors -f policy/ --party example-controller --at 2026-12-01T12:00:00+09:00`,
			formats: []string{"table", "csv", "json", "html"},
			of:      (*report.World).Processors,
		}),
		newReportKind(from, reportKind{
			name:  "access",
			short: "Who may reach which personal data",
			long: `Who may reach which personal data now: a row for each namespace, contract, purpose and store. A party sees what its own
namespaces reach, what reaches its data, and what goes on under its contracts.`,
			example: `  # What goes on with the data of one party
  kubectl entrust report access -f policy/ --party external-entruster --at 2026-12-01T12:00:00+09:00`,
			formats: []string{"table", "csv", "json", "html"},
			of:      (*report.World).Access,
		}),
		newReportFindings(from),
	)
	return command
}

// reportKind is one report that is only written.
type reportKind struct {
	name, short, long, example string
	formats                    []string
	of                         func(*report.World, string) report.Report
}

// reporter writes one report.
type reporter struct {
	source
	party  string
	output string
	bom    bool
}

func newReportKind(from source, kind reportKind) *cobra.Command {
	r := &reporter{source: from}
	return r.command(kind, func(world *report.World) error { return r.write(kind.of(world, r.party), world) })
}

func newReportFindings(from source) *cobra.Command {
	r := &reporter{source: from}
	var failOn string
	command := r.command(reportKind{
		name:  "findings",
		short: "What is amiss, with an exit status",
		long: `What is amiss: overdue reviews, missing clauses and transfer bases, expired selections, ended contracts without disposal, stores
that are not isolated, gaps in the records. Codes are stable.

Exit codes: 0 nothing as grave as --fail-on, 1 something is, 2 anything wrong with the call, the files or the cluster.`,
		example: `  # What is amiss in the policy
  kubectl entrust report findings -f policy/ --at 2026-12-01T12:00:00+09:00

  # Fail on nothing, for a report alone
  kubectl entrust report findings -f policy/ --at 2026-12-01T12:00:00+09:00 --fail-on never -o json`,
		formats: []string{"table", "csv", "json", "html"},
	}, func(world *report.World) error {
		document, found := world.Findings(r.party)
		if err := r.write(document, world); err != nil {
			return err
		}
		for _, f := range found {
			if failOn != "never" && f.Severity.AtLeast(report.Severity(failOn)) {
				return errDenied
			}
		}
		return nil
	})
	failOn = string(report.SeverityError)
	words := []string{string(report.SeverityError), string(report.SeverityWarning), string(report.SeverityNote), "never"}
	command.Flags().Var(&format{&failOn, words}, "fail-on", "Least severity that makes the exit code 1: "+strings.Join(words, ", "))
	// It only fails for a flag that is not there.
	_ = command.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	return command
}

func (r *reporter) command(kind reportKind, run func(*report.World) error) *cobra.Command {
	command := &cobra.Command{
		Use: kind.name, Short: kind.short, Long: kind.long, Example: kind.example, Args: r.arguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if r.bom && r.output != "csv" {
				return errors.New("--bom goes with -o csv")
			}
			world, err := r.world(command.Context(), r.party)
			if err != nil {
				return err
			}
			return run(world)
		},
	}
	r.addFlags(command)
	flags := command.Flags()
	flags.StringVar(&r.party, "party", "", "DataProcessor to report on (default all)")
	r.completeFlags(command, map[string]string{"party": "DataProcessor"})
	flags.BoolVar(&r.bom, "bom", false, "Begin CSV with a byte order mark, which some spreadsheets need to see UTF-8")
	outputFlag(command, &r.output, kind.formats...)
	return command
}

// world reads everything that reports are about. A party that is asked about has to exist.
func (s *source) world(ctx context.Context, party string) (*report.World, error) {
	in, _, err := s.inputs(ctx)
	if err != nil {
		return nil, err
	}
	in.Location = s.zone.Location
	world := report.NewWorld(in, entrustment.Compile(in, s.now()), !s.offline())
	if party != "" && !world.HasParty(party) {
		return nil, fmt.Errorf("--party: DataProcessor %s does not exist", party)
	}
	return world, nil
}

func (r *reporter) write(document report.Report, world *report.World) error {
	out := bufio.NewWriter(r.streams.Out)
	var err error
	switch r.output {
	case "json":
		err = writeIndented(out, document)
	case "csv":
		err = writeReportCSV(out, document, r.bom)
	case "html":
		err = report.WriteHTML(out, document)
	case "jsonld":
		err = writeIndented(out, world.DPV(r.party))
	default:
		err = writeReportTable(out, newPalette(r.streams.Out), document)
	}
	return errors.Join(err, out.Flush())
}

// writeReportTable writes the columns that fit on a terminal. The rest is in every other format.
func writeReportTable(out io.Writer, p palette, r report.Report) error {
	for i, section := range r.Sections {
		if len(r.Sections) > 1 {
			if i > 0 {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "%s (%s)\n", section.Title, section.Law)
		}
		lines := &table{}
		line := func(cell func(int, report.Column) string) {
			var texts []string
			for i, c := range section.Columns {
				if c.Brief {
					texts = append(texts, cell(i, c))
				}
			}
			lines.add(texts...)
		}
		line(func(_ int, c report.Column) string { return strings.ToUpper(c.Title) })
		for _, row := range section.Rows {
			line(func(i int, _ report.Column) string {
				if len(row.Cells[i]) == 0 {
					return "-"
				}
				return printable(strings.Join(row.Cells[i], ", "))
			})
			paintWords(lines)
		}
		if err := lines.write(out, p); err != nil {
			return err
		}
	}
	return nil
}

// paintWords colours what needs a look in the last line of a table.
func paintWords(t *table) {
	for i, cell := range t.rows[len(t.rows)-1] {
		switch cell.text {
		case string(report.SeverityError), string(report.StateDenied), string(report.StateSuspended):
			t.paint(i, red)
		case string(report.SeverityWarning), string(report.StateEndingSoon):
			t.paint(i, yellow)
		case string(report.StateEnded), string(report.SeverityNote):
			t.paint(i, faint)
		}
	}
}

// writeReportCSV writes one table: the sections below each other, with the columns of all. A column's name tells where it comes
// from, as the path in JSON does; the values of a list are parted by " | ".
func writeReportCSV(out io.Writer, r report.Report, bom bool) error {
	if bom {
		if _, err := io.WriteString(out, "\uFEFF"); err != nil {
			return err
		}
	}
	header, places := []string{"section"}, map[string]int{}
	for _, section := range r.Sections {
		for _, c := range section.Columns {
			if name := columnName(c); places[name] == 0 {
				places[name] = len(header)
				header = append(header, name)
			}
		}
	}
	table := csv.NewWriter(out)
	records := [][]string{header}
	for _, section := range r.Sections {
		for _, row := range section.Rows {
			record := make([]string, len(header))
			record[0] = section.Name
			for i, c := range section.Columns {
				record[places[columnName(c)]] = inert(strings.Join(row.Cells[i], " | "))
			}
			records = append(records, record)
		}
	}
	return table.WriteAll(records)
}

func columnName(c report.Column) string { return string(c.Origin) + "." + c.Key }
