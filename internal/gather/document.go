package gather

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	yamlv2 "go.yaml.in/yaml/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
)

// A document is one YAML document, or one JSON value, of a file.
type document struct {
	file   string
	number int // counted from 1; empty documents do not count
	line   int // of the file, on which text begins
	text   []byte
	blanks bool // a placeholder is left in it
}

// An object is one object of our group, or of its surroundings, and where it was written.
type object struct {
	in      *document
	path    string // within the document: empty, or items[2] in a List
	content map[string]any
	foreign bool           // a workload, or what else surrounds a policy: not of our group
	typed   runtime.Object // once it is decoded, without a problem
}

// String is the object as its writer would call it, as far as it is known.
func (o *object) String() string {
	kind, _ := o.content["kind"].(string)
	name := o.name()
	if metadata, _ := o.content["metadata"].(map[string]any); metadata != nil {
		if namespace, _ := metadata["namespace"].(string); namespace != "" {
			name = namespace + "/" + name
		}
	}
	return strings.TrimSpace(kind + " " + name)
}

func (o *object) name() string {
	metadata, _ := o.content["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return name
}

// place is where the object is in its file.
func (o *object) place() string {
	place := fmt.Sprintf("document %d", o.in.number)
	if o.path != "" {
		place += ", " + o.path
	}
	return place
}

// documents cuts a text where YAML does: at lines that begin with "---" or "...", even in the middle of a block scalar.
// What begins with "{" may also be a series of JSON values.
func documents(file string, text []byte) ([]document, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, errors.New("not a text in UTF-8")
	}

	var found []document
	begin, beginLine := 0, 1
	end := func(at int) {
		for _, d := range jsonValues(document{file: file, line: beginLine, text: text[begin:at]}) {
			if d.hasContent() {
				d.number = len(found) + 1
				found = append(found, d)
			}
		}
	}
	line := 1
	for at := 0; at < len(text); line++ {
		next := at + lineLength(text[at:])
		switch marker(text[at:next]) {
		case "---": // begins a document, and belongs to it: content may follow on the line
			end(at)
			begin, beginLine = at, line
		case "...": // ends one
			end(at)
			begin, beginLine = next, line+1
		}
		at = next
	}
	end(len(text))
	return found, nil
}

// lineLength is the length of the first line of text, its line break included. YAML 1.1 knows five line breaks; a splitter
// that knew fewer would lose the documents after the others.
func lineLength(text []byte) int {
	for i := range text {
		switch text[i] {
		case '\n':
			return i + 1
		case '\r':
			if i+1 < len(text) && text[i+1] == '\n' {
				return i + 2
			}
			return i + 1
		case 0xc2, 0xe2: // of U+0085, U+2028, U+2029
			switch r, size := utf8.DecodeRune(text[i:]); r {
			case '\u0085', '\u2028', '\u2029':
				return i + size
			}
		}
	}
	return len(text)
}

// marker returns the document marker that a line begins with, if any.
func marker(line []byte) string {
	for _, mark := range []string{"---", "..."} {
		rest, found := bytes.CutPrefix(breakless(line), []byte(mark))
		if found && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t') { // else a word that begins so
			return mark
		}
	}
	return ""
}

func breakless(line []byte) []byte { return bytes.TrimRight(line, "\r\n\u0085\u2028\u2029") }

// hasContent tells a document from blank lines, comments and directives.
func (d *document) hasContent() bool {
	for rest := d.text; len(rest) > 0; {
		line := rest[:lineLength(rest)]
		rest = rest[len(line):]
		isDirective := line[0] == '%'
		if marker(line) != "" {
			line = line[len("---"):]
		}
		line = bytes.Trim(breakless(line), " \t")
		if len(line) > 0 && line[0] != '#' && !isDirective {
			return true
		}
	}
	return false
}

