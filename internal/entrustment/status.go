package entrustment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// The statuses are complete but for the times of transition, which only who writes them can know.

// maxNames bounds the lists of names in a status.
const maxNames = 512

// conditions collects what is said of one object.
type conditions struct {
	generation int64
	list       []metav1.Condition
}

func (c *conditions) add(kind string, status metav1.ConditionStatus, reason v1alpha1.Reason, format string, args ...any) {
	c.list = append(c.list, metav1.Condition{
		Type: kind, Status: status, Reason: string(reason), ObservedGeneration: c.generation,
		Message: fmt.Sprintf(format, args...),
	})
}

func (c *conditions) isTrue(kind string, reason v1alpha1.Reason, format string, args ...any) {
	c.add(kind, metav1.ConditionTrue, reason, format, args...)
}

func (c *conditions) isFalse(kind string, reason v1alpha1.Reason, format string, args ...any) {
	c.add(kind, metav1.ConditionFalse, reason, format, args...)
}

func (c *conditions) isUnknown(kind string, reason v1alpha1.Reason, format string, args ...any) {
	c.add(kind, metav1.ConditionUnknown, reason, format, args...)
}

func (c *conditions) find(kind string) *metav1.Condition {
	for i := range c.list {
		if c.list[i].Type == kind {
			return &c.list[i]
		}
	}
	return nil
}

// sorted by type, so that equal statuses are equal bytes.
func (c *conditions) sorted() []metav1.Condition {
	slices.SortFunc(c.list, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	return c.list
}

// PurposeStatus tells what the snapshot finds of a Purpose; false: there is no such object.
func (s *Snapshot) PurposeStatus(name string) (v1alpha1.PurposeStatus, bool) {
	p := s.purposes[name]
	if p == nil {
		return v1alpha1.PurposeStatus{}, false
	}
	status := v1alpha1.PurposeStatus{ObservedGeneration: p.obj.Generation, EffectiveDisposition: v1alpha1.DispositionPermitted}
	if p.banned || p.obj.Spec.Disposition == v1alpha1.DispositionProhibited {
		status.EffectiveDisposition = v1alpha1.DispositionProhibited
	}
	if p.forest != nil {
		for up := p; up != nil; up = up.parent {
			status.Path = append(status.Path, up.name())
		}
		slices.Reverse(status.Path)
		status.Path = status.Path[:min(len(status.Path), maxPath)]
		counted := s.usesOf(p.forest)
		status.StoreCount, status.EntrustmentCount = counted.stores[p.id], counted.contracts[p.id]
	}
	c := conditions{generation: p.obj.Generation}
	s.purposeReady(&c, p)
	if p.forest != nil && !p.until.IsZero() {
		s.ending(&c, p.until)
	}
	status.Conditions = c.sorted()
	return status, true
}

// maxPath bounds the path and the chain in a status.
const maxPath = 64

// useCounts are, by purpose of a forest, the stores that are for it, and the contracts that entrust it at one of them.
type useCounts struct{ stores, contracts []int32 }

// usesOf counts the uses of all purposes of a forest at once, when somebody asks for those of the first. Two that ask first
// may both count them: the same.
func (s *Snapshot) usesOf(f *forest) *useCounts {
	if counted := f.uses.Load(); counted != nil {
		return counted
	}
	counted := &useCounts{make([]int32, len(f.members)), make([]int32, len(f.members))}
	for _, st := range s.stores {
		if st.forest != f {
			continue
		}
		for id := range st.intended.all() {
			counted.stores[id]++
		}
	}
	reached := newSet(len(f.members))
	for _, c := range s.contracts {
		if !c.sound() || c.controller.forest != f {
			continue
		}
		for id := range c.reached(reached).all() {
			counted.contracts[id]++
		}
	}
	f.uses.Store(counted)
	return counted
}

// ending warns of an end before it comes.
func (s *Snapshot) ending(c *conditions, end time.Time) {
	const kind = v1alpha1.ConditionEnding
	at := s.calendar.write(end)
	switch near := s.calendar.nearness(end); near {
	case v1alpha1.ReasonEndsLater:
		c.isFalse(kind, near, "ends at %s", at)
	case v1alpha1.ReasonEnded:
		c.isTrue(kind, near, "ended at %s", at)
	default:
		c.isTrue(kind, near, "ends at %s; renew it in time, or end what depends on it", at)
	}
}

func (s *Snapshot) purposeReady(c *conditions, p *purpose) {
	spec := &p.obj.Spec
	if p.forest == nil {
		reason, message := s.whyBroken(p)
		c.isFalse(v1alpha1.ConditionReady, reason, "%s", message)
		return
	}
	if controller := s.parties[spec.ControllerName]; controller == nil || controller.missing() {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonControllerNotFound,
			"DataProcessor %q, the data controller, does not exist; create it", spec.ControllerName)
		return
	}
	for up := p; up != nil; up = up.parent {
		begun, ended := inForce(s.calendar.now, up.obj.Spec.NotBefore, up.obj.Spec.NotAfter)
		switch {
		case ended:
			c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonWithdrawn,
				"Purpose %q was withdrawn at %s", up.name(), s.calendar.write(up.obj.Spec.NotAfter.Time))
			return
		case !begun:
			c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonNotYetInForce,
				"Purpose %q may be relied on from %s", up.name(), s.calendar.write(up.obj.Spec.NotBefore.Time))
			return
		}
	}
	if p.banned {
		c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonValid, "prohibited: nobody may declare it, and stores exclude it")
		return
	}
	c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonValid, "may be relied on")
}

