package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/manifests"
)

// A validationCase is an object that the API server itself, through the schema and its CEL rules alone, accepts or refuses.
type validationCase struct {
	Case   string         `json:"case"`
	Want   string         `json:"want"`   // words of the refusal; empty: accepted
	New    map[string]any `json:"new"`    // created, or, with Old, the update from Old to New
	Old    map[string]any `json:"old"`    // accepted first
	Stored map[string]any `json:"stored"` // what New is stored as, among other things
}

var _ = Describe("The API server", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx context.Context) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns1"}}
		Expect(client.IgnoreAlreadyExists(k8s.Create(ctx, namespace))).To(Succeed())
	})

	for _, c := range append(publishedCases(), furtherCases()...) {
		It(c.Case, func(ctx context.Context) {
			// Strict, as kubectl asks for: an unknown field is refused rather than dropped.
			strict := client.WithFieldValidation(k8s, metav1.FieldValidationStrict)

			object := &unstructured.Unstructured{Object: c.New}
			write := strict.Create
			if c.Old != nil {
				old := &unstructured.Unstructured{Object: c.Old}
				Expect(strict.Create(ctx, old)).To(Succeed(), "the object before the update")
				DeferCleanup(k8s.Delete, old)
				object.SetResourceVersion(old.GetResourceVersion())
				write = func(ctx context.Context, o client.Object, _ ...client.CreateOption) error {
					return strict.Update(ctx, o)
				}
			}

			err := write(ctx, object)
			if c.Old == nil {
				if err == nil {
					DeferCleanup(k8s.Delete, object)
				}
				expectFilesToAgree(c.New, err)
			}
			if c.Want != "" {
				Expect(err).To(refuseFor(c.Want))
				return
			}
			Expect(err).NotTo(HaveOccurred())
			Expect(object.Object).To(contain(c.Stored))
			Expect(readTyped(ctx, object)).To(Succeed(), "whatever is accepted, the typed list can read")
		})
	}
})

// What the webhooks are asked about is what the API server has not refused yet: their conditions meet objects of every shape.
var _ = Describe("The webhooks, while nobody answers", func() {
	It("leave objects without a spec to the schema", func(ctx context.Context) {
		part := builder.Purpose("part").Parent("whole").Obj()
		asked := func(ctx context.Context) error { return k8s.Create(ctx, part.DeepCopy(), client.DryRunAll) }
		objects, err := manifests.Read("../../config/webhook")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) {
			Eventually(asked).WithContext(ctx).WithTimeout(30*time.Second).Should(Succeed(), "nobody is asked any more")
		})
		for _, object := range objects {
			if strings.HasSuffix(object.GetKind(), "WebhookConfiguration") {
				Expect(manifests.CallDirectly(object, "127.0.0.1:1")).To(Succeed())
				Expect(k8s.Create(ctx, object)).To(Succeed())
				DeferCleanup(k8s.Delete, object)
			}
		}
		Eventually(asked).WithContext(ctx).WithTimeout(30 * time.Second).Should(MatchError(ContainSubstring(`failed calling webhook "purpose.admission.entrustment.dev"`)))

		for _, kind := range []string{"Purpose", "DataProcessor", "Entrustment"} {
			object := &unstructured.Unstructured{}
			object.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind(kind))
			object.SetName("empty")
			Expect(k8s.Create(ctx, object)).To(refuseFor("spec: Required value"))
		}
	})
})

// refuseFor matches an answer that judges the object and says why in the given words.
func refuseFor(words string) types.GomegaMatcher {
	return And(
		WithTransform(func(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) }, BeTrue()),
		MatchError(ContainSubstring(words)),
	)
}

// expectFilesToAgree holds the reader of files to the API server's verdict on the object, field by field. Only what CEL
// rules refuse, the reader accepts; the rule on names it knows by other means.
func expectFilesToAgree(object map[string]any, verdict error) {
	GinkgoHelper()
	_, err := gather.FromFiles([]string{gather.Stdin}, strings.NewReader(string(must(json.Marshal(object)))))

	var fields []string
	status := apierrors.APIStatus(nil)
	switch {
	case verdict == nil:
		Expect(err).NotTo(HaveOccurred(), "the API server accepts it")
		return
	case apierrors.IsBadRequest(verdict): // an unknown field
		Expect(err).To(HaveOccurred(), "the API server refuses it: %v", verdict)
		return
	case errors.As(verdict, &status):
		for _, cause := range status.Status().Details.Causes {
			switch {
			case strings.Contains(cause.Message, "name must be a DNS label"):
				fields = append(fields, "metadata.name")
			case cause.Field != "<nil>" && !fromRule(cause.Message):
				fields = append(fields, cause.Field)
			}
		}
	}
	if len(fields) == 0 {
		Expect(err).NotTo(HaveOccurred(), "only a CEL rule refuses it: %v", verdict)
		return
	}
	for _, field := range fields {
		Expect(err).To(MatchError(ContainSubstring(": "+field+": ")), "the API server refuses it: %v", verdict)
	}
}

