package bypass

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/test/builder"
)

// vectors are all there are.
var vectors = slices.Concat(podVectors, managedVectors, secretVectors, readerVectors, schemaVectors, installationVectors,
	storeVectors, interventionVectors, handshakeVectors, onConfiguration, permissions, inEarnest, weakenings)

var _ = Describe("With", Ordered, ContinueOnFailure, func() {
	for _, r := range runs {
		Describe(r.name, func() {
			BeforeAll(func(ctx context.Context) { begin(ctx, r) })

			for _, v := range vectors {
				if !v.applies(r) || !r.configured(v) {
					continue
				}
				for _, t := range v.tries {
					It(v.id+" by "+t.way, func(ctx context.Context) { attempt(ctx, r, v, t) })
				}
			}

			It("the operator writes what is its own", func(ctx context.Context) {
				for _, v := range vectors {
					if slices.Contains([]string{"managed.entrustment.dev", "finalizers.entrustment.dev", "status.entrustment.dev"}, v.alone.name) {
						for _, t := range v.tries {
							Expect(t.do(ctx, as(itself))).To(Succeed(), "%s by %s", v.id, t.way)
						}
					}
				}
			})

			if r.webhook == up {
				whileUp()
			}
		})
	}

	Describe("the rules alone, and nobody to repair them,", func() {
		BeforeAll(func() { operator.stop() })

		byRule := map[string][]vector{}
		for _, v := range vectors {
			if runs[3].configured(v) && (v.alone.layer == rule || v.alone.layer == warns) && !strings.Contains(v.alone.name, "|") {
				byRule[v.alone.name] = append(byRule[v.alone.name], v)
			}
		}
		It("all have vectors of their own", func() {
			rules, err := admission.All()
			Expect(err).NotTo(HaveOccurred())
			for _, rule := range rules {
				if rule.GetKind() == "ValidatingAdmissionPolicyBinding" {
					Expect(byRule).To(HaveKey(rule.GetName()))
				}
			}
		})

		for _, name := range slices.Sorted(maps.Keys(byRule)) {
			It("what only "+name+" refuses goes through without it", func(ctx context.Context) { missed(ctx, name, byRule[name]) })
		}

		It("let no forbidden pod in while the API server is killed and starts again", restarts)

	})

	It("has tried enough", func() {
		active := slices.DeleteFunc(slices.Clone(vectors), func(v vector) bool { return v.alone == admitted })
		Expect(len(active)).To(BeNumerically(">=", 100), "vectors")
		Expect(tally.cases()).To(BeNumerically(">=", 500), "cases")
		Expect(tally.allowed).To(BeEmpty(), "unexpectedly allowed")
		ids := map[string]bool{}
		for _, v := range vectors {
			id, _, _ := strings.Cut(v.id, " ")
			Expect(ids).NotTo(HaveKey(id), "two vectors of one number")
			ids[id] = true
		}
	})
})

// attempt tries a vector in one way.
func attempt(ctx context.Context, r run, v vector, t try) {
	GinkgoHelper()
	want := v.expect(r)
	s := as(v.actor)
	s.warnings.take()
	err := t.do(ctx, s)
	tally.count(r, v, t, want, err)
	Expect(err).To(want.meets(), "as %s", v.actor.name)
	if want.layer == warns {
		Expect(s.warnings.take()).To(ContainElement(ContainSubstring(want.says)))
	}
	if want.layer == detected {
		Eventually(detections[want.name]).WithArguments(ctx).Should(Succeed(), want.name)
	}
}

