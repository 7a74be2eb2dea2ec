package chart

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
	"unicode"

	"entrustment.dev/operator/internal/report"
)

var (
	//go:embed drawing.css
	drawingStyle string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	script string
	//go:embed page.html
	pageText string
	//go:embed drawing.svg
	drawingText string
)

var templates = template.Must(template.Must(template.New("page").Parse(pageText)).New("drawing").Parse(drawingText))

// view is a chart as the templates read it.
type view struct {
	*Chart
	Instant       string
	Width, Height int
	Columns       []columnView
	Lines         []lineView
	Boxes         []boxView
	States        []report.State
	Counts        [kinds]int
	Policy        string
	Style         template.CSS
	Script        template.JS
	Standalone    bool
}

type columnView struct {
	Kind  Kind
	Count int
	X, Y  int
}

type lineView struct {
	From, To, Class, Path string
	Out, In               string // what the ends are to each other
}

type boxView struct {
	*Node
	X, Y         int
	Class        string
	Full         string // kind and name
	Label        string // for whoever hears it
	Line1, Line2 string
	Long         bool   // longer than the box
	Search       string // what it is found by
}

// The geometry that the templates share with the layout.
func (view) NodeWidth() int  { return nodeWidth }
func (view) NodeHeight() int { return nodeHeight }
func (view) RowHeight() int  { return rowHeight }
func (view) HeadHeight() int { return margin + headHeight }
func (view) Margin() int     { return margin }
func (view) FadeFrom() int   { return nodeWidth - 44 }
func (view) Bow() int        { return gap / 2 }

// ends say what those at the end of a relation are to the one at its beginning, and the other way round.
var ends = map[Relation][2]string{
	Entrusts: {"Entrusts under", "Entruster"}, Entrusted: {"Entrustee", "Is entrusted under"},
	Above: {"Sub-entrustments", "Sub-entrustment under"}, For: {"For the purposes", "In the contracts"},
	Opens: {"Opens the stores", "Opened by the contracts"}, Serves: {"Allowed in the stores", "Allows the purposes"},
	PartOf: {"Contains the purposes", "Part of"}, Reaches: {"Reached from the namespaces", "Reaches the stores"},
	Binds: {"Runs the namespaces", "Runs for"}, Holds: {"Data controller of", "Data controller"},
}

var states = []report.State{
	report.StateInForce, report.StateEndingSoon, report.StateComing, report.StateSuspended, report.StateEnded, report.StateDenied,
}

// stateTitles are the states in words.
var stateTitles = map[report.State]string{
	report.StateInForce: "in force", report.StateEndingSoon: "ending soon", report.StateComing: "not yet in force",
	report.StateSuspended: "suspended", report.StateEnded: "ended", report.StateDenied: "denied",
}

// StateTitle is a state in words.
func (view) StateTitle(state report.State) string { return stateTitles[state] }

func (c *Chart) view(standalone bool) view {
	width, height := c.size()
	v := view{Chart: c, Instant: c.At.Format(time.RFC3339), Width: width, Height: height, States: states, Standalone: standalone}
	for kind, column := range c.columns() {
		v.Columns = append(v.Columns, columnView{Kind(kind), len(column), margin + kind*(nodeWidth+gap), margin + 16})
		v.Counts[kind] = len(column)
	}
	for _, e := range c.Edges {
		class := "edge " + strings.ReplaceAll(string(e.Relation), " ", "-") + " " + string(e.State)
		if e.Far() {
			if standalone {
				continue // nothing can be chosen
			}
			class += " far"
		}
		v.Lines = append(v.Lines, lineView{e.From.ID, e.To.ID, class, e.path(), ends[e.Relation][0], ends[e.Relation][1]})
	}
	for _, n := range c.Nodes {
		v.Boxes = append(v.Boxes, n.box())
	}
	return v
}

// How many letters of the two lines fit into a box.
const (
	nameWidth   = 24
	detailWidth = 30
)

