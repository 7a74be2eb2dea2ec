package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// exitRefused ends a plan of which the API server would refuse a part.
const exitRefused = 3

// errRefused ends a command whose answer, already printed, is that.
var errRefused = errors.New("refused")

// plan tells what a change, or time, gives and takes.
type plan struct {
	source
	against []string
	prune   bool
	until   instant
	output  string
}

func newPlan(from source) *cobra.Command {
	p := &plan{source: from}
	command := &cobra.Command{
		Use:   "plan [-f FILES [--against FILES]] [--at INSTANT | --until INSTANT]",
		Short: "Tell what a change of the policy, or the passing of time, gives and takes",
		Long: `Tell what applying files to a cluster would give and take: grants gained and lost, the pods of the cluster that lose theirs,
contracts that begin, end or end at another time, stores and namespaces that only reported and are enforced now, with the pods that
this cuts off or refuses, and what the API server would refuse.

Files replace the objects of the same name, and all others stay, as with kubectl apply; with --prune those that the files do not
hold go. With --against the two sets of files are compared whole, and no cluster is asked.

--until goes on from there to an instant, and stops wherever time alone changes something. Without -f it does so for the cluster
as it is; of files alone, name them twice: -f policy/ --against policy/ --until 2027-12-31T00:00:00Z.

Exit codes, as of kubectl diff: 0 nothing changes, 1 something does, 2 anything wrong with the call, the files or the cluster,
3 something changes, and the API server would refuse a part of it.`,
		Example: `  # What would this change do to the cluster?
  kubectl entrust plan -f policy/

  # What does a branch change, for the discussion of its pull request?
  kubectl entrust plan -f new-policy/ --against policy/ -o markdown

  # Who is cut off by a store that is enforced from now on?
  kubectl entrust plan -f orders.yaml

  # What ends by itself until next summer?
  kubectl entrust plan --until 2027-07-01T00:00:00Z

  # The same of files
  kubectl entrust plan -f policy/ --against policy/ --until 2027-07-01T00:00:00Z`,
		Args: cobra.MatchAll(takes(0, 0), p.namesFiles),
		RunE: func(command *cobra.Command, _ []string) error { return p.run(command.Context()) },
	}
	p.addFlags(command)
	flags := command.Flags()
	flags.Lookup("filename").Usage = "Files and directories that change the policy; - is the standard input. May be repeated"
	flags.StringSliceVar(&p.against, "against", nil, "Files and directories to compare with, instead of the cluster. May be repeated")
	flags.BoolVar(&p.prune, "prune", false, "Objects of the cluster that the files do not hold go")
	flags.Var(&p.until, "until", "Instant up to which to follow what time alone changes")
	command.MarkFlagsMutuallyExclusive("at", "until")
	command.MarkFlagsMutuallyExclusive("prune", "against")
	outputFlag(command, &p.output, "table", "json", "markdown")
	return command
}

func (p *plan) run(ctx context.Context) error {
	switch {
	case !p.offline() && p.until.IsZero():
		return errors.New("what is to change? Files go with -f; --until follows time alone")
	case !p.offline() && (len(p.against) > 0 || p.prune):
		return errors.New("--against and --prune take the files of the change with -f")
	}
	before, after, workloads, err := p.sides(ctx)
	if err != nil {
		return err
	}
	answer := planned{Refusals: []refusal{}}
	now := p.now()
	old, next := entrustment.Compile(before, now), entrustment.Compile(after, now)
	if p.offline() {
		if answer.Refusals, err = refusals(next, before, after); err != nil {
			return err
		}
	}
	answer.add(old, next, workloads)
	stop := working(p.streams, "following time")
	for !p.until.IsZero() {
		at, changes := next.NextChange()
		if !changes || at.After(p.until.Time) {
			break
		}
		old, next = next, entrustment.Compile(after, at)
		answer.add(old, next, workloads)
	}
	stop()
	if err := p.print(&answer); err != nil {
		return err
	}
	switch {
	case len(answer.Refusals) > 0:
		return errRefused
	case len(answer.Steps) > 0:
		return errDenied
	}
	return nil
}

