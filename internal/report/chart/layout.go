package chart

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Sizes in the drawing's own unit, which is a pixel where nothing scales it.
const (
	nodeWidth  = 200
	nodeHeight = 44
	rowHeight  = 54
	gap        = 60 // between columns
	margin     = 16
	headHeight = 34
	sweeps     = 12 // of reordering; more change nothing that is seen
)

// number names the nodes for the drawing.
func (c *Chart) number() {
	for i, n := range c.Nodes {
		n.ID = "n" + strconv.Itoa(i)
	}
}

// columns are the nodes of each kind, as they stand.
func (c *Chart) columns() [kinds][]*Node {
	var columns [kinds][]*Node
	for _, n := range c.Nodes {
		columns[n.Kind] = append(columns[n.Kind], n)
	}
	for _, column := range columns {
		slices.SortStableFunc(column, func(a, b *Node) int { return cmp.Compare(a.row, b.row) })
	}
	return columns
}

// arrange orders each column so that few edges cross: a node goes where the average of its neighbours in other columns is, in
// sweeps from left to right and back. Ties keep their order, so the outcome depends on nothing but the order of the nodes.
func (c *Chart) arrange() {
	for _, e := range c.Edges {
		if e.Far() || e.From.Kind == e.To.Kind {
			continue
		}
		e.From.near, e.To.near = append(e.From.near, e.To), append(e.To.near, e.From)
	}
	columns := c.columns()
	for kind := range columns {
		for row, n := range columns[kind] {
			n.row = row
		}
	}
	for sweep := range sweeps {
		for i := range columns {
			if sweep%2 == 1 {
				i = len(columns) - 1 - i
			}
			reorder(columns[i], columns)
		}
	}
	for kind, column := range columns {
		for row, n := range column {
			n.x, n.y = margin+kind*(nodeWidth+gap), margin+headHeight+row*rowHeight
		}
	}
	slices.SortStableFunc(c.Nodes, func(a, b *Node) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.row, b.row)) })
}

// reorder sorts one column by the barycentres of its nodes. Rows are taken as shares of their columns, which differ in length.
func reorder(column []*Node, columns [kinds][]*Node) {
	share := func(n *Node) float64 { return (float64(n.row) + 0.5) / float64(len(columns[n.Kind])) }
	centre := make(map[*Node]float64, len(column))
	for _, n := range column {
		centre[n] = share(n)
		if len(n.near) > 0 {
			sum := 0.0
			for _, other := range n.near {
				sum += share(other)
			}
			centre[n] = sum / float64(len(n.near))
		}
	}
	slices.SortStableFunc(column, func(a, b *Node) int { return cmp.Compare(centre[a], centre[b]) })
	for row, n := range column {
		n.row = row
	}
}

// size of the whole drawing.
func (c *Chart) size() (width, height int) {
	longest := 1
	for _, column := range c.columns() {
		longest = max(longest, len(column))
	}
	return 2*margin + int(kinds)*nodeWidth + int(kinds-1)*gap, 2*margin + headHeight + longest*rowHeight
}

// path of an edge: a curve from side to side, or within a column a bow beside it.
func (e *Edge) path() string {
	a, b := e.From, e.To
	if a.Kind > b.Kind {
		a, b = b, a
	}
	ay, by := a.y+nodeHeight/2, b.y+nodeHeight/2
	if a.Kind == b.Kind {
		side := a.x + nodeWidth
		bow := side + gap/2
		return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", side, ay, bow, ay, bow, by, side, by)
	}
	from, to := a.x+nodeWidth, b.x
	bend := (to - from) / 2
	return fmt.Sprintf("M%d %dC%d %d %d %d %d %d", from, ay, from+bend, ay, to-bend, by, to, by)
}
