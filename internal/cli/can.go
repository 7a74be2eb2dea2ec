package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/internal/entrustment"
)

// can asks whether the pods of a namespace may reach a store.
type can struct {
	source
	purpose     string
	entrustment string
	store       string
	requests    string
	output      string
}

func newCan(from source) *cobra.Command {
	c := &can{source: from}
	command := &cobra.Command{
		Use:   "can --namespace NAMESPACE --purpose PURPOSE [--entrustment ENTRUSTMENT] --store NAMESPACE/NAME",
		Short: "Tell whether pods may reach a store for a purpose, and why not",
		Long: `Tell whether the pods of a namespace that declare a purpose, and act under an entrustment or under none, may reach a
personal-data store: yes and until when, or no, why, and what would help.

With --requests every line of a file is a question, and is answered by a line of JSON, in the same order:
  {"namespace": "billing-entrustee", "purpose": "billing", "entrustment": "fees", "store": "data-billing/billing-ledger"}
A line that is no question is answered by {"allowed":false,"error":"..."}. Blank lines are skipped.

Exit codes: 0 allowed, 1 denied, 2 anything wrong. With --requests: 0 every line was a question, 2 anything wrong.`,
		Example: `  # May pods of core-services use the ledger for billing, now, in this cluster?
  kubectl entrust can -n core-services --purpose billing --store data-billing/billing-ledger

  # May those of an entrustee, once its contract has ended, under a policy that is not applied yet?
  kubectl entrust can -f policy/ -n billing-entrustee --purpose billing --entrustment fees \
    --store data-billing/billing-ledger --at 2027-04-01T00:00:00+09:00

  # A thousand questions at once
  kubectl entrust can -f policy/ --requests questions.jsonl`,
		Args: c.arguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := c.validate(command.Flags().Changed); err != nil {
				return err
			}
			if c.requests != "" {
				return c.answerRequests(command.Context())
			}
			return c.answer(command.Context())
		},
	}
	c.addFlags(command)
	flags := command.Flags()
	flags.StringVar(&c.purpose, "purpose", "", "Purpose that the pods declare")
	flags.StringVar(&c.entrustment, "entrustment", "", "Entrustment under which the pods act (default none: the data controller's own handling)")
	flags.StringVar(&c.store, "store", "", "PersonalDataStore, as NAMESPACE/NAME")
	flags.StringVar(&c.requests, "requests", "", "File of questions, one a line, in JSON; - is the standard input")
	c.completeFlags(command, map[string]string{"purpose": "Purpose", "entrustment": "Entrustment", "store": "PersonalDataStore"})
	outputFlag(command, &c.output, "text", "json")
	return command
}

// validate refuses calls that are no question, before anything is read.
func (c *can) validate(given func(flag string) bool) error {
	if c.requests == "" {
		if given("requests") {
			return errors.New("--requests names no file")
		}
		for _, flag := range []string{"purpose", "store"} { // an empty purpose is one that is not declared
			if !given(flag) {
				return fmt.Errorf("--%s is required", flag)
			}
		}
		return nil
	}
	for _, flag := range []string{"namespace", "purpose", "entrustment", "store"} {
		if given(flag) {
			return fmt.Errorf("--%s is a part of each request and cannot be given with --requests", flag)
		}
	}
	if c.requests == stdin && c.readsStdin() {
		return errors.New("the standard input cannot be both a file (-f -) and the requests (--requests -)")
	}
	return nil
}

// answer answers the question that the flags ask.
func (c *can) answer(ctx context.Context) error {
	store, err := storeKey(c.store)
	if err != nil {
		return fmt.Errorf("--store: %w", err)
	}
	namespace, err := c.namespace()
	if err != nil {
		return err
	}
	snapshot, err := c.snapshot(ctx)
	if err != nil {
		return err
	}

	request := entrustment.Request{Namespace: namespace, Purpose: c.purpose, Entrustment: c.entrustment, Store: store}
	answer := newAnswer(snapshot.Authorize(request), c.zone.Location)
	write := answer.writeText
	if c.output == "json" {
		write = answer.writeJSON
	}
	if err := write(c.streams.Out); err != nil {
		return err
	}
	if !answer.Allowed {
		return errDenied
	}
	return nil
}

// storeKey reads NAMESPACE/NAME.
func storeKey(text string) (types.NamespacedName, error) {
	namespace, name, found := strings.Cut(text, "/")
	if !found || namespace == "" || name == "" || strings.Contains(name, "/") {
		return types.NamespacedName{}, fmt.Errorf("%q is not NAMESPACE/NAME", text)
	}
	return types.NamespacedName{Namespace: namespace, Name: name}, nil
}

// An answer is a decision as programs read it. Every field is always there.
type answer struct {
	Allowed  bool     `json:"allowed"`
	Reason   string   `json:"reason"`
	Message  string   `json:"message"`
	Chain    []string `json:"chain"`    // entrustments from the root to the one acted under; empty without one
	NotAfter *string  `json:"notAfter"` // RFC 3339, when time alone will turn a yes into a no; null: never
}

func newAnswer(decision entrustment.Decision, zone *time.Location) answer {
	a := answer{
		Allowed: decision.Allowed(),
		Reason:  string(decision.Reason()),
		Message: decision.Message(),
		Chain:   append([]string{}, decision.Chain()...),
	}
	if until := decision.Until(); !until.IsZero() {
		text := until.In(zone).Format(time.RFC3339)
		a.NotAfter = &text
	}
	return a
}

// writeText writes it for people. The first line is that of kubectl auth can-i.
func (a answer) writeText(out io.Writer) error {
	text := "no\n"
	if a.Allowed {
		text = "yes\n"
	}
	text += "  Reason:  " + a.Reason + "\n"
	text += "  Message: " + a.Message + "\n"
	if len(a.Chain) > 0 {
		text += "  Chain:   " + strings.Join(a.Chain, " > ") + "\n"
	}
	if a.NotAfter != nil {
		text += "  Until:   " + *a.NotAfter + "\n"
	}
	_, err := io.WriteString(out, text)
	return err
}

// writeJSON writes it on one line.
func (a answer) writeJSON(out io.Writer) error { return writeLine(out, a) }

// writeLine writes a value as one line of JSON, its text as it is.
func writeLine(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}
