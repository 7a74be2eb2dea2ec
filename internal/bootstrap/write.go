package bootstrap

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	yamlv3 "go.yaml.in/yaml/v3"

	"entrustment.dev/operator/internal/gather"
)

// hints say what a person is to write in place of a placeholder, by the field that holds it.
var hints = map[string]string{
	"name":            "one word for it, such as billing",
	"title":           "in the words in which it was published",
	"legalName":       "registered name",
	"country":         "of establishment, ISO 3166-1 alpha-2",
	"dataCategories":  "dotted keys, such as user.contact.email",
	"allowedPurposes": "Purposes that the data are for",
	"purposes":        "Purposes that the contract is for",
	"notAfter":        "the end of the contract, such as 2028-04-01T00:00:00Z",
	"reference":       "number or title of the contract; without one, leave contract out",
	"concludedDate":   "its day, such as 2026-04-01",
	"clauses":         "DocumentedInstructions, Confidentiality, SecurityMeasures, SubEntrustment, RightsAssistance, IncidentReporting, ReturnOrErasure, Audit",
}

// Write writes the draft as YAML, the notes as comments: of all, then of each object above it.
func (d *Draft) Write(out io.Writer) error {
	var b bytes.Buffer
	for _, note := range d.Notes {
		comment(&b, note)
	}
	for i := range d.Documents {
		b.WriteString("---\n")
		if err := d.Documents[i].write(&b); err != nil {
			return err
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

// comment writes one line, whatever the text holds: a name in a file may hold anything.
func comment(b *bytes.Buffer, text string) {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, text)
	b.WriteString(strings.TrimRight("# "+text, " ") + "\n")
}

func (d *Document) write(b *bytes.Buffer) error {
	for _, note := range d.Notes {
		comment(b, note)
	}
	text, err := json.Marshal(d.Object) // which keeps the order of the fields
	if err != nil {
		return fmt.Errorf("write %s %s: %w", d.Object.GetObjectKind().GroupVersionKind().Kind, d.Object.GetName(), err)
	}
	var root yamlv3.Node
	if err := yamlv3.Unmarshal(text, &root); err != nil { // JSON is YAML
		return fmt.Errorf("write %s %s: %w", d.Object.GetObjectKind().GroupVersionKind().Kind, d.Object.GetName(), err)
	}
	object := root.Content[0]
	object.Content = without(object.Content, "status")
	kind, apiVersion := object.Content[:2], object.Content[2:4]
	object.Content = slices.Concat(apiVersion, kind, object.Content[4:]) // as everybody writes it
	plain(object, "")
	encoder := yamlv3.NewEncoder(b)
	encoder.SetIndent(2)
	if err := encoder.Encode(object); err != nil {
		return err
	}
	return encoder.Close()
}

// without is a mapping's content without a key.
func without(content []*yamlv3.Node, key string) []*yamlv3.Node {
	for i := 0; i+1 < len(content); i += 2 {
		if content[i].Value == key {
			return slices.Delete(slices.Clone(content), i, i+2)
		}
	}
	return content
}

// unquoted are texts that every reader of YAML takes for texts, but for those that some take for a truth or for nothing.
var (
	unquoted = regexp.MustCompile(`^[A-Za-z][-A-Za-z0-9_./]*$`)
	words    = regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null)$`)
)

// plain writes a node as a person would, and says beside each placeholder what goes there. What is null is one.
func plain(node *yamlv3.Node, field string) {
	node.Style = 0
	switch node.Kind {
	case yamlv3.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			plain(node.Content[i], "")
			plain(node.Content[i+1], node.Content[i].Value)
		}
	case yamlv3.SequenceNode:
		for _, item := range node.Content {
			plain(item, field)
		}
	case yamlv3.ScalarNode:
		if node.Tag == "!!null" {
			node.Tag, node.Value = "!!str", gather.Placeholder
		}
		if node.Tag == "!!str" && (!unquoted.MatchString(node.Value) || words.MatchString(node.Value)) {
			node.Style = yamlv3.DoubleQuotedStyle
		}
		if node.Value == gather.Placeholder {
			node.LineComment = hints[field]
		}
	default: // JSON has no other
	}
}
