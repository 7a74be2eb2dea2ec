package v1alpha1

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PersonalDataStore is a place that holds personal data of one data controller, inside or outside the cluster.
//
// A store that exists is closed: only its own pods and the pods that a decision grants reach its ports.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=pds,categories=privacy
// +kubebuilder:printcolumn:name="Controller",type=string,JSONPath=`.spec.controllerName`,description="Data controller whose data these are"
// +kubebuilder:printcolumn:name="Form",type=string,JSONPath=`.spec.dataForm`,description="Identifiability of the data"
// +kubebuilder:printcolumn:name="Grants",type=integer,JSONPath=`.status.grantCount`,description="Grants in force"
// +kubebuilder:printcolumn:name="Isolated",type=string,JSONPath=`.status.conditions[?(@.type=="Isolated")].status`,description="Whether only granted pods reach it"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`,description="Whether the store is governed as written"
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,description="Why it is ready or not"
// +kubebuilder:printcolumn:name="Purposes",type=string,priority=1,JSONPath=`.spec.allowedPurposes`,description="Purposes the data are intended for"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be a DNS label of at most 63 characters, because it is used as a label value",reason=FieldValueInvalid
type PersonalDataStore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is a place that holds personal data of one data controller.
	//
	// +required
	Spec PersonalDataStoreSpec `json:"spec"`

	// status is written by the operator.
	//
	// +optional
	Status PersonalDataStoreStatus `json:"status,omitzero"`
}

// PersonalDataStoreSpec describes a place that holds personal data of one data controller.
//
// +kubebuilder:validation:XValidation:rule="!has(self.prohibitedPurposes) || self.allowedPurposes.all(p, !(p in self.prohibitedPurposes))",message="a purpose cannot be both allowed and prohibited",reason=FieldValueInvalid,fieldPath=".prohibitedPurposes"
// +kubebuilder:validation:XValidation:rule="self.dataForm != 'Anonymised' || has(self.publicationURL)",message="publicationURL is required for anonymised data",reason=FieldValueRequired,fieldPath=".publicationURL"
// +kubebuilder:validation:XValidation:rule="!self.suspended || has(self.suspendedReason)",message="suspendedReason is required while suspended",reason=FieldValueRequired,fieldPath=".suspendedReason"
type PersonalDataStoreSpec struct {
	// title is the name of the store for people. Absent: its name.
	//
	// +optional
	Title Line `json:"title,omitempty"`

	// controllerName is the DataProcessor whose data these are. Data of two data controllers are never kept in one
	// store. Immutable.
	//
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="controllerName is immutable",reason=FieldValueForbidden
	ControllerName Name `json:"controllerName"`

	// dataForm is the identifiability of the data. Absent: Identifiable. Immutable: a change of form makes other data.
	//
	// +optional
	// +kubebuilder:default=Identifiable
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="dataForm is immutable",reason=FieldValueForbidden
	DataForm DataForm `json:"dataForm,omitempty"`

	// dataCategories held: dotted keys such as user.contact.email; a key includes the keys below it.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	DataCategories []DataCategory `json:"dataCategories"`

	// dataSubjects are the categories of individuals. Absent: not recorded.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	DataSubjects []Line `json:"dataSubjects,omitempty"`

	// allowedPurposes are those the data are intended for. Descendants are included.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	AllowedPurposes []Name `json:"allowedPurposes"`

	// prohibitedPurposes must not use the data. Descendants are excluded, and so are ancestors, because they contain the
	// prohibited use. Absent: none.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ProhibitedPurposes []Name `json:"prohibitedPurposes,omitempty"`

	// consentedPurposes are those for which the store has been limited to records of individuals who consented. Absent: none.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	ConsentedPurposes []Name `json:"consentedPurposes,omitempty"`

	// allowedRecipients says who besides the data controller may be connected. Absent or empty: the data controller only.
	//
	// +optional
	// +listType=set
	// +kubebuilder:default={}
	// +kubebuilder:validation:MaxItems=2
	AllowedRecipients []Recipient `json:"allowedRecipients,omitempty"`

	// location is the country in which the data are kept. Absent: the data controller's country.
	//
	// +optional
	Location Country `json:"location,omitempty"`

	// retention is the envisaged erasure; reported, not enforced (GDPR art. 30(1)(f)). Absent: not recorded.
	//
	// +optional
	Retention *Retention `json:"retention,omitempty"`

	// securityMeasures are technical and organisational measures, for the records (GDPR art. 32; APPI art. 23). Absent: none recorded.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	SecurityMeasures []Line `json:"securityMeasures,omitempty"`

	// publicationURL says where items of anonymised information are published (APPI art. 43). Required for Anonymised.
	//
	// +optional
	PublicationURL URL `json:"publicationURL,omitempty"`

	// endpoint says how the store is reached.
	//
	// +required
	Endpoint Endpoint `json:"endpoint"`

	// credentials are Secrets of this namespace that open the store. Each is delivered only to namespaces with a grant.
	// Absent: the store has none to deliver.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Credentials []Credential `json:"credentials,omitempty"`

	// suspended closes the store to everyone but its own pods. Absent: false.
	//
	// +optional
	// +kubebuilder:default=false
	Suspended bool `json:"suspended,omitempty"`

	// suspendedReason says why. Required while suspended.
	//
	// +optional
	SuspendedReason Line `json:"suspendedReason,omitempty"`

	// enforcement says whether what is not granted is cut. Report: no policy cuts and no pod is ended for this store;
	// what would be is counted and listed in status. Absent: Enforce.
	//
	// +optional
	// +kubebuilder:default=Enforce
	Enforcement Enforcement `json:"enforcement,omitempty"`
}

