package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/lint"
)

// linter finds mistakes in files.
type linter struct {
	source
	failOn string
	output string
}

func newLint(from source, version string) *cobra.Command {
	l := &linter{source: from}
	command := &cobra.Command{
		Use:   "lint -f FILES",
		Short: "Find mistakes in a policy and its workloads, with file and line",
		Long: `Find mistakes in files before anybody applies them: what the API server would refuse, names that mean nothing, chains of contracts
that are not authorised, purposes that no store is for, stores that nobody reaches, workloads whose pods will be refused. Each has a
code that stays the same and is explained in docs/lint.md, and file and line.

What cannot be read, or the schema refuses, is told alone: what the rest lacks would only follow from it.

Exit codes: 0 nothing as severe as --fail-on, 1 something is, 2 anything wrong with the call.`,
		Example: `  # Before a commit
  kubectl entrust lint -f policy/

  # For the annotations of a code host
  kubectl entrust lint -f policy/ -o sarif > lint.sarif

  # As strict as can be
  kubectl entrust lint -f policy/ --fail-on note`,
		Args: l.arguments,
		RunE: func(*cobra.Command, []string) error { return l.run(version) },
	}
	l.addFlags(command)
	command.Flags().Lookup("filename").Usage = "Files and directories to check; - is the standard input. May be repeated"
	choiceFlag(command, &l.failOn, "fail-on", "Severity from which on the exit code is 1", string(lint.Error), string(lint.Warning), string(lint.Note))
	outputFlag(command, &l.output, "table", "json", "sarif")
	return command
}

func (l *linter) run(version string) error {
	if !l.offline() {
		return errors.New("-f is required; the conditions of the objects tell the same of a cluster")
	}
	defer working(l.streams, "reading the files")()
	rows := l.rows(gather.Read(l.files, l.streams.In))
	var err error
	switch l.output {
	case "json":
		err = writeIndented(l.streams.Out, rows)
	case "sarif":
		err = writeIndented(l.streams.Out, newSARIF(rows, version))
	default:
		err = writeLint(l.streams.Out, rows)
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(rows, func(r lintRow) bool { return rank(r.Severity) <= rank(lint.Severity(l.failOn)) }) {
		return errDenied
	}
	return nil
}

func rank(s lint.Severity) int {
	return slices.Index([]lint.Severity{lint.Error, lint.Warning, lint.Note}, s)
}

// A lintRow is a finding as programs read it.
type lintRow struct {
	File     string        `json:"file"`
	Line     int           `json:"line"` // counted from 1; 0: not known
	Severity lint.Severity `json:"severity"`
	Code     lint.Code     `json:"code"`
	Object   string        `json:"object"` // KIND NAME; empty: none
	Field    string        `json:"field"`
	Message  string        `json:"message"`
}

var classes = map[gather.Class]lint.Code{
	gather.Unreadable: lint.Unreadable, gather.Syntax: lint.Syntax, gather.Schema: lint.Schema, gather.Duplicate: lint.Duplicate, gather.Rule: lint.Rule,
	gather.Incomplete: lint.Placeholder,
}

// rows are the findings, in the order of files and lines.
func (l *linter) rows(files *gather.Files) []lintRow {
	rows := []lintRow{} // not nil: no findings are [] in JSON
	add := func(findings []gather.Finding) {
		for _, f := range findings {
			code := classes[f.Class]
			rows = append(rows, lintRow{f.File, f.Line, lint.Explain(code).Severity, code, f.Object, f.Field, f.Message})
		}
	}
	if add(files.Findings()); len(rows) == 0 {
		add(files.BrokenRules())
		in := files.Inputs
		in.Location = l.zone.Location
		home := cmp.Or(*l.kube.Namespace, "default") // where kubectl would apply what names no namespace
		for i := range files.Workloads {
			files.Workloads[i].Namespace = cmp.Or(files.Workloads[i].Namespace, home)
		}
		for _, f := range lint.Check(entrustment.Compile(in, l.now()), files.Workloads) {
			row := lintRow{Severity: lint.Explain(f.Code).Severity, Code: f.Code, Object: f.Kind + " " + f.Name, Field: f.Field, Message: f.Message}
			row.File, row.Line, _ = files.Locate(f.Kind, f.Name, f.Field)
			rows = append(rows, row)
		}
	}
	slices.SortStableFunc(rows, func(a, b lintRow) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(string(a.Code), string(b.Code)))
	})
	return rows
}

func writeLint(out io.Writer, rows []lintRow) error {
	t := &table{}
	counts := map[lint.Severity]int{}
	for _, r := range rows {
		place := r.File
		if r.Line > 0 {
			place += fmt.Sprintf(":%d", r.Line)
		}
		message := r.Message
		if r.Object != "" {
			message = r.Object + ": " + message
		}
		t.rows = append(t.rows, []cell{
			{text: place}, {string(r.Severity), map[lint.Severity]colour{lint.Error: red, lint.Warning: yellow, lint.Note: faint}[r.Severity]},
			{text: string(r.Code)}, {text: printable(message)},
		})
		counts[r.Severity]++
	}
	if err := t.write(out, newPalette(out)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s, %s, %s\n", counted(counts[lint.Error], "error"), counted(counts[lint.Warning], "warning"), counted(counts[lint.Note], "note"))
	return err
}

// The parts of SARIF 2.1.0 that code hosts read.
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               lint.Code    `json:"id"`
		ShortDescription sarifMessage `json:"shortDescription"`
		Default          struct {
			Level lint.Severity `json:"level"`
		} `json:"defaultConfiguration"`
	}
	sarifResult struct {
		RuleID    lint.Code       `json:"ruleId"`
		RuleIndex int             `json:"ruleIndex"`
		Level     lint.Severity   `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region *sarifRegion `json:"region,omitempty"`
		} `json:"physicalLocation"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
)

func newSARIF(rows []lintRow, version string) sarif {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "kubectl entrust lint", Version: version}
	index := map[lint.Code]int{}
	for i, e := range lint.Codes() {
		rule := sarifRule{ID: e.Code, ShortDescription: sarifMessage{e.Title}}
		rule.Default.Level = e.Severity
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, rule)
		index[e.Code] = i
	}
	for _, r := range rows {
		var at sarifLocation
		at.Physical.Artifact.URI = filepath.ToSlash(r.File)
		if r.Line > 0 {
			at.Physical.Region = &sarifRegion{r.Line}
		}
		text := r.Message
		if r.Object != "" {
			text = r.Object + ": " + text
		}
		run.Results = append(run.Results, sarifResult{r.Code, index[r.Code], r.Severity, sarifMessage{text}, []sarifLocation{at}})
	}
	return sarif{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
}