// sides are what there is and what there will be, and the workloads that feel the difference.
func (p *plan) sides(ctx context.Context) (before, after entrustment.Inputs, workloads []gather.Workload, err error) {
	var files *gather.Files
	if p.offline() {
		if after, files, err = p.inputs(ctx); err != nil {
			return before, after, nil, err
		}
	}
	if len(p.against) > 0 {
		defer working(p.streams, "reading the files")()
		there := files.Read(p.against, p.streams.In)
		before, err = there.Inputs, there.Err()
	} else {
		files = nil
		there := p.source
		there.files = nil
		before, _, err = there.inputs(ctx)
	}
	if err != nil {
		return before, after, nil, err
	}
	switch {
	case !p.offline():
		after = before
	case len(p.against) == 0:
		after = over(before, after, p.prune)
	}
	before.Location, after.Location = p.zone.Location, p.zone.Location
	workloads, err = p.workloads(ctx, files)
	return before, after, workloads, err
}

// A planStep is what changes at one instant.
type planStep struct {
	At          time.Time
	Grants      []grantChange
	Contracts   []entrustment.ContractChange
	Enforcement []enforcementChange
}

type grantChange struct {
	entrustment.GrantChange
	Workloads []gather.Workload // that lose it; nil: not known
}

type planned struct {
	Steps    []planStep
	Refusals []refusal
}

// add what differs between two snapshots, if anything does.
func (p *planned) add(old, next *entrustment.Snapshot, workloads []gather.Workload) {
	step := planStep{At: next.Now(), Contracts: next.ContractChanges(old)}
	for _, change := range next.GrantChanges(old) {
		hit := grantChange{GrantChange: change}
		if change.Gained || workloads != nil {
			hit.Workloads = []gather.Workload{}
		}
		for i := range workloads {
			w := &workloads[i]
			if !change.Gained && w.Namespace == change.Namespace && loses(w, change, old, next) {
				hit.Workloads = append(hit.Workloads, *w)
			}
		}
		step.Grants = append(step.Grants, hit)
	}
	for _, change := range next.EnforcementChanges(old) {
		step.Enforcement = append(step.Enforcement, enforcementOf(change, next, workloads))
	}
	if len(step.Grants)+len(step.Contracts)+len(step.Enforcement) > 0 {
		p.Steps = append(p.Steps, step)
	}
}

func loses(w *gather.Workload, change entrustment.GrantChange, old, next *entrustment.Snapshot) bool {
	purpose, contract, _, _ := w.Declares()
	r := entrustment.Request{Namespace: w.Namespace, Purpose: purpose, Entrustment: contract, Store: change.Store}
	return contract == change.Entrustment && old.Authorize(r).Allowed() && !next.Authorize(r).Allowed()
}

func (p *plan) print(answer *planned) error {
	out, zone := p.streams.Out, p.zone.Location
	switch p.output {
	case "json":
		return writeIndented(out, answer.json(zone))
	case "markdown":
		_, err := io.WriteString(out, answer.markdown(zone))
		return err
	}
	return answer.write(out, zone, !p.until.IsZero())
}

func (c *grantChange) columns(zone *time.Location) []string {
	word := "lost"
	if c.Gained {
		word = "gained"
	}
	return []string{
		word, c.Namespace, cmp.Or(c.Entrustment, "-"), c.Store.String(), strings.Join(c.Purposes, ","), when(c.Until, zone),
		podList(c.Workloads), cmp.Or(string(c.Reason), "-"),
	}
}

var grantHeader = []string{"GRANT", "NAMESPACE", "ENTRUSTMENT", "STORE", "PURPOSES", "UNTIL", "PODS", "REASON"}

func contractColumns(c *entrustment.ContractChange, zone *time.Location) []string {
	word := "changed"
	switch {
	case !c.Before.Active:
		word = "begins"
	case !c.After.Active:
		word = "ends"
	}
	was, is := "-", "-"
	if c.Before.Active {
		was = when(c.Was, zone)
	}
	if c.After.Active {
		is = when(c.Until, zone)
	}
	return []string{word, c.Name, was, is, c.Message}
}

