package entrustment

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// contract is an Entrustment with its chain resolved. What holds for a tier holds for all tiers below it, so each starts
// from what its parent has settled.
type contract struct {
	obj      *v1alpha1.Entrustment
	parent   *contract // nil: a root, or broken
	depth    int32
	progress progress
	broken   bool // a parent is missing, or the chain comes back to itself

	entruster, entrustee *party
	controller           *party    // the data controller at the root; nil: it cannot be told
	created              time.Time // of the latest tier down to this one

	authority *fault // first failing test of who may entrust to whom; nil: none
	activity  *fault // … of suspension and term
	location  *fault // … of the countries of handling

	until     time.Time // instant at which time alone ends it, or has ended it
	purposes  set       // effective along the chain; the stores' own purposes not yet applied
	stores    []*store  // in every tier, all their categories in every tier
	territory []string  // countries permitted by every tier; nil while no tier has been asked
}

type progress uint8

const (
	unvisited progress = iota
	underway
	settled
)

// fault is a failing test of a chain.
type fault struct {
	reason v1alpha1.Reason
	tier   *contract // at which the test failed
	by     *contract // ancestor that does not permit the tier
	party  *party    // missing, suspended or rejected
	detail string    // country
	until  time.Time // end of a notice period
}

func (c *contract) name() string { return c.obj.Name }

// recipient is the class of recipients to which the entrustee belongs.
func (c *contract) recipient() v1alpha1.Recipient {
	if c.depth == 0 {
		return v1alpha1.RecipientEntrustee
	}
	return v1alpha1.RecipientSubEntrustee
}

// chain is the contracts from the root to this one, which is not broken.
func (c *contract) chain() []*contract {
	return c.appendChain(make([]*contract, 0, c.depth+1))
}

func (c *contract) appendChain(chain []*contract) []*contract {
	for t := c; t != nil; t = t.parent {
		chain = append(chain, t)
	}
	slices.Reverse(chain)
	return chain
}

// sound says whether nothing but the store, the purpose or the namespace can deny a request under the contract.
func (c *contract) sound() bool {
	return !c.broken && c.authority == nil && c.activity == nil && c.location == nil
}

func (s *Snapshot) addContracts(objects []*v1alpha1.Entrustment) {
	nodes := make([]contract, 0, len(objects))
	for _, obj := range objects {
		if obj == nil || s.contracts[obj.Name] != nil {
			continue
		}
		nodes = append(nodes, contract{obj: obj})
		s.contracts[obj.Name] = &nodes[len(nodes)-1]
	}
	compiler := contractCompiler{Snapshot: s}
	var path []*contract
	for i := range nodes {
		// Down from the nearest settled tier, without recursion because nothing bounds the depth.
		path = path[:0]
		for c := &nodes[i]; c != nil && c.progress == unvisited; c = c.parent {
			c.progress = underway
			path = append(path, c)
			if name := c.obj.Spec.ParentName; name != "" {
				c.parent = s.contracts[name]
			}
		}
		for _, c := range slices.Backward(path) {
			compiler.settle(c)
			c.progress = settled
		}
	}
}

// contractCompiler settles contracts one after the other.
type contractCompiler struct {
	*Snapshot
	sets  arena[uint64]
	lists arena[*store]

	// scratch
	above []*contract
	named []*store // that exist, of those that a root names
}

func (s *contractCompiler) settle(c *contract) {
	spec := &c.obj.Spec
	c.entruster, c.entrustee = s.party(spec.EntrusterName), s.party(spec.EntrusteeName)
	c.entruster.entrusts = true
	c.entrustee.received = append(c.entrustee.received, c)
	c.created = c.obj.CreationTimestamp.Time
	if c.created.IsZero() {
		c.created = s.calendar.now // a file that has not been applied yet
	}
	if spec.ParentName != "" {
		if c.parent == nil || c.parent.progress == underway || c.parent.broken {
			c.broken, c.parent = true, nil
			c.until = c.obj.Spec.NotAfter.Time
			s.bound(c)
			return
		}
		c.inherit(c.parent)
	}
	if c.parent == nil {
		s.named = s.appendNamed(s.named[:0], c)
	}
	s.authorize(c)
	s.activate(c)
	s.bound(c)
	s.locate(c)
	s.measure(c)
	if !c.sound() {
		return
	}
	for _, st := range c.stores {
		if st.admits(c) {
			st.contracts = append(st.contracts, c)
		}
	}
}

func (c *contract) inherit(parent *contract) {
	c.depth = parent.depth + 1
	c.controller = parent.controller
	c.authority, c.activity, c.location = parent.authority, parent.activity, parent.location
	c.until = parent.until
	if parent.created.After(c.created) {
		c.created = parent.created
	}
}

