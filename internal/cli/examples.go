package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
)

// Examples are the command lines that the help of all commands shows, so that they can be tried.
func Examples() []string {
	var lines []string
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		text := strings.ReplaceAll(c.Example, "\\\n", "")
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); strings.Contains(line, "kubectl entrust ") {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(newRoot(genericiooptions.NewTestIOStreamsDiscard(), clock.RealClock{}, ""))
	return lines
}

// AsksCluster tells the examples that ask a cluster from those that ask files alone.
func AsksCluster(example string) bool {
	if strings.Contains(example, " plan ") {
		return !strings.Contains(example, " --against ")
	}
	return !strings.Contains(example, " -f ")
}
