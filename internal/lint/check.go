package lint

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// A Finding is one mistake.
type Finding struct {
	Code       Code
	Kind, Name string // of the object; NAMESPACE/NAME of one in a namespace
	Field      string // that shows it
	Message    string
}

// Check finds the mistakes of a policy, and of workloads that are to run under it. Findings come in the order of the kinds,
// names and fields.
func Check(s *entrustment.Snapshot, workloads []gather.Workload) []Finding {
	c := checker{snapshot: s}
	c.references()
	for _, name := range s.Names("Purpose") {
		c.purpose(name)
	}
	for _, name := range s.Names("DataProcessor") {
		c.processor(name)
	}
	for _, key := range s.Stores() {
		c.store(key)
	}
	for _, name := range s.Names("Entrustment") {
		c.contract(name)
	}
	for i := range workloads {
		c.workload(&workloads[i])
	}
	return c.found
}

type checker struct {
	snapshot *entrustment.Snapshot
	found    []Finding
}

func (c *checker) add(code Code, kind, name, field, message string) {
	c.found = append(c.found, Finding{code, kind, name, field, message})
}

func (c *checker) references() {
	for _, d := range c.snapshot.DanglingReferences() {
		if d.Other != "" {
			c.add(OthersPurpose, d.Kind, d.Name, d.Field, fmt.Sprintf("%s %q is of %q, and binds only data of the same data controller", d.ToKind, d.ToName, d.Other))
			continue
		}
		c.add(UnknownName, d.Kind, d.Name, d.Field, fmt.Sprintf("there is no %s %q", d.ToKind, d.ToName))
	}
}

// isFalse is a condition's reason and message where it is False.
func isFalse(conditions []metav1.Condition, kind string) (v1alpha1.Reason, string) {
	for i := range conditions {
		if conditions[i].Type == kind && conditions[i].Status == metav1.ConditionFalse {
			return v1alpha1.Reason(conditions[i].Reason), conditions[i].Message
		}
	}
	return "", ""
}

func (c *checker) purpose(name string) {
	status, _ := c.snapshot.PurposeStatus(name)
	reason, message := isFalse(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case reason == v1alpha1.ReasonCycleDetected:
		c.add(PurposeChain, "Purpose", name, "spec.parentName", message)
	case reason == "" && status.StoreCount == 0 && status.EffectiveDisposition == v1alpha1.DispositionPermitted:
		c.add(UnusedPurpose, "Purpose", name, "spec", "no store may be used for it")
	}
}

func (c *checker) processor(name string) {
	status, _ := c.snapshot.ProcessorStatus(name)
	switch reason, message := isFalse(status.Conditions, v1alpha1.ConditionReady); reason {
	case v1alpha1.ReasonNamespaceConflict:
		c.add(NamespaceTwice, "DataProcessor", name, "spec.namespaces", message)
	case v1alpha1.ReasonTooManyGrants:
		c.add(TooMany, "DataProcessor", name, "spec.namespaces", message)
	default:
	}
}

func (c *checker) store(key types.NamespacedName) {
	// Files do not tell whether the network isolates it; what is asked here does not depend on it.
	isolated := metav1.Condition{Type: v1alpha1.ConditionIsolated, Status: metav1.ConditionTrue}
	status, _ := c.snapshot.StoreStatus(key, isolated)
	reason, message := isFalse(status.Conditions, v1alpha1.ConditionReady)
	switch {
	case reason == v1alpha1.ReasonNoEffectivePurpose:
		c.add(NoPurposeLeft, "PersonalDataStore", key.String(), "spec.allowedPurposes", message)
	case reason == v1alpha1.ReasonEndpointConflict:
		c.add(EndpointConflict, "PersonalDataStore", key.String(), "spec.endpoint", message)
	case reason == "" && status.GrantCount == 0:
		c.add(Unreachable, "PersonalDataStore", key.String(), "spec.allowedPurposes",
			"no namespace of its data controller, and no contract, reaches it; bind a namespace to the party, or entrust it")
	}
	for _, condition := range status.Conditions {
		if condition.Type == v1alpha1.ConditionCollationPossible && condition.Status == metav1.ConditionTrue {
			c.add(Collation, "PersonalDataStore", key.String(), "spec.dataForm", condition.Message)
		}
	}
}

