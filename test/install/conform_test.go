package install

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/yannh/kubeconform/pkg/resource"
	"github.com/yannh/kubeconform/pkg/validator"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/test/manifests"
)

// settings of the chart that together make everything it can make.
var settings = map[string]values{
	"as it is": nil,
	"with everything": {
		"fullnameOverride": "privacy",
		"image":            values{"digest": "sha256:" + strings.Repeat("0", 64)},
		"imagePullSecrets": []any{values{"name": "registry"}},
		"nodeSelector":     values{"kubernetes.io/os": "linux"},
		"tolerations":      []any{values{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}},
		"affinity": values{"podAntiAffinity": values{"requiredDuringSchedulingIgnoredDuringExecution": []any{
			values{"topologyKey": "kubernetes.io/hostname", "labelSelector": values{"matchLabels": values{"team": "privacy"}}},
		}}},
		"podLabels":           values{"team": "privacy"},
		"podAnnotations":      values{"example.com/note": "a note"},
		"extraArgs":           []any{"--revocation-grace=1m"},
		"networkPolicy":       values{"metricsFrom": []any{values{"namespaceSelector": values{"matchLabels": values{"kubernetes.io/metadata.name": "monitoring"}}}}},
		"certificates":        values{"issuer": "cert-manager"},
		"roles":               values{"parties": []any{"courier", "shop"}},
		"uninstall":           values{"open": true},
		"podDisruptionBudget": values{"maxUnavailable": "50%"},
		"metrics": values{
			"serviceMonitor": values{"enabled": true, "labels": values{"release": "prometheus"}},
			"prometheusRule": values{"enabled": true, "labels": values{"release": "prometheus"}},
			"dashboard":      values{"enabled": true},
		},
	},
	"with as little as can be": {
		"crds": values{"install": false}, "roles": values{"enabled": false}, "podDisruptionBudget": values{"enabled": false}, "networkPolicy": values{"enabled": false},
		"priorityClassName": "", "topologySpreadConstraints": []any{},
	},
	"with an Issuer that is there": {"certificates": values{"issuer": "cert-manager", "issuerRef": values{"name": "company", "kind": "ClusterIssuer"}}},
	"with names that look like numbers": {
		"nameOverride": "7", "fullnameOverride": "1e3", "priorityClassName": "1", "roles": values{"parties": []any{"42"}},
		"image":        values{"repository": "0x1", "tag": "1.10"},
		"certificates": values{"issuer": "cert-manager", "issuerRef": values{"name": "5", "kind": "Issuer", "group": "cert-manager.io"}},
	},
	"for an operator outside": {"webhook": values{"url": "https://127.0.0.1:9443"}},
}

