package gather

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	yamlv2 "go.yaml.in/yaml/v2"

	"entrustment.dev/operator/internal/entrustment"
)

// FuzzFromFiles reads anything without a panic, never returns inputs with an error, and never loses a document.
func FuzzFromFiles(f *testing.F) {
	for _, text := range []string{
		documentsOf(purpose, processor, contract, store, access, configMap),
		purposeJSON + purposeJSON,
		"apiVersion: v1\nkind: List\nitems:\n- " + purpose,
		"%YAML 1.1\n---\n# x\n" + purpose + "\n...\n" + store,
		"a: |\n  b\n--- {c: d}\u2028--- e\r---\u0085...\n",
		"  a: 1\nb: 2",
		"? a\n: !!binary b\n<<: *c",
		laughs(),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in, err := FromFiles([]string{Stdin}, bytes.NewReader(text))
		if err != nil {
			if len(objectsOf(in)) > 0 || len(problemsOf(err)) == 0 {
				t.Fatalf("inputs %v with error %v", in, err)
			}
			return
		}
		entrustment.Compile(in, time.Unix(0, 0))

		// What was accepted has as many documents as a parser of the whole stream finds in it.
		want, ok := countYAML(text)
		if !ok {
			return // JSON values in a row, which are no YAML stream
		}
		got := 0
		documents, err := documents(Stdin, text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range documents {
			if value, _ := documents[i].value(); value != nil {
				got++
			}
		}
		if got != want {
			t.Fatalf("%d documents of %d", got, want)
		}
	})
}

// countYAML counts the documents of a stream that are not null.
func countYAML(text []byte) (count int, ok bool) {
	for decoder := yamlv2.NewDecoder(bytes.NewReader(text)); ; {
		var value any
		switch err := decoder.Decode(&value); {
		case errors.Is(err, io.EOF):
			return count, true
		case err != nil:
			return 0, false
		case value != nil:
			count++
		}
	}
}
