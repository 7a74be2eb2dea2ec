package gather

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/internal/entrustment"
)

// Objects as short as the schema lets them be.
const (
	purpose     = "{apiVersion: entrustment.dev/v1alpha1, kind: Purpose, metadata: {name: p}, spec: {controllerName: c, title: t}}"
	purposeJSON = `{"apiVersion": "entrustment.dev/v1alpha1", "kind": "Purpose", "metadata": {"name": "p"}, "spec": {"controllerName": "c", "title": "t"}}`
	processor   = "{apiVersion: entrustment.dev/v1alpha1, kind: DataProcessor, metadata: {name: d}, spec: {legalName: x, country: JP}}"
	contract    = "{apiVersion: entrustment.dev/v1alpha1, kind: Entrustment, metadata: {name: e}, spec: {entrusterName: c, entrusteeName: d, " +
		"purposes: [p], dataCategories: [user], stores: [{namespace: ns, name: s}], notAfter: '2027-04-01T00:00:00+09:00'}}"
	store = "{apiVersion: entrustment.dev/v1alpha1, kind: PersonalDataStore, metadata: {name: s, namespace: ns}, spec: {controllerName: c, " +
		"dataCategories: [user], allowedPurposes: [p], endpoint: {podSelector: {matchLabels: {app: s}}, ports: [{port: 5432}]}}}"
	access    = "{apiVersion: entrustment.dev/v1alpha1, kind: PersonalDataAccess, metadata: {name: effective, namespace: ns}, processorName: d, enforcement: Enforce, grantCount: 0}"
	configMap = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {8080: on}}"
)

// with returns the object with a part of its text replaced.
func with(object, old, replacement string) string {
	if !strings.Contains(object, old) {
		panic(fmt.Sprintf("%q is not in %s", old, object))
	}
	return strings.Replace(object, old, replacement, 1)
}

// documentsOf is a file of several documents.
func documentsOf(documents ...string) string { return strings.Join(documents, "\n---\n") + "\n" }

