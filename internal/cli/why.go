package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// why proves an answer, or shows where the proof breaks.
type why struct {
	source
	purpose     string
	entrustment string
	output      string
}

func newWhy(from source) *cobra.Command {
	w := &why{source: from}
	command := &cobra.Command{
		Use:   "why [KIND/]NAME NAMESPACE/STORE",
		Short: "Prove that a pod, workload or namespace reaches a store, or show what keeps it from it",
		Long: `Prove that the pods of a workload reach a personal-data store, link by link from the store to the pod, each with the fact
that carries it and until when. Or show the first link that breaks, what would help most, which object to change, and who may.

KIND/NAME is a pod (the default), a deployment, statefulset, daemonset, replicaset, replicationcontroller, job, cronjob or
serviceaccount of --namespace, or a namespace. Of a namespace every way to the store is shown or, with --purpose, one; where
there is none, the one that comes nearest. With -f the workload is looked for in the files.

Exit codes: 0 allowed, 1 denied, 2 anything wrong with the call, the files or the cluster.`,
		Example: `  # Why does this workload reach the ledger, and until when?
  kubectl entrust why deployment/invoice-calculation data-billing/billing-ledger -n billing-entrustee

  # What would have to change for the campaign's pods to reach it?
  kubectl entrust why namespace/campaign-entrustee data-billing/billing-ledger -f policy/

  # And if they declared billing?
  kubectl entrust why namespace/campaign-entrustee data-billing/billing-ledger -f policy/ --purpose billing`,
		Args: cobra.MatchAll(takes(2, 2), w.namesFiles),
		RunE: func(command *cobra.Command, args []string) error { return w.run(command.Context(), args[0], args[1]) },
	}
	w.addFlags(command)
	flags := command.Flags()
	flags.StringVar(&w.purpose, "purpose", "", "Of a namespace: purpose that pods would declare")
	flags.StringVar(&w.entrustment, "entrustment", "", "Of a namespace: entrustment under which they would act")
	w.completeFlags(command, map[string]string{"purpose": "Purpose", "entrustment": "Entrustment"})
	command.ValidArgsFunction = w.completeStore(1)
	outputFlag(command, &w.output, "text", "json")
	return command
}

func (w *why) run(ctx context.Context, subject, store string) error {
	key, err := storeKey(store)
	if err != nil {
		return err
	}
	kind, name, err := parseSubject(subject)
	if err != nil {
		return err
	}
	if kind != "Namespace" && (w.purpose != "" || w.entrustment != "") {
		return errors.New("--purpose and --entrustment are for a namespace; a workload declares its own")
	}
	snapshot, files, err := w.read(ctx)
	if err != nil {
		return err
	}
	var proofs []proof
	if kind == "Namespace" {
		proofs = w.ofNamespace(snapshot, name, key)
	} else {
		namespace, err := w.workloadNamespace()
		if err != nil {
			return err
		}
		workload, err := w.workload(ctx, files, kind, namespace, name)
		if err != nil {
			return err
		}
		proofs = []proof{proofOf(snapshot, &workload, key)}
	}
	if err := w.print(proofs); err != nil {
		return err
	}
	if slices.ContainsFunc(proofs, func(p proof) bool { return !p.allowed() }) {
		return errDenied
	}
	return nil
}

// ofNamespace is one proof for each contract under which pods of the namespace reach the store, or the nearest there is.
func (w *why) ofNamespace(s *entrustment.Snapshot, namespace string, store types.NamespacedName) []proof {
	request := entrustment.Request{Namespace: namespace, Purpose: w.purpose, Entrustment: w.entrustment, Store: store}
	if w.purpose != "" {
		return []proof{newProof(s, s.Authorize(request))}
	}
	var proofs []proof
	for _, grant := range s.StoreGrants(store) {
		if grant.Namespace == namespace && (w.entrustment == "" || w.entrustment == grant.Entrustment) {
			request.Purpose, request.Entrustment = grant.Purposes[0], grant.Entrustment
			p := newProof(s, s.Authorize(request))
			p.alsoFor = grant.Purposes[1:]
			proofs = append(proofs, p)
		}
	}
	if len(proofs) == 0 {
		proofs = []proof{newProof(s, s.Nearest(namespace, store))}
	}
	return proofs
}

// A proof is a decision, what carries it, and what is to be known beside it.
type proof struct {
	decision entrustment.Decision
	steps    []entrustment.Step
	alsoFor  []string // purposes for which the same holds
	pod      string   // the workload; empty: pods in general
	declares string
	empty    bool     // the label of the contract is there, but empty
	withheld []string // Secrets that it references and must not
	notes    []string
}

