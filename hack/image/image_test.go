package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// The same source makes the same image, wherever it lies. What is copied elsewhere is what the Dockerfile sees, so that it is
// enough to build from, and what the Makefile takes besides.
func TestTheOperatorIsReproducible(t *testing.T) {
	there := filepath.Join(t.TempDir(), "elsewhere")
	for _, path := range append(buildContext(t, "../.."), "Makefile", "hack/image/go.mod", "hack/image/go.sum", "hack/image/main.go", "hack/image/image.go") {
		text, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(there, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(there, path), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	archives := map[string][]byte{}
	for _, source := range []string{"../..", there} {
		dist := t.TempDir()
		output, err := exec.CommandContext(t.Context(), "make", "-C", source, "image", "DIST="+dist, "TOOLS=none",
			"VERSION=v1.2.3", "REVISION=0123456789", "CREATED=1795546992", "PLATFORMS=linux/"+runtime.GOARCH).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		archives[source] = read(t, filepath.Join(dist, "entrustment-operator.tar"))
		image, err := tarball.ImageFromPath(filepath.Join(dist, "entrustment-operator.tar"), nil)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := image.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d bytes, configuration %s", len(archives[source]), digest)
	}
	if !bytes.Equal(archives["../.."], archives[there]) {
		t.Error("the same source made two images")
	}
}

// buildContext lists the files that .dockerignore lets through.
func buildContext(t *testing.T, root string) (paths []string) {
	t.Helper()
	ignored, err := os.Open(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ignored.Close() }()
	patterns, err := ignorefile.ReadAll(ignored)
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(path)
		if !ignored {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestWhatIsInAnImage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	image := Image{
		Name: "shop:v1", Created: time.Unix(1_800_000_000, 0), Labels: map[string]string{"org.opencontainers.image.version": "v1"},
		Arguments: []string{"serve"}, Programs: map[string]string{"linux/amd64": program(t, "manager", "x")},
	}
	digest, err := image.Write(path)
	if err != nil {
		t.Fatal(err)
	}

	fromDocker, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	index := unpack(t, path)
	fromLayout, err := index.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(validate.Image(fromDocker), validate.Image(fromLayout), validate.Index(index)); err != nil {
		t.Error(err)
	}
	descriptors, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if got := descriptors.Manifests[0].Annotations["io.containerd.image.name"]; got != "docker.io/library/shop:v1" {
		t.Errorf("a kubelet would not find %q", got)
	}
	config, err := fromDocker.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/manager", "serve"}) ||
		config.OS != "linux" || config.Architecture != "amd64" || config.Config.Labels["org.opencontainers.image.version"] != "v1" {
		t.Errorf("%+v", config)
	}

	layers, err := fromDocker.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var names []string
	for files := tar.NewReader(content); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		if header.Uid != 0 || header.Mode&0o022 != 0 || !header.ModTime.Equal(image.Created) {
			t.Errorf("%+v: the program could be changed by itself, or the time differs", header)
		}
	}
	if !slices.Equal(names, []string{"etc/group", "etc/passwd", "manager"}) {
		t.Error(names)
	}
}

func TestWhatGoesInDecidesWhatComesOut(t *testing.T) {
	image := Image{Name: "registry.example.com/shop:v1", Created: time.Unix(1_800_000_000, 0), Programs: map[string]string{
		"linux/amd64": program(t, "manager", "one"), "linux/arm64": program(t, "manager", "other"),
	}}
	write := func(image Image) (v1.Hash, []byte) {
		path := filepath.Join(t.TempDir(), "image.tar")
		digest, err := image.Write(path)
		if err != nil {
			t.Fatal(err)
		}
		return digest, read(t, path)
	}
	digest, archive := write(image)

	again := image
	again.Programs = map[string]string{"linux/arm64": program(t, "manager", "other"), "linux/amd64": program(t, "manager", "one")}
	if d, a := write(again); d != digest || !bytes.Equal(a, archive) {
		t.Error("the same programs made another image")
	}
	changed := image
	changed.Programs = map[string]string{"linux/amd64": program(t, "manager", "one"), "linux/arm64": program(t, "manager", "one")}
	if d, _ := write(changed); d == digest {
		t.Error("another program made the same image")
	}

	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, archive, 0o600); err != nil {
		t.Fatal(err)
	}
	platforms, err := unpack(t, path).ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(platforms); err != nil {
		t.Error(err)
	}
	manifest, err := platforms.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifest.Manifests {
		got = append(got, m.Platform.String())
	}
	if !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Error(got)
	}
}

func TestWhatIsNoImage(t *testing.T) {
	path := program(t, "manager", "x")
	output := filepath.Join(t.TempDir(), "image.tar")
	for title, args := range map[string][]string{
		"no program":        {"--name", "shop:v1", "--output", output},
		"no file":           {"--name", "shop:v1", "linux/amd64=" + path},
		"no name":           {"--output", output, "linux/amd64=" + path},
		"no such program":   {"--name", "shop:v1", "--output", output, "linux/amd64=" + path + "x"},
		"no platform":       {"--name", "shop:v1", "--output", output, path},
		"a platform twice":  {"--name", "shop:v1", "--output", output, "linux/amd64=" + path, "linux/amd64=" + path},
		"a time in words":   {"--name", "shop:v1", "--output", output, "--created", "now", "linux/amd64=" + path},
		"upper case":        {"--name", "Shop:v1", "--output", output, "linux/amd64=" + path},
		"a label without =": {"--name", "shop:v1", "--output", output, "--label", "x", "linux/amd64=" + path},
	} {
		if err := run(args); err == nil {
			t.Errorf("%s: an image was made", title)
		}
	}
	if _, err := os.Stat(output); err == nil {
		t.Error("something was written")
	}
}

// program is a file of its own directory.
func program(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// unpack is the index of an archive that is a layout.
func unpack(t *testing.T, path string) v1.ImageIndex {
	t.Helper()
	dir := t.TempDir()
	for files := tar.NewReader(bytes.NewReader(read(t, path))); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.FromSlash(header.Name))
		content, err := io.ReadAll(files)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o755)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return index
}
