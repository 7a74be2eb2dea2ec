package entrustment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// Standing tells whether a step of a proof carries the decision.
type Standing uint8

// The standings of a step. The zero value carries nothing.
const (
	Unjudged Standing = iota // what is before it fails already
	Fails
	Holds
)

// A Step is one link of the chain from a store to the pods of a namespace: an object, and what of it carries the decision
// or breaks it.
type Step struct {
	Kind     string // PersonalDataStore, Purpose, Entrustment, DataProcessor or Namespace
	Name     string // NAMESPACE/NAME of a store; empty: what should be there is not named
	Fact     string
	Until    time.Time // instant at which time alone ends it; zero: never
	Standing Standing
	Decisive bool // the first failing test is about this step, and its fact is the decision's message

	reason v1alpha1.Reason // of the test that fails
}

// Proof is the way from the store to the namespace, link by link: store, purpose, contracts from the root, party, namespace.
// Of an allow every step holds. Of a denial one step is decisive; others may fail besides.
func (d Decision) Proof() []Step {
	if d.snapshot == nil {
		return nil
	}
	steps := append([]Step{d.storeStep(), d.purposeStep()}, d.contractSteps()...)
	if d.binding.bound() {
		steps = append(steps, d.partyStep())
	}
	steps = append(steps, d.namespaceStep())
	if d.Allowed() {
		return steps
	}
	reason := d.Reason()
	// In the order of the tests: who asks comes before what is asked for.
	for _, i := range append([]int{len(steps) - 1, len(steps) - 2}, ascending(len(steps)-2)...) {
		if step := &steps[i]; step.Standing == Fails && step.reason == reason {
			step.Decisive, step.Fact = true, d.Message()
			break
		}
	}
	return steps
}

func ascending(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func (s *Step) fails(reason v1alpha1.Reason, format string, args ...any) Step {
	s.Standing, s.reason, s.Fact = Fails, reason, fmt.Sprintf(format, args...)
	return *s
}

func (s *Step) holds(format string, args ...any) Step {
	s.Standing, s.Fact = Holds, fmt.Sprintf(format, args...)
	return *s
}

func (d *Decision) storeStep() Step {
	step := Step{Kind: "PersonalDataStore", Name: d.request.Store.String()}
	st, c := d.store, d.contract
	if d.request.Store.Name == "" {
		step.Name = ""
	}
	switch reason := d.open(); {
	case reason == v1alpha1.ReasonStoreSuspended:
		return step.fails(reason, "is suspended")
	case reason != "":
		return step.fails(reason, "does not exist")
	case c != nil && !c.broken && c.controller == st.controller && !st.admits(c):
		return step.fails(v1alpha1.ReasonRecipientNotAllowed, "is not open to recipients of class %s", c.recipient())
	case d.rival != nil:
		return step.fails(v1alpha1.ReasonEndpointConflict, "shares a port of its endpoint with %q", d.rival.key)
	}
	open := "to nobody else"
	if classes := st.obj.Spec.AllowedRecipients; len(classes) > 0 {
		open = "to " + joined(slices.Sorted(slices.Values(classes)))
	}
	return step.holds("holds data of %q, open to it and %s", st.controller.name, open)
}

func joined[T ~string](words []T) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(word))
	}
	return b.String()
}

func (d *Decision) purposeStep() Step {
	step := Step{Kind: "Purpose", Name: d.request.Purpose}
	p, st := d.purpose, d.store
	switch {
	case d.request.Purpose == "":
		return step.fails(v1alpha1.ReasonPurposeNotDeclared, "is not declared")
	case p == nil:
		return step.fails(v1alpha1.ReasonPurposeUnknown, "does not exist")
	case p.flaw == v1alpha1.ReasonPurposeProhibited:
		return step.fails(p.flaw, "is prohibited")
	case p.flaw == v1alpha1.ReasonPurposeNotInForce:
		return step.fails(p.flaw, "is not in force")
	case p.flaw != "":
		return step.fails(p.flaw, "has no intact chain of parents")
	}
	step.Until = p.until
	if st == nil {
		return step
	}
	switch {
	case p.forest != st.forest:
		return step.fails(v1alpha1.ReasonPurposeOfOtherController, "was published by %q", p.obj.Spec.ControllerName)
	case !st.intended.has(p.id):
		reason, _ := d.snapshot.whyNotIntended(st, p)
		return step.fails(reason, "does not comply with the store")
	}
	if allowed, _ := d.snapshot.relatives(p, st.obj.Spec.AllowedPurposes); allowed != nil && allowed != p {
		return step.holds("is part of %q, for which the store may be used", allowed.name())
	}
	return step.holds("is what the store may be used for")
}