// inDirectory makes the files in a directory of the test's own, and makes that the working directory.
func inDirectory(t testing.TB, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesAndDirectories(t *testing.T) {
	a, b, c := with(purpose, "name: p", "name: a"), with(purpose, "name: p", "name: b"), with(purpose, "name: p", "name: c")
	for name, test := range map[string]struct {
		files    map[string]string
		paths    []string
		want     []string
		problems []string
	}{
		"a directory, recursively and by name": {
			files: map[string]string{"b.yml": b, "a/x.YAML": a, "c/d/y.json": with(purposeJSON, `"p"`, `"c"`), "README.md": "not: [read"},
			paths: []string{"."},
			want:  []string{"Purpose a", "Purpose b", "Purpose c"},
		},
		"paths in the order given, whatever their names": {
			files: map[string]string{"policy": a, "d/b.yaml": b},
			paths: []string{"d", "-", "policy"},
			want:  []string{"Purpose b", "Purpose c", "Purpose a"},
		},
		"a mounted ConfigMap": {
			files: map[string]string{"..2026_11_23/a.yaml": a, "a.yaml": a},
			paths: []string{"."},
			want:  []string{"Purpose a"},
		},
		"what is not there": {
			files:    map[string]string{"a.yaml": a},
			paths:    []string{"missing.yaml", "a.yaml", "nowhere"},
			problems: []string{"missing.yaml: no such file or directory", "nowhere: no such file or directory"},
		},
		"a directory with nothing to read": {
			files:    map[string]string{"d/README.md": "x"},
			paths:    []string{"d"},
			problems: []string{"d: no *.yaml, *.yml or *.json below this directory"},
		},
		"stdin twice": {
			paths:    []string{"-", "-"},
			problems: []string{"-: the standard input can be read once"},
		},
		"an object in two files": {
			files:    map[string]string{"a.yaml": "# first\n---\n" + a, "d/b.yaml": "{apiVersion: v1, kind: List, items: [" + b + ", " + a + "]}"},
			paths:    []string{"."},
			problems: []string{"d/b.yaml:1: document 1, items[1]: Purpose a: already written in a.yaml:2, document 1"},
		},
		"a file given twice": {
			files:    map[string]string{"d/a.yaml": a},
			paths:    []string{"d", "d/a.yaml"},
			problems: []string{"d/a.yaml:1: document 1: Purpose a: already written in d/a.yaml:1, document 1"},
		},
		"problems of several files": {
			files: map[string]string{"a.yaml": with(a, "title: t", "titel: t"), "b.yaml": "a: [", "c.yaml": with(c, "name: c", "name: C")},
			paths: []string{"."},
			problems: []string{
				"b.yaml:1: document 1: did not find expected node content",
				"a.yaml:1: document 1: Purpose a: spec.titel: Forbidden: unknown field",
				"a.yaml:1: document 1: Purpose a: spec.title: Required value",
				`c.yaml:1: document 1: Purpose C: metadata.name: Invalid value: "C": a lowercase RFC 1123 label must consist of lower case ` +
					`alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', ` +
					`regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inDirectory(t, test.files)
			in, err := FromFiles(test.paths, strings.NewReader(c))
			if diff := cmp.Diff(test.problems, problemsOf(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.want, objectsOf(in)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLinksToDirectoriesAreNotLostSilently(t *testing.T) {
	inDirectory(t, map[string]string{"elsewhere/a.yaml": purpose, "policy/b.yaml": with(purpose, "name: p", "name: b")})
	if err := errors.Join(os.Symlink("../elsewhere", "policy/more"), os.Symlink("policy", "link")); err != nil {
		t.Fatal(err)
	}
	want := []string{"link/more: links to directories are not followed; name the directory itself"}
	_, err := FromFiles([]string{"link"}, nil)
	if diff := cmp.Diff(want, problemsOf(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	in, err := FromFiles([]string{"link/b.yaml", "policy/more"}, nil)
	if diff := cmp.Diff([]string{"Purpose b", "Purpose p"}, objectsOf(in)); err != nil || diff != "" {
		t.Errorf("%v, objects (-want +got):\n%s", err, diff)
	}
}

// Opening a pipe waits until somebody writes to it.
func TestPipesInDirectoriesAreNotWaitedFor(t *testing.T) {
	inDirectory(t, map[string]string{"d/a.yaml": purpose})
	if err := syscall.Mkfifo("d/b.yaml", 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := FromFiles([]string{"d"}, nil)
	if diff := cmp.Diff([]string{"d/b.yaml: is not a regular file"}, problemsOf(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestUnreadableStdin(t *testing.T) {
	_, err := FromFiles([]string{Stdin}, iotest.ErrReader(io.ErrClosedPipe))
	if diff := cmp.Diff([]string{"-: io: read/write on closed pipe"}, problemsOf(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestTextsAreRead(t *testing.T) {
	q := with(purpose, "name: p", "name: q")
	both := []string{"Purpose p", "Purpose q"}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"nothing":            {"", nil},
		"every kind":         {documentsOf(purpose, processor, contract, store), []string{"Purpose p", "DataProcessor d", "Entrustment e", "PersonalDataStore ns/s"}},
		"the operator's own": {access, nil},
		"other groups":       {documentsOf(configMap, "{apiVersion: example.com/v1, kind: Purpose, spec: 7}", purpose), []string{"Purpose p"}},
		"one name in two kinds and in two namespaces": {
			documentsOf(with(processor, "name: d", "name: p"), purpose, store, with(store, "namespace: ns", "namespace: other")),
			[]string{"Purpose p", "DataProcessor p", "PersonalDataStore ns/s", "PersonalDataStore other/s"},
		},
		"a name that the API server made": {with(purpose, "name: p", "name: p-x7k2p, generateName: p-"), []string{"Purpose p-x7k2p"}},
		"a namespace that means nothing":  {with(purpose, "name: p", "name: p, namespace: ns"), []string{"Purpose p"}},

		"empty documents, comments and directives": {"# a comment\n---\n---  \n# another\n...\n%YAML 1.1\n--- # a third\n" + purpose + "\n---\nnull\n---\n", []string{"Purpose p"}},
		"content on the line of the marker":        {"--- " + purpose + "\n--- " + q, both},
		"documents that end":                       {purpose + "\n...\n" + q + "\n...\n", both},
		"a word that begins with dashes":           {"apiVersion: v1\nkind: ConfigMap\ndata:\n  x: a\n   ---b\n---c: d\n---\n" + purpose, []string{"Purpose p"}},
		"a byte order mark":                        {"\ufeff" + purpose, []string{"Purpose p"}},
		"CRLF":                                     {strings.ReplaceAll(documentsOf(purpose, q), "\n", "\r\n"), both},
		"CR":                                       {strings.ReplaceAll(documentsOf(purpose, q), "\n", "\r"), both},
		"NEL":                                      {strings.ReplaceAll(documentsOf(purpose, q), "\n", "\u0085"), both},
		"the line separator of Unicode":            {strings.ReplaceAll(documentsOf(purpose, q), "\n", "\u2028"), both},
		"anchors":                                  {"apiVersion: entrustment.dev/v1alpha1\nkind: Purpose\nmetadata: {name: &x p}\nspec: {controllerName: *x, title: *x}\n", []string{"Purpose p"}},

		"JSON":                 {purposeJSON, []string{"Purpose p"}},
		"JSON with tabs":       {strings.ReplaceAll(purposeJSON, " ", "\n\t"), []string{"Purpose p"}},
		"JSON values in a row": {purposeJSON + "\n\n" + with(purposeJSON, `"p"`, `"q"`), both},
		"JSON and YAML":        {documentsOf(purposeJSON, q), both},
		"a List of kubectl":    {"apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n- " + purpose + "\n- " + configMap + "\n- " + store, []string{"Purpose p", "PersonalDataStore ns/s"}},
		"a List of nothing":    {"{apiVersion: v1, kind: List, items: null}", nil},
		"a List in a List":     {"{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: [" + purpose + "]}]}", []string{"Purpose p"}},
		"a list of our own, as the API server writes it": {"{apiVersion: entrustment.dev/v1alpha1, kind: PurposeList, metadata: {resourceVersion: '7'}, items: [{metadata: {name: p}, spec: {controllerName: c, title: t}}]}", []string{"Purpose p"}},
		"a list of another group":                        {"{apiVersion: v1, kind: PodList, items: 7}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := FromFiles([]string{Stdin}, strings.NewReader(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, objectsOf(in)); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if in.Namespaces != nil {
				t.Error("files cannot tell which namespaces exist")
			}
		})
	}
}

func TestTextsAreRefused(t *testing.T) {
	const one = "-:1: document 1: "
	kinds := `supported values: "DataProcessor", "Entrustment", "PersonalDataAccess", "PersonalDataStore", "Purpose"`
	long := strings.Repeat("a", 64)
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"another encoding":     {"kind: \xff", []string{"-: not a text in UTF-8"}},
		"UTF-16":               {"\xff\xfek\x00i\x00", []string{"-: not a text in UTF-8"}},
		"control characters":   {"kind: \x00\n", []string{one + "control characters are not allowed"}},
		"tabs":                 {"apiVersion: v1\nspec:\n\tx: y\n", []string{"-:3: document 1: found character that cannot start any token"}},
		"broken YAML":          {"# nothing\n---\n" + configMap + "\n---\nkind: Purpose\nspec: [\n", []string{"-:6: document 2: did not find expected node content"}},
		"broken JSON":          {`{"kind": "Purpose"`, []string{one + "did not find expected ',' or '}'"}},
		"an alias of nothing":  {"a: *b", []string{one + "unknown anchor 'b' referenced"}},
		"an alias of itself":   {"a: &b [*b]", []string{one + "anchor 'b' value contains itself"}},
		"a billion laughs":     {laughs(), []string{one + "document contains excessive aliasing"}},
		"what JSON cannot say": {"a: .inf", []string{one + "json: unsupported value: +Inf"}},
		"keys written twice": {
			"# one\n---\napiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {a: 1, a: 2}\n",
			[]string{`-:5: document 1: key "kind" already set in map`, `-:6: document 1: key "a" already set in map`},
		},
		"keys written twice in JSON":       {`{"kind": "Purpose", "spec": {"a": 1, "a": 2}}`, []string{one + `duplicate field "spec.a"`}},
		"what follows a mapping in braces": {purpose + "\n" + purpose, []string{one + "did not find expected <document start>"}},
		"what follows an indented mapping": {"  apiVersion: v1\n  kind: ConfigMap\nspec: {}\n", []string{"-:2: document 1: did not find expected <document start>"}},

		"a text":                     {"just words", []string{one + "not an object of Kubernetes"}},
		"a list":                     {"- " + purpose, []string{one + "not an object of Kubernetes"}},
		"no version":                 {"kind: Purpose", []string{one + "Purpose: apiVersion: Required value: not an object of Kubernetes without it"}},
		"no kind":                    {"apiVersion: entrustment.dev/v1alpha1", []string{one + "kind: Required value: not an object of Kubernetes without it"}},
		"a kind that is no text":     {with(purpose, "kind: Purpose", "kind: [Purpose]"), []string{one + "p: kind: Required value: not an object of Kubernetes without it"}},
		"a version with two slashes": {with(purpose, "v1alpha1", "v1/alpha"), []string{one + "Purpose p: apiVersion: unexpected GroupVersion string: entrustment.dev/v1/alpha"}},
		"an unknown version":         {with(purpose, "v1alpha1", "v1"), []string{one + `Purpose p: apiVersion: Unsupported value: "entrustment.dev/v1": supported values: "entrustment.dev/v1alpha1"`}},
		"our group in another case":  {with(purpose, "entrustment", "Entrustment"), []string{one + `Purpose p: apiVersion: Unsupported value: "Entrustment.dev/v1alpha1": supported values: "entrustment.dev/v1alpha1"`}},
		"an unknown kind":            {with(purpose, "Purpose", "Purposes"), []string{one + `Purposes p: kind: Unsupported value: "Purposes": ` + kinds}},
		"a kind that would write to the terminal": {
			with(purpose, "Purpose", `"\e[2J\n\u202e"`),
			[]string{one + `\x1b[2J\n\u202e p: kind: Unsupported value: "\x1b[2J\n\u202e": ` + kinds},
		},

		"no name":                     {with(purpose, "name: p", "labels: {a: b}"), []string{one + "Purpose: metadata.name: Required value: name or generateName is required"}},
		"no metadata":                 {with(purpose, "metadata: {name: p}, ", ""), []string{one + "Purpose: metadata.name: Required value: name or generateName is required"}},
		"a name of 64 characters":     {with(purpose, "name: p", "name: "+long), []string{one + "Purpose " + long + `: metadata.name: Invalid value: "` + long + `": must be no more than 63 characters`}},
		"a name with a dot":           {with(store, "name: s,", "name: a.b,"), []string{one + `PersonalDataStore ns/a.b: metadata.name: Invalid value: "a.b": must not contain dots`}},
		"a store without a namespace": {with(store, ", namespace: ns}", "}"), []string{one + "PersonalDataStore s: metadata.namespace: Required value"}},
		"metadata of another type":    {with(purpose, "name: p", "name: p, labels: [x]"), []string{one + "Purpose p: metadata: Invalid value: json: cannot unmarshal array into Go struct field ObjectMeta.labels of type map[string]string"}},
		"metadata that is unknown":    {with(purpose, "name: p", "name: p, label: {}"), []string{one + "Purpose p: metadata.label: Forbidden: unknown field"}},
		"an instant of creation that is none": {with(purpose, "name: p", "name: p, creationTimestamp: today"), []string{
			one + `Purpose p: metadata: Invalid value: parsing time "today" as "2006-01-02T15:04:05Z07:00": cannot parse "today" as "2006"`}},

		"no spec":                             {with(purpose, ", spec: {controllerName: c, title: t}", ""), []string{one + "Purpose p: spec: Required value"}},
		"null":                                {with(purpose, "title: t", "title: null"), []string{one + "Purpose p: spec.title: Required value"}},
		"a country that YAML takes for false": {with(processor, "JP", "NO"), []string{one + `DataProcessor d: spec.country: Invalid value: "boolean": must be of type string: "boolean"`}},
		"a map key written twice":             {with(contract, "stores: [", "stores: [{namespace: ns, name: s}, "), []string{one + `Entrustment e: spec.stores[1]: Duplicate value: {"name":"s","namespace":"ns"}`}},
		"too few and too many": {
			with(with(contract, "[user]", "["+strings.Repeat("x, ", 65)+"]"), "[p]", "[]"),
			[]string{
				one + "Entrustment e: spec.dataCategories: Too many: 65: must have at most 64 items",
				one + `Entrustment e: spec.dataCategories[1]: Duplicate value: "x"`,
				one + "Entrustment e: spec.purposes: Invalid value: 0: should have at least 1 items",
			},
		},
		"numbers out of range": {
			with(store, "port: 5432", "port: 0}, {port: 65536}, {port: http"),
			[]string{
				one + "PersonalDataStore ns/s: spec.endpoint.ports[0].port: Invalid value: 0: should be greater than or equal to 1",
				one + "PersonalDataStore ns/s: spec.endpoint.ports[1].port: Invalid value: 65536: should be less than or equal to 65535",
				one + `PersonalDataStore ns/s: spec.endpoint.ports[2].port: Invalid value: "string": must be of type integer: "string"`,
			},
		},
		"a value of a megabyte": {with(purpose, "title: t", "title: t, disposition: "+strings.Repeat("J", 1<<20)), []string{
			one + `Purpose p: spec.disposition: Unsupported value: "` + strings.Repeat("J", 280) + "…"}},
		"the operator's own, wrong": {with(access, "Enforce", "Maybe"), []string{one + `PersonalDataAccess ns/effective: enforcement: Unsupported value: "Maybe": supported values: "Enforce", "Report"`}},
		"all that is wrong, each with its line": {
			`
---
# the purpose
apiVersion: entrustment.dev/v1alpha1
kind: Purpose
metadata:
  name: p
spec:
  controllerName: C
  disposal: Prohibited
  consentRequired: maybe
  notAfter: 2027-02-30T00:00:00Z
  legalBases:
  - Consent
  - Hunch
  - Consent
  publication:
    document: x
    version: soon
`,
			[]string{
				`-:11: document 1: Purpose p: spec.consentRequired: Invalid value: "string": must be of type boolean: "string"`,
				`-:9: document 1: Purpose p: spec.controllerName: Invalid value: "C": should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'`,
				`-:10: document 1: Purpose p: spec.disposal: Forbidden: unknown field`,
				`-:15: document 1: Purpose p: spec.legalBases[1]: Unsupported value: "Hunch": supported values: "PurposeOfUse", "Consent", ` +
					`"ContractPerformance", "LegalObligation", "VitalInterest", "PublicInterest", "LegitimateInterest"`,
				`-:16: document 1: Purpose p: spec.legalBases[2]: Duplicate value: "Consent"`,
				`-:12: document 1: Purpose p: spec.notAfter: Invalid value: "2027-02-30T00:00:00Z": must be of type date-time: "2027-02-30T00:00:00Z"`,
				`-:19: document 1: Purpose p: spec.publication.version: Invalid value: "soon": must be of type date: "soon"`,
				`-:19: document 1: Purpose p: spec.publication.version: Invalid value: "soon": should match '^\d{4}-\d{2}-\d{2}$'`,
				`-:8: document 1: Purpose p: spec.title: Required value`,
			},
		},

		"an item of a List": {
			"apiVersion: v1\nkind: List\nitems:\n- " + purpose + "\n- apiVersion: entrustment.dev/v1alpha1\n  kind: DataProcessor\n  metadata: {name: d}\n  spec:\n    legalName: ''\n    country: JP",
			[]string{`-:9: document 1, items[1]: DataProcessor d: spec.legalName: Invalid value: "": should be at least 1 chars long`},
		},
		"an item that is no object":  {"{apiVersion: v1, kind: List, items: [7]}", []string{"-:1: document 1, items[0]: not an object of Kubernetes"}},
		"an item of another version": {"{apiVersion: entrustment.dev/v1alpha1, kind: PurposeList, items: [{apiVersion: entrustment.dev/v1, metadata: {name: p}}]}", []string{`-:1: document 1, items[0]: Purpose p: apiVersion: Unsupported value: "entrustment.dev/v1": supported values: "entrustment.dev/v1alpha1"`}},
		"a List without items":       {"{apiVersion: v1, kind: List}", []string{one + "List: items: Required value: a list of objects"}},
		"a List of one object":       {"{apiVersion: v1, kind: List, items: " + purpose + "}", []string{one + "List: items: Required value: a list of objects"}},
		"a List with another field":  {"{apiVersion: v1, kind: List, item: [], items: []}", []string{one + "List: item: Forbidden: unknown field"}},
		"one page of a List":         {"{apiVersion: v1, kind: List, metadata: {continue: abc}, items: []}", []string{one + "List: metadata.continue: the list is one page of a longer one; write out all of it"}},

		"an object written twice": {documentsOf(purpose, store, purpose), []string{"-:5: document 3: Purpose p: already written in -:1, document 1"}},
		"an object written twice, once with a namespace that means nothing": {
			documentsOf(purpose, with(purpose, "name: p", "name: p, namespace: ns")),
			[]string{"-:3: document 2: Purpose p: already written in -:1, document 1"},
		},
		"an object written twice, and wrong": {
			documentsOf(purpose, with(purpose, "title: t", "title: 1")),
			[]string{
				`-:3: document 2: Purpose p: spec.title: Invalid value: "integer": must be of type string: "integer"`,
				"-:3: document 2: Purpose p: already written in -:1, document 1",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := FromFiles([]string{Stdin}, strings.NewReader(test.text))
			if diff := cmp.Diff(test.want, problemsOf(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(entrustment.Inputs{}, in); diff != "" {
				t.Errorf("an error came with inputs:\n%s", diff)
			}
		})
	}
}

func TestProblemsAreBoundedAndCounted(t *testing.T) {
	text := strings.Repeat(with(purpose, "title: t", "titel: t")+"\n---\n", 60) // two each, and written twice but for the first
	_, err := FromFiles([]string{Stdin}, strings.NewReader(text))
	problems := problemsOf(err)
	if len(problems) != maxProblems || !strings.HasSuffix(err.Error(), "\nand 79 more problems") {
		t.Errorf("%d problems shown of 179:\n%v", len(problems), err)
	}
}

func TestGarbageIsRefusedQuickly(t *testing.T) {
	garbage := make([]byte, 1<<20)
	for i := range garbage {
		garbage[i] = byte(' ' + (i*i+i/7)%95)
	}
	for name, text := range map[string]string{
		"noise":    string(garbage),
		"braces":   strings.Repeat("{", 1<<20),
		"brackets": strings.Repeat("[", 1<<20),
		"dashes":   strings.Repeat("- ", 1<<19),
		"markers":  strings.Repeat("---\n", 1<<18) + "x",
		"JSON":     strings.Repeat(`{"a":`, 1<<18),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := FromFiles([]string{Stdin}, strings.NewReader(text)); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// laughs is a document of a few hundred bytes that means ten thousand million words.
func laughs() string {
	text := "a0: &a0 [" + strings.Repeat("ha, ", 10) + "]\n"
	for i := range 9 {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 10))
	}
	return text
}

func problemsOf(err error) []string {
	var problems *Problems
	if !errors.As(err, &problems) {
		return nil
	}
	return problems.First
}

// objectsOf are the objects of the inputs, in their order.
func objectsOf(in entrustment.Inputs) []string {
	var names []string
	add := func(kind string, o client.Object) {
		names = append(names, kind+" "+strings.TrimPrefix(o.GetNamespace()+"/"+o.GetName(), "/"))
	}
	for _, o := range in.Purposes {
		add("Purpose", o)
	}
	for _, o := range in.Processors {
		add("DataProcessor", o)
	}
	for _, o := range in.Entrustments {
		add("Entrustment", o)
	}
	for _, o := range in.Stores {
		add("PersonalDataStore", o)
	}
	return names
}
