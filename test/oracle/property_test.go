package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

// use is a store used for a purpose.
type use struct {
	purpose string
	store   types.NamespacedName
}

func (u use) String() string { return u.purpose + " of " + u.store.String() }

type uses map[use]bool

// missing is a use that the others lack.
func (u uses) missing(others uses) *use {
	for x := range u {
		if !others[x] {
			return &x
		}
	}
	return nil
}

// probe is a namespace of a party in which every purpose may be declared.
func probe(party string) string { return "probe-" + party }

// probed gives every party its probe, so that what a party may do can be told from what its namespaces may.
func probed(w World) World {
	w = w.Clone()
	for _, party := range w.Processors {
		party.Spec.Namespaces = append(party.Spec.Namespaces, v1alpha1.NamespaceBinding{Name: probe(party.Name)})
	}
	return w
}

// extent is what a party may use under an entrustment, or none.
func extent(w World, s *entrustment.Snapshot, party, e string) uses {
	granted := uses{}
	for _, purpose := range w.Purposes {
		for _, store := range w.Stores {
			r := entrustment.Request{Namespace: probe(party), Purpose: purpose.Name, Entrustment: e, Store: key(store)}
			if s.Authorize(r).Allowed() {
				granted[use{purpose.Name, key(store)}] = true
			}
		}
	}
	return granted
}

// granted is everything that is allowed in a world.
func granted(w World) map[entrustment.Request]bool {
	s, all := compile(w), map[entrustment.Request]bool{}
	for _, r := range w.Requests() {
		if s.Authorize(r).Allowed() {
			all[r] = true
		}
	}
	return all
}

// hold checks a property on random worlds; it says what is wrong with one.
func hold(t *testing.T, share float64, property func(World) string) {
	t.Helper()
	s := seed(t)
	for n := range worlds(share) {
		w := probed(Random(s, n))
		if wrong := property(w); wrong != "" {
			report(t, w, fmt.Sprintf("world %d", n), property)
		}
	}
}

// What a sub-entrustment grants is within what its parent grants. The class of recipient is apart from the extent: a store
// may admit sub-entrustees and no entrustees. So the property holds where stores that admit the former admit the latter.
func TestGrantsNarrowDownTheChain(t *testing.T) {
	below := 0
	hold(t, 1, func(w World) string {
		for _, store := range w.Stores {
			if slices.Contains(store.Spec.AllowedRecipients, v1alpha1.RecipientSubEntrustee) {
				store.Spec.AllowedRecipients = []v1alpha1.Recipient{v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee}
			}
		}
		s := compile(w)
		for _, child := range w.Entrustments {
			for _, parent := range w.Entrustments {
				if parent.Name != child.Spec.ParentName {
					continue
				}
				lower, upper := extent(w, s, child.Spec.EntrusteeName, child.Name), extent(w, s, parent.Spec.EntrusteeName, parent.Name)
				below += len(lower)
				if excess := lower.missing(upper); excess != nil {
					return fmt.Sprintf("%s is granted under %s, not under its parent %s", excess, child.Name, parent.Name)
				}
			}
		}
		return ""
	})
	if below == 0 {
		t.Error("no sub-entrustment grants anything")
	}
}

// The corner that the property above leaves out.
func TestStoreForSubEntrusteesAlone(t *testing.T) {
	w := World{Now: Random(1, 1).Now, Inputs: entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Obj(),
			builder.Processor("biller").Namespace("biller").Obj(), builder.Processor("printer").Namespace("printer").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/queue").PriorApproval("printer").Obj(),
			builder.Entrustment("printing").From("biller").To("printer").Parent("fees").Purposes("billing").Stores("data/queue").Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{
			builder.Store("data", "queue").AllowedPurposes("billing").Recipients(v1alpha1.RecipientSubEntrustee).Obj(),
		},
	}}
	for namespace, want := range map[string]answer{
		"biller":  {false, v1alpha1.ReasonRecipientNotAllowed},
		"printer": {true, v1alpha1.ReasonEntrusted},
	} {
		r := entrustment.Request{Namespace: namespace, Purpose: "billing", Entrustment: "fees", Store: key(w.Stores[0])}
		if namespace == "printer" {
			r.Entrustment = "printing"
		}
		if p, c := plainly(w, r), compiled(compile(w), r); p != want || c != want {
			t.Errorf("%s: plain %s, core %s; want %s", namespace, p, c, want)
		}
	}
}

