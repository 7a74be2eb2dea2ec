package cli

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/cases"
)

// variant is the published policy with some of its text replaced.
func variant(t *testing.T, replacements ...string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(policy + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
		changed := strings.NewReplacer(replacements...).Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i < len(replacements); i += 2 {
		if !strings.Contains(all, replacements[i]) {
			t.Fatalf("the policy does not say %s", replacements[i])
		}
	}
	return dir
}

const modellingEnds = `notAfter: "2026-12-28T00:00:00+09:00"`

func TestPlan(t *testing.T) {
	for name, test := range map[string]struct {
		change []string
		args   []string
		code   int
		says   []string
	}{
		"nothing": {code: exitAllowed, says: []string{"Nothing changes.\n"}},
		"a purpose of a contract is narrowed": {
			change: []string{"  entrusteeName: billing-entrustee\n", "  entrusteeName: billing-entrustee\n  prohibitedPurposes: [billing]\n"}, code: exitDenied,
			says: []string{"lost    billing-entrustee", "deployment/invoice-calculation", "PurposeNotEntrusted", "1 pod hit."},
		},
		"a contract longer than the one above": {
			change: []string{modellingEnds, `notAfter: "2027-12-28T00:00:00+09:00"`}, code: exitRefused,
			says: []string{"changed    analysis-modelling", "REFUSED", `under "analysis": notAfter is later than that of Entrustment "analysis"`},
		},
		"a party that may not be changed": {
			change: []string{"entrusteeName: modelling-subentrustee", "entrusteeName: print-mailing-subentrustee"}, code: exitRefused,
			says: []string{"entrusteeName is immutable"},
		},
		"time": {
			args: []string{"--until", "2026-12-31T00:00:00Z"}, code: exitDenied,
			says: []string{"At 2026-12-27T15:00:00Z\n", "ends       analysis-modelling", "0 gained, 1 lost, 0 pods hit."},
		},
		"not so much time":    {args: []string{"--until", "2026-12-27T14:59:59Z"}, code: exitAllowed, says: []string{"Nothing changes."}},
		"at an instant later": {change: []string{modellingEnds, `notAfter: "2026-12-29T00:00:00+09:00"`}, args: []string{"--at", "2026-12-28T12:00:00+09:00"}, code: exitDenied, says: []string{"gained", "begins"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"plan", "-f", variant(t, test.change...), "--against", policy}, test.args...)
			code, out, wrong := command(t, nil, args...)
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

func TestPlanForProgramsAndPullRequests(t *testing.T) {
	dir := variant(t, modellingEnds, `notAfter: "2026-11-01T00:00:00+09:00"`)
	code, out, wrong := command(t, nil, "plan", "-f", dir, "--against", policy, "-o", "json")
	var got plannedJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitDenied {
		t.Fatal(code, err, wrong)
	}
	for i := range got.Steps {
		for j := range got.Steps[i].Grants {
			got.Steps[i].Grants[j].Message = ""
		}
		got.Steps[i].Contracts = nil
	}
	want := plannedJSON{
		Steps: []planStepJSON{{At: "2026-11-23T03:00:00Z", Grants: []grantChangeJSON{{
			Change: "lost", Namespace: "modelling-subentrustee", Entrustment: "analysis-modelling", Store: "data-usage/usage-pseudonymised",
			Purposes: []string{"usage-research"}, Pods: []string{}, Reason: "Expired",
		}}, Enforcement: []enforcementChangeJSON{}}},
		Refusals: []refusal{},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, out, _ = command(t, nil, "plan", "-f", dir, "--against", policy, "-o", "markdown")
	for _, line := range []string{
		"**0 gained, 1 lost, 0 pods hit.**", "### At 2026-11-23T03:00:00Z",
		"| lost | modelling-subentrustee | analysis-modelling | data-usage/usage-pseudonymised | usage-research | - | - | Expired |", "|---|---|---|---|---|",
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
}

func TestPlansThatAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"nothing to plan":       {nil, "error: what is to change? Files go with -f; --until follows time alone\n"},
		"against without files": {[]string{"--against", policy, "--until", "2027-01-01T00:00:00Z"}, "error: --against and --prune take the files of the change with -f\n"},
		"an instant and a time": {[]string{"-f", policy, "--at", "2027-01-01T00:00:00Z", "--until", "2027-01-01T00:00:00Z"}, "error: if any flags in the group [at until] are set none of the others can be; [at until] were all set\n"},
		"an argument":           {[]string{"x"}, "error: 1 argument given; usage: kubectl entrust plan [-f FILES [--against FILES]] [--at INSTANT | --until INSTANT] [flags]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, wrong := command(t, nil, append([]string{"plan"}, test.args...)...); code != exitWrong || wrong != test.want {
				t.Errorf("exit code %d: %s%s", code, out, wrong)
			}
		})
	}
}

// Whoever is about to enforce sees whom that cuts off, and whom it refuses.
func TestPlanToEnforce(t *testing.T) {
	read := func(enforcement, more string) string {
		text, err := os.ReadFile("../../config/samples/minimal/policy.yaml")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		changed := strings.NewReplacer(
			"    - name: shop\n", "    - {name: shop, enforcement: "+enforcement+"}\n",
			"  controllerName: shop\n  dataCategories", "  enforcement: "+enforcement+"\n  controllerName: shop\n  dataCategories").Replace(string(text))
		if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(changed+more), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	pod := func(namespace, name, purpose string) string {
		return "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: " + namespace + ", name: " + name +
			", labels: {app: " + name + ", entrustment.dev/purpose: " + purpose + "}}, spec: {containers: [{name: c}]}}\n"
	}
	pods := pod("shop", "packing", "delivery") + pod("shop", "typo", "marketing") + pod("courier", "lost", "delivery") + pod("shop-data", "orders", "backup")
	reports, enforces := read("Report", pods), read("Enforce", pods)

	code, out, wrong := command(t, nil, "plan", "-f", enforces, "--against", reports)
	//nolint:dupword // columns of a table
	if diff := cmp.Diff(`ENFORCEMENT   OF                       NAMESPACE   PODS   REASON
begins        store shop-data/orders   courier     lost   NoEntrustment
begins        store shop-data/orders   shop        typo   PurposeUnknown
begins        namespace shop           shop        typo   PurposeUnknown

Pods that declare nothing are known only as far as the status of a store lists them: look at its own sessions, too.

0 gained, 0 lost, 2 enforced, 0 only reported, 2 pods hit.
`, out); diff != "" || code != exitDenied {
		t.Errorf("exit code %d: %s\n%s", code, diff, wrong)
	}

	_, out, _ = command(t, nil, "plan", "-f", enforces, "--against", reports, "-o", "markdown")
	for _, line := range []string{
		"| ENFORCEMENT | OF | NAMESPACE | PODS | REASON |", "| begins | store shop-data/orders | shop | typo | PurposeUnknown |", "look at its own sessions, too.",
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("no %q in\n%s", line, out)
		}
	}

	_, out, _ = command(t, nil, "plan", "-f", reports, "--against", enforces, "-o", "json")
	var got plannedJSON
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Steps) != 1 {
		t.Fatal(err, out)
	}
	want := []enforcementChangeJSON{{Change: "ends", Store: "shop-data/orders", Cut: []cutGroup{}}, {Change: "ends", Namespace: "shop", Cut: []cutGroup{}}}
	if diff := cmp.Diff(want, got.Steps[0].Enforcement); diff != "" {
		t.Error(diff)
	}
}

