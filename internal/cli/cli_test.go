package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/cases"
)

const (
	policy   = "../../config/samples/policy"
	casesDir = "../../test/cases/testdata"
)

// command runs the command line on the day of the cases, without a cluster.
func command(t *testing.T, stdin io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	var out, wrong bytes.Buffer
	streams := genericiooptions.IOStreams{In: stdin, Out: &out, ErrOut: &wrong}
	code = Run(t.Context(), args, streams, testclock.NewFakePassiveClock(cases.At), "v1.2.3")
	return code, out.String(), wrong.String()
}

// Asked by the command about files, every worked decision is what it is in the core.
func TestWorkedDecisions(t *testing.T) {
	all, err := cases.Load(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			args := []string{
				"can", "-f", "-", "-o", "json", "--at", c.At.Format(time.RFC3339), "--namespace", c.Request.Namespace,
				"--purpose", c.Request.Purpose, "--store", c.Request.Store.String(),
			}
			if c.Request.Entrustment != "" {
				args = append(args, "--entrustment", c.Request.Entrustment)
			}
			code, out, wrong := command(t, files(t, c.Inputs), args...)

			var got answer
			if err := json.Unmarshal([]byte(out), &got); err != nil || wrong != "" {
				t.Fatalf("%v: %s%s", err, out, wrong)
			}
			wantCode := exitDenied
			if c.Allow {
				wantCode = exitAllowed
			}
			if code != wantCode || got.Allowed != c.Allow || got.Reason != string(c.Reason) || got.Message == "" {
				t.Errorf("exit code %d, %s; want %t, %s", code, out, c.Allow, c.Reason)
			}
		})
	}
}

// files writes inputs as the JSON that a person could have given with -f.
func files(t *testing.T, in entrustment.Inputs) io.Reader {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	var err error
	for _, o := range in.Purposes {
		err = errors.Join(err, encoder.Encode(o))
	}
	for _, o := range in.Processors {
		err = errors.Join(err, encoder.Encode(o))
	}
	for _, o := range in.Entrustments {
		err = errors.Join(err, encoder.Encode(o))
	}
	for _, o := range in.Stores {
		err = errors.Join(err, encoder.Encode(o))
	}
	if err != nil {
		t.Fatal(err)
	}
	return &text
}

