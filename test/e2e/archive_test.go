package e2e

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/e2e/attempt"
)

// The host outside the cluster that hack/node makes.
const outside, outside6 = "192.0.2.2", "2001:db8::2"

const (
	archiving   = "archiving" // the contract under which the archive is read
	archiveRows = "5 rows"
)

var archive = types.NamespacedName{Namespace: ledgerIn, Name: "archive"}

var _ = Describe("A database outside the cluster", func() {
	port := net.JoinHostPort(outside, "5432")
	reader := func(pod *builder.PodBuilder) *builder.PodBuilder { return withCredentialOf(archive, pod) }
	clerk := func(name string) *builder.PodBuilder {
		return reader(agent(entrustee, name, "query", outside).Purpose(purpose).Entrustment(archiving))
	}

	It("is read by pods with a grant, and answers no other of the parties' pods", func(ctx SpecContext) {
		skipElsewhere()
		for _, pod := range []*builder.PodBuilder{
			reader(agent(own, "archivist", "query", outside).Purpose(ownUse)),
			clerk("archive-clerk"),
		} {
			answer := comesTo(ctx, start(ctx, pod), outside, attempt.Answered, time.Time{})
			Expect(answer.Detail).To(Equal(archiveRows))
		}
		noneReaches(ctx, port,
			passerBy(own, "no-archivist", port),
			passerBy(entrustee, "no-clerk", port),
			passerBy("core-services", "other-purpose-outside", port).Purpose("after-service"),
		)
		other := host(ledger) + ":5432"
		neverReaches(ctx, start(ctx, underContract("other-contract-outside", "dial", port, other)), port, time.Time{}, control{other, witness})
	}, NodeTimeout(2*time.Minute))

	It("is kept from namespaces that nobody is bound to by its credential, as the store says", func(ctx SpecContext) {
		skipElsewhere()
		stranger := start(ctx, agent("default", "stranger-outside", "query", outside))
		comesTo(ctx, stranger, outside, attempt.Rejected, time.Time{})
		name := v1alpha1.DeliveredSecretName(archive.Namespace, archive.Name, "reader")
		for _, elsewhere := range []string{"default", "marketing", "repair-entrustee"} {
			err := admin.Get(ctx, client.ObjectKey{Namespace: elsewhere, Name: name}, &corev1.Secret{})
			Expect(err).To(MatchError(apierrors.IsNotFound, "not found"), elsewhere)
		}
		Eventually(func(g Gomega) {
			store := &v1alpha1.PersonalDataStore{}
			g.Expect(admin.Get(ctx, archive, store)).To(Succeed())
			isolated := meta.FindStatusCondition(store.Status.Conditions, v1alpha1.ConditionIsolated)
			g.Expect(isolated).NotTo(BeNil())
			g.Expect(isolated.Reason).To(BeEquivalentTo(v1alpha1.ReasonExternalPartial))
		}).WithContext(ctx).Should(Succeed())
	}, NodeTimeout(time.Minute))

	It("is left by an open session, and its credential taken back, when the contract is suspended", func(ctx SpecContext) {
		skipElsewhere()
		pod := start(ctx, clerk("leaving-clerk"))
		comesTo(ctx, pod, outside, attempt.Answered, time.Time{})
		told := follow(ctx, pod)
		suspended := suspend(ctx, &v1alpha1.Entrustment{}, archiving)
		Eventually(told.ended).WithContext(ctx).Should(BeClosed())
		answers := told.of(outside, attempt.Answered)
		last := answers[len(answers)-1].Ended
		measured("contract suspended → last answer of a database outside", last.Sub(suspended))
		Expect(last.Sub(suspended)).To(BeNumerically("<", graceOfRevocation(ctx)+slack))
		comesTo(ctx, witness, port, attempt.Open, last)
		key := client.ObjectKey{Namespace: entrustee, Name: v1alpha1.DeliveredSecretName(archive.Namespace, archive.Name, "reader")}
		Eventually(func() error { return admin.Get(ctx, key, &corev1.Secret{}) }).
			WithContext(ctx).Should(MatchError(apierrors.IsNotFound, "gone"))
	}, NodeTimeout(time.Minute))
})

// outsideAddresses are those of the host outside, in the families that the cluster has.
func outsideAddresses(ctx SpecContext) []string {
	GinkgoHelper()
	service := &corev1.Service{}
	Expect(admin.Get(ctx, ledger, service)).To(Succeed())
	if off, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6"); onOwnNode() && err == nil && strings.TrimSpace(string(off)) == "0" {
		Expect(service.Spec.ClusterIPs).To(HaveLen(2), "the kernel has IPv6")
	}
	return []string{outside, outside6}[:len(service.Spec.ClusterIPs)]
}

// entrustArchive starts a database outside the cluster until the end of the suite, and makes it a store that a contract of its own is
// about.
func entrustArchive(ctx SpecContext) {
	GinkgoHelper()
	dir := filepath.Join(os.Getenv("ENTRUSTMENT_NODE"), "archive")
	addresses := outsideAddresses(ctx)
	var ips []net.IP
	for _, address := range addresses {
		ips = append(ips, net.ParseIP(address))
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey("archive", ips, nil)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.Mkdir(dir, 0o755)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "server.crt"), certificate, 0o600)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "server.key"), key, 0o600)).To(Succeed())
	var output bytes.Buffer
	database := exec.Command("ip", append([]string{"netns", "exec", "outside", "./archive.sh", dir}, addresses...)...)
	database.Stdout, database.Stderr = &output, &output
	Expect(database.Start()).To(Succeed())
	DeferCleanup(func() {
		Expect(database.Process.Signal(syscall.SIGQUIT)).To(Succeed(), "it ended by itself: %s", &output)
		_ = database.Wait() // it was told to drop everything
	})

	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: archive.Namespace, Name: "archive-reader"},
		StringData: map[string]string{"username": "reader", "password": "another-password", "ca.crt": string(certificate)},
	}
	Expect(admin.Create(ctx, secret)).To(Succeed())
	like := &v1alpha1.PersonalDataStore{}
	Expect(admin.Get(ctx, ledger, like)).To(Succeed())
	store := &v1alpha1.PersonalDataStore{
		ObjectMeta: metav1.ObjectMeta{Namespace: archive.Namespace, Name: archive.Name}, Spec: *like.Spec.DeepCopy(),
	}
	store.Spec.Credentials = []v1alpha1.Credential{{Name: "reader", SecretName: secret.Name}}
	store.Spec.Endpoint = v1alpha1.Endpoint{
		External: &v1alpha1.ExternalEndpoint{}, Ports: []v1alpha1.Port{{Port: 5432, Protocol: "TCP"}},
	}
	for _, address := range addresses {
		family := map[bool]string{true: "/32", false: "/128"}[net.ParseIP(address).To4() != nil]
		store.Spec.Endpoint.External.CIDRs = append(store.Spec.Endpoint.External.CIDRs, address+family)
	}
	Expect(admin.Create(ctx, store)).To(Succeed())

	fees := &v1alpha1.Entrustment{}
	Expect(admin.Get(ctx, client.ObjectKey{Name: contract}, fees)).To(Succeed())
	about := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: archiving}, Spec: *fees.Spec.DeepCopy()}
	about.Spec.Stores = []v1alpha1.StoreReference{{Namespace: archive.Namespace, Name: archive.Name}}
	Expect(admin.Create(ctx, about)).To(Succeed())

	for _, namespace := range []string{own, entrustee, "core-services"} {
		Eventually(func() error {
			return admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "pda.baseline"}, &networkingv1.NetworkPolicy{})
		}).WithContext(ctx).Should(Succeed())
	}
}
