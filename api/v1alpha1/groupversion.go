package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind, and the prefix of every label, annotation and finalizer.
const Group = "entrustment.dev"

var (
	// SchemeGroupVersion names this version of the group.
	SchemeGroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the five kinds and their lists to a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

// Resource qualifies a resource name with the group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&Purpose{}, &PurposeList{},
		&DataProcessor{}, &DataProcessorList{},
		&Entrustment{}, &EntrustmentList{},
		&PersonalDataStore{}, &PersonalDataStoreList{},
		&PersonalDataAccess{}, &PersonalDataAccessList{},
	)
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}
