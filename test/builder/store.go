package builder

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// StoreBuilder builds a PersonalDataStore.
type StoreBuilder struct{ obj v1alpha1.PersonalDataStore }

// Store starts a store of Controller for the pods labelled app=<name>, port 5432, with names of users, open to the
// controller alone. AllowedPurposes has no default.
func Store(namespace, name string) *StoreBuilder {
	return &StoreBuilder{v1alpha1.PersonalDataStore{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.PersonalDataStoreSpec{
			ControllerName: Controller,
			DataForm:       v1alpha1.DataFormIdentifiable,
			DataCategories: []string{"user.name"},
			Endpoint: v1alpha1.Endpoint{
				PodSelector: &v1alpha1.PodSelector{MatchLabels: map[string]string{"app": name}},
				Ports:       []v1alpha1.Port{{Port: 5432, Protocol: v1alpha1.ProtocolTCP}},
			},
			Enforcement: v1alpha1.EnforcementEnforce,
		},
	}}
}

// Obj returns what was built.
func (b *StoreBuilder) Obj() *v1alpha1.PersonalDataStore { return b.obj.DeepCopy() }

// Controller names the party whose data these are.
func (b *StoreBuilder) Controller(name string) *StoreBuilder {
	b.obj.Spec.ControllerName = name
	return b
}

// Form sets the data form.
func (b *StoreBuilder) Form(form v1alpha1.DataForm) *StoreBuilder {
	b.obj.Spec.DataForm = form
	if form == v1alpha1.DataFormAnonymised {
		b.obj.Spec.PublicationURL = "https://example.com/anonymised"
	}
	return b
}

// Categories sets the categories of data held.
func (b *StoreBuilder) Categories(categories ...string) *StoreBuilder {
	b.obj.Spec.DataCategories = categories
	return b
}

// AllowedPurposes sets the purposes for which the data are intended.
func (b *StoreBuilder) AllowedPurposes(names ...string) *StoreBuilder {
	b.obj.Spec.AllowedPurposes = names
	return b
}

// ProhibitedPurposes sets the purposes for which the data must not be used.
func (b *StoreBuilder) ProhibitedPurposes(names ...string) *StoreBuilder {
	b.obj.Spec.ProhibitedPurposes = names
	return b
}

// ConsentedPurposes sets the purposes to which all individuals in the store consented.
func (b *StoreBuilder) ConsentedPurposes(names ...string) *StoreBuilder {
	b.obj.Spec.ConsentedPurposes = names
	return b
}

// Recipients sets who besides the controller may be connected.
func (b *StoreBuilder) Recipients(recipients ...v1alpha1.Recipient) *StoreBuilder {
	b.obj.Spec.AllowedRecipients = recipients
	return b
}

// Selector replaces the labels by which the store's pods are found.
func (b *StoreBuilder) Selector(labels map[string]string, expressions ...v1alpha1.PodSelectorRequirement) *StoreBuilder {
	b.obj.Spec.Endpoint.External = nil
	b.obj.Spec.Endpoint.PodSelector = &v1alpha1.PodSelector{MatchLabels: labels, MatchExpressions: expressions}
	return b
}

// External puts the store outside the cluster.
func (b *StoreBuilder) External(cidrs ...string) *StoreBuilder {
	b.obj.Spec.Endpoint.PodSelector = nil
	b.obj.Spec.Endpoint.External = &v1alpha1.ExternalEndpoint{CIDRs: cidrs}
	return b
}

// Ports replaces the ports, all TCP.
func (b *StoreBuilder) Ports(ports ...int32) *StoreBuilder {
	b.obj.Spec.Endpoint.Ports = nil
	for _, port := range ports {
		b.obj.Spec.Endpoint.Ports = append(b.obj.Spec.Endpoint.Ports, v1alpha1.Port{Port: port, Protocol: v1alpha1.ProtocolTCP})
	}
	return b
}

// Credential adds a Secret that opens the store; with purposes, it is delivered only for these.
func (b *StoreBuilder) Credential(name, secretName string, purposes ...string) *StoreBuilder {
	b.obj.Spec.Credentials = append(b.obj.Spec.Credentials, v1alpha1.Credential{
		Name: name, SecretName: secretName, Purposes: purposes,
	})
	return b
}

// Suspended closes the store to everyone but its own pods.
func (b *StoreBuilder) Suspended() *StoreBuilder {
	b.obj.Spec.Suspended, b.obj.Spec.SuspendedReason = true, "incident"
	return b
}

// Report lets nothing be cut for the store.
func (b *StoreBuilder) Report() *StoreBuilder {
	b.obj.Spec.Enforcement = v1alpha1.EnforcementReport
	return b
}

// With changes what has no method of its own.
func (b *StoreBuilder) With(change func(*v1alpha1.PersonalDataStore)) *StoreBuilder {
	change(&b.obj)
	return b
}
