package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"entrustment.dev/operator/internal/ledger"
)

var noon = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.UTC)

// keeper keeps heads in memory.
type keeper struct {
	mu    sync.Mutex
	heads map[string]ledger.Head
	fails int // so many calls fail first
}

func (k *keeper) Load(_ context.Context, chain string) (ledger.Head, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heads[chain], k.fail()
}

func (k *keeper) Save(_ context.Context, chain string, head ledger.Head) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.fail(); err != nil {
		return err
	}
	if k.heads == nil {
		k.heads = map[string]ledger.Head{}
	}
	k.heads[chain] = head
	return nil
}

func (k *keeper) fail() error {
	if k.fails > 0 {
		k.fails--
		return errors.New("no API server")
	}
	return nil
}

// write runs a chain until it has written what is recorded.
func write(t *testing.T, k ledger.Keeper, out *bytes.Buffer, entries ...ledger.Entry) {
	t.Helper()
	chain := ledger.NewChain("replica-0", out, k, clocktesting.NewFakePassiveClock(noon))
	chain.Retry = time.Millisecond
	chain.Record(entries...)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := chain.Start(ctx); err != nil {
		t.Fatal(err)
	}
}

func made(purpose string) ledger.Entry {
	return ledger.Entry{
		Event: ledger.GrantMade, Actor: "entrustment-operator",
		Grant: &ledger.Grant{Namespace: "biller", Purpose: purpose, Entrustment: "fees", Stores: []string{"data/ledger"}},
	}
}

func TestARestartGoesOnWhereTheChainEnded(t *testing.T) {
	k, out := &keeper{}, &bytes.Buffer{}
	write(t, k, out, ledger.Entry{Event: ledger.Started, Actor: "entrustment-operator"}, made("billing"))
	write(t, k, out)
	write(t, k, out, made("dunning"))
	report, err := ledger.Verify(out, k.heads)
	if err != nil {
		t.Fatal(err)
	}
	if !report.Intact() || len(report.Chains) != 1 || report.Chains[0].Entries != 3 || report.Chains[0].Last != 3 {
		t.Errorf("%+v", report)
	}
}