// fromRule tells whether a message is that of a CEL rule.
func fromRule(message string) bool {
	return slices.ContainsFunc(ruleMessages(), func(rule string) bool { return strings.Contains(message, rule) })
}

// ruleMessages are the messages of all CEL rules.
var ruleMessages = sync.OnceValue(func() []string {
	var messages []string
	var collect func(schema *apiextensionsv1.JSONSchemaProps)
	collect = func(schema *apiextensionsv1.JSONSchemaProps) {
		for _, rule := range schema.XValidations {
			messages = append(messages, rule.Message)
		}
		for _, field := range schema.Properties {
			collect(&field)
		}
		if schema.Items != nil {
			collect(schema.Items.Schema)
		}
	}
	for _, definition := range must(crd.All()) {
		collect(definition.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	return messages
})

// readTyped reads the object as the operator does. One stored text that Go cannot read breaks the list of every object.
func readTyped(ctx context.Context, object *unstructured.Unstructured) error {
	typed, err := scheme.New(object.GroupVersionKind())
	if err != nil {
		return err
	}
	return k8s.Get(ctx, client.ObjectKeyFromObject(object), typed.(client.Object))
}

// contain matches an object that has everything in want, whatever else it has.
func contain(want map[string]any) types.GomegaMatcher {
	var keys []types.GomegaMatcher
	for key, value := range want {
		nested, isObject := value.(map[string]any)
		switch {
		case value == nil:
			keys = append(keys, Not(HaveKey(key)))
		case isObject:
			keys = append(keys, HaveKeyWithValue(key, contain(nested)))
		default:
			keys = append(keys, HaveKeyWithValue(key, WithTransform(json.Marshal, MatchJSON(must(json.Marshal(value))))))
		}
	}
	return And(keys...)
}

// publishedCases are whole objects, one document a case.
func publishedCases() []validationCase {
	text := must(os.ReadFile("testdata/validation.yaml"))

	var cases []validationCase
	for decoder := yaml.NewYAMLToJSONDecoder(bytes.NewReader(text)); ; {
		var c validationCase
		switch err := decoder.Decode(&c); {
		case errors.Is(err, io.EOF):
			return cases
		case err != nil:
			panic(err)
		}
		c.Case = fmt.Sprintf("%s, published case %d: %s", c.New["kind"], len(cases)+1, outcome(c.Want))
		cases = append(cases, c)
	}
}

// furtherCases are merge patches of one minimal object a kind, so that a case shows only what matters to it.
func furtherCases() []validationCase {
	var file struct {
		Minimal map[string]map[string]any `json:"minimal"`
		Cases   []struct {
			validationCase
			Kind string `json:"kind"`
		} `json:"cases"`
	}
	if err := yaml.UnmarshalStrict(must(os.ReadFile("testdata/further.yaml")), &file); err != nil {
		panic(err)
	}

	var cases []validationCase
	for _, c := range file.Cases {
		minimal := file.Minimal[c.Kind]
		minimal["apiVersion"], minimal["kind"] = v1alpha1.SchemeGroupVersion.String(), c.Kind
		c.New = merge(minimal, c.New)
		if c.Old != nil {
			c.Old = merge(minimal, c.Old)
		}
		c.Case = fmt.Sprintf("%s, %s: %s", c.Kind, c.Case, outcome(c.Want))
		cases = append(cases, c.validationCase)
	}
	return cases
}

func outcome(want string) string {
	if want == "" {
		return "accepted"
	}
	return "refused, " + want
}

// merge returns a copy of object with a JSON merge patch (RFC 7386) applied, except that null stays: some cases are about it.
func merge(object, patch map[string]any) map[string]any {
	merged := runtime.DeepCopyJSON(object)
	for key, value := range patch {
		under, _ := merged[key].(map[string]any)
		if nested, isObject := value.(map[string]any); isObject && under != nil {
			value = merge(under, nested)
		}
		merged[key] = value
	}
	return merged
}

// must unwraps what can only fail because the test itself is wrong, before any node could report it.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
