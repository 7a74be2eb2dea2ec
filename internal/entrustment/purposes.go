package entrustment

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
)

// purpose is a Purpose in its forest.
type purpose struct {
	obj    *v1alpha1.Purpose
	parent *purpose
	forest *forest // nil: the chain of parents is broken, so nobody knows what it is a part of
	id     int32   // place in the forest's preorder
	end    int32   // its descendants are [id+1, end)

	flaw     v1alpha1.Reason // why nobody may declare it; empty: it may be declared
	until    time.Time       // earliest end, of its own or an ancestor's; zero: none
	consent  bool            // needs consent, by itself or an ancestor
	contacts bool            // contacts individuals, by itself or an ancestor
	banned   bool            // prohibited, by itself or an ancestor

	child, sibling *purpose // first child and next sibling, in the order of names
}

func (p *purpose) name() string { return p.obj.Name }

// below says whether p is a or one of its descendants.
func (p *purpose) below(a *purpose) bool {
	return p.forest == a.forest && a.id <= p.id && p.id < a.end
}

// forest holds the purposes of one data controller. A purpose binds only data of the same data controller, so no set
// ever reaches beyond a forest.
type forest struct {
	members    []*purpose // by id
	inForce    set        // may be declared at the snapshot's instant
	banned     set        // prohibited purposes with their descendants and ancestors
	contacting set        // purposes that contact individuals, with their ancestors
	gated      []*purpose // purposes that need consent

	uses atomic.Pointer[useCounts] // nil: nobody has asked for them yet
}

// plantForests finds the purposes whose chain of parents is intact and gives each its place; the others stay without a forest.
func plantForests(objects []*v1alpha1.Purpose, clock *boundaries) (map[string]*purpose, map[string]*forest) {
	nodes := make([]purpose, 0, len(objects))
	byName := make(map[string]*purpose, len(objects))
	for _, obj := range objects {
		if obj == nil || byName[obj.Name] != nil {
			continue
		}
		nodes = append(nodes, purpose{obj: obj, flaw: v1alpha1.ReasonPurposeUnknown})
		byName[obj.Name] = &nodes[len(nodes)-1]
	}
	slices.SortFunc(nodes, func(a, b purpose) int { return strings.Compare(a.obj.Name, b.obj.Name) })
	for i := range nodes {
		byName[nodes[i].obj.Name] = &nodes[i]
	}

	forests := map[string]*forest{}
	for i := len(nodes) - 1; i >= 0; i-- { // backwards, so that siblings come out in the order of names
		p := &nodes[i]
		parent := byName[p.obj.Spec.ParentName]
		if p.obj.Spec.ParentName == "" || parent == nil || parent.obj.Spec.ControllerName != p.obj.Spec.ControllerName {
			continue
		}
		p.parent = parent
		p.sibling, parent.child = parent.child, p
	}
	for i := range nodes {
		p := &nodes[i]
		if p.obj.Spec.ParentName != "" {
			continue
		}
		f := forests[p.obj.Spec.ControllerName]
		if f == nil {
			f = &forest{}
			forests[p.obj.Spec.ControllerName] = f
		}
		f.plant(p, clock)
	}
	for _, f := range forests {
		f.close()
	}
	return byName, forests
}

// plant numbers a tree in preorder, without recursion because nothing bounds its depth.
func (f *forest) plant(root *purpose, clock *boundaries) {
	for p := root; p != nil; {
		p.forest, p.id = f, int32(len(f.members))
		f.members = append(f.members, p)
		p.inherit(clock)
		if p.child != nil {
			p = p.child
			continue
		}
		for p != nil {
			p.end = int32(len(f.members))
			if p.sibling != nil { // a root has none
				p = p.sibling
				break
			}
			p = p.parent
		}
	}
}

// inherit settles what follows from the purpose itself and its parent, which is settled already.
func (p *purpose) inherit(clock *boundaries) {
	spec := &p.obj.Spec
	p.banned = spec.Disposition == v1alpha1.DispositionProhibited
	p.consent = spec.ConsentRequired
	p.contacts = spec.ContactsIndividuals
	p.flaw = ""
	clock.addTerm(spec.NotBefore, spec.NotAfter)
	if begun, ended := inForce(clock.now, spec.NotBefore, spec.NotAfter); !begun || ended {
		p.flaw = v1alpha1.ReasonPurposeNotInForce
	}
	if spec.NotAfter != nil {
		p.until = spec.NotAfter.Time
	}
	if up := p.parent; up != nil {
		p.banned = p.banned || up.banned
		p.consent = p.consent || up.consent
		p.contacts = p.contacts || up.contacts
		p.until = earlier(p.until, up.until)
		if up.flaw == v1alpha1.ReasonPurposeNotInForce {
			p.flaw = up.flaw
		}
	}
	if p.banned {
		p.flaw = v1alpha1.ReasonPurposeProhibited
	}
	clock.addEnd(p.until)
}

func (f *forest) close() {
	size := len(f.members)
	f.inForce, f.banned, f.contacting = newSet(size), newSet(size), newSet(size)
	for _, p := range f.members {
		if p.flaw == "" {
			f.inForce.add(p.id)
		}
		if p.banned {
			f.banned.addUp(p)
		}
		if p.contacts {
			f.contacting.addUp(p)
		}
		if p.consent {
			f.gated = append(f.gated, p)
		}
	}
}

// addUp adds a purpose and its ancestors, to a set that is closed upwards already.
func (s set) addUp(p *purpose) {
	for ; p != nil && !s.has(p.id); p = p.parent {
		s.add(p.id)
	}
}

// extent adds to an empty set the named purposes with their descendants, less the prohibited ones with their
// descendants and ancestors: AIP↓ − PIP↕. Names that do not exist, or belong to another data controller, name nothing.
func (f *forest) extent(s set, byName map[string]*purpose, allowed, prohibited []string) {
	for _, name := range allowed {
		if p := byName[name]; p != nil && p.forest == f {
			s.addRange(p.id, p.end)
		}
	}
	for _, name := range prohibited {
		if p := byName[name]; p != nil && p.forest == f {
			s.removeRange(p.id, p.end)
			for up := p.parent; up != nil; up = up.parent {
				s.remove(up.id)
			}
		}
	}
}

// unconsented is what consent rules out: each purpose that needs it and is not below a consented one, with its
// ancestors but not its descendants, so that a consented child complies under an unconsented parent.
func (f *forest) unconsented(byName map[string]*purpose, consented []string) set {
	size := len(f.members)
	granted, out := newSet(size), newSet(size)
	for _, name := range consented {
		if p := byName[name]; p != nil && p.forest == f {
			granted.addRange(p.id, p.end)
		}
	}
	for _, p := range f.gated {
		if !granted.has(p.id) {
			out.addUp(p)
		}
	}
	return out
}
