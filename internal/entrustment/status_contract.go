package entrustment

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// EntrustmentStatus tells what the snapshot finds of an Entrustment; false: there is no such object. Revoked is not
// among its conditions: only who ended what was left behind can say that.
func (s *Snapshot) EntrustmentStatus(name string) (v1alpha1.EntrustmentStatus, bool) {
	c := s.contracts[name]
	if c == nil {
		return v1alpha1.EntrustmentStatus{}, false
	}
	status := v1alpha1.EntrustmentStatus{
		ObservedGeneration: c.obj.Generation,
		Suspended:          c.obj.Spec.Suspended,
		NextReviewDate:     s.calendar.reviewDue(c.obj).String(),
		DisposalDueDate:    s.calendar.disposalDue(c.obj).String(),
	}
	_, status.Ended = inForce(s.calendar.now, nil, &c.obj.Spec.NotAfter)
	if c.obj.Spec.Supervision != nil {
		status.ReviewCount = int32(len(c.obj.Spec.Supervision.Reviews))
	}
	if !c.broken {
		status.Depth = c.depth
		for _, tier := range c.chain() {
			status.Chain = append(status.Chain, tier.name())
		}
		status.Chain = status.Chain[:min(len(status.Chain), maxPath)]
	}
	if c.controller != nil {
		status.ControllerName = c.controller.name
	}
	if c.sound() {
		status.Effective = s.effective(c)
	}
	say := conditions{generation: c.obj.Generation}
	s.authorized(&say, c)
	s.scopeValid(&say, c)
	s.active(&say, c)
	s.transferBasisPresent(&say, c)
	contractReady(&say, c)
	contractComplete(&say, c)
	s.supervisionCurrent(&say, c)
	s.ending(&say, c.end())
	s.disposed(&say, c)
	status.Conditions = say.sorted()
	return status, true
}

