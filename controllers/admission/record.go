package admission

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/ledger"
)

// recorder is where grants are recorded when they are made, changed or taken away.
type recorder interface{ Record(...ledger.Entry) }

// told is what each namespace was shown by this process. What somebody else makes of the object is drift, and no grant was
// made or withdrawn by it.
type told struct {
	mu     sync.Mutex
	grants map[string][]v1alpha1.Grant
}

// before is what a namespace was shown last. Of one that was not yet looked at the live object tells, so that what changed
// while the operator was dead is recorded too.
func (t *told) before(namespace string, live *v1alpha1.PersonalDataAccess) []v1alpha1.Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	grants, known := t.grants[namespace]
	if !known && live != nil {
		return live.Grants
	}
	return grants
}

func (t *told) show(namespace string, grants []entrustment.AccessGrant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.grants == nil {
		t.grants = map[string][]v1alpha1.Grant{}
	}
	list := make([]v1alpha1.Grant, len(grants))
	for i := range grants {
		g := &grants[i]
		list[i] = v1alpha1.Grant{Purpose: g.Purpose, Entrustment: g.Entrustment, Stores: storeNames(g)}
		if !g.Until.IsZero() {
			list[i].NotAfter = &metav1.Time{Time: g.Until.Truncate(time.Second)}
		}
	}
	t.grants[namespace] = list
}

func (t *told) forget(namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.grants, namespace)
}

// changes compares what a namespace was shown with what it is shown now, in the order of the grants.
func changes(current *entrustment.Snapshot, namespace string, before []v1alpha1.Grant, now []entrustment.AccessGrant) []ledger.Entry {
	old := map[[2]string]*v1alpha1.Grant{}
	for i := range before {
		old[[2]string{before[i].Entrustment, before[i].Purpose}] = &before[i]
	}
	var entries []ledger.Entry
	add := func(event ledger.Event, purpose, under string, stores []string, until time.Time) *ledger.Entry {
		grant := &ledger.Grant{Namespace: namespace, Purpose: purpose, Entrustment: under, Stores: stores}
		if !until.IsZero() {
			end := until.UTC()
			grant.NotAfter = &end
		}
		entries = append(entries, ledger.Entry{Event: event, Actor: v1alpha1.ManagedBy, Objects: grounds(current, namespace, under), Grant: grant})
		return &entries[len(entries)-1]
	}
	for i := range now {
		g := &now[i]
		key := [2]string{g.Entrustment, g.Purpose}
		was, stores := old[key], storeNames(g)
		delete(old, key)
		if was == nil {
			add(ledger.GrantMade, g.Purpose, g.Entrustment, stores, g.Until)
			continue
		}
		gained, lost := without(stores, was.Stores), without(was.Stores, stores)
		longer := compareEnds(g.Until.Truncate(time.Second), was)
		if len(lost) > 0 || longer < 0 {
			add(ledger.GrantNarrowed, g.Purpose, g.Entrustment, lost, g.Until)
		}
		if len(gained) > 0 || longer > 0 {
			add(ledger.GrantWidened, g.Purpose, g.Entrustment, gained, g.Until)
		}
	}
	withdrawn := make([]*v1alpha1.Grant, 0, len(old))
	for _, g := range old {
		withdrawn = append(withdrawn, g)
	}
	slices.SortFunc(withdrawn, func(a, b *v1alpha1.Grant) int {
		return strings.Compare(a.Entrustment+" "+a.Purpose, b.Entrustment+" "+b.Purpose)
	})
	for _, g := range withdrawn {
		e := add(ledger.GrantWithdrawn, g.Purpose, g.Entrustment, g.Stores, time.Time{})
		why := current.AuthorizePod(namespace, g.Purpose, g.Entrustment)
		e.Reason, e.Message = string(why.Reason()), why.Message()
		if why.Allowed() {
			e.Reason, e.Message = string(v1alpha1.ReasonNamespaceNotFound), fmt.Sprintf("namespace %s is gone", namespace)
		}
	}
	return entries
}

// grounds are the objects by which a namespace may do what it may, as they are now.
func grounds(current *entrustment.Snapshot, namespace, under string) []ledger.Object {
	var objects []ledger.Object
	for _, g := range current.Grounds(namespace, under) {
		objects = append(objects, ledger.Object{Kind: g.Kind, Name: g.Name, Generation: g.Generation})
	}
	return objects
}

func storeNames(g *entrustment.AccessGrant) []string {
	var names []string
	for _, key := range g.Stores {
		names = append(names, key.String())
	}
	return names
}

// without is what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// compareEnds says whether a grant now ends later (1) or earlier (-1) than it did; zero is never.
func compareEnds(until time.Time, was *v1alpha1.Grant) int {
	switch {
	case was.NotAfter == nil && until.IsZero():
		return 0
	case was.NotAfter == nil:
		return -1
	case until.IsZero():
		return 1
	}
	return until.Compare(was.NotAfter.Time)
}