// conforms shows that whatever is rendered is what this Kubernetes and the projects whose kinds it borrows know, field by field: to
// kubeconform with the schemas of the API server, and to the API server itself, whose rules see more than a schema does.
func (c *cluster) conforms(t *testing.T) {
	definitions := borrowed(t)
	for _, definition := range definitions {
		if err := c.admin.Create(t.Context(), definition); err != nil {
			t.Fatal(err)
		}
	}
	judge := c.judge(t, slices.Collect(maps.Keys(definitions)))
	for title, with := range settings {
		t.Run("the chart "+title, func(t *testing.T) {
			g := NewWithT(t)
			text := chart(t, with)
			g.Expect(refused(judge, chartDir, text)).To(BeEmpty())
			g.Expect(c.accepts(t, text, definitions)).To(Succeed())
		})
	}
	for _, dir := range []string{"default", "prometheus", "removal/closed", "removal/open"} {
		t.Run("config/"+dir, func(t *testing.T) {
			NewWithT(t).Expect(refused(judge, "config/"+dir, kustomized(t, "../../config/"+dir))).To(BeEmpty())
		})
	}
	t.Run("samples", func(t *testing.T) {
		g := NewWithT(t)
		files, err := filepath.Glob("../../config/samples/*/*.yaml")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(len(files)).To(BeNumerically(">", 10))
		for _, file := range files {
			text, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			switch filepath.Base(file) {
			case "kustomization.yaml": // no object
			case "vault-secrets-operator.yaml": // whose types are not published under an open licence
				g.Expect(refused(judge, file, text)).To(ConsistOf(ContainSubstring("could not find schema for VaultDynamicSecret")))
			default:
				g.Expect(refused(judge, file, text)).To(BeEmpty())
			}
		}
	})

	text := string(chart(t, settings["with everything"]))
	for title, test := range map[string]struct {
		right, wrong string
		named        string   // by both
		says         []string // kubeconform: in which file, object and field
	}{
		"a field of a container that is misspelt":     {"imagePullPolicy:", "imagePulPolicy:", "imagePulPolicy", []string{"templates/deployment.yaml: ", "Deployment/entrustment-system/privacy: ", "'/spec/template/spec/containers/0'"}},
		"a field of a hook that is misspelt":          {"backoffLimit:", "backOffLimit:", "backOffLimit", []string{"templates/uninstall.yaml: ", "Job/entrustment-system/privacy-drain: ", "'/spec'"}},
		"a field of a borrowed kind that is misspelt": {"dnsNames:", "dnsName:", "dnsName", []string{"templates/certificates.yaml: ", "Certificate/entrustment-system/privacy-webhook: ", "'/spec'"}},
		"a value that is none":                        {"interval: 30s", "interval: often", "interval", []string{"templates/prometheus.yaml: ", "ServiceMonitor/entrustment-system/privacy: ", "'/spec/endpoints/0/interval'"}},
		"a kind that nobody knows":                    {"kind: ServiceMonitor", "kind: ServiceMonitors", "ServiceMonitors", []string{"templates/prometheus.yaml: ", "could not find schema"}},
	} {
		t.Run("but not "+title, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(text).To(ContainSubstring(test.right))
			wrong := []byte(strings.Replace(text, test.right, test.wrong, 1))
			said := refused(judge, chartDir, wrong)
			g.Expect(said).To(HaveLen(1))
			for _, part := range append(test.says, test.named) {
				g.Expect(said[0]).To(ContainSubstring(part))
			}
			g.Expect(c.accepts(t, wrong, definitions)).To(MatchError(ContainSubstring(test.named)))
		})
	}
}

// chart is all that Helm would apply, the hooks included, each with the file that it comes from.
func chart(t *testing.T, with values) []byte {
	t.Helper()
	made, err := release(name, namespace, with)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.NewBufferString(made.Manifest)
	for _, hook := range made.Hooks {
		fmt.Fprintf(text, "\n---\n# Source: %s\n%s", hook.Path, hook.Manifest)
	}
	return text.Bytes()
}

var templateOf = regexp.MustCompile(`(?m)^# Source: (\S+)$`)

// refused is what kubeconform has against the objects of a text. What it cannot judge is refused, too.
func refused(judge validator.Validator, file string, text []byte) (said []string) {
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	judged := 0
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) && judged > 0 {
			return said
		}
		if err != nil {
			return append(said, fmt.Sprintf("%s: %d objects: %v", file, judged, err))
		}
		if template := templateOf.FindSubmatch(document); template != nil {
			file = string(template[1])
		}
		result := judge.ValidateResource(resource.Resource{Path: file, Bytes: document})
		if result.Status == validator.Empty { // comments alone
			continue
		}
		judged++
		if result.Status != validator.Valid {
			object, _ := result.Resource.Signature() // as far as it can be read
			said = append(said, fmt.Sprintf("%s: %s/%s/%s: %v", file, object.Kind, object.Namespace, object.Name, result.Err))
		}
	}
}

// accepts asks the API server. It keeps what is of a borrowed kind, which nothing here acts upon, and no more.
func (c *cluster) accepts(t *testing.T, text []byte, borrowed map[schema.GroupVersionKind]*unstructured.Unstructured) error {
	t.Helper()
	objects, err := manifests.Decode(text)
	if err != nil {
		return err
	}
	strict := client.WithFieldValidation(client.WithFieldOwner(c.admin, "conforms"), metav1.FieldValidationStrict)
	for _, object := range objects {
		options := []client.ApplyOption{client.ForceOwnership}
		if _, keep := borrowed[object.GroupVersionKind()]; !keep {
			options = append(options, client.DryRunAll)
		}
		if err := strict.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(object), options...); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}
