package revocation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/render"
	"entrustment.dev/operator/test/builder"
)

// Entrustees have a namespace, a store and a contract each, of the same name.
const (
	many       = "many" // the data controller, which has no namespace
	entrustees = 100
	uses       = 10 // purposes of each contract
	data       = 10 // namespaces of stores
	sparse     = 10 // of so many entrustees one has a credential, and two pods
)

func describeExpiry() {
	Describe("of 1,000 grants over 100 stores in 100 namespaces in the same second", func() {
		It("takes away every allow before anything else, and writes each object once", func(ctx context.Context) {
			began := time.Now()
			var holders []*corev1.Pod
			prepareMany(ctx)
			for i := range entrustees {
				if name := nth(i); i%sparse == 0 {
					for n := range 2 {
						pod := builder.Pod(name, fmt.Sprint("worker-", n)).Purpose(use(n)).Entrustment(name).Deadline(600).Obj()
						holders = append(holders, pod)
					}
				}
			}
			inParallel(len(holders), func(i int) error { return soon(ctx, holders[i]) })
			instant := expireTogether(ctx)
			prepared := time.Since(began)

			Eventually(func(g Gomega) {
				g.Expect(time.Now().After(instant)).To(BeTrue())
				v := seen.view()
				g.Expect(allows(v)).To(BeEmpty())
				for i := range entrustees {
					access := v.access[nth(i)]
					g.Expect(access.Grants).To(BeEmpty())
					g.Expect(access.Draining).To(BeEmpty())
				}
				g.Expect(operator.wire.quiet()).To(BeTrue())
			}).WithTimeout(2 * time.Minute).Should(Succeed())
			for _, pod := range holders {
				Expect(lives(ctx, pod)).To(BeFalse())
			}

			inOrder(operator.wire.since(instant))
			seen.now(ctx)
			took := sinceLastAllow(instant)
			text := fmt.Sprintf("%s from the instant until the last allow was gone (prepared in %s, all done after %s)",
				took.Round(time.Millisecond), prepared.Round(time.Second), time.Since(instant).Round(time.Millisecond))
			AddReportEntry("expiry of 1,000 grants", text)
			fmt.Printf("expiry of 1,000 grants over 100 stores in 100 namespaces: %s\n", text)
		})
	})
}

func nth(i int) string { return fmt.Sprintf("many-%03d", i) }
func use(i int) string { return fmt.Sprintf("many-use-%d", i) }

// prepareMany makes the grants, and waits until they are in force.
func prepareMany(ctx context.Context) {
	GinkgoHelper()
	var purposes []string
	create(ctx, builder.Processor(many).Obj())
	for i := range uses {
		purposes = append(purposes, use(i))
		create(ctx, builder.Purpose(use(i)).Controller(many).Obj())
	}
	for i := range data {
		create(ctx, namespaced(fmt.Sprint("many-data-", i)), source(fmt.Sprint("many-data-", i), "reader"))
	}
	inParallel(entrustees, func(i int) error {
		name := nth(i)
		store := builder.Store(fmt.Sprint("many-data-", i%data), name).Controller(many).AllowedPurposes(purposes...).Recipients(v1alpha1.RecipientEntrustee)
		if i%sparse == 0 {
			store.Credential("reader", "reader")
		}
		contract := builder.Entrustment(name).From(many).To(name).Purposes(purposes...).Stores(fmt.Sprintf("many-data-%d/%s", i%data, name)).Obj()
		return errors.Join(admin.Create(ctx, namespaced(name)), soon(ctx, store.Obj()), soon(ctx, builder.Processor(name).Namespace(name).Obj()), soon(ctx, contract))
	})
	Eventually(func(g Gomega) {
		v := seen.view()
		granted := 0
		for i := range entrustees {
			g.Expect(v.access).To(HaveKey(nth(i)))
			granted += int(v.access[nth(i)].GrantCount)
		}
		g.Expect(granted).To(Equal(1000))
		g.Expect(allows(v)).To(HaveLen(2*entrustees), "of each a store's policy, and one of the namespace")
	}).WithTimeout(2 * time.Minute).Should(Succeed())
}

