package oracle

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

var (
	worldCount = flag.Int("worlds", 2000, "how many random worlds to compare; other tests scale with it")
	seedValue  = flag.Uint64("seed", 0, "seed of the random worlds; 0: a new one each run")
)

// seed of a run, printed so that it can be repeated.
func seed(t *testing.T) uint64 {
	t.Helper()
	s := *seedValue
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return s
}

// worlds is a share of the worlds asked for; ENTRUSTMENT_LONG=1 makes ten times as many.
func worlds(share float64) uint64 {
	n := float64(*worldCount) * share
	if os.Getenv("ENTRUSTMENT_LONG") == "1" {
		n *= 10
	}
	return max(1, uint64(n))
}

// every tells the worlds apart on which a more expensive check is made.
func every(k, n uint64) bool { return n%k == 0 }

type answer struct {
	allowed bool
	reason  v1alpha1.Reason
}

func (a answer) String() string {
	if a.allowed {
		return "allowed, " + string(a.reason)
	}
	return "denied, " + string(a.reason)
}

func plainly(w World, r entrustment.Request) answer {
	allowed, reason := Authorize(w.Inputs, w.Now, r)
	return answer{allowed, reason}
}

func compile(w World) *entrustment.Snapshot { return entrustment.Compile(w.Inputs, w.Now) }

func compiled(s *entrustment.Snapshot, r entrustment.Request) answer {
	d := s.Authorize(r)
	return answer{d.Allowed(), d.Reason()}
}

// report prints what is left of a world of which something is wrong.
func report(t *testing.T, w World, what string, wrong func(World) string) {
	t.Helper()
	small := Shrink(w, func(w World) bool { return wrong(w) != "" })
	t.Fatalf("%s\nthe smallest world found, and what is wrong there: %s\n%s", what, wrong(small), small.YAML())
}

// disagreement says how the two evaluators answer where they differ; empty: they agree.
func disagreement(w World, r entrustment.Request) string {
	p, c := plainly(w, r), compiled(compile(w), r)
	if p == c {
		return ""
	}
	return fmt.Sprintf("request %s\n  plain: %s\n  core:  %s", describe(r), p, c)
}

func describe(r entrustment.Request) string {
	return fmt.Sprintf("namespace %q purpose %q entrustment %q store %q", r.Namespace, r.Purpose, r.Entrustment, r.Store)
}

// reasons of decisions, all of which have to occur.
var reasons = []v1alpha1.Reason{
	v1alpha1.ReasonNamespaceNotBound, v1alpha1.ReasonProcessorSuspended, v1alpha1.ReasonPurposeNotDeclared,
	v1alpha1.ReasonPurposeUnknown, v1alpha1.ReasonPurposeProhibited, v1alpha1.ReasonPurposeNotInForce,
	v1alpha1.ReasonPurposeNotAssigned, v1alpha1.ReasonStoreNotFound, v1alpha1.ReasonStoreSuspended,
	v1alpha1.ReasonNoEntrustment, v1alpha1.ReasonEntrustmentNotFound, v1alpha1.ReasonNotEntrustee,
	v1alpha1.ReasonMixedControllers, v1alpha1.ReasonEntrusterNotController, v1alpha1.ReasonEntrusterNotParentEntrustee,
	v1alpha1.ReasonChainLoops, v1alpha1.ReasonSubEntrustmentProhibited, v1alpha1.ReasonObjected,
	v1alpha1.ReasonNotApproved, v1alpha1.ReasonNoticePeriodRunning, v1alpha1.ReasonStoreOfOtherController,
	v1alpha1.ReasonSuspended, v1alpha1.ReasonProcessorNotFound, v1alpha1.ReasonSelectionRejected,
	v1alpha1.ReasonNotYetInForce, v1alpha1.ReasonExpired, v1alpha1.ReasonReviewOverdue,
	v1alpha1.ReasonTerritoryNotAllowed, v1alpha1.ReasonTransferBasisMissing, v1alpha1.ReasonRecipientNotAllowed,
	v1alpha1.ReasonPurposeOfOtherController, v1alpha1.ReasonPurposeTooGeneral, v1alpha1.ReasonPurposeNotIntended,
	v1alpha1.ReasonPurposeProhibitedForStore, v1alpha1.ReasonConsentNotEvidenced, v1alpha1.ReasonDataFormForbids,
	v1alpha1.ReasonStoreNotEntrusted, v1alpha1.ReasonPurposeNotEntrusted, v1alpha1.ReasonCategoryNotEntrusted,
	v1alpha1.ReasonEndpointConflict, v1alpha1.ReasonControllerHandling, v1alpha1.ReasonEntrusted,
}

