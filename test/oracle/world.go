package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
	_ "time/tzdata" // the zones of random worlds, wherever the tests run

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

// World is everything a decision depends on, the time included.
type World struct {
	entrustment.Inputs
	Now time.Time
}

// Clone copies a world with all its objects.
func (w World) Clone() World {
	w.Purposes = clones(w.Purposes)
	w.Processors = clones(w.Processors)
	w.Entrustments = clones(w.Entrustments)
	w.Stores = clones(w.Stores)
	if w.Namespaces != nil {
		namespaces := map[string]types.UID{}
		for name, uid := range w.Namespaces {
			namespaces[name] = uid
		}
		w.Namespaces = namespaces
	}
	return w
}

func clones[T interface{ DeepCopy() T }](list []T) []T {
	out := make([]T, len(list))
	for i, obj := range list {
		out[i] = obj.DeepCopy()
	}
	return out
}

// Requests are all that can be asked of a world: every namespace, no entrustment and every one, every purpose and none,
// every store, and of each one that does not exist.
func (w World) Requests() []entrustment.Request {
	var all []entrustment.Request
	for _, namespace := range w.namespaces() {
		for _, e := range w.entrustments() {
			for _, purpose := range w.purposes() {
				for _, store := range w.stores() {
					all = append(all, entrustment.Request{
						Namespace: namespace, Entrustment: e, Purpose: purpose, Store: store,
					})
				}
			}
		}
	}
	return all
}

// unknown is the name of no object.
const unknown = "unknown"

