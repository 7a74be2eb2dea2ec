package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const nobody = 65532 // as distroless images call it: nonroot

// accounts give the number a name, for tools that look for one.
var accounts = []file{
	{"etc/group", fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", nobody), 0o644},
	{"etc/passwd", fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%[1]d:%[1]d:nonroot:/:/sbin/nologin\n", nobody), 0o644},
}

// Image is one program for one or several platforms.
type Image struct {
	Name      string            // repository and tag
	Created   time.Time         // of the image and of every file in it
	Labels    map[string]string // of the image
	Arguments []string          // follow the program in the entrypoint
	Programs  map[string]string // paths by platform, such as linux/amd64
}

// Write writes the archive and returns the digest of the image, or of the index of several.
func (i Image) Write(path string) (v1.Hash, error) {
	reference, err := name.NewTag(i.Name)
	if err != nil {
		return v1.Hash{}, err
	}
	if len(i.Programs) == 0 || path == "" {
		return v1.Hash{}, errors.New("an image takes a program and a file to write")
	}
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(dir)
	whole, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	// Engines that read the layout take the name from either, depending on their age.
	named := layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          full(reference),
		"org.opencontainers.image.ref.name": reference.TagStr(),
	})

	images := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var single v1.Image
	for _, platform := range slices.Sorted(maps.Keys(i.Programs)) {
		of, err := v1.ParsePlatform(platform)
		if err != nil {
			return v1.Hash{}, err
		}
		if single, err = i.image(of, i.Programs[platform]); err != nil {
			return v1.Hash{}, err
		}
		images = mutate.AppendManifests(images, mutate.IndexAddendum{Add: single, Descriptor: v1.Descriptor{Platform: of}})
	}
	var digest v1.Hash
	if len(i.Programs) > 1 {
		if err := whole.AppendIndex(images, named); err != nil {
			return v1.Hash{}, err
		}
		digest, err = images.Digest()
	} else {
		if err := errors.Join(whole.AppendImage(single, named), forDocker(dir, reference, single)); err != nil {
			return v1.Hash{}, err
		}
		digest, err = single.Digest()
	}
	if err != nil {
		return v1.Hash{}, err
	}
	archive, err := i.archive(os.DirFS(dir))
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, os.WriteFile(path, archive, 0o644)
}

// full is the name as kubelets and engines write it.
func full(reference name.Tag) string {
	if reference.RegistryStr() == name.DefaultRegistry {
		return "docker.io/" + reference.RepositoryStr() + ":" + reference.TagStr()
	}
	return reference.Name()
}

// image is the program as an image of one platform.
func (i Image) image(platform *v1.Platform, path string) (v1.Image, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	command := filepath.Base(path)
	files, err := i.tar(append(slices.Clone(accounts), file{command, program, 0o755})...)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Created = v1.Time{Time: i.Created.UTC()}
	config.History = []v1.History{{Created: config.Created, CreatedBy: "copied " + command}}
	config.Config = v1.Config{
		Entrypoint: append([]string{"/" + command}, i.Arguments...),
		User:       fmt.Sprintf("%[1]d:%[1]d", nobody),
		WorkingDir: "/",
		Labels:     i.Labels,
	}
	return mutate.ConfigFile(image, config)
}

// forDocker adds what `docker load` looks for to a layout of one image.
func forDocker(dir string, reference name.Tag, image v1.Image) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	blob := func(d v1.Descriptor) string { return "blobs/" + d.Digest.Algorithm + "/" + d.Digest.Hex }
	described := tarball.Descriptor{Config: blob(manifest.Config), RepoTags: []string{full(reference)}}
	for _, layer := range manifest.Layers {
		described.Layers = append(described.Layers, blob(layer))
	}
	text, err := json.Marshal(tarball.Manifest{described})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "manifest.json"), text, 0o600)
}

type file struct {
	name    string
	content []byte
	mode    int64
}

// tar packs files in the order given. Owner, group and time are the same for all of them.
func (i Image) tar(files ...file) ([]byte, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content)), ModTime: i.Created, Format: tar.FormatUSTAR}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	err := w.Close() // before the bytes are taken: it writes the end
	return packed.Bytes(), err
}

// archive packs a layout, sorted.
func (i Image) archive(dir fs.FS) ([]byte, error) {
	var files []file
	err := fs.WalkDir(dir, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dir, path)
		files = append(files, file{path, content, 0o644})
		return err
	})
	if err != nil {
		return nil, err
	}
	return i.tar(files...)
}
