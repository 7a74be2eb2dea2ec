package entrustment

import (
	"iter"
	"math/bits"
)

// set is a set of the purposes of one forest, a bit each, by their place in its preorder. There, a purpose and its
// descendants are one range.
type set []uint64

func newSet(size int) set { return make(set, words(size)) }

// words is how many a set takes for so many purposes.
func words(size int) int { return (size + 63) / 64 }

func (s set) has(i int32) bool {
	return int(i>>6) < len(s) && s[i>>6]&(1<<(i&63)) != 0
}

func (s set) add(i int32)    { s[i>>6] |= 1 << (i & 63) }
func (s set) remove(i int32) { s[i>>6] &^= 1 << (i & 63) }

// span yields the words of a range with a mask of the members that lie in each.
func (s set) span(from, to int32) iter.Seq2[int32, uint64] {
	return func(yield func(int32, uint64) bool) {
		for i := from; i < to; {
			end := min(to, (i|63)+1)
			mask := ^uint64(0) << (i & 63) & (^uint64(0) >> (63 - (end-1)&63))
			if !yield(i>>6, mask) {
				return
			}
			i = end
		}
	}
}

func (s set) addRange(from, to int32) {
	for word, mask := range s.span(from, to) {
		s[word] |= mask
	}
}

func (s set) removeRange(from, to int32) {
	for word, mask := range s.span(from, to) {
		s[word] &^= mask
	}
}

func (s set) intersect(o set) {
	for i := range s {
		if i < len(o) {
			s[i] &= o[i]
		} else {
			s[i] = 0
		}
	}
}

func (s set) subtract(o set) {
	for i := range s {
		if i < len(o) {
			s[i] &^= o[i]
		}
	}
}

func (s set) union(o set) {
	for i := range o {
		s[i] |= o[i]
	}
}

// meets says whether the two have a member in common.
func (s set) meets(o set) bool {
	for i := range s {
		if i < len(o) && s[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// all yields the members in preorder.
func (s set) all() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(int32(i<<6 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// arena hands out slices from blocks, because a snapshot makes some for each contract.
type arena[T any] struct {
	block []T
	size  int // of the block when it was new
}

func (a *arena[T]) slice(size int) []T {
	if size > len(a.block) {
		a.size = max(size, min(2*a.size, 1024))
		a.block = make([]T, a.size)
	}
	slice := a.block[:size:size]
	a.block = a.block[size:]
	return slice
}
