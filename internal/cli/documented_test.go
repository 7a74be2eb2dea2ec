package cli

import (
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"entrustment.dev/operator/test/docs"
)

// Whoever copies a command from any page copies one that there is, with flags that it has.
func TestDocumentedCommandsExist(t *testing.T) {
	blocks, err := docs.Blocks(repository)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, block := range blocks {
		if block.Info != "console" && block.Info != "sh" {
			continue
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(block.Text, "\\\n", " "), "\n") {
			_, line, found := strings.Cut(line, "kubectl entrust ")
			if !found || block.Info == "console" && !strings.Contains(block.Text, "$ ") || strings.HasPrefix(line, "__complete") {
				continue
			}
			tried++
			root := newRoot(genericiooptions.NewTestIOStreamsDiscard(), clock.RealClock{}, "")
			command, args, err := root.Find(words("kubectl entrust " + line))
			if err != nil || command == root {
				t.Errorf("%s: there is no command %q: %v", block, line, err)
				continue
			}
			if err := command.ParseFlags(args); err != nil {
				t.Errorf("%s: %s: %v", block, line, err)
			}
		}
	}
	if tried < 25 {
		t.Errorf("only %d commands were found", tried)
	}
}
