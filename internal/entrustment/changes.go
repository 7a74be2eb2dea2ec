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

// A GrantChange is what pods of one namespace, under one contract or none, gain or lose at one store.
type GrantChange struct {
	Namespace   string
	Entrustment string // empty: the data controller's own handling
	Store       types.NamespacedName
	Gained      bool
	Purposes    []string  // sorted, at least one
	Until       time.Time // of what is gained: the earliest end that time alone brings; zero: none

	// Of what is lost: why the first of the purposes is denied now.
	Reason  v1alpha1.Reason
	Message string
}

// GrantChanges are what this snapshot grants and an older one did not, and the other way round, sorted by namespace,
// contract and store, losses first.
func (s *Snapshot) GrantChanges(old *Snapshot) []GrantChange {
	keys := map[types.NamespacedName]bool{}
	for _, snapshot := range []*Snapshot{s, old} {
		for key := range snapshot.stores {
			keys[key] = true
		}
	}
	var changes []GrantChange
	for key := range keys {
		changes = s.changesOf(changes, old, key)
	}
	slices.SortFunc(changes, func(a, b GrantChange) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Entrustment, b.Entrustment), compareKeys(a.Store, b.Store),
			compareBools(a.Gained, b.Gained))
	})
	return changes
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// changesOf appends the changes at one store. Both lists of grants are sorted alike.
func (s *Snapshot) changesOf(changes []GrantChange, old *Snapshot, key types.NamespacedName) []GrantChange {
	now, before := s.StoreGrants(key), old.StoreGrants(key)
	for len(now) > 0 || len(before) > 0 {
		var order int
		switch {
		case len(now) == 0:
			order = 1
		case len(before) == 0:
			order = -1
		default:
			order = cmp.Or(strings.Compare(now[0].Namespace, before[0].Namespace), strings.Compare(now[0].Entrustment, before[0].Entrustment))
		}
		var has, had Grant
		if order <= 0 {
			has, now = now[0], now[1:]
		}
		if order >= 0 {
			had, before = before[0], before[1:]
		}
		if lost := without(had.Purposes, has.Purposes); len(lost) > 0 {
			d := s.Authorize(Request{Namespace: had.Namespace, Purpose: lost[0], Entrustment: had.Entrustment, Store: key})
			changes = append(changes, GrantChange{
				Namespace: had.Namespace, Entrustment: had.Entrustment, Store: key, Purposes: lost, Reason: d.Reason(), Message: d.Message(),
			})
		}
		if gained := without(has.Purposes, had.Purposes); len(gained) > 0 {
			change := GrantChange{Namespace: has.Namespace, Entrustment: has.Entrustment, Store: key, Gained: true, Purposes: gained}
			for _, purpose := range gained {
				change.Until = earlier(change.Until, grantUntil(s.purposes[purpose], s.contracts[has.Entrustment]))
			}
			changes = append(changes, change)
		}
	}
	return changes
}

// without is what of a sorted list is not in another.
func without(list, other []string) []string {
	var rest []string
	for _, item := range list {
		if _, found := slices.BinarySearch(other, item); !found {
			rest = append(rest, item)
		}
	}
	return rest
}

// An EnforcementChange says that a store begins or ceases to be cut off from those without a grant, or a namespace's pods to be
// refused what they are not granted.
type EnforcementChange struct {
	Store     types.NamespacedName // zero: it is about a namespace
	Namespace string               // empty: it is about a store
	Begins    bool
}

// EnforcementChanges are the stores that cut now and only reported before, or the other way round, sorted, and then the namespaces of
// which the binding does. What is new, or gone, changes what is granted instead.
func (s *Snapshot) EnforcementChanges(old *Snapshot) []EnforcementChange {
	var changes []EnforcementChange
	for _, key := range s.Stores() {
		if was := old.Store(key); was != nil && Reports(was) != Reports(s.Store(key)) {
			changes = append(changes, EnforcementChange{Store: key, Begins: Reports(was)})
		}
	}
	for _, name := range s.BoundNamespaces() {
		_, was, bound := old.Binding(name)
		if _, is, _ := s.Binding(name); bound && was != is {
			changes = append(changes, EnforcementChange{Namespace: name, Begins: is == v1alpha1.EnforcementEnforce})
		}
	}
	return changes
}

// A ContractChange says that an Entrustment is another one than it was, or is in force no more, or only now.
type ContractChange struct {
	Name          string
	Before, After Activity // the zero Activity: it is not there
	Until, Was    time.Time
	Message       string // of what is after
}

// ContractChanges are the Entrustments that began or ceased to be in force since an older snapshot, and those in force that
// end at another time, sorted by name.
func (s *Snapshot) ContractChanges(old *Snapshot) []ContractChange {
	names := map[string]bool{}
	for _, snapshot := range []*Snapshot{s, old} {
		for name := range snapshot.contracts {
			names[name] = true
		}
	}
	var changes []ContractChange
	for _, name := range slices.Sorted(maps.Keys(names)) {
		change := ContractChange{Name: name}
		change.Before, change.Was, _ = old.activity(name)
		change.After, change.Until, change.Message = s.activity(name)
		if change.Before.Active != change.After.Active || change.After.Active && !change.Until.Equal(change.Was) {
			changes = append(changes, change)
		}
	}
	return changes
}

func (s *Snapshot) activity(name string) (is Activity, until time.Time, message string) {
	c := s.contracts[name]
	if c == nil {
		return Activity{}, time.Time{}, "it is gone"
	}
	say := conditions{}
	s.active(&say, c)
	active := say.find(v1alpha1.ConditionActive)
	return Activity{active.Status == metav1.ConditionTrue, v1alpha1.Reason(active.Reason)}, c.until, active.Message
}
