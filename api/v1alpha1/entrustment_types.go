package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Entrustment is one contract by which an entruster entrusts the handling of personal data to an entrustee, and its extent.
//
// What it grants is the intersection of its own extent with that of every Entrustment above it and with what each store
// allows (GDPR art. 28; APPI art. 25 and 27(5)(i)). Deleting it is termination.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=entr,categories=privacy
// +kubebuilder:printcolumn:name="Entruster",type=string,JSONPath=`.spec.entrusterName`,description="Party that entrusts"
// +kubebuilder:printcolumn:name="Entrustee",type=string,JSONPath=`.spec.entrusteeName`,description="Party that is entrusted"
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parentName`,description="Entrustment under which this is a sub-entrustment"
// +kubebuilder:printcolumn:name="Active",type=string,JSONPath=`.status.conditions[?(@.type=="Active")].status`,description="Whether the term is running and nothing suspends it"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether it grants what it says"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is ready or not"
// +kubebuilder:printcolumn:name="Ends",type=string,JSONPath=`.spec.notAfter`,description="Instant at which access ends"
// +kubebuilder:printcolumn:name="Review Due",type=string,priority=1,JSONPath=`.status.nextReviewDate`,description="Date of the next review"
// +kubebuilder:printcolumn:name="Purposes",type=string,priority=1,JSONPath=`.spec.purposes`,description="Purposes to which it is limited"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be a DNS label of at most 63 characters, because it is used as a label value",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.spec.parentName) || self.spec.parentName != self.metadata.name",message="an entrustment cannot be its own parent",reason=FieldValueInvalid,fieldPath=".spec.parentName"
type Entrustment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the entrustment of handling of personal data by one business operator to another, and its extent.
	//
	// +required
	Spec EntrustmentSpec `json:"spec"`

	// status is written by the operator.
	//
	// +optional
	Status EntrustmentStatus `json:"status,omitzero"`
}

// EntrustmentSpec is one contract of entrustment and its extent.
//
// +kubebuilder:validation:XValidation:rule="self.entrusterName != self.entrusteeName",message="entruster and entrustee must differ",reason=FieldValueInvalid,fieldPath=".entrusteeName"
// +kubebuilder:validation:XValidation:rule="has(self.parentName) == has(oldSelf.parentName) && (!has(self.parentName) || self.parentName == oldSelf.parentName)",message="parentName is immutable",reason=FieldValueForbidden,fieldPath=".parentName"
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) || self.notBefore < self.notAfter",message="notBefore must be before notAfter",reason=FieldValueInvalid,fieldPath=".notAfter"
// +kubebuilder:validation:XValidation:rule="!has(self.prohibitedPurposes) || self.purposes.all(p, !(p in self.prohibitedPurposes))",message="a purpose cannot be both entrusted and prohibited",reason=FieldValueInvalid,fieldPath=".prohibitedPurposes"
// +kubebuilder:validation:XValidation:rule="!self.suspended || has(self.suspendedReason)",message="suspendedReason is required while suspended",reason=FieldValueRequired,fieldPath=".suspendedReason"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.supervision) || !has(oldSelf.supervision.reviews) || (has(self.supervision) && has(self.supervision.reviews) && oldSelf.supervision.reviews.all(o, self.supervision.reviews.exists(n, n == o)))",message="reviews are append only",reason=FieldValueForbidden,fieldPath=".supervision"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.disposal) || !has(oldSelf.disposal.completedDate) || self == oldSelf",message="once disposal is recorded the entrustment is closed",reason=FieldValueForbidden
type EntrustmentSpec struct {
	// entrusterName is the DataProcessor that entrusts: the data controller, or for a sub-entrustment the entrustee of
	// the parent. Immutable.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="entrusterName is immutable",reason=FieldValueForbidden
	EntrusterName Name `json:"entrusterName"`

	// entrusteeName is the DataProcessor that is entrusted. Immutable.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="entrusteeName is immutable",reason=FieldValueForbidden
	EntrusteeName Name `json:"entrusteeName"`

	// parentName is the Entrustment under which this is a sub-entrustment. Absent: entrusted by the data controller. Immutable.
	//
	// +optional
	ParentName Name `json:"parentName,omitempty"`

	// services are the entrusted services, in words, for the records. Absent: not recorded.
	//
	// +optional
	Services Text `json:"services,omitempty"`

	// purposes to which the extent of the entrustment is limited. Descendants are included.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Purposes []Name `json:"purposes"`

	// prohibitedPurposes are carved out of purposes, with their descendants and ancestors. Absent: nothing is carved out.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ProhibitedPurposes []Name `json:"prohibitedPurposes,omitempty"`

	// dataCategories entrusted. A store is in scope only if all its categories are.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	DataCategories []DataCategory `json:"dataCategories"`

	// stores in scope, all of one data controller.
	//
	// +required
	// +listType=map
	// +listMapKey=namespace
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Stores []StoreReference `json:"stores"`

	// territories are the countries in which the data may be handled. Absent: the data controller's country alone.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Territories []Country `json:"territories,omitempty"`

	// transfers give the ground for each country other than the data controller's (APPI art. 28; GDPR art. 44 to 49).
	// Absent: handling abroad has no ground.
	//
	// +optional
	// +listType=map
	// +listMapKey=country
	// +kubebuilder:validation:MaxItems=64
	Transfers []Transfer `json:"transfers,omitempty"`

	// notBefore is the instant at which access begins, in RFC 3339 with an offset. Absent: at once.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter is the instant at which access ends: notBefore <= t < notAfter.
	//
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotAfter metav1.Time `json:"notAfter"`

	// contract of entrustment, for the records. Absent: reported as ContractComplete=False.
	//
	// +optional
	Contract *Contract `json:"contract,omitempty"`

	// subEntrustment says whether the entrustee may entrust further (GDPR art. 28(2) and (4)). Absent: it may not.
	//
	// +optional
	SubEntrustment *SubEntrustment `json:"subEntrustment,omitempty"`

	// supervision of the entrustee (APPI art. 25; GDPR art. 28(3)(h)). Absent: a review is due every 365 days, and reported.
	//
	// +optional
	Supervision *Supervision `json:"supervision,omitempty"`

	// disposal is return or erasure when the entrustment ends (GDPR art. 28(3)(g)). Absent: erasure within 30 days.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.completedDate) || has(self.evidenceURL)",message="completedDate needs evidenceURL",reason=FieldValueRequired,fieldPath=".evidenceURL"
	Disposal *Disposal `json:"disposal,omitempty"`

	// egress lists other destinations that the entrustee's pods may reach while acting under this entrustment. Absent:
	// the stores in scope, pods of the same entrustment, and DNS.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Egress []EgressDestination `json:"egress,omitempty"`

	// podDeadline Armed: pods admitted under this entrustment get activeDeadlineSeconds up to notAfter, so that the
	// kubelet ends them even if the operator is dead. Absent: Armed.
	//
	// +optional
	// +kubebuilder:default=Armed
	PodDeadline PodDeadline `json:"podDeadline,omitempty"`

	// suspended withdraws access under this entrustment and all below it. Absent: false.
	//
	// +optional
	// +kubebuilder:default=false
	Suspended bool `json:"suspended,omitempty"`

	// suspendedReason says why. Required while suspended.
	//
	// +optional
	SuspendedReason Line `json:"suspendedReason,omitempty"`
}

// StoreReference names a PersonalDataStore.
type StoreReference struct {
	// namespace of the PersonalDataStore.
	//
	// +required
	Namespace Name `json:"namespace"`

	// name of the PersonalDataStore.
	//
	// +required
	Name Name `json:"name"`
}

// Transfer is the ground on which data are handled in a country other than the data controller's.
type Transfer struct {
	// country in which the data are handled.
	//
	// +required
	Country Country `json:"country"`

	// basis of the transfer: AdequateCountry, a designated country or adequacy decision (APPI rule 15; GDPR art. 45);
	// EquivalentMeasures, by contract, group rules or CBPR (APPI rule 16); StandardContractualClauses (GDPR art. 46(2)(c));
	// BindingCorporateRules (art. 47); Consent (APPI art. 28(1); GDPR art. 49(1)(a)); Exception (APPI art. 27(1); GDPR art. 49).
	//
	// +required
	Basis TransferBasis `json:"basis"`

	// checkedDate is the last check of the measures and of the foreign system (APPI rule 18). Absent: never checked.
	//
	// +optional
	CheckedDate Date `json:"checkedDate,omitempty"`

	// evidenceURL says where the evidence is kept. Absent: not recorded.
	//
	// +optional
	EvidenceURL URL `json:"evidenceURL,omitempty"`
}

// TransferBasis is a ground for handling abroad.
//
// +kubebuilder:validation:Enum=AdequateCountry;EquivalentMeasures;StandardContractualClauses;BindingCorporateRules;Consent;Exception
type TransferBasis string

// TransferEquivalentMeasures is the one basis that has to be checked every year.
const TransferEquivalentMeasures TransferBasis = "EquivalentMeasures"

// Contract is the paper behind an Entrustment.
type Contract struct {
	// reference is the number or title of the contract.
	//
	// +required
	Reference Line `json:"reference"`

	// concludedDate is the date on which it was concluded.
	//
	// +required
	ConcludedDate Date `json:"concludedDate"`

	// url of the contract. Absent: not recorded.
	//
	// +optional
	URL URL `json:"url,omitempty"`

	// clauses it contains (GDPR art. 28(3)(a) to (h)). Absent: none recorded.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Clauses []Clause `json:"clauses,omitempty"`
}

// Clause is a subject that a contract of entrustment has to settle.
//
// +kubebuilder:validation:Enum=DocumentedInstructions;Confidentiality;SecurityMeasures;SubEntrustment;RightsAssistance;IncidentReporting;ReturnOrErasure;Audit
type Clause string

// RequiredClauses are the eight clauses of a complete contract (GDPR art. 28(3)), in the order of the law.
func RequiredClauses() []Clause {
	return []Clause{
		"DocumentedInstructions", "Confidentiality", "SecurityMeasures", "SubEntrustment",
		"RightsAssistance", "IncidentReporting", "ReturnOrErasure", "Audit",
	}
}

// SubEntrustment says whether and to whom an entrustee may entrust further.
//
// +kubebuilder:validation:XValidation:rule="self.policy == 'PriorApproval' || !has(self.approvedProcessorNames) || size(self.approvedProcessorNames) == 0",message="approvedProcessorNames is only for policy PriorApproval",reason=FieldValueForbidden,fieldPath=".approvedProcessorNames"
// +kubebuilder:validation:XValidation:rule="(self.policy == 'PriorNotice') == has(self.noticePeriodDays)",message="noticePeriodDays is required for, and only for, policy PriorNotice",reason=FieldValueInvalid,fieldPath=".noticePeriodDays"
type SubEntrustment struct {
	// policy Prohibited: to nobody. PriorApproval: only to approvedProcessorNames. PriorNotice: to anyone not in
	// objectedProcessorNames, once noticePeriodDays have passed since the sub-entrustment was created.
	//
	// +required
	// +kubebuilder:default=Prohibited
	Policy SubEntrustmentPolicy `json:"policy"`

	// approvedProcessorNames may be entrusted under PriorApproval. Absent: nobody.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ApprovedProcessorNames []Name `json:"approvedProcessorNames,omitempty"`

	// objectedProcessorNames may not be entrusted, whatever the policy. Absent: no objection.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ObjectedProcessorNames []Name `json:"objectedProcessorNames,omitempty"`

	// noticePeriodDays of 24 hours have to pass under PriorNotice. Required for it, and only for it.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=365
	NoticePeriodDays *int32 `json:"noticePeriodDays,omitempty"`
}

// SubEntrustmentPolicy is a rule for sub-entrustment.
//
// +kubebuilder:validation:Enum=Prohibited;PriorApproval;PriorNotice
type SubEntrustmentPolicy string

// The rules for sub-entrustment.
const (
	SubEntrustmentProhibited    SubEntrustmentPolicy = "Prohibited"
	SubEntrustmentPriorApproval SubEntrustmentPolicy = "PriorApproval"
	SubEntrustmentPriorNotice   SubEntrustmentPolicy = "PriorNotice"
)

// Supervision is how an entruster watches over an entrustee.
type Supervision struct {
	// reviewPeriodDays after the last review, or after notBefore, a review is due. Absent: 365.
	//
	// +optional
	// +kubebuilder:default=365
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1096
	ReviewPeriodDays *int32 `json:"reviewPeriodDays,omitempty"`

	// overdueAction is what an overdue review does: Report it, or Suspend the entrustment from the day after. Absent: Report.
	//
	// +optional
	// +kubebuilder:default=Report
	OverdueAction OverdueAction `json:"overdueAction,omitempty"`

	// reviews made; append only. Absent: none was made.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=48
	Reviews []Review `json:"reviews,omitempty"`
}

// OverdueAction is what an overdue review does.
//
// +kubebuilder:validation:Enum=Report;Suspend
type OverdueAction string

// The effects of an overdue review.
const (
	OverdueReport  OverdueAction = "Report"
	OverdueSuspend OverdueAction = "Suspend"
)

// Review is one check of an entrustee.
type Review struct {
	// date of the review. One in the future is ignored until then.
	//
	// +required
	Date Date `json:"date"`

	// method of the review.
	//
	// +required
	Method ReviewMethod `json:"method"`

	// result of the review.
	//
	// +required
	Result ReviewResult `json:"result"`

	// reviewer is who reviewed. Absent: not recorded.
	//
	// +optional
	Reviewer Line `json:"reviewer,omitempty"`

	// evidenceURL says where the report is kept. Absent: not recorded.
	//
	// +optional
	EvidenceURL URL `json:"evidenceURL,omitempty"`
}

// ReviewMethod is how an entrustee was reviewed.
//
// +kubebuilder:validation:Enum=OnSiteAudit;RemoteAudit;Questionnaire;Report
type ReviewMethod string

// ReviewResult is the outcome of a review.
//
// +kubebuilder:validation:Enum=Satisfactory;ImprovementRequired;Unsatisfactory
type ReviewResult string

// ReviewUnsatisfactory is the result that makes SupervisionCurrent False.
const ReviewUnsatisfactory ReviewResult = "Unsatisfactory"

// Disposal is return or erasure of the data when an entrustment ends.
type Disposal struct {
	// method of disposal. Absent: Erase.
	//
	// +optional
	// +kubebuilder:default=Erase
	Method DisposalMethod `json:"method,omitempty"`

	// dueDays after the end, disposal is due. Absent: 30.
	//
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=365
	DueDays *int32 `json:"dueDays,omitempty"`

	// completedDate is set when disposal is done; it closes the entrustment for good. Absent: not done.
	//
	// +optional
	CompletedDate Date `json:"completedDate,omitempty"`

	// evidenceURL is the certificate of return or erasure. Required with completedDate.
	//
	// +optional
	EvidenceURL URL `json:"evidenceURL,omitempty"`
}

// DisposalMethod is how data are disposed of.
//
// +kubebuilder:validation:Enum=Return;Erase;ReturnAndErase
type DisposalMethod string

// EgressDestination is a destination, other than a store, that an entrustee's pods may reach.
type EgressDestination struct {
	// description says who is reached and why; printed in the ledger.
	//
	// +required
	Description Line `json:"description"`

	// cidr of the destination.
	//
	// +required
	CIDR CIDR `json:"cidr"`

	// ports of the destination. Absent: every port.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []Port `json:"ports,omitempty"`
}

// EntrustmentStatus is what the operator observed of an Entrustment.
type EntrustmentStatus struct {
	// observedGeneration is the generation last acted upon.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// controllerName is the data controller at the root of the chain. Absent: it cannot be told.
	//
	// +optional
	ControllerName Name `json:"controllerName,omitempty"`

	// chain of Entrustments from the root to this one. Absent: the chain is broken.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Chain []Name `json:"chain,omitempty"`

	// depth is 0 for an entrustment by the data controller.
	//
	// +optional
	Depth int32 `json:"depth"`

	// effective extent, after intersection along the chain and with the stores. Absent: nothing is in effect.
	//
	// +optional
	Effective *EffectiveExtent `json:"effective,omitempty"`

	// nextReviewDate is the date by which the next review is due.
	//
	// +optional
	NextReviewDate Date `json:"nextReviewDate,omitempty"`

	// disposalDueDate is the date by which disposal is due.
	//
	// +optional
	DisposalDueDate Date `json:"disposalDueDate,omitempty"`

	// suspended says whether spec.suspended was found to be set. Absent: it was not.
	//
	// +optional
	Suspended bool `json:"suspended,omitempty"`

	// ended says whether spec.notAfter was found to be over. Absent: it was not.
	//
	// +optional
	Ended bool `json:"ended,omitempty"`

	// reviewCount is how many reviews were found in spec.supervision.reviews, and recorded in the ledger.
	//
	// +optional
	ReviewCount int32 `json:"reviewCount,omitempty"`

	// revocation is set while and after access ends, and gone when it is given again. A step counts once those before it are done.
	//
	// +optional
	Revocation *Revocation `json:"revocation,omitempty"`

	// conditions of the entrustment: Ready, Authorized, ScopeValid, Active, TransferBasisPresent, ContractComplete,
	// SupervisionCurrent, Ending, Revoked, Disposed.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// EffectiveExtent is what is left of an Entrustment after intersection along the chain and with the stores.
type EffectiveExtent struct {
	// purposes that a pod may declare under the entrustment for at least one store.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=512
	Purposes []Name `json:"purposes,omitempty"`

	// stores in effect, "namespace/name".
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	Stores []string `json:"stores,omitempty"`

	// territories in effect.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Territories []Country `json:"territories,omitempty"`

	// notBefore in effect. Absent: no lower bound.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter in effect.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotAfter *metav1.Time `json:"notAfter,omitempty"`
}

// Revocation holds the instants of each step by which access ended.
type Revocation struct {
	// startTime is when access was found to have ended.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// policiesRemovedTime is when no NetworkPolicy was found that lets the entrustment's pods through.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	PoliciesRemovedTime *metav1.Time `json:"policiesRemovedTime,omitempty"`

	// secretsRemovedTime is when no delivered Secret was found beyond what is granted, nor a RoleBinding by which one is read.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	SecretsRemovedTime *metav1.Time `json:"secretsRemovedTime,omitempty"`

	// podsEndedTime is when no pod under the entrustment was found, nor a namespace that lets one in.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	PodsEndedTime *metav1.Time `json:"podsEndedTime,omitempty"`

	// verifiedTime is when nothing was found to be left.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	VerifiedTime *metav1.Time `json:"verifiedTime,omitempty"`
}

// EntrustmentList is a list of Entrustments.
//
// +kubebuilder:object:root=true
type EntrustmentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Entrustment `json:"items"`
}
