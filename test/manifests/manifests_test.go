package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.yaml":             "kind: B\n---\n# a comment alone\n---\nkind: C\n",
		"a.yaml":             "kind: A\n",
		"kustomization.yaml": "resources: [a.yaml, b.yaml]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, object := range objects {
		kinds = append(kinds, object.GetKind())
	}
	if diff := cmp.Diff([]string{"A", "B", "C"}, kinds); diff != "" {
		t.Error(diff)
	}
	if _, err := Read(t.TempDir()); err == nil || !strings.Contains(err.Error(), "holds no manifests") {
		t.Errorf("an empty directory gave %v", err)
	}
}

func TestCallDirectly(t *testing.T) {
	configuration := func(client map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"kind":     "ValidatingWebhookConfiguration",
			"webhooks": []any{map[string]any{"name": "pod", "failurePolicy": "Fail", "clientConfig": client}},
		}}
	}
	object := configuration(map[string]any{"service": map[string]any{"name": "operator", "path": "/admit"}})
	if err := CallDirectly(object, "127.0.0.1:1234"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(configuration(map[string]any{"url": "https://127.0.0.1:1234/admit"}), object); diff != "" {
		t.Error(diff)
	}
	if err := CallDirectly(configuration(map[string]any{"url": "https://elsewhere"}), "127.0.0.1:1234"); err == nil {
		t.Error("a webhook that calls elsewhere was taken")
	}
	other := &unstructured.Unstructured{Object: map[string]any{"kind": "Service"}}
	if err := CallDirectly(other, "127.0.0.1:1234"); err != nil || len(other.Object) != 1 {
		t.Errorf("a Service became %v, %v", other.Object, err)
	}
}
