package install

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"entrustment.dev/operator/test/manifests"
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
		"certificates of the operator's own": {absent: []string{"Certificate /entrustment-system/entrustment-operator-webhook"}},
		"certificates of cert-manager": {
			values: values{"certificates": values{"issuer": "cert-manager"}},
			present: []string{
				"Issuer /entrustment-system/entrustment-operator-selfsigned", "Certificate /entrustment-system/entrustment-operator-webhook-ca",
				"Issuer /entrustment-system/entrustment-operator-webhook", "Certificate /entrustment-system/entrustment-operator-webhook",
			},
		},
		"certificates of an Issuer that is there": {
			values:  values{"certificates": values{"issuer": "cert-manager", "issuerRef": values{"name": "company", "kind": "ClusterIssuer"}}},
			present: []string{"Certificate /entrustment-system/entrustment-operator-webhook"},
			absent:  []string{"Issuer /entrustment-system/entrustment-operator-webhook", "Certificate /entrustment-system/entrustment-operator-webhook-ca"},
		},
		"certificates of nobody":           {values: values{"certificates": values{"issuer": "nobody"}}, says: "issuer"},
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

// What cert-manager makes is mounted, served, and trusted because cert-manager says so.
func TestCertManager(t *testing.T) {
	objects, err := render(name, namespace, values{"certificates": values{"issuer": "cert-manager"}})
	if err != nil {
		t.Fatal(err)
	}
	find := func(kind, name string) map[string]any {
		at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name })
		if at < 0 {
			t.Fatalf("no %s %s", kind, name)
		}
		return objects[at].Object
	}
	text := func(object map[string]any, fields ...string) string {
		value, _, err := unstructured.NestedString(object, fields...)
		if err != nil {
			t.Error(err)
		}
		return value
	}
	made := find("Certificate", "entrustment-operator-webhook")
	if names, _, _ := unstructured.NestedStringSlice(made, "spec", "dnsNames"); !slices.Contains(names, "entrustment-webhook.entrustment-system.svc") {
		t.Errorf("it is for %q", names)
	}
	if issuer := text(made, "spec", "issuerRef", "name"); text(find("Issuer", issuer), "spec", "ca", "secretName") != text(find("Certificate", "entrustment-operator-webhook-ca"), "spec", "secretName") {
		t.Errorf("Issuer %s has another authority", issuer)
	}
	deployment := find("Deployment", "entrustment-operator")
	volumes, _, _ := unstructured.NestedSlice(deployment, "spec", "template", "spec", "volumes")
	containers, _, _ := unstructured.NestedSlice(deployment, "spec", "template", "spec", "containers")
	if len(volumes) != 1 || len(containers) != 1 {
		t.Fatalf("%v, %v", volumes, containers)
	}
	if mounted := text(volumes[0].(map[string]any), "secret", "secretName"); mounted != text(made, "spec", "secretName") {
		t.Errorf("Secret %s is mounted", mounted)
	}
	mounts, _, _ := unstructured.NestedSlice(containers[0].(map[string]any), "volumeMounts")
	args, _, _ := unstructured.NestedStringSlice(containers[0].(map[string]any), "args")
	if len(mounts) != 1 || !slices.Contains(args, "--webhook-cert-dir="+text(mounts[0].(map[string]any), "mountPath")) {
		t.Errorf("it is mounted at %v, and the operator reads %q", mounts, args)
	}
	hooks := find("MutatingWebhookConfiguration", "entrustment-operator")
	if from := text(hooks, "metadata", "annotations", "cert-manager.io/inject-ca-from"); from != namespace+"/"+text(made, "metadata", "name") {
		t.Errorf("trusted is %q", from)
	}
}

// What is done before the operator is removed is the same, too.
func TestHooksAndKustomizeMakeTheSameObjects(t *testing.T) {
	for title, test := range map[string]struct {
		values values
		dir    string
	}{
		"to leave everything closed": {nil, "../../config/removal/closed"},
		"to open everything":         {values{"uninstall": values{"open": true}}, "../../config/removal/open"},
	} {
		t.Run(title, func(t *testing.T) {
			made, err := release(name, namespace, test.values)
			if err != nil {
				t.Fatal(err)
			}
			var hooks []*unstructured.Unstructured
			for _, hook := range made.Hooks {
				objects, err := manifests.Decode([]byte(hook.Manifest))
				if err != nil {
					t.Fatal(err)
				}
				hooks = append(hooks, objects...)
			}
			if diff := cmp.Diff(withoutConventions(kustomize(t, test.dir)), withoutConventions(hooks)); diff != "" {
				t.Errorf("-config +chart:\n%s", diff)
			}
		})
	}
}

// Whoever removes the operator may delete every rule, and nothing else.
func TestEveryRuleCanBeRemoved(t *testing.T) {
	rules := map[string]bool{}
	for _, object := range kustomize(t, "../../config/admission") {
		rules[object.GetName()] = true
	}
	objects := kustomize(t, "../../config/removal/open")
	at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "ClusterRole" })
	granted, _, err := unstructured.NestedSlice(objects[at].Object, "rules")
	if err != nil || len(granted) != 1 {
		t.Fatal(granted, err)
	}
	names, _, err := unstructured.NestedStringSlice(granted[0].(map[string]any), "resourceNames")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(rules)), names); diff != "" {
		t.Errorf("-rules +config/removal/open/role.yaml:\n%s", diff)
	}
}

// render returns what Helm would apply.
func render(name, namespace string, overrides values) ([]*unstructured.Unstructured, error) {
	rendered, err := release(name, namespace, overrides)
	if err != nil {
		return nil, err
	}
	return manifests.Decode([]byte(rendered.Manifest))
}

func release(name, namespace string, overrides values) (*releasev1.Release, error) {
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
	rendered, ok := made.(*releasev1.Release)
	if !ok {
		return nil, fmt.Errorf("Helm made a %T", made)
	}
	return rendered, nil
}

func kustomize(t *testing.T, dir string) []*unstructured.Unstructured {
	t.Helper()
	objects, err := manifests.Decode(kustomized(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func kustomized(t *testing.T, dir string) []byte {
	t.Helper()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return text
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
		for _, convention := range []string{"resource-policy", "hook", "hook-weight", "hook-delete-policy"} {
			delete(annotations, "helm.sh/"+convention)
		}
		if len(annotations) == 0 {
			annotations = nil
		}
		object.SetAnnotations(annotations)
		all[fmt.Sprintf("%s /%s/%s", object.GetKind(), object.GetNamespace(), object.GetName())] = object.Object
	}
	return all
}
