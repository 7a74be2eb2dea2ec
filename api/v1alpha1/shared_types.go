package v1alpha1

// Name refers to an object of this API: a DNS label of at most 63 characters, because names are used as label values.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
type Name = string

// Date is a calendar day, YYYY-MM-DD (RFC 3339 full-date).
//
// +kubebuilder:validation:Format=date
// +kubebuilder:validation:MaxLength=10
// +kubebuilder:validation:Pattern=`^\d{4}-\d{2}-\d{2}$`
type Date = string

// Country is a code of ISO 3166-1 alpha-2.
//
// +kubebuilder:validation:MaxLength=2
// +kubebuilder:validation:Pattern=`^[A-Z]{2}$`
type Country = string

// DataCategory is a dotted key such as user.contact.email; a key includes the keys below it.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:Pattern=`^[a-z0-9_-]+(\.[a-z0-9_-]+)*$`
type DataCategory = string

// Line is a text of one line for the records.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type Line = string

// Text is a longer text for the records.
//
// +kubebuilder:validation:MaxLength=2048
type Text = string

// URL is the address of a document.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=1024
type URL = string

// CIDR is a range of addresses, such as 192.0.2.0/24 or 2001:db8::/48.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=49
// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a range of addresses such as 192.0.2.0/24 or 2001:db8::/48",reason=FieldValueInvalid
type CIDR = string

// Port is a port of a transport protocol.
type Port struct {
	// port is the number of the port, 1 to 65535.
	//
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`

	// protocol is TCP or UDP. Absent: TCP.
	//
	// +optional
	// +kubebuilder:default=TCP
	Protocol Protocol `json:"protocol,omitempty"`
}

// Protocol is a transport protocol.
//
// +kubebuilder:validation:Enum=TCP;UDP
type Protocol string

// The transport protocols of a Port.
const (
	ProtocolTCP Protocol = "TCP"
	ProtocolUDP Protocol = "UDP"
)

// Enforcement says whether what is not granted is stopped.
//
// +kubebuilder:validation:Enum=Enforce;Report
type Enforcement string

// The degrees of Enforcement.
const (
	// EnforcementEnforce stops what is not granted.
	EnforcementEnforce Enforcement = "Enforce"
	// EnforcementReport lets it pass, and shows it: for adoption.
	EnforcementReport Enforcement = "Report"
)

// PodDeadline says whether a contract's end ends its pods even when the operator is dead.
//
// +kubebuilder:validation:Enum=Armed;Off
type PodDeadline string

// The settings of PodDeadline.
const (
	PodDeadlineArmed PodDeadline = "Armed"
	PodDeadlineOff   PodDeadline = "Off"
)