// whyBroken follows the parents of a purpose to where their chain ends without a root.
func (s *Snapshot) whyBroken(p *purpose) (v1alpha1.Reason, string) {
	seen := map[*purpose]bool{}
	for at := p; ; {
		seen[at] = true
		name := at.obj.Spec.ParentName
		parent := s.purposes[name]
		switch {
		case parent == nil:
			return v1alpha1.ReasonParentNotFound,
				fmt.Sprintf("Purpose %q, the parent of %q, does not exist; create it, or create %q anew under another parent", name, at.name(), at.name())
		case parent.obj.Spec.ControllerName != at.obj.Spec.ControllerName:
			return v1alpha1.ReasonControllerMismatch,
				fmt.Sprintf("Purpose %q of %q cannot be part of %q, which is of %q", at.name(), at.obj.Spec.ControllerName, name, parent.obj.Spec.ControllerName)
		case seen[parent]:
			return v1alpha1.ReasonCycleDetected, fmt.Sprintf("the parents of Purpose %q come back to %q", p.name(), name)
		}
		at = parent
	}
}

// ProcessorStatus tells what the snapshot finds of a DataProcessor; false: there is no such object.
func (s *Snapshot) ProcessorStatus(name string) (v1alpha1.DataProcessorStatus, bool) {
	p := s.parties[name]
	if p == nil || p.missing() {
		return v1alpha1.DataProcessorStatus{}, false
	}
	status := v1alpha1.DataProcessorStatus{
		ObservedGeneration: p.obj.Generation,
		Suspended:          p.obj.Spec.Suspended,
		Roles:              p.roles(),
		Namespaces:         s.pins(p),
	}
	for _, c := range p.received {
		if c.activity == nil && !c.broken {
			status.EntrustmentCount++
		}
		if c.obj.DeletionTimestamp == nil {
			if due := s.calendar.reviewDue(c.obj).String(); status.NextReviewDate == "" || due < status.NextReviewDate {
				status.NextReviewDate = due
			}
		}
	}
	c := conditions{generation: p.obj.Generation}
	s.processorReady(&c, p)
	s.selectionCurrent(&c, p)
	status.Conditions = c.sorted()
	return status, true
}

func (p *party) roles() []v1alpha1.Role {
	var roles []v1alpha1.Role
	is := func(role v1alpha1.Role, yes bool) {
		if yes {
			roles = append(roles, role)
		}
	}
	isChild := func(c *contract) bool { return c.obj.Spec.ParentName != "" }
	is(v1alpha1.RoleController, len(p.stores) > 0)
	is(v1alpha1.RoleEntruster, p.entrusts)
	is(v1alpha1.RoleEntrustee, slices.ContainsFunc(p.received, func(c *contract) bool { return !isChild(c) }))
	is(v1alpha1.RoleSubEntrustee, slices.ContainsFunc(p.received, isChild))
	return roles
}

// pins are the bound namespaces as first seen. A namespace that is gone keeps its pin, or whoever makes it anew would
// inherit the binding.
func (s *Snapshot) pins(p *party) []v1alpha1.ObservedNamespace {
	var pins []v1alpha1.ObservedNamespace
	for i := range p.bindings {
		b := &p.bindings[i]
		uid := pinnedUID(p.obj, b.namespace)
		if uid == "" {
			uid = s.namespaces[b.namespace]
		}
		if uid != "" && !slices.ContainsFunc(pins, func(o v1alpha1.ObservedNamespace) bool { return o.Name == b.namespace }) {
			pins = append(pins, v1alpha1.ObservedNamespace{Name: b.namespace, UID: uid})
		}
	}
	slices.SortFunc(pins, func(a, b v1alpha1.ObservedNamespace) int { return strings.Compare(a.Name, b.Name) })
	return pins
}

