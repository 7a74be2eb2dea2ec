package oracle

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Authorize decides one request at one instant: the first failing test gives the reason.
func Authorize(in entrustment.Inputs, now time.Time, r entrustment.Request) (allowed bool, reason v1alpha1.Reason) {
	p := plain{in, now}
	if allowed, reason = p.reaches(r); !allowed {
		return false, reason
	}
	if p.grantsBefore(r) >= v1alpha1.MaxGrants || p.storesBefore(r) >= maxGrantStores {
		return false, v1alpha1.ReasonTooManyGrants
	}
	return true, reason
}

// maxGrantStores bounds the stores that one grant lists. That a PersonalDataAccess is bounded in bytes too is left out.
const maxGrantStores = 64

// plain reads the objects at one instant.
type plain struct {
	in  entrustment.Inputs
	now time.Time
}

// reaches decides without regard to how many grants the namespace has.
func (p plain) reaches(r entrustment.Request) (bool, v1alpha1.Reason) {
	reason := p.decide(r)
	if !allows(reason) {
		return false, reason
	}
	store := p.store(r.Store.Namespace, r.Store.Name)
	for _, other := range p.in.Stores {
		if other == nil || other == store || !overlap(store, other) {
			continue
		}
		same := r
		same.Store.Namespace, same.Store.Name = other.Namespace, other.Name
		if !allows(p.decide(same)) {
			return false, v1alpha1.ReasonEndpointConflict
		}
	}
	return true, reason
}

func allows(reason v1alpha1.Reason) bool {
	return reason == v1alpha1.ReasonControllerHandling || reason == v1alpha1.ReasonEntrusted
}

// decide makes the tests for one store alone, in order.
func (p plain) decide(r entrustment.Request) v1alpha1.Reason {
	// 1. the namespace and its party
	party, binding := p.binding(r.Namespace)
	if party == nil {
		return v1alpha1.ReasonNamespaceNotBound
	}
	if party.Spec.Suspended {
		return v1alpha1.ReasonProcessorSuspended
	}
	// 2. the purpose
	if r.Purpose == "" {
		return v1alpha1.ReasonPurposeNotDeclared
	}
	line := p.line(r.Purpose)
	if line == nil {
		return v1alpha1.ReasonPurposeUnknown
	}
	if slices.ContainsFunc(line, prohibited) {
		return v1alpha1.ReasonPurposeProhibited
	}
	for _, purpose := range line {
		if from := purpose.Spec.NotBefore; from != nil && p.now.Before(from.Time) {
			return v1alpha1.ReasonPurposeNotInForce
		}
		if to := purpose.Spec.NotAfter; to != nil && !p.now.Before(to.Time) {
			return v1alpha1.ReasonPurposeNotInForce
		}
	}
	if len(binding.Purposes) > 0 && !line.below(binding.Purposes) {
		return v1alpha1.ReasonPurposeNotAssigned
	}
	// 3. the store
	store := p.store(r.Store.Namespace, r.Store.Name)
	if store == nil || store.DeletionTimestamp != nil {
		return v1alpha1.ReasonStoreNotFound
	}
	if store.Spec.Suspended {
		return v1alpha1.ReasonStoreSuspended
	}
	// 4. own handling
	if r.Entrustment == "" {
		if party.Name != store.Spec.ControllerName {
			return v1alpha1.ReasonNoEntrustment
		}
		if reason := p.intended(line, store); reason != "" {
			return reason
		}
		return v1alpha1.ReasonControllerHandling
	}
	// 5. to 9. the chain of entrustments
	chain := p.chain(r.Entrustment)
	if chain == nil {
		return v1alpha1.ReasonEntrustmentNotFound
	}
	if chain[len(chain)-1].Spec.EntrusteeName != party.Name {
		return v1alpha1.ReasonNotEntrustee
	}
	if reason := p.authorised(chain, store); reason != "" {
		return reason
	}
	if reason := p.active(chain); reason != "" {
		return reason
	}
	if reason := p.places(chain, store); reason != "" {
		return reason
	}
	if reason := p.intended(line, store); reason != "" {
		return reason
	}
	if reason := p.entrusted(chain, line, store); reason != "" {
		return reason
	}
	return v1alpha1.ReasonEntrusted
}