// Lapsed says whether an Entrustment for a store that cuts is known to have ended, or to be withdrawn for now, by itself or by
// what is above it.
func (s *Snapshot) Lapsed(name string) bool {
	c := s.contracts[name]
	if c == nil || c.obj.DeletionTimestamp == nil && (c.activity == nil || c.activity.reason == v1alpha1.ReasonNotYetInForce) {
		return false
	}
	return slices.ContainsFunc(c.obj.Spec.Stores, func(ref v1alpha1.StoreReference) bool {
		store := s.Store(types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
		return store != nil && !Reports(store)
	})
}

// effective is what is left of a contract after intersection along the chain and with the stores.
func (s *Snapshot) effective(c *contract) *v1alpha1.EffectiveExtent {
	extent := &v1alpha1.EffectiveExtent{Territories: slices.Sorted(slices.Values(c.territory))}
	for _, st := range c.stores {
		if st.admits(c) {
			extent.Stores = append(extent.Stores, st.key.String())
		}
	}
	slices.Sort(extent.Stores)
	reached := c.reached(make(set, len(c.purposes)))
	for id := range reached.all() {
		extent.Purposes = append(extent.Purposes, c.controller.forest.members[id].name())
	}
	slices.Sort(extent.Purposes)
	extent.Purposes = extent.Purposes[:min(len(extent.Purposes), maxNames)]
	for tier := c; tier != nil; tier = tier.parent {
		if from := tier.obj.Spec.NotBefore; from != nil && (extent.NotBefore == nil || extent.NotBefore.Before(from)) {
			extent.NotBefore = from
		}
		if until := &tier.obj.Spec.NotAfter; extent.NotAfter == nil || until.Before(extent.NotAfter) {
			extent.NotAfter = until
		}
	}
	return extent
}

// reached are the purposes in effect for at least one store. They are put into a set of the size of the forest.
func (c *contract) reached(into set) set {
	clear(into)
	for _, st := range c.stores {
		if st.admits(c) {
			into.union(st.intended)
		}
	}
	into.intersect(c.purposes)
	return into
}

func (s *Snapshot) authorized(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionAuthorized
	switch f := c.authority; {
	case c.broken:
		reason, message := s.whyChainBroken(c)
		say.isFalse(kind, reason, "%s", message)
	case f != nil && f.reason == v1alpha1.ReasonStoreNotFound:
		say.isUnknown(kind, f.reason, "%s", s.describe(f))
	case f != nil:
		say.isFalse(kind, f.reason, "%s", s.describe(f))
	case c.entrustee.rejected():
		say.isFalse(kind, v1alpha1.ReasonSelectionRejected, "the assessment of DataProcessor %q rejected it", c.entrustee.name)
	case c.parent == nil:
		say.isTrue(kind, v1alpha1.ReasonByController, "entrusted by %q, the data controller", c.controller.name)
	case c.parent.obj.Spec.SubEntrustment.Policy == v1alpha1.SubEntrustmentPriorNotice:
		say.isTrue(kind, v1alpha1.ReasonNoticeElapsed, "no tier above objected to %q in time", c.entrustee.name)
	default:
		say.isTrue(kind, v1alpha1.ReasonPriorApproval, "every tier above permits %q", c.entrustee.name)
	}
}

func (s *Snapshot) active(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionActive
	switch f := c.activity; {
	case c.obj.DeletionTimestamp != nil:
		say.isFalse(kind, v1alpha1.ReasonTerminating, "terminated at %s: deleted, and kept until Disposed is True", s.calendar.write(c.obj.DeletionTimestamp.Time))
	case c.broken:
		_, message := s.whyChainBroken(c)
		say.isFalse(kind, v1alpha1.ReasonParentNotActive, "%s", message)
	case f == nil:
		say.isTrue(kind, v1alpha1.ReasonInForce, "in force until %s", s.calendar.write(c.until))
	case f.tier != c:
		say.isFalse(kind, v1alpha1.ReasonParentNotActive, "%s", s.describe(f))
	default:
		say.isFalse(kind, f.reason, "%s", s.describe(f))
	}
}

func (s *Snapshot) transferBasisPresent(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionTransferBasisPresent
	f := c.location
	if f != nil && f.reason == v1alpha1.ReasonTransferBasisMissing {
		say.isFalse(kind, f.reason, "%s", s.describe(f))
		return
	}
	if c.controller == nil || c.controller.missing() || c.entrustee.missing() {
		say.isUnknown(kind, v1alpha1.ReasonProcessorNotFound, "the parties that say where data are handled are not all known")
		return
	}
	home := c.controller.obj.Spec.Country
	abroad := func(country string) bool { return country != home }
	if !abroad(c.entrustee.obj.Spec.Country) && !slices.ContainsFunc(c.entrustee.handling(), abroad) {
		say.isTrue(kind, v1alpha1.ReasonDomestic, "handled in %s, the data controller's country, alone", home)
		return
	}
	for i := range c.obj.Spec.Transfers {
		t := &c.obj.Spec.Transfers[i]
		if t.Basis != v1alpha1.TransferEquivalentMeasures {
			continue
		}
		if checkDue(t) < s.calendar.today {
			say.isTrue(kind, v1alpha1.ReasonCheckOverdue,
				"the measures relied on for %s are to be checked every year; check them and record transfers[].checkedDate", t.Country)
			return
		}
	}
	say.isTrue(kind, v1alpha1.ReasonBasisRecorded, "a ground is recorded for each country other than %s", home)
}

// contractReady sums the conditions up that decide: the first False gives the reason. What only clips leaves it True.
func contractReady(say *conditions, c *contract) {
	for _, kind := range []string{
		v1alpha1.ConditionAuthorized, v1alpha1.ConditionScopeValid, v1alpha1.ConditionActive, v1alpha1.ConditionTransferBasisPresent,
	} {
		found := say.find(kind)
		reason := v1alpha1.Reason(found.Reason)
		if found.Status == metav1.ConditionFalse && reason != v1alpha1.ReasonExceedsParentScope && reason != v1alpha1.ReasonExceedsStorePurposes {
			say.isFalse(v1alpha1.ConditionReady, reason, "%s", found.Message)
			return
		}
	}
	if !c.entrustee.runsHere() {
		say.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonRecordedOnly, "no namespace of this cluster is bound to DataProcessor %q", c.entrustee.name)
		return
	}
	say.isTrue(v1alpha1.ConditionReady, v1alpha1.ReasonEnforced, "the pods of %q reach what is in effect, and nothing else", c.entrustee.name)
}

