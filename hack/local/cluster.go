package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/config/admission"
	"entrustment.dev/operator/config/crd"
	"entrustment.dev/operator/test/controlplane"
	"entrustment.dev/operator/test/manifests"
)

const (
	operatorNamespace = "entrustment-system"
	operatorAccount   = "entrustment-operator"

	readyTimeout = time.Minute
)

// cluster is a running control plane with the operator beside it.
type cluster struct {
	plane   *controlplane.ControlPlane
	manager *controlplane.Process
	broken  chan error // filled when the API server answers no more
}

// start returns when the operator is ready, which it is once its caches are warm and its webhook can be called. If it
// cannot, nothing is left running. It says each step that is done. Without a directory it keeps its files in a temporary
// one.
func start(ctx context.Context, dir string, say func(line string)) (_ *cluster, err error) {
	c := &cluster{broken: make(chan error, 1)}
	if err := programs(); err != nil {
		return nil, err
	}
	crds, err := crd.All()
	if err != nil {
		return nil, err
	}

	began := time.Now()
	c.plane, err = controlplane.Start(ctx, controlplane.Options{Dir: dir, CRDs: crds, Controllers: true})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if err := c.handOver(); err != nil {
		return nil, err
	}
	say(step("Started etcd, the API server and the controllers", began))

	began = time.Now()
	webhook, err := controlplane.FreeAddress()
	if err != nil {
		return nil, err
	}
	if err := c.install(ctx, webhook); err != nil {
		return nil, err
	}
	say(step("Installed roles, webhooks and admission rules", began))

	began = time.Now()
	if err := c.startOperator(ctx, webhook); err != nil {
		return nil, err
	}
	say(step("Started the operator under its own ServiceAccount", began))
	go c.watch(ctx)
	return c, nil
}

// watch asks the API server how it is: nothing else tells that it, or etcd behind it, has died.
func (c *cluster) watch(ctx context.Context) {
	const interval, patience = 2 * time.Second, 5
	config := rest.CopyConfig(c.plane.Config())
	config.Timeout = interval
	api, err := discovery.NewDiscoveryClientForConfig(config)
	for silent := 0; err == nil && silent < patience; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
		if _, failure := api.ServerVersion(); failure != nil {
			silent++
			continue
		}
		silent = 0
	}
	c.broken <- errors.Join(fmt.Errorf("the API server has not answered for %s", patience*interval), err)
}

// stop ends everything. A directory that was given stays, for whoever gave it to remove.
func (c *cluster) stop() error { return c.plane.Stop() }

// wait returns when the operator ends by itself, with its last words, or when the context does.
func (c *cluster) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errInterrupted
	case <-c.manager.Done():
		return c.manager.Err()
	case err := <-c.broken:
		return err
	}
}

func (c *cluster) path(elements ...string) string {
	return filepath.Join(append([]string{c.plane.Dir()}, elements...)...)
}

// handOver writes what a person needs: an administrator's kubeconfig, kubectl, and its plugin beside it.
func (c *cluster) handOver() error {
	if err := c.writeKubeconfig("kubeconfig", c.plane.Config()); err != nil {
		return err
	}
	kubectl, err := controlplane.Program("kubectl")
	if err != nil {
		return err
	}
	plugin, err := filepath.Abs("bin/kubectl-entrust")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("bin"), 0o700); err != nil {
		return fmt.Errorf("make a directory for commands: %w", err)
	}
	return errors.Join(os.Symlink(kubectl, c.path("bin", "kubectl")), os.Symlink(plugin, c.path("bin", "kubectl-entrust")))
}

// install applies what the operator needs in a cluster, as an administrator would.
func (c *cluster) install(ctx context.Context, webhook string) error {
	admin, err := client.New(c.plane.Config(), client.Options{})
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	objects, err := manifests.Read("config/rbac", "config/webhook")
	if err != nil {
		return err
	}
	rules, err := admission.All()
	if err != nil {
		return err
	}
	for _, object := range append(objects, rules...) {
		if err := manifests.CallDirectly(object, webhook); err != nil {
			return err
		}
		if err := admin.Apply(ctx, client.ApplyConfigurationFromUnstructured(object),
			client.FieldOwner("local"), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// startOperator runs it as its ServiceAccount and nothing more: what its shipped roles forget to allow fails here too.
func (c *cluster) startOperator(ctx context.Context, webhook string) error {
	account, err := c.plane.ServiceAccount(ctx, operatorNamespace, operatorAccount)
	if err != nil {
		return err
	}
	if err := c.writeKubeconfig("operator.kubeconfig", account); err != nil {
		return err
	}
	health, err := controlplane.FreeAddress()
	if err != nil {
		return err
	}
	metrics, err := controlplane.FreeAddress()
	if err != nil {
		return err
	}
	c.manager, err = c.plane.Run("manager", "bin/manager",
		"--kubeconfig="+c.path("operator.kubeconfig"),
		"--webhook-bind-address="+webhook,
		"--health-probe-bind-address="+health,
		"--metrics-bind-address="+metrics)
	if err != nil {
		return err
	}
	return c.untilReady(ctx, "http://"+health+"/readyz?verbose")
}

func (c *cluster) untilReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	answer := "no answer"
	for {
		var ready bool
		if ready, answer = ask(ctx, url, answer); ready {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond): // a readiness probe can only be asked
		case <-c.manager.Done():
			return c.manager.Err()
		case <-ctx.Done():
			return fmt.Errorf("the operator was not ready within %s: %s; its log is %s",
				readyTimeout, answer, c.plane.Log("manager"))
		}
	}
}

// ask returns whether the probe succeeds, and what it answered, or the answer before if it could not be reached.
func ask(ctx context.Context, url, before string) (ready bool, answer string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err.Error()
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, before
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body) // for people; half an answer is better than none
	return response.StatusCode == http.StatusOK, strings.Join(strings.Fields(string(body)), " ")
}

func (c *cluster) writeKubeconfig(name string, config *rest.Config) error {
	text, err := controlplane.Kubeconfig(config, "entrustment-local")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path(name), text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// programs fails at once for what would otherwise be missed after the control plane has started.
func programs() error {
	for _, name := range []string{"bin/manager", "bin/kubectl-entrust"} {
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("%s is missing; run `make build` at the top of the repository", name)
		}
	}
	return nil
}

// step is a line that says what was done and how long it took.
func step(what string, began time.Time) string {
	return fmt.Sprintf("%-52s %5.1fs", what, time.Since(began).Seconds())
}
