package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PersonalDataAccess says what the pods of one bound namespace may do now: the compiled decision.
//
// The operator alone writes it, one object named "effective" in each bound namespace. It has no spec and no status: like
// an EndpointSlice it is data. The in-process admission rules take it as their parameter, so pods are still judged when
// the operator is down.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=personaldataaccesses,singular=personaldataaccess,shortName=pda,categories=privacy
// +kubebuilder:printcolumn:name="Processor",type=string,JSONPath=`.processorName`,description="Party to which the namespace is bound"
// +kubebuilder:printcolumn:name="Grants",type=integer,JSONPath=`.grantCount`,description="Grants in force"
// +kubebuilder:printcolumn:name="Next Change",type=string,JSONPath=`.nextChangeTime`,description="Instant at which the first of them ends"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type PersonalDataAccess struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// processorName is the DataProcessor to which the namespace is bound.
	//
	// +required
	ProcessorName Name `json:"processorName"`

	// enforcement of the binding.
	//
	// +required
	Enforcement Enforcement `json:"enforcement"`

	// grantCount is the number of grants.
	//
	// +required
	GrantCount int32 `json:"grantCount"`

	// nextChangeTime is the earliest notAfter of the grants. Absent: time alone ends none of them.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NextChangeTime *metav1.Time `json:"nextChangeTime,omitempty"`

	// grants in force, one for each purpose and entrustment under which a pod of this namespace reaches a store now,
	// sorted by entrustment and purpose. Absent: none.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	Grants []Grant `json:"grants,omitempty"`

	// draining are grants that ended and under which pods may still be there, sorted by entrustment and purpose. It grants
	// nothing: it is how the operator remembers whom it has to end. Absent: none.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	Draining []DrainingGrant `json:"draining,omitempty"`
}

// DrainingGrant is a purpose and an entrustment under which pods reached stores that they may not reach any more.
type DrainingGrant struct {
	// purpose that the pods carry as the label entrustment.dev/purpose.
	//
	// +required
	Purpose Name `json:"purpose"`

	// entrustment that the pods carry as the label entrustment.dev/entrustment. Absent: they do not carry it.
	//
	// +optional
	Entrustment Name `json:"entrustment,omitempty"`

	// stores that the pods reached, "namespace/name".
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	Stores []string `json:"stores,omitempty"`

	// generation of this object that was the last to grant one of the stores: pods that were let in by a later one are not
	// concerned.
	//
	// +optional
	Generation int64 `json:"generation,omitempty"`
}

// Grant is a purpose and an entrustment under which a pod reaches stores.
type Grant struct {
	// purpose that the pod must carry as the label entrustment.dev/purpose.
	//
	// +required
	Purpose Name `json:"purpose"`

	// entrustment that the pod must carry as the label entrustment.dev/entrustment. Absent: the pod must not carry it.
	//
	// +optional
	Entrustment Name `json:"entrustment,omitempty"`

	// stores that the pod reaches, "namespace/name".
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=127
	Stores []string `json:"stores,omitempty"`

	// secrets of this namespace, delivered by the operator, that a pod under this grant may reference.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	Secrets []string `json:"secrets,omitempty"`

	// notAfter is the earliest instant at which time alone turns this grant into a denial. Absent: never.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:Format=date-time
	// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-](0\d|1[0-4]):[0-5]\d)$`
	NotAfter *metav1.Time `json:"notAfter,omitempty"`

	// podDeadline of the entrustment. Absent: there is none.
	//
	// +optional
	PodDeadline PodDeadline `json:"podDeadline,omitempty"`
}

// PersonalDataAccessList is a list of PersonalDataAccess objects.
//
// +kubebuilder:object:root=true
type PersonalDataAccessList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PersonalDataAccess `json:"items"`
}