// Nobody is entrusted with what the data controller may not do itself.
func TestEntrustedIsWithinOwnHandling(t *testing.T) {
	hold(t, 1, func(w World) string {
		s := compile(w)
		own := uses{}
		for _, party := range w.Processors {
			for u := range extent(w, s, party.Name, "") {
				own[u] = true // the store has one controller, so this is its own handling
			}
		}
		for _, e := range w.Entrustments {
			if excess := extent(w, s, e.Spec.EntrusteeName, e.Name).missing(own); excess != nil {
				return fmt.Sprintf("%s is granted under %s, not to the controller", excess, e.Name)
			}
		}
		return ""
	})
}

// Nothing is granted that is, is a part of or contains a use prohibited by its disposition, the store or a tier.
func TestNoProhibitedUseIsGranted(t *testing.T) {
	hold(t, 1.0/5, func(w World) string {
		p := plain{w.Inputs, w.Now}
		for r := range granted(w) {
			carvedOut := slices.Clone(p.store(r.Store.Namespace, r.Store.Name).Spec.ProhibitedPurposes)
			for _, tier := range p.chain(r.Entrustment) {
				carvedOut = append(carvedOut, tier.Spec.ProhibitedPurposes...)
			}
			declared := p.line(r.Purpose)
			for _, purpose := range w.Purposes {
				l := p.line(purpose.Name)
				related := slices.Contains(l, declared[0]) || slices.Contains(declared, purpose)
				if related && (prohibited(purpose) || slices.Contains(carvedOut, purpose.Name)) {
					return fmt.Sprintf("%s is granted, and %s is prohibited", describe(r), purpose.Name)
				}
			}
		}
		return ""
	})
}

// changed says which grant one world has and another lacks.
func changed(before, after map[entrustment.Request]bool, how string) string {
	for r := range before {
		if !after[r] {
			return fmt.Sprintf("%s: %s", how, describe(r))
		}
	}
	return ""
}

// after is a property of one random change, which follows from the world: it comes again while the world shrinks.
func after(change func(*generator) string, compare func(before, after map[entrustment.Request]bool, how string) string) func(World) string {
	return func(w World) string {
		if len(w.Purposes) == 0 || len(w.Stores) == 0 || len(w.Entrustments) == 0 || len(w.Processors) == 0 {
			return ""
		}
		g := &generator{Rand: rand.New(rand.NewPCG(1, uint64(w.Now.UnixNano()))), World: w.Clone()}
		how := change(g)
		return compare(granted(w), granted(g.World), how)
	}
}

// A prohibition never adds a grant.
func TestProhibitionNeverAdds(t *testing.T) {
	hold(t, 1.0/8, func(w World) string {
		return after(func(g *generator) string {
			name := pick(g, g.Purposes).Name
			switch g.IntN(7) {
			case 0:
				store := pick(g, g.Stores)
				store.Spec.ProhibitedPurposes = append(store.Spec.ProhibitedPurposes, name)
				return fmt.Sprintf("after %s prohibited %s there is also", key(store), name)
			case 1:
				pick(g, g.Purposes).Spec.Disposition = v1alpha1.DispositionProhibited
				return "after a purpose was prohibited there is also"
			case 2:
				g.Purposes = append(g.Purposes, builder.Purpose(unknown).
					Controller(pick(g, g.Purposes).Spec.ControllerName).Parent(name).Prohibited().Obj())
				return fmt.Sprintf("after a prohibited purpose was added below %s there is also", name)
			case 3:
				e := pick(g, g.Entrustments)
				e.Spec.ProhibitedPurposes = append(e.Spec.ProhibitedPurposes, name)
				return fmt.Sprintf("after %s carved %s out there is also", e.Name, name)
			case 4:
				e := pick(g, g.Entrustments)
				if e.Spec.SubEntrustment == nil {
					e.Spec.SubEntrustment = &v1alpha1.SubEntrustment{}
				}
				e.Spec.SubEntrustment.ObjectedProcessorNames = append(e.Spec.SubEntrustment.ObjectedProcessorNames, pick(g, g.Processors).Name)
				return fmt.Sprintf("after an objection in %s there is also", e.Name)
			case 5:
				party := pick(g, g.Processors)
				party.Spec.Suspended = true
				return fmt.Sprintf("after %s was suspended there is also", party.Name)
			default:
				store := pick(g, g.Stores)
				store.Spec.Suspended = true
				return fmt.Sprintf("after %s was suspended there is also", key(store))
			}
		}, func(before, after map[entrustment.Request]bool, how string) string {
			return changed(after, before, how)
		})(w)
	})
}

