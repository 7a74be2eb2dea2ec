package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/controllers"
	"entrustment.dev/operator/internal/cli"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

func TestBlocks(t *testing.T) {
	got, err := blocksOf("page.md", "text\n```yaml part\na: 1\n```\n\n```console\n$ ls\n```\n")
	want := []Block{{"page.md", 3, "yaml part", "a: 1\n"}, {"page.md", 7, "console", "$ ls\n"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for title, text := range map[string]string{
		"indented":      "- text\n  ```yaml\n  a: 1\n  ```\n",
		"without end":   "```yaml\na: 1\n",
		"within others": "```yaml\n```console\n```\n",
	} {
		if got, err := blocksOf("page.md", text); err == nil {
			t.Errorf("%s: %+v", title, got)
		}
	}
}

// What a block is has to be said, so that none escapes.
func TestEveryBlockSaysWhatItIs(t *testing.T) {
	blocks, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"yaml", "yaml values", "yaml part", "console", "sh", "json", "text", "mermaid"}
	objects := 0
	for _, block := range blocks {
		if !slices.Contains(known, block.Info) && block.Info != "" {
			t.Errorf("%s is %q", block, block.Info)
		}
		if strings.Contains(block.Text, "apiVersion:") && strings.Contains(block.Text, "\nkind:") && block.Info != "yaml" && block.Info != "console" {
			t.Errorf("%s shows objects and is %q", block, block.Info)
		}
		if block.Info == "yaml" {
			objects++
		}
	}
	if objects < 5 {
		t.Errorf("only %d blocks of objects", objects)
	}
}

// Every object of the documentation is accepted by a real API server with the operator, its rules and its webhooks, page by page,
// in a cluster in which both samples are published. In between, what is asked there is answered as shown.
func TestEveryObjectIsAccepted(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(time.Minute)
	g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	c := start(t, g)
	blocks, err := Blocks(root)
	g.Expect(err).NotTo(HaveOccurred())
	var pages []string
	byPage := map[string][]Block{}
	for _, block := range blocks {
		if block.Info == "yaml" || block.Info == "console" {
			if byPage[block.Page] == nil {
				pages = append(pages, block.Page)
			}
			byPage[block.Page] = append(byPage[block.Page], block)
		}
	}
	asked := 0
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			g := NewWithT(t)
			g.SetDefaultEventuallyTimeout(time.Minute)
			g.SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
			for _, block := range byPage[page] {
				if block.Info == "yaml" {
					c.accepts(t.Context(), g, block)
				} else {
					asked += c.answers(t.Context(), g, block)
				}
			}
		})
	}
	if asked < 5 {
		t.Errorf("only %d commands were tried", asked)
	}
}

// What is shown as a part of the published policy is a part of it.
func TestThePolicyShownIsThePolicy(t *testing.T) {
	sample, err := manifests.Read(root + "config/samples/policy")
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := Blocks(root)
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, block := range blocks {
		if block.Page != "docs/policy.md" || block.Info != "yaml" {
			continue
		}
		objects, err := manifests.Decode([]byte(block.Text))
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			if object.GetKind() == "Pod" { // which no sample is
				continue
			}
			shown++
			if !slices.ContainsFunc(sample, func(o *unstructured.Unstructured) bool { return reflect.DeepEqual(o, object) }) {
				t.Errorf("%s shows another %s %s than config/samples/policy", block, object.GetKind(), object.GetName())
			}
		}
	}
	if shown < 5 {
		t.Errorf("only %d objects are shown", shown)
	}
}

// cluster is a real control plane with the operator.
type cluster struct {
	admin      client.Client
	kubeconfig string
	kubectl    string
	year       int // in whose April the contracts of the policy begin
}

func start(t *testing.T, g *WithT) *cluster {
	t.Helper()
	ctx := t.Context()
	ctrl.SetLogger(zap.New(zap.WriteTo(t.Output()))) // shown where something fails
	t.Cleanup(func() { ctrl.SetLogger(logr.Discard()) })
	definitions, err := crd.All()
	g.Expect(err).NotTo(HaveOccurred())
	plane, err := controlplane.Start(ctx, controlplane.Options{CRDs: definitions, Controllers: true})
	g.Expect(err).NotTo(HaveOccurred(), "start a control plane; `make test` finds or builds one")
	t.Cleanup(func() { g.Expect(plane.Stop()).To(Succeed()) })

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	config := plane.Config()
	config.QPS = -1
	admin, err := client.New(config, client.Options{Scheme: scheme})
	g.Expect(err).NotTo(HaveOccurred())
	kubectl, err := controlplane.Program("kubectl")
	g.Expect(err).NotTo(HaveOccurred())
	text, err := controlplane.Kubeconfig(plane.Config(), "admin")
	g.Expect(err).NotTo(HaveOccurred())
	kubeconfig := filepath.Join(plane.Dir(), "admin.kubeconfig")
	g.Expect(os.WriteFile(kubeconfig, text, 0o600)).To(Succeed())
	c := &cluster{kubeconfig: kubeconfig, kubectl: kubectl, admin: client.WithFieldValidation(client.WithFieldOwner(admin, "reader"), metav1.FieldValidationStrict), year: time.Now().UTC().AddDate(0, -4, 0).Year()}

	for _, sample := range []string{"policy", "minimal"} {
		objects, err := manifests.Read(root + "config/samples/" + sample)
		g.Expect(err).NotTo(HaveOccurred())
		for _, object := range objects {
			if kind := object.GetKind(); kind != "Pod" && kind != "Deployment" { // these need the operator
				c.apply(ctx, g, object)
			}
		}
	}
	g.Eventually(func() error {
		return admin.Create(ctx, builder.Pod("shop-data", "orders-0").Label("app", "orders").Obj())
	}).Should(Succeed())
	address, err := controlplane.FreeAddress()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(manifests.Install(ctx, admin, address, root+"config/rbac", root+"config/webhook")).To(Succeed()) // last: nobody answers yet
	account, err := plane.ServiceAccount(ctx, "entrustment-system", "entrustment-operator")
	g.Expect(err).NotTo(HaveOccurred())
	account.QPS = -1
	mgr, err := controllers.NewManager(account, controllers.Options{
		Clock: clock.RealClock{}, WebhookBindAddress: address, HealthProbeBindAddress: "0", MetricsBindAddress: "0",
		Namespace: "entrustment-system", CredentialReaders: true,
	})
	g.Expect(err).NotTo(HaveOccurred())
	running, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-ended).To(Succeed())
	})
	return c
}

