package install

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

// What the page on installation says of cert-manager, with cert-manager's own controllers: from the operator's certificates to
// theirs, through every change of a certificate and its authority, and back. All the while pods are tried, and none is lost.
func TestCertificatesOfCertManager(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	ctx := t.Context()
	c := start(t)
	c.certManager(t)
	g.Expect(c.install(t)).To(Succeed())
	replica := c.replica(t, "replica-1")
	g.Eventually(replica.ready).Should(Succeed())
	g.Expect(c.publish(ctx, time.Now().UTC().AddDate(0, -4, 0).Year())).To(Succeed())
	g.Eventually(func() error { return c.try(ctx) }).Should(Succeed())
	files := t.TempDir()
	presented := func() string { return c.presents(t, replica) }
	then := func(title string, run func(t *testing.T)) { // each begins where the one before ended
		if !t.Run(title, run) {
			t.FailNow()
		}
	}

	then("they take over from the operator's own", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		pods := c.keepTrying(t)
		c.issuer = values{"issuer": "cert-manager"}
		g.Expect(c.upgrade(t)).To(Succeed())
		secret := c.issued(t, nil)
		project(t, secret, files)
		own := replica
		replica = c.replica(t, "replica-2", "--webhook-cert-dir="+files)
		g.Eventually(replica.ready).Should(Succeed())
		own.end(syscall.SIGTERM)
		pods.more(t)
		pods.end(t)
		g.Expect(presented()).To(Equal(serial(t, secret)))
	})

	for _, change := range []struct {
		title string
		make  func(t *testing.T)
	}{
		{"a certificate is renewed", func(t *testing.T) { c.renew(t, "entrustment-operator-webhook") }},
		{"its Secret is deleted", func(t *testing.T) {
			NewWithT(t).Expect(c.admin.Delete(t.Context(), c.mounted(t))).To(Succeed())
		}},
		{"the authority is replaced", func(t *testing.T) {
			c.renew(t, "entrustment-operator-webhook-ca")
			c.renew(t, "entrustment-operator-webhook")
		}},
		{"another authority takes over", func(t *testing.T) {
			g := NewWithT(t)
			objects, err := manifests.Decode([]byte(company))
			g.Expect(err).NotTo(HaveOccurred())
			for _, object := range objects {
				g.Expect(c.admin.Create(t.Context(), object)).To(Succeed())
			}
			c.issuer = values{"issuer": "cert-manager", "issuerRef": values{"name": "company", "kind": "ClusterIssuer"}}
			g.Expect(c.upgrade(t)).To(Succeed())
		}},
	} {
		then(change.title, func(t *testing.T) {
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(time.Minute)
			before := c.mounted(t)
			pods := c.keepTrying(t)
			change.make(t)
			secret := c.issued(t, before)
			pods.more(t) // the kubelet takes its time
			g.Expect(presented()).To(Equal(serial(t, before)), "until it comes")
			project(t, secret, files)
			g.Eventually(presented).Should(Equal(serial(t, secret)))
			g.Expect(replica.ready()).To(Succeed())
			pods.more(t)
			pods.end(t)
		})
	}

	then("an authority is forgotten when somebody says so", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		pods := c.keepTrying(t)
		alone := c.mounted(t).Data["ca.crt"]
		hooks := c.hooks(t)
		for i := range hooks.Webhooks {
			g.Expect(bytes.Count(hooks.Webhooks[i].ClientConfig.CABundle, []byte("BEGIN CERTIFICATE"))).To(Equal(4), "one of each issuer, and one that was replaced")
			hooks.Webhooks[i].ClientConfig.CABundle = alone
		}
		g.Expect(c.admin.Update(ctx, hooks)).To(Succeed())
		pods.more(t)
		pods.end(t)
		for _, hook := range c.hooks(t).Webhooks {
			g.Expect(hook.ClientConfig.CABundle).To(Equal(alone))
		}
	})

	then("the operator takes over again", func(t *testing.T) {
		g := NewWithT(t)
		g.SetDefaultEventuallyTimeout(time.Minute)
		pods := c.keepTrying(t)
		c.issuer = nil
		g.Expect(c.upgrade(t)).To(Succeed())
		g.Expect(c.hooks(t).Annotations).NotTo(HaveKey("cert-manager.io/inject-ca-from"))
		theirs := replica
		replica = c.replica(t, "replica-3")
		g.Eventually(replica.ready).Should(Succeed())
		theirs.end(syscall.SIGTERM)
		pods.more(t)
		pods.end(t)
	})
}

