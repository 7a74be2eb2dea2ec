package entrustment

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"entrustment.dev/operator/api/v1alpha1"
)

// Message says in one sentence which objects decided, and after a semicolon what would help most. It is empty for the
// zero Decision.
func (d Decision) Message() string {
	if d.snapshot == nil {
		return ""
	}
	if d.Allowed() {
		return d.allowed()
	}
	s, r := d.snapshot, d.request
	switch d.Reason() {
	case v1alpha1.ReasonNamespaceNotBound:
		return d.notBound()
	case v1alpha1.ReasonProcessorSuspended:
		if d.binding.party.suspended() {
			return fmt.Sprintf("DataProcessor %q, to which namespace %q is bound, is suspended%s; access returns when the suspension is lifted",
				d.binding.party.name, r.Namespace, because(d.binding.party.obj.Spec.SuspendedReason))
		}
		return s.describe(d.contract.activity)
	case v1alpha1.ReasonPurposeNotDeclared:
		return fmt.Sprintf("no purpose is declared; add the label %s with the name of a Purpose to the pod", v1alpha1.LabelPurpose)
	case v1alpha1.ReasonPurposeUnknown:
		if d.purpose == nil {
			help := cmp.Or(meant(r.Purpose, maps.Keys(s.purposes)), "; declare one that is published (kubectl get purposes)")
			return fmt.Sprintf("there is no Purpose %q%s", r.Purpose, help)
		}
		_, why := s.whyBroken(d.purpose)
		return fmt.Sprintf("Purpose %q has no intact chain of parents: %s", r.Purpose, why)
	case v1alpha1.ReasonPurposeProhibited:
		at := d.purpose
		for at.obj.Spec.Disposition != v1alpha1.DispositionProhibited {
			at = at.parent
		}
		if at != d.purpose {
			return fmt.Sprintf("Purpose %q is part of %q, which is prohibited; no store and no contract can allow it", r.Purpose, at.name())
		}
		return fmt.Sprintf("Purpose %q is prohibited; no store and no contract can allow it", r.Purpose)
	case v1alpha1.ReasonPurposeNotInForce:
		return d.notInForce()
	case v1alpha1.ReasonPurposeNotAssigned:
		return fmt.Sprintf("DataProcessor %q assigns to namespace %q only %s, and %q is none of these or below; declare one of them, or have the purpose added to spec.namespaces",
			d.binding.party.name, r.Namespace, quoteList(slices.Sorted(slices.Values(d.binding.obj.Purposes))), r.Purpose)
	case v1alpha1.ReasonNoEntrustment:
		return d.noEntrustment()
	case v1alpha1.ReasonEntrustmentNotFound:
		if d.contract == nil {
			return fmt.Sprintf("there is no Entrustment %q%s", r.Entrustment, d.suggestContracts())
		}
		_, why := s.whyChainBroken(d.contract)
		return fmt.Sprintf("Entrustment %q has no intact chain of parents: %s", r.Entrustment, why)
	case v1alpha1.ReasonNotEntrustee:
		return fmt.Sprintf("Entrustment %q entrusts %q, but namespace %q is bound to %q%s",
			r.Entrustment, d.contract.entrustee.name, r.Namespace, d.binding.party.name, d.suggestContracts())
	case v1alpha1.ReasonStoreNotFound:
		if d.store != nil && d.store.obj.DeletionTimestamp != nil {
			return fmt.Sprintf("PersonalDataStore %q is being deleted and closed to everyone but its own pods", r.Store)
		}
		if r.Store.Name == "" && d.contract.authority == nil {
			return fmt.Sprintf("none of the stores of Entrustment %q exists; correct spec.stores or create them", r.Entrustment)
		}
		if d.store != nil || r.Store.Name == "" {
			return s.describe(d.contract.authority)
		}
		help := meant(r.Store.String(), func(yield func(string) bool) {
			for key := range s.stores {
				if !yield(key.String()) {
					return
				}
			}
		})
		return fmt.Sprintf("there is no PersonalDataStore %q%s", r.Store, cmp.Or(help, "; correct the name, or create it"))
	case v1alpha1.ReasonStoreSuspended:
		return fmt.Sprintf("PersonalDataStore %q is suspended%s; access returns when the suspension is lifted", r.Store, because(d.store.obj.Spec.SuspendedReason))
	case v1alpha1.ReasonStoreOfOtherController:
		return fmt.Sprintf("PersonalDataStore %q holds data of %q, but Entrustment %q is about data of %q; data of two data controllers are never handled in one pod: use another workload",
			r.Store, d.store.controller.name, r.Entrustment, d.contract.controller.name)
	case v1alpha1.ReasonRecipientNotAllowed:
		return fmt.Sprintf("PersonalDataStore %q is not open to recipients of class %s; its owner opens it by adding %s to spec.allowedRecipients",
			r.Store, d.contract.recipient(), d.contract.recipient())
	case v1alpha1.ReasonPurposeOfOtherController:
		return fmt.Sprintf("Purpose %q was published by %q, but PersonalDataStore %q holds data of %q, which may be used only for purposes of its own data controller",
			r.Purpose, d.purpose.obj.Spec.ControllerName, r.Store, d.store.controller.name)
	case v1alpha1.ReasonStoreNotEntrusted, v1alpha1.ReasonPurposeNotEntrusted, v1alpha1.ReasonCategoryNotEntrusted:
		return d.notInScope()
	case v1alpha1.ReasonEndpointConflict:
		return fmt.Sprintf("PersonalDataStore %q shares a port of its endpoint with %q, which does not admit this; give the stores endpoints of their own", r.Store, d.rival.key)
	case v1alpha1.ReasonTooManyGrants:
		return fmt.Sprintf("namespace %q has more grants than fit into its PersonalDataAccess, and this one is behind the limit; assign fewer purposes to it in DataProcessor %q, or use another namespace",
			r.Namespace, d.binding.party.name)
	default:
		if d.stage == stageIntended {
			return d.notIntended()
		}
		// In the order of the tests, so that the first is the one that gave the reason.
		return s.describe(cmp.Or(d.contract.authority, d.contract.activity, d.contract.location))
	}
}