func (d *Decision) contractSteps() []Step {
	c, st := d.contract, d.store
	step := Step{Kind: "Entrustment", Name: d.request.Entrustment}
	switch {
	case d.request.Entrustment == "":
		if st == nil || !d.binding.bound() || st.controller == d.binding.party {
			return nil
		}
		return []Step{step.fails(v1alpha1.ReasonNoEntrustment, "is not named")}
	case c == nil:
		return []Step{step.fails(v1alpha1.ReasonEntrustmentNotFound, "does not exist")}
	case c.broken:
		return []Step{step.fails(v1alpha1.ReasonEntrustmentNotFound, "has no intact chain of parents")}
	}
	var steps []Step
	broken := d.brokenLink()
	for _, tier := range c.chain() {
		step := tier.step()
		switch {
		case broken.tier == tier:
			step.fails(broken.reason, "%s", broken.fact)
		case len(steps) > 0 && steps[len(steps)-1].Standing != Holds:
			step.Standing, step.Until = Unjudged, time.Time{}
		}
		steps = append(steps, step)
	}
	return steps
}

// link is a tier of a chain that breaks, and why.
type link struct {
	tier   *contract // nil: none
	reason v1alpha1.Reason
	fact   string
}

// brokenLink is where the first of the tests about the chain fails.
func (d *Decision) brokenLink() link {
	c, st := d.contract, d.store
	at := func(f *fault) link { return link{f.tier, f.reason, d.snapshot.describe(f)} }
	switch {
	case c.authority != nil:
		return at(c.authority)
	case st != nil && c.controller != st.controller:
		return link{c.chain()[0], v1alpha1.ReasonStoreOfOtherController, fmt.Sprintf("is about data of %q", c.controller.name)}
	case c.activity != nil:
		return at(c.activity)
	case c.location != nil:
		return at(c.location)
	case st == nil || d.purpose == nil || d.purpose.flaw != "" || d.purpose.forest != st.forest:
		return link{} // nothing whose extent could be asked for
	case c.reaches(st) && c.purposes.has(d.purpose.id):
		return link{}
	}
	reason, tier := d.snapshot.whyNotInScope(c, st, d.purpose)
	return link{tier, reason, "does not entrust this"}
}

func (c *contract) step() Step {
	step := Step{Kind: "Entrustment", Name: c.name(), Until: c.until}
	further := ""
	if c.parent != nil {
		further = " further, with the consent of every tier above"
	}
	return step.holds("%q entrusts %q%s", c.obj.Spec.EntrusterName, c.obj.Spec.EntrusteeName, further)
}

func (d *Decision) partyStep() Step {
	party := d.binding.party
	step := Step{Kind: "DataProcessor", Name: party.name}
	switch c := d.contract; {
	case party.suspended():
		return step.fails(v1alpha1.ReasonProcessorSuspended, "is suspended")
	case c != nil && !c.broken && c.entrustee != party:
		return step.fails(v1alpha1.ReasonNotEntrustee, "is not %q, the entrustee", c.entrustee.name)
	case c == nil && d.request.Entrustment == "" && d.store != nil && d.store.controller == party:
		return step.holds("handles its own data")
	}
	return step.holds("handles data in %s", joined(slices.Sorted(slices.Values(party.handling()))))
}

func (d *Decision) namespaceStep() Step {
	step := Step{Kind: "Namespace", Name: d.request.Namespace}
	b := d.binding
	switch {
	case !b.bound():
		return step.fails(v1alpha1.ReasonNamespaceNotBound, "is bound to no DataProcessor")
	case d.purpose != nil && d.purpose.flaw == "" && !b.assigns(d.purpose):
		return step.fails(v1alpha1.ReasonPurposeNotAssigned, "is not assigned %q", d.purpose.name())
	case d.reason == v1alpha1.ReasonTooManyGrants:
		return step.fails(d.reason, "has more grants than fit")
	case b.restricted():
		return step.holds("is bound to it for %s", quoteList(slices.Sorted(slices.Values(b.obj.Purposes))))
	}
	return step.holds("is bound to it for every purpose")
}

