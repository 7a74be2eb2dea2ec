package report

import (
	"encoding/json"
	"time"
)

// Report is one document, for one party or all, at one instant.
type Report struct {
	Name     string // records, ledger, processors, access, findings
	Title    string
	Party    string    // DataProcessor it is about; empty: all
	At       time.Time // in the time zone of the report
	Observed bool      // whether a cluster was read, so that columns of origin Observed mean something
	Notes    []string  // what a reader has to know: what is left blank, and why
	Sections []Section
}

// Section is a table of a report.
type Section struct {
	Name, Title string
	Law         string // that asks for the whole
	Columns     []Column
	Rows        []Row
}

// Column describes the cells of one column. Key and Origin together name it for programs and never change.
type Column struct {
	Key, Title string
	Origin     Origin
	Law        string // that asks for it; empty: none does, it helps
	List       bool   // cells hold any number of values, else one or none
	Brief      bool   // shown where there is little room
}

// Row is one entry; it has a cell for each column.
type Row struct {
	Title string
	Cells []Cell
}

// Cell holds values. Nil in a column that was observed: nobody has looked.
type Cell []string

// Origin is where the cells of a column come from.
type Origin string

// The origins.
const (
	Declared Origin = "declared" // written by people, in a spec
	Derived  Origin = "derived"  // what follows from that at the instant, as the decision core says
	Observed Origin = "observed" // what the operator last saw in the cluster, as a status says, whatever the instant
	Unknown  Origin = "unknown"  // nothing in the cluster says it; blank, for a person to fill in
)

// column makes cells of one column from items.
type column[T any] struct {
	Column
	of func(T) []string
}

func newSection[T any](name, title, law string, columns []column[T], items []T, rowTitle func(T) string) Section {
	s := Section{Name: name, Title: title, Law: law, Rows: make([]Row, 0, len(items))}
	for i := range columns {
		s.Columns = append(s.Columns, columns[i].Column)
	}
	for _, item := range items {
		row := Row{Title: rowTitle(item), Cells: make([]Cell, len(columns))}
		for i := range columns {
			if columns[i].of != nil {
				row.Cells[i] = columns[i].of(item)
			}
		}
		s.Rows = append(s.Rows, row)
	}
	return s
}

// brief shows a column where there is little room, too.
func (c column[T]) brief() column[T] {
	c.Brief = true
	return c
}

// one makes a column whose cells have one value or none.
func one[T any](origin Origin, key, title, law string, of func(T) string) column[T] {
	return column[T]{Column{Key: key, Title: title, Origin: origin, Law: law}, func(item T) []string {
		if value := of(item); value != "" {
			return []string{value}
		}
		return nil
	}}
}

// many makes a column whose cells have any number of values.
func many[T any](origin Origin, key, title, law string, of func(T) []string) column[T] {
	return column[T]{Column{Key: key, Title: title, Origin: origin, Law: law, List: true}, of}
}

// blank makes a column that only a person can fill in.
func blank[T any](key, title, law string) column[T] {
	return column[T]{Column: Column{Key: key, Title: title, Origin: Unknown, Law: law}}
}

// MarshalJSON writes the report as programs read it. A row holds an object for each origin. A column of lists is an array,
// another a string or null. What was not observed is null, and a column that nothing in the cluster can fill is in unknown.
func (r Report) MarshalJSON() ([]byte, error) {
	type jsonColumn struct {
		Key    string `json:"key"`
		Title  string `json:"title"`
		Origin Origin `json:"origin"`
		Law    string `json:"law,omitempty"`
	}
	type jsonSection struct {
		Name    string                      `json:"name"`
		Title   string                      `json:"title"`
		Law     string                      `json:"law,omitempty"`
		Columns []jsonColumn                `json:"columns"`
		Unknown []string                    `json:"unknown"`
		Rows    []map[Origin]map[string]any `json:"rows"`
	}
	sections := make([]jsonSection, 0, len(r.Sections))
	for _, s := range r.Sections {
		section := jsonSection{Name: s.Name, Title: s.Title, Law: s.Law, Unknown: []string{}, Rows: []map[Origin]map[string]any{}}
		for _, c := range s.Columns {
			section.Columns = append(section.Columns, jsonColumn{c.Key, c.Title, c.Origin, c.Law})
			if c.Origin == Unknown {
				section.Unknown = append(section.Unknown, c.Key)
			}
		}
		for _, row := range s.Rows {
			object := map[Origin]map[string]any{}
			for i, c := range s.Columns {
				if c.Origin == Unknown {
					continue
				}
				if object[c.Origin] == nil {
					object[c.Origin] = map[string]any{}
				}
				object[c.Origin][c.Key] = c.value(row.Cells[i])
			}
			section.Rows = append(section.Rows, object)
		}
		sections = append(sections, section)
	}
	return json.Marshal(struct {
		Report   string        `json:"report"`
		Title    string        `json:"title"`
		Party    *string       `json:"party"`
		At       string        `json:"at"`
		Observed bool          `json:"observed"`
		Notes    []string      `json:"notes"`
		Sections []jsonSection `json:"sections"`
	}{r.Name, r.Title, nullable(r.Party), r.At.Format(time.RFC3339), r.Observed, append([]string{}, r.Notes...), sections})
}

func (c Column) value(cell Cell) any {
	switch {
	case !c.List && len(cell) == 0, c.Origin == Observed && cell == nil:
		return nil
	case !c.List:
		return cell[0]
	default:
		return append([]string{}, cell...)
	}
}

func nullable(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
