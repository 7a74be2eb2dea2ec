package install

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the rights that are rendered into testdata/rights.yaml")

// Whoever reviews a change sees every right that it gives, and to whom: the rights that are rendered are those of a committed list.
func TestRightsAreThoseOfTheList(t *testing.T) {
	const list = "testdata/rights.yaml"
	objects, err := render(name, namespace, values{"roles": values{"parties": []any{"courier", "shop"}}})
	if err != nil {
		t.Fatal(err)
	}
	rights := bytes.NewBufferString("# Every role and binding of the chart, for the parties courier and shop. Written by: go -C test/install test -run Rights -update\n")
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(a.GetKind()+" "+a.GetName(), b.GetKind()+" "+b.GetName())
	})
	roles := 0
	for _, object := range objects {
		if object.GroupVersionKind().Group != "rbac.authorization.k8s.io" {
			continue
		}
		roles++
		said := values{"kind": object.GetKind(), "name": object.GetName()}
		if in := object.GetNamespace(); in != "" {
			said["namespace"] = in
		}
		for label, value := range object.GetLabels() {
			if strings.HasPrefix(label, "rbac.authorization.k8s.io/aggregate-to-") {
				said["aggregatedTo"] = strings.TrimPrefix(label, "rbac.authorization.k8s.io/aggregate-to-") + ": " + value
			}
		}
		for _, field := range []string{"rules", "aggregationRule", "roleRef", "subjects"} {
			if content, found := object.Object[field]; found {
				said[field] = content
			}
		}
		text, err := yaml.Marshal(said)
		if err != nil {
			t.Fatal(err)
		}
		rights.WriteString("---\n")
		rights.Write(text)
	}
	if roles < 12 {
		t.Fatalf("only %d roles and bindings", roles)
	}
	if *update {
		if err := os.WriteFile(list, rights.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), rights.String()); diff != "" {
		t.Errorf("%s (-committed +rendered); if that is meant: go -C test/install test -run Rights -update\n%s", list, diff)
	}
}