func (c *checker) contract(name string) {
	status, _ := c.snapshot.EntrustmentStatus(name)
	say := func(code Code, field, message string) { c.add(code, "Entrustment", name, field, message) }

	if reason, message := isFalse(status.Conditions, v1alpha1.ConditionAuthorized); reason != "" && reason != v1alpha1.ReasonParentNotFound {
		say(Unauthorised, authorisedBy(reason), message)
	}
	switch reason, message := isFalse(status.Conditions, v1alpha1.ConditionScopeValid); reason {
	case v1alpha1.ReasonExceedsParentScope:
		say(ExceedsParent, "spec", message)
	case v1alpha1.ReasonExceedsStorePurposes:
		say(NoStoreForIt, "spec.purposes", message)
	case v1alpha1.ReasonCategoryNotEntrusted:
		say(StoreOutOfScope, "spec.dataCategories", message)
	case v1alpha1.ReasonRecipientNotAllowed:
		say(StoreOutOfScope, "spec.stores", message)
	case v1alpha1.ReasonTerritoryNotAllowed:
		say(ForeignHandling, "spec.territories", message)
	default:
	}
	if reason, message := isFalse(status.Conditions, v1alpha1.ConditionTransferBasisPresent); reason != "" {
		say(ForeignHandling, "spec.transfers", message)
	}
	switch reason, message := isFalse(status.Conditions, v1alpha1.ConditionActive); reason {
	case v1alpha1.ReasonExpired, v1alpha1.ReasonTerminating, v1alpha1.ReasonReviewOverdue:
		say(NotInForce, "spec.notAfter", message)
	case v1alpha1.ReasonNotYetInForce:
		say(NotInForce, "spec.notBefore", message)
	case v1alpha1.ReasonSuspended:
		say(NotInForce, "spec.suspended", message)
	case v1alpha1.ReasonProcessorSuspended, v1alpha1.ReasonSelectionRejected:
		say(NotInForce, "spec.entrusteeName", message)
	default:
	}
	if reason, message := isFalse(status.Conditions, v1alpha1.ConditionSupervisionCurrent); reason != "" {
		say(Unsupervised, "spec.supervision", message)
	}
	if reason, message := isFalse(status.Conditions, v1alpha1.ConditionContractComplete); reason != "" {
		say(Incomplete, "spec.contract", message)
	}
	for _, condition := range status.Conditions {
		if condition.Type == v1alpha1.ConditionReady && condition.Reason == string(v1alpha1.ReasonRecordedOnly) {
			say(NowhereToRun, "spec.entrusteeName", condition.Message)
		}
	}
}

// authorisedBy is the field that keeps a chain from being authorised.
func authorisedBy(reason v1alpha1.Reason) string {
	switch reason {
	case v1alpha1.ReasonMixedControllers:
		return "spec.stores"
	case v1alpha1.ReasonChainLoops, v1alpha1.ReasonSubEntrustmentProhibited, v1alpha1.ReasonNotApproved, v1alpha1.ReasonObjected,
		v1alpha1.ReasonNoticePeriodRunning, v1alpha1.ReasonSelectionRejected:
		return "spec.entrusteeName"
	default:
		return "spec.entrusterName"
	}
}

func (c *checker) workload(w *gather.Workload) {
	name := strings.TrimPrefix(w.Namespace+"/"+w.Name, "/")
	labels := w.LabelsPath()
	purpose, contract, declares, empty := w.Declares()
	if declares {
		switch d := c.snapshot.AuthorizePod(w.Namespace, purpose, contract); {
		case empty:
			c.add(WorkloadRefused, w.Kind, name, labels+"."+v1alpha1.LabelEntrustment,
				"the label is empty; name an Entrustment, or remove the label for the data controller's own handling")
		case !d.Allowed():
			c.add(WorkloadRefused, w.Kind, name, labels, fmt.Sprintf("%s: %s", d.Reason(), d.Message()))
		}
	}
	unknown, misplaced := w.Idle()
	for _, key := range unknown {
		c.add(IdleLabel, w.Kind, name, labels, fmt.Sprintf("label %s declares nothing; those that do are %s and %s", key, v1alpha1.LabelPurpose, v1alpha1.LabelEntrustment))
	}
	for _, key := range misplaced {
		c.add(IdleLabel, w.Kind, name, "metadata.labels", fmt.Sprintf("label %s of the %s itself declares nothing; its pods need it: %s", key, w.Kind, labels))
	}
	for _, secret := range c.snapshot.WithheldSecrets(w.Namespace, purpose, contract, w.Secrets()) {
		c.add(SecretWithheld, w.Kind, name, labels, fmt.Sprintf("Secret %q is delivered to those who declare what it is for; what these pods declare does not give it to them", secret))
	}
}

// Worst is the highest severity among findings; empty: there are none.
func Worst(findings []Finding) Severity {
	has := func(s Severity) bool {
		return slices.ContainsFunc(findings, func(f Finding) bool { return Explain(f.Code).Severity == s })
	}
	for _, s := range []Severity{Error, Warning, Note} {
		if has(s) {
			return s
		}
	}
	return ""
}
