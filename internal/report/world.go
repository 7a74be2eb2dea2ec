package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// World is everything that reports are about, with what the core says of it.
type World struct {
	snapshot *entrustment.Snapshot
	zone     *time.Location
	observed bool

	Parties   []*Party
	Purposes  []*Purpose
	Stores    []*Store
	Contracts []*Contract

	parties   map[string]*Party
	purposes  map[string]*Purpose
	stores    map[string]*Store // by NAMESPACE/NAME
	contracts map[string]*Contract
	access    map[string]entrustment.Access // by namespace
}

// Party is a DataProcessor.
type Party struct {
	*v1alpha1.DataProcessor
	Says  v1alpha1.DataProcessorStatus // by the core
	State State
}

// Purpose is a Purpose.
type Purpose struct {
	*v1alpha1.Purpose
	Says  v1alpha1.PurposeStatus // by the core
	State State
}

// Store is a PersonalDataStore.
type Store struct {
	*v1alpha1.PersonalDataStore
	Key   string                           // NAMESPACE/NAME
	Says  v1alpha1.PersonalDataStoreStatus // by the core
	State State
}

// Contract is an Entrustment.
type Contract struct {
	*v1alpha1.Entrustment
	Says  v1alpha1.EntrustmentStatus // by the core
	State State
}

// State is how an object stands at the instant, in one word.
type State string

// The states.
const (
	StateInForce    State = "InForce"
	StateEndingSoon State = "EndingSoon" // in force, and ends within SoonDays
	StateComing     State = "NotYetInForce"
	StateSuspended  State = "Suspended"
	StateEnded      State = "Ended"
	StateDenied     State = "Denied" // not in force for another reason, which a condition tells
)

// SoonDays before its end a contract ends soon; a review is due soon for as long.
const SoonDays = 30

