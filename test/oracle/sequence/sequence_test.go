package sequence

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seedValue = flag.Uint64("seed", 0, "seed of the random sequences; 0: a new one each run")
	first     = flag.Uint64("first", 0, "number of the first sequence")
	count     = flag.Uint64("sequences", 200, "how many sequences to play in the model")
)

const longest = 40 // operations of a sequence

var noon = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

func TestSequences(t *testing.T) {
	seed := *seedValue
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed %d", seed)
	last := *first + *count
	if os.Getenv("ENTRUSTMENT_LONG") == "1" {
		last = *first + 10**count
	}
	var total census
	var mu sync.Mutex
	t.Run("in the model", func(t *testing.T) {
		for shard := range uint64(8) {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for n := *first + shard; n < last; n += 8 {
					happened := try(t, seed, n)
					mu.Lock()
					total.add(happened)
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%+v", total)
	if last-*first >= 100 && (total.opened == 0 || total.closed == 0 || total.admitted == 0 || total.ended == 0 || total.restarts == 0) {
		t.Errorf("something never happened: %+v", total)
	}
}

// try plays one sequence, and reports the shortest that fails.
func try(t *testing.T, seed, n uint64) census {
	t.Helper()
	wrong := func(operations []Operation) (string, census) {
		p := &player{Rand: rand.New(rand.NewPCG(seed, ^n))}
		return p.play(operations, noon), p.census
	}
	operations := sequence(seed, n)
	what, happened := wrong(operations)
	if what != "" {
		operations = shrink(operations, func(shorter []Operation) bool { what, _ := wrong(shorter); return what != "" })
		what, _ = wrong(operations)
		t.Fatalf("sequence %d of seed %d: %s\n%s", n, seed, what, describe(operations))
	}
	return happened
}

func sequence(seed, n uint64) []Operation {
	r := rand.New(rand.NewPCG(seed, n))
	return sequenceOf(r, 1+r.IntN(longest))
}

// shrink leaves out what a failure does not need.
func shrink(operations []Operation, fails func([]Operation) bool) []Operation {
	for i := 0; i < len(operations); {
		shorter := append(append([]Operation{}, operations[:i]...), operations[i+1:]...)
		if fails(shorter) {
			operations = shorter
		} else {
			i++
		}
	}
	return operations
}

func describe(operations []Operation) string {
	var out strings.Builder
	for i, o := range operations {
		fmt.Fprintf(&out, "%3d  %s\n", i, o.Name)
	}
	return out.String()
}
