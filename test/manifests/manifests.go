// Package manifests reads the objects that ship, for whoever installs them without kustomize or Helm: tests and the local
// cluster.
package manifests

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Read reads the objects of directories, in the order of the file names. What kustomize needs beside them is
// left out.
func Read(dirs ...string) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("%s holds no manifests; run this at the top of the repository", dir)
		}
		for _, file := range files {
			if filepath.Base(file) == "kustomization.yaml" {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			some, err := Decode(text)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			objects = append(objects, some...)
		}
	}
	return objects, nil
}

// Install creates the objects of directories, in the order in which Read reads them. Webhooks are called at an address.
func Install(ctx context.Context, c client.Client, webhook string, dirs ...string) error {
	objects, err := Read(dirs...)
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := CallDirectly(object, webhook); err != nil {
			return err
		}
		if err := c.Create(ctx, object); err != nil {
			return fmt.Errorf("create %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// Decode reads the objects of a text of YAML documents.
func Decode(text []byte) (objects []*unstructured.Unstructured, err error) {
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 { // a document of comments alone is none
			objects = append(objects, object)
		}
	}
}

// CallDirectly makes a webhook configuration call the operator where it runs: without a node there is no Service to
// go through. Other objects are left as they are.
func CallDirectly(object *unstructured.Unstructured, address string) error {
	webhooks, found, err := unstructured.NestedSlice(object.Object, "webhooks")
	if err != nil || !found {
		return err
	}
	for _, each := range webhooks {
		webhook, ok := each.(map[string]any)
		if !ok {
			return fmt.Errorf("a webhook of %s is not an object", object.GetName())
		}
		path, found, err := unstructured.NestedString(webhook, "clientConfig", "service", "path")
		if err != nil || !found {
			return errors.Join(fmt.Errorf("a webhook of %s has no service with a path", object.GetName()), err)
		}
		webhook["clientConfig"] = map[string]any{"url": "https://" + address + path}
	}
	return unstructured.SetNestedSlice(object.Object, webhooks, "webhooks")
}

// MoveToYear moves the dates of the published policy, whose contracts begin in April 2026, to those that begin in the given year.
func MoveToYear(object *unstructured.Unstructured, year int) error {
	text, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	for _, y := range []int{1, 0} { // the later first, lest it be moved twice
		text = bytes.ReplaceAll(text, fmt.Appendf(nil, "\"%d-", 2026+y), fmt.Appendf(nil, "\"%d-", year+y))
	}
	return object.UnmarshalJSON(text)
}