// NewWorld looks at everything once. The snapshot is compiled from the inputs; observed says that these come from a cluster, with
// the statuses that the operator wrote.
func NewWorld(in entrustment.Inputs, snapshot *entrustment.Snapshot, observed bool) *World {
	w := &World{
		snapshot: snapshot, zone: in.Location, observed: observed,
		parties: map[string]*Party{}, purposes: map[string]*Purpose{}, stores: map[string]*Store{}, contracts: map[string]*Contract{},
		access: map[string]entrustment.Access{},
	}
	if w.zone == nil {
		w.zone = time.UTC
	}
	for _, o := range in.Processors {
		if w.parties[o.Name] == nil { // of two with the same name the first counts
			p := &Party{DataProcessor: o}
			p.Says, _ = snapshot.ProcessorStatus(o.Name)
			p.State = stateOf(p.Says.Conditions)
			w.parties[o.Name], w.Parties = p, append(w.Parties, p)
		}
	}
	for _, o := range in.Purposes {
		if w.purposes[o.Name] == nil {
			p := &Purpose{Purpose: o}
			p.Says, _ = snapshot.PurposeStatus(o.Name)
			p.State = w.stateOfPurpose(p)
			w.purposes[o.Name], w.Purposes = p, append(w.Purposes, p)
		}
	}
	for _, o := range in.Stores {
		key := types.NamespacedName{Namespace: o.Namespace, Name: o.Name}
		if w.stores[key.String()] == nil {
			s := &Store{PersonalDataStore: o, Key: key.String()}
			s.Says, _ = snapshot.StoreStatus(key, seen(o.Status.Conditions)...)
			s.State = stateOf(s.Says.Conditions)
			w.stores[s.Key], w.Stores = s, append(w.Stores, s)
		}
	}
	for _, o := range in.Entrustments {
		if w.contracts[o.Name] == nil {
			c := &Contract{Entrustment: o}
			c.Says, _ = snapshot.EntrustmentStatus(o.Name)
			w.contracts[o.Name], w.Contracts = c, append(w.Contracts, c)
		}
	}
	for _, c := range w.Contracts {
		c.State = w.stateOfContract(c)
	}
	for _, namespace := range snapshot.BoundNamespaces() {
		w.access[namespace], _ = snapshot.NamespaceAccess(namespace)
	}
	slices.SortFunc(w.Parties, func(a, b *Party) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(w.Purposes, func(a, b *Purpose) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(w.Stores, func(a, b *Store) int { return cmp.Compare(a.Key, b.Key) })
	slices.SortFunc(w.Contracts, func(a, b *Contract) int { return cmp.Compare(a.Name, b.Name) })
	return w
}

// seen are the conditions that reconcilers observed of a store; the others are the core's to say anew.
func seen(conditions []metav1.Condition) []metav1.Condition {
	var of []metav1.Condition
	for _, kind := range []string{v1alpha1.ConditionIsolated, v1alpha1.ConditionGuarded, v1alpha1.ConditionCredentialsDelivered} {
		if c := meta.FindStatusCondition(conditions, kind); c != nil {
			of = append(of, *c)
		}
	}
	return of
}

// HasParty tells whether there is such a DataProcessor.
func (w *World) HasParty(name string) bool { return w.parties[name] != nil }

// Namespaces are those bound to somebody, sorted.
func (w *World) Namespaces() []string { return w.snapshot.BoundNamespaces() }

// Grants are what the pods of a bound namespace may do.
func (w *World) Grants(namespace string) []entrustment.AccessGrant { return w.access[namespace].Grants }

// At is the instant.
func (w *World) At() time.Time { return w.snapshot.Now().In(w.zone) }

// When writes an instant; nil and zero are never.
func (w *World) When(t *metav1.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(w.zone).Format(time.RFC3339)
}

// stateOf sums up the condition Ready. What only waits for somebody to look is in force.
func stateOf(conditions []metav1.Condition) State {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil {
		return StateDenied
	}
	switch reason := v1alpha1.Reason(ready.Reason); {
	case ready.Status == metav1.ConditionTrue, reason == v1alpha1.ReasonNotIsolated, reason == v1alpha1.ReasonCredentialNotFound:
		return StateInForce
	case reason == v1alpha1.ReasonSuspended:
		return StateSuspended
	case reason == v1alpha1.ReasonNotYetInForce:
		return StateComing
	case reason == v1alpha1.ReasonWithdrawn, reason == v1alpha1.ReasonTerminating:
		return StateEnded
	default:
		return StateDenied
	}
}

func (w *World) stateOfPurpose(p *Purpose) State {
	state := stateOf(p.Says.Conditions)
	switch {
	case state == StateInForce && p.Says.EffectiveDisposition == v1alpha1.DispositionProhibited:
		return StateDenied
	case state == StateInForce && w.Soon(p.Spec.NotAfter):
		return StateEndingSoon
	default:
		return state
	}
}

func (w *World) stateOfContract(c *Contract) State {
	active := meta.FindStatusCondition(c.Says.Conditions, v1alpha1.ConditionActive)
	if active == nil {
		return StateDenied
	}
	if active.Status == metav1.ConditionTrue {
		switch {
		case !meta.IsStatusConditionTrue(c.Says.Conditions, v1alpha1.ConditionReady):
			return StateDenied
		case w.Soon(c.Until()):
			return StateEndingSoon
		default:
			return StateInForce
		}
	}
	switch v1alpha1.Reason(active.Reason) {
	case v1alpha1.ReasonExpired, v1alpha1.ReasonTerminating:
		return StateEnded
	case v1alpha1.ReasonSuspended, v1alpha1.ReasonProcessorSuspended, v1alpha1.ReasonReviewOverdue:
		return StateSuspended
	case v1alpha1.ReasonNotYetInForce:
		return StateComing
	case v1alpha1.ReasonParentNotActive: // it shares the fate of the tier above that is not
		if parent := w.contracts[c.Spec.ParentName]; parent != nil && len(c.Says.Chain) > 1 {
			return w.stateOfContract(parent)
		}
		return StateDenied
	default:
		return StateDenied
	}
}

// Until is the end of what is in effect, or else of the contract's own term.
func (c *Contract) Until() *metav1.Time {
	if c.Says.Effective != nil && c.Says.Effective.NotAfter != nil {
		return c.Says.Effective.NotAfter
	}
	return &c.Spec.NotAfter
}

// Soon says whether an instant comes within SoonDays; nil and zero never come.
func (w *World) Soon(end *metav1.Time) bool {
	return !end.IsZero() && end.Before(&metav1.Time{Time: w.snapshot.Now().AddDate(0, 0, SoonDays)})
}

// Running says whether a state is one in which pods may have access.
func (s State) Running() bool { return s == StateInForce || s == StateEndingSoon }

// concerns says whether a contract is one of a party's: it entrusts, is entrusted, or is the data controller. Empty: anybody's.
func (c *Contract) concerns(party string) bool {
	return party == "" || party == c.Spec.EntrusterName || party == c.Spec.EntrusteeName || party == c.Says.ControllerName
}

// covers says whether a store, for a purpose, is within what is in effect of a contract.
func (c *Contract) covers(purpose string, store *Store) bool {
	extent := c.Says.Effective
	return extent != nil && slices.Contains(extent.Purposes, purpose) && slices.Contains(extent.Stores, store.Key)
}

// LegalName is the registered name of a party; of one that does not exist, what it is called.
func (w *World) LegalName(name string) string {
	if p := w.parties[name]; p != nil {
		return p.Spec.LegalName
	}
	return name
}

// title of a purpose in the words in which it was published; of one that does not exist, what it is called.
func (w *World) title(purpose string) string {
	if p := w.purposes[purpose]; p != nil {
		return p.Spec.Title
	}
	return purpose
}

// condition tells the reason and the message of a condition, where it is.
func condition(conditions []metav1.Condition, kind string) string {
	c := meta.FindStatusCondition(conditions, kind)
	if c == nil {
		return ""
	}
	return c.Reason
}

// message tells what a condition says.
func message(conditions []metav1.Condition, kind string) string {
	if c := meta.FindStatusCondition(conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

// observedOf tells what a status says of each store that was looked at; nil: of none.
func observedOf(stores []*Store, of func(*Store) string) []string {
	var texts []string
	for _, s := range stores {
		if text := of(s); text != "" {
			texts = append(texts, s.Key+": "+text)
		}
	}
	return texts
}

func isolation(s *Store) string { return condition(s.Status.Conditions, v1alpha1.ConditionIsolated) }

// contacts of a party with one of the roles; none given: of every other than those that have a column of their own.
func (w *World) contacts(party string, roles ...v1alpha1.ContactRole) []string {
	p := w.parties[party]
	if p == nil {
		return nil
	}
	var texts []string
	for _, c := range p.Spec.Contacts {
		own := c.Role == roleDPO || c.Role == roleRepresentative
		if len(roles) > 0 && !slices.Contains(roles, c.Role) || len(roles) == 0 && own {
			continue
		}
		texts = append(texts, join(c.Name, c.Email, c.URL))
	}
	return texts
}

const (
	roleDPO            v1alpha1.ContactRole = "DataProtectionOfficer"
	roleRepresentative v1alpha1.ContactRole = "Representative"
)

// representatives are whoever represents a legal person, and a representative in the sense of GDPR art. 27.
func (w *World) representatives(party string) []string {
	texts := w.contacts(party, roleRepresentative)
	if p := w.parties[party]; p != nil && p.Spec.Representative != "" {
		texts = append([]string{p.Spec.Representative}, texts...)
	}
	return texts
}

// transfers of a contract, with the safeguards.
func transfers(c *Contract) []string {
	var texts []string
	for _, t := range c.Spec.Transfers {
		checked := ""
		if t.CheckedDate != "" {
			checked = "checked " + t.CheckedDate
		}
		texts = append(texts, t.Country+": "+join(string(t.Basis), checked, t.EvidenceURL))
	}
	return texts
}

// join joins what is not empty.
func join(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), ", ")
}

// union collects texts of several items, each once, sorted.
func union[T any](items []T, of func(T) []string) []string {
	var all []string
	for _, item := range items {
		all = append(all, of(item)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// distinct keeps the first of equal texts, in their order.
func distinct(texts []string) []string {
	var kept []string
	for _, text := range texts {
		if !slices.Contains(kept, text) {
			kept = append(kept, text)
		}
	}
	return kept
}

// words of a list of typed words.
func words[T ~string](list []T) []string {
	texts := make([]string, len(list))
	for i, word := range list {
		texts[i] = string(word)
	}
	return texts
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

const (
	noteFiles    = "Read from files: what only a running cluster can show (origin observed) is blank."
	noteObserved = "Columns of origin observed show what the operator last saw, not the instant of the report; blank: it has not looked yet."
	noteUnknown  = "Columns of origin unknown are blank because nothing in the cluster tells; a person has to fill them in."
)

// report begins a report with the notes that every one of them has.
func (w *World) report(name, title, party string, sections ...Section) Report {
	r := Report{Name: name, Title: title, Party: party, At: w.At(), Observed: w.observed, Sections: sections}
	has := func(origin Origin) bool {
		return slices.ContainsFunc(sections, func(s Section) bool {
			return slices.ContainsFunc(s.Columns, func(c Column) bool { return c.Origin == origin })
		})
	}
	if has(Observed) {
		if w.observed {
			r.Notes = append(r.Notes, noteObserved)
		} else {
			r.Notes = append(r.Notes, noteFiles)
		}
	}
	if has(Unknown) {
		r.Notes = append(r.Notes, noteUnknown)
	}
	return r
}

// PartyOf is the DataProcessor to which a namespace is bound.
func (w *World) PartyOf(namespace string) string { return w.access[namespace].Processor }

// Why says what keeps a contract from being in force; empty: nothing does.
func (c *Contract) Why() string {
	if c.State.Running() {
		return ""
	}
	return message(c.Says.Conditions, v1alpha1.ConditionReady)
}

// Why says what keeps a purpose from being used; empty: nothing does.
func (p *Purpose) Why() string {
	if p.State.Running() {
		return ""
	}
	return message(p.Says.Conditions, v1alpha1.ConditionReady)
}