// begin brings a run about, and returns when it is in effect.
func begin(ctx context.Context, r run) {
	GinkgoHelper()
	canary := vector{sees: pods("NamespaceNotBound"), alone: guard(either(grants, grantedSecrets), "no params found")}
	switch {
	case r.webhook == removed:
		answeredAt(ctx, operator.port)
		operator.start()
		Eventually(operator.ready).Should(Succeed())
		for _, configuration := range hooks(ctx) {
			Expect(admin.Delete(ctx, configuration)).To(Succeed())
		}
	case !r.operator:
		operator.stop()
		answeredAt(ctx, operator.port)
	case r.webhook == down:
		answeredAt(ctx, freePort())
	}
	Eventually(func() error { return try{do: creates(undeclared)[0].do}.do(ctx, as(root)) }).Should(canary.expect(r).meets())
	for name, first := range firsts() {
		Eventually(func() error { return first.tries[0].do(ctx, as(first.actor)) }).Should(first.expect(r).meets(), name)
	}
}

// firsts are one vector of each rule.
func firsts() map[string]vector {
	found := map[string]vector{}
	for _, v := range vectors {
		if _, known := found[v.alone.name]; !known && v.alone.layer == rule {
			found[v.alone.name] = v
		}
	}
	return found
}

// missed removes the binding of a rule, waits until something gets through that it is there for, and puts it back.
func missed(ctx context.Context, name string, vectors []vector) {
	GinkgoHelper()
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(admin.Get(ctx, client.ObjectKeyFromObject(binding), binding)).To(Succeed())
	Expect(admin.Delete(ctx, binding)).To(Succeed())
	DeferCleanup(func(ctx context.Context) {
		binding.ResourceVersion, binding.UID = "", ""
		Expect(admin.Create(ctx, binding)).To(Succeed())
	})
	Eventually(func() error {
		var err error
		for _, v := range vectors {
			for _, t := range v.tries {
				s := as(v.actor)
				s.warnings.take()
				err = t.do(ctx, s)
				if v.alone.layer == warns {
					err = errors.Join(err, s.warnings.mention(v.alone.says))
				}
				if err == nil {
					return nil
				}
			}
		}
		return err
	}).Should(Succeed())
}

