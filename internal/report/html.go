package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strconv"
	"time"
)

//go:embed report.html
var pageText string

//go:embed report.css
var style string

var page = template.Must(template.New("report").Parse(pageText))

// mostAcross is the number of columns up to which a table fits across a page; with more, each row gets a table of its own.
const mostAcross = 10

// WriteHTML writes a report as one page that needs nothing else: no script, no image, no font, and by its own policy nothing
// can be loaded into it. It prints, follows the reader's colour scheme, and escapes all that people wrote.
func WriteHTML(out io.Writer, r Report) error {
	type cell struct {
		Column
		Values []string
		Blank  string // why there are no values
	}
	type row struct {
		ID, Title string
		Cells     []cell
	}
	type section struct {
		Section
		ID     string
		Across bool
		Rows   []row
	}
	view := struct {
		Report
		Instant string
		Policy  string
		Style   template.CSS
		Tables  []section
	}{Report: r, Instant: r.At.Format(time.RFC3339), Policy: policy(), Style: template.CSS(style)}
	for _, s := range r.Sections {
		table := section{Section: s, ID: s.Name, Across: len(s.Columns) <= mostAcross || r.Name == "access"}
		for i, entry := range s.Rows {
			line := row{ID: rowID(s.Name, i), Title: entry.Title}
			for j, c := range s.Columns {
				line.Cells = append(line.Cells, cell{c, entry.Cells[j], r.blank(c, entry.Cells[j])})
			}
			table.Rows = append(table.Rows, line)
		}
		view.Tables = append(view.Tables, table)
	}
	return page.Execute(out, view)
}

func rowID(section string, i int) string { return section + "-" + strconv.Itoa(i+1) }

// blank says why a cell is empty.
func (r Report) blank(c Column, cell Cell) string {
	switch {
	case len(cell) > 0:
		return ""
	case c.Origin == Unknown:
		return "to be filled in"
	case c.Origin == Observed && !r.Observed:
		return "not read from a cluster"
	case c.Origin == Observed:
		return "not observed"
	case c.Origin == Declared:
		return "not recorded"
	default:
		return "none"
	}
}

// policy lets in the style sheet alone.
func policy() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'"
}
