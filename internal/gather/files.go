package gather

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"k8s.io/client-go/util/workqueue"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Stdin is the path that stands for the standard input.
const Stdin = "-"

// maxFileBytes bounds one file, so that an endless one is refused rather than read.
const maxFileBytes = 256 << 20

// FromFiles reads files, directories (every *.yaml, *.yml and *.json below them, by name) and, for "-", stdin: YAML or
// JSON, several documents a file, Lists included. Objects of other groups are passed over; PersonalDataAccess objects are
// checked and left aside, for they are what the operator derives. Namespaces stay unknown.
//
// The error is a *Problems of everything that is wrong: what cannot be read, what the schema refuses, what is written
// twice. CEL rules are not applied; the decision is total without them.
func FromFiles(paths []string, stdin io.Reader) (entrustment.Inputs, error) {
	read := Read(paths, stdin)
	return read.Inputs, read.Err()
}

// Files are what files hold, and where.
type Files struct {
	Inputs    entrustment.Inputs // none if something is wrong
	Workloads []Workload         // in the order of the files; those that could be read
	problems  []problem
	objects   []object

	byTitle map[string]*object // made when somebody asks where something is
	at      positions
}

// Read is FromFiles for those who also ask for workloads, and where something is written.
func Read(paths []string, stdin io.Reader) *Files { return readKnowing(nil, paths, stdin) }

// Read reads other files than these. Documents that say word for word the same as one of these are not read again: their
// objects are shared, and must not be changed.
func (f *Files) Read(paths []string, stdin io.Reader) *Files {
	return readKnowing(f.sound(), paths, stdin)
}

// sound are the objects of documents in which nothing was wrong, by the text of the document.
func (f *Files) sound() map[string][]object {
	known := map[string][]object{}
	for rest := f.objects; len(rest) > 0; {
		d := rest[0].in
		n := slices.IndexFunc(rest, func(o object) bool { return o.in != d })
		if n < 0 {
			n = len(rest)
		}
		if !slices.ContainsFunc(rest[:n], func(o object) bool { return o.typed == nil && !o.foreign }) {
			known[string(d.text)] = rest[:n]
		}
		rest = rest[n:]
	}
	return known
}

func readKnowing(known map[string][]object, paths []string, stdin io.Reader) *Files {
	files, missing := find(paths)
	documents, unreadable := inParallel(files, func(path *string) ([]document, []problem) { return read(*path, stdin) })
	objects, malformed := inParallel(documents, func(d *document) ([]object, []problem) {
		if again, ok := known[string(d.text)]; ok {
			return d.with(again), nil
		}
		return d.objects()
	})
	_, refused := inParallel(objects, decode)
	workloads, _ := inParallel(objects, workload)

	f := &Files{objects: objects, Workloads: workloads}
	for _, found := range []struct {
		class    Class
		problems []problem
	}{{Unreadable, missing}, {Unreadable, unreadable}, {Syntax, malformed}, {Schema, refused}, {Duplicate, duplicates(objects)}} {
		for _, p := range found.problems {
			p.class = cmp.Or(p.class, found.class)
			f.problems = append(f.problems, p)
		}
	}
	if len(f.problems) > 0 {
		return f
	}
	in := &f.Inputs
	for i := range objects {
		switch o := objects[i].typed.(type) {
		case *v1alpha1.Purpose:
			in.Purposes = append(in.Purposes, o)
		case *v1alpha1.DataProcessor:
			in.Processors = append(in.Processors, o)
		case *v1alpha1.Entrustment:
			in.Entrustments = append(in.Entrustments, o)
		case *v1alpha1.PersonalDataStore:
			in.Stores = append(in.Stores, o)
		}
	}
	return f
}

// Err is a *Problems of everything that is wrong; nil: nothing is.
func (f *Files) Err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return report(f.problems)
}

// workload reads an object as one. A workload that Kubernetes could not read either is left to Kubernetes.
func workload(o *object) ([]Workload, []problem) {
	if !o.foreign {
		return nil, nil
	}
	w, isWorkload, err := WorkloadOf(o.content)
	if err != nil || !isWorkload {
		return nil, nil
	}
	return []Workload{w}, nil
}

