package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// enforcementChange is what begins or ceases to be enforced, and whom that hits.
type enforcementChange struct {
	entrustment.EnforcementChange
	Cut     []cutPod // sorted by namespace, reason and name
	Unknown bool     // nobody could ask for the pods: there may be others
	Counted int32    // by the status of a store that has no room to list all pods that would be cut
}

// cutPod is one that a store cuts off, or that its namespace refuses from now on.
type cutPod struct {
	Pod    gather.Workload
	Reason v1alpha1.Reason
}

// enforcementOf tells whom it hits that something is enforced from now on: of the pods that declare something, those without
// a grant, and of the others those that the store's status lists. Whoever is granted what he declares stays.
func enforcementOf(change entrustment.EnforcementChange, next *entrustment.Snapshot, workloads []gather.Workload) enforcementChange {
	hit := enforcementChange{EnforcementChange: change}
	if !change.Begins {
		return hit
	}
	hit.Unknown = workloads == nil
	asked := map[string]bool{}
	for i := range workloads {
		w := &workloads[i]
		if change.Namespace != "" && w.Namespace != change.Namespace {
			continue
		}
		asked[w.String()] = true
		if reason := deniedFrom(w, change, next); reason != "" {
			hit.Cut = append(hit.Cut, cutPod{*w, reason})
		}
	}
	if store := next.Store(change.Store); store != nil {
		for _, pod := range store.Status.WouldDeny {
			w := gather.Workload{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}
			if !asked[w.String()] {
				hit.Cut = append(hit.Cut, cutPod{w, pod.Reason})
			}
		}
		if int(store.Status.WouldDenyCount) > len(store.Status.WouldDeny) {
			hit.Counted = store.Status.WouldDenyCount
		}
	}
	slices.SortFunc(hit.Cut, func(a, b cutPod) int {
		return cmp.Or(strings.Compare(a.Pod.Namespace, b.Pod.Namespace), cmp.Compare(a.Reason, b.Reason), strings.Compare(a.Pod.String(), b.Pod.String()))
	})
	return hit
}

// deniedFrom is why a workload is cut off from a store, or refused by its namespace; empty: it is not. The store's own pods reach
// it always.
func deniedFrom(w *gather.Workload, change entrustment.EnforcementChange, next *entrustment.Snapshot) v1alpha1.Reason {
	purpose, contract, _, empty := w.Declares()
	own := func(s *v1alpha1.PersonalDataStore) bool {
		return s.Namespace == change.Store.Namespace && s.Name == change.Store.Name
	}
	var d entrustment.Decision
	switch {
	case change.Namespace != "":
		d = next.AuthorizePod(w.Namespace, purpose, contract)
	case slices.ContainsFunc(next.StoresOfPod(w.Namespace, w.Labels), own):
		return ""
	default:
		d = next.Authorize(entrustment.Request{Namespace: w.Namespace, Purpose: purpose, Entrustment: contract, Store: change.Store})
	}
	switch {
	case empty: // which is not the same as none
		return v1alpha1.ReasonEntrustmentNotFound
	case d.Allowed():
		return ""
	}
	return d.Reason()
}

func (c *enforcementChange) word() string {
	if c.Begins {
		return "begins"
	}
	return "ends"
}

// groups are the pods of one namespace that are hit for one reason; those of a group that is empty are not known.
func (c *enforcementChange) groups() []cutGroup {
	groups := []cutGroup{}
	for i := range c.Cut {
		pod := &c.Cut[i].Pod
		if last := len(groups) - 1; last < 0 || groups[last].Namespace != pod.Namespace || groups[last].Reason != string(c.Cut[i].Reason) {
			groups = append(groups, cutGroup{Namespace: pod.Namespace, Reason: string(c.Cut[i].Reason)})
		}
		last := &groups[len(groups)-1]
		last.Pods = append(last.Pods, podNames([]gather.Workload{*pod})...)
	}
	if c.Unknown {
		groups = append(groups, cutGroup{})
	}
	return groups
}

var enforcementHeader = []string{"ENFORCEMENT", "OF", "NAMESPACE", "PODS", "REASON"}

func (c *enforcementChange) rows() [][]string {
	of := "namespace " + c.Namespace
	if c.Namespace == "" {
		of = "store " + c.Store.String()
	}
	var rows [][]string
	for _, g := range c.groups() {
		rows = append(rows, []string{c.word(), of, cmp.Or(g.Namespace, "-"), cmp.Or(strings.Join(g.Pods, ","), unknownPods), cmp.Or(g.Reason, "-")})
	}
	if len(rows) == 0 {
		rows = append(rows, []string{c.word(), of, "-", "-", "-"})
	}
	return rows
}

// notes say what the rows cannot.
func (s *planStep) notes() []string {
	var notes []string
	for i := range s.Enforcement {
		c := &s.Enforcement[i]
		if !c.Begins || c.Namespace != "" {
			continue
		}
		if len(notes) == 0 {
			notes = append(notes, "Pods that declare nothing are known only as far as the status of a store lists them: look at its own sessions, too.")
		}
		if c.Counted > 0 {
			notes = append(notes, fmt.Sprintf("The status of store %s counts %d pods that would be cut, and has no room to list them all.", c.Store, c.Counted))
		}
	}
	return notes
}

// The shape in -o json.
type (
	enforcementChangeJSON struct {
		Change    string     `json:"change"`    // begins or ends
		Store     string     `json:"store"`     // empty: it is about a namespace
		Namespace string     `json:"namespace"` // empty: it is about a store
		Cut       []cutGroup `json:"cut"`       // who is cut off from the store, or refused by the namespace
	}
	cutGroup struct {
		Namespace string   `json:"namespace"`
		Pods      []string `json:"pods"` // NAME, or KIND/NAME of a workload in files; null: there may be others, who are not known
		Reason    string   `json:"reason"`
	}
)

func (c *enforcementChange) json() enforcementChangeJSON {
	out := enforcementChangeJSON{Change: c.word(), Namespace: c.Namespace, Cut: c.groups()}
	if c.Namespace == "" {
		out.Store = c.Store.String()
	}
	return out
}
