package entrustment

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// A SuspensionChange is that of a contract, a party or a store that is suspended by what is written in itself and was not, or
// the other way round.
type SuspensionChange struct {
	Object    types.NamespacedName
	Suspended bool
	Reason    v1alpha1.Line // if it is
	// Generation of the object that says so.
	Generation int64
}

// Suspended are the objects of a kind that are suspended by what is written in themselves. A condition tells one reason of
// many: what is above a contract may be suspended too, or it may end meanwhile.
func (s *Snapshot) Suspended(kind string) map[types.UID]bool {
	uids := map[types.UID]bool{}
	s.eachSuspensible(kind, func(uid types.UID, change SuspensionChange) {
		if change.Suspended {
			uids[uid] = true
		}
	})
	return uids
}

// SuspensionChanges are the objects of a kind that are suspended and were not, or the other way round, sorted. Those that are gone
// were not resumed.
func (s *Snapshot) SuspensionChanges(kind string, were map[types.UID]bool) []SuspensionChange {
	var changes []SuspensionChange
	s.eachSuspensible(kind, func(uid types.UID, change SuspensionChange) {
		if change.Suspended != were[uid] {
			changes = append(changes, change)
		}
	})
	slices.SortFunc(changes, func(a, b SuspensionChange) int { return compareKeys(a.Object, b.Object) })
	return changes
}

func (s *Snapshot) eachSuspensible(kind string, yield func(types.UID, SuspensionChange)) {
	switch kind {
	case "Entrustment":
		for name, c := range s.contracts {
			yield(c.obj.UID, SuspensionChange{types.NamespacedName{Name: name}, c.obj.Spec.Suspended, c.obj.Spec.SuspendedReason, c.obj.Generation})
		}
	case "DataProcessor":
		for name, p := range s.parties {
			if !p.missing() {
				yield(p.obj.UID, SuspensionChange{types.NamespacedName{Name: name}, p.obj.Spec.Suspended, p.obj.Spec.SuspendedReason, p.obj.Generation})
			}
		}
	case "PersonalDataStore":
		for key, st := range s.stores {
			yield(st.obj.UID, SuspensionChange{key, st.obj.Spec.Suspended, st.obj.Spec.SuspendedReason, st.obj.Generation})
		}
	}
}
