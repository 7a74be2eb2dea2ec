package gather

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// maxProblems bounds what is reported of hopeless input; the rest is counted.
const maxProblems = 100

// Problems are all that is wrong with the files, in the order in which they were read.
type Problems struct {
	First []string // the first hundred, one line each
	More  int      // that are not among them
}

// Error is one line a problem.
func (p *Problems) Error() string {
	lines := p.First
	if p.More > 0 {
		lines = append(lines[:len(lines):len(lines)], fmt.Sprintf("and %d more problems", p.More))
	}
	return strings.Join(lines, "\n")
}

// A problem is one thing wrong with a file, a document or an object.
type problem struct {
	class   Class
	file    string    // where there is no document
	in      *document // nil: the file itself is at fault
	object  *object   // nil: the document itself is
	line    int       // of the file, where a parser said it; else the field tells
	field   string    // within the object
	message string
}

// problem is one about a field of the object, or with no field about all of it.
func (o *object) problem(field, message string) problem {
	return problem{in: o.in, object: o, field: field, message: message}
}

// report makes the lines, and finds for each the line of the file that its field is on. Only documents with problems are
// parsed for positions, one at a time.
func report(problems []problem) error {
	var at positions
	reported := &Problems{More: max(0, len(problems)-maxProblems)}
	for _, p := range problems[:min(len(problems), maxProblems)] {
		if p.in != nil {
			p.line = at.lineOf(&p)
		}
		reported.First = append(reported.First, p.String())
	}
	return reported
}

// path of the field within the document.
func (p problem) path() string {
	if p.object == nil {
		return p.field
	}
	return join(p.object.path, p.field)
}

// String is FILE:LINE: document N: KIND NAME: FIELD: what is wrong.
func (p problem) String() string {
	parts := []string{p.file}
	if p.in != nil {
		parts[0] = fmt.Sprintf("%s:%d", p.in.file, p.line)
		if p.object == nil {
			parts = append(parts, fmt.Sprintf("document %d", p.in.number))
		} else {
			parts = append(parts, p.object.place(), shortened(p.object.String()))
		}
	}
	parts = append(parts, shortened(p.field), shortened(p.message))
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	return printable(strings.Join(parts, ": "))
}

// shortened bounds a text that may hold a field of a megabyte.
func shortened(text string) string {
	const enough = 300
	if runes := []rune(text); len(runes) > enough {
		return string(runes[:enough]) + "…"
	}
	return text
}

// printable keeps the text of a file from writing to the terminal anything but itself, on one line.
func printable(text string) string {
	quoted := strconv.QuoteToGraphic(text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

// lineOf is the line on which the field at path begins, counted from 1 within the document, or, where it is missing, the
// line of what it is missing from, which begins at line. Keys may contain dots, so the path is matched against those that
// are there.
func lineOf(node *yamlv3.Node, path string, line int) int {
	switch node.Kind {
	case yamlv3.DocumentNode:
		for _, root := range node.Content {
			return lineOf(root, path, root.Line)
		}
	case yamlv3.AliasNode:
		return lineOf(node.Alias, path, line)
	case yamlv3.SequenceNode:
		index, rest, isIndex := strings.Cut(strings.TrimPrefix(path, "["), "]")
		if i, err := strconv.Atoi(index); isIndex && err == nil && i >= 0 && i < len(node.Content) {
			return lineOf(node.Content[i], strings.TrimPrefix(rest, "."), node.Content[i].Line)
		}
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			rest, found := strings.CutPrefix(path, key.Value)
			switch {
			case !found || key.Value == "":
			case rest == "", rest[0] == '.', rest[0] == '[':
				return lineOf(value, strings.TrimPrefix(rest, "."), key.Line)
			}
		}
	case yamlv3.ScalarNode: // holds no fields
	}
	return line
}
