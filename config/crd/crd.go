// Package crd embeds the generated CustomResourceDefinitions, so that whoever validates against the schema of the API,
// installs it or tests it reads the same bytes. It decides nothing and imports the definitions' own types alone.
package crd

import (
	"embed"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

//go:embed bases/*.yaml
var bases embed.FS

// All returns the CustomResourceDefinition of each kind, sorted by name. The caller owns them.
func All() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	files, err := bases.ReadDir("bases") // sorted, and so by plural: every file is named GROUP_PLURAL.yaml
	if err != nil {
		return nil, fmt.Errorf("list the embedded CustomResourceDefinitions: %w", err)
	}
	definitions := make([]*apiextensionsv1.CustomResourceDefinition, len(files))
	for i, file := range files {
		text, err := bases.ReadFile("bases/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("read the embedded %s: %w", file.Name(), err)
		}
		definitions[i] = &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, definitions[i]); err != nil {
			return nil, fmt.Errorf("decode the embedded %s: %w", file.Name(), err)
		}
	}
	return definitions, nil
}
