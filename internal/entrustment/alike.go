package entrustment

import (
	"iter"
	"strings"
)

// maxTypos is how many letters are wrong, missing or too many in a name that somebody mistyped.
const maxTypos = 2

// meant asks for the one of the names that somebody may have meant by another, or is empty. Of several that are as close it takes
// the first by the alphabet, so that the same mistake is answered the same.
func meant(name string, names iter.Seq[string]) string {
	best, closest := "", min(maxTypos, len(name)/3)+1
	for other := range names {
		if d := typos(strings.ToLower(name), other, closest); d < closest || d == closest && best != "" && other < best {
			best, closest = other, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean \"" + best + "\"?"
}

// typos is how many letters differ between two names (the distance of Levenshtein), or more than most.
func typos(a, b string, most int) int {
	if d := len(a) - len(b); d > most || -d > most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal, least := row[0], i+1
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			least = min(least, cost)
		}
		if least > most {
			return most + 1
		}
	}
	return row[len(b)]
}
