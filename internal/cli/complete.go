package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entrustment.dev/operator/internal/entrustment"
)

// completionTimeout bounds what somebody waits for who presses the tab key.
const completionTimeout = 3 * time.Second

// A completion offers words for what has been typed so far.
type completion func(s *entrustment.Snapshot) []string

func names(kind string) completion {
	return func(s *entrustment.Snapshot) []string { return s.Names(kind) }
}

// complete offers words of the policy that the command would read: of the files on the line so far, or of the cluster. What
// cannot be read offers nothing.
func (s *source) complete(words completion) cobra.CompletionFunc {
	return func(command *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
		defer cancel()
		if s.zone.Location == nil {
			s.zone.Location = time.UTC
		}
		slices.Sort(s.files)
		s.files = slices.Compact(s.files) // the line is parsed twice for a completion
		if s.readsStdin() {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		snapshot, err := s.snapshot(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var offered []string
		for _, word := range words(snapshot) {
			if strings.HasPrefix(word, typed) {
				offered = append(offered, word)
			}
		}
		return offered, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlags offers the names of a kind for each flag.
func (s *source) completeFlags(command *cobra.Command, kinds map[string]string) {
	for flag, kind := range kinds {
		_ = command.RegisterFlagCompletionFunc(flag, s.complete(names(kind))) // it only fails for a flag that is not there
	}
}

// completeStore offers the names of stores for the argument at that place, and nothing for others.
func (s *source) completeStore(place int) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) != place {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return s.complete(names("PersonalDataStore"))(command, args, typed)
	}
}