var contractHeader = []string{"CONTRACT", "ENTRUSTMENT", "WAS UNTIL", "IS UNTIL", "BECAUSE"}

func (p *planned) write(out io.Writer, zone *time.Location, instants bool) error {
	colours := newPalette(out)
	var parts []string
	say := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	add := func(t *table) error {
		var b strings.Builder
		err := t.write(&b, colours)
		parts = append(parts, b.String())
		return err
	}
	for i := range p.Steps {
		step := &p.Steps[i]
		if instants {
			say("At %s\n", when(step.At, zone))
		}
		if len(step.Grants) > 0 {
			t := newTable(grantHeader...)
			for j := range step.Grants {
				t.add(step.Grants[j].columns(zone)...)
				t.paint(0, map[bool]colour{true: green, false: red}[step.Grants[j].Gained])
			}
			if err := add(t); err != nil {
				return err
			}
		}
		if len(step.Contracts) > 0 {
			t := newTable(contractHeader...)
			for j := range step.Contracts {
				t.add(contractColumns(&step.Contracts[j], zone)...)
			}
			if err := add(t); err != nil {
				return err
			}
		}
		if len(step.Enforcement) > 0 {
			t := newTable(enforcementHeader...)
			for j := range step.Enforcement {
				for _, row := range step.Enforcement[j].rows() {
					t.add(row...)
					t.paint(0, map[bool]colour{true: red, false: green}[step.Enforcement[j].Begins])
				}
			}
			if err := add(t); err != nil {
				return err
			}
		}
		for _, note := range step.notes() {
			say("%s\n", note)
		}
	}
	if len(p.Refusals) > 0 {
		t := newTable("REFUSED", "BECAUSE")
		for _, r := range p.Refusals {
			t.add(r.Object, r.Message)
			t.paint(0, red)
		}
		if err := add(t); err != nil {
			return err
		}
	}
	say("%s\n", p.summary())
	_, err := io.WriteString(out, strings.Join(parts, "\n"))
	return err
}

// summary counts purposes at stores, which is what a grant is.
func (p *planned) summary() string {
	gained, lost, enforced, relaxed := 0, 0, 0, 0
	hit, unknown := map[string]bool{}, false
	for i := range p.Steps {
		step := &p.Steps[i]
		for j := range step.Grants {
			g := &step.Grants[j]
			if g.Gained {
				gained += len(g.Purposes)
			} else {
				lost += len(g.Purposes)
			}
			unknown = unknown || g.Workloads == nil
			for k := range g.Workloads {
				hit[g.Workloads[k].String()] = true
			}
		}
		for j := range step.Enforcement {
			e := &step.Enforcement[j]
			if e.Begins {
				enforced++
			} else {
				relaxed++
			}
			unknown = unknown || e.Unknown
			for k := range e.Cut {
				hit[e.Cut[k].Pod.String()] = true
			}
		}
	}
	text := fmt.Sprintf("%d gained, %d lost, ", gained, lost)
	if enforced+relaxed > 0 {
		text += fmt.Sprintf("%d enforced, %d only reported, ", enforced, relaxed)
	}
	if unknown {
		text += "pods unknown"
	} else {
		text += counted(len(hit), "pod") + " hit"
	}
	if len(p.Steps) == 0 {
		text = "Nothing changes"
	}
	if len(p.Refusals) > 0 {
		text += fmt.Sprintf(", %d refused", len(p.Refusals))
	}
	return text + "."
}