// DataForm is the identifiability of data.
//
// +kubebuilder:validation:Enum=Identifiable;Pseudonymised;Anonymised;Statistical
type DataForm string

// The forms of data: personal data, and those of APPI art. 41 and 43.
const (
	DataFormIdentifiable  DataForm = "Identifiable"
	DataFormPseudonymised DataForm = "Pseudonymised"
	DataFormAnonymised    DataForm = "Anonymised"
	DataFormStatistical   DataForm = "Statistical"
)

// Recipient is a class of parties that a store may be opened to.
//
// +kubebuilder:validation:Enum=Entrustee;SubEntrustee
type Recipient string

// The classes of recipients: the entrustee of the data controller, and those below.
const (
	RecipientEntrustee    Recipient = "Entrustee"
	RecipientSubEntrustee Recipient = "SubEntrustee"
)

// Retention is the envisaged erasure of data.
type Retention struct {
	// description is the criterion or period in words.
	//
	// +required
	Description Line `json:"description"`

	// periodDays is the period in days, where there is one. Absent: there is none.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	PeriodDays *int32 `json:"periodDays,omitempty"`

	// afterContractEnd says what happens when the individual's own contract ends. Absent: not recorded.
	//
	// +optional
	AfterContractEnd AfterContractEnd `json:"afterContractEnd,omitempty"`
}

// AfterContractEnd says what happens to data when the individual's own contract ends.
//
// +kubebuilder:validation:Enum=Continue;Erase
type AfterContractEnd string

// Endpoint says how a store is reached: as pods of its namespace, or at addresses outside the cluster.
//
// +kubebuilder:validation:XValidation:rule="has(self.podSelector) != has(self.external)",message="exactly one of podSelector and external is required",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="has(self.podSelector) == has(oldSelf.podSelector)",message="podSelector is immutable, because moving it would open the pods it leaves",reason=FieldValueForbidden,fieldPath=".podSelector"
type Endpoint struct {
	// podSelector selects the pods of the store, in the namespace of the store. Absent: the store is external. Immutable:
	// moving it would silently open the pods it leaves.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="an empty selector would select every pod of the namespace",reason=FieldValueInvalid
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="podSelector is immutable, because moving it would open the pods it leaves",reason=FieldValueForbidden
	PodSelector *PodSelector `json:"podSelector,omitempty"`

	// external is a store outside the cluster. Absent: the store is pods.
	//
	// +optional
	External *ExternalEndpoint `json:"external,omitempty"`

	// ports of the store. Only these are opened to those with a grant.
	//
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Ports []Port `json:"ports"`
}

// PodSelector selects pods by labels that they carry. What they do not carry is no criterion: evaluators disagree on it.
//
// +structType=atomic
type PodSelector struct {
	// matchLabels are labels that the pod carries. Absent: no such criterion.
	//
	// +optional
	MatchLabels Labels `json:"matchLabels,omitempty"`

	// matchExpressions are further criteria; all have to hold. Absent: none.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []PodSelectorRequirement `json:"matchExpressions,omitempty"`
}

// Labels are labels by key.
//
// +kubebuilder:validation:MaxProperties=16
// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 317 && !format.qualifiedName().validate(k).hasValue())",message="keys must be label keys",reason=FieldValueInvalid
// +kubebuilder:object:generate=false
type Labels map[string]LabelValue

// DeepCopy is written by hand, because the generator cannot copy a map whose values are an alias.
func (in Labels) DeepCopy() Labels { return maps.Clone(in) }

// LabelValue is the value of a label; it may be empty.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue = string

