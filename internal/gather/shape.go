package gather

import (
	"regexp"
	"slices"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
)

// A shape is a schema in a form that says quickly of most values that nothing is wrong with them. The API server's own code
// says what is wrong, but makes validators anew for every object that it looks at, which takes most of the time of reading a
// large policy. A shape admits only what that code would neither refuse nor prune; of whatever it is not sure about it says
// no, and the other is asked. So it has no messages, and no word of its own on what is right.
type shape struct {
	admits func(value any) bool // of the type
	// of objects
	fields   map[string]*shape
	each     *shape // any other field; nil: there may be none
	required []string
	// of lists
	items  *shape
	unique func(list []any) bool // nil: no matter
}

// shapeOf a schema; nil: one that says what a shape does not know, so that no value of it is sure.
func shapeOf(s *schema.Structural) *shape {
	validation := s.ValueValidation
	if validation == nil {
		validation = &schema.ValueValidation{}
	}
	if s.Nullable || s.XPreserveUnknownFields || s.XEmbeddedResource || s.XIntOrString || validation.UniqueItems || validation.MultipleOf != nil ||
		len(validation.AllOf)+len(validation.AnyOf)+len(validation.OneOf) > 0 || validation.Not != nil {
		return nil
	}
	f := &shape{}
	switch s.Type {
	case "object":
		f.ofObject(s, validation)
	case "array":
		f.ofList(s, validation)
	case "string":
		f.admits = textual(validation)
	case "integer":
		f.admits = integral(validation)
	case "boolean":
		if len(validation.Enum) == 0 {
			f.admits = func(value any) bool { _, ok := value.(bool); return ok }
		}
	}
	if f.admits == nil {
		return nil
	}
	return f
}

func (f *shape) ofObject(s *schema.Structural, v *schema.ValueValidation) {
	if s.AdditionalProperties != nil {
		if s.AdditionalProperties.Structural == nil || len(s.Properties) > 0 {
			return
		}
		f.each = shapeOf(s.AdditionalProperties.Structural)
	}
	f.fields = make(map[string]*shape, len(s.Properties))
	for name := range s.Properties {
		property := s.Properties[name]
		f.fields[name] = shapeOf(&property)
	}
	for _, name := range v.Required {
		if s.Properties[name].Default.Object == nil { // else it will be there
			f.required = append(f.required, name)
		}
	}
	least, most := bounds(v.MinProperties, v.MaxProperties)
	if len(v.Enum) > 0 {
		return
	}
	f.admits = func(value any) bool {
		object, ok := value.(map[string]any)
		return ok && len(object) >= least && len(object) <= most && f.admitsFields(object)
	}
}

func (f *shape) admitsFields(object map[string]any) bool {
	for _, name := range f.required {
		if _, ok := object[name]; !ok {
			return false
		}
	}
	for name, value := range object {
		field, known := f.fields[name]
		if !known {
			field = f.each
		}
		if field == nil || !field.admits(value) {
			return false
		}
	}
	return true
}

func (f *shape) ofList(s *schema.Structural, v *schema.ValueValidation) {
	if s.Items == nil || len(v.Enum) > 0 {
		return
	}
	if f.items = shapeOf(s.Items); f.items == nil {
		return
	}
	if s.XListType != nil {
		switch *s.XListType {
		case "set":
			f.unique = distinct
		case "map":
			f.unique = distinctBy(s.XListMapKeys)
		}
	}
	least, most := bounds(v.MinItems, v.MaxItems)
	f.admits = func(value any) bool {
		list, ok := value.([]any)
		if !ok || len(list) < least || len(list) > most {
			return false
		}
		for _, item := range list {
			if !f.items.admits(item) {
				return false
			}
		}
		return f.unique == nil || f.unique(list)
	}
}

// distinct says that all items are texts, and none is there twice.
func distinct(list []any) bool {
	for i, item := range list {
		text, ok := item.(string)
		if !ok || slices.ContainsFunc(list[:i], func(before any) bool { return before == text }) {
			return false
		}
	}
	return true
}

// distinctBy says that all items have texts for the keys, and no two the same.
func distinctBy(keys []string) func([]any) bool {
	return func(list []any) bool {
		for i, item := range list {
			object, _ := item.(map[string]any)
			for _, key := range keys {
				if _, ok := object[key].(string); !ok {
					return false
				}
			}
			for _, before := range list[:i] {
				other, _ := before.(map[string]any)
				if !slices.ContainsFunc(keys, func(key string) bool { return object[key] != other[key] }) {
					return false
				}
			}
		}
		return true
	}
}

func textual(v *schema.ValueValidation) func(any) bool {
	least, most := bounds(v.MinLength, v.MaxLength)
	var pattern *regexp.Regexp
	if v.Pattern != "" {
		var err error
		if pattern, err = regexp.Compile(v.Pattern); err != nil {
			return nil
		}
	}
	if v.Format != "" && !strfmt.Default.ContainsName(v.Format) {
		return nil
	}
	words := map[string]bool{}
	for _, word := range v.Enum {
		text, ok := word.Object.(string)
		if !ok {
			return nil
		}
		words[text] = true
	}
	return func(value any) bool {
		text, ok := value.(string)
		if !ok || len(words) > 0 && !words[text] {
			return false
		}
		if length := utf8.RuneCountInString(text); length < least || length > most {
			return false
		}
		return (pattern == nil || pattern.MatchString(text)) && (v.Format == "" || strfmt.Default.Validates(v.Format, text))
	}
}

func integral(v *schema.ValueValidation) func(any) bool {
	if len(v.Enum) > 0 || v.ExclusiveMaximum || v.ExclusiveMinimum {
		return nil
	}
	const exact = 1 << 31 // what any format holds, and a float64 tells apart
	return func(value any) bool {
		number, ok := value.(int64)
		return ok && number > -exact && number < exact &&
			(v.Minimum == nil || float64(number) >= *v.Minimum) && (v.Maximum == nil || float64(number) <= *v.Maximum)
	}
}

func bounds(least, most *int64) (from, to int) {
	const endless = int(^uint(0) >> 1)
	from, to = 0, endless
	if least != nil {
		from = int(*least)
	}
	if most != nil {
		to = int(*most)
	}
	return from, to
}

// admits says that nothing is wrong with an object, and nothing in it unknown.
func (k kind) admits(content map[string]any) bool {
	return k.shape != nil && k.plainMetadata(content) && k.shape.admits(content)
}

// plainMetadata says of metadata that a person would write, that the server takes it as it is.
func (k kind) plainMetadata(content map[string]any) bool {
	metadata, _ := content["metadata"].(map[string]any)
	for key, value := range metadata {
		plain := false
		switch key {
		case "name":
			plain = isName(value)
		case "namespace":
			plain = k.namespaced && isName(value)
		case "labels":
			labels, ok := texts(value)
			plain = ok && len(metav1validation.ValidateLabels(labels, nil)) == 0
		case "annotations":
			annotations, ok := texts(value)
			plain = ok && len(apimachineryvalidation.ValidateAnnotations(annotations, nil)) == 0
		}
		if !plain {
			return false
		}
	}
	_, named := metadata["name"]
	_, placed := metadata["namespace"]
	return named && placed == k.namespaced
}

func isName(value any) bool {
	text, ok := value.(string)
	return ok && len(validateName(text, false)) == 0
}

func texts(value any) (map[string]string, bool) {
	object, ok := value.(map[string]any)
	found := make(map[string]string, len(object))
	for key, item := range object {
		text, isText := item.(string)
		found[key], ok = text, ok && isText
	}
	return found, ok
}
