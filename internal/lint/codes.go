package lint

// Severity tells what a finding means for whoever applies the policy.
type Severity string

// The severities, in SARIF's words.
const (
	Error   Severity = "error"   // will be refused, or cannot have been meant
	Warning Severity = "warning" // may be meant, and takes something away
	Note    Severity = "note"    // is legal, and worth a look
)

// A Code is the stable name of one kind of mistake. docs/lint.md tells of each.
type Code string

// The codes. They are never given another meaning.
const (
	Unreadable       Code = "ENT101"
	Syntax           Code = "ENT102"
	Schema           Code = "ENT103"
	Rule             Code = "ENT104"
	Duplicate        Code = "ENT105"
	Placeholder      Code = "ENT106"
	UnknownName      Code = "ENT201"
	OthersPurpose    Code = "ENT202"
	PurposeChain     Code = "ENT203"
	Unauthorised     Code = "ENT301"
	ExceedsParent    Code = "ENT302"
	StoreOutOfScope  Code = "ENT303"
	NoStoreForIt     Code = "ENT304"
	ForeignHandling  Code = "ENT305"
	NotInForce       Code = "ENT306"
	Unsupervised     Code = "ENT307"
	Incomplete       Code = "ENT308"
	NowhereToRun     Code = "ENT309"
	NoPurposeLeft    Code = "ENT401"
	Unreachable      Code = "ENT402"
	EndpointConflict Code = "ENT403"
	Collation        Code = "ENT404"
	UnusedPurpose    Code = "ENT405"
	NamespaceTwice   Code = "ENT406"
	TooMany          Code = "ENT407"
	WorkloadRefused  Code = "ENT501"
	SecretWithheld   Code = "ENT502"
	IdleLabel        Code = "ENT503"
)

// An Explanation is what is known of a code.
type Explanation struct {
	Code     Code
	Severity Severity
	Title    string
}

// Codes are all of them, in their order.
func Codes() []Explanation {
	return []Explanation{
		{Unreadable, Error, "A file cannot be read"},
		{Syntax, Error, "A document is no object"},
		{Schema, Error, "The schema refuses a field"},
		{Rule, Error, "A rule of the kind refuses the object"},
		{Duplicate, Error, "An object is written twice"},
		{Placeholder, Error, "A placeholder is left"},
		{UnknownName, Error, "A name means nothing"},
		{OthersPurpose, Error, "A purpose is of another data controller"},
		{PurposeChain, Error, "A purpose has no intact chain of parents"},
		{Unauthorised, Error, "A chain of contracts is not authorised"},
		{ExceedsParent, Error, "A contract exceeds the one above"},
		{StoreOutOfScope, Warning, "A contract names a store that it does not reach"},
		{NoStoreForIt, Warning, "No store is for a purpose that is entrusted"},
		{ForeignHandling, Error, "Data would be handled where it is not allowed"},
		{NotInForce, Warning, "A contract is not in force"},
		{Unsupervised, Warning, "A review is overdue, or was unsatisfactory"},
		{Incomplete, Note, "A contract lacks clauses"},
		{NowhereToRun, Note, "An entrustee has no namespace"},
		{NoPurposeLeft, Error, "Nobody may use a store"},
		{Unreachable, Warning, "Nobody reaches a store"},
		{EndpointConflict, Error, "Two stores share an endpoint"},
		{Collation, Note, "Pseudonymised data could be collated"},
		{UnusedPurpose, Note, "No store is for a purpose"},
		{NamespaceTwice, Error, "A namespace is bound to two parties"},
		{TooMany, Error, "A namespace has more grants than fit"},
		{WorkloadRefused, Error, "The pods of a workload will be refused"},
		{SecretWithheld, Error, "A workload references a Secret that it must not"},
		{IdleLabel, Warning, "A label declares nothing"},
	}
}

// Explain is what is known of a code; the zero Explanation: there is no such code.
func Explain(code Code) Explanation {
	for _, e := range Codes() {
		if e.Code == code {
			return e
		}
	}
	return Explanation{}
}