func TestTheFormOfALine(t *testing.T) {
	out := &bytes.Buffer{}
	write(t, &keeper{}, out, made("billing"))
	want := `{"chain":"replica-0","sequence":1,"time":"2026-11-23T12:00:00Z","event":"GrantMade","actor":"entrustment-operator",` +
		`"grant":{"namespace":"biller","purpose":"billing","entrustment":"fees","stores":["data/ledger"]}}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestNothingIsWrittenBeforeItsHeadIsKept(t *testing.T) {
	k, out := &keeper{fails: 1 << 30}, &bytes.Buffer{}
	chain := ledger.NewChain("replica-0", out, k, clock.RealClock{})
	chain.Retry = time.Millisecond
	chain.Record(made("billing"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := chain.Start(ctx); err == nil {
		t.Error("said nothing")
	}
	if out.Len() > 0 {
		t.Errorf("wrote %s", out)
	}
	// Once the head can be kept, all is written.
	k.fails = 3
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	again := ledger.NewChain("replica-0", out, k, clock.RealClock{})
	again.Retry = time.Millisecond
	done := make(chan error)
	go func() { done <- again.Start(ctx) }()
	again.Record(made("billing"))
	for k.head("replica-0").Sequence == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if report, err := ledger.Verify(out, k.heads); err != nil || !report.Intact() || report.Chains[0].Entries != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func (k *keeper) head(chain string) ledger.Head {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heads[chain]
}

func TestWhatDoesNotFitIsCounted(t *testing.T) {
	k, out := &keeper{}, &bytes.Buffer{}
	write(t, k, out, slices.Repeat([]ledger.Entry{made("billing")}, 1<<16+7)...)
	if !strings.Contains(out.String(), "7 entries could not be recorded") {
		t.Error("the loss is not told")
	}
	if report, err := ledger.Verify(out, k.heads); err != nil || !report.Intact() {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestVerify(t *testing.T) {
	k, out := &keeper{}, &bytes.Buffer{}
	for i := range 5 {
		write(t, k, out, made(fmt.Sprintf("purpose-%d", i)))
	}
	good := strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
	good[4] += "\n"
	heads := k.heads
	without := func(i int) []string { return slices.Delete(slices.Clone(good), i, i+1) }
	with := func(i int, line string) []string {
		changed := slices.Clone(good)
		changed[i] = line
		return changed
	}
	for name, test := range map[string]struct {
		lines []string
		heads map[string]ledger.Head
		want  []string
	}{
		"an intact ledger":                      {good, heads, nil},
		"one whose heads are not known":         {good, nil, nil},
		"the rest of a log between the lines":   {slices.Insert(slices.Clone(good), 2, "started\n", "{\"level\":\"info\"}\n", "\n"), heads, nil},
		"a ledger whose beginning is elsewhere": {good[2:], heads, nil},
		"a line that was taken away":            {without(2), heads, []string{"3: entry 3 is missing"}},
		"lines that were taken away":            {slices.Concat(good[:1], good[4:]), heads, []string{"2: entries 2 to 4 are missing"}},
		"a line that was changed":               {with(2, strings.Replace(good[2], "purpose-2", "purpose-9", 1)), heads, []string{"4: entry 4 does not follow entry 3 as it stands here: one of the two was changed"}},
		"the last line changed":                 {with(4, strings.Replace(good[4], "purpose-4", "purpose-9", 1)), heads, []string{"0: entry 5 is not the one that was written: it was changed"}},
		"a line that is no entry any more":      {with(2, good[2][:60]+"\n"), heads, []string{"3: this was an entry", "4: entry 3 is missing"}},
		"two lines that changed places":         {slices.Concat(good[:1], good[2:3], good[1:2], good[3:]), heads, []string{"2: entry 2 is missing", "3: entry 2 comes after entry 3", "4: entry 3 is missing"}},
		"a line twice":                          {slices.Insert(slices.Clone(good), 1, good[0]), heads, []string{"2: entry 1 comes after entry 1"}},
		"the end cut off":                       {good[:3], heads, []string{"0: ends at entry 3, and 5 were written"}},
		"a line cut off":                        {with(4, strings.TrimSuffix(good[4], "\n")), heads, []string{"5: the last line has no end"}},
		"lines that nobody wrote":               {good, map[string]ledger.Head{"replica-0": {Sequence: 3, Hash: "x"}}, []string{"0: ends at entry 5, but only 3 were written"}},
		"a chain that is missing":               {good, map[string]ledger.Head{"replica-0": heads["replica-0"], "replica-1": {Sequence: 2}}, []string{"0: no line of the 2 entries of this chain is here"}},
		"nothing at all":                        {nil, heads, []string{"0: no line of the 5 entries"}},
		"a first entry with one before it":      {[]string{strings.Replace(good[1], `"sequence":2`, `"sequence":1`, 1)}, nil, []string{"1: entry 1 names one before it"}},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := ledger.Verify(strings.NewReader(strings.Join(test.lines, "")), test.heads)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range report.Problems {
				got = append(got, fmt.Sprintf("%d: %s", p.Line, p.Text))
			}
			if len(got) != len(test.want) {
				t.Fatalf("found %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) {
					t.Errorf("found %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}

func TestAHeadReadsBack(t *testing.T) {
	head := ledger.Head{Sequence: 42, Hash: strings.Repeat("ab", 32)}
	if read, err := ledger.ParseHead(head.String()); err != nil || read != head {
		t.Errorf("%v, %v", read, err)
	}
	for _, text := range []string{"", "1", "x y", "1 ab", "1 " + strings.Repeat("zz", 32), "-1 " + strings.Repeat("ab", 32)} {
		if _, err := ledger.ParseHead(text); err == nil {
			t.Errorf("%q was taken for a head", text)
		}
	}
}

func FuzzVerify(f *testing.F) {
	out := &bytes.Buffer{}
	chain := ledger.NewChain("replica-0", out, &keeper{}, clocktesting.NewFakePassiveClock(noon))
	chain.Record(made("billing"), made("dunning"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := chain.Start(ctx); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte(`{"chain":"a","sequence":18446744073709551615}` + "\n" + `{"chain":"a","sequence":1,"previous":"x"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		report, err := ledger.Verify(bytes.NewReader(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range report.Chains {
			if report.Intact() && uint64(c.Entries) != c.Last-c.First+1 {
				t.Errorf("%+v is called intact", c)
			}
		}
	})
}
