package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"entrustment.dev/operator/internal/lint"
)

// Every code has a policy that shows it, on the line that shows it: the smallest one with a change.
func TestEveryCodeIsFound(t *testing.T) {
	smallest, err := os.ReadFile("../../config/samples/minimal/policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	more := func(text string) []string { return []string{"# A shop", text + "\n---\n# A shop"} }
	const group = "apiVersion: entrustment.dev/v1alpha1\n"
	child := func(spec string) string {
		return group + "kind: Entrustment\nmetadata: {name: child}\nspec: {parentName: delivery-by-courier, entrusterName: courier, entrusteeName: third, purposes: [delivery],\n" +
			" dataCategories: [user.name, user.contact.address], stores: [{namespace: shop-data, name: orders}], notAfter: \"2029-01-01T00:00:00Z\"" + spec + "}\n---\n" +
			group + "kind: DataProcessor\nmetadata: {name: third}\nspec: {legalName: Third, country: JP, namespaces: [{name: third}]}"
	}
	approved := []string{"  notAfter: \"2030", "  subEntrustment: {policy: PriorApproval, approvedProcessorNames: [third]}\n  notAfter: \"2030", "[Entrustee]", "[Entrustee, SubEntrustee]"}
	pod := func(labels, spec string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  namespace: shop\n  labels: {" + labels + "}\nspec: {" + spec + "}"
	}
	purpose := func(name, spec string) string {
		return group + "kind: Purpose\nmetadata: {name: " + name + "}\nspec:\n  controllerName: shop\n  title: T\n" + spec
	}
	tooMany := ""
	for i := range 520 {
		tooMany += purpose(fmt.Sprintf("part-%d", i), "  parentName: delivery") + "\n---\n"
	}
	for code, test := range map[lint.Code]struct {
		change []string
		on     string // text of the line that is named; empty: no line
	}{
		lint.Syntax:           {more("kind: ["), "kind: ["},
		lint.Schema:           {[]string{"  country: JP\n", "  country: JP\n  contry: JP\n"}, "contry: JP"},
		lint.Rule:             {[]string{"  notAfter: \"2030", "  notBefore: \"2031-01-01T00:00:00Z\"\n  notAfter: \"2030"}, "notAfter"},
		lint.Duplicate:        {more(purpose("delivery", "")), "apiVersion"},
		lint.Placeholder:      {[]string{"legalName: Courier Ltd.\n  country: JP", "legalName: Courier Ltd.\n  country: REPLACE-ME"}, "country: REPLACE-ME"},
		lint.UnknownName:      {[]string{"allowedPurposes: [delivery]", "allowedPurposes: [delivery, delivry]"}, "allowedPurposes: [delivery, delivry]"},
		lint.OthersPurpose:    {append(more(group+"kind: Purpose\nmetadata: {name: theirs}\nspec: {controllerName: courier, title: T}"), "allowedPurposes: [delivery]", "allowedPurposes: [delivery, theirs]"), "allowedPurposes: [delivery, theirs]"},
		lint.PurposeChain:     {more(purpose("a", "  parentName: b") + "\n---\n" + purpose("b", "  parentName: a")), "parentName: b"},
		lint.Unauthorised:     {more(child("")), "entrusteeName: third"},
		lint.ExceedsParent:    {append(more(child(", territories: [JP, SG]")), approved...), "spec: {parentName"},
		lint.StoreOutOfScope:  {[]string{"  dataCategories: [user.name, user.contact.address]\n  stores", "  dataCategories: [user.name]\n  stores"}, "dataCategories: [user.name]"},
		lint.NoStoreForIt:     {append(more(purpose("marketing", "")), "  purposes: [delivery]", "  purposes: [delivery, marketing]"), "purposes: [delivery, marketing]"},
		lint.ForeignHandling:  {[]string{"legalName: Courier Ltd.\n  country: JP", "legalName: Courier Ltd.\n  country: SG"}, "spec:"},
		lint.NotInForce:       {[]string{"2030-01-01", "2025-01-01"}, "notAfter"},
		lint.Unsupervised:     {[]string{"  notAfter: \"2030", "  supervision: {reviewPeriodDays: 30, reviews: [{date: \"2025-01-01\", method: Report, result: Satisfactory}]}\n  notAfter: \"2030"}, "supervision"},
		lint.Incomplete:       {nil, "spec:"},
		lint.NowhereToRun:     {[]string{"  namespaces:\n    - name: courier\n", ""}, "entrusteeName: courier"},
		lint.NoPurposeLeft:    {[]string{"  title: Deliver", "  disposition: Prohibited\n  title: Deliver"}, "allowedPurposes: [delivery]"},
		lint.Unreachable:      {[]string{"  namespaces:\n    - name: courier\n", "", "  namespaces:\n    - name: shop\n", ""}, "allowedPurposes: [delivery]"},
		lint.EndpointConflict: {more(group + "kind: PersonalDataStore\nmetadata: {name: twin, namespace: shop-data}\nspec:\n  controllerName: shop\n  dataCategories: [user.name]\n  allowedPurposes: [delivery]\n  endpoint: {podSelector: {matchLabels: {app: orders}}, ports: [{port: 5432}]}"), "endpoint:"},
		lint.Collation:        {more(group + "kind: PersonalDataStore\nmetadata: {name: twin, namespace: shop-data}\nspec:\n  controllerName: shop\n  dataForm: Pseudonymised\n  dataCategories: [user.name]\n  allowedPurposes: [delivery]\n  endpoint: {podSelector: {matchLabels: {app: twin}}, ports: [{port: 5432}]}"), "dataForm: Pseudonymised"},
		lint.UnusedPurpose:    {more(purpose("idle", "")), "spec:"},
		lint.NamespaceTwice:   {[]string{"    - name: courier\n", "    - name: courier\n    - name: shop\n"}, "namespaces:"},
		lint.TooMany:          {more(strings.TrimSuffix(tooMany, "\n---\n")), "namespaces:"},
		lint.WorkloadRefused:  {more(pod("entrustment.dev/purpose: nothing", "")), "labels: {entrustment.dev/purpose: nothing}"},
		lint.SecretWithheld:   {more(pod("app: x", "imagePullSecrets: [{name: pds.shop-data.orders.ro}]")), "labels: {app: x}"},
		lint.IdleLabel:        {more(pod("entrustment.dev/purposes: delivery", "")), "labels: {entrustment.dev/purposes: delivery}"},
		lint.Unreadable:       {nil, ""},
	} {
		t.Run(string(code), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "policy.yaml")
			text := strings.NewReplacer(test.change...).Replace(string(smallest))
			if text == string(smallest) && len(test.change) > 0 {
				t.Fatal("nothing was changed")
			}
			if code != lint.Unreadable {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, out, wrong := command(t, nil, "lint", "-f", path, "-o", "json")
			var rows []lintRow
			if err := json.Unmarshal([]byte(out), &rows); err != nil {
				t.Fatal(err, wrong)
			}
			i := slices.IndexFunc(rows, func(r lintRow) bool { return r.Code == code })
			if i < 0 {
				t.Fatalf("not found among %s", out)
			}
			lines := append([]string{""}, strings.Split(text, "\n")...)
			if r := rows[i]; r.File != path || r.Message == "" || !strings.Contains(lines[r.Line], test.on) || test.on != "" && r.Line == 0 {
				t.Errorf("%+v on line %q", r, lines[r.Line])
			}
		})
	}
}

