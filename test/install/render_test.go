package install

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	chartDir  = "../../charts/entrustment-operator"
	namespace = "entrustment-system"
	name      = "entrustment-operator" // of the release
)

type values = map[string]any

// Two ways to install the operator, and one operator.
func TestChartAndKustomizeMakeTheSameObjects(t *testing.T) {
	for title, test := range map[string]struct {
		values values
		dirs   []string
	}{
		"as they are": {nil, []string{"../../config/default"}},
		"with what the Prometheus operator reads": {
			values{"metrics": values{"serviceMonitor": values{"enabled": true}, "prometheusRule": values{"enabled": true}, "dashboard": values{"enabled": true}}},
			[]string{"../../config/default", "../../config/prometheus"},
		},
	} {
		t.Run(title, func(t *testing.T) {
			chart, err := render(name, namespace, test.values)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]any{}
			for _, dir := range test.dirs {
				for id, object := range withoutConventions(kustomize(t, dir)) {
					want[id] = object
				}
			}
			delete(want, "Namespace //"+namespace) // Helm makes it: --create-namespace
			if diff := cmp.Diff(want, withoutConventions(chart)); diff != "" {
				t.Errorf("-config +chart:\n%s", diff)
			}
			if len(want) < 70 {
				t.Errorf("only %d objects", len(want))
			}
		})
	}
}

func TestValues(t *testing.T) {
	for title, test := range map[string]struct {
		values  values
		says    string // in the error
		present []string
		absent  []string
	}{
		"a party's role": {
			values:  values{"roles": values{"parties": []any{"shop", "courier"}}},
			present: []string{"ClusterRole //entrustment-entrust-shop", "ClusterRole //entrustment-entrust-courier"},
		},
		"no roles for people": {values: values{"roles": values{"enabled": false}}, absent: []string{"ClusterRole //entrustment-auditor"}, present: []string{"ClusterRole //entrustment-operator"}},
		"no definitions":      {values: values{"crds": values{"install": false}}, absent: []string{"CustomResourceDefinition //purposes.entrustment.dev"}},
		"another name": {
			values:  values{"fullnameOverride": "privacy"},
			present: []string{"Deployment /entrustment-system/privacy", "PodDisruptionBudget /entrustment-system/privacy", "ServiceAccount /entrustment-system/entrustment-operator", "Service /entrustment-system/entrustment-webhook"},
			absent:  []string{"Deployment /entrustment-system/entrustment-operator"},
		},
		"without what is optional": {
			values: values{"podDisruptionBudget": values{"enabled": false}, "networkPolicy": values{"enabled": false}},
			absent: []string{"PodDisruptionBudget /entrustment-system/entrustment-operator", "NetworkPolicy /entrustment-system/entrustment-operator"},
		},
		"nothing of Prometheus by default": {absent: []string{"ServiceMonitor /entrustment-system/entrustment-operator", "ConfigMap /entrustment-system/entrustment-operator-dashboard"}},
		"a value that does not exist":      {values: values{"replicaCount": 3}, says: "replicaCount"},
		"no replicas":                      {values: values{"replicas": 0}, says: "replicas"},
		"a party that is no name":          {values: values{"roles": values{"parties": []any{"Shop Ltd."}}}, says: "parties"},
		"a webhook without TLS":            {values: values{"webhook": values{"url": "http://127.0.0.1:1"}}, says: "url"},
	} {
		t.Run(title, func(t *testing.T) {
			objects, err := render(name, namespace, test.values)
			if test.says != "" {
				if err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("want an error about %s, got %v", test.says, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := withoutConventions(objects)
			for _, id := range test.present {
				if got[id] == nil {
					t.Errorf("%s is missing", id)
				}
			}
			for _, id := range test.absent {
				if got[id] != nil {
					t.Errorf("%s is there", id)
				}
			}
		})
	}
}

func TestItGoesIntoOneNamespace(t *testing.T) {
	if _, err := render(name, "elsewhere", nil); err == nil || !strings.Contains(err.Error(), "-n entrustment-system") {
		t.Errorf("got %v", err)
	}
}

func TestAnAddressInsteadOfTheService(t *testing.T) {
	objects, err := render(name, namespace, values{"webhook": values{"url": "https://127.0.0.1:9443"}})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "MutatingWebhookConfiguration" })
	hooks, _, err := unstructured.NestedSlice(objects[at].Object, "webhooks")
	if err != nil || len(hooks) == 0 {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		client := hook.(map[string]any)["clientConfig"].(map[string]any)
		if url, _ := client["url"].(string); !strings.HasPrefix(url, "https://127.0.0.1:9443/admit-") || len(client) != 1 {
			t.Errorf("called at %v", client)
		}
	}
}

// render returns what Helm would apply.
func render(name, namespace string, overrides values) ([]*unstructured.Unstructured, error) {
	chart, err := loader.LoadDir(chartDir)
	if err != nil {
		return nil, err
	}
	version, err := common.ParseKubeVersion("v1.37.2")
	if err != nil {
		return nil, err
	}
	client := action.NewInstall(action.NewConfiguration())
	client.DryRunStrategy, client.ReleaseName, client.Namespace, client.KubeVersion = action.DryRunClient, name, namespace, version
	made, err := client.Run(chart, overrides)
	if err != nil {
		return nil, err
	}
	rendered, ok := made.(*release.Release)
	if !ok {
		return nil, fmt.Errorf("Helm made a %T", made)
	}
	return decode([]byte(rendered.Manifest))
}

func kustomize(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func decode(text []byte) (objects []*unstructured.Unstructured, err error) {
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// withoutConventions leaves out what Helm's own conventions add, and nothing else.
func withoutConventions(objects []*unstructured.Unstructured) map[string]any {
	all := map[string]any{}
	for _, object := range objects {
		object = object.DeepCopy()
		labels := object.GetLabels()
		delete(labels, "helm.sh/chart")
		delete(labels, "app.kubernetes.io/version")
		if labels["app.kubernetes.io/managed-by"] == "Helm" {
			delete(labels, "app.kubernetes.io/managed-by")
		}
		object.SetLabels(labels)
		annotations := object.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		if len(annotations) == 0 {
			annotations = nil
		}
		object.SetAnnotations(annotations)
		all[fmt.Sprintf("%s /%s/%s", object.GetKind(), object.GetNamespace(), object.GetName())] = object.Object
	}
	return all
}
