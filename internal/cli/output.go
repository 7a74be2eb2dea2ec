package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// outputFlag adds --output, which takes one of the formats; the first is the default.
func outputFlag(command *cobra.Command, into *string, formats ...string) {
	*into = formats[0]
	command.Flags().VarP(&format{into, formats}, "output", "o", "Output format: "+strings.Join(formats, ", "))
	completeWords(command, "output", formats)
}

// choiceFlag adds a flag that takes one of the words; the first is the default.
func choiceFlag(command *cobra.Command, into *string, name, usage string, words ...string) {
	*into = words[0]
	command.Flags().Var(&format{into, words}, name, usage+": "+strings.Join(words, ", "))
	completeWords(command, name, words)
}

func completeWords(command *cobra.Command, flag string, words []string) {
	// It only fails for a flag that is not there.
	_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// format is a flag that takes one of several words.
type format struct {
	chosen *string
	known  []string
}

func (f *format) String() string { return *f.chosen }
func (f *format) Type() string   { return "format" }

func (f *format) Set(word string) error {
	if !slices.Contains(f.known, word) {
		return fmt.Errorf("must be one of %s", strings.Join(f.known, ", "))
	}
	*f.chosen = word
	return nil
}
