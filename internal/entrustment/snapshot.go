package entrustment

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// Snapshot is the compiled state of all promises at one instant. It never changes and may be read by many at once. The
// zero Snapshot denies everything.
type Snapshot struct {
	calendar calendar
	clock    boundaries

	purposes  map[string]*purpose
	parties   map[string]*party
	bindings  map[string]*binding
	stores    map[types.NamespacedName]*store
	inside    map[string][]*store // those made of pods, by namespace, in the order of names
	contracts map[string]*contract
	external  []types.NamespacedName // stores outside the cluster, sorted

	namespaces map[string]types.UID // that exist; nil: not known
}

// Now is the instant for which the snapshot was compiled.
func (s *Snapshot) Now() time.Time { return s.calendar.now }

// NextChange is the earliest instant after Now at which time alone changes a decision or a status; false: there is none.
func (s *Snapshot) NextChange() (time.Time, bool) {
	return s.clock.next, !s.clock.next.IsZero()
}

// Binding tells to which DataProcessor a namespace is bound, and how strictly; false: to nobody.
func (s *Snapshot) Binding(namespace string) (processor string, enforcement v1alpha1.Enforcement, bound bool) {
	b := s.bindings[namespace]
	if !b.bound() {
		return "", "", false
	}
	return b.party.name, b.enforcement(), true
}

// BoundNamespaces are the namespaces bound to exactly one DataProcessor, sorted.
func (s *Snapshot) BoundNamespaces() []string {
	var names []string
	for name, b := range s.bindings {
		if b.bound() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// BoundTo are the namespaces bound to a DataProcessor, sorted.
func (s *Snapshot) BoundTo(processor string) []string {
	var names []string
	if p := s.parties[processor]; p != nil {
		for i := range p.bindings {
			if p.bindings[i].bound() {
				names = append(names, p.bindings[i].namespace)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Stores are the keys of all stores, sorted.
func (s *Snapshot) Stores() []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(s.stores), compareKeys)
}

// Entrustments are the names of all contracts, sorted.
func (s *Snapshot) Entrustments() []string {
	return slices.Sorted(maps.Keys(s.contracts))
}

// InForce says whether a contract entrusts something now: it is authorised and active, and handled where it may be.
func (s *Snapshot) InForce(entrustment string) bool {
	c := s.contracts[entrustment]
	return c != nil && c.sound()
}

// Store is the object with that key; nil if there is none.
func (s *Snapshot) Store(key types.NamespacedName) *v1alpha1.PersonalDataStore {
	if st := s.stores[key]; st != nil {
		return st.obj
	}
	return nil
}

// SameStore says whether a store is the one that it was, with the spec that it had; nil is no store.
func SameStore(old, next *v1alpha1.PersonalDataStore) bool {
	return old != nil && next != nil && old.UID == next.UID && old.Generation == next.Generation
}

// Reports says whether nothing is cut for a store; one that is suspended is closed all the same.
func Reports(store *v1alpha1.PersonalDataStore) bool {
	return store.Spec.Enforcement == v1alpha1.EnforcementReport && !store.Spec.Suspended
}

// boundaries collects the instants and the days at which something changes and keeps the next.
type boundaries struct {
	now  time.Time
	next time.Time // zero: nothing changes

	begun day // the last that has begun by now
	day   day // the next; none: nothing changes with a day
}

func newBoundaries(c calendar) boundaries {
	b := boundaries{now: c.now, begun: c.today, day: none}
	if !c.start(c.today + 1).After(c.now) { // clocks were put back over midnight: it has begun, and will once more
		b.begun++
	}
	return b
}

func (b *boundaries) add(t time.Time) {
	if t.After(b.now) {
		b.next = earlier(b.next, t)
	}
}

// addDay notes the beginning of a day.
func (b *boundaries) addDay(d day) {
	if d > b.begun && (b.day == none || d < b.day) {
		b.day = d
	}
}

// addTerm notes the bounds of a term; nil is no bound.
func (b *boundaries) addTerm(from, until *metav1.Time) {
	if from != nil {
		b.add(from.Time)
	}
	if until != nil {
		b.add(until.Time)
	}
}

// addEnd notes an end, or the first of the warnings before it that is still to come; zero is no end.
func (b *boundaries) addEnd(end time.Time) {
	for _, w := range warnings {
		if due := end.Add(-w.before); due.After(b.now) {
			b.add(due)
			return
		}
	}
	b.add(end)
}

// earlier of two instants, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func compareKeys(a, b types.NamespacedName) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