func (p *proof) allowed() bool { return p.decision.Allowed() && len(p.withheld) == 0 && !p.empty }

func newProof(s *entrustment.Snapshot, d entrustment.Decision) proof {
	p := proof{decision: d, steps: d.Proof()}
	r := d.Request()
	if _, enforcement, bound := s.Binding(r.Namespace); bound && enforcement == v1alpha1.EnforcementReport {
		p.notes = append(p.notes, fmt.Sprintf("the binding of namespace %q only reports: pods that are not granted are admitted with a warning", r.Namespace))
	}
	if store := s.Store(r.Store); store != nil && entrustment.Reports(store) {
		p.notes = append(p.notes, fmt.Sprintf("PersonalDataStore %q only reports: no policy cuts for it", r.Store))
	}
	p.declares = declaration(r.Purpose, r.Entrustment)
	return p
}

func declaration(purpose, contract string) string {
	if purpose == "" {
		purpose = "no purpose"
	} else {
		purpose = fmt.Sprintf("purpose %q", purpose)
	}
	if contract == "" {
		return purpose + " and no entrustment"
	}
	return fmt.Sprintf("%s under entrustment %q", purpose, contract)
}

func proofOf(s *entrustment.Snapshot, w *gather.Workload, store types.NamespacedName) proof {
	purpose, contract, _, empty := w.Declares()
	p := newProof(s, s.Authorize(entrustment.Request{Namespace: w.Namespace, Purpose: purpose, Entrustment: contract, Store: store}))
	p.pod = w.Kind + " " + w.Namespace + "/" + w.Name
	p.withheld = s.WithheldSecrets(w.Namespace, purpose, contract, w.Secrets())
	if p.empty = empty; empty {
		p.notes = append(p.notes, "the label "+v1alpha1.LabelEntrustment+" is there but empty, which is refused: name an Entrustment, or remove the label")
	}
	return p
}

