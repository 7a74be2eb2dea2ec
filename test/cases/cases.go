// Package cases reads the worked decisions: a published policy as objects, and one line for each decision over it. Every
// evaluator of decisions is held to them.
//
// It imports the API types and the types of the core, not its logic.
package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// The files that a directory of cases holds.
const (
	PolicyFile    = "policy.yaml"
	DecisionsFile = "decisions.yaml"
)

// At is the instant of a case that does not name one.
var At = time.Date(2026, time.November, 23, 12, 0, 0, 0, time.FixedZone("", 9*60*60))

// Case is one worked decision. Its inputs are its own and may be changed.
type Case struct {
	Name    string
	Inputs  entrustment.Inputs
	At      time.Time
	Request entrustment.Request
	Allow   bool
	Reason  v1alpha1.Reason
}

// line is a case as it is written.
type line struct {
	Case        string          `json:"case"`
	Patch       []string        `json:"patch"`
	At          *time.Time      `json:"at"`
	Namespace   string          `json:"ns"`
	Purpose     string          `json:"purpose"`
	Entrustment string          `json:"entrustment"`
	Store       string          `json:"store"`
	Allow       *bool           `json:"allow"`
	Reason      v1alpha1.Reason `json:"reason"`
}

// Load reads the cases of a directory that holds PolicyFile and DecisionsFile.
func Load(dir string) ([]Case, error) {
	policy, err := read(filepath.Join(dir, PolicyFile))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, DecisionsFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the decisions: %w", err)
	}
	var lines []line
	if err := yaml.UnmarshalStrict(data, &lines); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s holds no case", path)
	}
	var all []Case
	for _, l := range lines {
		c, err := l.over(policy)
		if err != nil {
			return nil, fmt.Errorf("case %q of %s: %w", l.Case, path, err)
		}
		all = append(all, c)
	}
	return all, nil
}

// Policy reads the objects of a directory's PolicyFile without any case.
func Policy(dir string) (entrustment.Inputs, error) {
	policy, err := read(filepath.Join(dir, PolicyFile))
	if err != nil {
		return entrustment.Inputs{}, err
	}
	return policy.inputs()
}

// over applies the case's patches to a copy of the policy.
func (l line) over(policy documents) (Case, error) {
	if l.Case == "" || l.Allow == nil || l.Reason == "" {
		return Case{}, errors.New("a case needs case, allow and reason")
	}
	namespace, name, ok := strings.Cut(l.Store, "/")
	if !ok {
		return Case{}, fmt.Errorf("store %q is not namespace/name", l.Store)
	}
	patched := policy.clone()
	for _, patch := range l.Patch {
		var err error
		if patched, err = patched.apply(patch); err != nil {
			return Case{}, fmt.Errorf("patch %q: %w", patch, err)
		}
	}
	in, err := patched.inputs()
	if err != nil {
		return Case{}, err
	}
	at := At
	if l.At != nil {
		at = *l.At
	}
	return Case{
		Name: l.Case, Inputs: in, At: at, Allow: *l.Allow, Reason: l.Reason,
		Request: entrustment.Request{
			Namespace: l.Namespace, Purpose: l.Purpose, Entrustment: l.Entrustment,
			Store: types.NamespacedName{Namespace: namespace, Name: name},
		},
	}, nil
}

// documents are the objects of the policy as YAML has them, the order kept.
type documents []map[string]any

func read(path string) (documents, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	var docs documents
	for i, text := range bytes.Split(data, []byte("\n---\n")) {
		var doc map[string]any
		if err := yaml.UnmarshalStrict(text, &doc); err != nil {
			return nil, fmt.Errorf("reading %s, document %d: %w", path, i+1, err)
		}
		if doc != nil {
			docs = append(docs, doc)
		}
	}
	return docs, nil
}

func (d documents) clone() documents {
	return copied([]map[string]any(d))
}

func copied(list []map[string]any) []map[string]any {
	out := make([]map[string]any, len(list))
	for i, m := range list {
		out[i] = copiedValue(m).(map[string]any)
	}
	return out
}

func copiedValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[key] = copiedValue(value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			list[i] = copiedValue(value)
		}
		return list
	default:
		return v
	}
}

// id of a document as patches write it: Kind/name or Kind/namespace/name.
func id(doc map[string]any) string {
	parts := []string{text(doc["kind"])}
	meta, _ := doc["metadata"].(map[string]any)
	if namespace := text(meta["namespace"]); namespace != "" {
		parts = append(parts, namespace)
	}
	return strings.Join(append(parts, text(meta["name"])), "/")
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func (d documents) find(name string) (int, error) {
	for i, doc := range d {
		if id(doc) == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("the policy has no %s", name)
}

// apply makes one change, written Kind/[namespace/]name/field=value or -Kind/[namespace/]name.
func (d documents) apply(patch string) (documents, error) {
	if name, removal := strings.CutPrefix(patch, "-"); removal {
		i, err := d.find(name)
		if err != nil {
			return nil, err
		}
		return append(d[:i:i], d[i+1:]...), nil
	}
	target, written, ok := strings.Cut(patch, "=")
	slash := strings.LastIndex(target, "/")
	if !ok || slash < 0 {
		return nil, errors.New("want Kind/[namespace/]name/field=value or -Kind/[namespace/]name")
	}
	i, err := d.find(target[:slash])
	if err != nil {
		return nil, err
	}
	var value any
	if err := yaml.Unmarshal([]byte(written), &value); err != nil {
		return nil, fmt.Errorf("reading its value: %w", err)
	}
	section, field := "spec", target[slash+1:]
	if field == "_created" {
		section, field = "metadata", "creationTimestamp"
	}
	object, ok := d[i][section].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s has no %s", target[:slash], section)
	}
	object[field] = value
	return d, nil
}

// inputs decodes the documents of our kinds and passes over the others. Unknown fields are errors.
func (d documents) inputs() (entrustment.Inputs, error) {
	var in entrustment.Inputs
	for _, doc := range d {
		if doc["apiVersion"] != v1alpha1.SchemeGroupVersion.String() {
			continue
		}
		var err error
		switch kind := text(doc["kind"]); kind {
		case "Purpose":
			in.Purposes, err = decoded(in.Purposes, doc)
		case "DataProcessor":
			in.Processors, err = decoded(in.Processors, doc)
		case "Entrustment":
			in.Entrustments, err = decoded(in.Entrustments, doc)
		case "PersonalDataStore":
			in.Stores, err = decoded(in.Stores, doc)
		default:
			err = errors.New("unknown kind")
		}
		if err != nil {
			return entrustment.Inputs{}, fmt.Errorf("decoding %s: %w", id(doc), err)
		}
	}
	return in, nil
}

func decoded[T any](list []*T, doc map[string]any) ([]*T, error) {
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	obj, strict := new(T), json.NewDecoder(bytes.NewReader(data))
	strict.DisallowUnknownFields()
	if err := strict.Decode(obj); err != nil {
		return nil, err
	}
	return append(list, obj), nil
}
