package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Purpose is one published purpose for which a data controller uses personal data.
//
// Purposes form a forest: allowing a purpose allows its descendants, and prohibiting one rules out its ancestors too,
// because they contain the prohibited use (APPI art. 17, GDPR art. 5(1)(b)).
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=purp,categories=privacy
// +kubebuilder:printcolumn:name="Parent",type=string,JSONPath=`.spec.parentName`,description="Purpose that this one is a part of"
// +kubebuilder:printcolumn:name="Disposition",type=string,JSONPath=`.spec.disposition`,description="Whether the purpose may be declared at all"
// +kubebuilder:printcolumn:name="Consent",type=boolean,JSONPath=`.spec.consentRequired`,description="Whether consent is needed first"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the purpose may be relied on"
// +kubebuilder:printcolumn:name="Controller",type=string,priority=1,JSONPath=`.spec.controllerName`,description="Data controller that published it"
// +kubebuilder:printcolumn:name="Stores",type=integer,priority=1,JSONPath=`.status.storeCount`,description="Stores that may be used for it"
// +kubebuilder:printcolumn:name="Title",type=string,priority=1,JSONPath=`.spec.title`,description="The words in which it was published"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be a DNS label of at most 63 characters, because it is used as a label value",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.spec.parentName) || self.spec.parentName != self.metadata.name",message="a purpose cannot be its own parent",reason=FieldValueInvalid,fieldPath=".spec.parentName"
type Purpose struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what the data are used for, as the data controller published it.
	//
	// +required
	Spec PurposeSpec `json:"spec"`

	// status is written by the operator.
	//
	// +optional
	Status PurposeStatus `json:"status,omitzero"`
}

// PurposeSpec says what the data are used for, as the data controller published it.
//
// +kubebuilder:validation:XValidation:rule="has(self.parentName) == has(oldSelf.parentName) && (!has(self.parentName) || self.parentName == oldSelf.parentName)",message="parentName is immutable",reason=FieldValueForbidden,fieldPath=".parentName"
// +kubebuilder:validation:XValidation:rule="oldSelf.disposition != 'Prohibited' || self.disposition == 'Prohibited'",message="a prohibited purpose cannot be made permitted; create a new Purpose",reason=FieldValueForbidden,fieldPath=".disposition"
// +kubebuilder:validation:XValidation:rule="self.disposition != 'Prohibited' || !has(self.legalBases) || size(self.legalBases) == 0",message="a prohibited purpose has no legal basis",reason=FieldValueInvalid,fieldPath=".legalBases"
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter",message="notBefore must be before notAfter",reason=FieldValueInvalid,fieldPath=".notAfter"
type PurposeSpec struct {
	// controllerName is the DataProcessor that specified and published this purpose. A purpose binds only data of the
	// same data controller. Immutable.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="controllerName is immutable",reason=FieldValueForbidden
	ControllerName Name `json:"controllerName"`

	// title is the purpose in the words in which it was published or notified.
	//
	// +required
	Title Line `json:"title"`

	// description is a longer explanation, or examples. Absent: the title says it all.
	//
	// +optional
	Description Text `json:"description,omitempty"`

	// parentName is the Purpose that this one is a part of. Absent: a root. Allowing a purpose allows its descendants.
	// Immutable: moving a purpose would silently widen or narrow every scope that names an ancestor.
	//
	// +optional
	ParentName Name `json:"parentName,omitempty"`

	// disposition says whether the purpose may be used at all. Prohibited purposes can never be declared, allowed or
	// entrusted, and that cannot be undone. Absent: Permitted.
	//
	// +optional
	// +kubebuilder:default=Permitted
	Disposition Disposition `json:"disposition,omitempty"`

	// consentRequired says that the individuals' prior consent is needed: only stores that list the purpose in
	// consentedPurposes may be used for it. Inherited by descendants. Absent: false.
	//
	// +optional
	// +kubebuilder:default=false
	ConsentRequired bool `json:"consentRequired,omitempty"`

	// contactsIndividuals says that the purpose includes contacting the individual, which pseudonymised data must never
	// serve (APPI art. 41(8)). Inherited by descendants. Absent: false.
	//
	// +optional
	// +kubebuilder:default=false
	ContactsIndividuals bool `json:"contactsIndividuals,omitempty"`

	// legalBases are the grounds relied on, for the record of processing. They never decide anything. Absent: none recorded.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=7
	LegalBases []LegalBasis `json:"legalBases,omitempty"`

	// publication says where the purpose was published or notified. Absent: not recorded.
	//
	// +optional
	Publication *Publication `json:"publication,omitempty"`

	// notBefore is the instant from which the purpose may be relied on, in RFC 3339 with an offset. Absent: no lower bound.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter is the instant from which the purpose may no longer be relied on. Absent: no end.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotAfter *metav1.Time `json:"notAfter,omitempty"`

	// mappings are terms of other vocabularies for the same purpose. Used in exports, never in decisions. Absent: none.
	//
	// +optional
	// +listType=map
	// +listMapKey=scheme
	// +listMapKey=term
	// +kubebuilder:validation:MaxItems=8
	Mappings []Mapping `json:"mappings,omitempty"`
}

