package gather

import (
	"context"
	"fmt"
	"sync"

	structuralcel "k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"entrustment.dev/operator/api/v1alpha1"
)

// rules are the CEL rules of our kinds by name. Compiling those of one takes a while, so nobody pays who does not ask.
var rules = sync.OnceValues(func() (map[string]func() *structuralcel.Validator, error) {
	known, err := kinds()
	if err != nil {
		return nil, err
	}
	byName := map[string]func() *structuralcel.Validator{}
	for name, k := range known {
		byName[name] = sync.OnceValue(func() *structuralcel.Validator {
			return structuralcel.NewValidator(k.structural, true, celconfig.PerCallLimit)
		})
	}
	return byName, nil
})

// RuleProblems are what the CEL rules of its kind refuse in one of our objects, as the API server would: of a new one, or of
// a change of what was there before; nil: nothing was.
func RuleProblems(kind string, object, before runtime.Object) (field.ErrorList, error) {
	content, err := unstructuredOf(kind, object)
	if err != nil {
		return nil, err
	}
	var old any // an untyped nil: nothing was there
	if before != nil {
		if old, err = unstructuredOf(kind, before); err != nil {
			return nil, err
		}
	}
	return ruleProblems(kind, content, old)
}

func ruleProblems(kind string, content map[string]any, old any) (field.ErrorList, error) {
	validators, err := rules()
	if err != nil {
		return nil, err
	}
	known, err := kinds()
	if err != nil {
		return nil, err
	}
	compile, k := validators[kind], known[kind]
	if compile == nil {
		return nil, nil // of no kind of ours
	}
	validator := compile()
	if validator == nil {
		return nil, nil // of a kind without rules
	}
	problems, _ := validator.Validate(context.Background(), nil, k.structural, content, old, celconfig.RuntimeCELCostBudget)
	return problems, nil
}

func unstructuredOf(kind string, object runtime.Object) (map[string]any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("read a %s: %w", kind, err)
	}
	content["apiVersion"], content["kind"] = v1alpha1.SchemeGroupVersion.String(), kind
	known, err := kinds()
	if err != nil {
		return nil, err
	}
	defaulting.Default(content, known[kind].structural) // a false that Go leaves out is one that the rules ask for
	return content, nil
}
