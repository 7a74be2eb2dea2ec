package gather_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"entrustment.dev/operator/internal/gather"
)

func TestWorkloads(t *testing.T) {
	const pod = `{metadata: {labels: {app: x, entrustment.dev/purpose: billing}}, spec: {volumes: [{name: v, secret: {secretName: b}}],
  containers: [{name: c, envFrom: [{secretRef: {name: a}}], env: [{name: K, valueFrom: {secretKeyRef: {name: b, key: k}}}]}]}}`
	text := `
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: ns, labels: {entrustment.dev/purpose: billing, entrustment.dev/entrustment: ""}}, spec: {imagePullSecrets: [{name: pull}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: ` + pod + `}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: c, ownerReferences: [{controller: true}]}, spec: {jobTemplate: {spec: {template: ` + pod + `}}}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: s, labels: {entrustment.dev/purpose: billing}}}
---
{apiVersion: v1, kind: Service, metadata: {name: none}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: odd}, spec: {template: {metadata: {labels: [no]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {}}
`
	path := filepath.Join(t.TempDir(), "workloads.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	files := gather.Read([]string{path}, nil)
	if err := files.Err(); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, Purpose   string
		Declares, Empty bool
		Secrets         []string
		Controlled      bool
	}
	var got []row
	for _, w := range files.Workloads {
		purpose, _, declares, empty := w.Declares()
		got = append(got, row{w.String(), purpose, declares, empty, w.Secrets(), w.Controlled})
	}
	want := []row{
		{"Pod ns/p", "billing", true, true, []string{"pull"}, false},
		{"Deployment /d", "billing", true, false, []string{"a", "b"}, false},
		{"CronJob /c", "billing", true, false, []string{"a", "b"}, true},
		{"ServiceAccount /s", "billing", true, false, nil, false},
		{"Deployment /d", "", false, false, nil, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
