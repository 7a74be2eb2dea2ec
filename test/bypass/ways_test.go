package bypass

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	groupversion "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/test/builder"
)

// The ways by which an object is written.
const (
	byPost      = "POST"
	byApply     = "apply"
	byPut       = "PUT"
	byMerge     = "merge patch"
	byJSON      = "JSON patch"
	byStrategic = "strategic patch"
	byDelete    = "DELETE"
	bySweep     = "deletecollection"
)

// somebody is the field owner of what is applied here.
const somebody = client.FieldOwner("somebody")

// creates makes an object, by POST and by applying what does not exist.
func creates(object client.Object) []try {
	return append(posts(object), try{byApply, func(ctx context.Context, s session) error {
		configuration, err := configuration(s, object)
		if err != nil {
			return err
		}
		return s.Apply(ctx, configuration, somebody)
	}})
}

// posts makes an object by POST alone: a generated name cannot be applied.
func posts(object client.Object) []try {
	return []try{{byPost, func(ctx context.Context, s session) error {
		return s.Create(ctx, object.DeepCopyObject().(client.Object))
	}}}
}

func deletes(object client.Object) []try {
	return []try{{byDelete, func(ctx context.Context, s session) error {
		return s.Delete(ctx, object.DeepCopyObject().(client.Object))
	}}}
}

// sweeps deletes a collection.
func sweeps(object client.Object, namespace string, labels map[string]string) []try {
	return []try{{bySweep, func(ctx context.Context, s session) error {
		return s.DeleteAllOf(ctx, object.DeepCopyObject().(client.Object), client.InNamespace(namespace), client.MatchingLabels(labels))
	}}}
}

// changes edits an object that exists, in every way but those that cannot do it: applying does not take away what it does
// not name, and only built-in kinds know the strategic patch.
func changes[O client.Object](object O, edit func(O), without ...string) []try {
	return changesAt("", object, edit, without...)
}

// same compares objects but for what the API server counts.
func same(a, b client.Object) bool {
	bare := func(o client.Object) client.Object {
		o = o.DeepCopyObject().(client.Object)
		o.SetResourceVersion("")
		o.SetGeneration(0)
		o.SetManagedFields(nil)
		o.GetObjectKind().SetGroupVersionKind(groupversion.GroupVersionKind{})
		return o
	}
	return equality.Semantic.DeepEqual(bare(a), bare(b))
}

// changesAt does it through a subresource.
func changesAt[O client.Object](subresource string, object O, edit func(O), without ...string) []try {
	var tries []try
	for _, way := range []string{byPut, byMerge, byJSON, byStrategic, byApply} {
		if slices.Contains(without, way) {
			continue
		}
		tries = append(tries, try{way, func(ctx context.Context, s session) error {
			before := object.DeepCopyObject().(O)
			if err := as(root).Get(ctx, client.ObjectKeyFromObject(object), before); err != nil {
				return err
			}
			after := before.DeepCopyObject().(O)
			edit(after)
			changed := !same(before, after)
			err := change(ctx, s, way, subresource, before, after)
			if err == nil && changed && same(before, after) {
				return errWithoutEffect
			}
			return err
		}})
	}
	return tries
}

func change(ctx context.Context, s session, way, subresource string, before, after client.Object) error {
	switch way {
	case byPut:
		if subresource != "" {
			return s.SubResource(subresource).Update(ctx, after)
		}
		return s.Update(ctx, after)
	case byApply:
		configuration, err := configuration(s, after)
		if err != nil {
			return err
		}
		if subresource != "" {
			return s.SubResource(subresource).Apply(ctx, configuration, somebody, client.ForceOwnership)
		}
		return s.Apply(ctx, configuration, somebody, client.ForceOwnership)
	}
	patch, err := patchFor(way, before, after)
	if err != nil {
		return err
	}
	if subresource != "" {
		return s.SubResource(subresource).Patch(ctx, after, patch)
	}
	return s.Patch(ctx, after, patch)
}

func configuration(s session, object client.Object) (runtime.ApplyConfiguration, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	into := &unstructured.Unstructured{Object: content}
	kind, err := s.GroupVersionKindFor(object)
	if err != nil {
		return nil, err
	}
	into.SetGroupVersionKind(kind)
	into.SetManagedFields(nil)
	into.SetResourceVersion("")
	return client.ApplyConfigurationFromUnstructured(into), nil
}

func patchFor(way string, before, after client.Object) (client.Patch, error) {
	switch way {
	case byMerge:
		return client.MergeFrom(before), nil
	case byStrategic:
		return client.StrategicMergeFrom(before), nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(after)
	if err != nil {
		return nil, err
	}
	var operations []map[string]any
	for _, key := range slices.Sorted(maps.Keys(content)) {
		if key != "apiVersion" && key != "kind" {
			operations = append(operations, map[string]any{"op": "add", "path": "/" + key, "value": content[key]})
		}
	}
	text, err := json.Marshal(operations)
	return client.RawPatch(types.JSONPatchType, text), err
}

// binds gives a pod a node, through its subresource and in the way from before there was one.
func binds(namespace, pod string, binding corev1.Binding) []try {
	binding.Namespace, binding.Name = namespace, pod
	if binding.Target.Name == "" {
		binding.Target = corev1.ObjectReference{Kind: "Node", Name: "node"}
	}
	return append(posts(&binding), try{"POST pods/binding", func(ctx context.Context, s session) error {
		return s.SubResource("binding").Create(ctx, builder.Pod(namespace, pod).Obj(), binding.DeepCopy())
	}})
}

// sends puts a body as it is before the API server.
func sends(verb, path string, contentType string, body []byte) []try {
	return []try{{verb, func(ctx context.Context, s session) error {
		return s.core.Verb(verb).AbsPath(path).Param("dryRun", "All").SetHeader("Content-Type", contentType).Body(body).Do(ctx).Error()
	}}}
}

// errWithoutEffect is what an attempt returns that was answered with success and changed nothing.
var errWithoutEffect = errors.New("the API server put back what it had been")