// binding is the one DataProcessor that names the namespace; nil: none, more than one, one twice, or one that named
// another namespace of that name.
func (p plain) binding(namespace string) (*v1alpha1.DataProcessor, *v1alpha1.NamespaceBinding) {
	var party *v1alpha1.DataProcessor
	var binding *v1alpha1.NamespaceBinding
	for _, candidate := range p.in.Processors {
		if candidate == nil {
			continue
		}
		for i := range candidate.Spec.Namespaces {
			if candidate.Spec.Namespaces[i].Name != namespace {
				continue
			}
			if party != nil {
				return nil, nil
			}
			party, binding = candidate, &candidate.Spec.Namespaces[i]
		}
	}
	if party == nil {
		return nil, nil
	}
	if uid, exists := p.in.Namespaces[namespace]; exists {
		for _, seen := range party.Status.Namespaces {
			if seen.Name != namespace {
				continue
			}
			if seen.UID != uid {
				return nil, nil
			}
			break // the list has one entry a name
		}
	}
	return party, binding
}

// line is a purpose with its ancestors, the purpose first.
type line []*v1alpha1.Purpose

// line of a purpose; nil when it is unknown: an ancestor is missing, comes twice or is another controller's.
func (p plain) line(name string) line {
	var l line
	for {
		purpose := p.purpose(name)
		if purpose == nil || slices.Contains(l, purpose) {
			return nil
		}
		if len(l) > 0 && purpose.Spec.ControllerName != l[0].Spec.ControllerName {
			return nil
		}
		l = append(l, purpose)
		if name = purpose.Spec.ParentName; name == "" {
			return l
		}
	}
}

// below says whether the purpose is one of those named or a descendant of one.
func (l line) below(names []string) bool {
	return slices.ContainsFunc(l, func(purpose *v1alpha1.Purpose) bool { return slices.Contains(names, purpose.Name) })
}

// contains says whether a descendant of the purpose passes a test. A purpose that is not known is nobody's descendant.
func (p plain) contains(top *v1alpha1.Purpose, test func(line) bool) bool {
	for _, purpose := range p.in.Purposes {
		if purpose == nil || purpose.Name == top.Name {
			continue
		}
		if l := p.line(purpose.Name); l != nil && slices.Contains(l, top) && test(l) {
			return true
		}
	}
	return false
}

func prohibited(purpose *v1alpha1.Purpose) bool {
	return purpose.Spec.Disposition == v1alpha1.DispositionProhibited
}

// intended says why a purpose is not among the intended purposes of a store; empty: it is.
func (p plain) intended(l line, store *v1alpha1.PersonalDataStore) v1alpha1.Reason {
	named := func(names []string) func(line) bool {
		return func(l line) bool { return slices.Contains(names, l[0].Name) }
	}
	unconsented := func(l line) bool {
		required := slices.ContainsFunc(l, func(purpose *v1alpha1.Purpose) bool { return purpose.Spec.ConsentRequired })
		return required && !l.below(store.Spec.ConsentedPurposes)
	}
	contacting := func(l line) bool {
		return slices.ContainsFunc(l, func(purpose *v1alpha1.Purpose) bool { return purpose.Spec.ContactsIndividuals })
	}
	if l[0].Spec.ControllerName != store.Spec.ControllerName {
		return v1alpha1.ReasonPurposeOfOtherController
	}
	if !l.below(store.Spec.AllowedPurposes) {
		if p.contains(l[0], named(store.Spec.AllowedPurposes)) {
			return v1alpha1.ReasonPurposeTooGeneral
		}
		return v1alpha1.ReasonPurposeNotIntended
	}
	if l.below(store.Spec.ProhibitedPurposes) {
		return v1alpha1.ReasonPurposeProhibitedForStore
	}
	if p.contains(l[0], named(store.Spec.ProhibitedPurposes)) ||
		p.contains(l[0], func(l line) bool { return prohibited(l[0]) }) {
		return v1alpha1.ReasonPurposeTooGeneral
	}
	if unconsented(l) || p.contains(l[0], unconsented) {
		return v1alpha1.ReasonConsentNotEvidenced
	}
	if store.Spec.DataForm == v1alpha1.DataFormPseudonymised && (contacting(l) || p.contains(l[0], contacting)) {
		return v1alpha1.ReasonDataFormForbids
	}
	return ""
}

// chain of an entrustment, the root first; nil: it or a parent is missing, or the chain comes back to itself.
func (p plain) chain(name string) []*v1alpha1.Entrustment {
	var chain []*v1alpha1.Entrustment
	for {
		e := p.entrustment(name)
		if e == nil || slices.Contains(chain, e) {
			return nil
		}
		chain = slices.Insert(chain, 0, e)
		if name = e.Spec.ParentName; name == "" {
			return chain
		}
	}
}

