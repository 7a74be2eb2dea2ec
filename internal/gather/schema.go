package gather

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
)

// A kind is what the API server knows of one of our kinds before it runs a CEL rule.
type kind struct {
	namespaced bool
	structural *schema.Structural
	validator  validation.SchemaValidator
	shape      *shape // but for metadata
}

var scheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return scheme
}()

// kinds are our kinds by name. Making them takes some milliseconds, so nobody pays who reads no file.
var kinds = sync.OnceValues(func() (map[string]kind, error) {
	definitions, err := crd.All()
	if err != nil {
		return nil, err
	}
	byName := map[string]kind{}
	for _, definition := range definitions {
		k, err := kindOf(definition)
		if err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", definition.Name, err)
		}
		byName[definition.Spec.Names.Kind] = k
	}
	return byName, nil
})

func kindOf(definition *apiextensionsv1.CustomResourceDefinition) (kind, error) {
	i := slices.IndexFunc(definition.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == v1alpha1.SchemeGroupVersion.Version
	})
	if i < 0 {
		return kind{}, fmt.Errorf("it has no version %s", v1alpha1.SchemeGroupVersion.Version)
	}
	var props apiextensions.JSONSchemaProps
	v1 := definition.Spec.Versions[i].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1, &props, nil); err != nil {
		return kind{}, err
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		return kind{}, err
	}
	validator, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return kind{}, err
	}
	k := kind{
		namespaced: definition.Spec.Scope == apiextensionsv1.NamespaceScoped,
		structural: structural,
		validator:  validator,
		shape:      shapeOf(structural),
	}
	if k.shape != nil {
		k.shape.fields["metadata"] = &shape{admits: func(any) bool { return true }} // the schema says nothing of it
	}
	return k, nil
}

// decode does to an object what the API server does to one that is created, CEL rules and admission aside: refuse what is
// unknown, apply defaults, validate. Unlike the server it keeps status and the instants in metadata, on which decisions
// depend when the object was exported from a cluster. It takes the object's content over.
func decode(o *object) ([]struct{}, []problem) {
	if o.foreign || o.typed != nil {
		return nil, nil
	}
	if blanks := o.placeholders(); len(blanks) > 0 {
		return nil, blanks // what the schema says of them besides is no news
	}
	typed, refused := o.decode()
	var problems []problem
	for _, err := range refused {
		// The validator names the field at the beginning of its message, and once more within.
		message := strings.ReplaceAll(err.ErrorBody(), err.Field+" in body ", "")
		problems = append(problems, o.problem(strings.TrimPrefix(err.Field, "<nil>"), message))
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b problem) int { // the validator goes through maps
			return cmp.Or(strings.Compare(a.field, b.field), strings.Compare(a.message, b.message))
		})
		return nil, problems
	}
	o.typed = typed
	return nil, nil
}

func (o *object) decode() (runtime.Object, field.ErrorList) {
	served := v1alpha1.SchemeGroupVersion
	if version := o.content["apiVersion"]; version != served.String() {
		return nil, field.ErrorList{field.NotSupported(field.NewPath("apiVersion"), version, []string{served.String()})}
	}
	known, err := kinds()
	if err != nil {
		return nil, field.ErrorList{field.InternalError(nil, err)}
	}
	kindName := o.content["kind"].(string)
	k, ok := known[kindName]
	if !ok {
		return nil, field.ErrorList{field.NotSupported(field.NewPath("kind"), kindName, slices.Sorted(maps.Keys(known)))}
	}

	if problems := k.refusals(o.content); len(problems) > 0 {
		return nil, problems
	}
	typed, err := scheme.New(served.WithKind(kindName))
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(o.content, typed)
	}
	if err != nil { // the schema let something through that Go cannot read
		return nil, field.ErrorList{field.InternalError(nil, err)}
	}
	return typed, nil
}

// refusals are what is wrong with the content of an object of the kind, to which defaults are applied.
func (k kind) refusals(content map[string]any) field.ErrorList {
	if k.admits(content) {
		defaulting.Default(content, k.structural)
		return nil
	}
	return k.judge(content)
}

// judge does what the API server does.
func (k kind) judge(content map[string]any) field.ErrorList {
	problems := k.validateMetadata(content)
	for _, path := range pruning.PruneWithOptions(content, k.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		problems = append(problems, unknownField(path))
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(content, k.structural)
	defaulting.Default(content, k.structural)

	problems = append(problems, validation.ValidateCustomResource(nil, content, k.validator)...)
	return append(problems, listtype.ValidateListSetsAndMaps(nil, k.structural, content)...)
}

// validateMetadata does what the schema of a CustomResourceDefinition leaves to the server.
func (k kind) validateMetadata(content map[string]any) field.ErrorList {
	path := field.NewPath("metadata")
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(content, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	switch {
	case err != nil:
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, err.Error())}
	case !found:
		meta = &metav1.ObjectMeta{}
	}

	var problems field.ErrorList
	for _, path := range unknown {
		problems = append(problems, unknownField(path))
	}
	if !k.namespaced && meta.Namespace != "" { // the server drops it too
		meta.Namespace = ""
		delete(content["metadata"].(map[string]any), "namespace")
	}
	return append(problems, apimachineryvalidation.ValidateObjectMeta(meta, k.namespaced, validateName, path)...)
}

// validateName holds every name to what references and label values can carry; the kinds' CEL rules say the same.
func validateName(name string, prefix bool) []string {
	if prefix {
		name = strings.TrimSuffix(name, "-")
	}
	return utilvalidation.IsDNS1123Label(name)
}

func unknownField(path string) *field.Error {
	return field.Forbidden(field.NewPath(path), "unknown field")
}