func (w *why) print(proofs []proof) error {
	if w.output == "json" {
		list := make([]proofJSON, len(proofs))
		for i := range proofs {
			list[i] = proofs[i].json(w.zone.Location)
		}
		return writeIndented(w.streams.Out, list)
	}
	p := newPalette(w.streams.Out)
	for i := range proofs {
		if i > 0 {
			if _, err := io.WriteString(w.streams.Out, "\n"); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(w.streams.Out, proofs[i].text(p, w.zone.Location)); err != nil {
			return err
		}
	}
	return nil
}

var marks = map[entrustment.Standing]struct {
	sign   string
	colour colour
}{
	entrustment.Holds: {"✓", green}, entrustment.Fails: {"✗", red}, entrustment.Unjudged: {"?", faint},
}

// text draws the proof as a tree: the purpose hangs beside the chain that leads from the store to the pod.
func (p *proof) text(colours palette, zone *time.Location) string {
	var b strings.Builder
	d := p.decision
	if d.Allowed() {
		b.WriteString(colours.paint(green, "yes") + ": " + string(d.Reason()))
		if until := d.Until(); !until.IsZero() {
			b.WriteString(", until " + when(until, zone))
		}
	} else {
		b.WriteString(colours.paint(red, "no") + ": " + string(d.Reason()))
	}
	b.WriteByte('\n')
	line := func(prefix string, standing entrustment.Standing, object, fact string, until time.Time) {
		mark := marks[standing]
		text := prefix + colours.paint(mark.colour, mark.sign) + " " + object
		if fact != "" {
			text += "  " + fact
		}
		if !until.IsZero() && standing == entrustment.Holds {
			text += "; until " + when(until, zone)
		}
		b.WriteString(text + "\n")
	}
	depth := 0
	for _, step := range p.steps {
		name := step.Name
		if name == "" {
			name = "-"
		}
		prefix := ""
		switch {
		case step.Kind == "Purpose":
			prefix = "├─ "
		case depth > 0:
			prefix = strings.Repeat("   ", depth-1) + "└─ "
		}
		line(prefix, step.Standing, step.Kind+" "+name, step.Fact, step.Until)
		if step.Kind != "Purpose" {
			depth++
		}
	}
	object, standing, declares := p.pod, entrustment.Holds, "declares "
	if object == "" {
		object, declares = "Pods", "that declare "
	}
	if len(p.withheld) > 0 || p.empty {
		standing = entrustment.Fails
	}
	if depth > 0 {
		line(strings.Repeat("   ", depth-1)+"└─ ", standing, object, declares+p.declares, time.Time{})
	}
	if len(p.alsoFor) > 0 {
		fmt.Fprintf(&b, "The same for: %s\n", strings.Join(p.alsoFor, ", "))
	}
	for _, secret := range p.withheld {
		fmt.Fprintf(&b, "Refused: it references Secret %q, which no grant for what it declares lists\n", secret)
	}
	if remedy, ok := d.Remedy(); ok {
		b.WriteString("Fix:     " + fix(d.Message()) + "\n")
		b.WriteString("Change:  " + changeOf(remedy) + "\n")
		b.WriteString("By whom: " + byWhom(remedy) + "\n")
	}
	for _, note := range p.notes {
		b.WriteString("Note:    " + note + "\n")
	}
	return b.String()
}

// fix is the part of a decision's message that says what would help: what follows the semicolon.
func fix(message string) string {
	if i := strings.LastIndex(message, "; "); i >= 0 {
		return message[i+2:]
	}
	return message
}

func changeOf(r entrustment.Remedy) string {
	object := r.Kind + " " + r.Name
	switch {
	case r.Kind == "Pod":
		return fmt.Sprintf("the pods' %s in namespace %s", r.Field, r.Namespace)
	case r.Name == "":
		object = "a new " + r.Kind
	}
	if r.Field != "" {
		object += ", " + r.Field
	}
	return object
}

var resources = map[string]string{
	"Purpose": "purposes", "DataProcessor": "dataprocessors", "Entrustment": "entrustments", "PersonalDataStore": "personaldatastores", "Pod": "pods",
}

func byWhom(r entrustment.Remedy) string {
	who := fmt.Sprintf("who may %s %s", r.Verb, resources[r.Kind])
	if r.Namespace != "" {
		who += " in namespace " + r.Namespace
	}
	if r.Entrust != "" {
		who += " and has the verb entrust on dataprocessors/" + r.Entrust
	}
	if r.Role != "" {
		who += ": the " + r.Role
	}
	if r.Wait {
		who += "; or time"
	}
	return who
}

// The shapes of -o json. Every field is always there.
type (
	proofJSON struct {
		Allowed     bool        `json:"allowed"`
		Reason      string      `json:"reason"`
		Message     string      `json:"message"`
		NotAfter    *string     `json:"notAfter"`
		Workload    string      `json:"workload"` // KIND NAMESPACE/NAME; empty: pods in general
		Namespace   string      `json:"namespace"`
		Purpose     string      `json:"purpose"`
		AlsoFor     []string    `json:"alsoFor"` // purposes for which the same holds
		Entrustment string      `json:"entrustment"`
		Store       string      `json:"store"`
		Steps       []stepJSON  `json:"steps"`
		Remedy      *remedyJSON `json:"remedy"`          // null: none is needed
		Withheld    []string    `json:"withheldSecrets"` // that the workload references and must not
		Notes       []string    `json:"notes"`
	}
	stepJSON struct {
		Kind     string  `json:"kind"`
		Name     string  `json:"name"`
		Fact     string  `json:"fact"`
		Standing string  `json:"standing"` // Holds, Fails or Unjudged
		Decisive bool    `json:"decisive"`
		NotAfter *string `json:"notAfter"`
	}
	remedyJSON struct {
		Fix       string `json:"fix"`
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		Field     string `json:"field"`
		Verb      string `json:"verb"`
		Entrust   string `json:"entrust"` // DataProcessor on which the verb entrust is needed too
		Role      string `json:"role"`    // shipped ClusterRole
	}
)

var standings = map[entrustment.Standing]string{entrustment.Holds: "Holds", entrustment.Fails: "Fails", entrustment.Unjudged: "Unjudged"}

func (p *proof) json(zone *time.Location) proofJSON {
	d, r := p.decision, p.decision.Request()
	out := proofJSON{
		Allowed: p.allowed(), Reason: string(d.Reason()), Message: d.Message(), NotAfter: instantJSON(d.Until(), zone),
		Workload: p.pod, Namespace: r.Namespace, Purpose: r.Purpose, AlsoFor: append([]string{}, p.alsoFor...),
		Entrustment: r.Entrustment, Store: r.Store.String(), Steps: []stepJSON{},
		Withheld: append([]string{}, p.withheld...), Notes: append([]string{}, p.notes...),
	}
	for _, s := range p.steps {
		out.Steps = append(out.Steps, stepJSON{s.Kind, s.Name, s.Fact, standings[s.Standing], s.Decisive, instantJSON(s.Until, zone)})
	}
	if remedy, ok := d.Remedy(); ok {
		out.Remedy = &remedyJSON{fix(d.Message()), remedy.Kind, remedy.Name, remedy.Namespace, remedy.Field, remedy.Verb, remedy.Entrust, remedy.Role}
	}
	return out
}
