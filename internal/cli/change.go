package cli

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// over is what there is once files are applied over it: they replace what has the same name, and the rest stays, or goes.
// What the server knows of an object, such as when it was made, stays with it.
func over(there, files entrustment.Inputs, prune bool) entrustment.Inputs {
	after := there
	after.Purposes = replaced(there.Purposes, files.Purposes, prune, func(is, old *v1alpha1.Purpose) { is.Status = old.Status })
	after.Processors = replaced(there.Processors, files.Processors, prune, func(is, old *v1alpha1.DataProcessor) { is.Status = old.Status })
	after.Entrustments = replaced(there.Entrustments, files.Entrustments, prune, func(is, old *v1alpha1.Entrustment) { is.Status = old.Status })
	after.Stores = replaced(there.Stores, files.Stores, prune, func(is, old *v1alpha1.PersonalDataStore) { is.Status = old.Status })
	return after
}

func replaced[T client.Object](there, files []T, prune bool, keepStatus func(is, old T)) []T {
	known := byKey(there)
	var after []T
	for _, file := range files {
		if old, exists := known[client.ObjectKeyFromObject(file)]; exists {
			keepStatus(file, old)
			file.SetUID(old.GetUID())
			file.SetGeneration(old.GetGeneration())
			file.SetCreationTimestamp(old.GetCreationTimestamp())
			file.SetDeletionTimestamp(old.GetDeletionTimestamp())
		}
		after = append(after, file)
	}
	if prune {
		return after
	}
	written := byKey(files)
	for _, old := range there {
		if _, again := written[client.ObjectKeyFromObject(old)]; !again {
			after = append(after, old)
		}
	}
	return after
}

func byKey[T client.Object](list []T) map[types.NamespacedName]T {
	keys := make(map[types.NamespacedName]T, len(list))
	for _, object := range list {
		keys[client.ObjectKeyFromObject(object)] = object
	}
	return keys
}

// A refusal is what the API server would answer to a part of a change.
type refusal struct {
	Object  string `json:"object"` // KIND NAME
	Message string `json:"message"`
}

// refusals are what the kinds' own rules and the operator's webhook would refuse of a change, judged as if all the rest of it
// were made: excess over the tiers above, parts of another party's purpose, a namespace that another party has, and taking
// away what is in use.
func refusals(next *entrustment.Snapshot, before, after entrustment.Inputs) ([]refusal, error) {
	found := []refusal{}
	say := func(object client.Object, format string, args ...any) {
		found = append(found, refusal{title(object), fmt.Sprintf(format, args...)})
	}
	inUse := func(object client.Object, uses []string) {
		if len(uses) > 0 {
			say(object, "cannot be deleted: %s", strings.Join(uses, "; "))
		}
	}
	// What is taken away is in use if it would be, were it the only thing to stay.
	with := func(add func(*entrustment.Inputs)) *entrustment.Snapshot {
		in := after
		add(&in)
		return entrustment.Compile(in, next.Now())
	}
	err := errors.Join(
		compare(before.Purposes, after.Purposes, say, func(was, is *v1alpha1.Purpose) {
			switch {
			case is == nil:
				inUse(was, with(func(in *entrustment.Inputs) { in.Purposes = append(slices.Clip(in.Purposes), was) }).PurposeUses(was.Name))
			case was == nil:
				if other := next.ParentOfOther(is); other != "" {
					say(is, "its parent %q is a purpose of %q, not of %q", is.Spec.ParentName, other, is.Spec.ControllerName)
				}
			}
		}),
		compare(before.Processors, after.Processors, say, func(was, is *v1alpha1.DataProcessor) {
			if is == nil {
				inUse(was, with(func(in *entrustment.Inputs) { in.Processors = append(slices.Clip(in.Processors), was) }).ProcessorUses(was.Name))
				return
			}
			for _, binding := range is.Spec.Namespaces {
				if other := next.RivalBinding(binding.Name, is.Name); other != "" {
					say(is, "DataProcessor %q has namespace %q already; remove it there first", other, binding.Name)
				}
			}
		}),
		compare(before.Entrustments, after.Entrustments, say, func(was, is *v1alpha1.Entrustment) {
			if is == nil {
				return // the end of a contract may always come
			}
			if excess := next.NewExcess(is, was); len(excess) > 0 {
				say(is, "under %q: %s", is.Spec.ParentName, strings.Join(excess, "; "))
			}
		}),
		compare(before.Stores, after.Stores, say, func(was, is *v1alpha1.PersonalDataStore) {
			if is == nil {
				inUse(was, with(func(in *entrustment.Inputs) { in.Stores = append(slices.Clip(in.Stores), was) }).StoreUses(client.ObjectKeyFromObject(was)))
			}
		}),
	)
	return sortRefusals(found), err
}

// compare hands over what is new, changed or gone (nil), and holds the first two to the rules of their kind.
func compare[T any, P interface {
	*T
	client.Object
}](before, after []P, say func(client.Object, string, ...any), differs func(was, is P)) error {
	there, still := byKey(before), byKey(after)
	for _, is := range after {
		was := there[client.ObjectKeyFromObject(is)]
		if was != nil && (was == is || equality.Semantic.DeepEqual(spec(was), spec(is))) {
			continue
		}
		var old runtime.Object // an untyped nil: nothing was there
		if was != nil {
			old = was
		}
		problems, err := gather.RuleProblems(kindOf(is), is, old)
		if err != nil {
			return err
		}
		for _, p := range problems {
			say(is, "%s", strings.TrimPrefix(p.Error(), "<nil>: "))
		}
		differs(was, is)
	}
	for _, was := range before {
		if still[client.ObjectKeyFromObject(was)] == nil {
			differs(was, nil)
		}
	}
	return nil
}

func spec(object client.Object) any {
	return reflect.ValueOf(object).Elem().FieldByName("Spec").Interface()
}

func kindOf(object client.Object) string { return reflect.TypeOf(object).Elem().Name() }

// title is an object as people call it.
func title(object client.Object) string {
	return kindOf(object) + " " + strings.TrimPrefix(client.ObjectKeyFromObject(object).String(), "/")
}