// authorised says why a chain does not lead from the store's controller to its last entrustee (5).
func (p plain) authorised(chain []*v1alpha1.Entrustment, store *v1alpha1.PersonalDataStore) v1alpha1.Reason {
	root := chain[0]
	var controllers []string
	for _, ref := range root.Spec.Stores {
		if s := p.store(ref.Namespace, ref.Name); s != nil && !slices.Contains(controllers, s.Spec.ControllerName) {
			controllers = append(controllers, s.Spec.ControllerName)
		}
	}
	switch {
	case len(controllers) == 0:
		return v1alpha1.ReasonStoreNotFound
	case len(controllers) > 1:
		return v1alpha1.ReasonMixedControllers
	case root.Spec.EntrusterName != controllers[0]:
		return v1alpha1.ReasonEntrusterNotController
	}
	parties := []string{root.Spec.EntrusterName}
	for i, e := range chain {
		if i > 0 && e.Spec.EntrusterName != chain[i-1].Spec.EntrusteeName {
			return v1alpha1.ReasonEntrusterNotParentEntrustee
		}
		if slices.Contains(parties, e.Spec.EntrusteeName) {
			return v1alpha1.ReasonChainLoops
		}
		parties = append(parties, e.Spec.EntrusteeName)
		for _, above := range chain[:i] {
			if reason := p.permits(above, chain[:i+1]); reason != "" {
				return reason
			}
		}
	}
	if store.Spec.ControllerName != controllers[0] {
		return v1alpha1.ReasonStoreOfOtherController
	}
	return ""
}

// permits says why an entrustment does not let the last of the chain below it be entrusted.
func (p plain) permits(above *v1alpha1.Entrustment, chain []*v1alpha1.Entrustment) v1alpha1.Reason {
	entrustee := chain[len(chain)-1].Spec.EntrusteeName
	terms := above.Spec.SubEntrustment
	if terms == nil ||
		terms.Policy != v1alpha1.SubEntrustmentPriorApproval && terms.Policy != v1alpha1.SubEntrustmentPriorNotice {
		return v1alpha1.ReasonSubEntrustmentProhibited
	}
	if slices.Contains(terms.ObjectedProcessorNames, entrustee) {
		return v1alpha1.ReasonObjected
	}
	if terms.Policy == v1alpha1.SubEntrustmentPriorApproval {
		if !slices.Contains(terms.ApprovedProcessorNames, entrustee) {
			return v1alpha1.ReasonNotApproved
		}
		return ""
	}
	if terms.NoticePeriodDays == nil {
		return v1alpha1.ReasonNoticePeriodRunning
	}
	from := p.created(chain[0])
	for _, e := range chain {
		if p.created(e).After(from) {
			from = p.created(e)
		}
	}
	// Days of 24 hours are the calendar days of UTC.
	if p.now.Before(from.UTC().AddDate(0, 0, int(*terms.NoticePeriodDays))) {
		return v1alpha1.ReasonNoticePeriodRunning
	}
	return ""
}

// created is when an entrustment was; one that was not yet is at this instant.
func (p plain) created(e *v1alpha1.Entrustment) time.Time {
	if e.CreationTimestamp.IsZero() {
		return p.now
	}
	return e.CreationTimestamp.Time
}

// active says why a chain is not in force (6).
func (p plain) active(chain []*v1alpha1.Entrustment) v1alpha1.Reason {
	for _, e := range chain {
		if e.Spec.Suspended {
			return v1alpha1.ReasonSuspended
		}
		for _, name := range []string{e.Spec.EntrusterName, e.Spec.EntrusteeName} {
			party := p.processor(name)
			if party == nil {
				return v1alpha1.ReasonProcessorNotFound
			}
			if party.Spec.Suspended {
				return v1alpha1.ReasonProcessorSuspended
			}
		}
		entrustee := p.processor(e.Spec.EntrusteeName)
		if s := entrustee.Spec.Selection; s != nil && s.Result == v1alpha1.SelectionRejected {
			return v1alpha1.ReasonSelectionRejected
		}
		if e.Spec.NotBefore != nil && p.now.Before(e.Spec.NotBefore.Time) {
			return v1alpha1.ReasonNotYetInForce
		}
		disposed := e.Spec.Disposal != nil && e.Spec.Disposal.CompletedDate != ""
		if !p.now.Before(e.Spec.NotAfter.Time) || e.DeletionTimestamp != nil || disposed {
			return v1alpha1.ReasonExpired
		}
		if p.overdue(e) {
			return v1alpha1.ReasonReviewOverdue
		}
	}
	return ""
}