// jsonValues cuts a document that is a series of JSON values into those. Any other is returned as it is: most of what
// begins with "{" and is not JSON is still YAML.
func jsonValues(d document) []document {
	if trimmed := bytes.TrimLeft(d.text, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return []document{d}
	}
	var values []document
	line, counted := d.line, 0
	for decoder := json.NewDecoder(bytes.NewReader(d.text)); ; {
		var value json.RawMessage
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return values
		case err != nil:
			return []document{d}
		}
		begin := int(decoder.InputOffset()) - len(value)
		line += bytes.Count(d.text[counted:begin], []byte("\n"))
		counted = begin
		values = append(values, document{file: d.file, line: line, text: value})
	}
}

// objects are the document's objects of our group, and those around them. All others are passed over.
func (d *document) objects() ([]object, []problem) {
	d.blanks = bytes.Contains(d.text, []byte(Placeholder)) // once, and not for each item of a list
	value, problems := d.value()
	if len(problems) > 0 || value == nil {
		return nil, problems
	}
	return d.expand("", value)
}

// with are objects of another document that says the same.
func (d *document) with(objects []object) []object {
	own := slices.Clone(objects)
	for i := range own {
		own[i].in = d
	}
	return own
}

// value is the document as JSON has it, read by the same library as kubectl reads it with.
func (d *document) value() (any, []problem) {
	if value, sure := d.plainValue(); sure {
		return value, nil
	}
	return d.valueByJSON()
}

// valueByJSON is what kubectl does: YAML becomes JSON, and that a value.
func (d *document) valueByJSON() (any, []problem) {
	text := d.text
	if text[0] != '{' || !json.Valid(text) {
		var err error
		if text, err = yaml.YAMLToJSONStrict(d.text); err == nil {
			err = d.single()
		}
		if err != nil {
			return nil, d.syntaxProblems(err)
		}
	}
	var value any
	duplicates, err := kjson.UnmarshalStrict(text, &value, kjson.DisallowDuplicateFields)
	if err != nil {
		return nil, d.syntaxProblems(err)
	}
	var problems []problem
	for _, duplicate := range duplicates {
		problems = append(problems, problem{in: d, message: duplicate.Error()})
	}
	return value, problems
}

// plainValue is the value of a document that means the same to JSON as to YAML, as most do: what is read need not be written
// and read again then. Of anything else, and of mistakes, it is not sure.
func (d *document) plainValue() (value any, sure bool) {
	if d.text[0] == '{' || yamlv2.UnmarshalStrict(d.text, &value) != nil { // what may be JSON has its own reader
		return nil, false
	}
	value, sure = plainJSON(value)
	return value, sure && d.single() == nil
}

func plainJSON(value any) (any, bool) {
	switch v := value.(type) {
	case nil, bool, int64:
		return v, true
	case int:
		return int64(v), true
	case string:
		return v, utf8.ValidString(v)
	case []any:
		for i, item := range v {
			plain, ok := plainJSON(item)
			if !ok {
				return nil, false
			}
			v[i] = plain
		}
		return v, true
	case map[any]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			name, isText := key.(string)
			plain, ok := plainJSON(item)
			if !ok || !isText || !utf8.ValidString(name) {
				return nil, false
			}
			object[name] = plain
		}
		return object, true
	default: // numbers that JSON writes otherwise, instants
		return nil, false
	}
}

// single makes sure that nothing follows the value that was read, which the YAML library would not mention. Nothing can
// follow a mapping whose first key is a word at the left margin: what does is a part of it, or a mistake.
func (d *document) single() error {
	rest := d.text
	for len(rest) > 0 {
		line := rest[:lineLength(rest)]
		if blank := bytes.Trim(breakless(line), " \t"); len(blank) > 0 && blank[0] != '#' && string(blank) != "---" {
			break
		}
		rest = rest[len(line):]
	}
	if len(rest) > 0 && (rest[0]|0x20 >= 'a' && rest[0]|0x20 <= 'z') {
		return nil
	}

	decoder := yamlv2.NewDecoder(bytes.NewReader(d.text))
	var ignored struct{}
	if err := decoder.Decode(&ignored); err != nil && !errors.As(err, new(*yamlv2.TypeError)) {
		return err
	}
	switch err := decoder.Decode(&ignored); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil && !errors.As(err, new(*yamlv2.TypeError)):
		return err
	default:
		return errors.New("more follows the end of the document; begin the next one with ---")
	}
}

