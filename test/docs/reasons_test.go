package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"iter"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// reserved are words that the API keeps for what says them later: a probe that gets through.
var reserved = []string{"NotEnforced"}

// Whoever waits for a reason of a condition does not wait in vain: each that the API names is one of its constants, and each
// constant is used by the code that decides.
func TestEveryReasonIsProduced(t *testing.T) {
	reasons := map[string]string{} // constants by what they say
	documented := map[string]bool{}
	list := regexp.MustCompile(`(?:True|False|is the problem:|before the end that time alone will\nbring:) ([A-Z][^;.]*)`)
	for text, value := range constants(t) {
		if name := value.Names[0].Name; strings.HasPrefix(name, "Reason") {
			reasons[text] = name
			continue
		}
		for _, found := range list.FindAllStringSubmatch(value.Doc.Text(), -1) {
			for _, word := range regexp.MustCompile(`\([^)]*\)|[\s,]+`).Split(found[1], -1) {
				if regexp.MustCompile(`^[A-Z][a-z]+[A-Z0-9]?\w*$`).MatchString(word) {
					documented[word] = true
				}
			}
		}
	}
	if len(reasons) < 80 || len(documented) < 60 {
		t.Fatalf("%d reasons, %d of them of conditions", len(reasons), len(documented))
	}

	used := map[string]bool{}
	for _, dir := range []string{"internal", "controllers"} {
		err := filepath.WalkDir(root+dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			ast.Inspect(parse(t, path), func(node ast.Node) bool {
				if selector, ok := node.(*ast.SelectorExpr); ok {
					used[selector.Sel.Name] = true
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for word := range documented {
		if reasons[word] == "" {
			t.Errorf("%s is documented as the reason of a condition, and no constant", word)
		}
	}
	for word, constant := range reasons {
		if !used[constant] && !slices.Contains(reserved, word) {
			t.Errorf("nothing produces %s", word)
		}
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// constants are those of the API's conditions and reasons, by what they say.
func constants(t *testing.T) iter.Seq2[string, *ast.ValueSpec] {
	t.Helper()
	return func(yield func(string, *ast.ValueSpec) bool) {
		for _, d := range parse(t, root+"api/v1alpha1/conditions.go").Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, s := range group.Specs {
				value := s.(*ast.ValueSpec)
				text, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				if !yield(text, value) {
					return
				}
			}
		}
	}
}
