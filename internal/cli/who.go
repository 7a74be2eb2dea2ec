package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/isolation"
)

// who lists everybody who reaches one store.
type who struct {
	source
	effective bool
	output    string
}

func newWho(from source) *cobra.Command {
	w := &who{source: from}
	command := &cobra.Command{
		Use:   "who NAMESPACE/STORE",
		Short: "List who reaches a store: parties, contracts, namespaces, purposes, pods, until when",
		Long: `List everybody who reaches a personal-data store: the party, the contract under which it does (none: the data controller's
own handling), the namespace, the purposes, and until when, if time alone ends it. The pods are those of the cluster that declare
it and have not ended; with -f the workloads of the files. The store's own pods reach it always and are not listed.

--effective adds what the network policies of others open besides, as far as the API networking.k8s.io/v1 tells.`,
		Example: `  # Who reaches the ledger now?
  kubectl entrust who data-billing/billing-ledger

  # And by network policies that are not the operator's?
  kubectl entrust who data-billing/billing-ledger --effective

  # Who will at the end of the year, by a policy that is not applied yet?
  kubectl entrust who data-usage/usage-pseudonymised -f policy/ --at 2026-12-31T00:00:00+09:00`,
		Args: cobra.MatchAll(takes(1, 1), w.namesFiles),
		RunE: func(command *cobra.Command, args []string) error { return w.run(command.Context(), args[0]) },
	}
	w.addFlags(command)
	command.Flags().BoolVar(&w.effective, "effective", false, "Add what network policies of others open")
	command.ValidArgsFunction = w.completeStore(0)
	outputFlag(command, &w.output, "table", "wide", "json")
	return command
}

func (w *who) run(ctx context.Context, store string) error {
	key, err := storeKey(store)
	if err != nil {
		return err
	}
	if w.effective && w.offline() {
		return errors.New("--effective asks for the network policies of a cluster, which files do not tell")
	}
	snapshot, files, err := w.read(ctx)
	if err != nil {
		return err
	}
	if snapshot.Store(key) == nil {
		return missingStore(snapshot, key)
	}
	pods, err := w.workloads(ctx, files)
	if err != nil {
		return err
	}
	answer := reachOf(snapshot, key, pods)
	if w.effective {
		if answer.Opened, err = w.opened(ctx, snapshot, key); err != nil {
			return err
		}
	}
	if w.output == "json" {
		return writeIndented(w.streams.Out, answer.json(w.zone.Location))
	}
	return answer.write(w.streams.Out, w.zone.Location, w.output == "wide", files != nil)
}

// missingStore says that there is no such store, and which ones there are.
func missingStore(s *entrustment.Snapshot, key types.NamespacedName) error {
	const most = 5
	var names []string
	for _, other := range s.Stores() {
		if other.Name == key.Name || other.Namespace == key.Namespace {
			names = append(names, other.String())
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("PersonalDataStore %s does not exist; list them with kubectl get personaldatastores -A", key)
	}
	return fmt.Errorf("PersonalDataStore %s does not exist; did you mean %s?", key, strings.Join(names[:min(len(names), most)], ", "))
}

// reached is who reaches a store.
type reached struct {
	Store   types.NamespacedName
	Grants  []reachGrant // sorted by namespace, then contract
	Opened  []string     // what policies of others open; nil: nobody asked
	Reports bool         // nothing is cut for the store
}

type reachGrant struct {
	entrustment.Grant
	Party string
	Until time.Time         // the earliest end of one of the purposes; zero: none ends
	Pods  []gather.Workload // nil: not known
}

func reachOf(s *entrustment.Snapshot, key types.NamespacedName, pods []gather.Workload) reached {
	byGrant := map[[2]string][]gather.Workload{} // by namespace and contract
	for _, pod := range pods {
		purpose, contract, _, empty := pod.Declares()
		d := s.Authorize(entrustment.Request{Namespace: pod.Namespace, Purpose: purpose, Entrustment: contract, Store: key})
		if d.Allowed() && !empty {
			under := [2]string{pod.Namespace, contract}
			byGrant[under] = append(byGrant[under], pod)
		}
	}
	r := reached{Store: key, Reports: entrustment.Reports(s.Store(key))}
	for _, grant := range s.StoreGrants(key) {
		party, _, _ := s.Binding(grant.Namespace)
		row := reachGrant{Grant: grant, Party: party}
		for _, purpose := range grant.Purposes {
			d := s.Authorize(entrustment.Request{Namespace: grant.Namespace, Purpose: purpose, Entrustment: grant.Entrustment, Store: key})
			if until := d.Until(); row.Until.IsZero() || !until.IsZero() && until.Before(row.Until) {
				row.Until = until
			}
		}
		if row.Pods = byGrant[[2]string{grant.Namespace, grant.Entrustment}]; row.Pods == nil && pods != nil {
			row.Pods = []gather.Workload{}
		}
		r.Grants = append(r.Grants, row)
	}
	return r
}

// opened is what the network policies of others open.
func (w *who) opened(ctx context.Context, s *entrustment.Snapshot, key types.NamespacedName) ([]string, error) {
	reader, err := w.client()
	if err != nil {
		return nil, err
	}
	policies := policiesOf(ctx, reader)
	store := s.Store(key)
	findings, err := isolation.Opened(store, s.StoreGrants(key), policies)
	if err != nil {
		return nil, err
	}
	said := []string{}
	for _, f := range findings {
		said = append(said, f.String())
	}
	if store.Spec.Endpoint.External == nil {
		return said, nil
	}
	for _, namespace := range s.BoundNamespaces() {
		f, exposed, err := isolation.Exposed(s, namespace, store, policies)
		switch {
		case err != nil:
			return nil, err
		case exposed && f.Policy.Name != "":
			said = append(said, fmt.Sprintf("NetworkPolicy %s opens %s to pods without a grant (spec.egress[%d])", f.Policy, f.Peer, f.Index))
		case exposed:
			said = append(said, fmt.Sprintf("no policy keeps all pods of namespace %s from the addresses of the store", namespace))
		}
	}
	return said, nil
}

func policiesOf(ctx context.Context, reader client.Reader) isolation.Policies {
	return func(namespace string) ([]*networkingv1.NetworkPolicy, error) {
		list := &networkingv1.NetworkPolicyList{}
		if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("list the network policies of namespace %s: %w", namespace, err)
		}
		policies := make([]*networkingv1.NetworkPolicy, len(list.Items))
		for i := range list.Items {
			policies[i] = &list.Items[i]
		}
		return policies, nil
	}
}