// expand finds the objects in a value: itself, or the items of a List, however nested.
func (d *document) expand(path string, value any) ([]object, []problem) {
	o := object{in: d, path: path}
	content, ok := value.(map[string]any)
	if !ok {
		return nil, []problem{o.problem("", "not an object of Kubernetes")}
	}
	o.content = content
	apiVersion, _ := content["apiVersion"].(string)
	kind, _ := content["kind"].(string)
	switch {
	case apiVersion == "":
		return nil, []problem{o.problem("apiVersion", "Required value: not an object of Kubernetes without it")}
	case kind == "":
		return nil, []problem{o.problem("kind", "Required value: not an object of Kubernetes without it")}
	}

	version, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, []problem{o.problem("apiVersion", err.Error())}
	}
	ours := strings.EqualFold(version.Group, v1alpha1.Group) // in another case it is misspelt, not somebody else's
	switch {
	case apiVersion == "v1" && kind == "List", ours && strings.HasSuffix(kind, "List"):
		return d.items(o)
	case ours:
		return []object{o}, nil
	}
	_, isWorkload := podOf(content)
	if _, isAround := surrounds(content); isWorkload || isAround {
		o.foreign = true
		return []object{o}, nil
	}
	return nil, nil
}

// items expands a List. An item of our own lists may leave its version and kind to the list.
func (d *document) items(list object) ([]object, []problem) {
	var problems []problem
	for _, key := range slices.Sorted(maps.Keys(list.content)) {
		switch key {
		case "apiVersion", "kind", "metadata", "items":
		default:
			problems = append(problems, list.problem(key, "Forbidden: unknown field"))
		}
	}
	metadata, _ := list.content["metadata"].(map[string]any)
	if page, _ := metadata["continue"].(string); page != "" {
		problems = append(problems, list.problem("metadata.continue", "the list is one page of a longer one; write out all of it"))
	}
	value, found := list.content["items"]
	items, isList := value.([]any)
	if !isList && (!found || value != nil) {
		problems = append(problems, list.problem("items", "Required value: a list of objects"))
	}

	var objects []object
	for i, item := range items {
		content, isObject := item.(map[string]any)
		if kind := list.content["kind"].(string); isObject && kind != "List" {
			inherit(content, "apiVersion", list.content["apiVersion"])
			inherit(content, "kind", strings.TrimSuffix(kind, "List"))
		}
		more, wrong := d.expand(join(list.path, fmt.Sprintf("items[%d]", i)), item)
		objects = append(objects, more...)
		problems = append(problems, wrong...)
	}
	return objects, problems
}

func inherit(content map[string]any, key string, value any) {
	if _, found := content[key]; !found {
		content[key] = value
	}
}

// join continues the path of a field.
func join(path, field string) string {
	if path == "" || field == "" {
		return path + field
	}
	return path + "." + field
}

// syntaxLine is where the YAML library says the line, counted within the text it was given.
var syntaxLine = regexp.MustCompile(`^line (\d+): `)

// syntaxProblems are what a parser found wrong, a line each.
func (d *document) syntaxProblems(err error) []problem {
	messages := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	if several := new(yamlv2.TypeError); errors.As(err, &several) {
		messages = several.Errors
	}
	var problems []problem
	for _, message := range messages {
		p := problem{in: d, message: message}
		if match := syntaxLine.FindStringSubmatch(message); match != nil {
			within, _ := strconv.Atoi(match[1])
			p.line, p.message = d.line+within-1, message[len(match[0]):]
		}
		problems = append(problems, p)
	}
	return problems
}
