package install

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/yannh/kubeconform/pkg/validator"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"entrustment.dev/operator/test/manifests"
)

// judge is kubeconform with the API server's own schemas, those of the latest kinds included.
func (c *cluster) judge(t *testing.T, latest []schema.GroupVersionKind) validator.Validator {
	t.Helper()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	server, err := discovery.NewDiscoveryClientForConfig(c.plane.Config())
	g.Expect(err).NotTo(HaveOccurred())
	described := openapi3.NewRoot(server.OpenAPIV3())
	dir := t.TempDir()
	g.Eventually(func(g Gomega) {
		versions, err := described.GroupVersions()
		g.Expect(err).NotTo(HaveOccurred())
		for _, version := range versions {
			document, err := described.GVSpec(version)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(write(dir, version, document)).To(Succeed())
		}
		for _, kind := range latest { // described a moment after it is served
			g.Expect(filepath.Join(dir, schemaFile(kind))).To(BeAnExistingFile())
		}
	}).Should(Succeed())
	judge, err := validator.New([]string{filepath.Join(dir, "{{.Group}}_{{.ResourceAPIVersion}}_{{.ResourceKind}}.json")}, validator.Opts{Strict: true})
	g.Expect(err).NotTo(HaveOccurred())
	return judge
}

// schemaFile is the schema of a kind, where kubeconform looks for it.
func schemaFile(kind schema.GroupVersionKind) string {
	return fmt.Sprintf("%s_%s_%s.json", cmp.Or(kind.Group, kind.Version), kind.Version, strings.ToLower(kind.Kind))
}

// write writes the schemas of one version of a group: all of them in one file, and for each kind one that points there.
func write(dir string, version schema.GroupVersion, document *spec3.OpenAPI) error {
	all := strings.ReplaceAll(version.String(), "/", "_") + ".json"
	files := map[string]any{all: document}
	for id, s := range document.Components.Schemas {
		closed(s)
		var kinds []metav1.GroupVersionKind
		if err := s.Extensions.GetObject("x-kubernetes-group-version-kind", &kinds); err != nil {
			return err
		}
		for _, kind := range kinds {
			files[schemaFile(schema.GroupVersionKind(kind))] = map[string]string{"$ref": all + "#/components/schemas/" + id}
		}
	}
	for name, content := range files {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// closed makes a schema refuse the fields that it does not name, as the API server does.
func closed(s *spec.Schema) {
	for name, field := range s.Properties {
		closed(&field)
		s.Properties[name] = field
	}
	if s.Items != nil && s.Items.Schema != nil {
		closed(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		closed(s.AdditionalProperties.Schema)
	}
	if open, _ := s.Extensions.GetBool("x-kubernetes-preserve-unknown-fields"); len(s.Properties) > 0 && s.AdditionalProperties == nil && !open {
		s.AdditionalProperties = &spec.SchemaOrBool{}
	}
}

// borrowed are the definitions of the kinds of other projects that are rendered or shown as samples. They are made from the Go types that
// these publish, because not every one of them publishes its definitions as a module, too.
func borrowed(t *testing.T) map[schema.GroupVersionKind]*unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	generator, err := exec.CommandContext(t.Context(), "go", "-C", "../../hack/tools", "tool", "-n", "controller-gen").Output()
	g.Expect(err).NotTo(HaveOccurred())
	packages, err := exec.CommandContext(t.Context(), "go", "-C", "../definitions", "list", "-f", `{{join .Imports "\n"}}`).Output()
	g.Expect(err).NotTo(HaveOccurred())
	generate := exec.CommandContext(t.Context(), strings.TrimSpace(string(generator)), "crd:maxDescLen=0", "output:stdout")
	generate.Dir = "../definitions"
	for path := range strings.FieldsSeq(string(packages)) {
		generate.Args = append(generate.Args, "paths="+path)
	}
	text, err := generate.Output()
	g.Expect(err).NotTo(HaveOccurred())
	made, err := manifests.Decode(text)
	g.Expect(err).NotTo(HaveOccurred())
	definitions := map[schema.GroupVersionKind]*unstructured.Unstructured{}
	for _, object := range made {
		definition := &apiextensionsv1.CustomResourceDefinition{}
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, definition)).To(Succeed())
		kind := schema.GroupVersionKind{Group: definition.Spec.Group, Version: definition.Spec.Versions[0].Name, Kind: definition.Spec.Names.Kind}
		if slices.Contains([]string{"Certificate", "ExternalSecret", "Issuer", "PrometheusRule", "ServiceMonitor"}, kind.Kind) {
			definitions[kind] = object
		}
	}
	return definitions
}
