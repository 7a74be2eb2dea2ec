package bypass

import (
	"context"
	"fmt"

	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
)

// vector is one way round the operator that must be closed, or one request that must not be hindered.
type vector struct {
	id    string
	actor actor
	tries []try
	// sees is the webhook that is shown the request before any rule, and what it says; nothing if it lets it through.
	sees verdict
	// alone is what becomes of the request where no webhook is configured.
	alone verdict
}

// try is a vector in one of the ways that lead to the same.
type try struct {
	way string
	do  func(context.Context, session) error
}

// layer is what a verdict comes from.
type layer string

const (
	admits   layer = "admitted"
	authz    layer = "rbac"   // refused before anything is looked at
	schema   layer = "schema" // refused by the API server's own validation
	rule     layer = "guard"  // refused by a rule of config/admission
	webhook  layer = "hook"   // refused by the operator's webhook, or because it does not answer
	warns    layer = "warned" // admitted, and the webhook says what will come of it
	detected layer = "detected"
)

var layers = []layer{rule, webhook, schema, authz, warns, detected, admits}

// verdict on a request: from what layer it comes, the name of what spoke, and words of its message.
type verdict struct {
	layer layer
	name  string
	says  string
}

func guard(name, says string) verdict { return verdict{rule, name, says} }

// either names two rules that refuse the same: of several the API server quotes any.
func either(a, b string) string { return a + "|" + b }

func invalid(says string) verdict    { return verdict{schema, "", says} }
func warned(says string) verdict     { return verdict{warns, templateHook, says} }
func shown(condition string) verdict { return verdict{detected, condition, ""} }

// hook is a webhook that sees a request and says something, or nothing, and lets it through.
func hook(name, says string) verdict { return verdict{webhook, name, says} }

// mended is a webhook that changes a request, so that the rules let it through.
func mended(name string) verdict { return verdict{admits, name, "changed"} }

var (
	admitted  = verdict{layer: admits}
	forbidden = verdict{authz, "", "is forbidden: User "}
	unseen    verdict
)

// The webhooks that there are.
const (
	podHook      = "pod.admission.entrustment.dev"
	templateHook = "template.admission.entrustment.dev"
)

// pods is the webhook that judges pods, at every creation and update of one that declares something.
func pods(says string) verdict { return hook(podHook, says) }

// run is one state of the operator in which all vectors are tried.
type run struct {
	name     string
	operator bool // its reconcilers are up
	webhook  state
}

// state of the webhook.
type state string

const (
	up      state = "up"
	down    state = "down"
	removed state = "removed"
)

var runs = []run{
	{"everything up", true, up},
	{"webhook down", true, down},
	{"operator and webhook down", false, down},
	{"rules alone", true, removed},
}

// expect says what becomes of the vector in a run. RBAC is asked first. Webhooks of the mutating phase come before
// validation and the rules, so that theirs is the reason that people read; those of the validating phase see only what
// the rules let through. Without an answer all of them refuse, but for the one that only warns.
func (v vector) expect(r run) verdict {
	switch {
	case v.alone.layer == authz, v.sees == unseen, r.webhook == removed:
		return v.alone
	case v.sees.layer == warns && r.webhook == up:
		return v.sees
	case v.sees.layer == warns:
		return v.alone
	case r.webhook == down:
		return verdict{webhook, v.sees.name, "failed calling webhook"}
	case v.sees.says != "":
		return v.sees
	}
	return v.alone
}

// applies says whether a vector can be tried in a run: nobody detects anything while the operator is down.
func (v vector) applies(r run) bool {
	return v.expect(r).layer != detected || r.operator
}

// meets matches the answer to a request: refused by the right layer in the right words, or admitted.
func (v verdict) meets() gomegatypes.GomegaMatcher {
	switch v.layer {
	case admits, warns, detected:
		return Succeed()
	case rule:
		return MatchError(SatisfyAll(MatchRegexp("ValidatingAdmissionPolicy '(%s)'", v.name), ContainSubstring(v.says)))
	case webhook:
		return MatchError(SatisfyAll(
			Or(ContainSubstring("admission webhook %q", v.name), ContainSubstring("failed calling webhook %q", v.name)), ContainSubstring(v.says)))
	case schema, authz:
		return MatchError(SatisfyAll(
			ContainSubstring(v.says), Not(ContainSubstring("ValidatingAdmissionPolicy '")), Not(ContainSubstring("admission webhook")), Not(ContainSubstring("calling webhook"))))
	}
	panic(fmt.Sprintf("no layer: %+v", v)) // a vector without a verdict is a mistake of the suite
}
