package integration

import (
	"context"
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
)

// column is a column of `kubectl get`; wide ones are shown on demand.
type column struct {
	name string
	wide bool
}

var _ = DescribeTable("A kind is served as the contract says",
	func(ctx context.Context, plural, kind, shortName string, namespaced, status bool, columns ...column) {
		By("discovery", func() {
			resources, err := discovery.NewDiscoveryClientForConfigOrDie(cfg).
				ServerResourcesForGroupVersion(v1alpha1.SchemeGroupVersion.String())
			Expect(err).NotTo(HaveOccurred())

			served := map[string]metav1.APIResource{}
			for _, resource := range resources.APIResources {
				served[resource.Name] = resource
			}
			Expect(served).To(HaveKeyWithValue(plural, gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{
				"Kind":       Equal(kind),
				"Namespaced": Equal(namespaced),
				"ShortNames": Equal([]string{shortName}),
				"Categories": Equal([]string{"privacy"}),
			})))
			if status {
				Expect(served).To(HaveKey(plural + "/status"))
			} else {
				Expect(served).NotTo(HaveKey(plural + "/status"))
			}
		})

		By("columns", func() {
			path := fmt.Sprintf("/apis/%s/%s", v1alpha1.SchemeGroupVersion, plural)
			var table metav1.Table
			Expect(kubernetes.NewForConfigOrDie(cfg).RESTClient().Get().AbsPath(path).
				SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").
				Do(ctx).Into(&table)).To(Succeed())

			var served []column
			for _, c := range table.ColumnDefinitions {
				served = append(served, column{c.Name, c.Priority > 0})
			}
			Expect(served).To(Equal(append([]column{{name: "Name"}}, columns...)))
		})
	},
	Entry(nil, "purposes", "Purpose", "purp", false, true,
		column{name: "Parent"}, column{name: "Disposition"}, column{name: "Consent"}, column{name: "Ready"},
		column{"Controller", true}, column{"Stores", true}, column{"Title", true}, column{name: "Age"}),
	Entry(nil, "dataprocessors", "DataProcessor", "dproc", false, true,
		column{name: "Country"}, column{name: "Roles"}, column{name: "Selection"}, column{name: "Review Due"},
		column{name: "Ready"}, column{"Reason", true}, column{"Legal Name", true}, column{name: "Age"}),
	Entry(nil, "entrustments", "Entrustment", "entr", false, true,
		column{name: "Entruster"}, column{name: "Entrustee"}, column{name: "Parent"}, column{name: "Active"},
		column{name: "Ready"}, column{name: "Reason"}, column{name: "Ends"}, column{"Review Due", true},
		column{"Purposes", true}, column{name: "Age"}),
	Entry(nil, "personaldatastores", "PersonalDataStore", "pds", true, true,
		column{name: "Controller"}, column{name: "Form"}, column{name: "Grants"}, column{name: "Isolated"},
		column{name: "Ready"}, column{"Reason", true}, column{"Purposes", true}, column{name: "Age"}),
	Entry(nil, "personaldataaccesses", "PersonalDataAccess", "pda", true, false,
		column{name: "Processor"}, column{name: "Grants"}, column{name: "Next Change"}, column{name: "Age"}),
)

// Bounds keep an object small enough to list by the thousand, and let the API server estimate what a CEL rule costs.
var _ = Describe("The schema", func() {
	definitions, err := crd.All()
	if err != nil {
		panic(err)
	}
	for _, definition := range definitions {
		for _, version := range definition.Spec.Versions {
			It("describes and bounds every field of "+definition.Spec.Names.Kind, func() {
				schema := version.Schema.OpenAPIV3Schema
				for _, own := range []string{"apiVersion", "kind", "metadata"} { // the API server's
					delete(schema.Properties, own)
				}
				Expect(schema.Description).NotTo(BeEmpty())
				Expect(lacks("", *schema)).To(BeEmpty())
			})
		}
	}
})

// lacks lists what a field, and every field below it, says too little about.
func lacks(path string, schema apiextensionsv1.JSONSchemaProps) []string {
	var lacking []string
	need := func(said bool, what string) {
		if !said {
			lacking = append(lacking, path+" has no "+what)
		}
	}

	switch schema.Type {
	case "string":
		need(schema.MaxLength != nil || len(schema.Enum) > 0 || schema.Format != "", "maxLength, enum or format")
		need(schema.Format != "date-time" || schema.Pattern != "" || isConditionTime(path), "pattern")
	case "array":
		need(schema.MaxItems != nil, "maxItems")
		need(schema.XListType != nil, "list type")
		lacking = append(lacking, lacks(path+"[]", *schema.Items.Schema)...)
	case "object":
		need(len(schema.Properties) > 0 || schema.AdditionalProperties != nil, "fields")
		if schema.AdditionalProperties != nil {
			need(schema.MaxProperties != nil, "maxProperties")
			lacking = append(lacking, lacks(path+"{}", *schema.AdditionalProperties.Schema)...)
		}
		for name, field := range schema.Properties {
			if field.Description == "" {
				lacking = append(lacking, path+"."+name+" has no description")
			}
			lacking = append(lacking, lacks(path+"."+name, field)...)
		}
	case "integer", "boolean":
	default:
		need(false, "type that is known")
	}
	return lacking
}

// isConditionTime spares metav1.Condition, whose schema is Kubernetes' own and whose writer is the operator.
func isConditionTime(path string) bool { return path == ".status.conditions[].lastTransitionTime" }
