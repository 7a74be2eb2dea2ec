package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"

	"entrustment.dev/operator/test/cases"
)

const reportsAt = "2026-12-01T12:00:00+09:00"

// golden compares an answer with what is kept of it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

func TestReports(t *testing.T) {
	for file, args := range map[string][]string{
		"report-records.table":    {"records"},
		"report-records.csv":      {"records", "-o", "csv"},
		"report-records.json":     {"records", "-o", "json", "--party", "external-entruster"},
		"report-records.html":     {"records", "-o", "html", "--party", "external-entruster"},
		"report-records.jsonld":   {"records", "-o", "jsonld", "--party", "external-entruster"},
		"report-ledger.table":     {"ledger"},
		"report-ledger.csv":       {"ledger", "-o", "csv"},
		"report-ledger.json":      {"ledger", "-o", "json"},
		"report-processors.table": {"processors"},
		"report-processors.csv":   {"processors", "-o", "csv", "--party", "example-controller"},
		"report-access.csv":       {"access", "-o", "csv"},
		"report-access.table":     {"access", "--party", "external-entruster"},
		"report-findings.table":   {"findings"},
		"report-findings.csv":     {"findings", "-o", "csv"},
		"report-findings.json":    {"findings", "-o", "json"},
		"report-findings.html":    {"findings", "-o", "html"},
	} {
		t.Run(file, func(t *testing.T) {
			args := append([]string{"report", "-f", policy, "--at", reportsAt, "--time-zone", "Asia/Tokyo"}, args...)
			code, out, wrong := command(t, nil, args...)
			if code == exitWrong || wrong != "" {
				t.Fatalf("exit code %d: %s", code, wrong)
			}
			golden(t, file, out)
		})
	}
}

// What a report says is the same in CSV and in JSON.
func TestReportsSayTheSameInEveryFormat(t *testing.T) {
	for _, report := range []string{"records", "ledger", "processors", "access", "findings"} {
		_, text, _ := command(t, nil, "report", report, "-f", policy, "--at", reportsAt, "-o", "csv")
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var document struct {
			Sections []struct {
				Name string
				Rows []map[string]map[string]any
			}
		}
		_, text, _ = command(t, nil, "report", report, "-f", policy, "--at", reportsAt, "-o", "json")
		if err := json.Unmarshal([]byte(text), &document); err != nil {
			t.Fatal(err)
		}
		lines := records[1:]
		for _, section := range document.Sections {
			for _, row := range section.Rows {
				line := lines[0]
				lines = lines[1:]
				for i, name := range records[0] {
					origin, key, _ := strings.Cut(name, ".")
					var want string
					switch value := row[origin][key].(type) {
					case string:
						want = value
					case []any:
						var texts []string
						for _, text := range value {
							texts = append(texts, text.(string))
						}
						want = strings.Join(texts, " | ")
					}
					if i == 0 {
						want = section.Name
					}
					if line[i] != want {
						t.Errorf("%s: %s is %q in CSV, %q in JSON", report, name, line[i], want)
					}
				}
			}
		}
		if len(lines) > 0 {
			t.Errorf("%s: %d lines of CSV are not in JSON", report, len(lines))
		}
	}
}

func TestFindingsExit(t *testing.T) {
	ask := func(more ...string) []string {
		return append([]string{"report", "findings", "-f", policy, "--at", reportsAt}, more...)
	}
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"an error":                    {ask(), exitDenied},
		"but none is asked for":       {ask("--fail-on", "never"), exitAllowed},
		"no error of this party":      {ask("--party", "analysis-entrustee"), exitAllowed},
		"but a note":                  {ask("--party", "analysis-entrustee", "--fail-on", "note"), exitDenied},
		"an unknown severity":         {ask("--fail-on", "some"), exitWrong},
		"a party that is not there":   {ask("--party", "nobody"), exitWrong},
		"a mark without its format":   {ask("--bom"), exitWrong},
		"linked data of no records":   {ask("-o", "jsonld"), exitWrong},
		"an argument that is no file": {[]string{"report", "ledger", "x"}, exitWrong},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, wrong := command(t, nil, test.args...)
			if code != test.code || (code == exitWrong) != (wrong != "") {
				t.Errorf("exit code %d, want %d: %s", code, test.code, wrong)
			}
		})
	}
}