// PodSelectorRequirement is a criterion on one label.
//
// +kubebuilder:validation:XValidation:rule="(self.operator == 'In') == (has(self.values) && size(self.values) > 0)",message="values are required for, and only for, operator In",reason=FieldValueInvalid,fieldPath=".values"
type PodSelectorRequirement struct {
	// key of the label.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="must be a label key",reason=FieldValueInvalid
	Key string `json:"key"`

	// operator In: the label has one of values. Exists: the label is there.
	//
	// +required
	Operator PodSelectorOperator `json:"operator"`

	// values of the label, for In.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Values []LabelValue `json:"values,omitempty"`
}

// PodSelectorOperator relates a label to values.
//
// +kubebuilder:validation:Enum=In;Exists
type PodSelectorOperator string

// The operators of a PodSelectorRequirement.
const (
	PodSelectorIn     PodSelectorOperator = "In"
	PodSelectorExists PodSelectorOperator = "Exists"
)

// ExternalEndpoint is a store outside the cluster.
type ExternalEndpoint struct {
	// cidrs of the store: /16 or longer, IPv6 /48 or longer; loopback and link-local ranges are refused.
	//
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(c, !isCIDR(c) || cidr(c).prefixLength() >= (cidr(c).ip().family() == 4 ? 16 : 48))",message="must be /16 or longer, for IPv6 /48 or longer",reason=FieldValueInvalid
	// +kubebuilder:validation:XValidation:rule="self.all(c, !isCIDR(c) || (!cidr(c).ip().isLoopback() && !cidr(c).ip().isLinkLocalUnicast() && !cidr(c).containsIP(cidr(c).ip().family() == 4 ? '0.0.0.0' : '::1')))",message="loopback, link-local and unspecified ranges are refused",reason=FieldValueInvalid
	CIDRs []CIDR `json:"cidrs"`
}

// Credential is a Secret that opens a store.
type Credential struct {
	// name of the credential.
	//
	// +required
	Name Name `json:"name"`

	// secretName is a Secret in the namespace of the store.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	SecretName string `json:"secretName"`

	// purposes, if set, are the only ones for which it is delivered, with their descendants: for database roles or views
	// made for one purpose. Absent: every purpose that is granted.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Purposes []Name `json:"purposes,omitempty"`
}

// PersonalDataStoreStatus is what the operator observed of a PersonalDataStore.
type PersonalDataStoreStatus struct {
	// observedGeneration is the generation last acted upon.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// suspended says whether spec.suspended was found to be set. Absent: it was not.
	//
	// +optional
	Suspended bool `json:"suspended,omitempty"`

	// effectivePurposes are those a workload may declare to use the store: allowed and their descendants, less
	// prohibited with their ancestors and descendants, less what consent and data form rule out.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=512
	EffectivePurposes []Name `json:"effectivePurposes,omitempty"`

	// grantCount is the number of grants in force: combinations of namespace, entrustment and purpose.
	//
	// +optional
	GrantCount int32 `json:"grantCount"`

	// wouldDeny lists, in Report mode, pods that would be cut.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	WouldDeny []WouldDeny `json:"wouldDeny,omitempty"`

	// wouldDenyCount is the number of pods that would be cut, those not listed included.
	//
	// +optional
	WouldDenyCount int32 `json:"wouldDenyCount,omitempty"`

	// exposedTo lists subjects that RBAC lets read the credentials without declaring anything.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	ExposedTo []ExposedSubject `json:"exposedTo,omitempty"`

	// verifiedTime is when a probe last proved that the network plugin enforces. Absent: never.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	VerifiedTime *metav1.Time `json:"verifiedTime,omitempty"`

	// rotationRequiredSince is when a grant that had received credentials ended; they have not been changed since.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	RotationRequiredSince *metav1.Time `json:"rotationRequiredSince,omitempty"`

	// conditions of the store: Ready, Isolated, CredentialsDelivered, CollationPossible.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// WouldDeny is a pod that would be cut if the store were enforced.
type WouldDeny struct {
	// namespace of the pod.
	//
	// +required
	Namespace Name `json:"namespace"`

	// name of the pod.
	//
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// reason of the decision.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason Reason `json:"reason"`
}

// ExposedSubject is a subject that RBAC lets read a credential.
type ExposedSubject struct {
	// kind of the subject: User, Group or ServiceAccount.
	//
	// +required
	// +kubebuilder:validation:MaxLength=64
	Kind string `json:"kind"`

	// name of the subject.
	//
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// namespace of a ServiceAccount.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// how it can read the credential.
	//
	// +required
	// +kubebuilder:validation:MaxLength=256
	How string `json:"how"`
}

// PersonalDataStoreList is a list of PersonalDataStores.
//
// +kubebuilder:object:root=true
type PersonalDataStoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PersonalDataStore `json:"items"`
}