// Where the API server does not call the Service, the certificate is for the address that it calls.
func TestCertificateIsForTheAddressOfTheWebhook(t *testing.T) {
	service := []string{"entrustment-webhook.entrustment-system.svc", "entrustment-webhook.entrustment-system.svc.cluster.local"}
	for url, want := range map[string]struct{ names, addresses []string }{
		"":                                  {names: service},
		"https://127.0.0.1:9443":            {service, []string{"127.0.0.1"}},
		"https://[fd00::1]:9443":            {service, []string{"fd00::1"}},
		"https://operator.example.com:9443": {names: append(slices.Clone(service), "operator.example.com")},
	} {
		t.Run(url, func(t *testing.T) {
			g := NewWithT(t)
			objects, err := render(name, namespace, values{"certificates": values{"issuer": "cert-manager"}, "webhook": values{"url": url}})
			g.Expect(err).NotTo(HaveOccurred())
			at := slices.IndexFunc(objects, func(o *unstructured.Unstructured) bool {
				return o.GetKind() == "Certificate" && o.GetName() == "entrustment-operator-webhook"
			})
			g.Expect(at).NotTo(Equal(-1))
			names, _, err := unstructured.NestedStringSlice(objects[at].Object, "spec", "dnsNames")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(names).To(Equal(want.names))
			addresses, _, err := unstructured.NestedStringSlice(objects[at].Object, "spec", "ipAddresses")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(addresses).To(Equal(want.addresses))
		})
	}
}

// company is the issuer of a platform team, with an authority of its own.
const company = `
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: selfsigned}
spec: {selfSigned: {}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: company, namespace: cert-manager}
spec:
  isCA: true
  commonName: company
  secretName: company
  issuerRef: {kind: ClusterIssuer, name: selfsigned}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: company}
spec: {ca: {secretName: company}}
`

// certManager starts cert-manager, with its definitions, as a ServiceAccount that may do everything: what it may do in a cluster is for
// its own chart to say.
func (c *cluster) certManager(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	const (
		module = "../certmanager"
		called = "cert-manager" // the ServiceAccount, its namespace and the process
	)
	dir, err := exec.CommandContext(t.Context(), "go", "-C", module, "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	g.Expect(err).NotTo(HaveOccurred())
	_, err = envtest.InstallCRDs(c.plane.Config(), envtest.CRDInstallOptions{Paths: []string{filepath.Join(strings.TrimSpace(string(dir)), "deploy/crds")}})
	g.Expect(err).NotTo(HaveOccurred())
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: called}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: called, Name: called}},
		&rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: called},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: called, Name: called}},
		},
	} {
		g.Expect(c.admin.Create(t.Context(), object)).To(Succeed())
	}
	account, err := c.plane.ServiceAccount(t.Context(), called, called)
	g.Expect(err).NotTo(HaveOccurred())
	text, err := controlplane.Kubeconfig(account, called)
	g.Expect(err).NotTo(HaveOccurred())
	kubeconfig, program := filepath.Join(c.plane.Dir(), called+".kubeconfig"), filepath.Join(c.plane.Dir(), called)
	g.Expect(os.WriteFile(kubeconfig, text, 0o600)).To(Succeed())
	output, err := exec.CommandContext(t.Context(), "go", "-C", module, "build", "-o", program, ".").CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
	_, err = c.plane.Run(called, program, kubeconfig)
	g.Expect(err).NotTo(HaveOccurred())
}

// renew asks for another certificate, as `cmctl renew` does, and returns when it is there.
func (c *cluster) renew(t *testing.T, certificate string) {
	t.Helper()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	live := &unstructured.Unstructured{}
	live.SetAPIVersion("cert-manager.io/v1")
	live.SetKind("Certificate")
	revision := func() int64 {
		g.Expect(c.admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: certificate}, live)).To(Succeed())
		number, _, err := unstructured.NestedInt64(live.Object, "status", "revision")
		g.Expect(err).NotTo(HaveOccurred())
		return number
	}
	before := revision()
	g.Eventually(func() error { // others write the status too
		revision()
		conditions, _, err := unstructured.NestedSlice(live.Object, "status", "conditions")
		if err != nil {
			return err
		}
		conditions = append(conditions, map[string]any{
			"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "asked for by a test",
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339), "observedGeneration": live.GetGeneration(),
		})
		if err := unstructured.SetNestedSlice(live.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		return c.admin.Status().Update(t.Context(), live)
	}).Should(Succeed())
	g.Eventually(revision).Should(BeNumerically(">", before))
}

// mounted is the Secret that the pods of the chart mount.
func (c *cluster) mounted(t *testing.T) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	NewWithT(t).Expect(c.admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "entrustment-operator-webhook-mounted"}, secret)).To(Succeed())
	return secret
}

// issued is the Secret that is mounted once it holds another certificate than before, when the API server trusts its authority
// as well as the one before.
func (c *cluster) issued(t *testing.T, before *corev1.Secret) *corev1.Secret {
	t.Helper()
	g := NewWithT(t)
	secret := &corev1.Secret{}
	g.Eventually(func(g Gomega) {
		g.Expect(c.admin.Get(t.Context(), types.NamespacedName{Namespace: namespace, Name: "entrustment-operator-webhook-mounted"}, secret)).To(Succeed())
		g.Expect(secret.Data).To(And(HaveKey("tls.crt"), HaveKey("tls.key"), HaveKey("ca.crt")))
		if before != nil {
			g.Expect(secret.Data["tls.crt"]).NotTo(Equal(before.Data["tls.crt"]))
		}
		for _, hook := range c.hooks(t).Webhooks {
			g.Expect(bytes.Contains(hook.ClientConfig.CABundle, secret.Data["ca.crt"])).To(BeTrue())
			g.Expect(before == nil || bytes.Contains(hook.ClientConfig.CABundle, before.Data["ca.crt"])).To(BeTrue())
		}
	}).WithTimeout(time.Minute).Should(Succeed())
	return secret
}