// apply applies an object as `kubectl apply --server-side` does. What is new to the API server or to the operator may be refused for
// a moment: a namespace has no account, or is not granted yet what was just allowed.
func (c *cluster) apply(ctx context.Context, g *WithT, object *unstructured.Unstructured) {
	g.Expect(manifests.MoveToYear(object, c.year)).To(Succeed())
	g.Eventually(func() error {
		return c.admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()), client.ForceOwnership)
	}).Should(Succeed(), "%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
}

// accepts applies the objects of a block, and waits until the operator says that they do what they were written for. Pods go with
// their block, because the next one may show the same differently.
func (c *cluster) accepts(ctx context.Context, g *WithT, block Block) {
	objects, err := manifests.Decode([]byte(block.Text))
	g.Expect(err).NotTo(HaveOccurred(), block.String())
	g.Expect(objects).NotTo(BeEmpty(), block.String())
	for _, object := range objects {
		c.apply(ctx, g, object)
	}
	for _, object := range objects {
		switch object.GetKind() {
		case "Purpose", "DataProcessor", "Entrustment":
			g.Eventually(func() error { return c.ready(ctx, object) }).Should(Succeed(), block.String())
		case "Pod":
			g.Expect(c.admin.Delete(ctx, object, client.GracePeriodSeconds(0))).To(Succeed(), block.String())
		}
	}
}

// answers runs the commands of a block that need nothing but the objects of the page, and says how many. Each succeeds, and prints
// every line that is shown, ages aside; what else there is in the cluster of the test is printed too.
func (c *cluster) answers(ctx context.Context, g *WithT, block Block) (tried int) {
	for entry := range strings.SplitSeq("\n"+block.Text, "\n$ ") {
		line, shown, _ := strings.Cut(entry, "\n")
		var run func() (string, error)
		switch _, question, entrust := strings.Cut(line, "kubectl entrust "); {
		case line == "" || strings.ContainsAny(line, "|<>") || regexp.MustCompile(`\b[A-Z]{4,}\b`).MatchString(line): // a pipe, or a name to put in
			continue
		case entrust && regexp.MustCompile(`^(can|who|why) `).MatchString(question) && !strings.Contains(question, " -f ") && shown != "":
			run = func() (string, error) { return c.entrust(ctx, strings.Fields(question)) }
		case regexp.MustCompile(`^kubectl (get|patch) (privacy|personaldatastores?) `).MatchString(line) && !strings.Contains(line, "wouldDeny"):
			run = func() (string, error) {
				command := exec.CommandContext(ctx, "bash", "-c", line)
				command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "PATH="+filepath.Dir(c.kubectl)+":"+os.Getenv("PATH"))
				output, err := command.CombinedOutput()
				return string(output), err
			}
		default:
			continue
		}
		tried++
		g.Eventually(func(g Gomega) {
			output, err := run()
			g.Expect(err).NotTo(HaveOccurred(), "%s: %s\n%s", block, line, output)
			lines := plain(output)
			for _, want := range plain(shown) {
				g.Expect(lines).To(ContainElement(want), "%s: %s\n%s", block, line, output)
			}
		}).Should(Succeed())
	}
	return tried
}

// entrust asks the plugin; that it says no is an answer.
func (c *cluster) entrust(ctx context.Context, args []string) (string, error) {
	var out, wrong bytes.Buffer
	code := cli.Run(ctx, append(args, "--kubeconfig="+c.kubeconfig), genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &wrong}, clock.RealClock{}, "")
	if code > 1 {
		return wrong.String(), fmt.Errorf("exit status %d", code)
	}
	return out.String(), nil
}

// plain are the lines of a table or of a text, however wide their columns are, without the age at the end.
func plain(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if line = strings.Join(strings.Fields(regexp.MustCompile(`\s(\d+[smhd])+$`).ReplaceAllString(strings.TrimSpace(line), "")), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

func (c *cluster) ready(ctx context.Context, object *unstructured.Unstructured) error {
	live := object.DeepCopy()
	if err := c.admin.Get(ctx, client.ObjectKeyFromObject(object), live); err != nil {
		return err
	}
	status := struct {
		Conditions []metav1.Condition `json:"conditions"`
	}{}
	content, _, err := unstructured.NestedMap(live.Object, "status")
	if err != nil {
		return err
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &status); err != nil {
		return err
	}
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != live.GetGeneration() {
		return fmt.Errorf("%s %s is not ready: %+v", live.GetKind(), live.GetName(), ready)
	}
	return nil
}
