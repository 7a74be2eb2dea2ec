package e2e

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/e2e/attempt"
	"entrustment.dev/operator/test/manifests"
)

const (
	policy   = "../../config/samples/policy"
	images   = "e2e.entrustment.dev"
	ledgerIn = "data-billing"
	rows     = "3 rows"
)

// imageOf is the suite's image of that name. One in a registry is asked for anew: its name stays when its content changes.
func imageOf(name string) (string, corev1.PullPolicy) {
	if registry := os.Getenv("ENTRUSTMENT_IMAGES"); registry != "" {
		return registry + "/" + name + ":run", corev1.PullAlways
	}
	return images + "/" + name + ":run", corev1.PullIfNotPresent
}

var ledger = types.NamespacedName{Namespace: ledgerIn, Name: "billing-ledger"}

//go:embed ledger.yaml
var ledgerManifest string

// publish makes the sample policy's objects, their Secrets, and pods for every store in the cluster.
func publish(ctx context.Context) {
	GinkgoHelper()
	objects, err := manifests.Read(policy)
	Expect(err).NotTo(HaveOccurred())
	year := time.Now().UTC().AddDate(0, -4, 0).Year() // its contracts run from April to March
	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			continue // its images are nowhere to be had
		}
		Expect(manifests.MoveToYear(object, year)).To(Succeed())
		if object.GetKind() == "PersonalDataStore" {
			makeSecrets(ctx, object.GetNamespace(), object.Object)
		}
		Eventually(func() error { // the Service of a webhook that is ready may lead nowhere yet
			return admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("e2e"))
		}).WithContext(ctx).Should(Succeed())
	}
	stores := &v1alpha1.PersonalDataStoreList{}
	Expect(admin.List(ctx, stores)).To(Succeed())
	Expect(stores.Items).NotTo(BeEmpty())
	for i := range stores.Items {
		store := &stores.Items[i]
		if store.Spec.Endpoint.PodSelector == nil {
			continue
		}
		createService(ctx, store)
		if client.ObjectKeyFromObject(store) == ledger {
			createLedger(ctx)
		} else {
			createListener(ctx, store)
		}
	}
	for i := range stores.Items {
		store := &stores.Items[i]
		if store.Spec.Endpoint.PodSelector == nil {
			continue
		}
		Eventually(func(g Gomega) {
			policy := client.ObjectKey{Namespace: store.Namespace, Name: "pds." + store.Name}
			g.Expect(admin.Get(ctx, policy, &networkingv1.NetworkPolicy{})).To(Succeed())
			pods := &corev1.PodList{}
			g.Expect(admin.List(ctx, pods, client.InNamespace(store.Namespace), client.MatchingLabels{"app": store.Name})).To(Succeed())
			g.Expect(pods.Items).To(HaveLen(1))
			g.Expect(ready(&pods.Items[0])).To(BeTrue(), "%s/%s is %s", store.Namespace, pods.Items[0].Name, pods.Items[0].Status.Phase)
		}).WithTimeout(2 * time.Minute).WithContext(ctx).Should(Succeed())
	}
}

func makeSecrets(ctx context.Context, namespace string, store map[string]any) {
	GinkgoHelper()
	text, err := json.Marshal(store)
	Expect(err).NotTo(HaveOccurred())
	typed := &v1alpha1.PersonalDataStore{}
	Expect(json.Unmarshal(text, typed)).To(Succeed())
	for _, credential := range typed.Spec.Credentials {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: credential.SecretName},
			StringData: map[string]string{"username": "reader", "password": "a-real-password"},
		}
		Expect(client.IgnoreAlreadyExists(admin.Create(ctx, secret))).To(Succeed())
	}
}

func createService(ctx context.Context, store *v1alpha1.PersonalDataStore) {
	GinkgoHelper()
	both := corev1.IPFamilyPolicyPreferDualStack
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: store.Namespace, Name: store.Name},
		Spec: corev1.ServiceSpec{
			Selector: store.Spec.Endpoint.PodSelector.MatchLabels, IPFamilyPolicy: &both,
			PublishNotReadyAddresses: true, // a probe that is late on a busy machine must not look like a policy
		},
	}
	for _, port := range store.Spec.Endpoint.Ports {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{
			Name: fmt.Sprintf("port-%d", port.Port), Port: port.Port, TargetPort: intstr.FromInt32(port.Port),
		})
	}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, service))).To(Succeed())
}

