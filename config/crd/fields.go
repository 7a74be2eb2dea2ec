package crd

import (
	"fmt"
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// Compare tells in what the served definition of a kind differs from the one that this program was built with: in what people
// may write there, fields and values of enumerations. Unknown are those of which the program knows nothing, absent are those
// that the API server drops or refuses; both sorted.
func Compare(served *apiextensionsv1.CustomResourceDefinition) (unknown, absent []string, err error) {
	definitions, err := All()
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(definitions, func(d *apiextensionsv1.CustomResourceDefinition) bool { return d.Name == served.Name })
	if at < 0 {
		return nil, nil, fmt.Errorf("there is no definition %s", served.Name)
	}
	there, here := fields(served), fields(definitions[at])
	return without(there, here), without(here, there), nil
}

// without are those of some that are not among others, sorted.
func without(some, others map[string]bool) []string {
	left := slices.Sorted(maps.Keys(some))
	return slices.DeleteFunc(left, func(field string) bool { return others[field] })
}

// fields are what a definition lets people write, at the version of this program.
func fields(definition *apiextensionsv1.CustomResourceDefinition) map[string]bool {
	all := map[string]bool{}
	for i := range definition.Spec.Versions {
		version := &definition.Spec.Versions[i]
		if version.Name == v1alpha1.SchemeGroupVersion.Version && version.Served && version.Schema != nil && version.Schema.OpenAPIV3Schema != nil {
			spec := version.Schema.OpenAPIV3Schema.Properties["spec"]
			collect(all, "spec", &spec)
		}
	}
	return all
}

func collect(all map[string]bool, path string, schema *apiextensionsv1.JSONSchemaProps) {
	all[path] = true
	for name := range schema.Properties {
		property := schema.Properties[name]
		collect(all, path+"."+name, &property)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		collect(all, path+"[]", schema.Items.Schema)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		collect(all, path+"{}", schema.AdditionalProperties.Schema)
	}
	if schema.XPreserveUnknownFields != nil && *schema.XPreserveUnknownFields {
		all[path+".*"] = true
	}
	for _, value := range schema.Enum {
		all[path+"="+string(value.Raw)] = true
	}
}
