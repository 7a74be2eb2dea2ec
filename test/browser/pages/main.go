// Command pages writes the pages that the browser looks at into a directory: every report and the map of the published policy, and
// maps of few and of many objects whose titles are hostile.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/report"
	"entrustment.dev/operator/internal/report/chart"
	"entrustment.dev/operator/test/builder"
)

var noon = time.Date(2026, time.December, 1, 3, 0, 0, 0, time.UTC)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(dir string) error {
	policy, err := gather.FromFiles([]string{"config/samples/policy"}, nil)
	if err != nil {
		return err
	}
	published, small, large := world(policy), world(builder.Large(10, noon)), world(builder.Large(500, noon))
	findings, _ := published.Findings("")
	hostile, _ := small.Findings("")
	for name, write := range map[string]func(io.Writer) error{
		"records":    page(published.Records("external-entruster")),
		"ledger":     page(published.Ledger("")),
		"processors": page(published.Processors("example-controller")),
		"access":     page(published.Access("")),
		"findings":   page(findings),
		"hostile":    page(hostile),
		"map":        chart.New(published, "").WritePage,
		"map-10":     chart.New(small, "").WritePage,
		"map-500":    chart.New(large, "").WritePage,
	} {
		file, err := os.Create(filepath.Join(dir, name+".html"))
		if err != nil {
			return err
		}
		if err := errors.Join(write(file), file.Close()); err != nil {
			return err
		}
	}
	return nil
}

func world(in entrustment.Inputs) *report.World {
	return report.NewWorld(in, entrustment.Compile(in, noon), false)
}

func page(r report.Report) func(io.Writer) error {
	return func(out io.Writer) error { return report.WriteHTML(out, r) }
}
