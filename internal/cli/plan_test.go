package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		}}}},
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