// An allowance never removes a grant. Not allowances in this sense: the first entry of a list that means everything, or
// the controller's country, while it is absent; and a store of another controller in a root entrustment, which mixes
// controllers.
func TestAllowanceNeverRemoves(t *testing.T) {
	hold(t, 1.0/8, func(w World) string {
		return after(func(g *generator) string {
			name := pick(g, g.Purposes).Name
			store, e, party := pick(g, g.Stores), pick(g, g.Entrustments), pick(g, g.Processors)
			switch g.IntN(9) {
			case 0:
				store.Spec.AllowedPurposes = append(store.Spec.AllowedPurposes, name)
				return fmt.Sprintf("after %s allowed %s there is no more", key(store), name)
			case 1:
				store.Spec.ConsentedPurposes = append(store.Spec.ConsentedPurposes, name)
				return fmt.Sprintf("after consent to %s in %s there is no more", name, key(store))
			case 2:
				store.Spec.AllowedRecipients = append(store.Spec.AllowedRecipients, v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee)
				return fmt.Sprintf("after %s admitted everybody there is no more", key(store))
			case 3:
				e.Spec.Purposes = append(e.Spec.Purposes, name)
				return fmt.Sprintf("after %s entrusted %s there is no more", e.Name, name)
			case 4:
				e.Spec.DataCategories = append(e.Spec.DataCategories, "user")
				return fmt.Sprintf("after %s entrusted all categories there is no more", e.Name)
			case 5:
				if e.Spec.SubEntrustment != nil {
					e.Spec.SubEntrustment.ApprovedProcessorNames = append(e.Spec.SubEntrustment.ApprovedProcessorNames, party.Name)
				}
				return fmt.Sprintf("after %s approved %s there is no more", e.Name, party.Name)
			case 6:
				if len(e.Spec.Territories) > 0 {
					e.Spec.Territories = append(e.Spec.Territories, "JP", "SG")
				}
				e.Spec.Transfers = append(e.Spec.Transfers, v1alpha1.Transfer{Country: "SG"}, v1alpha1.Transfer{Country: "FR"})
				return fmt.Sprintf("after %s allowed handling abroad there is no more", e.Name)
			case 7:
				for i := range party.Spec.Namespaces {
					if list := &party.Spec.Namespaces[i].Purposes; len(*list) > 0 {
						*list = append(*list, name)
					}
				}
				return fmt.Sprintf("after the namespaces of %s were assigned %s there is no more", party.Name, name)
			default:
				for _, ref := range e.Spec.Stores {
					other := plain{in: g.Inputs}.store(ref.Namespace, ref.Name)
					if e.Spec.ParentName == "" && other != nil && other.Spec.ControllerName != store.Spec.ControllerName {
						return ""
					}
				}
				e.Spec.Stores = append(e.Spec.Stores, v1alpha1.StoreReference{Namespace: store.Namespace, Name: store.Name})
				return fmt.Sprintf("after %s entrusted %s there is no more", e.Name, key(store))
			}
		}, changed)(w)
	})
}

// Suspending an entrustment ends everything under it and below, and touches nothing else.
func TestSuspensionEndsWhatIsBelow(t *testing.T) {
	ended := 0
	hold(t, 1.0/8, func(w World) string {
		var suspended string
		return after(func(g *generator) string {
			e := pick(g, g.Entrustments)
			e.Spec.Suspended, suspended = true, e.Name
			return e.Name
		}, func(before, after map[entrustment.Request]bool, how string) string {
			p := plain{w.Inputs, w.Now}
			below := func(r entrustment.Request) bool {
				return slices.ContainsFunc(p.chain(r.Entrustment), func(e *v1alpha1.Entrustment) bool { return e.Name == suspended })
			}
			for r := range before {
				if below(r) {
					ended++
				}
				if after[r] == below(r) {
					return fmt.Sprintf("%s was suspended; allowed before, then allowed %v: %s", how, after[r], describe(r))
				}
			}
			return changed(after, before, "after the suspension of "+how+" there is also")
		})(w)
	})
	if ended == 0 {
		t.Error("nothing was ended")
	}
}

// Who may declare a purpose may declare its parts, as far as they are in force: in own handling and as entrustee.
func TestHandlingIsClosedDownwards(t *testing.T) {
	parts := 0
	hold(t, 1.0/5, func(w World) string {
		s := compile(w)
		for r := range granted(w) {
			for _, part := range w.Purposes {
				if part.Spec.ParentName != r.Purpose || part.Spec.ControllerName != (plain{in: w.Inputs}).purpose(r.Purpose).Spec.ControllerName {
					continue
				}
				parts++
				of := r
				of.Purpose = part.Name
				if d := s.Authorize(of); !d.Allowed() && d.Reason() != v1alpha1.ReasonPurposeNotInForce {
					return fmt.Sprintf("%s is allowed, and for its part %s: %s", describe(r), part.Name, d.Reason())
				}
			}
		}
		return ""
	})
	if parts == 0 {
		t.Error("no purpose with parts is granted")
	}
}