// Whatever people write, no cell of CSV is a formula, and no text of HTML is markup.
func TestReportsOfHostileTexts(t *testing.T) {
	const hostile = `{apiVersion: entrustment.dev/v1alpha1, kind: DataProcessor, metadata: {name: c}, spec: {legalName: "=HYPERLINK(\"x\")</script><img src=x onerror=alert(1)>", address: "@SUM(1)", country: JP, representative: "+1", contacts: [{role: General, name: "-1"}], namespaces: [{name: own}]}}
---
{apiVersion: entrustment.dev/v1alpha1, kind: Purpose, metadata: {name: p}, spec: {controllerName: c, title: "=1+1<b>\u202E", description: "\ttab"}}
---
{apiVersion: entrustment.dev/v1alpha1, kind: PersonalDataStore, metadata: {name: s, namespace: d}, spec: {title: "=cmd|' /C calc'!A0", controllerName: c, dataCategories: [user], allowedPurposes: [p], endpoint: {podSelector: {matchLabels: {a: b}}, ports: [{port: 1}]}}}
`
	for _, report := range []string{"records", "ledger", "processors", "access", "findings"} {
		_, text, wrong := command(t, strings.NewReader(hostile), "report", report, "-f", "-", "--at", reportsAt, "-o", "csv", "--bom")
		if !strings.HasPrefix(text, "\uFEFFsection,") {
			t.Fatalf("%s does not begin with a mark: %q %s", report, text[:min(20, len(text))], wrong)
		}
		records, err := csv.NewReader(strings.NewReader(text[3:])).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			for _, cell := range record {
				if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@\t\r\n") {
					t.Errorf("%s: %q is a formula", report, cell)
				}
			}
		}
		_, text, _ = command(t, strings.NewReader(hostile), "report", report, "-f", "-", "--at", reportsAt, "-o", "html")
		for _, markup := range []string{"<img", "<b>", "<script", "</script"} {
			if strings.Contains(text, markup) {
				t.Errorf("%s: %s is in the page", report, markup)
			}
		}
		_, text, _ = command(t, strings.NewReader(hostile), "report", report, "-f", "-", "--at", reportsAt)
		if strings.ContainsAny(text, "\u202E\t") {
			t.Errorf("%s: the terminal is told to turn round", report)
		}
	}
}

func TestReportsThatCannotBeWritten(t *testing.T) {
	for _, format := range []string{"table", "csv", "json", "html", "jsonld"} {
		var wrong bytes.Buffer
		streams := genericiooptions.IOStreams{In: strings.NewReader(""), Out: full{}, ErrOut: &wrong}
		code := Run(t.Context(), []string{"report", "records", "-f", policy, "-o", format}, streams, testclock.NewFakePassiveClock(cases.At), "")
		if code != exitWrong || !strings.Contains(wrong.String(), "no space left") {
			t.Errorf("%s: exit code %d: %s", format, code, wrong.String())
		}
	}
}

// A report is one document: nothing is written when the files are wrong.
func TestNoPartOfAReport(t *testing.T) {
	var wrongFile bytes.Buffer
	wrongFile.WriteString("{apiVersion: entrustment.dev/v1alpha1, kind: Purpose, metadata: {name: p}, spec: {title: t}}")
	code, out, wrong := command(t, &wrongFile, "report", "records", "-f", "-")
	if code != exitWrong || out != "" || wrong == "" {
		t.Errorf("exit code %d: %s%s", code, out, wrong)
	}
}

// Every column is described: those who read CSV or JSON rely on them.
func TestEveryColumnIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/reports.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, report := range []string{"records", "ledger", "processors", "access", "findings"} {
		_, text, _ := command(t, nil, "report", report, "-f", policy, "--at", reportsAt, "-o", "csv")
		header, _, _ := strings.Cut(text, "\n")
		for _, name := range strings.Split(header, ",") {
			_, key, _ := strings.Cut(name, ".")
			if !strings.Contains(string(page), "`"+key+"`") {
				t.Errorf("%s: %s is not described", report, name)
			}
		}
	}
}

func TestMap(t *testing.T) {
	for format, begins := range map[string]string{
		"html": "<!DOCTYPE html>", "svg": "<svg xmlns=", "dot": "digraph entrustments {\n", "mermaid": "flowchart LR\n",
	} {
		code, all, wrong := command(t, nil, "map", "-f", policy, "--at", reportsAt, "-o", format)
		if code != exitAllowed || wrong != "" || !strings.HasPrefix(all, begins) {
			t.Fatalf("%s: exit code %d: %s%s", format, code, wrong, all[:min(len(all), 40)])
		}
		_, one, _ := command(t, nil, "map", "-f", policy, "--at", reportsAt, "-o", format, "--party", "billing-entrustee")
		for text, everywhere := range map[string]bool{"fees-print-mailing": true, "campaigns": false} {
			if !strings.Contains(all, text) || strings.Contains(one, text) != everywhere {
				t.Errorf("%s of one party: %s is there %t", format, text, !everywhere)
			}
		}
	}
	if code, _, wrong := command(t, nil, "map", "-f", policy, "--party", "nobody"); code != exitWrong || wrong != "error: --party: DataProcessor nobody does not exist\n" {
		t.Errorf("exit code %d: %s", code, wrong)
	}
}
