package chart

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/internal/report"
)

// A Chart is everything that is drawn, in an order that depends on names alone.
type Chart struct {
	At    time.Time
	Nodes []*Node
	Edges []*Edge
}

// Kind is the column of a node.
type Kind int

// The kinds, from left to right.
const (
	KindParty Kind = iota
	KindContract
	KindPurpose
	KindStore
	KindNamespace
	kinds // how many there are
)

var kindNames = [kinds]string{"Party", "Contract", "Purpose", "Store", "Namespace"}
var kindTitles = [kinds]string{"Parties", "Contracts", "Purposes", "Stores", "Namespaces"}

func (k Kind) String() string { return kindNames[k] }

// Title is the heading of the column.
func (k Kind) Title() string { return kindTitles[k] }

// A Node is one object.
type Node struct {
	ID    string // of the element: a letter and a number
	Kind  Kind
	Name  string // NAMESPACE/NAME for a store
	Title string // what people call it; empty: its name
	State report.State
	Until string // when that ends; empty: it does not
	Facts []Fact

	row, x, y int // where the layout puts it
	near      []*Node
}

// Fact is something to know about a node.
type Fact struct{ Name, Value string }

// Relation is what an edge means.
type Relation string

// The relations. Those that are far lead across the whole drawing, and are shown only of what is chosen.
const (
	Entrusts  Relation = "entrusts"       // party to contract
	Entrusted Relation = "is entrusted"   // contract to party
	Above     Relation = "sub-entrusts"   // contract to contract
	For       Relation = "is for"         // contract to purpose
	Opens     Relation = "opens"          // contract to store
	Serves    Relation = "may be used in" // purpose to store
	PartOf    Relation = "contains"       // purpose to purpose
	Reaches   Relation = "is reached by"  // store to namespace: a grant, now
	Binds     Relation = "runs"           // party to namespace; far
	Holds     Relation = "is controller"  // party to store; far
)

// An Edge joins two nodes, from left to right where they are in different columns.
type Edge struct {
	From, To *Node
	Relation Relation
	State    report.State // of the contract that it stands for
}

// Far says whether an edge is shown only of what is chosen.
func (e *Edge) Far() bool { return e.Relation == Binds || e.Relation == Holds }

// New collects what there is to draw. A party draws what concerns it alone: what is joined to it, and what is joined to that by a
// contract of its own. Empty: everything.
func New(w *report.World, party string) *Chart {
	c := &collector{world: w, chart: &Chart{At: w.At()}, nodes: map[string]*Node{}, joined: map[[2]*Node]bool{}}
	c.collect()
	if party != "" {
		c.chart.keep(c.nodes[key(KindParty, party)])
	}
	c.chart.number()
	c.chart.arrange()
	return c.chart
}

type collector struct {
	world  *report.World
	chart  *Chart
	nodes  map[string]*Node
	joined map[[2]*Node]bool
}

func key(kind Kind, name string) string { return kind.String() + "/" + name }

func (c *collector) node(kind Kind, name, title string, state report.State, until *metav1.Time, facts ...Fact) {
	n := &Node{Kind: kind, Name: name, Title: title, State: state, Until: c.world.When(until)}
	for _, f := range facts {
		if f.Value != "" {
			n.Facts = append(n.Facts, f)
		}
	}
	c.nodes[key(kind, name)] = n
	c.chart.Nodes = append(c.chart.Nodes, n)
}

// join draws an edge between nodes that exist, once.
func (c *collector) join(from *Node, relation Relation, to *Node, state report.State) {
	if from == nil || to == nil || from == to || c.joined[[2]*Node{from, to}] {
		return
	}
	c.joined[[2]*Node{from, to}] = true
	c.chart.Edges = append(c.chart.Edges, &Edge{from, to, relation, state})
}