func TestCan(t *testing.T) {
	ask := func(more ...string) []string {
		return append([]string{"can", "-f", policy, "-n", "billing-entrustee", "--purpose", "billing", "--store", "data-billing/billing-ledger"}, more...)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"yes": {
			args: ask("--entrustment", "fees", "--time-zone", "Asia/Tokyo"),
			code: exitAllowed,
			want: `yes
  Reason:  Entrusted
  Message: …
  Chain:   fees
  Until:   2027-04-01T00:00:00+09:00
`,
		},
		"no": {
			args: ask("--entrustment", "fees", "--at", "2027-04-01T00:00:00+09:00"),
			code: exitDenied,
			want: `no
  Reason:  Expired
  Message: …
  Chain:   fees
`,
		},
		"without an entrustment there is neither chain nor end": {
			args: ask("-n", "core-services"),
			code: exitAllowed,
			want: `yes
  Reason:  ControllerHandling
  Message: …
`,
		},
		"JSON has every field": {
			args: ask("--purpose", "", "-o", "json"),
			code: exitDenied,
			want: `{"allowed":false,"reason":"PurposeNotDeclared","message":"…","chain":[],"notAfter":null}` + "\n",
		},
		"a purpose nobody knows is a no": {
			args: ask("-n", "core-services", "--purpose", "<anything>", "-o", "json"),
			code: exitDenied,
			want: `{"allowed":false,"reason":"PurposeUnknown","message":"…","chain":[],"notAfter":null}` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong := command(t, nil, test.args...)
			if code != test.code || wrong != "" {
				t.Errorf("exit code %d, want %d; %s", code, test.code, wrong)
			}
			if diff := cmp.Diff(test.want, masked(out)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// masked hides the wording of messages, which is the core's; that there is one stays visible.
func masked(out string) string {
	out = regexp.MustCompile(`Message: .+`).ReplaceAllString(out, "Message: …")
	return regexp.MustCompile(`"message":".+?","chain"`).ReplaceAllString(out, `"message":"…","chain"`)
}

func TestWhatIsNoQuestionExitsWithTwo(t *testing.T) {
	const required = `error: --namespace is required with -f` + "\n"
	full := []string{"-n", "core-services", "--purpose", "billing", "--store", "data-billing/billing-ledger"}
	can := func(args ...string) []string { return append([]string{"can"}, args...) }
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("kind: [\n---\n{apiVersion: entrustment.dev/v1alpha1, kind: Purpose, metadata: {name: p}, spec: {title: t}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":        {[]string{"xyzzy"}, `error: there is no command "kubectl entrust xyzzy"; see kubectl entrust --help` + "\n"},
		"a command that is close":   {[]string{"cann", "-f", policy}, `error: there is no command "kubectl entrust cann"; did you mean can?` + "\n"},
		"an unknown report":         {[]string{"report", "finding", "-f", policy}, `error: there is no command "kubectl entrust report finding"; did you mean findings?` + "\n"},
		"an unknown shell":          {[]string{"completion", "ksh"}, `error: there is no command "kubectl entrust completion ksh"; did you mean `},
		"an argument too few":       {[]string{"who", "-f", policy}, "error: 0 arguments given; usage: kubectl entrust who NAMESPACE/STORE [flags]\n"},
		"an argument too many":      {[]string{"who", "-f", policy, "a/b", "c/d"}, "error: 2 arguments given; usage: kubectl entrust who NAMESPACE/STORE [flags]\n"},
		"an unknown flag":           {can("--who", "me"), "error: unknown flag: --who; see kubectl entrust can --help\n"},
		"no purpose":                {can("-f", policy, "--store", "a/b"), "error: --purpose is required\n"},
		"no store":                  {can("-f", policy, "--purpose", "p"), "error: --store is required\n"},
		"no namespace":              {can("-f", policy, "--purpose", "p", "--store", "a/b"), required},
		"a store without namespace": {can("-f", policy, "-n", "x", "--purpose", "p", "--store", "b"), `error: --store: "b" is not NAMESPACE/NAME` + "\n"},
		"a store with two slashes":  {can("-f", policy, "-n", "x", "--purpose", "p", "--store", "a/b/c"), `error: --store: "a/b/c" is not NAMESPACE/NAME` + "\n"},
		"a store without a name":    {can("-f", policy, "-n", "x", "--purpose", "p", "--store", "a/"), `error: --store: "a/" is not NAMESPACE/NAME` + "\n"},
		"an instant without offset": {can("--at", "2026-11-23T12:00:00"), `error: invalid argument "2026-11-23T12:00:00" for "--at" flag: must be an instant in RFC 3339, such as 2026-11-23T12:00:00+09:00` + "\n"},
		"an unknown time zone":      {can("--time-zone", "Mars/Olympus"), `error: invalid argument "Mars/Olympus" for "--time-zone" flag: unknown time zone Mars/Olympus` + "\n"},
		"an unknown format":         {can("-o", "xml"), `error: invalid argument "xml" for "-o, --output" flag: must be one of text, json` + "\n"},
		"an argument without files": {can(append(full, "policy.yaml")...), `error: unexpected argument "policy.yaml"; files go with -f` + "\n"},
		"files that are not there":  {can(append(full, "-f", "a.yaml", "-f", "b.yaml,c.yaml")...), "error: a.yaml: no such file or directory\nerror: b.yaml: no such file or directory\nerror: c.yaml: no such file or directory\n"},
		"an empty name of a file":   {can(append(full, "-f", "")...), "error: -f names no file\n"},
		"a file and an empty name":  {can(append(full, "-f", policy, "-f", "a.yaml,")...), "error: a.yaml: no such file or directory\nerror: \"\": is not the name of a file\n"},
		"empty requests":            {can("-f", policy, "--requests", ""), "error: --requests names no file\n"},
		"files that are wrong": {can(append(full, "-f", broken)...), "error: " + broken + ":1: document 1: did not find expected node content\n" +
			"error: " + broken + ":3: document 2: Purpose p: spec.controllerName: Required value\n"},
		"no cluster":                    {can(full...), "error: read the cluster (-f reads files instead): list Purposes: failed to get server groups: "},
		"requests and a purpose":        {can("-f", policy, "--requests", "-", "--purpose", "p"), "error: --purpose is a part of each request and cannot be given with --requests\n"},
		"requests and a namespace":      {can("-f", policy, "--requests", "-", "-n", "x"), "error: --namespace is a part of each request and cannot be given with --requests\n"},
		"requests and files from stdin": {can("-f", "-", "--requests", "-"), "error: the standard input cannot be both a file (-f -) and the requests (--requests -)\n"},
		"requests that are not there":   {can("-f", policy, "--requests", "none.jsonl"), "error: --requests: open none.jsonl: no such file or directory\n"},
		"a matrix of broken files":      {[]string{"matrix", "-f", broken}, "error: " + broken + ":1: document 1: "},
		"a matrix in an unknown format": {[]string{"matrix", "-o", "text"}, `error: invalid argument "text" for "-o, --output" flag: must be one of table, json, csv` + "\n"},
		"an argument to version":        {[]string{"version", "x"}, "error: 1 argument given; usage: kubectl entrust version [flags]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong := command(t, strings.NewReader(""), test.args...)
			if code != exitWrong || out != "" {
				t.Errorf("exit code %d, output %q", code, out)
			}
			if complete := strings.HasSuffix(test.want, "\n"); complete && wrong != test.want || !strings.HasPrefix(wrong, test.want) {
				t.Errorf("want %q\n got %q", test.want, wrong)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	const (
		allowed = `{"allowed":true,"reason":"ControllerHandling","message":"…","chain":[],"notAfter":null}` + "\n"
		denied  = `{"allowed":false,"reason":"NamespaceNotBound","message":"…","chain":[],"notAfter":null}` + "\n"

		question = `{"namespace":"core-services","purpose":"billing","store":"data-billing/billing-ledger"}`
		other    = `{"namespace":"x","purpose":null,"entrustment":"","store":"a/b"}`
	)
	failed := func(message string) string { return `{"allowed":false,"error":"` + message + `"}` + "\n" }
	for name, test := range map[string]struct {
		requests  string
		code      int
		want      string
		wantWrong string
	}{
		"nothing":                   {},
		"answers in order":          {requests: question + "\n" + other + "\n" + question + "\n", want: allowed + denied + allowed},
		"a last line without break": {requests: other + "\r\n" + question, want: denied + allowed},
		"blank lines are skipped":   {requests: "\n" + question + "\n \t\n\n" + other + "\n\n", want: allowed + denied},
		"lines that are no requests": {
			requests: question + "\n{\n\n{}\n{\"namespace\":\"x\",\"store\":\"b\"}\n[1]\n" + other + "\n" + question[:len(question)-1] + `,"purpose":"x"}` + "\n" +
				`{"namespace":"x","Store":"a/b"}` + "\n" + question + question + "\n",
			code: exitWrong,
			want: allowed +
				failed("-:2: unexpected end of JSON input") +
				failed("-:4: namespace is required") +
				failed(`-:5: store: \"b\" is not NAMESPACE/NAME`) +
				failed("-:6: must be an object, not array") +
				denied +
				failed(`-:8: duplicate field \"purpose\"`) +
				failed(`-:9: unknown field \"Store\"`) +
				failed("-:10: invalid character '{' after top-level value"),
			wantWrong: "error: -:2: unexpected end of JSON input\n" +
				"error: -:4: namespace is required\n" +
				`error: -:5: store: "b" is not NAMESPACE/NAME` + "\n" +
				"error: -:6: must be an object, not array\n" +
				`error: -:8: duplicate field "purpose"` + "\n" +
				`error: -:9: unknown field "Store"` + "\n" +
				"error: -:10: invalid character '{' after top-level value\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong := command(t, strings.NewReader(test.requests), "can", "-f", policy, "--requests", "-")
			if code != test.code {
				t.Errorf("exit code %d", code)
			}
			if diff := cmp.Diff(test.want, masked(out)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.wantWrong, wrong); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestsOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	if err := os.WriteFile(path, []byte(`{"namespace":"x","store":"a/b"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, wrong := command(t, nil, "can", "-f", policy, "--requests", path)
	if code != exitAllowed || strings.Count(out, "\n") != 1 || wrong != "" {
		t.Errorf("exit code %d: %s%s", code, out, wrong)
	}
}

func TestAnswersThatCannotBeWrittenAreNoAnswers(t *testing.T) {
	for name, args := range map[string][]string{
		"text":     {"can", "-f", policy, "-n", "core-services", "--purpose", "billing", "--store", "data-billing/billing-ledger"},
		"JSON":     {"can", "-f", policy, "-n", "core-services", "--purpose", "billing", "--store", "data-billing/billing-ledger", "-o", "json"},
		"requests": {"can", "-f", policy, "--requests", "-"},
		"table":    {"matrix", "-f", policy},
		"csv":      {"matrix", "-f", policy, "-o", "csv"},
		"list":     {"matrix", "-f", policy, "-o", "json"},
	} {
		t.Run(name, func(t *testing.T) {
			var wrong bytes.Buffer
			streams := genericiooptions.IOStreams{In: strings.NewReader(`{"namespace":"x","store":"a/b"}`), Out: full{}, ErrOut: &wrong}
			code := Run(t.Context(), args, streams, testclock.NewFakePassiveClock(cases.At), "")
			if code != exitWrong || wrong.String() != "error: no space left\n" {
				t.Errorf("exit code %d: %s", code, wrong.String())
			}
		})
	}
}

// full is a disk that is.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestRequestsThatBreakOff(t *testing.T) {
	requests := io.MultiReader(strings.NewReader(`{"namespace":"x","store":"a/b"}`+"\n"), iotest.ErrReader(errors.New("gone")))
	code, out, wrong := command(t, requests, "can", "-f", policy, "--requests", "-")
	if code != exitWrong || strings.Count(out, "\n") != 1 || wrong != "error: --requests: gone\n" {
		t.Errorf("exit code %d: %s%s", code, out, wrong)
	}
}

func TestMatrix(t *testing.T) {
	matrix := func(more ...string) string {
		t.Helper()
		code, out, wrong := command(t, nil, append([]string{"matrix", "-f", policy}, more...)...)
		if code != exitAllowed || wrong != "" {
			t.Fatalf("exit code %d: %s", code, wrong)
		}
		return out
	}

	t.Run("grants of the published policy", func(t *testing.T) {
		var rows []row
		if err := json.Unmarshal([]byte(matrix("-o", "json")), &rows); err != nil {
			t.Fatal(err)
		}
		grants := 0
		for _, r := range rows {
			grants += len(r.Purposes)
		}
		if grants != 136 {
			t.Errorf("%d grants, want 136", grants)
		}
	})
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"table": {[]string{"-n", "campaign-entrustee"}, `NAMESPACE            ENTRUSTMENT   STORE                         PURPOSES
campaign-entrustee   campaigns     data-core/campaign-entries    campaign-information,prize-draw
campaign-entrustee   campaigns     data-core/contact-directory   campaign-information,prize-draw
`},
		"own handling": {[]string{"-n", "trust-safety"}, `NAMESPACE      ENTRUSTMENT   STORE                         PURPOSES
trust-safety   -             data-billing/billing-ledger   fraud-prevention
trust-safety   -             data-core/customer-master     failure-response,fraud-prevention,service-maintenance,system-operation
trust-safety   -             data-core/operation-logs      failure-response,fraud-prevention,service-maintenance,system-operation
trust-safety   -             data-usage/service-usage      failure-response,fraud-prevention,service-maintenance,system-operation
`},
		"csv": {[]string{"-n", "billing-entrustee", "-o", "csv"}, `namespace,entrustment,store,purposes
billing-entrustee,fees,data-billing/billing-ledger,"billing,billing-and-points,points-management"
billing-entrustee,fees,data-billing/invoice-print-queue,billing
`},
		"json": {[]string{"-n", "partner-services", "-o", "json"}, `[
  {
    "namespace": "partner-services",
    "entrustment": "partner-services",
    "store": "data-partner/partner-customers",
    "purposes": [
      "entrusted-partner-service"
    ]
  }
]
`},
		"an empty table": {[]string{"-n", "nowhere"}, "NAMESPACE   ENTRUSTMENT   STORE   PURPOSES\n"},
		"an empty csv":   {[]string{"-n", "nowhere", "-o", "csv"}, "namespace,entrustment,store,purposes\n"},
		"an empty list":  {[]string{"-n", "nowhere", "-o", "json"}, "[]\n"},
		"another day":    {[]string{"-n", "billing-entrustee", "--at", "2030-01-01T00:00:00Z"}, "NAMESPACE   ENTRUSTMENT   STORE   PURPOSES\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, matrix(test.args...)); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFilesGivenInEveryWay(t *testing.T) {
	code, want, wrong := command(t, nil, "matrix", "-f", policy)
	if code != exitAllowed {
		t.Fatal(wrong)
	}
	parts, err := filepath.Glob(policy + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	repeated := []string{"matrix"}
	for _, part := range parts {
		repeated = append(repeated, "-f", part)
	}
	for name, args := range map[string][]string{
		"repeated":               repeated,
		"with commas":            {"matrix", "-f", strings.Join(parts, ",")},
		"as a shell's wildcards": append([]string{"matrix", "-f"}, parts...),
	} {
		t.Run(name, func(t *testing.T) {
			if _, got, wrong := command(t, nil, args...); got != want {
				t.Errorf("%s%s", got, wrong)
			}
		})
	}
}

func TestNoCellIsAFormula(t *testing.T) {
	for cell, want := range map[string]string{
		"": "", "core-services": "core-services", "a=b": "a=b",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "\rx": "'\rx", "\nx": "'\nx",
	} {
		if got := inert(cell); got != want {
			t.Errorf("%q is written %q", cell, got)
		}
	}
}

func TestHelpSaysHowKubectlCallsIt(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"can", "--help"}, {"matrix", "-h"}} {
		code, out, _ := command(t, nil, args...)
		if code != exitAllowed || !strings.Contains(out, "\n  kubectl entrust ") || strings.Contains(out, "kubectl-entrust") {
			t.Errorf("exit code %d\n%s", code, out)
		}
	}
	if _, out, _ := command(t, nil, "version"); out != "v1.2.3\n" {
		t.Errorf("version %q", out)
	}
}
