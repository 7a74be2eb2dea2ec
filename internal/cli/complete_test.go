package cli

import (
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string // without the line that tells the shell how to go on
	}{
		"a store":                 {[]string{"who", "-f", policy, "data-billing/b"}, "data-billing/billing-ledger"},
		"the store of a workload": {[]string{"why", "-f", policy, "pod/x", "data-partner/"}, "data-partner/partner-customers"},
		"no second store":         {[]string{"who", "-f", policy, "data-billing/billing-ledger", ""}, ""},
		"a purpose":               {[]string{"can", "-f", policy, "--purpose", "billing"}, "billing\nbilling-and-points"},
		"a contract":              {[]string{"why", "-f", policy, "--entrustment", "fees"}, "fees\nfees-print-mailing"},
		"a party":                 {[]string{"report", "access", "-f", policy, "--party", "billing"}, "billing-entrustee"},
		"a format":                {[]string{"lint", "-o", "s"}, "table\njson\nsarif"},
		"a Service":               {[]string{"bootstrap", "-f", "../../config/samples/adoption", ""}, "orders-data/orders-db\norders-data/orders-db-nodes"},
		"no Service of a cluster": {[]string{"bootstrap", ""}, ""},
		"files that are wrong":    {[]string{"who", "-f", "nowhere", ""}, ""},
		"no cluster":              {[]string{"who", ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, _ := command(t, nil, append([]string{"__complete"}, test.args...)...)
			words, _, _ := strings.Cut(out, ":")
			if code != exitAllowed || strings.TrimSpace(words) != test.want {
				t.Errorf("exit code %d: %q", code, out)
			}
		})
	}
}