func (r *reached) write(out io.Writer, zone *time.Location, wide, files bool) error {
	what := "PODS"
	if files {
		what = "WORKLOADS"
	}
	t := newTable("PARTY", "ENTRUSTMENT", "NAMESPACE", "PURPOSES", "UNTIL", what)
	for i := range r.Grants {
		g := &r.Grants[i]
		pods := podList(g.Pods)
		if !wide && !files && g.Pods != nil {
			pods = strconv.Itoa(len(g.Pods))
		}
		t.add(g.Party, cmp.Or(g.Entrustment, "-"), g.Namespace, strings.Join(g.Purposes, ","), when(g.Until, zone), pods)
	}
	p := newPalette(out)
	if err := t.write(out, p); err != nil {
		return err
	}
	var notes []string
	if r.Reports {
		notes = append(notes, "The store only reports: no policy cuts, so that everybody reaches it whom no other policy stops.")
	}
	for _, opened := range r.Opened {
		notes = append(notes, "Open besides: "+opened)
	}
	if r.Opened != nil && len(r.Opened) == 0 {
		notes = append(notes, "No network policy of others opens anything besides.")
	}
	for i, note := range notes {
		if i == 0 {
			note = "\n" + note
		}
		if _, err := fmt.Fprintln(out, note); err != nil {
			return err
		}
	}
	return nil
}

// unknownPods is what a table says of pods that nobody could ask for.
const unknownPods = "<unknown>"

// podList is what a table says of pods.
func podList(pods []gather.Workload) string {
	if pods == nil {
		return unknownPods
	}
	return cmp.Or(strings.Join(podNames(pods), ","), "-")
}

// podNames are nil where the pods are not known.
func podNames(pods []gather.Workload) []string {
	if pods == nil {
		return nil
	}
	names := make([]string, len(pods))
	for i := range pods {
		names[i] = pods[i].Name
		if pods[i].Kind != "Pod" {
			names[i] = strings.ToLower(pods[i].Kind) + "/" + names[i]
		}
	}
	return names
}

// The shape of -o json. Every field is always there.
type (
	reachedJSON struct {
		Store   string           `json:"store"`
		Reports bool             `json:"reports"` // nothing is cut for the store
		Grants  []reachGrantJSON `json:"grants"`
		Opened  []string         `json:"opened"` // by network policies of others; null: --effective was not given
	}
	reachGrantJSON struct {
		Party       string   `json:"party"`
		Entrustment string   `json:"entrustment"` // empty: the data controller's own handling
		Namespace   string   `json:"namespace"`
		Purposes    []string `json:"purposes"`
		NotAfter    *string  `json:"notAfter"` // null: never by time alone
		Pods        []string `json:"pods"`     // or workloads of files, as KIND/NAME; null: not known
	}
)

func (r *reached) json(zone *time.Location) reachedJSON {
	out := reachedJSON{Store: r.Store.String(), Reports: r.Reports, Grants: []reachGrantJSON{}, Opened: r.Opened}
	for i := range r.Grants {
		g := &r.Grants[i]
		out.Grants = append(out.Grants, reachGrantJSON{g.Party, g.Entrustment, g.Namespace, g.Purposes, instantJSON(g.Until, zone), podNames(g.Pods)})
	}
	return out
}
