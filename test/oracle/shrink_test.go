package oracle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A mistake in the core is cut down to the objects and fields it needs.
func TestShrink(t *testing.T) {
	suspended := func(w World) bool {
		for _, e := range w.Entrustments {
			if e.Spec.Suspended && e.Spec.EntrusteeName == "d1" {
				return true
			}
		}
		return false
	}
	for n := range uint64(100000) {
		w := Random(1, n)
		if !suspended(w) {
			continue
		}
		w.Namespaces, w.Location = nil, nil
		small := Shrink(w, suspended)
		_, got, _ := strings.Cut(small.YAML(), "\n")
		name := small.Entrustments[0].Name
		want := `---
apiVersion: entrustment.dev/v1alpha1
kind: Entrustment
metadata:
  name: ` + name + `
spec:
  entrusteeName: d1
  notAfter: null
  suspended: true
`
		if diff := cmp.Diff(strings.ReplaceAll(want, "  notAfter: null\n", ""), got); diff != "" {
			t.Error(diff)
		}
		return
	}
	t.Error("no entrustment to d1 is suspended in any world")
}

// Worlds come again from their seed, and copies of them are apart.
func TestWorldsRepeat(t *testing.T) {
	for n := range uint64(20) {
		w := Random(3, n)
		if diff := cmp.Diff(w.YAML(), Random(3, n).YAML()); diff != "" {
			t.Fatal(diff)
		}
		before := w.YAML()
		c := w.Clone()
		for _, e := range c.Entrustments {
			e.Spec.Stores, e.Spec.Suspended = nil, !e.Spec.Suspended
		}
		for name := range c.Namespaces {
			c.Namespaces[name] = "other"
		}
		if diff := cmp.Diff(before, w.YAML()); diff != "" {
			t.Fatal(diff)
		}
	}
}