func (c *collector) collect() {
	w := c.world
	for _, p := range w.Parties {
		c.node(KindParty, p.Name, p.Spec.LegalName, p.State, nil,
			Fact{"Country", p.Spec.Country}, Fact{"Roles", list(p.Says.Roles)}, Fact{"Next review", p.Says.NextReviewDate},
			Fact{"Suspended", p.Spec.SuspendedReason})
	}
	for _, e := range w.Contracts {
		c.node(KindContract, e.Name, e.Spec.Services, e.State, e.Until(),
			Fact{"From", w.When(e.Spec.NotBefore)}, Fact{"Until", w.When(e.Until())}, Fact{"Why", e.Why()},
			Fact{"Entruster", w.LegalName(e.Spec.EntrusterName)}, Fact{"Entrustee", w.LegalName(e.Spec.EntrusteeName)},
			Fact{"Next review", e.Says.NextReviewDate}, Fact{"Data", strings.Join(e.Spec.DataCategories, ", ")})
	}
	for _, p := range w.Purposes {
		c.node(KindPurpose, p.Name, p.Spec.Title, p.State, p.Spec.NotAfter, Fact{"Legal basis", list(p.Spec.LegalBases)}, Fact{"Why", p.Why()})
	}
	for _, s := range w.Stores {
		c.node(KindStore, s.Key, s.Spec.Title, s.State, nil,
			Fact{"Data controller", w.LegalName(s.Spec.ControllerName)}, Fact{"Form", string(s.Spec.DataForm)},
			Fact{"Data", strings.Join(s.Spec.DataCategories, ", ")}, Fact{"Suspended", s.Spec.SuspendedReason})
	}
	for _, namespace := range w.Namespaces() {
		c.namespace(namespace)
	}
	c.edges()
}

// namespace is in force while it has a grant, and ends with the last of them.
func (c *collector) namespace(name string) {
	state, until := report.StateDenied, metav1.Time{}
	grants := c.world.Grants(name)
	for i, g := range grants {
		if state = report.StateInForce; i == 0 || g.Until.IsZero() || !until.IsZero() && g.Until.After(until.Time) {
			until = metav1.Time{Time: g.Until}
		}
		if g.Until.IsZero() {
			break
		}
	}
	if c.world.Soon(&until) {
		state = report.StateEndingSoon
	}
	why := ""
	if len(grants) == 0 {
		why = "nothing is granted to it"
	}
	c.node(KindNamespace, name, "", state, &until, Fact{"Party", c.world.LegalName(c.world.PartyOf(name))}, Fact{"Why", why})
}

func (c *collector) edges() {
	w := c.world
	at := func(kind Kind, name string) *Node { return c.nodes[key(kind, name)] }
	for _, e := range w.Contracts {
		contract := at(KindContract, e.Name)
		c.join(at(KindParty, e.Spec.EntrusterName), Entrusts, contract, e.State)
		c.join(contract, Entrusted, at(KindParty, e.Spec.EntrusteeName), e.State)
		c.join(at(KindContract, e.Spec.ParentName), Above, contract, e.State)
		for _, name := range e.Spec.Purposes {
			c.join(contract, For, at(KindPurpose, name), e.State)
		}
		for _, s := range e.Spec.Stores {
			c.join(contract, Opens, at(KindStore, s.Namespace+"/"+s.Name), e.State)
		}
	}
	for _, p := range w.Purposes {
		c.join(at(KindPurpose, p.Spec.ParentName), PartOf, at(KindPurpose, p.Name), p.State)
	}
	for _, s := range w.Stores {
		store := at(KindStore, s.Key)
		c.join(at(KindParty, s.Spec.ControllerName), Holds, store, s.State)
		for _, name := range s.Spec.AllowedPurposes {
			c.join(at(KindPurpose, name), Serves, store, s.State)
		}
	}
	for _, name := range w.Namespaces() {
		namespace := at(KindNamespace, name)
		c.join(at(KindParty, w.PartyOf(name)), Binds, namespace, namespace.State)
		for _, g := range w.Grants(name) {
			for _, store := range g.Stores {
				c.join(at(KindStore, store.String()), Reaches, namespace, namespace.State)
			}
		}
	}
}

// keep leaves one node, its neighbours, the neighbours of those that are contracts, and the namespaces of their entrustees.
func (c *Chart) keep(focus *Node) {
	kept := map[*Node]bool{focus: true}
	spread := func(from func(*Node) bool) {
		var more []*Node
		for _, e := range c.Edges {
			if from(e.From) {
				more = append(more, e.To)
			}
			if from(e.To) {
				more = append(more, e.From)
			}
		}
		for _, n := range more {
			kept[n] = true
		}
	}
	spread(func(n *Node) bool { return n == focus })
	spread(func(n *Node) bool { return kept[n] && n.Kind == KindContract })
	entrustees := map[*Node]bool{}
	for _, e := range c.Edges {
		if e.Relation == Entrusted && kept[e.From] {
			entrustees[e.To] = true
		}
	}
	for _, e := range c.Edges {
		if e.Relation == Binds && entrustees[e.From] {
			kept[e.To] = true
		}
	}
	c.Nodes = slices.DeleteFunc(c.Nodes, func(n *Node) bool { return !kept[n] })
	c.Edges = slices.DeleteFunc(c.Edges, func(e *Edge) bool { return !kept[e.From] || !kept[e.To] })
}

func list[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, word := range words {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}