// createListener stands in for a store of which only the packets matter.
func createListener(ctx context.Context, store *v1alpha1.PersonalDataStore) {
	GinkgoHelper()
	arguments := []string{"listen"}
	for _, port := range store.Spec.Endpoint.Ports {
		arguments = append(arguments, fmt.Sprint(port.Port))
	}
	pod := agent(store.Namespace, store.Name, arguments...)
	for key, value := range store.Spec.Endpoint.PodSelector.MatchLabels {
		pod.Label(key, value)
	}
	Expect(client.IgnoreAlreadyExists(admin.Create(ctx, pod.Label("app", store.Name).Obj()))).To(Succeed())
}

// createLedger starts PostgreSQL with three invoices and a role that may read them.
func createLedger(ctx context.Context) {
	GinkgoHelper()
	image, pull := imageOf("postgres")
	manifest := strings.NewReplacer(images+"/postgres:run", image, string(corev1.PullIfNotPresent), string(pull)).Replace(ledgerManifest)
	output, err := kubectl(ctx, manifest, "apply", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), output)
	Eventually(func(g Gomega) {
		set := &appsv1.StatefulSet{}
		g.Expect(admin.Get(ctx, ledger, set)).To(Succeed())
		g.Expect(set.Status.ReadyReplicas).To(BeEquivalentTo(1))
	}).WithContext(ctx).Should(Succeed())
}

// agent builds a pod that does one thing and tells of it.
func agent(namespace, name string, arguments ...string) *builder.PodBuilder {
	none, now := false, int64(0)
	image, pull := imageOf("agent")
	return builder.Pod(namespace, name).With(func(pod *corev1.Pod) {
		pod.Spec.AutomountServiceAccountToken = &none
		pod.Spec.TerminationGracePeriodSeconds = &now
		pod.Spec.Containers = []corev1.Container{{
			Name: "agent", Image: image, ImagePullPolicy: pull, Args: arguments,
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &none},
		}}
	})
}

// withCredential mounts the delivered credential of the ledger, whether or not it exists.
func withCredential(pod *builder.PodBuilder) *builder.PodBuilder {
	return withCredentialOf(ledger, pod)
}

func withCredentialOf(store types.NamespacedName, pod *builder.PodBuilder) *builder.PodBuilder {
	optional := true
	return pod.With(func(pod *corev1.Pod) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "credential", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: v1alpha1.DeliveredSecretName(store.Namespace, store.Name, "reader"), Optional: &optional},
		}})
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "credential", MountPath: "/credential", ReadOnly: true}}
	})
}

