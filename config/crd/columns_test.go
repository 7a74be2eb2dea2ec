package crd

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"entrustment.dev/operator/api/v1alpha1"
)

// A number that is zero is an answer: what is left out shows as blank, as if nobody had counted.
func TestColumnsShowZero(t *testing.T) {
	definitions, err := All()
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	columns := 0
	for _, definition := range definitions {
		version := definition.Spec.Versions[0]
		object, err := scheme.New(schema.GroupVersionKind{Group: definition.Spec.Group, Version: version.Name, Kind: definition.Spec.Names.Kind})
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(`{"status": {"conditions": [{}]}}`), object); err != nil { // the operator has looked at it
			t.Fatal(err)
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		content := map[string]any{}
		if err := json.Unmarshal(text, &content); err != nil {
			t.Fatal(err)
		}
		for _, column := range version.AdditionalPrinterColumns {
			if column.Type != "integer" {
				continue
			}
			columns++
			if _, found, err := unstructured.NestedFieldNoCopy(content, strings.Split(column.JSONPath, ".")[1:]...); !found || err != nil {
				t.Errorf("%s: column %s is blank at zero (%v)", definition.Spec.Names.Kind, column.Name, err)
			}
		}
	}
	if columns < 3 {
		t.Errorf("only %d columns count", columns)
	}
}
