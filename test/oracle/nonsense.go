package oracle

import (
	"math"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
)

// Nonsense makes a world of arbitrary bytes. Hardly anything about it is as the API server would have it: names are empty
// or come twice, objects are nil, enumerations have other values, times are zero or far away, and lists are long.
func Nonsense(data []byte) World {
	s := &source{data}
	w := World{Now: pickFrom(s, instants)}
	w.Purposes = filled[v1alpha1.Purpose](s)
	w.Processors = filled[v1alpha1.DataProcessor](s)
	w.Entrustments = filled[v1alpha1.Entrustment](s)
	w.Stores = filled[v1alpha1.PersonalDataStore](s)
	if s.below(3) == 0 {
		w.Namespaces = map[string]types.UID{}
		for range s.below(4) {
			w.Namespaces[pickFrom(s, names)] = pickFrom(s, uids)
		}
	}
	if s.below(4) == 0 {
		w.Location = time.FixedZone("far", 14*60*60)
	}
	return w
}

// Spoil puts arbitrary values into arbitrary fields of a world.
func Spoil(w World, data []byte) World {
	w = w.Clone()
	s := &source{data}
	for len(s.data) > 0 {
		switch s.below(4) {
		case 0:
			spoilOne(s, w.Purposes)
		case 1:
			spoilOne(s, w.Processors)
		case 2:
			spoilOne(s, w.Entrustments)
		default:
			spoilOne(s, w.Stores)
		}
	}
	return w
}

// WithoutDoubles is a world in which every name is one object's, or one credential's of a store, as in every cluster.
// Which of two of one name counts is nowhere said.
func (w World) WithoutDoubles() World {
	w.Purposes = once(w.Purposes, func(o *v1alpha1.Purpose) string { return o.Name })
	w.Processors = once(w.Processors, func(o *v1alpha1.DataProcessor) string { return o.Name })
	w.Entrustments = once(w.Entrustments, func(o *v1alpha1.Entrustment) string { return o.Name })
	w.Stores = once(w.Stores, func(o *v1alpha1.PersonalDataStore) string { return key(o).String() })
	for i, store := range w.Stores {
		seen := map[string]bool{}
		w.Stores[i] = store.DeepCopy()
		w.Stores[i].Spec.Credentials = slices.DeleteFunc(w.Stores[i].Spec.Credentials, func(c v1alpha1.Credential) bool {
			double := seen[c.Name]
			seen[c.Name] = true
			return double
		})
	}
	return w
}

func once[T any](list []*T, name func(*T) string) []*T {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(list), func(obj *T) bool {
		if obj == nil {
			return true
		}
		double := seen[name(obj)]
		seen[name(obj)] = true
		return double
	})
}

// source yields the bytes, and zeros after them.
type source struct{ data []byte }

func (s *source) below(n int) int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b) % n
}

func pickFrom[T any](s *source, list []T) T { return list[s.below(len(list))] }

