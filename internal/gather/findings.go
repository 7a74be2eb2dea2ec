package gather

import (
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// A Class tells at which step of reading something was found wrong.
type Class string

// The classes of what is wrong with files.
const (
	Unreadable Class = "Unreadable" // a file that cannot be read
	Syntax     Class = "Syntax"     // a document that is no object
	Schema     Class = "Schema"     // an object that the schema of its kind refuses
	Duplicate  Class = "Duplicate"  // an object that is written twice
	Rule       Class = "Rule"       // an object that a CEL rule of its kind refuses
	Incomplete Class = "Incomplete" // an object in which a placeholder is left
)

// A Finding is one thing wrong with files, and where it is written.
type Finding struct {
	Class   Class
	File    string
	Line    int    // counted from 1; 0: of a file that could not be read
	Object  string // KIND NAME; empty: of no object
	Field   string
	Message string
}

// Findings are what Err tells, one by one.
func (f *Files) Findings() []Finding { return f.findings(f.problems) }

// BrokenRules are what the CEL rules of the kinds refuse, as if all objects were new.
func (f *Files) BrokenRules() []Finding {
	_, problems := inParallel(f.objects, func(o *object) ([]struct{}, []problem) {
		kind, _ := o.content["kind"].(string)
		if o.foreign {
			return nil, nil
		}
		refused, err := ruleProblems(kind, o.content, nil)
		if err != nil {
			return nil, []problem{o.problem("", err.Error())}
		}
		var problems []problem
		for _, e := range refused {
			problems = append(problems, o.problem(strings.TrimPrefix(e.Field, "<nil>"), e.Detail))
		}
		return nil, problems
	})
	for i := range problems {
		problems[i].class = Rule
	}
	return f.findings(problems)
}

func (f *Files) findings(problems []problem) []Finding {
	var at positions
	var found []Finding
	for i := range problems {
		p := &problems[i]
		finding := Finding{Class: p.class, File: p.file, Field: shortened(p.field), Message: printable(shortened(p.message))}
		if p.in != nil {
			finding.File, finding.Line = p.in.file, at.lineOf(p)
		}
		if p.object != nil {
			finding.Object = shortened(p.object.String())
		}
		found = append(found, finding)
	}
	return found
}

// Locate is where a field of an object is written, or what it is missing from; false: the files hold no such object. A
// store, and a workload, is named NAMESPACE/NAME.
func (f *Files) Locate(kind, name, field string) (file string, line int, found bool) {
	if f.byTitle == nil {
		f.byTitle = make(map[string]*object, len(f.objects))
		for i := range f.objects {
			f.byTitle[f.objects[i].String()] = &f.objects[i]
		}
	}
	o := f.byTitle[kind+" "+name]
	if o == nil { // of a namespace that the file leaves open
		_, name, _ = strings.Cut(name, "/")
		if o = f.byTitle[kind+" "+name]; o == nil {
			return "", 0, false
		}
	}
	p := o.problem(field, "")
	return o.in.file, f.at.lineOf(&p), true
}

// positions finds lines. It parses a document for that, and keeps the last one that it parsed.
type positions struct {
	parsed *document
	root   yamlv3.Node
}

// lineOf is the line of the file that a problem's field is on, or of the document if nothing is known.
func (at *positions) lineOf(p *problem) int {
	if p.line != 0 {
		return p.line
	}
	if at.parsed != p.in {
		at.parsed, at.root = p.in, yamlv3.Node{}
		if yamlv3.Unmarshal(p.in.text, &at.root) != nil {
			at.root = yamlv3.Node{}
		}
	}
	return p.in.line + lineOf(&at.root, p.path(), 1) - 1
}
