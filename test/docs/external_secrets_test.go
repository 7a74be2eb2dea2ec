package docs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/gather"
)

// Each sample writes the Secret that a store of the policy names, and the page tells of it.
func TestExternalSecretsWriteSourcesOfThePolicy(t *testing.T) {
	target := map[string][]string{ // where a kind says which Secret it writes
		"ExternalSecret":     {"spec", "target", "name"},
		"VaultDynamicSecret": {"spec", "destination", "name"},
		"Certificate":        {"spec", "secretName"},
	}
	page, err := os.ReadFile(root + "docs/external-secrets.md")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := gather.FromFiles([]string{root + "config/samples/policy"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(root + "config/samples/external-secrets/*.yaml")
	if err != nil || len(files) != len(target) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(text, &object.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		path := target[object.GetKind()]
		delete(target, object.GetKind())
		name, found, err := unstructured.NestedString(object.Object, path...)
		if err != nil || !found {
			t.Errorf("%s: %s says nothing at %v", file, object.GetKind(), path)
		}
		if !slices.ContainsFunc(policy.Stores, func(s *v1alpha1.PersonalDataStore) bool {
			return s.Namespace == object.GetNamespace() && slices.ContainsFunc(s.Spec.Credentials, func(c v1alpha1.Credential) bool { return c.SecretName == name })
		}) {
			t.Errorf("%s: no store in namespace %s names Secret %q", file, object.GetNamespace(), name)
		}
		if !strings.Contains(string(page), "config/samples/external-secrets/"+filepath.Base(file)) {
			t.Errorf("the page does not tell of %s", file)
		}
	}
	for kind := range target {
		t.Errorf("no sample of a %s", kind)
	}
}