// because appends the reason that somebody gave, if any.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

func (d Decision) allowed() string {
	if d.contract == nil {
		return fmt.Sprintf("%q handles its own data in PersonalDataStore %q for %q", d.binding.party.name, d.request.Store, d.request.Purpose)
	}
	return fmt.Sprintf("%q handles data of %q in PersonalDataStore %q for %q under %s",
		d.binding.party.name, d.contract.controller.name, d.request.Store, d.request.Purpose, strings.Join(d.Chain(), " > "))
}

func (d Decision) notBound() string {
	b, namespace := d.binding, d.request.Namespace
	switch {
	case b == nil:
		return fmt.Sprintf("namespace %q is bound to no DataProcessor; the privacy office binds it in spec.namespaces of the party whose workloads it runs", namespace)
	case b.contested:
		return fmt.Sprintf("namespace %q is named by DataProcessor %q and by %q, so it belongs to nobody; remove it from one of them", namespace, b.party.name, b.rival.name)
	default:
		return fmt.Sprintf("namespace %q was deleted and made anew since DataProcessor %q bound it; the privacy office accepts it by removing it from spec.namespaces and adding it again", namespace, b.party.name)
	}
}

func (d Decision) notInForce() string {
	s := d.snapshot
	for p := d.purpose; p != nil; p = p.parent {
		begun, ended := inForce(s.calendar.now, p.obj.Spec.NotBefore, p.obj.Spec.NotAfter)
		switch {
		case ended:
			return fmt.Sprintf("Purpose %q was withdrawn at %s; declare a purpose of the current policy", p.name(), s.calendar.write(p.obj.Spec.NotAfter.Time))
		case !begun:
			return fmt.Sprintf("Purpose %q may be relied on from %s", p.name(), s.calendar.write(p.obj.Spec.NotBefore.Time))
		}
	}
	return fmt.Sprintf("Purpose %q is not in force", d.request.Purpose)
}

func (d Decision) noEntrustment() string {
	party, help := d.binding.party.name, d.suggestContracts()
	if d.store == nil {
		return fmt.Sprintf("%q is the data controller of no store, and no entrustment is named%s", party, help)
	}
	return fmt.Sprintf("PersonalDataStore %q holds data of %q, and %q names no entrustment by it%s", d.request.Store, d.store.controller.name, party, help)
}

// suggestContracts names entrustments of the party that would do, or says that none is needed.
func (d Decision) suggestContracts() string {
	party := d.binding.party
	reaches := func(contract string, stores []*store) bool {
		if contract == d.request.Entrustment {
			return false
		}
		with := d.snapshot.resolve(d.request.Namespace, d.request.Purpose, contract)
		if d.store != nil {
			stores = []*store{d.store}
		}
		return slices.ContainsFunc(stores, func(st *store) bool {
			with.store, with.request.Store, with.effect = st, st.key, Deny
			with.decide()
			return with.Allowed()
		})
	}
	var names []string
	for _, c := range party.received {
		if reaches(c.name(), c.stores) {
			names = append(names, c.name())
		}
	}
	slices.Sort(names)
	switch {
	case len(names) > 0:
		return fmt.Sprintf("; set the label %s to %s", v1alpha1.LabelEntrustment, quoteList(names))
	case reaches("", party.stores):
		return fmt.Sprintf("; remove the label %s: %q handles its own data without a contract", v1alpha1.LabelEntrustment, party.name)
	default:
		return fmt.Sprintf("; the data controller has to entrust %q first", party.name)
	}
}

