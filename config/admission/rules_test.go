package admission_test

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/admission"
)

func TestEveryRuleFailsClosedAndIsBound(t *testing.T) {
	policies, bindings := rules(t)
	if len(policies) == 0 {
		t.Fatal("no rules")
	}
	for name, policy := range policies {
		if policy.Spec.FailurePolicy == nil || *policy.Spec.FailurePolicy != admissionregistrationv1.Fail {
			t.Errorf("%s does not fail closed", name)
		}
		for _, validation := range policy.Spec.Validations {
			if validation.Message == "" && validation.MessageExpression == "" || validation.Reason == nil {
				t.Errorf("%s refuses without a message or a reason: %s", name, validation.Expression)
			}
		}
		if binding := bindings[name]; binding == nil || binding.Spec.PolicyName != name {
			t.Errorf("%s is bound by %+v", name, binding)
		}
		// Before any condition a missing parameter, or a missing kind of it, refuses all that is matched. A definition of
		// ours may be deleted, a kind of Kubernetes not.
		if kind := policy.Spec.ParamKind; kind != nil && !slices.Contains([]string{"networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"}, kind.APIVersion) &&
			len(policy.Spec.MatchConstraints.ObjectSelector.MatchExpressions) == 0 &&
			slices.ContainsFunc(policy.Spec.MatchConstraints.ResourceRules, func(r admissionregistrationv1.NamedRuleWithOperations) bool {
				return !slices.Equal(r.APIGroups, []string{v1alpha1.Group})
			}) {
			t.Errorf("%s has a parameter and meets what is not ours", name)
		}
	}
	for name, binding := range bindings {
		policy := policies[binding.Spec.PolicyName]
		if policy == nil {
			t.Errorf("%s binds %s, which does not exist", name, binding.Spec.PolicyName)
			continue
		}
		action := admissionregistrationv1.Deny
		if strings.HasSuffix(name, "-templates.entrustment.dev") {
			action = admissionregistrationv1.Warn
		}
		if !slices.Equal(binding.Spec.ValidationActions, []admissionregistrationv1.ValidationAction{action}) {
			t.Errorf("%s takes the actions %v", name, binding.Spec.ValidationActions)
		}
		if ref := binding.Spec.ParamRef; (ref != nil) != (policy.Spec.ParamKind != nil) {
			t.Errorf("%s binds %+v to the parameter %+v", name, policy.Spec.ParamKind, ref)
		} else if ref != nil && policy.Spec.ParamKind.Kind == "PersonalDataAccess" && (ref.Name != v1alpha1.PersonalDataAccessName || *ref.ParameterNotFoundAction != admissionregistrationv1.DenyAction) {
			t.Errorf("%s takes %+v", name, ref)
		}
	}
}

func TestTheRulesExceptTheOperatorAlone(t *testing.T) {
	policies, _ := rules(t)
	account := regexp.MustCompile(`'system:serviceaccount:entrustment[^']*'`)
	found := 0
	for name, policy := range policies {
		for _, user := range account.FindAllString(asText(t, policy), -1) {
			if found++; user != "'"+admission.Operator+"'" {
				t.Errorf("%s excepts %s", name, user)
			}
		}
	}
	if found == 0 {
		t.Error("no rule knows the operator")
	}
}