func contractComplete(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionContractComplete
	contract := c.obj.Spec.Contract
	if contract == nil {
		say.isFalse(kind, v1alpha1.ReasonClauseMissing, "no contract is recorded; record it in spec.contract")
		return
	}
	var missing []string
	for _, clause := range v1alpha1.RequiredClauses() {
		if !slices.Contains(contract.Clauses, clause) {
			missing = append(missing, string(clause))
		}
	}
	if len(missing) > 0 {
		say.isFalse(kind, v1alpha1.ReasonClauseMissing, "contract %q lacks %s", contract.Reference, quoteList(missing))
		return
	}
	say.isTrue(kind, v1alpha1.ReasonClausesPresent, "contract %q has all eight clauses", contract.Reference)
}

func (s *Snapshot) supervisionCurrent(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionSupervisionCurrent
	due := s.calendar.reviewDue(c.obj)
	switch last := s.calendar.lastReview(c.obj); {
	case due < s.calendar.today:
		say.isFalse(kind, v1alpha1.ReasonReviewOverdue, "a review was due on %s; review %q and record it in spec.supervision.reviews", due, c.entrustee.name)
	case last != nil && last.Result == v1alpha1.ReviewUnsatisfactory:
		say.isFalse(kind, v1alpha1.ReasonLastReviewUnsatisfactory, "the review of %s was unsatisfactory", last.Date)
	case due-reviewSoonDays <= s.calendar.today:
		say.isTrue(kind, v1alpha1.ReasonReviewDueSoon, "a review is due on %s", due)
	default:
		say.isTrue(kind, v1alpha1.ReasonReviewCurrent, "the next review is due on %s", due)
	}
}

func (s *Snapshot) disposed(say *conditions, c *contract) {
	const kind = v1alpha1.ConditionDisposed
	_, ended := s.calendar.term(c.obj)
	due := s.calendar.disposalDue(c.obj)
	switch {
	case closed(c.obj):
		say.isTrue(kind, v1alpha1.ReasonCompleted, "done on %s", c.obj.Spec.Disposal.CompletedDate)
	case !ended:
		say.isFalse(kind, v1alpha1.ReasonNotDue, "due when the entrustment has ended, by %s", due)
	case due < s.calendar.today:
		say.isFalse(kind, v1alpha1.ReasonOverdue, "was due by %s; %s", due, recordDisposal(c))
	default:
		say.isFalse(kind, v1alpha1.ReasonPending, "due by %s; %s", due, recordDisposal(c))
	}
}

// end is the instant at which time alone ends the contract, or at which it was terminated.
func (c *contract) end() time.Time {
	if own := end(c.obj); own.Before(c.until) {
		return own
	}
	return c.until
}

// recordDisposal is the next step of one whose data are still to be returned or erased.
func recordDisposal(c *contract) string {
	return fmt.Sprintf("have %q return or erase the data, then record it: "+
		`kubectl patch entrustment %s --type=merge -p '{"spec":{"disposal":{"completedDate":"YYYY-MM-DD","evidenceURL":"https://…"}}}'`,
		c.entrustee.name, c.name())
}

// NoticeEnds is the instant until which a tier above may object to a sub-entrustment of which it was given notice; false: no
// notice is running.
func (s *Snapshot) NoticeEnds(name string) (time.Time, bool) {
	c := s.contracts[name]
	if c == nil || c.authority == nil || c.authority.reason != v1alpha1.ReasonNoticePeriodRunning || c.authority.until.IsZero() {
		return time.Time{}, false
	}
	return c.authority.until, true
}
