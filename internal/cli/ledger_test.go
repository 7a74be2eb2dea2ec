package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	firstLine  = `{"chain":"replica-0","sequence":1,"time":"2026-11-23T12:00:00Z","event":"Started","actor":"entrustment-operator"}` + "\n"
	secondLine = `{"chain":"replica-0","sequence":2,"previous":"02e5bc7ac8dba82ac08efab5db3aae9c54f0a3bc17c0a2b5e0e9f56f2f4f5b11","time":"2026-11-23T12:00:01Z","event":"Started","actor":"entrustment-operator"}` + "\n"
)

func TestLedgerVerify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := os.WriteFile(file, []byte(firstLine), 0o600); err != nil {
		t.Fatal(err)
	}
	const head = "CHAIN       ENTRIES   FIRST   LAST\n"
	for name, test := range map[string]struct {
		stdin string
		args  []string
		code  int
		out   string
		wrong string
	}{
		"an intact ledger": {args: []string{file}, out: head + "replica-0   1         1       1\n\nintact\n"},
		"a changed one": {
			stdin: secondLine, args: []string{file, "-"}, code: exitDenied,
			out: head + "replica-0   2         1       2\n\nline 2, chain replica-0: entry 2 does not follow entry 1 as it stands here: one of the two was changed\nnot intact\n",
		},
		"one as JSON": {
			args: []string{file, "-o", "json"},
			out:  `{"chains":[{"name":"replica-0","entries":1,"first":1,"last":1}],"others":0,"problems":[],"more":false}` + "\n",
		},
		"no ledger":         {stdin: "started\n", args: []string{"-"}, code: exitWrong, out: "", wrong: "error: there is no entry of a ledger\n"},
		"no file":           {args: []string{file + "x"}, code: exitWrong, wrong: "error: open " + file + "x: no such file or directory\n"},
		"no argument":       {code: exitWrong, wrong: "error: 0 arguments given; usage: kubectl entrust ledger verify FILE... [flags]\n"},
		"the input twice":   {args: []string{"-", "-"}, code: exitWrong, wrong: "error: the standard input (-) can be read once\n"},
		"without a cluster": {args: []string{"--heads", file}, code: exitWrong, wrong: "error: read the heads of the ledger: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, wrong := command(t, strings.NewReader(test.stdin), append([]string{"ledger", "verify"}, test.args...)...)
			if diff := cmp.Diff(test.out, out); diff != "" || code != test.code || !strings.HasPrefix(wrong, test.wrong) {
				t.Errorf("exit %d, %s%s", code, wrong, diff)
			}
		})
	}
}
