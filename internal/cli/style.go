package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// A colour is how a terminal is told to write; nothing for anything else than a terminal.
type colour string

const (
	green  colour = "\x1b[32m"
	red    colour = "\x1b[31m"
	yellow colour = "\x1b[33m"
	faint  colour = "\x1b[2m"
)

// palette writes in colours, or not.
type palette struct{ on bool }

// newPalette has colours on a terminal that has them, unless NO_COLOR says otherwise (no-color.org).
func newPalette(out io.Writer) palette {
	return palette{os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(out)}
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func (p palette) paint(c colour, text string) string {
	if !p.on || c == "" {
		return text
	}
	return string(c) + text + "\x1b[0m"
}

// working tells whoever waits at a terminal for longer than a second what takes so long. The returned function ends it.
func working(streams genericiooptions.IOStreams, what string) (done func()) {
	if !isTerminal(streams.ErrOut) {
		return func() {}
	}
	timer := time.AfterFunc(time.Second, func() { fmt.Fprintf(streams.ErrOut, "%s...\n", what) })
	return func() { timer.Stop() }
}

// A table aligns its columns by what is seen: colours take no room.
type table struct {
	rows [][]cell
}

type cell struct {
	text   string
	colour colour
}

func newTable(header ...string) *table {
	t := &table{}
	t.add(header...)
	return t
}

func (t *table) add(texts ...string) {
	cells := make([]cell, len(texts))
	for i, text := range texts {
		cells[i].text = text
	}
	t.rows = append(t.rows, cells)
}

// paint colours a cell of the last row.
func (t *table) paint(column int, c colour) { t.rows[len(t.rows)-1][column].colour = c }

func (t *table) write(out io.Writer, p palette) error {
	var widths []int
	for _, row := range t.rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		for i, c := range row {
			b.WriteString(p.paint(c.colour, c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+3))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeIndented writes a value as JSON over several lines, its text as it is.
func writeIndented(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// counted is a number of things, for people.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// when writes an instant for people; zero is never.
func when(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(zone).Format(time.RFC3339)
}

// instantJSON is an instant as programs read it; null is never.
func instantJSON(t time.Time, zone *time.Location) *string {
	if t.IsZero() {
		return nil
	}
	text := t.In(zone).Format(time.RFC3339)
	return &text
}
