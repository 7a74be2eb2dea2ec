package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// DataProcessor is a party: any business operator that handles personal data, the data controller included.
//
// It has no fixed role. It is the controller of the stores that name it, and entruster or entrustee in the Entrustments
// that name it; the status shows the roles that follow. It alone binds namespaces to the party.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=dproc,categories=privacy
// +kubebuilder:printcolumn:name="Country",type=string,JSONPath=`.spec.country`,description="Country of establishment"
// +kubebuilder:printcolumn:name="Roles",type=string,JSONPath=`.status.roles`,description="Roles derived from stores and entrustments"
// +kubebuilder:printcolumn:name="Selection",type=string,JSONPath=`.spec.selection.result`,description="Result of the assessment before entrusting"
// +kubebuilder:printcolumn:name="Review Due",type=string,JSONPath=`.status.nextReviewDate`,description="Earliest review due among its entrustments"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether its namespaces may act for it"
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is ready or not"
// +kubebuilder:printcolumn:name="Legal Name",type=string,priority=1,JSONPath=`.spec.legalName`,description="Registered name"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be a DNS label of at most 63 characters, because references name it",reason=FieldValueInvalid
type DataProcessor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec describes a business operator that handles personal data. Its roles (controller, entrustee, sub-entrustee)
	// follow from the stores and entrustments that name it.
	//
	// +required
	Spec DataProcessorSpec `json:"spec"`

	// status is written by the operator.
	//
	// +optional
	Status DataProcessorStatus `json:"status,omitzero"`
}

// DataProcessorSpec describes a business operator that handles personal data.
//
// +kubebuilder:validation:XValidation:rule="!self.suspended || has(self.suspendedReason)",message="suspendedReason is required while suspended",reason=FieldValueRequired,fieldPath=".suspendedReason"
type DataProcessorSpec struct {
	// legalName is the registered name.
	//
	// +required
	LegalName Line `json:"legalName"`

	// address is the registered address. Absent: not recorded.
	//
	// +optional
	Address Line `json:"address,omitempty"`

	// representative is the name of the representative of a legal person. Absent: not recorded.
	//
	// +optional
	Representative Line `json:"representative,omitempty"`

	// country is the country of establishment, ISO 3166-1 alpha-2.
	//
	// +required
	Country Country `json:"country"`

	// handlingCountries are the countries in which it handles the data. Absent: country alone.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	HandlingCountries []Country `json:"handlingCountries,omitempty"`

	// contacts are contact points, one a role. Absent: none recorded.
	//
	// +optional
	// +listType=map
	// +listMapKey=role
	// +kubebuilder:validation:MaxItems=4
	Contacts []Contact `json:"contacts,omitempty"`

	// serviceCategories are the categories of services it performs, in the words of the published policy. Absent: not recorded.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	ServiceCategories []Line `json:"serviceCategories,omitempty"`

	// namespaces run its workloads. A namespace belongs to one DataProcessor; one that is named twice belongs to nobody.
	// Absent: the party has no workloads in this cluster.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(n, !n.name.startsWith('kube-') && n.name != 'entrustment-system')",message="system namespaces cannot be bound",reason=FieldValueForbidden
	Namespaces []NamespaceBinding `json:"namespaces,omitempty"`

	// selection is the assessment made before the handling was entrusted (APPI art. 25; GDPR art. 28(1)). Absent: none recorded.
	//
	// +optional
	Selection *Selection `json:"selection,omitempty"`

	// suspended withdraws every access of this DataProcessor and of those it entrusted. Absent: false.
	//
	// +optional
	// +kubebuilder:default=false
	Suspended bool `json:"suspended,omitempty"`

	// suspendedReason says why. Required while suspended.
	//
	// +optional
	SuspendedReason Line `json:"suspendedReason,omitempty"`
}

// Contact is a contact point of a party.
type Contact struct {
	// role of the contact point.
	//
	// +required
	Role ContactRole `json:"role"`

	// name of the person or desk. Absent: not recorded.
	//
	// +optional
	Name Line `json:"name,omitempty"`

	// email address. Absent: not recorded.
	//
	// +optional
	Email Line `json:"email,omitempty"`

	// url of a contact form. Absent: not recorded.
	//
	// +optional
	URL URL `json:"url,omitempty"`
}