func (s *Snapshot) processorReady(c *conditions, p *party) {
	spec := &p.obj.Spec
	first := func(test func(*binding) bool) *binding {
		for i := range p.bindings {
			if test(&p.bindings[i]) {
				return &p.bindings[i]
			}
		}
		return nil
	}
	if spec.Suspended {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonSuspended, "suspended%s; nothing it handles or entrusts is accessible", because(spec.SuspendedReason))
		return
	}
	if p.rejected() {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonSelectionRejected,
			"the assessment of %s rejected it; nothing entrusted to it is in force", spec.Selection.AssessedDate)
		return
	}
	if b := first(func(b *binding) bool { return b.contested }); b != nil {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonNamespaceConflict,
			"namespace %q is also named by DataProcessor %q and so belongs to nobody; remove it from one of them", b.namespace, b.rival.name)
		return
	}
	if b := first(func(b *binding) bool { return b.recreated }); b != nil {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonNamespaceRecreated,
			"namespace %q was deleted and made anew, so it may be somebody else's; remove it from spec.namespaces and add it again to accept it", b.namespace)
		return
	}
	if b := first(func(b *binding) bool { _, exists := s.namespaces[b.namespace]; return s.namespaces != nil && !exists }); b != nil {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonNamespaceNotFound, "namespace %q does not exist; create it or remove it from spec.namespaces", b.namespace)
		return
	}
	if b := first((*binding).overflows); b != nil {
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonTooManyGrants,
			"namespace %q has more than %d grants, or more than fit into %d KiB; those behind are denied: assign fewer purposes to it, or spread the work over several namespaces",
			b.namespace, v1alpha1.MaxGrants, v1alpha1.MaxAccessBytes>>10)
		return
	}
	c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonValid, "its namespaces act for it")
}

func (s *Snapshot) selectionCurrent(c *conditions, p *party) {
	selection := p.obj.Spec.Selection
	switch {
	case len(p.received) == 0:
		c.isTrue(v1alpha1.ConditionSelectionCurrent, v1alpha1.ReasonNotEntrusted, "nothing is entrusted to it")
	case selection == nil:
		c.isFalse(v1alpha1.ConditionSelectionCurrent, v1alpha1.ReasonSelectionMissing,
			"handling is entrusted to it, but no assessment is recorded; record one in spec.selection")
	case selection.ValidUntil != "" && dayOf(selection.ValidUntil) < s.calendar.today:
		c.isFalse(v1alpha1.ConditionSelectionCurrent, v1alpha1.ReasonSelectionExpired,
			"the assessment was to be repeated by %s; assess again and record it in spec.selection", selection.ValidUntil)
	case selection.ValidUntil != "" && dayOf(selection.ValidUntil)-selectionSoonDays <= s.calendar.today:
		c.isTrue(v1alpha1.ConditionSelectionCurrent, v1alpha1.ReasonSelectionExpiresSoon,
			"the assessment is to be repeated by %s; assess again and record it in spec.selection", selection.ValidUntil)
	default:
		c.isTrue(v1alpha1.ConditionSelectionCurrent, v1alpha1.ReasonSelectionCurrent, "assessed on %s: %s", selection.AssessedDate, selection.Result)
	}
}

// StoreStatus tells what the snapshot finds of a PersonalDataStore; false: there is no such object. What reconcilers
// observed of it in the cluster, such as Isolated, is handed in and counts for Ready.
func (s *Snapshot) StoreStatus(key types.NamespacedName, observed ...metav1.Condition) (v1alpha1.PersonalDataStoreStatus, bool) {
	st := s.stores[key]
	if st == nil {
		return v1alpha1.PersonalDataStoreStatus{}, false
	}
	status := v1alpha1.PersonalDataStoreStatus{ObservedGeneration: st.obj.Generation, Suspended: st.obj.Spec.Suspended, EffectivePurposes: st.intendedNames()}
	for _, grant := range s.StoreGrants(key) {
		status.GrantCount += int32(len(grant.Purposes))
	}
	c := conditions{generation: st.obj.Generation}
	for _, condition := range observed {
		condition.ObservedGeneration = st.obj.Generation
		c.list = append(c.list, condition)
	}
	s.collationPossible(&c, st)
	s.storeReady(&c, st)
	status.Conditions = c.sorted()
	return status, true
}