var (
	names      = []string{"a", "b", "c", "d", "", "e", "\x00", "a/b", "user", unknown}
	countries  = []string{"JP", "SG", "", "jp"}
	dates      = []string{"2026-11-23", "2026-11-24", "2025-11-23", "", "2026-02-30", "0000-00-00", "0001-01-01", "9999-12-31", "2026-11-23T00:00:00Z"}
	categories = []string{"user", "user.name", "user.", "", ".", "user.name.first", "username"}
	cidrs      = []string{"10.0.0.0/8", "10.1.2.3/32", "::/0", "::ffff:10.0.0.0/104", "", "10.0.0.0", "10.0.0.0/33", "0.0.0.0/0"}
	uids       = []types.UID{"uid-1", "uid-2", "\x00"} // empty: none was seen
	labels     = []string{"app", "tier", "", "db", "web"}
	numbers    = []int64{1, 0, -1, 30, 365, 5432, math.MaxInt32, math.MinInt32}
	instants   = []time.Time{
		time.Date(2026, time.November, 23, 3, 0, 0, 0, time.UTC),
		time.Date(2026, time.November, 23, 3, 0, 0, 1, time.UTC),
		time.Date(2026, time.November, 23, 23, 59, 59, 0, time.FixedZone("", -12*60*60)),
		time.Date(2026, time.November, 22, 0, 0, 0, 0, time.UTC),
		time.Date(2025, time.November, 23, 0, 0, 0, 0, time.UTC),
		time.Date(2027, time.November, 23, 0, 0, 0, 0, time.UTC),
		{},
		time.Unix(0, 0),
		time.Date(9999, time.December, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(100000, time.January, 1, 0, 0, 0, 0, time.UTC),
		time.Date(-5000, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	words = []string{
		"", "Prohibited", "Permitted", "PriorApproval", "PriorNotice", "Suspend", "Report", "Enforce", "Rejected", "Approved",
		"Pseudonymised", "Identifiable", "Anonymised", "Entrustee", "SubEntrustee", "In", "Exists", "NotIn", "TCP", "UDP", "tcp",
		"Armed", "Off", "Unsatisfactory", "EquivalentMeasures", "Anything",
	}
)

// filled are up to four objects, some nil.
func filled[T any](s *source) []*T {
	var list []*T
	for range s.below(5) {
		if s.below(16) == 15 {
			list = append(list, nil)
			continue
		}
		obj := new(T)
		fill(s, reflect.ValueOf(obj).Elem(), "")
		list = append(list, obj)
	}
	return list
}

// fill puts something into a value; field is the name of the field that has it.
func fill(s *source, v reflect.Value, field string) {
	switch v.Type() {
	case reflect.TypeFor[metav1.TypeMeta]():
		return
	case reflect.TypeFor[metav1.ObjectMeta]():
		meta := metav1.ObjectMeta{
			Name: pickFrom(s, names), Namespace: pickFrom(s, names), CreationTimestamp: metav1.Time{Time: pickFrom(s, instants)},
			Generation: pickFrom(s, numbers),
		}
		if s.below(8) == 7 {
			meta.DeletionTimestamp = &metav1.Time{Time: pickFrom(s, instants)}
		}
		v.Set(reflect.ValueOf(meta))
		return
	case reflect.TypeFor[metav1.Time]():
		v.Set(reflect.ValueOf(metav1.Time{Time: pickFrom(s, instants)}))
		return
	case reflect.TypeFor[types.UID]():
		v.Set(reflect.ValueOf(pickFrom(s, uids)))
		return
	case reflect.TypeFor[string]():
		v.SetString(pickFrom(s, texts(field)))
		return
	}
	switch v.Kind() {
	case reflect.String: // an enumeration
		v.SetString(pickFrom(s, words))
	case reflect.Bool:
		v.SetBool(s.below(4) == 1)
	case reflect.Int32, reflect.Int64:
		v.SetInt(pickFrom(s, numbers))
	case reflect.Pointer:
		if s.below(3) == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(s, v.Elem(), field)
	case reflect.Slice:
		length := s.below(4)
		if length == 3 && s.below(32) == 31 {
			length = 300
		}
		v.Set(reflect.MakeSlice(v.Type(), length, length))
		for i := range length {
			fill(s, v.Index(i), field)
		}
	case reflect.Map: // labels
		v.Set(reflect.MakeMap(v.Type()))
		for range s.below(3) {
			item := reflect.New(v.Type().Elem()).Elem()
			item.SetString(pickFrom(s, labels))
			v.SetMapIndex(reflect.ValueOf(pickFrom(s, labels)), item)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(s, v.Field(i), v.Type().Field(i).Name)
		}
	default:
		panic("a kind of field that nonsense does not know: " + v.Type().String())
	}
}

// texts that could stand in a field.
func texts(field string) []string {
	switch field {
	case "Country", "HandlingCountries", "Territories":
		return countries
	case "Date", "AssessedDate", "ValidUntil", "CheckedDate", "ConcludedDate", "CompletedDate", "NextReviewDate", "Version":
		return dates
	case "DataCategories":
		return categories
	case "CIDR", "CIDRs":
		return cidrs
	case "Key", "Values":
		return labels
	default:
		return names
	}
}

// spoilOne fills one field, however deep, of one object.
func spoilOne[T any](s *source, list []*T) {
	if len(list) == 0 {
		s.below(1)
		return
	}
	v, field := reflect.ValueOf(pickFrom(s, list)).Elem(), ""
	for {
		switch {
		case v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[metav1.Time]() && v.Type() != reflect.TypeFor[metav1.ObjectMeta]():
			at := s.below(v.NumField())
			if v.Type().Field(at).Type == reflect.TypeFor[metav1.TypeMeta]() || v.Type().Field(at).Type == reflect.TypeFor[metav1.ObjectMeta]() {
				at = 2 // spec: an object keeps its name
			}
			v, field = v.Field(at), v.Type().Field(at).Name
		case v.Kind() == reflect.Slice && v.Len() > 0 && s.below(2) == 1:
			v = v.Index(s.below(v.Len()))
		case v.Kind() == reflect.Pointer && !v.IsNil() && s.below(2) == 1:
			v = v.Elem()
		default:
			fill(s, v, field)
			return
		}
	}
}
