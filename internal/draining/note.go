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
// A store that only reports ends no pod, and neither does one that is gone: what is not governed cuts nothing. Beyond the
// bounds the first that fit, sorted, are noted; left are those that do not.
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
			if !ends(current, granted[key], store) {
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
		slices.Sort(note.Stores)
		note.Stores = slices.Compact(note.Stores)
		note.Stores = note.Stores[:min(len(note.Stores), maxStores)]
		noted = append(noted, *note)
	}
	slices.SortFunc(noted, func(a, b v1alpha1.DrainingGrant) int {
		return cmp.Or(strings.Compare(a.Entrustment, b.Entrustment), strings.Compare(a.Purpose, b.Purpose))
	})
	fits := fitting(noted)
	return noted[:fits:fits], noted[fits:]
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

// ends says whether pods are ended for a store that they reached.
func ends(current *entrustment.Snapshot, granted []types.NamespacedName, store string) bool {
	namespace, name, _ := strings.Cut(store, "/")
	key := types.NamespacedName{Namespace: namespace, Name: name}
	live := current.Store(key)
	return live != nil && !entrustment.Reports(live) && !slices.Contains(granted, key)
}