func (st *store) intendedNames() []string {
	var names []string
	for id := range st.intended.all() {
		names = append(names, st.forest.members[id].name())
	}
	slices.Sort(names)
	return names[:min(len(names), maxNames)]
}

func (s *Snapshot) storeReady(c *conditions, st *store) {
	spec := &st.obj.Spec
	isolated, delivered := c.find(v1alpha1.ConditionIsolated), c.find(v1alpha1.ConditionCredentialsDelivered)
	unknown := s.unknownPurposes(st)
	switch {
	case st.obj.DeletionTimestamp != nil:
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonTerminating, "being deleted; closed to everyone but its own pods until the last of them is gone")
	case st.controller.missing():
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonControllerNotFound,
			"DataProcessor %q, the data controller, does not exist; create it", spec.ControllerName)
	case len(st.conflicts) > 0:
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonEndpointConflict,
			"PersonalDataStore %q has the same port of the same endpoint, so only what both admit is let through; give one of them other pods, addresses or ports",
			st.conflicts[0].key)
	case spec.Suspended:
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonSuspended, "suspended%s; closed to everyone but its own pods", because(spec.SuspendedReason))
	case len(unknown) > 0:
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonPurposeNotFound,
			"spec names %s, which %q has not published as a Purpose with an intact chain of parents", quoteList(unknown), spec.ControllerName)
	case st.breadth == 0:
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonNoEffectivePurpose,
			"no purpose is left of spec.allowedPurposes after prohibitions, consent and data form, so nobody may use the store")
	case isolated == nil || isolated.Status != metav1.ConditionTrue && isolated.Reason != string(v1alpha1.ReasonReporting):
		message := "not verified yet"
		if isolated != nil {
			message = isolated.Message
		}
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonNotIsolated, "%s", message)
	case delivered != nil && delivered.Status != metav1.ConditionTrue &&
		(delivered.Reason == string(v1alpha1.ReasonSecretNotFound) || delivered.Reason == string(v1alpha1.ReasonSecretRefused)):
		c.isFalse(v1alpha1.ConditionReady, v1alpha1.ReasonCredentialNotFound, "%s", delivered.Message)
	case spec.Enforcement == v1alpha1.EnforcementReport:
		c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonReporting, "nothing is cut; set spec.enforcement to Enforce to close the store")
	default:
		c.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonEnforced, "only its own pods and those with a grant reach it")
	}
}

// unknownPurposes are the names in a store's spec that mean nothing, sorted.
func (s *Snapshot) unknownPurposes(st *store) []string {
	var unknown []string
	spec := &st.obj.Spec
	for _, name := range slices.Concat(spec.AllowedPurposes, spec.ProhibitedPurposes, spec.ConsentedPurposes) {
		if p := s.purposes[name]; (p == nil || p.forest == nil || p.forest != st.forest) && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// collationPossible reports purposes in effect both on a pseudonymised store and on an identifiable one of the same data
// controller: APPI art. 41(7) forbids collating them to identify a person.
func (s *Snapshot) collationPossible(c *conditions, st *store) {
	if st.obj.Spec.DataForm != v1alpha1.DataFormPseudonymised {
		c.isFalse(v1alpha1.ConditionCollationPossible, v1alpha1.ReasonNotPseudonymised, "the data are not pseudonymised")
		return
	}
	var other *store
	for _, candidate := range st.controller.stores {
		identifiable := candidate.obj.Spec.DataForm == v1alpha1.DataFormIdentifiable || candidate.obj.Spec.DataForm == ""
		if identifiable && st.intended.meets(candidate.intended) && (other == nil || compareKeys(candidate.key, other.key) < 0) {
			other = candidate
		}
	}
	if other == nil {
		c.isFalse(v1alpha1.ConditionCollationPossible, v1alpha1.ReasonNoSharedPurposes, "no identifiable store of the data controller serves the same purposes")
		return
	}
	shared := slices.Clone(st.intended)
	shared.intersect(other.intended)
	var names []string
	for id := range shared.all() {
		names = append(names, st.forest.members[id].name())
	}
	slices.Sort(names)
	c.isTrue(v1alpha1.ConditionCollationPossible, v1alpha1.ReasonSharedPurposes,
		"PersonalDataStore %q holds identifiable data for %s too; the two must not be collated", other.key, quoteList(names))
}

// quoteList writes the first few of sorted names, and how many more there are.
func quoteList(names []string) string {
	const most = 5
	var b strings.Builder
	for i, name := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", name)
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}
