package gather

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Placeholder stands where a person has to say something. No name, date or code can be it, and a text that holds it is not
// taken for one.
const Placeholder = "REPLACE-ME"

// placeholders finds those left in an object.
func (o *object) placeholders() []problem {
	if !o.in.blanks {
		return nil
	}
	var left []problem
	var visit func(path string, value any)
	visit = func(path string, value any) {
		switch v := value.(type) {
		case string:
			if strings.Contains(v, Placeholder) {
				p := o.problem(path, Placeholder+" is still to be completed")
				p.class = Incomplete
				left = append(left, p)
			}
		case []any:
			for i := range v {
				visit(fmt.Sprintf("%s[%d]", path, i), v[i])
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				visit(join(path, key), v[key])
			}
		}
	}
	visit("", o.content)
	return left
}
