package oracle

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// bytesOf are random bytes to begin with.
func bytesOf(seed, n uint64) []byte {
	r := rand.New(rand.NewPCG(seed, n))
	data := make([]byte, r.IntN(600))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// FuzzCompile: whatever the objects say, nothing panics, and what has one meaning is decided as the plain evaluator does.
func FuzzCompile(f *testing.F) {
	f.Add([]byte{})
	for n := range uint64(20) {
		f.Add(bytesOf(1, n))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := Nonsense(data)
		askEverything(compile(w), w)
		agree(t, w.WithoutDoubles())
	})
}

// FuzzAuthorize: a reasonable world with some nonsense in it is decided as the plain evaluator does.
func FuzzAuthorize(f *testing.F) {
	for n := range uint64(20) {
		f.Add(uint64(1), n, bytesOf(2, n)[:n])
	}
	f.Fuzz(func(t *testing.T, seed, n uint64, data []byte) {
		w := Spoil(Random(seed, n), data[:min(len(data), 60)]).WithoutDoubles()
		askEverything(compile(w), w)
		agree(t, w)
	})
}

// agree lets both evaluators answer everything.
func agree(t *testing.T, w World) {
	t.Helper()
	snapshot := compile(w)
	for _, r := range w.Requests() {
		if p, c := plainly(w, r), compiled(snapshot, r); p != c {
			report(t, w, "the core differs", func(w World) string { return disagreement(w, r) })
		}
	}
	if wrong := grantsDiffer(w); wrong != "" {
		report(t, w, "the grants differ from the decisions", grantsDiffer)
	}
	if wrong := podsDiffer(w); wrong != "" {
		report(t, w, "AuthorizePod differs from Authorize", podsDiffer)
	}
}

// The fuzz targets without a fuzzer, on every run.
func TestNonsense(t *testing.T) {
	s := seed(t)
	for n := range worlds(1.0 / 20) {
		w := Nonsense(bytesOf(s, n))
		t.Run(fmt.Sprint("bytes ", n), func(t *testing.T) {
			askEverything(compile(w), w)
			agree(t, w.WithoutDoubles())
		})
		t.Run(fmt.Sprint("spoilt ", n), func(t *testing.T) {
			w := Spoil(Random(s, n), bytesOf(s, n)[:min(len(bytesOf(s, n)), int(n%40))]).WithoutDoubles()
			askEverything(compile(w), w)
			agree(t, w)
		})
	}
}