// Who labels the Deployment, and not its pods, is told where the label belongs.
func TestLabelsOfTheWorkloadItself(t *testing.T) {
	const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: packing, namespace: shop, labels: {entrustment.dev/purpose: delivery}}
spec: {selector: {matchLabels: {app: packing}}, template: {metadata: {labels: {app: packing%s}}, spec: {containers: [{name: c, image: i}]}}}
`
	for name, test := range map[string]struct {
		pods string
		want int
	}{"not its pods": {"", 1}, "its pods too": {", entrustment.dev/purpose: delivery", 0}} {
		t.Run(name, func(t *testing.T) {
			_, out, wrong := command(t, strings.NewReader(fmt.Sprintf(deployment, test.pods)), "lint", "-f", "../../config/samples/minimal/policy.yaml", "-f", "-", "-o", "json")
			if got := strings.Count(out, `"code": "ENT503"`); got != test.want || test.want > 0 && !strings.Contains(out, "its pods need it: spec.template.metadata.labels") {
				t.Errorf("%d times:\n%s%s", got, out, wrong)
			}
		})
	}
}

func TestEveryCodeIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/lint.md")
	if err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile("lint_test.go")
	if err != nil {
		t.Fatal(err)
	}
	codes, err := os.ReadFile("../lint/codes.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[lint.Code]bool{}
	for _, e := range lint.Codes() {
		if row := fmt.Sprintf("| %s | %s | %s | ", e.Code, e.Severity, e.Title); !strings.Contains(string(page), row) {
			t.Errorf("docs/lint.md has no row %s", row)
		}
		before, _, _ := strings.Cut(string(codes), `"`+string(e.Code)+`"`)
		fields := strings.Fields(before)
		if constant := fields[len(fields)-3]; seen[e.Code] || !strings.Contains(string(test), "lint."+constant+":") {
			t.Errorf("%s (%s) has no case, or is there twice", e.Code, constant)
		}
		seen[e.Code] = true
	}
}

func TestLintExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
	}{
		"notes alone":        {[]string{"-f", policy}, exitAllowed},
		"notes, strictly":    {[]string{"-f", policy, "--fail-on", "note"}, exitDenied},
		"notes, half as":     {[]string{"-f", policy, "--fail-on", "warning"}, exitAllowed},
		"no such directory":  {[]string{"-f", "nowhere"}, exitDenied},
		"a cluster":          {nil, exitWrong},
		"no such severity":   {[]string{"-f", policy, "--fail-on", "fatal"}, exitWrong},
		"what needs a while": {[]string{"-f", policy, "--at", "2027-04-01T00:00:00+09:00", "--fail-on", "warning"}, exitDenied},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, wrong := command(t, nil, append([]string{"lint"}, test.args...)...); code != test.code {
				t.Errorf("exit code %d: %s%s", code, out, wrong)
			}
		})
	}
}

// What SARIF 2.1.0 requires is there: version, runs, tool.driver.name, results with a message, and rules that results point at.
func TestSARIF(t *testing.T) {
	_, out, _ := command(t, nil, "lint", "-f", policy, "-o", "sarif")
	var log struct {
		Version string
		Schema  string `json:"$schema"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct {
						ID                   string
						ShortDescription     struct{ Text string }
						DefaultConfiguration struct{ Level string }
					}
				}
			}
			Results []struct {
				RuleID, Level string
				RuleIndex     int
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           *struct{ StartLine int }
					}
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || log.Schema == "" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
		t.Fatalf("%s", out)
	}
	run := log.Runs[0]
	if len(run.Results) != 3 || len(run.Tool.Driver.Rules) != len(lint.Codes()) {
		t.Errorf("%d results, %d rules", len(run.Results), len(run.Tool.Driver.Rules))
	}
	for _, r := range run.Results {
		rule := run.Tool.Driver.Rules[r.RuleIndex]
		at := r.Locations[0].PhysicalLocation
		if rule.ID != r.RuleID || rule.ShortDescription.Text == "" || rule.DefaultConfiguration.Level != r.Level || r.Message.Text == "" ||
			!slices.Contains([]string{"error", "warning", "note"}, r.Level) || !strings.HasSuffix(at.ArtifactLocation.URI, ".yaml") || at.Region.StartLine < 1 {
			t.Errorf("%+v", r)
		}
	}
}
