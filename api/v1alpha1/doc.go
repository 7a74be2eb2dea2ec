// Package v1alpha1 is the contract between the operator and its users: the five kinds of entrustment.dev, the
// label keys a workload carries, and every condition and reason the operator says.
//
// Four kinds are written by people. A Purpose is one published purpose of use, a DataProcessor is a party, an
// Entrustment is the contract by which one party entrusts handling to another, and a PersonalDataStore is a place
// that holds one data controller's personal data. The fifth, PersonalDataAccess, is written by the operator alone:
// the compiled decision for one namespace.
//
// In this API "controller" means the data controller of privacy law, never a control loop.
//
// The package imports apimachinery only.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="applyconfiguration"
// +groupName=entrustment.dev
package v1alpha1
