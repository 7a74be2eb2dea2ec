package gather

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
)

// The two short cuts of reading, and what they stand in for: whatever a short cut is sure of is what the long way says.

func agreeOnValue(t *testing.T, text string) (sure bool) {
	t.Helper()
	found, err := documents("x", []byte(text))
	if err != nil {
		return false
	}
	for i := range found {
		d := &found[i]
		value, plain := d.plainValue()
		if !plain {
			continue
		}
		sure = true
		want, problems := d.valueByJSON()
		if len(problems) > 0 {
			t.Fatalf("%q is refused: %v", d.text, problems)
		}
		if diff := cmp.Diff(want, value); diff != "" {
			t.Fatalf("%q (-by JSON +plain):\n%s", d.text, diff)
		}
	}
	return sure
}

func TestPlainValues(t *testing.T) {
	for text, sure := range map[string]bool{
		documentsOf(purpose, processor, contract, store, access, configMap):                true,
		"a: 1\nb: [x, true, null, -7, 0x1f, 0o17, 017]\nc: {d: ~, e: \"é\\u2028<&>\"}":     true,
		"a: yes\nb: off\nc: 2026-01-01\nd: 2026-01-01T00:00:00Z\ne: 1:30\nf: 1_000\ng: ''": true,
		"a: &x {b: 1}\nc: {<<: *x, d: 2}\ne: *x":                                           true,
		"a: 1.0":                                                                           false,
		"a: 1e3":                                                                           false,
		"a: .inf":                                                                          false,
		"a: 18446744073709551615":                                                          false,
		"1: a":                                                                             false,
		"true: a":                                                                          false,
		"a: !!binary gIGC":                                                                 false,
		"a: !!timestamp 2026-01-01":                                                        true,
		"a: 1\na: 2":                                                                       false,
		"a: [":                                                                             false,
		"{\"a\": 1}":                                                                       false,
		"  a: 1\nb: 2":                                                                     false,
		"? {a: 1}\n: b":                                                                    false,
		"- a\n- {b: c}\n- - 1\n- []":                                                       true,
		"just words":                                                                       true,
	} {
		if got := agreeOnValue(t, text); got != sure {
			t.Errorf("%q: sure %t", text, got)
		}
	}
}

func FuzzPlainValue(f *testing.F) {
	for _, text := range []string{documentsOf(purpose, store), "a: [1, 0x2, 1_0, ~, on]", "a: &x {b: c}\nd: {<<: *x}", "a: \"\\xff\\u2028\"", "1.5: [.nan]"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { agreeOnValue(t, text) })
}

// odd is what may stand where something else belongs.
var odd = []any{
	nil, true, "", "x", "X", "JP", "Enforce", "REPLACE", strings.Repeat("x", 64), strings.Repeat("é", 256), strings.Repeat("x", 3000), "2026-01-01", "2026-02-30",
	"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T24:00:00Z", int64(0), int64(-1), int64(1), int64(400), int64(70_000), int64(1) << 40, 1.5,
	map[string]any{}, map[string]any{"x": "y"}, []any{}, []any{"x"}, []any{"x", "x"}, []any{nil}, []any{map[string]any{"name": "x"}, map[string]any{"name": "x"}},
	slices.Repeat([]any{"x"}, 100),
}

// variants yields a value with one part of it removed, doubled, added to or replaced.
func variants(value any, yield func(any)) {
	for _, other := range odd {
		yield(other)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			without := maps.Clone(v)
			delete(without, key)
			yield(without)
			variants(v[key], func(part any) {
				with := maps.Clone(v)
				with[key] = part
				yield(with)
			})
		}
		more := maps.Clone(v)
		more["unheardOf"] = "x"
		yield(more)
	case []any:
		for i := range v {
			yield(slices.Delete(slices.Clone(v), i, i+1))
			yield(append(slices.Clone(v), v[i]))
			variants(v[i], func(part any) {
				with := slices.Clone(v)
				with[i] = part
				yield(with)
			})
		}
	}
}

// Every object of the samples, and each with anything odd in any place of it.
func TestShapesAdmitWhatTheServerDoes(t *testing.T) {
	known, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	f := readForTest(t)
	tried := 0
	for name, content := range f {
		kind, _ := content["kind"].(string)
		k := known[kind]
		if !k.admits(content) {
			t.Errorf("%s is not admitted at once", name)
		}
		variants(content, func(value any) {
			variant, ok := value.(map[string]any)
			if !ok || variant["kind"] != kind {
				return
			}
			tried++
			if !k.admits(variant) {
				return
			}
			quickly, slowly := runtime.DeepCopyJSON(variant), runtime.DeepCopyJSON(variant)
			k.refusals(quickly)
			if problems := k.judge(slowly); len(problems) > 0 {
				t.Fatalf("%s is admitted: %v\n%v", name, problems, variant)
			}
			if diff := cmp.Diff(slowly, quickly); diff != "" {
				t.Fatalf("%s (-judged +admitted):\n%s", name, diff)
			}
		})
	}
	if tried < 10_000 {
		t.Errorf("%d variants", tried)
	}
}

// readForTest is one object of each kind and look, as it is written.
func readForTest(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, problems := find([]string{"../../config/samples/policy", "../../config/samples/minimal"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	looks := map[string]map[string]any{}
	for _, path := range files {
		found, wrong := read(path, nil)
		if len(wrong) > 0 {
			t.Fatal(wrong)
		}
		for i := range found {
			objects, wrong := found[i].objects()
			if len(wrong) > 0 {
				t.Fatal(wrong)
			}
			for _, o := range objects {
				if o.foreign {
					continue
				}
				spec, _ := o.content["spec"].(map[string]any)
				metadata, _ := o.content["metadata"].(map[string]any)
				metadata["labels"], metadata["annotations"] = map[string]any{"a.b/c": "d"}, map[string]any{"A.b/c": "any: thing"}
				look := fmt.Sprint(o.content["kind"], slices.Sorted(maps.Keys(spec)))
				if _, seen := looks[look]; !seen {
					looks[look] = o.content
				}
			}
		}
	}
	return looks
}

// Files that say the same as others share their objects, and are themselves where something is written.
func TestReadingAgain(t *testing.T) {
	policy := []string{"../../config/samples/policy"}
	first := Read(policy, nil)
	again := first.Read(policy, nil)
	if err := again.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Read(policy, nil).Inputs, again.Inputs); diff != "" {
		t.Error(diff)
	}
	if len(again.Inputs.Entrustments) == 0 || again.Inputs.Entrustments[0] != first.Inputs.Entrustments[0] {
		t.Error("nothing is shared")
	}
	if diff := cmp.Diff(len(first.Workloads), len(again.Workloads)); diff != "" {
		t.Error(diff)
	}

	other := first.Read([]string{Stdin}, strings.NewReader("# moved\n"+purpose+"\n---\n"+strings.Replace(purpose, "controllerName", "controlerName", 1)))
	if err := other.Err(); err == nil || !strings.Contains(err.Error(), "controlerName") {
		t.Error(err)
	}
	third := Read([]string{Stdin}, strings.NewReader(purpose)).Read([]string{Stdin}, strings.NewReader(purpose+"\n"))
	if file, line, found := third.Locate("Purpose", third.Inputs.Purposes[0].Name, "spec"); !found || file != Stdin || line == 0 {
		t.Error(file, line, found)
	}
}