// Nearest is the decision on a store for pods of a namespace that comes nearest to an allow, whatever they would declare: of
// those that some purpose of the store and some contract of the namespace's party would get.
func (s *Snapshot) Nearest(namespace string, key types.NamespacedName) Decision {
	nearest := s.Authorize(Request{Namespace: namespace, Store: key})
	b, st := s.bindings[namespace], s.stores[key]
	if !b.bound() || st == nil {
		return nearest
	}
	contracts := []string{""}
	for _, c := range b.party.received {
		contracts = append(contracts, c.name())
	}
	slices.Sort(contracts)
	for _, name := range contracts {
		purposes := st.obj.Spec.AllowedPurposes
		if c := s.contracts[name]; c != nil {
			if !c.names(key) {
				continue
			}
			purposes = slices.Concat(c.obj.Spec.Purposes, purposes)
		}
		for _, purpose := range purposes {
			d := s.Authorize(Request{Namespace: namespace, Purpose: purpose, Entrustment: name, Store: key})
			if d.Allowed() {
				return d
			}
			if progressed(d.Reason()) > progressed(nearest.Reason()) {
				nearest = d
			}
		}
	}
	return nearest
}

// progressed tells how many of the tests passed before the one that gave the reason.
func progressed(reason v1alpha1.Reason) int {
	return slices.Index([]v1alpha1.Reason{
		v1alpha1.ReasonNamespaceNotBound, v1alpha1.ReasonProcessorSuspended, v1alpha1.ReasonPurposeNotDeclared, v1alpha1.ReasonPurposeUnknown,
		v1alpha1.ReasonPurposeProhibited, v1alpha1.ReasonPurposeNotInForce, v1alpha1.ReasonPurposeNotAssigned, v1alpha1.ReasonStoreNotFound,
		v1alpha1.ReasonStoreSuspended, v1alpha1.ReasonNoEntrustment, v1alpha1.ReasonEntrustmentNotFound, v1alpha1.ReasonNotEntrustee,
		v1alpha1.ReasonMixedControllers, v1alpha1.ReasonEntrusterNotController, v1alpha1.ReasonEntrusterNotParentEntrustee,
		v1alpha1.ReasonChainLoops, v1alpha1.ReasonSubEntrustmentProhibited, v1alpha1.ReasonObjected, v1alpha1.ReasonNotApproved,
		v1alpha1.ReasonNoticePeriodRunning, v1alpha1.ReasonStoreOfOtherController, v1alpha1.ReasonSuspended, v1alpha1.ReasonProcessorNotFound,
		v1alpha1.ReasonSelectionRejected, v1alpha1.ReasonNotYetInForce, v1alpha1.ReasonExpired, v1alpha1.ReasonReviewOverdue,
		v1alpha1.ReasonTerritoryNotAllowed, v1alpha1.ReasonTransferBasisMissing, v1alpha1.ReasonRecipientNotAllowed,
		v1alpha1.ReasonPurposeOfOtherController, v1alpha1.ReasonPurposeNotIntended, v1alpha1.ReasonPurposeTooGeneral,
		v1alpha1.ReasonPurposeProhibitedForStore, v1alpha1.ReasonConsentNotEvidenced, v1alpha1.ReasonDataFormForbids,
		v1alpha1.ReasonStoreNotEntrusted, v1alpha1.ReasonPurposeNotEntrusted, v1alpha1.ReasonCategoryNotEntrusted,
		v1alpha1.ReasonEndpointConflict, v1alpha1.ReasonTooManyGrants,
	}, reason)
}

// WithheldSecrets are those of the named Secrets that a pod must not reference: reserved for delivery, and not listed by a
// grant for what the pod declares. Sorted, each once.
func (s *Snapshot) WithheldSecrets(namespace, purpose, entrustment string, names []string) []string {
	var listed []string
	access, _ := s.NamespaceAccess(namespace)
	for i := range access.Grants {
		if g := &access.Grants[i]; purpose != "" && g.Purpose == purpose && g.Entrustment == entrustment {
			listed = g.Secrets
		}
	}
	var withheld []string
	for _, name := range names {
		if strings.HasPrefix(name, v1alpha1.ReservedSecretPrefix) && !slices.Contains(listed, name) {
			withheld = append(withheld, name)
		}
	}
	slices.Sort(withheld)
	return slices.Compact(withheld)
}

