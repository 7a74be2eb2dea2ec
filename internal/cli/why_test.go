package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhy(t *testing.T) {
	pods := filepath.Join(t.TempDir(), "pods.yaml")
	if err := os.WriteFile(pods, []byte(`
{apiVersion: v1, kind: Pod, metadata: {namespace: billing-entrustee, name: greedy, labels: {entrustment.dev/purpose: billing, entrustment.dev/entrustment: fees}},
 spec: {containers: [{name: c, image: i, envFrom: [{secretRef: {name: pds.data-core.orders.reader}}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: core-services, name: empty, labels: {entrustment.dev/purpose: billing, entrustment.dev/entrustment: ""}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: homeless, labels: {entrustment.dev/purpose: billing}}}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	const ledger = "data-billing/billing-ledger"
	for name, test := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"a workload that reaches it":   {[]string{"deploy/invoice-calculation", ledger}, exitAllowed, []string{"yes: Entrusted", "Deployment billing-entrustee/invoice-calculation"}},
		"a namespace for a purpose":    {[]string{"ns/core-services", ledger, "--purpose", "billing"}, exitAllowed, []string{"yes: ControllerHandling"}},
		"a namespace under a contract": {[]string{"ns/billing-entrustee", ledger, "--entrustment", "fees"}, exitAllowed, []string{"The same for: billing-and-points, points-management"}},
		"a namespace at the end":       {[]string{"ns/billing-entrustee", ledger, "--at", "2027-04-01T00:00:00+09:00"}, exitDenied, []string{"no: Expired", "Change:  Entrustment fees, spec.notAfter", "verb entrust on dataprocessors/example-controller"}},
		"a Secret it must not have":    {[]string{"greedy", ledger}, exitDenied, []string{"yes: Entrusted", `✗ Pod billing-entrustee/greedy`, `Refused: it references Secret "pds.data-core.orders.reader"`}},
		"an empty label":               {[]string{"empty", ledger}, exitDenied, []string{"is there but empty"}},
		"a namespace from the flags":   {[]string{"homeless", ledger, "-n", "core-services"}, exitAllowed, []string{"Pod core-services/homeless"}},
		"no namespace":                 {[]string{"homeless", ledger}, exitWrong, []string{"names no namespace; name it with --namespace"}},
		"no such workload":             {[]string{"job/x", ledger, "-n", "y"}, exitWrong, []string{"there is no Job y/x in the files"}},
		"no such kind":                 {[]string{"secret/x", ledger}, exitWrong, []string{`"secret" is no kind that has pods`}},
		"no name":                      {[]string{"pod/", ledger}, exitWrong, []string{`"pod/" is not [KIND/]NAME`}},
		"a workload with a purpose":    {[]string{"greedy", ledger, "--purpose", "x"}, exitWrong, []string{"a workload declares its own"}},
		"no store":                     {[]string{"greedy", "ledger"}, exitWrong, []string{`"ledger" is not NAMESPACE/NAME`}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong := command(t, nil, append([]string{"why", "-f", policy, "-f", pods}, test.args...)...)
			if code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			for _, words := range test.says {
				if !strings.Contains(out+wrong, words) {
					t.Errorf("no %q in:\n%s%s", words, out, wrong)
				}
			}
		})
	}
}

func TestWhyAndWhoInJSON(t *testing.T) {
	_, out, wrong := command(t, nil, "why", "-f", policy, "ns/campaign-entrustee", "data-billing/billing-ledger", "-o", "json")
	var proofs []proofJSON
	if err := json.Unmarshal([]byte(out), &proofs); err != nil {
		t.Fatal(err, wrong)
	}
	if p := proofs[0]; len(proofs) != 1 || p.Allowed || p.Reason != "NoEntrustment" || p.Remedy == nil || p.Remedy.Entrust != "example-controller" || len(p.Steps) != 5 || p.Steps[2].Standing != "Fails" {
		t.Errorf("%+v", proofs)
	}
	_, out, wrong = command(t, nil, "who", "-f", policy, "data-billing/billing-ledger", "-o", "json")
	var who reachedJSON
	if err := json.Unmarshal([]byte(out), &who); err != nil {
		t.Fatal(err, wrong)
	}
	if len(who.Grants) != 3 || who.Grants[0].Pods[0] != "deployment/invoice-calculation" || who.Grants[1].NotAfter != nil || who.Opened != nil {
		t.Errorf("%+v", who)
	}
	for _, args := range [][]string{{"data-billing/nothing"}, {"data-billing/billing-ledger", "--effective"}} {
		if code, _, wrong := command(t, nil, append([]string{"who", "-f", policy}, args...)...); code != exitWrong || wrong == "" {
			t.Errorf("exit code %d: %s", code, wrong)
		}
	}
}

func TestTablesAlignWhateverTheirColour(t *testing.T) {
	tab := newTable("A", "B")
	tab.add("ü-long", "1")
	tab.paint(0, red)
	var plain, coloured strings.Builder
	if err := tab.write(&plain, palette{}); err != nil {
		t.Fatal(err)
	}
	if err := tab.write(&coloured, palette{on: true}); err != nil {
		t.Fatal(err)
	}
	if want := "A        B\nü-long   1\n"; plain.String() != want {
		t.Errorf("%q", plain.String())
	}
	if want := "A        B\n\x1b[31mü-long\x1b[0m   1\n"; coloured.String() != want {
		t.Errorf("%q", coloured.String())
	}
}
