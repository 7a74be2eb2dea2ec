package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"

	"entrustment.dev/operator/test/cases"
)

// written is a policy of many contracts, a hundred a file, as people write it: each with a party and a namespace of its own, and
// a store for every ten. It returns the directory and one with another end of the first contract.
func written(b *testing.B, contracts int) (before, after string) {
	b.Helper()
	before, after = b.TempDir(), b.TempDir()
	put := func(name, text string) {
		for _, dir := range []string{before, after} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
			text = strings.Replace(text, "name: contract-0\n", "name: contract-0\n  annotations: {changed: \"yes\"}\n", 1)
			text = strings.Replace(text, "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z", 1)
		}
	}
	const object = "---\napiVersion: entrustment.dev/v1alpha1\nkind: "
	var text strings.Builder
	text.WriteString(object + "DataProcessor\nmetadata:\n  name: controller\nspec:\n  legalName: Controller\n  country: JP\n  namespaces:\n    - name: own\n")
	for i := range 200 {
		fmt.Fprintf(&text, object+"Purpose\nmetadata:\n  name: purpose-%d\nspec:\n  controllerName: controller\n  title: Purpose %d\n", i, i)
		if i > 0 {
			fmt.Fprintf(&text, "  parentName: purpose-%d\n", (i-1)/6)
		}
	}
	put("00-policy.yaml", text.String())
	for from := 0; from < contracts; from += 100 {
		text.Reset()
		for i := from; i < min(from+100, contracts); i++ {
			if i%10 == 0 {
				fmt.Fprintf(&text, object+`PersonalDataStore
metadata:
  namespace: data-%d
  name: store-%d
spec:
  controllerName: controller
  dataCategories: [user.name, user.contact.email, user.payment]
  allowedPurposes: [purpose-1, purpose-2, purpose-3]
  prohibitedPurposes: [purpose-15]
  allowedRecipients: [Entrustee, SubEntrustee]
  endpoint:
    podSelector:
      matchLabels: {app: store-%d}
    ports:
      - port: 5432
`, i%100, i/10, i/10)
			}
			fmt.Fprintf(&text, object+`DataProcessor
metadata:
  name: party-%d
spec:
  legalName: Party %d
  country: JP
  namespaces:
    - name: work-%d
`+object+`Entrustment
metadata:
  name: contract-%d
spec:
  entrusterName: controller
  entrusteeName: party-%d
  services: Some services
  purposes: [purpose-1, purpose-2]
  dataCategories: [user.name, user.contact, user.payment]
  stores:
    - {namespace: data-%d, name: store-%d}
  territories: [JP]
  notBefore: "2026-01-01T00:00:00Z"
  notAfter: "2028-01-01T00:00:00Z"
  contract:
    reference: C-%d
    concludedDate: "2025-12-01"
    clauses: [DocumentedInstructions, Confidentiality, SecurityMeasures]
  subEntrustment:
    policy: Prohibited
`, i, i, i, i, i, i/10*10%100, i/10, i)
		}
		put(fmt.Sprintf("contracts-%05d.yaml", from), text.String())
	}
	return before, after
}

// The goal for 10,000 contracts is two seconds in all.
func BenchmarkFromFiles(b *testing.B) {
	const contracts = 10_000
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the command's main does
	before, after := written(b, contracts)
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"can":  {[]string{"can", "-f", before, "-n", "work-77", "--purpose", "purpose-7", "--entrustment", "contract-77", "--store", "data-70/store-7"}, exitAllowed},
		"why":  {[]string{"why", "-f", before, "ns/work-77", "data-70/store-7"}, exitAllowed},
		"plan": {[]string{"plan", "-f", after, "--against", before}, exitDenied},
		"lint": {[]string{"lint", "-f", before}, exitDenied}, // one namespace cannot hold the grants for all stores
	} {
		b.Run(fmt.Sprintf("%s/entrustments=%d", name, contracts), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var wrong bytes.Buffer
				streams := genericiooptions.IOStreams{Out: io.Discard, ErrOut: &wrong}
				if code := Run(b.Context(), test.args, streams, testclock.NewFakePassiveClock(cases.At), ""); code != test.code {
					b.Fatal(code, wrong.String())
				}
			}
		})
	}
}
