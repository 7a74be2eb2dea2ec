package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/config/webhook"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

const root = "../../"

// A sample is a code block behind a comment that names its file.
var sample = regexp.MustCompile("(?s)<!-- sample: (\\S+) -->\n```yaml\n(.*?)```\n")

func TestSamplesAreFiles(t *testing.T) {
	readme, err := os.ReadFile(root + "README.md")
	if err != nil {
		t.Fatal(err)
	}
	samples := sample.FindAllStringSubmatch(string(readme), -1)
	if len(samples) != 2 {
		t.Fatalf("%d samples, want the policy and the pod", len(samples))
	}
	for _, s := range samples {
		file, err := os.ReadFile(root + s[1])
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(string(file)) != strings.TrimSpace(s[2]) {
			t.Errorf("README.md shows another %s than the file", s[1])
		}
	}
}

// The smallest policy grants what the README says: the shop's own pods, and the courier's under the contract.
func TestSmallestPolicy(t *testing.T) {
	in, err := gather.FromFiles([]string{root + "config/samples/minimal"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := entrustment.Compile(in, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	orders := types.NamespacedName{Namespace: "shop-data", Name: "orders"}
	for request, want := range map[entrustment.Request]bool{
		{Namespace: "shop", Purpose: "delivery", Store: orders}:                                             true,
		{Namespace: "courier", Purpose: "delivery", Entrustment: "delivery-by-courier", Store: orders}:      true,
		{Namespace: "courier", Purpose: "delivery", Store: orders}:                                          false,
		{Namespace: "courier", Purpose: "marketing", Entrustment: "delivery-by-courier", Store: orders}:     false,
		{Namespace: "default", Purpose: "delivery", Store: orders}:                                          false,
		{Namespace: "shop", Purpose: "delivery", Entrustment: "delivery-by-courier", Store: orders}:         false,
		{Namespace: "shop", Purpose: "", Store: orders}:                                                     false,
		{Namespace: "courier", Purpose: "delivery", Entrustment: "delivery-by-someone-else", Store: orders}: false,
	} {
		if d := s.Authorize(request); d.Allowed() != want {
			t.Errorf("%+v: allowed %t (%s)", request, d.Allowed(), d.Reason())
		}
	}
}

// Whoever meets a refusal finds the rule or the webhook that it names.
func TestEveryRuleAndWebhookIsDocumented(t *testing.T) {
	page, err := os.ReadFile(root + "docs/admission.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	rules, err := admission.All()
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		names = append(names, strings.TrimSuffix(rule.GetName(), ".entrustment.dev"))
	}
	configuration, err := webhook.Configuration()
	if err != nil {
		t.Fatal(err)
	}
	for i := range configuration.Webhooks {
		names = append(names, strings.TrimSuffix(configuration.Webhooks[i].Name, ".admission.entrustment.dev"))
	}
	for _, name := range names {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/admission.md does not tell of %s", name)
		}
	}
}

// Whoever is woken by an alert finds what to do.
func TestEveryAlertIsDocumented(t *testing.T) {
	rules, err := os.ReadFile(root + "config/prometheus/prometheusrule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(root + "docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`alert: (\S+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) == 0 {
		t.Fatal("there are no alerts")
	}
	for _, alert := range alerts {
		if !strings.Contains(string(page), "\n## "+alert[1]+"\n") {
			t.Errorf("docs/operations.md has no section %s", alert[1])
		}
	}
}

// What is compiled every minute is missed after a few, not after hours, and where the page on metrics says.
func TestAnOldSnapshotIsToldInTime(t *testing.T) {
	rules, err := os.ReadFile(root + "config/prometheus/prometheusrule.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(root + "docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	threshold := regexp.MustCompile(`max\(entrustment_snapshot_age_seconds\) > (\d+)`).FindStringSubmatch(string(rules))
	if threshold == nil {
		t.Fatal("no alert looks at the oldest snapshot")
	}
	if age, err := time.ParseDuration(threshold[1] + "s"); err != nil || age < 2*snapshot.Lookout || age > 3*snapshot.Lookout {
		t.Errorf("told after %s (%v), and compiled every %s", age, err, snapshot.Lookout)
	}
	if !strings.Contains(string(page), "| it is over "+threshold[1]+":") {
		t.Errorf("docs/metrics.md does not say that more than %s is too old", threshold[1])
	}
}

// Whoever is told to make something finds it in the Makefile.
func TestDocumentedTargetsExist(t *testing.T) {
	makefile, err := os.ReadFile(root + "Makefile")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(root + "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	targets := 0
	for _, page := range append(pages, root+"README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range regexp.MustCompile("(?:`|\\$ )make ([a-z0-9-]+)").FindAllStringSubmatch(string(text), -1) {
			targets++
			if !strings.Contains(string(makefile), "\n"+target[1]+":") {
				t.Errorf("%s tells to make %s, which the Makefile does not know", page, target[1])
			}
		}
	}
	if targets < 5 {
		t.Errorf("only %d targets", targets)
	}
}
