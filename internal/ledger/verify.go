package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// maxProblems bounds what is told of one ledger: one bad line may make every later one bad.
const maxProblems = 100

// Report is what Verify found.
type Report struct {
	Chains   []ChainReport `json:"chains"`   // sorted by name
	Others   int           `json:"others"`   // lines that are no entries, such as the rest of a log
	Problems []Problem     `json:"problems"` // in the order of the lines; at most maxProblems
	More     bool          `json:"more"`     // there are more problems
}

// ChainReport is what was found of one chain.
type ChainReport struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	First   uint64 `json:"first"` // sequence numbers
	Last    uint64 `json:"last"`
	Head    Head   `json:"-"` // after the last line
}

// Problem is a reason not to trust the ledger.
type Problem struct {
	Line  int    `json:"line,omitempty"` // from 1; 0: about the end of the ledger
	Chain string `json:"chain"`
	Text  string `json:"text"`
}

// Intact says whether nothing was found.
func (r *Report) Intact() bool { return len(r.Problems) == 0 }

// Verify reads the lines of any number of chains, in the order in which each was written, and follows each. A chain may
// begin in the middle, where older lines are kept elsewhere. With heads, by chain, each has to end at its head, and no
// chain may be missing; nil: heads are not known.
func Verify(lines io.Reader, heads map[string]Head) (*Report, error) {
	v := verifier{chains: map[string]*ChainReport{}, report: &Report{Chains: []ChainReport{}, Problems: []Problem{}}}
	reader := bufio.NewReader(lines)
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			v.line(number, line, err == nil)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading line %d of the ledger: %w", number, err)
		}
	}
	v.ends(heads)
	for _, c := range v.chains {
		v.report.Chains = append(v.report.Chains, *c)
	}
	slices.SortFunc(v.report.Chains, func(a, b ChainReport) int { return strings.Compare(a.Name, b.Name) })
	return v.report, nil
}

type verifier struct {
	chains map[string]*ChainReport
	report *Report
}

func (v *verifier) problem(line int, chain, format string, args ...any) {
	if len(v.report.Problems) >= maxProblems {
		v.report.More = true
		return
	}
	v.report.Problems = append(v.report.Problems, Problem{line, chain, fmt.Sprintf(format, args...)})
}

func (v *verifier) line(number int, raw []byte, ended bool) {
	line := bytes.TrimSuffix(raw, []byte("\n"))
	var e Entry
	if err := json.Unmarshal(line, &e); err != nil || e.Chain == "" || e.Sequence == 0 {
		if bytes.Contains(line, []byte(`"chain"`)) && bytes.Contains(line, []byte(`"sequence"`)) {
			v.problem(number, e.Chain, "this was an entry and is not any more: %.80q", line)
			return
		}
		v.report.Others++
		return
	}
	if !ended {
		v.problem(number, e.Chain, "the last line has no end: it was cut off while it was written, or later")
	}
	c := v.chains[e.Chain]
	if c == nil {
		c = &ChainReport{Name: e.Chain, First: e.Sequence}
		v.chains[e.Chain] = c
		if e.Sequence == 1 && e.Previous != "" {
			v.problem(number, e.Chain, "entry 1 names one before it")
		}
	} else {
		v.follows(number, c, &e)
	}
	c.Entries++
	c.Last, c.Head = e.Sequence, Head{e.Sequence, hash(line)}
}

func (v *verifier) follows(number int, c *ChainReport, e *Entry) {
	switch {
	case e.Sequence <= c.Last:
		v.problem(number, c.Name, "entry %d comes after entry %d", e.Sequence, c.Last)
	case e.Sequence == c.Last+2:
		v.problem(number, c.Name, "entry %d is missing", c.Last+1)
	case e.Sequence > c.Last+1:
		v.problem(number, c.Name, "entries %d to %d are missing", c.Last+1, e.Sequence-1)
	case e.Previous != c.Head.Hash:
		v.problem(number, c.Name, "entry %d does not follow entry %d as it stands here: one of the two was changed", e.Sequence, c.Last)
	}
}

// ends compares where chains end with their heads.
func (v *verifier) ends(heads map[string]Head) {
	if heads == nil {
		return
	}
	names := make([]string, 0, len(heads))
	for name := range heads {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		head, c := heads[name], v.chains[name]
		switch {
		case c == nil:
			v.problem(0, name, "no line of the %d entries of this chain is here", head.Sequence)
		case c.Last < head.Sequence:
			v.problem(0, name, "ends at entry %d, and %d were written: the end was cut off, or the replica was killed while it wrote", c.Last, head.Sequence)
		case c.Last == head.Sequence && c.Head.Hash != head.Hash:
			v.problem(0, name, "entry %d is not the one that was written: it was changed", c.Last)
		case c.Last > head.Sequence:
			v.problem(0, name, "ends at entry %d, but only %d were written: the rest was added by somebody else", c.Last, head.Sequence)
		}
	}
}