// What declares nothing is known by the store's status alone, which may be older than the change.
func TestPlanToEnforceKnowsWhatTheStatusLists(t *testing.T) {
	store := builder.Store("data", "ledger").AllowedPurposes("billing").With(func(s *v1alpha1.PersonalDataStore) {
		s.Status.WouldDenyCount = 70
		s.Status.WouldDeny = []v1alpha1.WouldDeny{
			{Namespace: "own", Name: "old-report", Reason: v1alpha1.ReasonPurposeNotDeclared}, {Namespace: "own", Name: "invoices", Reason: v1alpha1.ReasonPurposeNotIntended},
		}
	}).Obj()
	next := entrustment.Compile(entrustment.Inputs{
		Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("own").Obj()},
		Stores:     []*v1alpha1.PersonalDataStore{store},
	}, cases.At)
	declares := func(name string, more map[string]string) gather.Workload {
		labels := map[string]string{v1alpha1.LabelPurpose: "billing"}
		maps.Copy(labels, more)
		return gather.Workload{Kind: "Pod", Namespace: "own", Name: name, Labels: labels}
	}
	key := types.NamespacedName{Namespace: "data", Name: "ledger"}
	c := enforcementOf(entrustment.EnforcementChange{Store: key, Begins: true}, next,
		[]gather.Workload{declares("invoices", nil), declares("odd", map[string]string{v1alpha1.LabelEntrustment: ""})})
	want := []cutGroup{{"own", []string{"odd"}, "EntrustmentNotFound"}, {"own", []string{"old-report"}, "PurposeNotDeclared"}}
	if diff := cmp.Diff(want, c.groups()); diff != "" {
		t.Error(diff)
	}
	step := planStep{Enforcement: []enforcementChange{c}}
	for _, row := range c.rows() {
		if slices.Contains(row, unknownPods) {
			t.Errorf("%q", row)
		}
	}
	if notes := step.notes(); len(notes) != 2 || !strings.Contains(notes[1], "counts 70 pods") {
		t.Errorf("%q", notes)
	}

	unasked := enforcementOf(entrustment.EnforcementChange{Namespace: "own", Begins: true}, next, nil)
	if diff := cmp.Diff([][]string{{"begins", "namespace own", "-", unknownPods, "-"}}, unasked.rows()); diff != "" {
		t.Error(diff)
	}
	if answer := (&planned{Steps: []planStep{{Enforcement: []enforcementChange{unasked}}}}); answer.summary() != "0 gained, 0 lost, 1 enforced, 0 only reported, pods unknown." {
		t.Error(answer.summary())
	}
}