// overdue says whether an overdue review withdraws an entrustment today.
func (p plain) overdue(e *v1alpha1.Entrustment) bool {
	supervision := e.Spec.Supervision
	if supervision == nil || supervision.OverdueAction != v1alpha1.OverdueSuspend {
		return false
	}
	today := p.date(p.now)
	var last time.Time
	for _, review := range supervision.Reviews {
		date, err := time.Parse(time.DateOnly, review.Date)
		if err == nil && !date.After(today) && date.After(last) {
			last = date
		}
	}
	if last.IsZero() && e.Spec.NotBefore != nil {
		last = p.date(e.Spec.NotBefore.Time)
	} else if last.IsZero() {
		last = p.date(p.created(e))
	}
	days := 365
	if supervision.ReviewPeriodDays != nil {
		days = int(*supervision.ReviewPeriodDays)
	}
	return today.After(last.AddDate(0, 0, days))
}

// date of an instant where the calendar is kept, as midnight UTC of that date.
func (p plain) date(t time.Time) time.Time {
	location := p.in.Location
	if location == nil {
		location = time.UTC
	}
	year, month, day := t.In(location).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// places says why the data may not be handled where a chain's entrustees handle them, or not by such a recipient (7).
func (p plain) places(chain []*v1alpha1.Entrustment, store *v1alpha1.PersonalDataStore) v1alpha1.Reason {
	home := p.processor(chain[0].Spec.EntrusterName).Spec.Country
	for i, e := range chain {
		entrustee := p.processor(e.Spec.EntrusteeName)
		handling := entrustee.Spec.HandlingCountries
		if len(handling) == 0 {
			handling = []string{entrustee.Spec.Country}
		}
		for _, country := range handling {
			for _, above := range chain[:i+1] {
				territories := above.Spec.Territories
				if len(territories) == 0 {
					territories = []string{home}
				}
				if !slices.Contains(territories, country) {
					return v1alpha1.ReasonTerritoryNotAllowed
				}
			}
		}
		for _, country := range append([]string{entrustee.Spec.Country}, handling...) {
			ground := slices.ContainsFunc(e.Spec.Transfers, func(t v1alpha1.Transfer) bool { return t.Country == country })
			if country != home && !ground {
				return v1alpha1.ReasonTransferBasisMissing
			}
		}
	}
	recipient := v1alpha1.RecipientEntrustee
	if len(chain) > 1 {
		recipient = v1alpha1.RecipientSubEntrustee
	}
	if !slices.Contains(store.Spec.AllowedRecipients, recipient) {
		return v1alpha1.ReasonRecipientNotAllowed
	}
	return ""
}

// entrusted says why a store, a purpose or a category is outside the extent of a tier (9).
func (p plain) entrusted(chain []*v1alpha1.Entrustment, l line, store *v1alpha1.PersonalDataStore) v1alpha1.Reason {
	for _, e := range chain {
		if !slices.Contains(e.Spec.Stores, v1alpha1.StoreReference{Namespace: store.Namespace, Name: store.Name}) {
			return v1alpha1.ReasonStoreNotEntrusted
		}
		carvedOut := func(l line) bool { return slices.Contains(e.Spec.ProhibitedPurposes, l[0].Name) }
		if !l.below(e.Spec.Purposes) || l.below(e.Spec.ProhibitedPurposes) || p.contains(l[0], carvedOut) {
			return v1alpha1.ReasonPurposeNotEntrusted
		}
		for _, category := range store.Spec.DataCategories {
			within := func(key string) bool { return category == key || strings.HasPrefix(category, key+".") }
			if !slices.ContainsFunc(e.Spec.DataCategories, within) {
				return v1alpha1.ReasonCategoryNotEntrusted
			}
		}
	}
	return ""
}

// overlap says whether two stores could be one place on one port.
func overlap(a, b *v1alpha1.PersonalDataStore) bool {
	if !slices.ContainsFunc(a.Spec.Endpoint.Ports, func(x v1alpha1.Port) bool {
		return slices.ContainsFunc(b.Spec.Endpoint.Ports, func(y v1alpha1.Port) bool {
			return x.Port == y.Port && protocol(x) == protocol(y)
		})
	}) {
		return false
	}
	if x, y := a.Spec.Endpoint.PodSelector, b.Spec.Endpoint.PodSelector; x != nil && y != nil {
		if a.Namespace == b.Namespace && matchOnePod(x, y) {
			return true
		}
	}
	if x, y := a.Spec.Endpoint.External, b.Spec.Endpoint.External; x != nil && y != nil {
		for _, one := range x.CIDRs {
			for _, other := range y.CIDRs {
				p, err1 := netip.ParsePrefix(one)
				q, err2 := netip.ParsePrefix(other)
				if err1 == nil && err2 == nil && p.Overlaps(q) {
					return true
				}
			}
		}
	}
	return false
}

func protocol(port v1alpha1.Port) v1alpha1.Protocol {
	if port.Protocol == "" {
		return v1alpha1.ProtocolTCP
	}
	return port.Protocol
}

// matchOnePod says whether one pod could carry labels that both selectors select: unless both ask for one key and no
// value of it suits both.
func matchOnePod(a, b *v1alpha1.PodSelector) bool {
	keys := map[string]bool{}
	for _, s := range []*v1alpha1.PodSelector{a, b} {
		for key := range s.MatchLabels {
			keys[key] = true
		}
		for _, e := range s.MatchExpressions {
			keys[e.Key] = true
		}
	}
	for key := range keys {
		x, restricted := values(a, key)
		y, restrictedToo := values(b, key)
		if !restricted || !restrictedToo {
			continue
		}
		if !slices.ContainsFunc(x, func(value string) bool { return slices.Contains(y, value) }) {
			return false
		}
	}
	return true
}

// values of a label that a selector selects; false: any.
func values(s *v1alpha1.PodSelector, key string) (allowed []string, restricted bool) {
	narrow := func(to []string) {
		if restricted {
			to = slices.DeleteFunc(slices.Clone(to), func(value string) bool { return !slices.Contains(allowed, value) })
		}
		allowed, restricted = to, true
	}
	if value, ok := s.MatchLabels[key]; ok {
		narrow([]string{value})
	}
	for _, e := range s.MatchExpressions {
		if e.Key == key && e.Operator == v1alpha1.PodSelectorIn {
			narrow(e.Values)
		}
	}
	return allowed, restricted
}

// grantsBefore counts the grants of the namespace that come before the requested one: pairs of entrustment and purpose
// that reach a store, by entrustment, then purpose, own handling first.
func (p plain) grantsBefore(r entrustment.Request) int {
	entrustments := []string{""}
	for _, e := range p.in.Entrustments {
		if e != nil && e.Name < r.Entrustment {
			entrustments = append(entrustments, e.Name)
		}
	}
	entrustments = append(entrustments, r.Entrustment)
	slices.Sort(entrustments)
	entrustments = slices.Compact(entrustments)
	if len(entrustments)*len(p.in.Purposes) <= v1alpha1.MaxGrants {
		return 0 // there cannot be so many
	}
	count := 0
	for _, e := range entrustments {
		for _, purpose := range p.in.Purposes {
			if purpose == nil || e == r.Entrustment && purpose.Name >= r.Purpose {
				continue
			}
			if p.reachesAny(entrustment.Request{Namespace: r.Namespace, Purpose: purpose.Name, Entrustment: e}) {
				count++
			}
		}
	}
	return count
}

// storesBefore counts the stores reached like the requested one that come before it, by namespace, then name.
func (p plain) storesBefore(r entrustment.Request) int {
	if len(p.in.Stores) <= maxGrantStores {
		return 0 // there cannot be so many
	}
	count := 0
	for _, store := range p.in.Stores {
		if store == nil || compareKeys(key(store), r.Store) >= 0 {
			continue
		}
		like := r
		like.Store = key(store)
		if reached, _ := p.reaches(like); reached {
			count++
		}
	}
	return count
}

func (p plain) reachesAny(r entrustment.Request) bool {
	for _, store := range p.in.Stores {
		if store == nil {
			continue
		}
		r.Store.Namespace, r.Store.Name = store.Namespace, store.Name
		if reached, _ := p.reaches(r); reached {
			return true
		}
	}
	return false
}

func (p plain) purpose(name string) *v1alpha1.Purpose {
	for _, purpose := range p.in.Purposes {
		if purpose != nil && purpose.Name == name {
			return purpose
		}
	}
	return nil
}

func (p plain) processor(name string) *v1alpha1.DataProcessor {
	for _, party := range p.in.Processors {
		if party != nil && party.Name == name {
			return party
		}
	}
	return nil
}

func (p plain) entrustment(name string) *v1alpha1.Entrustment {
	for _, e := range p.in.Entrustments {
		if e != nil && e.Name == name {
			return e
		}
	}
	return nil
}

func (p plain) store(namespace, name string) *v1alpha1.PersonalDataStore {
	for _, store := range p.in.Stores {
		if store != nil && store.Namespace == namespace && store.Name == name {
			return store
		}
	}
	return nil
}