// census counts answers, and the worlds in which each occurs.
type census struct {
	requests, worlds map[v1alpha1.Reason]int
	total, permitted int
}

func newCensus() *census {
	return &census{requests: map[v1alpha1.Reason]int{}, worlds: map[v1alpha1.Reason]int{}}
}

func (c *census) add(answers []answer) {
	seen := map[v1alpha1.Reason]bool{}
	permitted := false
	for _, a := range answers {
		c.requests[a.reason]++
		seen[a.reason] = true
		permitted = permitted || a.allowed
	}
	for reason := range seen {
		c.worlds[reason]++
	}
	c.total++
	if permitted {
		c.permitted++
	}
}

// print the counts and fail for a reason that never occurred.
func (c *census) print(t *testing.T) {
	t.Helper()
	var out strings.Builder
	sum := 0
	for _, reason := range reasons {
		fmt.Fprintf(&out, "\n%9d requests in %6d worlds  %s", c.requests[reason], c.worlds[reason], reason)
		sum += c.requests[reason]
	}
	t.Logf("%d worlds, %d requests, something allowed in %d worlds:%s", c.total, sum, c.permitted, out.String())
	if c.total < 300 {
		return // a repeated run of a few worlds
	}
	for _, reason := range reasons {
		if c.requests[reason] == 0 {
			t.Errorf("no request was answered with %s", reason)
		}
	}
	if c.permitted*2 < c.total {
		t.Errorf("something is allowed in %d of %d worlds only", c.permitted, c.total)
	}
}

func TestCoreAgreesWithPlainEvaluator(t *testing.T) {
	s, c := seed(t), newCensus()
	for n := range worlds(1) {
		w := Random(s, n)
		before := w.Clone()
		snapshot := compile(w)
		requests := w.Requests()
		answers := make([]answer, len(requests))
		for i, r := range requests {
			answers[i] = plainly(w, r)
			if got := compiled(snapshot, r); got != answers[i] {
				report(t, w, fmt.Sprintf("world %d: the core differs", n), func(w World) string { return disagreement(w, r) })
			}
		}
		c.add(answers)
		if every(10, n) {
			checkDecisions(t, snapshot, requests)
			if !reflect.DeepEqual(before, w) {
				t.Fatalf("world %d: Compile changed its inputs: %s", n, cmp.Diff(before.YAML(), w.YAML()))
			}
			if wrong := orderMatters(w); wrong != "" {
				report(t, w, fmt.Sprintf("world %d", n), orderMatters)
			}
		}
	}
	c.print(t)
}

// What the core says is granted is what it decides, request by request; so is what it says of pods.
func TestGrantsAreTheDecisions(t *testing.T) {
	s := seed(t)
	for n := range worlds(1.0 / 8) {
		if w := Random(s, n); grantsDiffer(w) != "" {
			report(t, w, fmt.Sprintf("world %d: the grants differ from the decisions", n), grantsDiffer)
		}
	}
}

func TestPodsAreAnsweredByTheirStores(t *testing.T) {
	s := seed(t)
	for n := range worlds(1.0 / 8) {
		if w := Random(s, n); podsDiffer(w) != "" {
			report(t, w, fmt.Sprintf("world %d: AuthorizePod differs from Authorize", n), podsDiffer)
		}
	}
}

// What wakes the reconcilers after a change is whether their grants are other ones.
func TestSameGrants(t *testing.T) {
	s := seed(t)
	var same, other, needless int
	count := func(n uint64, what any, said, is bool) {
		switch {
		case said && !is:
			t.Fatalf("world %d: %v has other grants, and is said to have the same", n, what)
		case said:
			same++
		case is:
			needless++
		default:
			other++
		}
	}
	for n := range worlds(1.0 / 8) {
		w := Random(s, n)
		g := &generator{Rand: rand.New(rand.NewPCG(s, n)), World: w.Clone()}
		if every(2, n) {
			g.addFault()
		} else {
			g.Now = g.Now.Add(time.Duration(1+g.IntN(60)) * 24 * time.Hour)
		}
		before, after := compile(w), compile(g.World)
		for _, store := range w.stores() {
			count(n, store, after.SameStoreGrants(before, store), cmp.Equal(before.StoreGrants(store), after.StoreGrants(store), equateEmpty))
		}
		for _, namespace := range w.namespaces() {
			x, bound := before.NamespaceAccess(namespace)
			y, still := after.NamespaceAccess(namespace)
			count(n, namespace, after.SameNamespaceAccess(before, namespace), bound == still && cmp.Equal(x, y, equateEmpty))
		}
	}
	t.Logf("%d the same, %d others, %d the same but not said to be", same, other, needless)
	if other == 0 || same == 0 {
		t.Errorf("%d the same, %d others", same, other)
	}
}