func (w World) namespaces() []string {
	names := []string{unknown}
	for _, party := range w.Processors {
		if party == nil {
			continue
		}
		for _, namespace := range party.Spec.Namespaces {
			names = append(names, namespace.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (w World) entrustments() []string {
	names := []string{"", unknown}
	for _, e := range w.Entrustments {
		if e != nil {
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (w World) purposes() []string {
	names := []string{"", unknown}
	for _, purpose := range w.Purposes {
		if purpose != nil {
			names = append(names, purpose.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (w World) stores() []types.NamespacedName {
	keys := []types.NamespacedName{{Namespace: unknown, Name: unknown}}
	for _, store := range w.Stores {
		if store != nil {
			keys = append(keys, key(store))
		}
	}
	slices.SortFunc(keys, compareKeys)
	return slices.Compact(keys)
}

func key(store *v1alpha1.PersonalDataStore) types.NamespacedName {
	return types.NamespacedName{Namespace: store.Namespace, Name: store.Name}
}

func compareKeys(a, b types.NamespacedName) int {
	if a.Namespace != b.Namespace {
		if a.Namespace < b.Namespace {
			return -1
		}
		return 1
	}
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

// Instants are all at which time alone could change a decision, and some around them, sorted: whatever the objects say
// begins or ends, the ends of notice periods, and the midnights about reviews. No rule is applied to choose among them.
func (w World) Instants() []time.Time {
	var all []time.Time
	add := func(times ...*metav1.Time) {
		for _, t := range times {
			if t != nil {
				all = append(all, t.Time)
			}
		}
	}
	location := w.Location
	if location == nil {
		location = time.UTC
	}
	midnights := func(t time.Time, days ...int) {
		year, month, day := t.Date()
		for _, d := range days {
			for next := range 2 {
				midnight := time.Date(year, month, day+d+next, 0, 0, 0, 0, location)
				all = append(all, midnight.Add(-time.Hour), midnight, midnight.Add(time.Hour)) // clocks may change then
			}
		}
	}
	dates := func(date string, days ...int) {
		if t, err := time.Parse(time.DateOnly, date); err == nil {
			midnights(t, days...)
		}
	}
	for _, purpose := range w.Purposes {
		add(purpose.Spec.NotBefore, purpose.Spec.NotAfter)
	}
	for _, party := range w.Processors {
		if selection := party.Spec.Selection; selection != nil {
			dates(selection.ValidUntil, 0)
		}
	}
	for _, e := range w.Entrustments {
		add(e.Spec.NotBefore, &e.Spec.NotAfter, &e.CreationTimestamp)
		for _, above := range w.Entrustments {
			if terms := above.Spec.SubEntrustment; terms != nil && terms.NoticePeriodDays != nil {
				all = append(all, e.CreationTimestamp.Add(time.Duration(*terms.NoticePeriodDays)*24*time.Hour))
			}
		}
		for _, transfer := range e.Spec.Transfers {
			dates(transfer.CheckedDate, 0, 365)
		}
		disposal := 30
		if d := e.Spec.Disposal; d != nil && d.DueDays != nil {
			disposal = int(*d.DueDays)
		}
		midnights(e.Spec.NotAfter.In(location), disposal)
		if e.DeletionTimestamp != nil {
			midnights(e.DeletionTimestamp.In(location), disposal)
		}
		period := 365
		if s := e.Spec.Supervision; s != nil && s.ReviewPeriodDays != nil {
			period = int(*s.ReviewPeriodDays)
		}
		midnights(e.CreationTimestamp.In(location), period, period-30)
		if e.Spec.NotBefore != nil {
			midnights(e.Spec.NotBefore.In(location), period, period-30)
		}
		if e.Spec.Supervision != nil {
			for _, review := range e.Spec.Supervision.Reviews {
				dates(review.Date, 0, period, period-30)
			}
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// Random is the n-th random world of a seed. Most of a world is in order, so that much is allowed; a few faults, of every
// kind the decision knows, are put into it afterwards.
func Random(seed, n uint64) World {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, n))}
	g.setTime()
	g.addParties()
	g.addPurposes()
	g.addStores()
	g.addEntrustments()
	for range pick(g, []int{0, 1, 1, 2, 3, 6}) {
		g.addFault()
	}
	return g.World
}

// Crowded is a world in which one namespace has more grants than fit: many purposes under many entrustments.
func Crowded(seed, n uint64) World {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, n))}
	g.setTime()
	g.Processors = append(g.Processors,
		builder.Processor("c1").Namespace("n-c1").Obj(), builder.Processor("d1").Namespace("n-d1").Namespace("n-x1").Obj())
	var purposes []string
	for i := range 22 + g.IntN(8) {
		purposes = append(purposes, fmt.Sprint("p", i))
		purpose := builder.Purpose(purposes[i]).Controller("c1")
		if i > 0 && g.chance(0.2) {
			purpose.Parent(pick(g, purposes[:i]))
		}
		g.Purposes = append(g.Purposes, purpose.Obj())
	}
	for i := range 1 + g.IntN(2) {
		name := fmt.Sprint("store", i)
		g.Stores = append(g.Stores, builder.Store("s1", name).Controller("c1").
			AllowedPurposes(purposes...).Recipients(v1alpha1.RecipientEntrustee).Obj())
	}
	for i := range 27 + g.IntN(6) {
		e := builder.Entrustment(fmt.Sprint("e", i)).From("c1").To("d1").Purposes(g.some(purposes, 0.95)...).Stores("s1/store0")
		if g.chance(0.5) {
			e.Stores("s1/store0", "s1/store1")
		}
		if g.chance(0.1) {
			e.NotAfter(g.Now.Add(time.Hour))
		}
		g.Entrustments = append(g.Entrustments, e.Obj())
	}
	return g.World
}

// generator builds a world in World.
type generator struct {
	*rand.Rand
	World
	roots map[string][]string // names of root purposes by controller
}

func (g *generator) chance(p float64) bool { return g.Float64() < p }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

// some of a list: each with that chance, at least one.
func (g *generator) some(list []string, p float64) []string {
	var out []string
	for _, s := range list {
		if g.chance(p) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		out = append(out, pick(g, list))
	}
	return out
}

// midnightChanges are zones in which clocks change at midnight, so that a day begins at one o'clock or its last hour comes
// twice, and the instants at which they do.
var midnightChanges = map[string][]time.Time{
	"Africa/Cairo": {
		time.Date(2026, time.April, 23, 22, 0, 0, 0, time.UTC), time.Date(2026, time.October, 29, 21, 0, 0, 0, time.UTC),
	},
	"America/Santiago": {
		time.Date(2026, time.April, 5, 3, 0, 0, 0, time.UTC), time.Date(2026, time.September, 6, 4, 0, 0, 0, time.UTC),
	},
}

var zones = func() map[string]*time.Location {
	loaded := map[string]*time.Location{}
	for name := range midnightChanges {
		zone, err := time.LoadLocation(name)
		if err != nil {
			panic(err) // tzdata is linked in
		}
		loaded[name] = zone
	}
	return loaded
}()

func (g *generator) setTime() {
	g.Now = time.Date(2026, time.Month(1+g.IntN(12)), 1+g.IntN(28), g.IntN(24), g.IntN(60), g.IntN(60), 0, time.UTC)
	if g.chance(0.15) {
		g.Location = time.FixedZone("JST", 9*60*60)
	} else if g.chance(0.2) {
		name := pick(g, sortedKeys(midnightChanges))
		g.Location = zones[name]
		if g.chance(0.7) {
			g.Now = pick(g, midnightChanges[name]).Add(time.Duration(g.IntN(20)-10) * 15 * time.Minute)
		}
	}
	if g.chance(0.1) {
		g.Now = g.Now.Add(time.Duration(g.IntN(1e9)))
	}
	if g.chance(0.3) {
		g.Namespaces = map[string]types.UID{}
	}
}

// around is an instant before, at or after now, in whole seconds as the API keeps them.
func (g *generator) around(pastChance float64) time.Time {
	now := g.Now.Truncate(time.Second)
	step := pick(g, []time.Duration{time.Second, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour, 200 * 24 * time.Hour})
	switch distance := step * time.Duration(1+g.IntN(3)); {
	case g.chance(0.05):
		return now
	case g.chance(pastChance):
		return now.Add(-distance)
	default:
		return now.Add(distance)
	}
}

func (g *generator) addParties() {
	names := []string{"c1", "d1", "d2"}
	if g.chance(0.5) {
		names = append(names, "c2")
	}
	for _, name := range []string{"d3", "d4"} {
		if g.chance(0.6) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		party := builder.Processor(name)
		if g.chance(0.1) {
			party.Country("SG")
		}
		if g.chance(0.1) {
			party.Country("JP", g.some([]string{"JP", "SG", "US"}, 0.4)...)
		}
		if g.chance(0.2) {
			party.Selected(pick(g, []v1alpha1.SelectionResult{v1alpha1.SelectionApproved, v1alpha1.SelectionConditionallyApproved}))
			party.With(func(p *v1alpha1.DataProcessor) {
				p.Spec.Selection.ValidUntil = pick(g, []string{"", g.dateAgo(1), g.dateAgo(-1)})
			})
		}
		if g.chance(0.9) {
			g.bind(party, "n-"+name)
		}
		if g.chance(0.15) {
			g.bind(party, "x-"+name)
		}
		g.Processors = append(g.Processors, party.Obj())
	}
}

func (g *generator) bind(party *builder.ProcessorBuilder, namespace string) {
	uid := types.UID("uid-" + namespace)
	party.Namespace(namespace)
	if g.Namespaces != nil && g.chance(0.9) {
		g.Namespaces[namespace] = uid
	}
	if g.chance(0.7) {
		party.Observed(namespace, uid)
	}
	if g.chance(0.1) {
		party.Report()
	}
}

func (g *generator) controllers() []string {
	if g.party("c2") != nil {
		return []string{"c1", "c2"}
	}
	return []string{"c1"}
}

func (g *generator) party(name string) *v1alpha1.DataProcessor {
	return plain{in: g.Inputs}.processor(name)
}

func (g *generator) addPurposes() {
	g.roots = map[string][]string{}
	for _, controller := range g.controllers() {
		count := 2 + g.IntN(5)
		if controller != "c1" {
			count = 1 + g.IntN(2)
		}
		var names []string
		for i := range count {
			name := fmt.Sprintf("p%d-%s", i, controller)
			purpose := builder.Purpose(name).Controller(controller)
			if i > 0 && g.chance(0.65) {
				purpose.Parent(pick(g, names))
			} else {
				g.roots[controller] = append(g.roots[controller], name)
			}
			if g.chance(0.08) {
				purpose.ConsentRequired()
			}
			if g.chance(0.08) {
				purpose.ContactsIndividuals()
			}
			if g.chance(0.03) {
				purpose.Prohibited()
			}
			if g.chance(0.1) {
				purpose.NotBefore(g.around(0.8))
			}
			if g.chance(0.1) {
				purpose.NotAfter(g.around(0.2))
			}
			names = append(names, name)
			g.Purposes = append(g.Purposes, purpose.Obj())
		}
	}
	for _, party := range g.Processors {
		for i := range party.Spec.Namespaces {
			if g.chance(0.15) {
				party.Spec.Namespaces[i].Purposes = g.some(g.purposes()[1:], 0.5)
			}
		}
	}
}

func (g *generator) addStores() {
	for _, controller := range g.controllers() {
		count := 1 + g.IntN(3)
		if controller != "c1" {
			count = 1
		}
		for i := range count {
			store := builder.Store(pick(g, []string{"s1", "s2"}), fmt.Sprintf("%s-%d", controller, i)).Controller(controller)
			store.AllowedPurposes(g.some(append(slices.Clone(g.roots[controller]), pick(g, g.purposes())), 0.75)...)
			store.Categories(g.some([]string{"user.name", "user.contact.email", "user.contact", "user.payment"}, 0.4)...)
			if g.chance(0.9) {
				store.Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee)
			}
			if g.chance(0.3) {
				store.ConsentedPurposes(pick(g, g.purposes()))
			}
			if g.chance(0.1) {
				store.ProhibitedPurposes(pick(g, g.purposes()))
			}
			if g.chance(0.15) {
				store.Form(v1alpha1.DataFormPseudonymised)
			}
			if g.chance(0.05) {
				store.Report()
			}
			if g.chance(0.3) {
				store.Credential("reader", "reader")
			}
			if g.chance(0.3) {
				store.Credential("part", "part", g.some(g.purposes(), 0.3)...)
			}
			g.place(store)
			obj := store.Obj()
			if g.chance(0.03) {
				obj.DeletionTimestamp = &metav1.Time{Time: g.around(0.5)}
			}
			g.Stores = append(g.Stores, obj)
		}
	}
}

// place gives a store an endpoint; some are shared with other stores.
func (g *generator) place(store *builder.StoreBuilder) {
	if g.chance(0.2) {
		store.External(g.some([]string{"10.0.0.0/16", "10.0.1.0/24", "10.1.0.0/16", "192.0.2.1/32", "2001:db8::/48"}, 0.2)...)
	} else if g.chance(0.2) {
		in := func(key string, values ...string) v1alpha1.PodSelectorRequirement {
			return v1alpha1.PodSelectorRequirement{Key: key, Operator: v1alpha1.PodSelectorIn, Values: values}
		}
		exists := v1alpha1.PodSelectorRequirement{Key: "app", Operator: v1alpha1.PodSelectorExists}
		store.Selector(
			pick(g, []map[string]string{nil, {"app": "db"}, {"tier": "data"}}),
			pick(g, []v1alpha1.PodSelectorRequirement{in("app", "db", "cache"), in("app", "queue"), in("tier", "data", "web"), exists}),
		)
	}
	if g.chance(0.4) {
		store.Ports(g.ports()...)
	}
	if g.chance(0.1) {
		store.With(func(s *v1alpha1.PersonalDataStore) {
			s.Spec.Endpoint.Ports[0].Protocol = pick(g, []v1alpha1.Protocol{"", v1alpha1.ProtocolUDP})
		})
	}
}

func (g *generator) ports() []int32 {
	if g.chance(0.5) {
		return []int32{9200}
	}
	return []int32{9200, 5432}
}

func (g *generator) addEntrustments() {
	for range 1 + g.IntN(2) {
		g.addChain("c1")
	}
	if g.party("c2") != nil && g.chance(0.6) {
		g.addChain("c2")
	}
}

func (g *generator) addChain(controller string) {
	var stores []string
	for _, store := range g.Stores {
		if store.Spec.ControllerName == controller {
			stores = append(stores, store.Namespace+"/"+store.Name)
		}
	}
	var others []string
	for _, party := range g.Processors {
		if party.Name != controller {
			others = append(others, party.Name)
		}
	}
	g.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	entruster, parent := controller, ""
	for depth, entrustee := range others {
		if depth == 4 || depth > 0 && g.chance(0.3) {
			return
		}
		name := fmt.Sprint("e", len(g.Entrustments))
		e := builder.Entrustment(name).From(entruster).To(entrustee).Parent(parent).
			Purposes(g.roots[controller]...).Stores(stores...)
		if g.chance(0.25) {
			e.Purposes(g.some(g.purposes()[1:], 0.5)...)
		}
		if g.chance(0.1) {
			e.ProhibitedPurposes(pick(g, g.purposes()))
		}
		if g.chance(0.2) {
			e.Categories(g.some([]string{"user.name", "user.contact", "user.payment", "user.c"}, 0.8)...)
		}
		if g.chance(0.15) {
			e.Stores(g.some(append(slices.Clone(stores), unknown+"/"+unknown), 0.6)...)
		}
		g.setTerm(e)
		g.setSubEntrustment(e)
		g.setSupervision(e)
		if g.chance(0.75) {
			e.Territories("JP", "SG", "US")
		} else if g.chance(0.2) {
			e.Territories(g.some([]string{"JP", "SG", "US"}, 0.6)...)
		}
		for _, country := range []string{"SG", "US"} {
			if g.chance(0.75) {
				e.Transfer(country, v1alpha1.TransferEquivalentMeasures)
			}
		}
		e.With(func(e *v1alpha1.Entrustment) {
			for i := range e.Spec.Transfers {
				e.Spec.Transfers[i].CheckedDate = pick(g, []string{"", g.dateAgo(1), g.dateAgo(364), g.dateAgo(365), g.dateAgo(400)})
			}
			if days := int32(g.IntN(3)); g.chance(0.2) {
				e.Spec.Disposal = &v1alpha1.Disposal{DueDays: &days, CompletedDate: pick(g, []string{"", "", g.dateAgo(0)})}
			}
		})
		g.Entrustments = append(g.Entrustments, e.Obj())
		entruster, parent = entrustee, name
	}
}

func (g *generator) setTerm(e *builder.EntrustmentBuilder) {
	if g.chance(0.5) {
		e.NotBefore(g.around(0.95))
	}
	if g.chance(0.4) {
		e.NotAfter(g.around(0.05))
	}
	switch {
	case g.chance(0.85):
		e.Created(g.Now.Truncate(time.Second).AddDate(0, 0, -31-g.IntN(300)))
	case g.chance(0.7):
		e.Created(g.around(0.9))
	}
	if g.chance(0.2) {
		e.With(func(e *v1alpha1.Entrustment) { e.Spec.PodDeadline = v1alpha1.PodDeadlineOff })
	}
}

func (g *generator) setSubEntrustment(e *builder.EntrustmentBuilder) {
	everybody := []string{"c1", "c2", "d1", "d2", "d3", "d4"}
	switch {
	case g.chance(0.45):
		e.PriorApproval(g.some(everybody, 0.97)...)
	case g.chance(0.85):
		e.PriorNotice(pick(g, []int32{1, 1, 1, 2, 30}))
	case g.chance(0.5):
		e.With(func(e *v1alpha1.Entrustment) {
			e.Spec.SubEntrustment = &v1alpha1.SubEntrustment{Policy: v1alpha1.SubEntrustmentProhibited}
		})
	}
}

func (g *generator) setSupervision(e *builder.EntrustmentBuilder) {
	if g.chance(0.4) {
		return
	}
	action := pick(g, []v1alpha1.OverdueAction{v1alpha1.OverdueReport, v1alpha1.OverdueSuspend, v1alpha1.OverdueSuspend})
	period := pick(g, []int32{1, 30, 365, 1000})
	// Reviews made so many days ago; a negative number is a review yet to come.
	ago := []int{0, 1, 29, 30, 31, int(period) - 1, int(period), int(period), -1, -30}
	var dates []string
	for range g.IntN(4) {
		dates = append(dates, g.dateAgo(pick(g, ago)))
	}
	e.Reviewed(period, action, dates...)
	if g.chance(0.1) {
		e.With(func(e *v1alpha1.Entrustment) { e.Spec.Supervision.ReviewPeriodDays = nil })
	}
}

// dateAgo is the date of so many days ago where the calendar is kept.
func (g *generator) dateAgo(days int) string {
	return plain{g.Inputs, g.Now}.date(g.Now).AddDate(0, 0, -days).Format(time.DateOnly)
}

// addFault spoils one thing.
func (g *generator) addFault() {
	switch g.IntN(9) {
	case 0:
		g.spoilPurpose(pick(g, g.Purposes))
	case 1, 2:
		g.spoilParty(pick(g, g.Processors))
	case 3, 4:
		if len(g.Stores) > 0 {
			g.spoilStore(pick(g, g.Stores))
		}
	default:
		if len(g.Entrustments) > 0 {
			g.spoilEntrustment(pick(g, g.Entrustments))
		}
	}
}

func (g *generator) spoilPurpose(purpose *v1alpha1.Purpose) {
	spec := &purpose.Spec
	switch g.IntN(8) {
	case 0:
		spec.ParentName = unknown
	case 1:
		spec.ParentName = pick(g, g.purposes()) // of another controller, of itself, or its own descendant
	case 2:
		spec.Disposition = v1alpha1.DispositionProhibited
	case 3:
		spec.ConsentRequired = true
	case 4:
		spec.ContactsIndividuals = true
	case 5:
		spec.NotBefore = &metav1.Time{Time: g.around(0.1)}
	case 6:
		spec.NotAfter = &metav1.Time{Time: g.around(0.9)}
	case 7:
		if len(g.Purposes) > 1 {
			g.Purposes = slices.DeleteFunc(g.Purposes, func(p *v1alpha1.Purpose) bool { return p == purpose })
		}
	}
}

func (g *generator) spoilParty(party *v1alpha1.DataProcessor) {
	spec := &party.Spec
	switch g.IntN(8) {
	case 0:
		spec.Suspended = true
	case 1:
		spec.Selection = &v1alpha1.Selection{AssessedDate: "2026-01-01", Result: v1alpha1.SelectionRejected}
	case 2:
		spec.Namespaces = append(spec.Namespaces, v1alpha1.NamespaceBinding{Name: pick(g, g.namespaces())})
	case 3:
		spec.HandlingCountries = g.some([]string{"JP", "SG", "US", "FR"}, 0.4)
	case 4:
		spec.Country = pick(g, []string{"SG", "FR"})
	case 5:
		if len(spec.Namespaces) > 0 {
			spec.Namespaces[0].Purposes = g.some(g.purposes(), 0.2)
		}
	case 6:
		if len(party.Status.Namespaces) > 0 {
			party.Status.Namespaces[0].UID = "uid-old"
		}
	case 7:
		if party.Name != "c1" {
			g.Processors = slices.DeleteFunc(g.Processors, func(p *v1alpha1.DataProcessor) bool { return p == party })
		}
	}
}

func (g *generator) spoilStore(store *v1alpha1.PersonalDataStore) {
	spec := &store.Spec
	switch g.IntN(11) {
	case 10:
		store.DeletionTimestamp = &metav1.Time{Time: g.Now.Truncate(time.Second)}
	case 0:
		spec.Suspended = true
	case 1:
		spec.AllowedRecipients = pick(g, [][]v1alpha1.Recipient{nil, {v1alpha1.RecipientEntrustee}, {v1alpha1.RecipientSubEntrustee}})
	case 2:
		spec.ControllerName = pick(g, []string{"c1", "c2", "d1"})
	case 3:
		spec.DataForm = v1alpha1.DataFormPseudonymised
		pick(g, g.Purposes).Spec.ContactsIndividuals = true
	case 4:
		spec.ProhibitedPurposes = append(spec.ProhibitedPurposes, pick(g, g.purposes()))
	case 5:
		spec.AllowedPurposes = []string{pick(g, g.purposes())}
	case 6:
		spec.DataCategories = append(spec.DataCategories, pick(g, []string{"user.health", "account.id"}))
	case 7:
		other := pick(g, g.Stores)
		spec.Endpoint = *other.Spec.Endpoint.DeepCopy()
	case 8:
		spec.ConsentedPurposes = nil
	case 9:
		g.Stores = slices.DeleteFunc(g.Stores, func(s *v1alpha1.PersonalDataStore) bool { return s == store })
	}
}

func (g *generator) spoilEntrustment(e *v1alpha1.Entrustment) {
	spec := &e.Spec
	switch g.IntN(17) {
	case 0:
		g.Entrustments = slices.DeleteFunc(g.Entrustments, func(o *v1alpha1.Entrustment) bool { return o == e })
	case 1:
		spec.ParentName = pick(g, g.entrustments())
	case 2:
		spec.EntrusterName = pick(g, g.Processors).Name
	case 3, 4:
		spec.EntrusteeName = pick(g, g.Processors).Name
		if g.chance(0.4) {
			spec.EntrusteeName = spec.EntrusterName
		}
	case 5:
		spec.SubEntrustment = pick(g, []*v1alpha1.SubEntrustment{
			nil, {}, {Policy: v1alpha1.SubEntrustmentProhibited}, {Policy: "Anything"},
			{Policy: v1alpha1.SubEntrustmentPriorApproval}, {Policy: v1alpha1.SubEntrustmentPriorNotice},
		})
	case 6, 7:
		if spec.SubEntrustment == nil {
			spec.SubEntrustment = &v1alpha1.SubEntrustment{Policy: v1alpha1.SubEntrustmentPriorNotice}
		}
		spec.SubEntrustment.ObjectedProcessorNames = []string{pick(g, g.Processors).Name, pick(g, g.Processors).Name}
	case 8:
		spec.Suspended = true
	case 9:
		spec.Disposal = pick(g, []*v1alpha1.Disposal{nil, {CompletedDate: g.Now.UTC().Format(time.DateOnly), EvidenceURL: "https://example.com/certificate"}})
		if spec.Disposal != nil {
			break
		}
		e.DeletionTimestamp = &metav1.Time{Time: g.Now.Truncate(time.Second)}
	case 10:
		spec.NotBefore = &metav1.Time{Time: g.around(0.1)}
	case 11:
		spec.NotAfter = metav1.Time{Time: g.around(0.9)}
	case 12:
		days := pick(g, []int32{1, 30})
		spec.Supervision = &v1alpha1.Supervision{ReviewPeriodDays: &days, OverdueAction: v1alpha1.OverdueSuspend}
	case 13:
		spec.Territories = pick(g, [][]string{nil, {"SG"}, {"JP", "SG"}})
		spec.Transfers = nil
	case 14:
		spec.Stores = nil
		for range 1 + g.IntN(2) {
			key := pick(g, g.stores())
			spec.Stores = append(spec.Stores, v1alpha1.StoreReference{Namespace: key.Namespace, Name: key.Name})
		}
	case 15:
		spec.ProhibitedPurposes = append(spec.ProhibitedPurposes, pick(g, g.purposes()))
	case 16:
		spec.DataCategories = []string{"user.name"}
	}
}
