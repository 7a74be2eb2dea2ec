// Package admission embeds the rules that the API server enforces by itself: a fixed set of ValidatingAdmissionPolicies,
// each with a binding of the same name. Those whose names end in -templates only warn. They hold while the operator and its
// webhook are dead, so none of them asks either; what they have to know is their parameter: the PersonalDataAccess of the
// pod's namespace, the NetworkPolicies of its stores, or the RoleBindings of its readers.
//
// Whoever installs the rules, keeps them or tests them reads the same bytes. They spell out what the API server would
// default, so that a live object can be compared exactly. The package decides nothing.
package admission

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Operator is the user for whom the rules on the operator's own objects make an exception. The rules have to repeat it,
// because CEL knows no constants; a test holds them to it.
const Operator = "system:serviceaccount:entrustment-system:entrustment-operator"

//go:embed *.yaml
var files embed.FS

// All returns the rules in the order of the files, each policy before its bindings. The caller owns them.
func All() ([]*unstructured.Unstructured, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list the embedded rules: %w", err)
	}
	var rules []*unstructured.Unstructured
	for _, entry := range entries {
		if entry.Name() == "kustomization.yaml" {
			continue
		}
		text, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read the embedded %s: %w", entry.Name(), err)
		}
		documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
		for {
			rule := &unstructured.Unstructured{}
			if err := documents.Decode(&rule.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("decode the embedded %s: %w", entry.Name(), err)
			}
			if !rule.IsList() {
				rules = append(rules, rule)
				continue
			}
			// Rules that share expressions are one list, because a YAML document cannot refer to another.
			list, err := rule.ToList()
			if err != nil {
				return nil, fmt.Errorf("decode the embedded %s: %w", entry.Name(), err)
			}
			for i := range list.Items {
				rules = append(rules, &list.Items[i])
			}
		}
	}
	return rules, nil
}
