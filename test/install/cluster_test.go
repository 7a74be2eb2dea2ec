package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	releasev1 "helm.sh/helm/v4/pkg/release/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
	"entrustment.dev/operator/test/service"
)

// cluster is a real control plane with Helm beside it, and in place of a node the operator's replicas as processes.
type cluster struct {
	t          *testing.T // the test, which outlives its parts
	plane      *controlplane.ControlPlane
	admin      client.Client
	kubeconfig string // of the administrator
	program    string // the operator
	service    *service.Service
	open       bool   // the value uninstall.open
	issuer     values // the value certificates; nil: as it is in the chart

	mu       sync.Mutex
	replicas []*replica
}

func start(t *testing.T) *cluster {
	t.Helper()
	g := NewWithT(t)
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Controllers: true})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(plane.Stop()).To(Succeed()) })

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	config := plane.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())

	text, err := controlplane.Kubeconfig(plane.Config(), "admin")
	g.Expect(err).NotTo(HaveOccurred())
	c := &cluster{t: t, plane: plane, admin: admin, kubeconfig: filepath.Join(plane.Dir(), "admin.kubeconfig"), program: filepath.Join(plane.Dir(), "manager")}
	g.Expect(os.WriteFile(c.kubeconfig, text, 0o600)).To(Succeed())

	build := exec.CommandContext(t.Context(), "go", "-C", "../..", "build", "-o", c.program, "./cmd/manager")
	output, err := build.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
	c.service, err = service.Listen(c.ready)
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = c.service.Close() })
	return c
}

// helm is Helm's own configuration for the operator's namespace.
func (c *cluster) helm(t *testing.T) *action.Configuration {
	t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	space := namespace
	flags.KubeConfig, flags.Namespace = &c.kubeconfig, &space
	configuration := action.NewConfiguration()
	if err := configuration.Init(flags, namespace, "secret"); err != nil {
		t.Fatal(err)
	}
	return configuration
}

func (c *cluster) values() values {
	with := values{
		"webhook":   values{"url": "https://" + c.service.Address()},
		"roles":     values{"parties": []any{"example-controller", "billing-entrustee"}},
		"uninstall": values{"open": c.open},
	}
	if c.issuer != nil { // of which the earlier chart knows nothing
		with["certificates"] = c.issuer
	}
	return with
}

func (c *cluster) install(t *testing.T) error {
	t.Helper()
	return c.installChart(t, chartDir, c.values())
}

// installChart installs a chart from a directory, or from an archive.
func (c *cluster) installChart(t *testing.T, path string, with values) error {
	t.Helper()
	chart, err := loader.Load(path)
	if err != nil {
		return err
	}
	install := action.NewInstall(c.helm(t))
	install.ReleaseName, install.Namespace, install.CreateNamespace = name, namespace, true
	install.TakeOwnership, install.ForceConflicts = true, true // of what an earlier release kept
	install.ServerSideApply, install.WaitStrategy, install.Timeout = true, kube.HookOnlyStrategy, time.Minute
	_, err = install.RunWithContext(t.Context(), chart, with)
	return err
}

func (c *cluster) upgrade(t *testing.T) error {
	t.Helper()
	chart, err := loader.LoadDir(chartDir)
	if err != nil {
		return err
	}
	upgrade := action.NewUpgrade(c.helm(t))
	upgrade.Namespace, upgrade.ServerSideApply, upgrade.ForceConflicts, upgrade.TakeOwnership = namespace, "true", true, true
	upgrade.WaitStrategy, upgrade.Timeout = kube.HookOnlyStrategy, time.Minute
	_, err = upgrade.RunWithContext(t.Context(), name, chart, c.values())
	return err
}

// drain does what the hook of the chart does, which needs a node: what it is allowed, and its command.
func (c *cluster) drain(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	found, err := action.NewGet(c.helm(t)).Run(name)
	g.Expect(err).NotTo(HaveOccurred())
	installed, ok := found.(*releasev1.Release)
	g.Expect(ok).To(BeTrue())
	var command []string
	for _, hook := range installed.Hooks {
		objects, err := manifests.Decode([]byte(hook.Manifest))
		g.Expect(err).NotTo(HaveOccurred())
		for _, object := range objects {
			if object.GetKind() != "Job" {
				g.Expect(c.admin.Create(t.Context(), object)).To(Succeed())
				t.Cleanup(func() { g.Expect(c.admin.Delete(context.Background(), object)).To(Succeed()) })
				continue
			}
			job := &batchv1.Job{}
			g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, job)).To(Succeed())
			command = job.Spec.Template.Spec.Containers[0].Args
			g.Expect(job.Spec.Template.Spec.ServiceAccountName).To(Equal(name))
		}
	}
	g.Expect(command).NotTo(BeEmpty())
	run := exec.CommandContext(t.Context(), c.program, append(command, "--kubeconfig="+c.operatorKubeconfig(t, "drain"), "--ledger=")...)
	run.Env = append(os.Environ(), "POD_NAMESPACE="+namespace)
	began := time.Now()
	said, err := run.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(said))
	t.Logf("%q took %s", command, time.Since(began).Round(10*time.Millisecond))
}