// authorize asks who may entrust to whom: the root by the data controller, each child by the entrustee of its parent,
// no party twice, and every tier above permitting it (GDPR art. 28(2) and (4); EDPB opinion 22/2024).
func (s *contractCompiler) authorize(c *contract) {
	if c.parent == nil {
		c.controller, c.authority = s.rootController(c)
	}
	if c.authority != nil {
		return
	}
	if c.parent != nil && c.obj.Spec.EntrusterName != c.parent.obj.Spec.EntrusteeName {
		c.authority = &fault{reason: v1alpha1.ReasonEntrusterNotParentEntrustee, tier: c}
		return
	}
	if c.returns() {
		c.authority = &fault{reason: v1alpha1.ReasonChainLoops, tier: c, party: c.entrustee}
		return
	}
	if c.parent == nil {
		return
	}
	s.above = c.parent.appendChain(s.above[:0])
	for _, by := range s.above {
		if c.authority = s.permission(by, c); c.authority != nil {
			return
		}
	}
}

// rootController is the one data controller of the stores that exist; it has to be the entruster.
func (s *contractCompiler) rootController(c *contract) (*party, *fault) {
	var controller *party
	for _, st := range s.named {
		if controller != nil && controller != st.controller {
			return nil, &fault{reason: v1alpha1.ReasonMixedControllers, tier: c}
		}
		controller = st.controller
	}
	if controller == nil {
		return nil, &fault{reason: v1alpha1.ReasonStoreNotFound, tier: c}
	}
	if controller != c.entruster {
		return controller, &fault{reason: v1alpha1.ReasonEntrusterNotController, tier: c, party: controller}
	}
	return controller, nil
}

// appendNamed appends the stores that exist of those that a contract names.
func (s *Snapshot) appendNamed(stores []*store, c *contract) []*store {
	for _, ref := range c.obj.Spec.Stores {
		if st := s.stores[types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name}]; st != nil {
			stores = append(stores, st)
		}
	}
	return stores
}

// returns says whether the entrustee is in the chain already.
func (c *contract) returns() bool {
	for t := c; t != nil; t = t.parent {
		if t.entruster == c.entrustee || t != c && t.entrustee == c.entrustee {
			return true
		}
	}
	return false
}

// permission asks an ancestor whether it permits a tier below it. An objection wins whatever the policy.
func (s *contractCompiler) permission(by, c *contract) *fault {
	refused := func(reason v1alpha1.Reason, until time.Time) *fault {
		return &fault{reason: reason, tier: c, by: by, party: c.entrustee, until: until}
	}
	switch rule := by.obj.Spec.SubEntrustment; {
	case rule == nil || rule.Policy != v1alpha1.SubEntrustmentPriorApproval && rule.Policy != v1alpha1.SubEntrustmentPriorNotice:
		return refused(v1alpha1.ReasonSubEntrustmentProhibited, time.Time{})
	case slices.Contains(rule.ObjectedProcessorNames, c.entrustee.name):
		return refused(v1alpha1.ReasonObjected, time.Time{})
	case rule.Policy == v1alpha1.SubEntrustmentPriorApproval:
		if !slices.Contains(rule.ApprovedProcessorNames, c.entrustee.name) {
			return refused(v1alpha1.ReasonNotApproved, time.Time{})
		}
	case rule.NoticePeriodDays == nil:
		return refused(v1alpha1.ReasonNoticePeriodRunning, time.Time{}) // without a period, notice never has been given long enough
	default:
		elapsed := c.created.Add(time.Duration(*rule.NoticePeriodDays) * 24 * time.Hour)
		if s.calendar.now.Before(elapsed) {
			s.clock.add(elapsed)
			return refused(v1alpha1.ReasonNoticePeriodRunning, elapsed)
		}
	}
	return nil
}

// bound notes the instants of the tier's own term, of its end and the warnings before, of its review and of its disposal.
func (s *contractCompiler) bound(c *contract) {
	s.clock.addTerm(c.obj.Spec.NotBefore, &c.obj.Spec.NotAfter)
	s.clock.addEnd(c.end())
	s.clock.addRecords(s.calendar, c.obj)
}

// activate asks whether the tier is in force: nobody suspended, the term running, the review not overdue.
func (s *contractCompiler) activate(c *contract) {
	overdue, suspendedFrom := s.overdue(c.obj)
	c.until = earlier(earlier(c.until, c.obj.Spec.NotAfter.Time), suspendedFrom)
	if c.activity != nil {
		return
	}
	if c.obj.Spec.Suspended {
		c.activity = &fault{reason: v1alpha1.ReasonSuspended, tier: c}
		return
	}
	for _, p := range [...]*party{c.entruster, c.entrustee} {
		if p.missing() {
			c.activity = &fault{reason: v1alpha1.ReasonProcessorNotFound, tier: c, party: p}
			return
		}
		if p.suspended() {
			c.activity = &fault{reason: v1alpha1.ReasonProcessorSuspended, tier: c, party: p}
			return
		}
	}
	begun, ended := s.calendar.term(c.obj)
	switch {
	case c.entrustee.rejected():
		c.activity = &fault{reason: v1alpha1.ReasonSelectionRejected, tier: c, party: c.entrustee}
	case !begun:
		c.activity = &fault{reason: v1alpha1.ReasonNotYetInForce, tier: c}
	case ended:
		c.activity = &fault{reason: v1alpha1.ReasonExpired, tier: c}
	case overdue:
		c.activity = &fault{reason: v1alpha1.ReasonReviewOverdue, tier: c}
	}
}