// expireTogether lets all contracts end in the same second, and returns when that is known everywhere, before it comes.
func expireTogether(ctx context.Context) time.Time {
	GinkgoHelper()
	for ahead := 12 * time.Second; ; ahead *= 2 {
		instant := time.Now().Add(ahead).Truncate(time.Second)
		inParallel(entrustees, func(i int) error {
			contract := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: nth(i)}}
			return admin.Patch(ctx, contract, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"notAfter":%q}}`, instant.UTC().Format(time.RFC3339))))
		})
		known := func() bool {
			v := seen.view()
			for i := range entrustees {
				if grants := v.access[nth(i)].Grants; len(grants) != uses || !grants[0].NotAfter.Time.Equal(instant) {
					return false
				}
			}
			return len(allows(v)) == 2*entrustees && operator.wire.quiet() // one that ended meanwhile is open again
		}
		if err := InterceptGomegaFailure(func() { Eventually(known).WithTimeout(max(0, time.Until(instant)-time.Second)).Should(BeTrue()) }); err == nil {
			return instant
		}
		Expect(ahead).To(BeNumerically("<", time.Minute), "the operator never rests")
	}
}

// allows are the policies that let an entrustee's pods through.
func allows(v *view) (names []string) {
	for key, policy := range v.policies {
		if strings.HasPrefix(key.Namespace, "many-") && letsThrough(policy) {
			names = append(names, key.String())
		}
	}
	return names
}

func letsThrough(policy *networkingv1.NetworkPolicy) bool {
	return slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool {
		return slices.ContainsFunc(rule.From, func(peer networkingv1.NetworkPolicyPeer) bool { return peer.NamespaceSelector != nil })
	}) || render.LimitsEgress(policy) && strings.Contains(policy.Name, "entrustment.many-")
}

// inOrder makes sure that each stage began when those before had ended, and wrote each object as often as it has to.
func inOrder(writes []write) {
	GinkgoHelper()
	byStage := [][]write{of(writes, "", "networkpolicies"), of(writes, "", "personaldataaccesses"), of(writes, http.MethodDelete, "secrets"), of(writes, http.MethodDelete, "pods")}
	first := map[string]bool{}
	byStage[1] = slices.DeleteFunc(byStage[1], func(w write) bool { // the second clears the note
		again := first[w.path]
		first[w.path] = true
		return again
	})
	for stage, want := range []int{2 * entrustees, entrustees, entrustees / sparse, 2 * entrustees / sparse} {
		Expect(byStage[stage]).To(HaveLen(want), "stage %d", stage)
		for _, earlier := range byStage[:stage] {
			Expect(slices.MinFunc(byStage[stage], func(a, b write) int { return a.began - b.began }).began).To(
				BeNumerically(">", slices.MaxFunc(earlier, func(a, b write) int { return a.ended - b.ended }).ended), "stage %d begins when those before it have ended", stage)
		}
	}
	often := map[string]int{}
	for _, w := range writes {
		if w.method != http.MethodPost { // whose path is not that of the object; none is made twice
			often[w.path]++
		}
	}
	for path, n := range often {
		switch {
		case strings.HasSuffix(path, "/status"):
		case strings.Contains(path, "/personaldataaccesses/"):
			Expect(n).To(BeNumerically("<=", 2), "%s is written, and its note cleared", path)
		default:
			Expect(n).To(Equal(1), path)
		}
	}
	for _, w := range writes {
		Expect(w.isStatus() && w.method == http.MethodPut).To(BeFalse(), "%s needs one write a pass", w.path)
	}
}

// sinceLastAllow is how long after an instant the last policy was seen to let nobody through any more. All came before any other
// write, by what the API server says; and every status that was written said something new.
func sinceLastAllow(instant time.Time) (last time.Duration) {
	GinkgoHelper()
	_, all := seen.since(0)
	v := newView(nil)
	var version uint64
	conditions := map[string][]metav1.Condition{}
	for _, e := range all {
		wasOpen := v.policies[e.key] != nil && letsThrough(v.policies[e.key])
		stage, takes := stageOf(v, e)
		v.apply(e)
		if contract, ok := e.Object.(*v1alpha1.Entrustment); ok {
			was, known := conditions[e.key.Name]
			if known && contract.Generation == contract.Status.ObservedGeneration && e.Type == watch.Modified && !e.at.Before(instant) {
				Expect(equality.Semantic.DeepEqual(was, contract.Status.Conditions)).To(BeFalse(), "%s says what was said", e)
			}
			conditions[e.key.Name] = contract.Status.Conditions
			// Before all of it was made, one may have been without a party for a moment.
			active := meta.FindStatusCondition(contract.Status.Conditions, v1alpha1.ConditionActive)
			if strings.HasPrefix(e.key.Name, "many-") && active != nil && active.Reason == string(v1alpha1.ReasonExpired) && active.ObservedGeneration == contract.Generation {
				Expect(e.at).To(BeTemporally(">", contract.Spec.NotAfter.Time))
			}
		}
		if e.at.Before(instant) || !strings.HasPrefix(e.key.Namespace, "many-") || !takes {
			continue
		}
		if e.kind == "NetworkPolicy" {
			if wasOpen && (e.Type == watch.Deleted || !letsThrough(e.Object.(*networkingv1.NetworkPolicy))) {
				last, version = max(last, e.at.Sub(instant)), max(version, e.version)
			}
		} else if stage > policies {
			Expect(e.version).To(BeNumerically(">", version), "%s", e)
			Expect(allows(v)).To(BeEmpty(), "%s comes when every allow is gone", e)
		}
	}
	return last
}

// soon makes an object that the API server or the operator may refuse for a moment, because it is still news to them.
func soon(ctx context.Context, object client.Object) error {
	var refused error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		refused = admin.Create(ctx, object)
		return refused == nil, nil
	})
	if err != nil {
		return fmt.Errorf("making %T %s: %w", object, object.GetName(), refused)
	}
	return nil
}

// inParallel does something so many times, some at once.
func inParallel(times int, do func(i int) error) {
	GinkgoHelper()
	var group sync.WaitGroup
	next, failed := make(chan int), make([]error, times)
	for range 8 {
		group.Go(func() {
			for i := range next {
				failed[i] = do(i)
			}
		})
	}
	for i := range times {
		next <- i
	}
	close(next)
	group.Wait()
	Expect(errors.Join(failed...)).To(Succeed())
}