// A Remedy is the change that would help most against a denial: to which object, and what it takes to make it.
type Remedy struct {
	Kind, Name string // of the object; an empty name: a new one
	Field      string // in it; empty: all of it
	Namespace  string // of a namespaced object
	Verb       string // of RBAC, on objects of the kind
	Entrust    string // DataProcessor in whose name it is: the verb entrust on it is needed too; empty: none
	Role       string // shipped ClusterRole whose holders may; empty: whoever makes pods in the namespace
	Wait       bool   // or nothing but time
}

// Remedy names what would help most. An allow, and the zero Decision, need none.
func (d Decision) Remedy() (Remedy, bool) {
	if d.snapshot == nil || d.Allowed() {
		return Remedy{}, false
	}
	pod := Remedy{Kind: "Pod", Namespace: d.request.Namespace, Verb: "create"}
	label := func(key string) (Remedy, bool) { pod.Field = "metadata.labels[" + key + "]"; return pod, true }
	switch reason := d.Reason(); reason {
	case v1alpha1.ReasonNamespaceNotBound, v1alpha1.ReasonPurposeNotAssigned, v1alpha1.ReasonTooManyGrants:
		return processorRemedy(d.binding.owner(), "spec.namespaces"), true
	case v1alpha1.ReasonPurposeNotDeclared, v1alpha1.ReasonPurposeProhibited, v1alpha1.ReasonPurposeOfOtherController,
		v1alpha1.ReasonPurposeNotIntended, v1alpha1.ReasonPurposeTooGeneral, v1alpha1.ReasonPurposeProhibitedForStore,
		v1alpha1.ReasonDataFormForbids:
		return label(v1alpha1.LabelPurpose)
	case v1alpha1.ReasonPurposeUnknown, v1alpha1.ReasonPurposeNotInForce:
		if d.purpose == nil {
			return label(v1alpha1.LabelPurpose)
		}
		field := "spec.parentName"
		if reason == v1alpha1.ReasonPurposeNotInForce {
			field = "spec.notBefore, spec.notAfter"
		}
		return Remedy{Kind: "Purpose", Name: d.purpose.name(), Field: field, Verb: "update", Entrust: d.purpose.obj.Spec.ControllerName, Role: "privacy-officer"}, true
	case v1alpha1.ReasonNoEntrustment, v1alpha1.ReasonEntrustmentNotFound, v1alpha1.ReasonNotEntrustee:
		return d.contractRemedy(label)
	case v1alpha1.ReasonStoreOfOtherController:
		return label(v1alpha1.LabelEntrustment)
	case v1alpha1.ReasonStoreNotFound:
		if d.open() != "" {
			return Remedy{Kind: "PersonalDataStore", Namespace: d.request.Store.Namespace, Verb: "create", Role: "data-owner"}, true
		}
	case v1alpha1.ReasonStoreSuspended:
		return d.storeRemedy("spec.suspended"), true
	case v1alpha1.ReasonRecipientNotAllowed:
		return d.storeRemedy("spec.allowedRecipients"), true
	case v1alpha1.ReasonConsentNotEvidenced:
		return d.storeRemedy("spec.consentedPurposes"), true
	case v1alpha1.ReasonEndpointConflict:
		return d.storeRemedy("spec.endpoint"), true
	case v1alpha1.ReasonStoreNotEntrusted, v1alpha1.ReasonPurposeNotEntrusted, v1alpha1.ReasonCategoryNotEntrusted:
		_, tier := d.snapshot.whyNotInScope(d.contract, d.store, d.purpose)
		return tier.remedy(map[v1alpha1.Reason]string{
			v1alpha1.ReasonStoreNotEntrusted: "spec.stores", v1alpha1.ReasonPurposeNotEntrusted: "spec.purposes",
			v1alpha1.ReasonCategoryNotEntrusted: "spec.dataCategories",
		}[reason]), true
	case v1alpha1.ReasonProcessorSuspended:
		if d.binding.party.suspended() {
			return processorRemedy(d.binding.party, "spec.suspended"), true
		}
	default: // a fault of the chain
	}
	return faultRemedy(cmp.Or(d.contract.faults()...))
}