func TestTheOperatorMayWriteExactlyTheRules(t *testing.T) {
	policies, bindings := rules(t)
	names := maps.Clone(bindings)
	for name := range policies {
		names[name] = bindings[name]
	}
	text, err := os.ReadFile("../rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(string(text), "---\n"), "\n---\n")
	role := rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict([]byte(first), &role); err != nil {
		t.Fatal(err)
	}
	for _, rule := range role.Rules {
		if !slices.Contains(rule.Resources, "validatingadmissionpolicies") {
			continue
		}
		if slices.ContainsFunc(rule.Verbs, func(verb string) bool { return verb != "list" && verb != "watch" }) {
			if diff := cmp.Diff(slices.Sorted(maps.Keys(names)), rule.ResourceNames); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// A new field of a pod that names a Secret has to be looked at: judged by secrets.yaml, or known to be harmless.
func TestEveryReferenceToASecretIsClassified(t *testing.T) {
	judged := map[string]string{ // the path, and what the rule says of it
		"imagePullSecrets":                               "variables.pullSecrets.map(s, s.?name",
		"containers.env.valueFrom.secretKeyRef":          "e.?valueFrom.secretKeyRef.name",
		"containers.envFrom.secretRef":                   "e.?secretRef.name",
		"initContainers.env.valueFrom.secretKeyRef":      "spec.?initContainers",
		"initContainers.envFrom.secretRef":               "spec.?initContainers",
		"ephemeralContainers.env.valueFrom.secretKeyRef": "spec.?ephemeralContainers",
		"ephemeralContainers.envFrom.secretRef":          "spec.?ephemeralContainers",
		"volumes.secret":                                 "v.?secret.secretName",
		"volumes.projected.sources.secret":               "s.?secret.name",
		"volumes.azureFile.secretName":                   "v.?azureFile.secretName",
		"volumes.cinder.secretRef":                       "v.?cinder.secretRef",
		"volumes.csi.nodePublishSecretRef":               "v.?csi.nodePublishSecretRef",
		"volumes.cephfs.secretFile":                      "", // a path on the node
		"volumes.cephfs.secretRef":                       "v.?cephfs.secretRef",
		"volumes.flexVolume.secretRef":                   "v.?flexVolume.secretRef",
		"volumes.iscsi.secretRef":                        "v.?iscsi.secretRef",
		"volumes.rbd.secretRef":                          "v.?rbd.secretRef",
		"volumes.scaleIO.secretRef":                      "v.?scaleIO.secretRef",
		"volumes.storageos.secretRef":                    "v.?storageos.secretRef",
	}
	policies, _ := rules(t)
	found := map[string]bool{}
	secretPaths(reflect.TypeFor[corev1.PodSpec](), "", found, nil)
	for _, name := range []string{"secrets.entrustment.dev", "granted-secrets.entrustment.dev"} {
		rule := asText(t, policies[name])
		for path := range found {
			if says, known := judged[path]; !known {
				t.Errorf("nobody has classified spec.%s", path)
			} else if !strings.Contains(rule, says) {
				t.Errorf("%s does not judge spec.%s by %q", name, path, says)
			}
		}
	}
	for path := range judged {
		if !found[path] {
			t.Errorf("spec.%s is classified and does not exist", path)
		}
	}
}

// secretPaths finds the fields that speak of a Secret in their name or their type, and goes no further below them.
func secretPaths(of reflect.Type, at string, found map[string]bool, above []reflect.Type) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || slices.Contains(above, of) {
		return
	}
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		path := strings.TrimPrefix(at+"."+name, ".")
		if name == "" {
			path = at // inlined
		}
		if strings.Contains(strings.ToLower(name+field.Type.String()), "secret") {
			found[path] = true
			continue
		}
		secretPaths(field.Type, path, found, append(above, of))
	}
}

func rules(t *testing.T) (map[string]*admissionregistrationv1.ValidatingAdmissionPolicy, map[string]*admissionregistrationv1.ValidatingAdmissionPolicyBinding) {
	t.Helper()
	objects, err := admission.All()
	if err != nil {
		t.Fatal(err)
	}
	policies := map[string]*admissionregistrationv1.ValidatingAdmissionPolicy{}
	bindings := map[string]*admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	for _, object := range objects {
		var into any
		switch object.GetKind() {
		case "ValidatingAdmissionPolicy":
			policies[object.GetName()] = &admissionregistrationv1.ValidatingAdmissionPolicy{}
			into = policies[object.GetName()]
		case "ValidatingAdmissionPolicyBinding":
			bindings[object.GetName()] = &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
			into = bindings[object.GetName()]
		default:
			t.Fatalf("%s %s is no rule", object.GetKind(), object.GetName())
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, into, true); err != nil {
			t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
	return policies, bindings
}

// asText is all that a policy says.
func asText(t *testing.T, policy *admissionregistrationv1.ValidatingAdmissionPolicy) string {
	t.Helper()
	text := strings.Builder{}
	for _, c := range policy.Spec.MatchConditions {
		text.WriteString(c.Expression + "\n")
	}
	for _, v := range policy.Spec.Variables {
		text.WriteString(v.Expression + "\n")
	}
	for _, v := range policy.Spec.Validations {
		text.WriteString(v.Expression + "\n")
	}
	return text.String()
}
