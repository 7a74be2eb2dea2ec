package entrustment

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Compile resolves everything that requests have in common. It is total: what cannot be resolved is a denial. The
// objects must not be changed afterwards; of two with the same name the first counts.
func Compile(in Inputs, now time.Time) *Snapshot {
	calendar := newCalendar(now, in.Location)
	s := &Snapshot{
		calendar:  calendar,
		clock:     newBoundaries(calendar),
		parties:   make(map[string]*party, len(in.Processors)),
		bindings:  make(map[string]*binding, len(in.Processors)),
		stores:    make(map[types.NamespacedName]*store, len(in.Stores)),
		contracts: make(map[string]*contract, len(in.Entrustments)),

		namespaces: in.Namespaces,
	}
	purposes, forests := plantForests(in.Purposes, &s.clock)
	s.purposes = purposes
	s.addParties(in.Processors, in.Namespaces)
	for controller, f := range forests {
		s.party(controller).forest = f
	}
	s.addStores(in.Stores)
	s.relateStores()
	s.addContracts(in.Entrustments)
	s.limitAccess()
	s.clock.add(calendar.start(s.clock.day))
	return s
}