// ContactRole is what a contact point is for.
//
// +kubebuilder:validation:Enum=General;DataProtectionOfficer;Representative;Security
type ContactRole string

// NamespaceBinding gives a namespace to a party.
type NamespaceBinding struct {
	// name of the namespace.
	//
	// +required
	Name Name `json:"name"`

	// purposes, if set, are the only ones that pods of the namespace may declare, with their descendants. Absent: any.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Purposes []Name `json:"purposes,omitempty"`

	// enforcement says whether pods without a grant are refused. Report: they are admitted, warned about and counted;
	// stores still decide for themselves. Absent: Enforce.
	//
	// +optional
	// +kubebuilder:default=Enforce
	Enforcement Enforcement `json:"enforcement,omitempty"`
}

// Selection is the assessment of a party made before handling was entrusted to it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.validUntil) || self.assessedDate < self.validUntil",message="validUntil must be after assessedDate",reason=FieldValueInvalid,fieldPath=".validUntil"
type Selection struct {
	// assessedDate is the date of the assessment.
	//
	// +required
	AssessedDate Date `json:"assessedDate"`

	// validUntil is the date by which the assessment is to be repeated. Absent: never.
	//
	// +optional
	ValidUntil Date `json:"validUntil,omitempty"`

	// result of the assessment. Rejected withdraws what is entrusted to the party.
	//
	// +required
	Result SelectionResult `json:"result"`

	// grounds are certificates or checks relied on. Absent: none recorded.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Grounds []Line `json:"grounds,omitempty"`

	// assessor is who assessed. Absent: not recorded.
	//
	// +optional
	Assessor Line `json:"assessor,omitempty"`

	// evidenceURL says where the assessment is kept. Absent: not recorded.
	//
	// +optional
	EvidenceURL URL `json:"evidenceURL,omitempty"`
}

// SelectionResult is the outcome of an assessment.
//
// +kubebuilder:validation:Enum=Approved;ConditionallyApproved;Rejected
type SelectionResult string

// The results of a Selection.
const (
	SelectionApproved              SelectionResult = "Approved"
	SelectionConditionallyApproved SelectionResult = "ConditionallyApproved"
	SelectionRejected              SelectionResult = "Rejected"
)

// DataProcessorStatus is what the operator observed of a DataProcessor.
type DataProcessorStatus struct {
	// observedGeneration is the generation last acted upon.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// suspended says whether spec.suspended was found to be set. Absent: it was not.
	//
	// +optional
	Suspended bool `json:"suspended,omitempty"`

	// roles derived from stores and entrustments.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=4
	Roles []Role `json:"roles,omitempty"`

	// entrustmentCount is the number of entrustments in force in which it is the entrustee.
	//
	// +optional
	EntrustmentCount int32 `json:"entrustmentCount"`

	// namespaces as first seen. A namespace of the same name with another uid is somebody else's: the binding is
	// suspended (NamespaceRecreated) until it is removed from spec and added again.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	Namespaces []ObservedNamespace `json:"namespaces,omitempty"`

	// nextReviewDate is the earliest review due among its entrustments. Absent: none is due.
	//
	// +optional
	NextReviewDate Date `json:"nextReviewDate,omitempty"`

	// conditions of the party: Ready, SelectionCurrent.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Role is a part that a party plays.
//
// +kubebuilder:validation:Enum=Controller;Entruster;Entrustee;SubEntrustee
type Role string

// The roles of a party, in the order in which status lists them.
const (
	RoleController   Role = "Controller"
	RoleEntruster    Role = "Entruster"
	RoleEntrustee    Role = "Entrustee"
	RoleSubEntrustee Role = "SubEntrustee"
)

// ObservedNamespace is a bound namespace as it was when the operator first saw it.
type ObservedNamespace struct {
	// name of the namespace.
	//
	// +required
	Name Name `json:"name"`

	// uid of the namespace as first seen.
	//
	// +required
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID types.UID `json:"uid"`
}

// DataProcessorList is a list of DataProcessors.
//
// +kubebuilder:object:root=true
type DataProcessorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DataProcessor `json:"items"`
}
