package render

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	apiac "entrustment.dev/operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Access shows a namespace what its pods may do now, and keeps in mind what is draining.
func Access(namespace string, access entrustment.Access, draining ...v1alpha1.DrainingGrant) *apiac.PersonalDataAccessApplyConfiguration {
	rendered := apiac.PersonalDataAccess(v1alpha1.PersonalDataAccessName, namespace).
		WithLabels(map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}).
		WithProcessorName(access.Processor).
		WithEnforcement(access.Enforcement).
		WithGrantCount(int32(len(access.Grants)))

	if access.Namespace != "" {
		rendered.WithLabels(map[string]string{v1alpha1.LabelNamespaceUID: string(access.Namespace)})
	}

	var first time.Time
	for _, g := range access.Grants {
		rendered.WithGrants(grant(g))
		if !g.Until.IsZero() && (first.IsZero() || g.Until.Before(first)) {
			first = g.Until
		}
	}
	if !first.IsZero() {
		rendered.WithNextChangeTime(seconds(first))
	}
	for i := range draining {
		d := &draining[i]
		note := apiac.DrainingGrant().WithPurpose(d.Purpose).WithStores(d.Stores...).WithGeneration(d.Generation)
		if d.Entrustment != "" {
			note.WithEntrustment(d.Entrustment)
		}
		rendered.WithDraining(note)
	}
	return rendered
}

func grant(g entrustment.AccessGrant) *apiac.GrantApplyConfiguration {
	rendered := apiac.Grant().WithPurpose(g.Purpose).WithSecrets(g.Secrets...)
	for _, store := range g.Stores {
		rendered.WithStores(store.String())
	}
	if g.Entrustment != "" {
		rendered.WithEntrustment(g.Entrustment)
	}
	if g.PodDeadline != "" {
		rendered.WithPodDeadline(g.PodDeadline)
	}
	if !g.Until.IsZero() {
		rendered.WithNotAfter(seconds(g.Until))
	}
	return rendered
}

// seconds is the instant as the API writes it, in UTC. A fraction is cut off: a grant may end early, never late.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.UTC().Truncate(time.Second)) }
