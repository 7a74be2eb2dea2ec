package admission_test

import (
	"strings"
	"testing"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
)

// The rule that keeps the role to the operator names both as the code does.
func TestTheRoleThatReadsSecretsIsKeptToTheOperator(t *testing.T) {
	policies, _ := rules(t)
	text := asText(t, policies["secret-access.entrustment.dev"])
	for _, name := range []string{
		"roleRef.name == '" + v1alpha1.SecretAccessName + "'", "metadata.name == '" + v1alpha1.SecretAccessName + "'",
		"'" + v1alpha1.OperatorNamespace + "'", "'" + v1alpha1.OperatorServiceAccount + "'", "'" + admission.Operator + "'",
	} {
		if !strings.Contains(text, name) {
			t.Errorf("the rule does not say %s", name)
		}
	}
}
