package oracle

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
)

// Shrink takes away from a world, object by object and then field by field, whatever can go while it still fails.
func Shrink(w World, fails func(World) bool) World {
	if !fails(w) {
		return w
	}
	for again := true; again; {
		again = false
		again = dropEach(&w, fails, func(w *World) any { return &w.Purposes }) || again
		again = dropEach(&w, fails, func(w *World) any { return &w.Processors }) || again
		again = dropEach(&w, fails, func(w *World) any { return &w.Entrustments }) || again
		again = dropEach(&w, fails, func(w *World) any { return &w.Stores }) || again
	}
	for _, simpler := range []func(*World){
		func(w *World) { w.Namespaces = nil },
		func(w *World) { w.Location = nil },
		func(w *World) { w.Now = w.Now.Truncate(time.Second) },
	} {
		candidate := w
		if simpler(&candidate); fails(candidate) {
			w = candidate
		}
	}
	// Fields are dropped from the JSON form, which some nonsense does not survive.
	docs, err := w.documents()
	if err != nil {
		return w
	}
	fromDocs := func(docs []map[string]any) (World, bool) {
		candidate, err := w.fromDocuments(docs)
		return candidate, err == nil && fails(candidate)
	}
	if _, still := fromDocs(docs); !still {
		return w
	}
	for again := true; again; {
		again = false
		for _, doc := range docs {
			for _, section := range []string{"spec", "status", "metadata"} {
				if fields, ok := doc[section].(map[string]any); ok {
					again = dropFields(fields, func() bool { _, still := fromDocs(docs); return still }) || again
				}
			}
		}
	}
	w, _ = fromDocs(docs)
	return w
}

// dropEach drops the objects of one list that are not needed.
func dropEach(w *World, fails func(World) bool, list func(*World) any) (dropped bool) {
	for i := 0; ; {
		candidate := *w
		var more bool
		switch l := list(&candidate).(type) {
		case *[]*v1alpha1.Purpose:
			*l, more = without(*l, i)
		case *[]*v1alpha1.DataProcessor:
			*l, more = without(*l, i)
		case *[]*v1alpha1.Entrustment:
			*l, more = without(*l, i)
		case *[]*v1alpha1.PersonalDataStore:
			*l, more = without(*l, i)
		}
		if !more {
			return dropped
		}
		if fails(candidate) {
			*w, dropped = candidate, true
		} else {
			i++
		}
	}
}

func without[T any](list []T, i int) ([]T, bool) {
	if i >= len(list) {
		return list, false
	}
	return slices.Delete(slices.Clone(list), i, i+1), true
}

// dropFields drops the fields and list items that are not needed, the deeper ones of what stays too.
func dropFields(fields map[string]any, fails func() bool) (dropped bool) {
	for name, value := range fields {
		if name == "name" || name == "namespace" {
			continue
		}
		delete(fields, name)
		if fails() {
			dropped = true
			continue
		}
		fields[name] = value
		switch value := value.(type) {
		case map[string]any:
			dropped = dropFields(value, fails) || dropped
		case []any:
			for i := 0; i < len(value); {
				fields[name] = slices.Delete(slices.Clone(value), i, i+1)
				if fails() {
					value, dropped = fields[name].([]any), true
					continue
				}
				fields[name] = value
				if item, ok := value[i].(map[string]any); ok {
					dropped = dropFields(item, fails) || dropped
				}
				i++
			}
		}
	}
	return dropped
}

// documents are the objects of a world in the form of JSON, the namespaces that exist among them.
func (w World) documents() ([]map[string]any, error) {
	var docs []map[string]any
	var failed error
	add := func(kind, apiVersion string, obj any) {
		data, err := json.Marshal(obj)
		var doc map[string]any
		if err == nil {
			err = json.Unmarshal(data, &doc)
		}
		if err != nil {
			failed = err
			return
		}
		doc["kind"], doc["apiVersion"] = kind, apiVersion
		docs = append(docs, doc)
	}
	ours := v1alpha1.SchemeGroupVersion.String()
	for _, obj := range w.Purposes {
		add("Purpose", ours, obj)
	}
	for _, obj := range w.Processors {
		add("DataProcessor", ours, obj)
	}
	for _, obj := range w.Entrustments {
		add("Entrustment", ours, obj)
	}
	for _, obj := range w.Stores {
		add("PersonalDataStore", ours, obj)
	}
	for _, name := range sortedKeys(w.Namespaces) {
		add("Namespace", "v1", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, UID: w.Namespaces[name]}})
	}
	for _, doc := range docs {
		prune(doc)
	}
	return docs, failed
}

// prune takes away what JSON writes for nothing: null, empty texts and objects without fields.
func prune(fields map[string]any) {
	for name, value := range fields {
		if object, ok := value.(map[string]any); ok {
			prune(object)
			if len(object) == 0 && name != "metadata" {
				delete(fields, name)
			}
		} else if list, ok := value.([]any); ok {
			for _, item := range list {
				if object, ok := item.(map[string]any); ok {
					prune(object)
				}
			}
		} else if value == nil || value == "" {
			delete(fields, name)
		}
	}
}

// fromDocuments is a world of the same instant with these objects.
func (w World) fromDocuments(docs []map[string]any) (World, error) {
	out := World{Now: w.Now}
	out.Location = w.Location
	if w.Namespaces != nil {
		out.Namespaces = map[string]types.UID{}
	}
	for _, doc := range docs {
		data, err := json.Marshal(doc)
		if err != nil {
			return World{}, err
		}
		switch doc["kind"] {
		case "Purpose":
			out.Purposes, err = read(out.Purposes, data)
		case "DataProcessor":
			out.Processors, err = read(out.Processors, data)
		case "Entrustment":
			out.Entrustments, err = read(out.Entrustments, data)
		case "PersonalDataStore":
			out.Stores, err = read(out.Stores, data)
		case "Namespace":
			var namespace corev1.Namespace
			err = json.Unmarshal(data, &namespace)
			out.Namespaces[namespace.Name] = namespace.UID
		}
		if err != nil {
			return World{}, err
		}
	}
	return out, nil
}

func read[T any](list []*T, data []byte) ([]*T, error) {
	obj := new(T)
	if err := json.Unmarshal(data, obj); err != nil {
		return nil, err
	}
	return append(list, obj), nil
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// YAML prints a world so that it can be read, and tried with the command line.
func (w World) YAML() string {
	var out strings.Builder
	location := "UTC"
	if w.Location != nil {
		location = w.Location.String()
	}
	fmt.Fprintf(&out, "# at %s; dates in %s", w.Now.Format(time.RFC3339Nano), location)
	if w.Namespaces != nil {
		fmt.Fprint(&out, "; the namespaces that exist are known")
	}
	docs, err := w.documents()
	if err != nil {
		return fmt.Sprintf("%s\n# has no YAML: %v\n%#v", out.String(), err, w)
	}
	for _, doc := range docs {
		data, err := yaml.Marshal(doc)
		if err != nil {
			data = fmt.Appendf(nil, "# has no YAML: %v\n%#v\n", err, doc)
		}
		fmt.Fprintf(&out, "\n---\n%s", strings.TrimRight(string(data), "\n"))
	}
	return out.String() + "\n"
}