// markdown is for a comment on a pull request. Names cannot hold what Markdown takes for its own; messages can.
func (p *planned) markdown(zone *time.Location) string {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(c) + " ")
		}
		b.WriteString("|\n")
	}
	head := func(header []string) {
		line(header)
		b.WriteString(strings.Repeat("|---", len(header)) + "|\n")
	}
	fmt.Fprintf(&b, "**%s**\n", p.summary())
	for i := range p.Steps {
		step := &p.Steps[i]
		fmt.Fprintf(&b, "\n### At %s\n", when(step.At, zone))
		if len(step.Grants) > 0 {
			b.WriteByte('\n')
			head(grantHeader)
			for j := range step.Grants {
				line(step.Grants[j].columns(zone))
			}
		}
		if len(step.Contracts) > 0 {
			b.WriteByte('\n')
			head(contractHeader)
			for j := range step.Contracts {
				line(contractColumns(&step.Contracts[j], zone))
			}
		}
		if len(step.Enforcement) > 0 {
			b.WriteByte('\n')
			head(enforcementHeader)
			for j := range step.Enforcement {
				for _, row := range step.Enforcement[j].rows() {
					line(row)
				}
			}
		}
		for _, note := range step.notes() {
			fmt.Fprintf(&b, "\n%s\n", note)
		}
	}
	if len(p.Refusals) > 0 {
		b.WriteString("\n### The API server would refuse\n\n")
		head([]string{"OBJECT", "BECAUSE"})
		for _, r := range p.Refusals {
			line([]string{r.Object, r.Message})
		}
	}
	return b.String()
}

// The shape of -o json. Every field is always there.
type (
	plannedJSON struct {
		Steps    []planStepJSON `json:"steps"`
		Refusals []refusal      `json:"refusals"`
	}
	planStepJSON struct {
		At          string                  `json:"at"`
		Grants      []grantChangeJSON       `json:"grants"`
		Contracts   []contractChangeJSON    `json:"contracts"`
		Enforcement []enforcementChangeJSON `json:"enforcement"`
	}
	grantChangeJSON struct {
		Change      string   `json:"change"` // gained or lost
		Namespace   string   `json:"namespace"`
		Entrustment string   `json:"entrustment"`
		Store       string   `json:"store"`
		Purposes    []string `json:"purposes"`
		NotAfter    *string  `json:"notAfter"` // of what is gained
		Pods        []string `json:"pods"`     // that lose it; NAME, or KIND/NAME of a workload in files
		Reason      string   `json:"reason"`   // of what is lost
		Message     string   `json:"message"`
	}
	contractChangeJSON struct {
		Change   string  `json:"change"` // begins, ends or changed
		Name     string  `json:"entrustment"`
		Was      *string `json:"wasNotAfter"` // null: it was not in force
		NotAfter *string `json:"notAfter"`    // null: it is not in force
		Reason   string  `json:"reason"`
		Message  string  `json:"message"`
	}
)

func (p *planned) json(zone *time.Location) plannedJSON {
	out := plannedJSON{Steps: []planStepJSON{}, Refusals: p.Refusals}
	for i := range p.Steps {
		step := &p.Steps[i]
		s := planStepJSON{
			At: when(step.At, zone), Grants: []grantChangeJSON{}, Contracts: []contractChangeJSON{}, Enforcement: []enforcementChangeJSON{},
		}
		for j := range step.Grants {
			g := &step.Grants[j]
			s.Grants = append(s.Grants, grantChangeJSON{
				g.columns(zone)[0], g.Namespace, g.Entrustment, g.Store.String(), g.Purposes, instantJSON(g.Until, zone), podNames(g.Workloads), string(g.Reason), g.Message,
			})
		}
		for j := range step.Contracts {
			c := &step.Contracts[j]
			change := contractChangeJSON{Change: contractColumns(c, zone)[0], Name: c.Name, Reason: string(c.After.Reason), Message: c.Message}
			if c.Before.Active {
				change.Was = instantJSON(c.Was, zone)
			}
			if c.After.Active {
				change.NotAfter = instantJSON(c.Until, zone)
			}
			s.Contracts = append(s.Contracts, change)
		}
		for j := range step.Enforcement {
			s.Enforcement = append(s.Enforcement, step.Enforcement[j].json())
		}
		out.Steps = append(out.Steps, s)
	}
	return out
}

// sortRefusals by object, then message.
func sortRefusals(list []refusal) []refusal {
	slices.SortFunc(list, func(a, b refusal) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Message, b.Message))
	})
	return list
}