// Disposition says whether a purpose may be used at all.
//
// +kubebuilder:validation:Enum=Permitted;Prohibited
type Disposition string

// The dispositions of a Purpose.
const (
	DispositionPermitted  Disposition = "Permitted"
	DispositionProhibited Disposition = "Prohibited"
)

// LegalBasis is a ground for processing: PurposeOfUse (APPI art. 18) or one of GDPR art. 6(1)(a) to (f).
//
// +kubebuilder:validation:Enum=PurposeOfUse;Consent;ContractPerformance;LegalObligation;VitalInterest;PublicInterest;LegitimateInterest
type LegalBasis string

// Publication says where a purpose was published or notified (APPI art. 21; GDPR art. 13 and 14).
type Publication struct {
	// document is the title of the document.
	//
	// +required
	Document Line `json:"document"`

	// section of the document. Absent: the whole.
	//
	// +optional
	Section Line `json:"section,omitempty"`

	// version is the date of the version of the document. Absent: not recorded.
	//
	// +optional
	Version Date `json:"version,omitempty"`

	// url is the address of the document. Absent: not recorded.
	//
	// +optional
	URL URL `json:"url,omitempty"`
}

// Mapping is a term of another vocabulary.
type Mapping struct {
	// scheme is the vocabulary: the W3C Data Privacy Vocabulary, Fideslang, or the IAB Transparency and Consent Framework.
	//
	// +required
	Scheme MappingScheme `json:"scheme"`

	// term is an IRI (DPV), a key (Fideslang) or a number (TCF).
	//
	// +required
	Term Line `json:"term"`
}

// MappingScheme is a vocabulary of purposes.
//
// +kubebuilder:validation:Enum=DPV;Fideslang;TCF
type MappingScheme string

// PurposeStatus is what the operator observed of a Purpose.
type PurposeStatus struct {
	// observedGeneration is the generation last acted upon.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// path holds the names from the root to this purpose. Absent: the chain of parents is broken.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Path []Name `json:"path,omitempty"`

	// effectiveDisposition is Prohibited when the purpose or an ancestor is.
	//
	// +optional
	EffectiveDisposition Disposition `json:"effectiveDisposition,omitempty"`

	// storeCount is the number of stores whose effective purposes include this one.
	//
	// +optional
	StoreCount int32 `json:"storeCount"`

	// entrustmentCount is the number of entrustments in force whose effective purposes include this one.
	//
	// +optional
	EntrustmentCount int32 `json:"entrustmentCount"`

	// conditions of the purpose: Ready.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PurposeList is a list of Purposes.
//
// +kubebuilder:object:root=true
type PurposeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Purpose `json:"items"`
}