// inParallel does one step of reading to every item, on all processors, and keeps the order.
func inParallel[In, Out any](items []In, do func(*In) ([]Out, []problem)) ([]Out, []problem) {
	done := make([]struct {
		out      []Out
		problems []problem
	}, len(items))
	workqueue.ParallelizeUntil(context.Background(), runtime.GOMAXPROCS(0), len(items), func(i int) {
		done[i].out, done[i].problems = do(&items[i])
	})

	var out []Out
	var problems []problem
	for _, d := range done {
		out = append(out, d.out...)
		problems = append(problems, d.problems...)
	}
	return out, problems
}

// find lists the files that paths name.
func find(paths []string) ([]string, []problem) {
	var files []string
	var problems []problem
	stdins := 0
	for _, path := range paths {
		if path == Stdin {
			if stdins++; stdins > 1 {
				problems = append(problems, problem{file: path, message: "the standard input can be read once"})
				continue
			}
			files = append(files, path)
			continue
		}
		switch info, err := os.Stat(path); {
		case path == "":
			problems = append(problems, problem{file: `""`, message: "is not the name of a file"})
		case err != nil:
			problems = append(problems, problem{file: path, message: withoutPath(err)})
		case info.IsDir():
			below, wrong := findBelow(path)
			if len(below) == 0 && len(wrong) == 0 {
				wrong = []problem{{file: path, message: "no *.yaml, *.yml or *.json below this directory"}}
			}
			files = append(files, below...)
			problems = append(problems, wrong...)
		default:
			files = append(files, path)
		}
	}
	return files, problems
}

// findBelow lists the files of a directory that look like YAML or JSON. It leaves out what begins with "..", where the
// kubelet keeps the versions of a mounted ConfigMap whose current files are linked beside it.
func findBelow(directory string) ([]string, []problem) {
	var files []string
	var problems []problem
	_ = fs.WalkDir(os.DirFS(directory), ".", func(name string, entry fs.DirEntry, err error) error {
		path := filepath.Join(directory, name)
		if err != nil {
			problems = append(problems, problem{file: path, message: withoutPath(err)})
			return nil
		}
		if strings.HasPrefix(entry.Name(), "..") {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			if target, err := os.Stat(path); err == nil && target.IsDir() {
				problems = append(problems, problem{file: path, message: "links to directories are not followed; name the directory itself"})
				return nil
			}
		}
		switch strings.ToLower(filepath.Ext(name)) {
		case ".yaml", ".yml", ".json":
			if entry.IsDir() {
				return nil
			}
			// Opening a pipe would wait for somebody to write to it.
			if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
				problems = append(problems, problem{file: path, message: "is not a regular file"})
				return nil
			}
			files = append(files, path)
		}
		return nil
	})
	return files, problems
}

// read reads the documents of one file.
func read(path string, stdin io.Reader) ([]document, []problem) {
	text, err := readAll(path, stdin)
	if err == nil {
		var found []document
		if found, err = documents(path, text); err == nil {
			return found, nil
		}
	}
	return nil, []problem{{file: path, message: withoutPath(err)}}
}

func readAll(path string, stdin io.Reader) ([]byte, error) {
	from := stdin
	if path != Stdin {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		from = file
	}
	text, err := io.ReadAll(io.LimitReader(from, maxFileBytes+1))
	if err == nil && len(text) > maxFileBytes {
		err = fmt.Errorf("longer than %d MiB", maxFileBytes>>20)
	}
	return text, err
}

// withoutPath is the message of an error without the path, which every problem begins with.
func withoutPath(err error) string {
	if pathError := new(fs.PathError); errors.As(err, &pathError) {
		err = pathError.Err
	}
	return err.Error()
}

// duplicates finds objects that were written twice, of which kubectl would keep the last and nobody would notice.
func duplicates(objects []object) []problem {
	var problems []problem
	first := make(map[string]*object, len(objects))
	for i := range objects {
		o := &objects[i]
		if o.foreign {
			continue
		}
		name := o.String()
		switch before, again := first[name]; {
		case !again:
			first[name] = o
		case o.name() != "":
			problems = append(problems, o.problem("",
				fmt.Sprintf("already written in %s:%d, %s", before.in.file, before.in.line, before.place())))
		}
	}
	return problems
}