func (b *binding) owner() *party {
	if b == nil {
		return &party{}
	}
	return b.party
}

func (c *contract) faults() []*fault {
	if c == nil {
		return nil
	}
	return []*fault{c.authority, c.activity, c.location}
}

// contractRemedy is a contract that is there already, or else a new one by the store's data controller.
func (d *Decision) contractRemedy(label func(string) (Remedy, bool)) (Remedy, bool) {
	if d.contract != nil && d.contract.broken {
		return d.contract.remedy("spec.parentName"), true
	}
	if d.store == nil || strings.Contains(d.suggestContracts(), v1alpha1.LabelEntrustment) || d.request.Entrustment != "" {
		return label(v1alpha1.LabelEntrustment)
	}
	return Remedy{Kind: "Entrustment", Verb: "create", Entrust: d.store.controller.name, Role: "privacy-officer"}, true
}

func (d *Decision) storeRemedy(field string) Remedy {
	return Remedy{Kind: "PersonalDataStore", Name: d.request.Store.String(), Namespace: d.request.Store.Namespace, Field: field, Verb: "update", Role: "data-owner"}
}

func processorRemedy(p *party, field string) Remedy {
	return Remedy{Kind: "DataProcessor", Name: p.name, Field: field, Verb: "update", Role: "privacy-officer"}
}

// remedy is a change to the contract, by whoever writes in its entruster's name.
func (c *contract) remedy(field string) Remedy {
	role := "privacy-officer"
	if c.obj.Spec.ParentName != "" {
		role = "entrustee-officer"
	}
	return Remedy{Kind: "Entrustment", Name: c.name(), Field: field, Verb: "update", Entrust: c.obj.Spec.EntrusterName, Role: role}
}

// faultRemedy is what would help against a chain that does not hold.
func faultRemedy(f *fault) (Remedy, bool) {
	if f == nil {
		return Remedy{}, false
	}
	change := func(c *contract, field string) (Remedy, bool) { return c.remedy(field), true }
	switch f.reason {
	case v1alpha1.ReasonStoreNotFound, v1alpha1.ReasonMixedControllers:
		return change(f.tier, "spec.stores")
	case v1alpha1.ReasonEntrusterNotController, v1alpha1.ReasonEntrusterNotParentEntrustee, v1alpha1.ReasonChainLoops:
		return Remedy{Kind: "Entrustment", Verb: "create", Entrust: f.tier.obj.Spec.EntrusterName, Role: "privacy-officer"}, true
	case v1alpha1.ReasonSubEntrustmentProhibited, v1alpha1.ReasonObjected, v1alpha1.ReasonNotApproved:
		return change(f.by, "spec.subEntrustment")
	case v1alpha1.ReasonNoticePeriodRunning:
		r := f.by.remedy("spec.subEntrustment")
		r.Wait = !f.until.IsZero()
		return r, true
	case v1alpha1.ReasonSuspended:
		return change(f.tier, "spec.suspended")
	case v1alpha1.ReasonProcessorNotFound:
		return Remedy{Kind: "DataProcessor", Verb: "create", Role: "privacy-officer"}, true
	case v1alpha1.ReasonProcessorSuspended:
		return processorRemedy(f.party, "spec.suspended"), true
	case v1alpha1.ReasonSelectionRejected:
		return processorRemedy(f.party, "spec.selection"), true
	case v1alpha1.ReasonNotYetInForce:
		r := f.tier.remedy("spec.notBefore")
		r.Wait = true
		return r, true
	case v1alpha1.ReasonExpired:
		return change(f.tier, "spec.notAfter")
	case v1alpha1.ReasonReviewOverdue:
		return change(f.tier, "spec.supervision.reviews")
	case v1alpha1.ReasonTerritoryNotAllowed:
		return change(f.tier, "spec.territories")
	case v1alpha1.ReasonTransferBasisMissing:
		return change(f.tier, "spec.transfers")
	default:
		return Remedy{}, false
	}
}
