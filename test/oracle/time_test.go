package oracle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/internal/entrustment"
)

// Nothing changes strictly between Now and NextChange, from change to change.
func TestNextChange(t *testing.T) {
	s := seed(t)
	var steps, idle int
	for n := range worlds(1.0 / 60) {
		w := applied(Random(s, n))
		for range 3 {
			if wrong := changesBefore(w); wrong != "" {
				report(t, w, fmt.Sprintf("world %d: NextChange is too late", n), changesBefore)
			}
			next, changes := compile(w).NextChange()
			if !changes {
				break
			}
			if !next.After(w.Now) {
				t.Fatalf("world %d: NextChange %s is not after Now %s", n, next, w.Now)
			}
			steps++
			if differs(w, at(w, next), timely(w)) == "" {
				idle++
			}
			w.Now = next
		}
	}
	t.Logf("%d steps from change to change, %d of them for nothing", steps, idle)
}

// Every grant lasts until the instant it names, through time alone, and not longer.
func TestUntil(t *testing.T) {
	s, ends := seed(t), 0
	for n := range worlds(1.0 / 12) {
		w := Random(s, n)
		if wrong := endsOtherwise(w); wrong != "" {
			report(t, w, fmt.Sprintf("world %d: Until is wrong", n), endsOtherwise)
		}
		ends += endings(w)
	}
	t.Logf("%d grants end", ends)
	if ends == 0 && *seedValue == 0 {
		t.Error("no grant ends through time alone")
	}
}

// applied creates at Now what was not created yet: else it would be created anew at every instant.
func applied(w World) World {
	for _, e := range w.Entrustments {
		if e.CreationTimestamp.IsZero() {
			e.CreationTimestamp = metav1.Time{Time: w.Now.Truncate(time.Second)}
		}
	}
	return w
}

func at(w World, t time.Time) World {
	w.Now = t
	return w
}

// timely are requests that time may answer otherwise, not too many.
func timely(w World) []entrustment.Request {
	s := compile(w)
	var all []entrustment.Request
	for i, r := range w.Requests() {
		if r.Purpose != "" && r.Purpose != unknown && r.Entrustment != unknown && (s.Authorize(r).Allowed() || i%7 == 0) {
			all = append(all, r)
		}
	}
	return all
}

// differs says what two instants of a world answer differently: a decision or a status.
func differs(w, later World, requests []entrustment.Request) string {
	a, b := compile(w), compile(later)
	for _, r := range requests {
		if x, y := compiled(a, r), compiled(b, r); x != y {
			return fmt.Sprintf("at %s %s, at %s %s: %s", stamp(w.Now), x, stamp(later.Now), y, describe(r))
		}
	}
	for _, purpose := range w.Purposes {
		x, _ := a.PurposeStatus(purpose.Name)
		y, _ := b.PurposeStatus(purpose.Name)
		if diff := cmp.Diff(x, y); diff != "" {
			return fmt.Sprintf("at %s (-) and %s (+) Purpose %s has status\n%s", stamp(w.Now), stamp(later.Now), purpose.Name, diff)
		}
	}
	for _, party := range w.Processors {
		x, _ := a.ProcessorStatus(party.Name)
		y, _ := b.ProcessorStatus(party.Name)
		if diff := cmp.Diff(x, y); diff != "" {
			return fmt.Sprintf("at %s (-) and %s (+) DataProcessor %s has status\n%s", stamp(w.Now), stamp(later.Now), party.Name, diff)
		}
	}
	for _, e := range w.Entrustments {
		x, _ := a.EntrustmentStatus(e.Name)
		y, _ := b.EntrustmentStatus(e.Name)
		if diff := cmp.Diff(x, y); diff != "" {
			return fmt.Sprintf("at %s (-) and %s (+) Entrustment %s has status\n%s", stamp(w.Now), stamp(later.Now), e.Name, diff)
		}
	}
	for _, store := range w.Stores {
		x, _ := a.StoreStatus(key(store))
		y, _ := b.StoreStatus(key(store))
		if diff := cmp.Diff(x, y); diff != "" {
			return fmt.Sprintf("at %s (-) and %s (+) PersonalDataStore %s has status\n%s", stamp(w.Now), stamp(later.Now), key(store), diff)
		}
	}
	return ""
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999999Z") }

// changesBefore says what changes strictly between Now and NextChange.
func changesBefore(w World) string {
	w = applied(w.Clone())
	requests := timely(w)
	next, changes := compile(w).NextChange()
	probes := []time.Time{w.Now.Add(1), w.Now.Add(time.Hour), w.Now.Add(24 * time.Hour), w.Now.Add(40 * 24 * time.Hour)}
	probes = append(probes, w.Instants()...)
	if changes {
		probes = append(probes, w.Now.Add(next.Sub(w.Now)/2), next.Add(-1))
	}
	for _, probe := range probes {
		if !probe.After(w.Now) || changes && !probe.Before(next) {
			continue
		}
		if change := differs(w, at(w, probe), requests); change != "" {
			return fmt.Sprintf("NextChange is %s %v, but %s", stamp(next), changes, change)
		}
	}
	return ""
}

// endings counts the allowed requests that time alone will deny.
func endings(w World) int {
	s, count := compile(w), 0
	for _, r := range w.Requests() {
		if d := s.Authorize(r); d.Allowed() && !d.Until().IsZero() {
			count++
		}
	}
	return count
}

// endsOtherwise says which allowed request is denied before its Until, or not denied then. The plain evaluator is asked.
func endsOtherwise(w World) string {
	w = applied(w.Clone())
	s := compile(w)
	instants := w.Instants()
	for _, r := range w.Requests() {
		d := s.Authorize(r)
		if !d.Allowed() {
			continue
		}
		until := d.Until()
		if !until.IsZero() && !until.After(w.Now) {
			return fmt.Sprintf("%s: allowed at %s until %s", describe(r), stamp(w.Now), stamp(until))
		}
		probes := slices.Clone(instants)
		if !until.IsZero() {
			probes = append(probes, until.Add(-1))
			if a := plainly(at(w, until), r); a.allowed {
				return fmt.Sprintf("%s: Until is %s, but still %s then", describe(r), stamp(until), a)
			}
		}
		for _, probe := range probes {
			if !probe.After(w.Now) || !until.IsZero() && !probe.Before(until) {
				continue
			}
			if a := plainly(at(w, probe), r); !a.allowed {
				return fmt.Sprintf("%s: Until is %s, but %s at %s", describe(r), stamp(until), a, stamp(probe))
			}
		}
	}
	return ""
}