// checkDecisions looks at what a decision says besides effect and reason.
func checkDecisions(t *testing.T, s *entrustment.Snapshot, requests []entrustment.Request) {
	t.Helper()
	for _, r := range requests {
		d := s.Authorize(r)
		if bool(d.Effect()) != d.Allowed() {
			t.Fatalf("%s: effect %v, allowed %v", describe(r), d.Effect(), d.Allowed())
		}
		if d.Message() == "" {
			t.Fatalf("%s: %s has no message", describe(r), d.Reason())
		}
		if !d.Allowed() && !d.Until().IsZero() {
			t.Fatalf("%s: denied until %s", describe(r), d.Until())
		}
		if d.Allowed() && (len(d.Chain()) > 0) != (r.Entrustment != "") {
			t.Fatalf("%s: chain %q", describe(r), d.Chain())
		}
		if d.Allowed() && r.Entrustment != "" && d.Chain()[len(d.Chain())-1] != r.Entrustment {
			t.Fatalf("%s: chain %q does not end there", describe(r), d.Chain())
		}
	}
}

// orderMatters says which request is answered otherwise when the objects come in the reverse order.
func orderMatters(w World) string {
	reversed := w
	reversed.Purposes = reverse(w.Purposes)
	reversed.Processors = reverse(w.Processors)
	reversed.Entrustments = reverse(w.Entrustments)
	reversed.Stores = reverse(w.Stores)
	one, other := compile(w), compile(reversed)
	for _, r := range w.Requests() {
		if a, b := compiled(one, r), compiled(other, r); a != b {
			return fmt.Sprintf("request %s\n  %s\n  %s with the objects in the reverse order", describe(r), a, b)
		}
	}
	return ""
}

func reverse[T any](list []T) []T {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}

// grantsDiffer compares what the core says is granted with what its decisions allow one by one. That these are right is
// compared elsewhere.
func grantsDiffer(w World) string {
	s := compile(w)
	byStore := map[types.NamespacedName][]entrustment.Grant{}
	for _, namespace := range w.namespaces() {
		want := entrustment.Access{}
		party, binding := plain{w.Inputs, w.Now}.binding(namespace)
		for _, e := range w.entrustments() {
			byPurpose := map[types.NamespacedName][]string{}
			for _, purpose := range w.purposes() {
				grant := entrustment.AccessGrant{Purpose: purpose, Entrustment: e}
				for _, store := range w.stores() {
					r := entrustment.Request{Namespace: namespace, Purpose: purpose, Entrustment: e, Store: store}
					if d := s.Authorize(r); d.Allowed() {
						grant.Stores = append(grant.Stores, store)
						byPurpose[store] = append(byPurpose[store], purpose)
						grant.Until = earlier(grant.Until, d.Until())
					}
				}
				if len(grant.Stores) == 0 {
					continue
				}
				if contract := (plain{in: w.Inputs}).entrustment(e); contract != nil {
					if grant.PodDeadline = contract.Spec.PodDeadline; grant.PodDeadline == "" {
						grant.PodDeadline = v1alpha1.PodDeadlineArmed
					}
				}
				grant.Secrets = secrets(w, grant)
				want.Grants = append(want.Grants, grant)
			}
			for store, purposes := range byPurpose {
				byStore[store] = append(byStore[store], entrustment.Grant{
					Namespace: namespace, Entrustment: e, Store: store, Purposes: purposes,
				})
			}
		}
		got, bound := s.NamespaceAccess(namespace)
		if bound != (party != nil) {
			return fmt.Sprintf("namespace %s is bound: %v", namespace, bound)
		}
		if name, enforcement, ok := s.Binding(namespace); ok != bound || name != got.Processor || enforcement != got.Enforcement {
			return fmt.Sprintf("namespace %s: Binding %q %q %v, NamespaceAccess %q %q %v",
				namespace, name, enforcement, ok, got.Processor, got.Enforcement, bound)
		}
		if slices.Contains(s.BoundNamespaces(), namespace) != bound {
			return fmt.Sprintf("namespace %s is bound: %v, but BoundNamespaces are %q", namespace, bound, s.BoundNamespaces())
		}
		if !bound {
			continue
		}
		want.Processor, want.Enforcement, want.Namespace = party.Name, v1alpha1.EnforcementEnforce, w.Namespaces[namespace]
		if binding.Enforcement == v1alpha1.EnforcementReport {
			want.Enforcement = v1alpha1.EnforcementReport
		}
		if diff := cmp.Diff(want, got, equateEmpty); diff != "" {
			return fmt.Sprintf("NamespaceAccess(%s) (-allowed +said):\n%s", namespace, diff)
		}
	}
	for _, store := range w.stores() {
		if diff := cmp.Diff(byStore[store], s.StoreGrants(store), equateEmpty); diff != "" {
			return fmt.Sprintf("StoreGrants(%s) (-allowed +said):\n%s", store, diff)
		}
	}
	return ""
}