// notIntended explains why the declared purpose does not comply with the store.
func (d Decision) notIntended() string {
	reason, by := d.snapshot.whyNotIntended(d.store, d.purpose)
	name, st := d.request.Purpose, d.request.Store
	switch reason {
	case v1alpha1.ReasonPurposeTooGeneral:
		if by.banned || slices.Contains(d.store.obj.Spec.ProhibitedPurposes, by.name()) {
			return fmt.Sprintf("Purpose %q contains %q, which PersonalDataStore %q must not be used for; %s", name, by.name(), st, d.narrower())
		}
		return fmt.Sprintf("PersonalDataStore %q is for %q, which is only a part of %q; %s", st, by.name(), name, d.narrower())
	case v1alpha1.ReasonPurposeProhibitedForStore:
		if by != d.purpose {
			return fmt.Sprintf("PersonalDataStore %q prohibits %q, of which %q is a part; use data that are intended for the purpose", st, by.name(), name)
		}
		return fmt.Sprintf("PersonalDataStore %q prohibits %q; use data that are intended for the purpose", st, name)
	case v1alpha1.ReasonConsentNotEvidenced:
		return fmt.Sprintf("Purpose %q needs the individuals' consent, and PersonalDataStore %q is not limited to those who gave it; its owner records that in spec.consentedPurposes", by.name(), st)
	case v1alpha1.ReasonDataFormForbids:
		return fmt.Sprintf("Purpose %q contacts individuals, which the pseudonymised data of PersonalDataStore %q must never serve; use an identifiable store intended for it", by.name(), st)
	default:
		return fmt.Sprintf("PersonalDataStore %q is not intended for %q; it is for %s: declare one of these, or a part of it, if that is what the workload does",
			st, name, quoteList(slices.Sorted(slices.Values(d.store.obj.Spec.AllowedPurposes))))
	}
}

// narrower names the parts of the declared purpose that would comply.
func (d Decision) narrower() string {
	var names []string
	for id := range d.store.intended.all() {
		p := d.store.forest.members[id]
		// Only the topmost: what is below them would do too, but says less.
		if p.below(d.purpose) && (p.parent == nil || !d.store.intended.has(p.parent.id)) {
			names = append(names, p.name())
		}
	}
	if len(names) == 0 {
		return "no part of it complies either"
	}
	slices.Sort(names)
	return "declare more exactly what the workload does: " + quoteList(names)
}

// notInScope explains at which tier the store, the purpose or a category is not entrusted.
func (d Decision) notInScope() string {
	reason, tier := d.snapshot.whyNotInScope(d.contract, d.store, d.purpose)
	whose := fmt.Sprintf("Entrustment %q", tier.name())
	if tier != d.contract {
		whose += fmt.Sprintf(", above %q,", d.contract.name())
	}
	switch reason {
	case v1alpha1.ReasonPurposeNotEntrusted:
		return fmt.Sprintf("%s does not entrust %q; it entrusts %s: declare one of these, or have %q add the purpose to spec.purposes",
			whose, d.request.Purpose, quoteList(slices.Sorted(slices.Values(tier.obj.Spec.Purposes))), tier.entruster.name)
	case v1alpha1.ReasonCategoryNotEntrusted:
		category, _ := firstUncovered(tier.obj.Spec.DataCategories, d.store.obj.Spec.DataCategories)
		return fmt.Sprintf("%s does not entrust the category %q that PersonalDataStore %q holds; have %q add it to spec.dataCategories, or offer a store without it",
			whose, category, d.request.Store, tier.entruster.name)
	default:
		return fmt.Sprintf("%s does not entrust PersonalDataStore %q; have %q add it to spec.stores", whose, d.request.Store, tier.entruster.name)
	}
}

// whyChainBroken follows the parents of a contract to where their chain ends without a root.
func (s *Snapshot) whyChainBroken(c *contract) (v1alpha1.Reason, string) {
	seen := map[*contract]bool{}
	for at := c; ; {
		seen[at] = true
		name := at.obj.Spec.ParentName
		parent := s.contracts[name]
		switch {
		case parent == nil:
			return v1alpha1.ReasonParentNotFound, fmt.Sprintf("Entrustment %q, the parent of %q, does not exist", name, at.name())
		case seen[parent]:
			return v1alpha1.ReasonChainLoops, fmt.Sprintf("the parents of Entrustment %q come back to %q", c.name(), name)
		}
		at = parent
	}
}

