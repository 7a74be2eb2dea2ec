package draining

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// MaxBytes bound the note of one PersonalDataAccess, beside its grants.
const MaxBytes = v1alpha1.MaxAccessBytes / 4

// Key tells under what a pod acts.
type Key struct{ Entrustment, Purpose string }

// Of is the key of a note.
func Of(g *v1alpha1.DrainingGrant) Key { return Key{g.Entrustment, g.Purpose} }

// Note is what is draining once a namespace is shown what it is granted now:
//
//	(what was draining ∪ what was granted) − what is granted now
//
// A store that only reports ends no pod, but what was lost there is noted all the same: some day it may cut. One that is gone
// does not. Beyond the bounds the first that fit are noted, those for which pods are ended before the others; left are those
// that do not.
func Note(current *entrustment.Snapshot, before *v1alpha1.PersonalDataAccess, now []entrustment.AccessGrant) (noted, left []v1alpha1.DrainingGrant) {
	if before == nil {
		return nil, nil
	}
	granted := map[Key][]types.NamespacedName{}
	for i := range now {
		granted[Key{now[i].Entrustment, now[i].Purpose}] = now[i].Stores
	}
	lost := map[Key]*v1alpha1.DrainingGrant{}
	add := func(key Key, stores []string, generation int64) {
		for _, store := range stores {
			if name := parse(store); current.Store(name) == nil || slices.Contains(granted[key], name) {
				continue
			}
			note := lost[key]
			if note == nil {
				note = &v1alpha1.DrainingGrant{Purpose: key.Purpose, Entrustment: key.Entrustment}
				lost[key] = note
			}
			note.Stores = append(note.Stores, store)
			note.Generation = max(note.Generation, generation)
		}
	}
	for i := range before.Draining {
		d := &before.Draining[i]
		add(Of(d), d.Stores, d.Generation)
	}
	for i := range before.Grants {
		g := &before.Grants[i]
		add(Key{g.Entrustment, g.Purpose}, g.Stores, before.Generation)
	}
	for _, note := range lost {
		slices.SortFunc(note.Stores, func(a, b string) int {
			return cmp.Or(first(cuts(current, a), cuts(current, b)), strings.Compare(a, b))
		})
		note.Stores = slices.Compact(note.Stores)
		note.Stores = note.Stores[:min(len(note.Stores), maxStores)]
		slices.Sort(note.Stores)
		noted = append(noted, *note)
	}
	slices.SortFunc(noted, func(a, b v1alpha1.DrainingGrant) int {
		return cmp.Or(first(Ends(current, &a), Ends(current, &b)), compare(a, b))
	})
	fits := fitting(noted)
	noted, left = noted[:fits:fits], noted[fits:]
	slices.SortFunc(noted, compare)
	return noted, left
}

// Ends says whether pods are ended for a note now: a store that they reached is there, and not only to report.
func Ends(current *entrustment.Snapshot, note *v1alpha1.DrainingGrant) bool {
	return slices.ContainsFunc(note.Stores, func(store string) bool { return cuts(current, store) })
}

// Matters says whether there is still a store that the pods of a note reached.
func Matters(current *entrustment.Snapshot, note *v1alpha1.DrainingGrant) bool {
	return slices.ContainsFunc(note.Stores, func(store string) bool { return current.Store(parse(store)) != nil })
}

func cuts(current *entrustment.Snapshot, store string) bool {
	live := current.Store(parse(store))
	return live != nil && !entrustment.Reports(live)
}

func parse(store string) types.NamespacedName {
	namespace, name, _ := strings.Cut(store, "/")
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func compare(a, b v1alpha1.DrainingGrant) int {
	return cmp.Or(strings.Compare(a.Entrustment, b.Entrustment), strings.Compare(a.Purpose, b.Purpose))
}

// first orders what is before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

const (
	maxStores     = 64
	noteOverhead  = 80 // bytes of a note in JSON besides its names
	entryOverhead = 3
)

// fitting is how many notes fit.
func fitting(notes []v1alpha1.DrainingGrant) int {
	size := 0
	for i := range notes {
		size += noteOverhead + len(notes[i].Purpose) + len(notes[i].Entrustment)
		for _, store := range notes[i].Stores {
			size += entryOverhead + len(store)
		}
		if i == v1alpha1.MaxGrants || size > MaxBytes {
			return i
		}
	}
	return len(notes)
}
