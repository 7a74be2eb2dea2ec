package crd

import (
	"slices"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

func TestCompare(t *testing.T) {
	spec := func(d *apiextensionsv1.CustomResourceDefinition) map[string]apiextensionsv1.JSONSchemaProps {
		return d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].Properties
	}
	for name, test := range map[string]struct {
		change          func(d *apiextensionsv1.CustomResourceDefinition)
		unknown, absent []string
	}{
		"the same": {change: func(*apiextensionsv1.CustomResourceDefinition) {}},
		"a further field": {change: func(d *apiextensionsv1.CustomResourceDefinition) {
			spec(d)["sites"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}, unknown: []string{"spec.sites"}},
		"a further field in a list": {change: func(d *apiextensionsv1.CustomResourceDefinition) {
			spec(d)["stores"].Items.Schema.Properties["cluster"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}, unknown: []string{"spec.stores[].cluster"}},
		"a further value": {change: func(d *apiextensionsv1.CustomResourceDefinition) {
			basis := spec(d)["transfers"].Items.Schema.Properties["basis"]
			basis.Enum = append(basis.Enum, apiextensionsv1.JSON{Raw: []byte(`"Treaty"`)})
			spec(d)["transfers"].Items.Schema.Properties["basis"] = basis
		}, unknown: []string{`spec.transfers[].basis="Treaty"`}},
		"anything at all": {change: func(d *apiextensionsv1.CustomResourceDefinition) {
			yes, contract := true, spec(d)["contract"]
			contract.XPreserveUnknownFields = &yes
			spec(d)["contract"] = contract
		}, unknown: []string{"spec.contract.*"}},
		"a field less": {change: func(d *apiextensionsv1.CustomResourceDefinition) {
			delete(spec(d), "suspended")
		}, absent: []string{"spec.suspended"}},
		"a status that tells more": {change: func(d *apiextensionsv1.CustomResourceDefinition) {
			d.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Properties["more"] = apiextensionsv1.JSONSchemaProps{Type: "string"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			definitions, err := All()
			if err != nil {
				t.Fatal(err)
			}
			served := definitions[1] // entrustments
			test.change(served)
			unknown, absent, err := Compare(served)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(unknown, test.unknown) || !slices.Equal(absent, test.absent) {
				t.Errorf("unknown %q, absent %q", unknown, absent)
			}
		})
	}
}