// whileUp is what can be seen only while the webhook answers.
func whileUp() {
	leaving := []string{"leaving-store", "leaving-party"}
	BeforeAll(func(ctx context.Context) { // while the vectors are tried
		for _, name := range leaving {
			Expect(admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
		}
	})

	It("a store's namespace and a bound one are deleted, and go with all that is in them", func(ctx context.Context) {
		for _, name := range leaving {
			Eventually(gone).WithArguments(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}).WithTimeout(time.Minute).Should(BeTrue(), name)
		}
	})

	It("the pods of a workload are judged, whoever makes them, and their refusal shows in its status", func(ctx context.Context) {
		deploy := func(name string, pod *builder.PodBuilder) {
			deployment := workloads("biller", pod.Label("app", name).Template())[0].(*appsv1.Deployment)
			deployment.Name, deployment.Spec.Replicas = name, ptr.To[int32](2)
			Expect(admin.Create(ctx, deployment)).To(Succeed())
		}
		made := func(g Gomega, name string) int {
			pods := &corev1.PodList{}
			g.Expect(admin.List(ctx, pods, client.InNamespace("biller"), client.MatchingLabels{"app": name})).To(Succeed())
			return len(pods.Items)
		}
		deploy("granted", declaring(""))
		deploy("ungranted", declaring("").Purpose("marketing"))
		deploy("undeclared", builder.Pod("biller", ""))
		Eventually(made).WithArguments("granted").Should(Equal(2))
		Eventually(made).WithArguments("undeclared").Should(Equal(2))
		Eventually(func(g Gomega) {
			deployment := &appsv1.Deployment{}
			g.Expect(admin.Get(ctx, client.ObjectKey{Namespace: "biller", Name: "ungranted"}, deployment)).To(Succeed())
			g.Expect(deployment.Status.Conditions).To(ContainElement(SatisfyAll(
				HaveField("Type", appsv1.DeploymentReplicaFailure), HaveField("Message", ContainSubstring("PurposeNotIntended")))))
			g.Expect(made(g, "ungranted")).To(BeZero())
		}).Should(Succeed())
	})

	It("the rules are understood by the API server as they are meant", func(ctx context.Context) {
		policies := &admissionregistrationv1.ValidatingAdmissionPolicyList{}
		Eventually(func(g Gomega) {
			g.Expect(admin.List(ctx, policies)).To(Succeed())
			for _, p := range policies.Items {
				g.Expect(p.Status.TypeChecking).NotTo(BeNil(), p.Name)
				g.Expect(p.Status.TypeChecking.ExpressionWarnings).To(BeEmpty(), p.Name)
			}
		}).Should(Succeed())
	})

	It("a webhook that hangs refuses too, and soon", func(ctx context.Context) {
		listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(listener.Close)
		answeredAt(ctx, listener.Addr().(*net.TCPAddr).Port)
		DeferCleanup(answeredAt, operator.port)
		Eventually(func() error { return admin.Create(ctx, declaring("x").Obj(), client.DryRunAll) }).Should(
			MatchError(SatisfyAll(ContainSubstring("failed calling webhook %q", podHook), ContainSubstring("deadline exceeded"))))
		Expect(admin.Create(ctx, ordinary("biller", "x"), client.DryRunAll)).To(Succeed(), "an ordinary pod does not wait for it")
	})

	It("an ordinary pod is never sent to the webhook", func(ctx context.Context) {
		// Others may ask meanwhile, of what is not ordinary: a webhook that is shown ordinary pods is asked at each attempt.
		Eventually(func() int {
			before := reviews()
			for _, namespace := range []string{"default", "biller", "own"} {
				pod := ordinary(namespace, "unasked")
				Expect(admin.Create(ctx, pod)).To(Succeed())
				pod.Labels["tier"] = "worker"
				Expect(admin.Update(ctx, pod)).To(Succeed())
				pod.Status.Phase = corev1.PodRunning
				Expect(admin.Status().Update(ctx, pod)).To(Succeed())
				Expect(admin.Delete(ctx, pod, client.GracePeriodSeconds(0))).To(Succeed())
			}
			return reviews() - before
		}).Should(BeZero())
		before := reviews()
		Expect(admin.Create(ctx, declaring("asked").Obj(), client.DryRunAll)).To(Succeed())
		Expect(reviews()).To(BeNumerically(">", before), "the count can tell")
	})
}

var tally = counts{byLayer: map[string]map[layer]int{}}

// counts are what the suite did.
type counts struct {
	byLayer map[string]map[layer]int // by run
	allowed []string
}

func (c *counts) count(r run, v vector, t try, want verdict, err error) {
	if c.byLayer[r.name] == nil {
		c.byLayer[r.name] = map[layer]int{}
	}
	refuses := slices.Contains([]layer{rule, webhook, schema, authz}, want.layer)
	if err == nil && refuses {
		c.allowed = append(c.allowed, fmt.Sprintf("%s: %s by %s as %s", r.name, v.id, t.way, v.actor.name))
		return
	}
	c.byLayer[r.name][want.layer]++
}

func (c *counts) cases() int {
	total := len(c.allowed)
	for _, of := range c.byLayer {
		for _, n := range of {
			total += n
		}
	}
	return total
}

var _ = ReportAfterSuite("counts", func(Report) {
	refusing := 0
	for _, v := range vectors {
		if v.alone != admitted {
			refusing++
		}
	}
	fmt.Printf("\n\n%d vectors, %d cases\n%-28s", refusing, tally.cases(), "run")
	for _, l := range layers {
		fmt.Printf("%10s", l)
	}
	fmt.Println()
	for _, r := range runs {
		fmt.Printf("%-28s", r.name)
		for _, l := range layers {
			fmt.Printf("%10d", tally.byLayer[r.name][l])
		}
		fmt.Println()
	}
	fmt.Printf("unexpectedly allowed: %d\n", len(tally.allowed))
	for _, what := range tally.allowed {
		fmt.Println("  " + what)
	}
})