// box is how a node is written: two lines, cut off where the box ends, and a label that has them in full.
func (n *Node) box() boxView {
	b := boxView{Node: n, X: n.x, Y: n.y, Class: "node " + n.Kind.String() + " " + string(n.State), Full: n.Kind.String() + " " + n.Name}
	b.Line1, b.Line2 = n.Name, n.lasting()
	if n.Kind != KindContract && n.Kind != KindNamespace { // which are known by their names, and end
		b.Line1, b.Line2 = cmp.Or(n.Title, n.Name), n.Name
		if n.State != report.StateInForce {
			b.Line2 = n.lasting() + ": " + n.Name
		}
	}
	b.Long = width(b.Line1) > nameWidth || width(b.Line2) > detailWidth
	b.Label = n.Kind.String() + " " + b.Line1 + " " + b.Line2
	if n.Kind == KindContract && n.Title != "" {
		b.Label += ", " + n.Title
	}
	b.Search = strings.ToLower(n.Kind.String() + " " + n.Name + " " + n.Title + " " + stateTitles[n.State])
	for _, f := range n.Facts {
		b.Search += " " + strings.ToLower(f.Value)
	}
	return b
}

// Lasting is lasting, for the template.
func (b boxView) Lasting() string { return b.lasting() }

// lasting is the state with the day on which it ends.
func (n *Node) lasting() string {
	text := stateTitles[n.State]
	day, _, _ := strings.Cut(n.Until, "T")
	switch {
	case day == "":
		return text
	case n.State == report.StateEnded:
		return text + " on " + day
	case n.State == report.StateEndingSoon:
		return "ends soon, on " + day
	case n.State.Running():
		return text + " until " + day
	default:
		return text
	}
}

// width of a text in letters. Those of Chinese, Japanese and Korean are as wide as two.
func width(text string) int {
	width := 0
	for _, r := range text {
		if width++; r >= 0x1100 {
			width++
		}
	}
	return width
}

// WritePage writes one page with the drawing, its search, filters and details. It needs nothing else, and by its own policy
// nothing but its own style and script runs in it.
func (c *Chart) WritePage(out io.Writer) error {
	v := c.view(false)
	v.Style, v.Script = template.CSS(drawingStyle+pageStyle), template.JS(script)
	v.Policy = fmt.Sprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'", digest(string(v.Style)), digest(script))
	return templates.ExecuteTemplate(out, "page", v)
}

// WriteSVG writes the drawing alone.
func (c *Chart) WriteSVG(out io.Writer) error {
	v := c.view(true)
	v.Style = template.CSS(drawingStyle)
	return templates.ExecuteTemplate(out, "drawing", v)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// WriteDot writes the chart for Graphviz.
func (c *Chart) WriteDot(out io.Writer) error {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
	var b strings.Builder
	b.WriteString("digraph entrustments {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n")
	for kind, column := range c.columns() {
		fmt.Fprintf(&b, "  subgraph column%d {\n    rank=same;\n", kind)
		for _, n := range column {
			fmt.Fprintf(&b, "    %s [label=\"%s\\n%s\", tooltip=\"%s\", class=\"%s %s\"];\n", n.ID,
				quote(plain(n.Name)), quote(plain(n.lasting())), quote(plain(n.box().Label)), n.Kind, n.State)
		}
		b.WriteString("  }\n")
	}
	for _, e := range c.Edges {
		if !e.Far() {
			fmt.Fprintf(&b, "  %s -> %s [label=\"%s\"];\n", e.From.ID, e.To.ID, e.Relation)
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// WriteMermaid writes the chart for Mermaid. Texts are written with entities, so that none is markup of Mermaid or of a page.
func (c *Chart) WriteMermaid(out io.Writer) error {
	quote := strings.NewReplacer("#", "#35;", `"`, "#quot;", "&", "#amp;", "<", "#lt;", ">", "#gt;", "`", "#96;", "[", "#91;", "]", "#93;", `\`, "#92;").Replace
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for kind, column := range c.columns() {
		if len(column) == 0 {
			continue
		}
		fmt.Fprintf(&b, "  subgraph %s\n", Kind(kind).Title())
		for _, n := range column {
			fmt.Fprintf(&b, "    %s[\"%s<br>%s\"]:::%s\n", n.ID, quote(plain(n.Name)), quote(n.lasting()), n.State)
		}
		b.WriteString("  end\n")
	}
	for _, e := range c.Edges {
		if !e.Far() {
			fmt.Fprintf(&b, "  %s -->|%s| %s\n", e.From.ID, e.Relation, e.To.ID)
		}
	}
	b.WriteString("  classDef EndingSoon stroke:#b45309,stroke-width:2px\n  classDef Suspended,Denied stroke:#b91c1c,stroke-width:2px\n" +
		"  classDef Ended,NotYetInForce stroke-dasharray:4\n")
	_, err := io.WriteString(out, b.String())
	return err
}

// plain leaves nothing that is no text on one line.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
