package entrustment

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// Inputs is everything a decision depends on, except the time.
type Inputs struct {
	Purposes     []*v1alpha1.Purpose
	Processors   []*v1alpha1.DataProcessor
	Entrustments []*v1alpha1.Entrustment
	Stores       []*v1alpha1.PersonalDataStore

	// Namespaces maps the namespaces that exist to their UIDs. Nil: not known, as for files; then no binding is
	// reported as missing or recreated.
	Namespaces map[string]types.UID

	// Location is the time zone of calendar dates. Nil: UTC.
	Location *time.Location
}

// Request asks whether the pods of a namespace that carry the two labels may reach a store.
type Request struct {
	Namespace   string
	Purpose     string // value of the label entrustment.dev/purpose; empty: not declared
	Entrustment string // value of the label entrustment.dev/entrustment; empty: the data controller's own handling
	Store       types.NamespacedName
}

// Effect is the outcome of a decision. The zero value denies.
type Effect bool

// The two effects.
const (
	Deny  Effect = false
	Allow Effect = true
)

// Grant says that pods of a namespace reach a store for some purposes under one entrustment, or none.
type Grant struct {
	Namespace   string
	Entrustment string // empty: the data controller's own handling
	Store       types.NamespacedName
	Purposes    []string // sorted, at least one
}

// Access is what the pods of one bound namespace may do.
type Access struct {
	Processor   string
	Enforcement v1alpha1.Enforcement
	Namespace   types.UID     // of the namespace; empty: not known
	Grants      []AccessGrant // sorted by entrustment, then purpose
}

// AccessGrant is one purpose under one entrustment, or none, with every store that a pod declaring it reaches.
type AccessGrant struct {
	Purpose     string
	Entrustment string                 // empty: the data controller's own handling
	Stores      []types.NamespacedName // sorted, at least one
	Secrets     []string               // sorted names of delivered Secrets that such a pod may reference
	Until       time.Time              // instant at which time alone ends the grant; zero: never
	PodDeadline v1alpha1.PodDeadline   // of the entrustment; empty without one
}