func (c *cluster) hooks(t *testing.T) *admissionregistrationv1.MutatingWebhookConfiguration {
	t.Helper()
	hooks := &admissionregistrationv1.MutatingWebhookConfiguration{}
	NewWithT(t).Expect(c.admin.Get(t.Context(), types.NamespacedName{Name: name}, hooks)).To(Succeed())
	return hooks
}

// presents is the serial number of the certificate that a replica presents to whoever trusts what the API server trusts.
func (c *cluster) presents(t *testing.T, r *replica) string {
	t.Helper()
	g := NewWithT(t)
	roots := x509.NewCertPool()
	g.Expect(roots.AppendCertsFromPEM(c.hooks(t).Webhooks[0].ClientConfig.CABundle)).To(BeTrue())
	connection, err := tls.Dial("tcp", r.webhook, &tls.Config{RootCAs: roots, ServerName: "entrustment-webhook.entrustment-system.svc"})
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = connection.Close() }()
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// serial is the number of the certificate in a Secret.
func serial(t *testing.T, secret *corev1.Secret) string {
	t.Helper()
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

// project writes a Secret into a directory as the kubelet does: all files change at once, by one symbolic link.
func project(t *testing.T, secret *corev1.Secret, dir string) {
	t.Helper()
	g := NewWithT(t)
	const current = "..data"
	next, err := os.MkdirTemp(dir, "..*")
	g.Expect(err).NotTo(HaveOccurred())
	for file, content := range secret.Data {
		g.Expect(os.WriteFile(filepath.Join(next, file), content, 0o440)).To(Succeed())
	}
	last, err := os.Readlink(filepath.Join(dir, current))
	first := os.IsNotExist(err)
	g.Expect(first || err == nil).To(BeTrue(), "%v", err)
	g.Expect(os.Symlink(filepath.Base(next), filepath.Join(dir, "..data_tmp"))).To(Succeed())
	g.Expect(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, current))).To(Succeed())
	if !first {
		g.Expect(os.RemoveAll(filepath.Join(dir, last))).To(Succeed())
		return
	}
	for file := range secret.Data {
		g.Expect(os.Symlink(filepath.Join(current, file), filepath.Join(dir, file))).To(Succeed())
	}
}

// try asks for two pods, one that has to be admitted and one that the webhook has to refuse. An error says that it was otherwise.
func (c *cluster) try(ctx context.Context) error {
	biller := builder.Pod("billing-entrustee", "biller").Purpose("billing").Entrustment("fees").Obj()
	if err := c.admin.Create(ctx, biller, client.DryRunAll); err != nil {
		return fmt.Errorf("it has to be admitted: %w", err)
	}
	thief := builder.Pod("billing-entrustee", "thief").Purpose("recommendation").Entrustment("fees").Obj()
	switch err := c.admin.Create(ctx, thief, client.DryRunAll); {
	case err == nil:
		return errors.New("the webhook has to refuse it, and it was admitted")
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `"pod.admission.entrustment.dev" denied`):
		return fmt.Errorf("the webhook has to refuse it: %w", err)
	}
	return nil
}

// trial tries pods without a pause until it is ended.
type trial struct {
	stop, over chan struct{}

	mu    sync.Mutex
	tried int
	lost  []error
}

func (c *cluster) keepTrying(t *testing.T) *trial {
	pods := &trial{stop: make(chan struct{}), over: make(chan struct{})}
	go func() {
		defer close(pods.over)
		for {
			select {
			case <-pods.stop:
				return
			case <-t.Context().Done():
				return
			default:
			}
			err := c.try(t.Context())
			pods.mu.Lock()
			pods.tried++
			if err != nil {
				pods.lost = append(pods.lost, err)
			}
			pods.mu.Unlock()
		}
	}()
	return pods
}

func (p *trial) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tried
}

// more returns when some more have been tried.
func (p *trial) more(t *testing.T) {
	t.Helper()
	NewWithT(t).Eventually(p.count).WithTimeout(time.Minute).Should(BeNumerically(">", p.count()+50))
}

// end tells what was lost.
func (p *trial) end(t *testing.T) {
	t.Helper()
	close(p.stop)
	<-p.over
	t.Logf("%d times two pods were tried", p.tried)
	if len(p.lost) > 0 {
		t.Errorf("%d were lost, the first: %v", len(p.lost), p.lost[0])
	}
}
