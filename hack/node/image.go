package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

// registry is the name under which images of the run are known. It is never asked: kubelets pull only what is missing.
const registry = "e2e.entrustment.dev/"

// archive writes an image of one static program, run as nobody, in the form of `docker save`.
func (i image) archive(path string, entrypoint ...string) error {
	program, err := os.ReadFile(i.path)
	if err != nil {
		return fmt.Errorf("make the image %s: %w", i.name, err)
	}
	layer, err := tarball(file{i.name, program, 0o755})
	if err != nil {
		return fmt.Errorf("make the image %s: %w", i.name, err)
	}
	digest := sha256.Sum256(layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": append([]string{"/" + i.name}, entrypoint...), "User": "65532:65532"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(digest[:])}},
	})
	if err != nil {
		return fmt.Errorf("make the image %s: %w", i.name, err)
	}
	manifest, err := json.Marshal([]map[string]any{{
		"Config": "config.json", "RepoTags": []string{registry + i.name + ":run"}, "Layers": []string{"layer.tar"},
	}})
	if err != nil {
		return fmt.Errorf("make the image %s: %w", i.name, err)
	}
	whole, err := tarball(file{"manifest.json", manifest, 0o644}, file{"config.json", config, 0o644}, file{"layer.tar", layer, 0o644})
	if err != nil {
		return fmt.Errorf("make the image %s: %w", i.name, err)
	}
	return os.WriteFile(path, whole, 0o600)
}

type file struct {
	name    string
	content []byte
	mode    int64
}

func tarball(files ...file) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.content))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