// overdue says whether an overdue review suspends the entrustment, and from when it does; zero: it never does.
func (s *contractCompiler) overdue(e *v1alpha1.Entrustment) (now bool, from time.Time) {
	if e.Spec.Supervision == nil || e.Spec.Supervision.OverdueAction != v1alpha1.OverdueSuspend {
		return false, time.Time{}
	}
	lapse := s.calendar.lapse(e)
	return lapse <= s.calendar.today, s.calendar.start(lapse)
}

// locate asks whether the data are handled only where every tier permits it, and with a ground wherever that is not the
// data controller's country (APPI art. 28; GDPR art. 44 to 49).
func (s *contractCompiler) locate(c *contract) {
	if c.location != nil || c.controller == nil || c.controller.missing() || c.entrustee.missing() {
		return // an earlier test has failed already
	}
	home := c.controller.obj.Spec.Country
	c.territory = c.narrowTerritory(home)
	for _, country := range c.entrustee.handling() {
		if !slices.Contains(c.territory, country) {
			c.location = &fault{reason: v1alpha1.ReasonTerritoryNotAllowed, tier: c, party: c.entrustee, detail: country}
			return
		}
	}
	grounded := func(country string) bool {
		return country == home || slices.ContainsFunc(c.obj.Spec.Transfers, func(t v1alpha1.Transfer) bool { return t.Country == country })
	}
	for _, countries := range [...][]string{{c.entrustee.obj.Spec.Country}, c.entrustee.obj.Spec.HandlingCountries} {
		for _, country := range countries {
			if !grounded(country) {
				c.location = &fault{reason: v1alpha1.ReasonTransferBasisMissing, tier: c, party: c.entrustee, detail: country}
				return
			}
		}
	}
}

// narrowTerritory intersects the tier's territories with those of every tier above.
func (c *contract) narrowTerritory(home string) []string {
	own := c.obj.Spec.Territories
	if len(own) == 0 {
		own = []string{home}
	}
	if c.parent == nil || slices.Equal(own, c.parent.territory) {
		return own
	}
	var both []string
	for _, country := range own {
		if slices.Contains(c.parent.territory, country) {
			both = append(both, country)
		}
	}
	return both
}

// measure intersects purposes, stores and categories along the chain.
func (s *contractCompiler) measure(c *contract) {
	if c.controller == nil {
		return
	}
	if f := c.controller.forest; f != nil {
		c.purposes = s.sets.slice(words(len(f.members)))
		f.extent(c.purposes, s.purposes, c.obj.Spec.Purposes, c.obj.Spec.ProhibitedPurposes)
		if c.parent != nil {
			c.purposes.intersect(c.parent.purposes)
		}
	}
	within := s.named
	if c.parent != nil {
		within = c.parent.stores
	}
	c.stores = s.lists.slice(len(within))[:0]
	for _, st := range within {
		if st.controller == c.controller && !c.reaches(st) && c.names(st.key) && covers(c.obj.Spec.DataCategories, st.obj.Spec.DataCategories) {
			c.stores = append(c.stores, st)
			c.entrustee.most.add(st)
		}
	}
}

// reaches says whether a store is in every tier, with all its categories.
func (c *contract) reaches(st *store) bool { return slices.Contains(c.stores, st) }

// names says whether the tier itself lists a store.
func (c *contract) names(key types.NamespacedName) bool {
	return slices.ContainsFunc(c.obj.Spec.Stores, func(ref v1alpha1.StoreReference) bool {
		return ref.Name == key.Name && ref.Namespace == key.Namespace
	})
}

// covers says whether every category held is entrusted: named itself, or below a named one.
func covers(entrusted, held []string) bool {
	_, uncovered := firstUncovered(entrusted, held)
	return !uncovered
}

func firstUncovered(entrusted, held []string) (category string, uncovered bool) {
	for _, category := range held {
		if !slices.ContainsFunc(entrusted, func(e string) bool { return within(category, e) }) {
			return category, true
		}
	}
	return "", false
}

// within says whether a dotted category is another, or below it.
func within(category, above string) bool {
	return strings.HasPrefix(category, above) && (len(category) == len(above) || category[len(above)] == '.')
}

// addRecords notes when the status of a contract changes for the records' sake: reviews that become due, or due soon,
// or count from now on; disposal that becomes overdue; checks of a transfer that become overdue.
func (b *boundaries) addRecords(c calendar, e *v1alpha1.Entrustment) {
	due := c.reviewDue(e)
	b.addDay(due - reviewSoonDays)
	b.addDay(due + 1)
	if e.Spec.Supervision != nil {
		for i := range e.Spec.Supervision.Reviews {
			b.addDay(dayOf(e.Spec.Supervision.Reviews[i].Date))
		}
	}
	b.addDay(c.disposalDue(e) + 1)
	for i := range e.Spec.Transfers {
		if t := &e.Spec.Transfers[i]; t.Basis == v1alpha1.TransferEquivalentMeasures {
			b.addDay(checkDue(t) + 1)
		}
	}
}