// podsDiffer compares what the core says of a pod with what it says of the pod and each store.
func podsDiffer(w World) string {
	s := compile(w)
	for _, namespace := range w.namespaces() {
		for _, e := range w.entrustments() {
			for _, purpose := range w.purposes() {
				reached := false
				var reasons []v1alpha1.Reason
				for _, store := range w.stores() {
					d := s.Authorize(entrustment.Request{Namespace: namespace, Purpose: purpose, Entrustment: e, Store: store})
					reached = reached || d.Allowed()
					reasons = append(reasons, d.Reason())
				}
				d := s.AuthorizePod(namespace, purpose, e)
				if d.Allowed() != reached || d.Reason() == "" || d.Message() == "" ||
					d.Reason() == v1alpha1.ReasonNoEntrustment && e != "" {
					return fmt.Sprintf("AuthorizePod(%q, %q, %q) is %s, and each store by itself %v",
						namespace, purpose, e, answer{d.Allowed(), d.Reason()}, reasons)
				}
			}
		}
	}
	return ""
}

var equateEmpty = cmp.FilterValues(func(a, b any) bool {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	return x.Kind() == reflect.Slice && y.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0
}, cmp.Ignore())

// earlier of two ends, where zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// secrets that pods under a grant may reference: of every store reached, the credentials for all purposes and those for
// the purpose or an ancestor.
func secrets(w World, grant entrustment.AccessGrant) []string {
	p := plain{w.Inputs, w.Now}
	var names []string
	for _, key := range grant.Stores {
		for _, credential := range p.store(key.Namespace, key.Name).Spec.Credentials {
			if len(credential.Purposes) == 0 || p.line(grant.Purpose).below(credential.Purposes) {
				names = append(names, v1alpha1.DeliveredSecretName(key.Namespace, key.Name, credential.Name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// The zero Snapshot and the snapshot of nothing deny, and do not panic.
func TestNothingIsDenied(t *testing.T) {
	for name, s := range map[string]*entrustment.Snapshot{
		"the zero snapshot":     new(entrustment.Snapshot),
		"a snapshot of nothing": entrustment.Compile(entrustment.Inputs{}, time.Time{}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range Random(1, 1).Requests() {
				if d := s.Authorize(r); d.Allowed() || d.Reason() == "" {
					t.Errorf("%s: %v %q", describe(r), d.Allowed(), d.Reason())
				}
			}
		})
	}
	if d := (entrustment.Decision{}); d.Allowed() || d.Effect() != entrustment.Deny {
		t.Errorf("the zero decision allows")
	}
}

// Beyond 512 grants of one namespace the rest are denied by every output.
func TestTooManyGrants(t *testing.T) {
	s := seed(t)
	denied := 0
	for n := range worlds(1.0 / 1000) {
		w := Crowded(s, n)
		snapshot := compile(w)
		p := plain{w.Inputs, w.Now}
		type pair struct{ entrustment, purpose string }
		var pairs []pair // in order
		for _, e := range w.entrustments() {
			for _, purpose := range w.purposes() {
				if p.reachesAny(entrustment.Request{Namespace: "n-d1", Entrustment: e, Purpose: purpose}) {
					pairs = append(pairs, pair{e, purpose})
				}
			}
		}
		for i, pair := range pairs {
			for _, store := range w.stores() {
				r := entrustment.Request{Namespace: "n-d1", Entrustment: pair.entrustment, Purpose: pair.purpose, Store: store}
				want := answer{}
				want.allowed, want.reason = p.reaches(r)
				if want.allowed && i >= v1alpha1.MaxGrants {
					want = answer{false, v1alpha1.ReasonTooManyGrants}
					denied++
				}
				if got := compiled(snapshot, r); got != want {
					t.Fatalf("world %d, grant %d of %d, %s: core %s, want %s", n, i+1, len(pairs), describe(r), got, want)
				}
				if i >= v1alpha1.MaxGrants-1 && i <= v1alpha1.MaxGrants+1 && plainly(w, r) != want {
					t.Fatalf("world %d, grant %d of %d, %s: plain %s, want %s", n, i+1, len(pairs), describe(r), plainly(w, r), want)
				}
			}
		}
		if access, _ := snapshot.NamespaceAccess("n-d1"); len(access.Grants) != min(len(pairs), v1alpha1.MaxGrants) {
			t.Errorf("world %d: %d grants of %d", n, len(access.Grants), len(pairs))
		}
		if wrong := grantsDiffer(w); wrong != "" {
			t.Errorf("world %d: %s", n, wrong)
		}
	}
	if denied == 0 {
		t.Error("no grant was too many")
	}
}

// Beyond 64 stores of one grant the rest are denied by every output.
func TestTooManyStores(t *testing.T) {
	w := World{Now: time.Date(2026, time.November, 23, 3, 0, 0, 0, time.UTC), Inputs: entrustment.Inputs{
		Purposes:   []*v1alpha1.Purpose{builder.Purpose("billing").Obj()},
		Processors: []*v1alpha1.DataProcessor{builder.Processor(builder.Controller).Namespace("n").Obj()},
	}}
	for i := range 70 {
		store := builder.Store([]string{"b", "a"}[i%2], fmt.Sprint("store", i)).AllowedPurposes("billing")
		if i%10 == 0 {
			store.Suspended()
		}
		w.Stores = append(w.Stores, store.Obj())
	}
	for i := range 4 {
		w.Stores = append(w.Stores, builder.Store("c", fmt.Sprint("store", i)).AllowedPurposes("billing").Obj())
	}
	snapshot, answers := compile(w), map[answer]int{}
	for _, r := range w.Requests() {
		if wrong := disagreement(w, r); wrong != "" {
			t.Error(wrong)
		}
		if r.Namespace == "n" && r.Purpose == "billing" && r.Entrustment == "" {
			answers[compiled(snapshot, r)]++
		}
	}
	want := map[answer]int{
		{true, v1alpha1.ReasonControllerHandling}: 64, {false, v1alpha1.ReasonTooManyGrants}: 3,
		{false, v1alpha1.ReasonStoreSuspended}: 7, {false, v1alpha1.ReasonStoreNotFound}: 1,
	}
	if diff := cmp.Diff(want, answers, cmp.AllowUnexported(answer{})); diff != "" {
		t.Error(diff)
	}
	if wrong := grantsDiffer(w); wrong != "" {
		t.Error(wrong)
	}
}

// Decisions may be asked for by many at once, statuses too, which count when first asked.
func TestSnapshotIsSafeForConcurrentUse(t *testing.T) {
	w := Random(7, 7)
	snapshot := compile(w)
	requests := w.Requests()
	done := make(chan int)
	for range 4 {
		go func() {
			allowed := 0
			for _, r := range requests {
				if snapshot.Authorize(r).Allowed() {
					allowed++
				}
			}
			askEverything(snapshot, w)
			done <- allowed
		}()
	}
	first := <-done
	for range 3 {
		if other := <-done; other != first {
			t.Errorf("%d allowed for one reader, %d for another", first, other)
		}
	}
}

// askEverything calls every method that describes objects.
func askEverything(s *entrustment.Snapshot, w World) {
	for _, name := range w.purposes() {
		s.PurposeStatus(name)
	}
	for _, party := range w.Processors {
		if party != nil {
			s.ProcessorStatus(party.Name)
		}
	}
	s.ProcessorStatus(unknown)
	for _, name := range w.entrustments() {
		s.EntrustmentStatus(name)
	}
	for _, store := range append(w.stores(), s.Stores()...) {
		s.StoreStatus(store)
		s.Store(store)
		s.StoreGrants(store)
		s.SameStoreGrants(s, store)
	}
	for _, namespace := range append(w.namespaces(), s.BoundNamespaces()...) {
		s.NamespaceAccess(namespace)
		s.Binding(namespace)
		s.SameNamespaceAccess(s, namespace)
		for _, e := range w.entrustments() {
			for _, purpose := range w.purposes() {
				s.AuthorizePod(namespace, purpose, e)
				for _, store := range w.stores() {
					d := s.Authorize(entrustment.Request{Namespace: namespace, Purpose: purpose, Entrustment: e, Store: store})
					_, _, _ = d.Message(), d.Chain(), d.Until()
				}
			}
		}
	}
	s.NextChange()
}
