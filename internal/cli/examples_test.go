package cli

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"

	"entrustment.dev/operator/test/cases"
)

var update = flag.Bool("update", false, "write what the commands print into the documentation")

const repository = "../.."

// shown is a block of the documentation that shows a command and what it prints.
var shown = regexp.MustCompile("(?s)```console\n\\$ (kubectl entrust [^\n]*(?:\\\\\n[^\n]*)*)\n(.*?)```")

// What the documentation shows is what the commands print.
func TestDocumentationShowsWhatIsPrinted(t *testing.T) {
	for _, page := range []string{"docs/commands.md", "docs/lint.md", "docs/policy.md", "docs/reports.md"} {
		t.Run(page, func(t *testing.T) {
			t.Chdir(repository)
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			blocks := 0
			printed := shown.ReplaceAllStringFunc(string(text), func(block string) string {
				blocks++
				line := shown.FindStringSubmatch(block)[1]
				_, out, wrong := command(t, strings.NewReader(""), words(line)...)
				return "```console\n$ " + line + "\n" + out + wrong + "```"
			})
			if blocks == 0 {
				t.Fatal("shows no command")
			}
			if *update {
				if err := os.WriteFile(page, []byte(printed), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(printed, string(text)); diff != "" && !*update {
				t.Errorf("go test ./internal/cli -run Documentation -update writes what is printed (-printed +shown):\n%s", diff)
			}
		})
	}
}

// words are those of a command line after "kubectl entrust", without redirections, pipes and comments.
func words(line string) []string {
	line = strings.ReplaceAll(line, "\\\n", " ")
	line, _, _ = strings.Cut(line, " > ")
	line, _, _ = strings.Cut(line, " # ")
	if before, after, piped := strings.Cut(line, " | "); piped {
		if line = before; strings.HasPrefix(after, "kubectl entrust ") {
			line = after
		}
	}
	return strings.Fields(line)[2:]
}

// The examples of the help that ask files have an answer; those that ask a cluster are run against one elsewhere.
func TestHelpExamplesOfFiles(t *testing.T) {
	run := 0
	for _, example := range Examples() {
		if AsksCluster(example) {
			continue
		}
		t.Run(example, func(t *testing.T) {
			t.Chdir(repository + "/config/samples")
			args := words(example)
			for i := range args {
				switch args[i] {
				case "questions.jsonl":
					args[i] = "-" // nothing is asked
				case "new-policy/":
					args[i] = "minimal"
				}
			}
			if code, out, wrong := command(t, strings.NewReader(""), args...); code == exitWrong {
				t.Errorf("%s%s", out, wrong)
			}
		})
		run++
	}
	if run < 5 {
		t.Errorf("%d examples ask files", run)
	}
}

func TestEveryCommandHasExamples(t *testing.T) {
	streams := genericiooptions.IOStreams{}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if !c.HasSubCommands() && c.Parent().Name() != "completion" && c.Name() != "version" && c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(newRoot(streams, testclock.NewFakePassiveClock(cases.At), ""))
}