// describe says what failed at a tier of a chain, and what would help.
func (s *Snapshot) describe(f *fault) string {
	name, spec := f.tier.name(), &f.tier.obj.Spec
	switch f.reason {
	case v1alpha1.ReasonStoreNotFound:
		return fmt.Sprintf("none of the stores of Entrustment %q exists, so its data controller cannot be told; correct spec.stores or create them", name)
	case v1alpha1.ReasonMixedControllers:
		return fmt.Sprintf("the stores of Entrustment %q belong to different data controllers; make one entrustment for each", name)
	case v1alpha1.ReasonEntrusterNotController:
		return fmt.Sprintf("Entrustment %q is by %q, but its stores belong to %q; only the data controller entrusts them, others entrust further under spec.parentName",
			name, spec.EntrusterName, f.party.name)
	case v1alpha1.ReasonEntrusterNotParentEntrustee:
		return fmt.Sprintf("Entrustment %q is by %q, but its parent %q entrusts %q; only that party can entrust further",
			name, spec.EntrusterName, spec.ParentName, f.tier.parent.obj.Spec.EntrusteeName)
	case v1alpha1.ReasonChainLoops:
		return fmt.Sprintf("Entrustment %q entrusts %q, which is in the chain above already", name, f.party.name)
	case v1alpha1.ReasonSubEntrustmentProhibited:
		return fmt.Sprintf("Entrustment %q does not permit sub-entrustment, so %q cannot be entrusted by %q; have %q set spec.subEntrustment",
			f.by.name(), f.party.name, name, f.by.entruster.name)
	case v1alpha1.ReasonObjected:
		return fmt.Sprintf("%q objected to %q in Entrustment %q, so Entrustment %q is of no effect", f.by.entruster.name, f.party.name, f.by.name(), name)
	case v1alpha1.ReasonNotApproved:
		return fmt.Sprintf("Entrustment %q does not approve %q, entrusted by %q; have %q add it to spec.subEntrustment.approvedProcessorNames",
			f.by.name(), f.party.name, name, f.by.entruster.name)
	case v1alpha1.ReasonNoticePeriodRunning:
		if f.until.IsZero() {
			return fmt.Sprintf("Entrustment %q asks for prior notice but sets no noticePeriodDays; have %q set it", f.by.name(), f.by.entruster.name)
		}
		return fmt.Sprintf("%q may object in Entrustment %q to %q, entrusted by %q, until %s", f.by.entruster.name, f.by.name(), f.party.name, name, s.calendar.write(f.until))
	case v1alpha1.ReasonSuspended:
		return fmt.Sprintf("Entrustment %q is suspended%s; access returns when the suspension is lifted", name, because(spec.SuspendedReason))
	case v1alpha1.ReasonProcessorNotFound:
		return fmt.Sprintf("DataProcessor %q, a party to Entrustment %q, does not exist; create it", f.party.name, name)
	case v1alpha1.ReasonProcessorSuspended:
		return fmt.Sprintf("DataProcessor %q, a party to Entrustment %q, is suspended%s; access returns when the suspension is lifted", f.party.name, name, because(f.party.obj.Spec.SuspendedReason))
	case v1alpha1.ReasonSelectionRejected:
		return fmt.Sprintf("the assessment of DataProcessor %q, entrusted by %q, rejected it; nothing may be entrusted to it until a new assessment approves it", f.party.name, name)
	case v1alpha1.ReasonNotYetInForce:
		return fmt.Sprintf("Entrustment %q is in force from %s", name, s.calendar.write(spec.NotBefore.Time))
	case v1alpha1.ReasonExpired:
		if f.tier.obj.DeletionTimestamp != nil {
			return fmt.Sprintf("Entrustment %q was terminated at %s; a new contract is a new Entrustment", name, s.calendar.write(f.tier.obj.DeletionTimestamp.Time))
		}
		if closed(f.tier.obj) {
			return fmt.Sprintf("Entrustment %q is closed: its data were returned or erased on %s; a new contract is a new Entrustment", name, spec.Disposal.CompletedDate)
		}
		return fmt.Sprintf("Entrustment %q ended at %s; a renewal sets a later spec.notAfter", name, s.calendar.write(spec.NotAfter.Time))
	case v1alpha1.ReasonReviewOverdue:
		return fmt.Sprintf("a review of Entrustment %q was due on %s; record it in spec.supervision.reviews", name, s.calendar.reviewDue(f.tier.obj))
	case v1alpha1.ReasonTerritoryNotAllowed:
		return fmt.Sprintf("DataProcessor %q handles data in %s, which Entrustment %q or one above it does not permit; have %s added to spec.territories, or limit handlingCountries",
			f.party.name, f.detail, name, f.detail)
	case v1alpha1.ReasonTransferBasisMissing:
		return fmt.Sprintf("Entrustment %q records no ground for handling in %s by %q; record one in spec.transfers", name, f.detail, f.party.name)
	default:
		return string(f.reason)
	}
}
