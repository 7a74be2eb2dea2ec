package webhook

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// metadata is all that is read of an object.
type metadata struct {
	Name         string            `json:"name"`
	GenerateName string            `json:"generateName"`
	UID          types.UID         `json:"uid"`
	Labels       map[string]string `json:"labels"`

	OwnerReferences []struct {
		Controller bool `json:"controller"`
	} `json:"ownerReferences"`
}

// title is the name that people know the object by: a generated one is made only after admission.
func (m *metadata) title() string {
	if m.Name == "" && m.GenerateName != "" {
		return m.GenerateName + "*"
	}
	return m.Name
}

func (m *metadata) controlled() bool {
	for _, owner := range m.OwnerReferences {
		if owner.Controller {
			return true
		}
	}
	return false
}

// declaration is what a pod says of itself. A label that is there but empty is not the same as none: the policies and
// the admission rules ask for its absence.
type declaration struct {
	purpose, entrustment       string
	hasPurpose, hasEntrustment bool
}

func declared(labels map[string]string) declaration {
	var d declaration
	d.purpose, d.hasPurpose = labels[v1alpha1.LabelPurpose]
	d.entrustment, d.hasEntrustment = labels[v1alpha1.LabelEntrustment]
	return d
}

// any says whether the pod declares anything. One that does not is none of our business: it reaches no store.
func (d declaration) any() bool { return d.hasPurpose || d.hasEntrustment }

func (d declaration) String() string {
	switch {
	case !d.any():
		return "neither purpose nor entrustment"
	case d.hasPurpose && d.hasEntrustment:
		return fmt.Sprintf("purpose %q under entrustment %q", d.purpose, d.entrustment)
	case d.hasEntrustment:
		return fmt.Sprintf("no purpose under entrustment %q", d.entrustment)
	}
	return fmt.Sprintf("purpose %q", d.purpose)
}

func decode(raw []byte, into any) error {
	if err := utiljson.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading the object under review: %w", err)
	}
	return nil
}

// source of the snapshot in force.
type source interface {
	// Current returns the snapshot, or an error while there is none.
	Current() (*entrustment.Snapshot, error)
}