// start runs a pod until the end of the spec. It is admitted as soon as what it declares is granted.
func start(ctx context.Context, pod *builder.PodBuilder) *corev1.Pod {
	GinkgoHelper()
	object := pod.Obj()
	Eventually(func() error { return admin.Create(ctx, pod.Obj()) }).WithContext(ctx).Should(Or(Succeed(), MatchError(apierrors.IsAlreadyExists, "exists")))
	DeferCleanup(func(ctx SpecContext) {
		Expect(client.IgnoreNotFound(admin.Delete(ctx, object))).To(Succeed())
		Eventually(func() error { return admin.Get(ctx, client.ObjectKeyFromObject(object), object) }).
			WithContext(ctx).Should(MatchError(apierrors.IsNotFound, "gone"))
	})
	Eventually(func(g Gomega) {
		g.Expect(admin.Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
		g.Expect(cannotStart(object)).To(BeEmpty())
		g.Expect(ready(object)).To(BeTrue())
	}).WithContext(ctx).Should(Succeed())
	return object
}

// cannotStart stops whoever waits for a pod whose image is not there, or is not for its node, and says so. It returns nothing.
func cannotStart(pod *corev1.Pod) string {
	for _, status := range pod.Status.ContainerStatuses {
		why := ""
		if waiting := status.State.Waiting; waiting != nil && slices.Contains(hopeless, waiting.Reason) {
			why = waiting.Reason + ": " + waiting.Message
		}
		for _, state := range []corev1.ContainerState{status.State, status.LastTerminationState} {
			if state.Terminated != nil && state.Terminated.Reason == "StartError" {
				why = state.Terminated.Message
			}
		}
		if why != "" {
			StopTrying(fmt.Sprintf("pod %s/%s cannot start %s: %s. How a cluster gets the images of the suite, and for which platforms: docs/e2e.md",
				pod.Namespace, pod.Name, status.Image, why)).Now()
		}
	}
	return ""
}

// hopeless are reasons for which the kubelet has tried in vain to get an image.
var hopeless = []string{"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// attempts reads what an agent has told so far of attempts that began after an instant.
func attempts(ctx context.Context, pod *corev1.Pod, after time.Time) []attempt.Attempt {
	GinkgoHelper()
	options := &corev1.PodLogOptions{}
	if !after.IsZero() {
		options.SinceTime = ptr.To(metav1.NewTime(after)) // a second is its unit
	}
	log, err := clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	Expect(err).NotTo(HaveOccurred())
	defer log.Close()
	var all []attempt.Attempt
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var one attempt.Attempt
		Expect(json.Unmarshal(lines.Bytes(), &one)).To(Succeed(), "a line of %s/%s: %s", pod.Namespace, pod.Name, lines.Text())
		if !one.Began.Before(after) {
			all = append(all, one)
		}
	}
	return all
}

// story is what an agent tells until it ends, which its log does not outlive.
type story struct {
	mu    sync.Mutex
	told  []attempt.Attempt
	ended chan struct{}
}

func follow(ctx context.Context, pod *corev1.Pod) *story {
	GinkgoHelper()
	log, err := clientset.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	Expect(err).NotTo(HaveOccurred())
	s := &story{ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		defer log.Close()
		for lines := json.NewDecoder(log); ; {
			var one attempt.Attempt
			if lines.Decode(&one) != nil { // the end, also in the middle of a line
				return
			}
			s.mu.Lock()
			s.told = append(s.told, one)
			s.mu.Unlock()
		}
	}()
	return s
}

// of returns all attempts so far that came to the same, in order.
func (s *story) of(target string, outcome attempt.Outcome) (all []attempt.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.told {
		if one.Target == target && one.Outcome == outcome {
			all = append(all, one)
		}
	}
	return all
}

// comesTo waits until an agent's attempts at a target have the outcome, and returns the first of them that began after
// an instant.
func comesTo(ctx context.Context, pod *corev1.Pod, target string, want attempt.Outcome, after time.Time) (first attempt.Attempt) {
	GinkgoHelper()
	var detail string
	Eventually(func() attempt.Outcome {
		last := attempt.Outcome("no attempt")
		for _, one := range attempts(ctx, pod, after) {
			if one.Target != target {
				continue
			}
			last, detail = one.Outcome, one.Detail
			if one.Outcome == want && first.Target == "" {
				first = one
			}
		}
		return last
	}).WithContext(ctx).Should(Equal(want), func() string {
		return fmt.Sprintf("%s/%s to %s: %s", pod.Namespace, pod.Name, target, detail)
	})
	return first
}

// control tells a policy's silence from one that another cause makes.
type control struct {
	reaches string      // what the silent pod reaches, so that it has a network
	witness *corev1.Pod // a pod that reaches the target at the same time; nil: nobody does any more
}

// neverReaches waits for attempts of a pod at a target that begin after an instant, and expects silence of them all.
func neverReaches(ctx context.Context, pod *corev1.Pod, target string, after time.Time, c control) {
	GinkgoHelper()
	const enough = 3
	var made []attempt.Attempt
	Eventually(func() int {
		made = made[:0]
		for _, one := range attempts(ctx, pod, after) {
			if one.Target == target && one.Outcome != attempt.NoName { // an answer about a name may be late, and nothing was tried then
				made = append(made, one)
			}
		}
		return len(made)
	}).WithContext(ctx).Should(BeNumerically(">=", enough), "attempts of %s/%s at %s", pod.Namespace, pod.Name, target)
	for _, one := range made {
		Expect(one.Outcome).To(Equal(attempt.Silent), "%s/%s to %s: %+v", pod.Namespace, pod.Name, target, one)
	}
	comesTo(ctx, pod, c.reaches, attempt.Open, after)
	if c.witness != nil {
		comesTo(ctx, c.witness, target, attempt.Open, made[0].Began)
	}
}

// passerBy is a pod that tries a target in vain, and the landmark.
func passerBy(namespace, name, target string) *builder.PodBuilder {
	return agent(namespace, name, "dial", target, landmark)
}

// noneReaches runs pods that pass by a target which the witness reaches.
func noneReaches(ctx context.Context, target string, pods ...*builder.PodBuilder) {
	GinkgoHelper()
	running := make([]*corev1.Pod, 0, len(pods))
	for _, pod := range pods {
		running = append(running, start(ctx, pod))
	}
	for _, pod := range running {
		neverReaches(ctx, pod, target, time.Time{}, control{landmark, witness})
	}
}

// address is that of a store's Service.
func address(ctx context.Context, store types.NamespacedName) string {
	GinkgoHelper()
	service := &corev1.Service{}
	Expect(admin.Get(ctx, store, service)).To(Succeed())
	return service.Spec.ClusterIP
}

// host is the name of a store's Service.
func host(store types.NamespacedName) string {
	return store.Name + "." + store.Namespace + ".svc.cluster.local"
}