func (c *cluster) uninstall(t *testing.T) error {
	t.Helper()
	uninstall := action.NewUninstall(c.helm(t))
	uninstall.DisableHooks = true // see drain
	uninstall.WaitStrategy, uninstall.Timeout, uninstall.DeletionPropagation = kube.HookOnlyStrategy, time.Minute, "background"
	_, err := uninstall.Run(name)
	return err
}

// publish applies the published policy, as the privacy office does, for contracts that began in the given year.
func (c *cluster) publish(ctx context.Context, year int) error {
	objects, err := manifests.Read("../../config/samples/policy")
	if err != nil {
		return err
	}
	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			continue
		}
		if err := manifests.MoveToYear(object, year); err != nil {
			return err
		}
		if err := c.admin.Create(ctx, object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// replica is one process of the operator, with the rights that ship and no others.
type replica struct {
	name    string
	command *exec.Cmd
	log     *output
	webhook string
	health  string
	metrics string
	ended   chan struct{}
}

// output is what a replica says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// replica starts another one, with flags beside those that every replica here has.
func (c *cluster) replica(t *testing.T, called string, flags ...string) *replica {
	t.Helper()
	g := NewWithT(t)
	kubeconfig := c.operatorKubeconfig(t, called)
	r := &replica{name: called, webhook: freeAddress(t), health: freeAddress(t), metrics: freeAddress(t), log: &output{}, ended: make(chan struct{})}
	r.command = c.plane.Command(called, c.program, append(flags, "--kubeconfig="+kubeconfig, "--leader-elect", "--replica="+called,
		"--webhook-bind-address="+r.webhook, "--health-probe-bind-address="+r.health, "--metrics-bind-address="+r.metrics, "--ledger=")...)
	r.command.Env = append(os.Environ(), "POD_NAMESPACE="+namespace)
	r.command.Stdout, r.command.Stderr = r.log, r.log
	g.Expect(r.command.Start()).To(Succeed())
	go func() {
		_ = r.command.Wait() // killed, mostly
		close(r.ended)
	}()
	c.t.Cleanup(func() { r.end(os.Kill) })
	c.add(r)
	return r
}

// operatorKubeconfig is that of the operator's ServiceAccount, which may do what ships and nothing else.
func (c *cluster) operatorKubeconfig(t *testing.T, called string) string {
	t.Helper()
	g := NewWithT(t)
	account, err := c.plane.ServiceAccount(t.Context(), namespace, name)
	g.Expect(err).NotTo(HaveOccurred())
	text, err := controlplane.Kubeconfig(account, "operator")
	g.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(c.plane.Dir(), called+".kubeconfig")
	g.Expect(os.WriteFile(path, text, 0o600)).To(Succeed())
	return path
}

func (r *replica) end(how os.Signal) {
	_ = r.command.Process.Signal(how) // it may have ended
	<-r.ended
}

func (r *replica) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// ready is as the kubelet asks.
func (r *replica) ready() error {
	response, err := (&http.Client{Timeout: time.Second}).Get("http://" + r.health + "/readyz?verbose")
	if err != nil {
		return fmt.Errorf("%w\n%s", err, r.log)
	}
	defer func() { _ = response.Body.Close() }()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s\n%s", body, r.log)
	}
	return nil
}

func (c *cluster) add(r *replica) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replicas = append([]*replica{r}, c.replicas...)
}

// ready are the addresses of the replicas that are, the newest first: nobody sends anything to one that is not.
func (c *cluster) ready(yield func(string) bool) {
	c.mu.Lock()
	replicas := slices.Clone(c.replicas)
	c.mu.Unlock()
	for _, r := range replicas {
		if r.ready() == nil && !yield(r.webhook) {
			return
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := controlplane.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// adopt applies the smallest policy, with a store that only reports as yet, and has a credential.
func (c *cluster) adopt(ctx context.Context) error {
	objects, err := manifests.Read("../../config/samples/minimal")
	if err != nil {
		return err
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Pod":
			continue
		case "PersonalDataStore":
			err := errors.Join(
				unstructured.SetNestedField(object.Object, string(v1alpha1.EnforcementReport), "spec", "enforcement"),
				unstructured.SetNestedSlice(object.Object, []any{map[string]any{"name": "reader", "secretName": "orders-reader"}}, "spec", "credentials"))
			if err != nil {
				return err
			}
		}
		if err := c.admin.Create(ctx, object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}
