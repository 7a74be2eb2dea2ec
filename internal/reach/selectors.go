package reach

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// values are what one label of an object may be: absent, one of some values, or any but some. They are a set, so that what
// selectors say can be intersected and compared exactly, key by key.
type values struct {
	absent bool
	// except says that all values but those listed are possible; otherwise those listed are.
	except bool
	listed map[string]bool
}

var anything = values{absent: true, except: true}

func (v values) has(value string) bool { return v.listed[value] != v.except }

// none says that no state of the label is left.
func (v values) none() bool { return !v.absent && !v.except && len(v.listed) == 0 }

func (v values) and(w values) values {
	both := values{absent: v.absent && w.absent, except: v.except && w.except, listed: map[string]bool{}}
	for value := range v.listed {
		if both.except || w.has(value) && v.has(value) {
			both.listed[value] = true
		}
	}
	for value := range w.listed {
		if both.except || w.has(value) && v.has(value) {
			both.listed[value] = true
		}
	}
	return both
}

func (v values) or(w values) values { return v.not().and(w.not()).not() }

func (v values) not() values { return values{absent: !v.absent, except: !v.except, listed: v.listed} }

// within says whether every state in v is in w.
func (v values) within(w values) bool { return v.and(w.not()).none() }

// demands are what a selector asks of labels, by key; nil asks nothing.
type demands map[string]values

// demandsOf is exact for whatever the API server takes.
func demandsOf(selector *metav1.LabelSelector) demands {
	d := demands{}
	if selector == nil {
		return d
	}
	for key, value := range selector.MatchLabels {
		d.demand(key, values{listed: map[string]bool{value: true}})
	}
	for _, e := range selector.MatchExpressions {
		listed := map[string]bool{}
		for _, value := range e.Values {
			listed[value] = true
		}
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			d.demand(e.Key, values{listed: listed})
		case metav1.LabelSelectorOpNotIn:
			d.demand(e.Key, values{absent: true, except: true, listed: listed})
		case metav1.LabelSelectorOpExists:
			d.demand(e.Key, values{except: true})
		case metav1.LabelSelectorOpDoesNotExist:
			d.demand(e.Key, values{absent: true})
		default:
			d.demand(e.Key, anything)
		}
	}
	return d
}

func (d demands) demand(key string, v values) {
	if before, ok := d[key]; ok {
		v = before.and(v)
	}
	d[key] = v
}

func (d demands) of(key string) values {
	if v, ok := d[key]; ok {
		return v
	}
	return anything
}

// and is what both ask.
func (d demands) and(other demands) demands {
	both := maps.Clone(d)
	if both == nil {
		both = demands{}
	}
	for key, v := range other {
		both.demand(key, v)
	}
	return both
}

// nobody says that no labels meet the demands.
func (d demands) nobody() bool {
	for _, v := range d {
		if v.none() {
			return true
		}
	}
	return false
}

// within says whether all labels that meet d meet the others too.
func (d demands) within(other demands) bool {
	if d.nobody() {
		return true
	}
	for key, v := range other {
		if !d.of(key).within(v) {
			return false
		}
	}
	return true
}

// everybody says whether there are no labels that none of the selectors selects, as far as single keys tell.
func everybody(selectors []demands) bool {
	union := map[string]values{}
	for _, d := range selectors {
		if len(d) == 0 {
			return true
		}
		if len(d) == 1 {
			for key, v := range d {
				if before, ok := union[key]; ok {
					v = before.or(v)
				}
				union[key] = v
			}
		}
	}
	for _, v := range union {
		if anything.within(v) {
			return true
		}
	}
	return false
}

// split yields the parts of d, one for each value that it lists of the keys; false: there are too many, or a key has
// values without end.
func (d demands) split(keys []string) ([]demands, bool) {
	parts := []demands{d}
	for _, key := range keys {
		v := d.of(key)
		if v.except {
			continue // cannot be listed: whatever contains it has to contain it whole
		}
		var next []demands
		for _, part := range parts {
			if v.absent {
				next = append(next, part.and(demands{key: {absent: true}}))
			}
			for _, value := range slices.Sorted(maps.Keys(v.listed)) {
				next = append(next, part.and(demands{key: {listed: map[string]bool{value: true}}}))
			}
		}
		if parts = next; len(parts) > mostParts {
			return nil, false
		}
	}
	return parts, true
}

// mostParts bounds the work for one peer. One that cannot be looked at wholly counts as open.
const mostParts = 1024
