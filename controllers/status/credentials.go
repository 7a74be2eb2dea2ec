package status

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// credentials tell of the copies of a store's credentials.
type credentials interface {
	// Delivered is the condition CredentialsDelivered; false: it is not known yet.
	Delivered(*entrustment.Snapshot, *v1alpha1.PersonalDataStore) (metav1.Condition, bool)
	// RotationRequiredSince is when a grant ended that had received a credential; false: it is not known yet.
	RotationRequiredSince(store types.NamespacedName) (*metav1.Time, bool)
	// Observed wakes when one of them changed.
	Observed() source.Source
}

// exposure tells who could read a store's credentials.
type exposure interface {
	// ExposedTo lists the subjects; false: they are not known yet.
	ExposedTo(store types.NamespacedName) ([]v1alpha1.ExposedSubject, bool)
	// Observed wakes when the list changed.
	Observed() source.Source
}

// delivered is the condition CredentialsDelivered, if there is one: what is not known yet is what it was.
func (o Options) delivered(current *entrustment.Snapshot, store, live *v1alpha1.PersonalDataStore) []metav1.Condition {
	if o.Credentials == nil {
		return nil
	}
	if now, known := o.Credentials.Delivered(current, store); known {
		return []metav1.Condition{now}
	}
	if before := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionCredentialsDelivered); before != nil {
		return []metav1.Condition{*before}
	}
	return nil
}

// readers completes a status with who has or could have the credentials.
func (o Options) readers(status *v1alpha1.PersonalDataStoreStatus, live *v1alpha1.PersonalDataStore) {
	key := client.ObjectKeyFromObject(live)
	status.RotationRequiredSince, status.ExposedTo = live.Status.RotationRequiredSince, live.Status.ExposedTo
	if o.Credentials != nil {
		if since, known := o.Credentials.RotationRequiredSince(key); known {
			status.RotationRequiredSince = since
		}
	}
	if o.Exposure != nil {
		if subjects, known := o.Exposure.ExposedTo(key); known {
			status.ExposedTo = subjects
		}
	}
}
