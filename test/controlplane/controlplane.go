package controlplane

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	toolswatch "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"

	// controllersTimeout bounds the wait for the controller manager's first work; it is seen after five seconds.
	controllersTimeout = 2 * time.Minute
)

//go:embed leash.sh
var leashScript string

// Options of a control plane. The zero value is an API server without controllers, in a temporary directory.
type Options struct {
	// Dir keeps data, certificates and logs, and stays. Absent: a temporary directory, removed at the end.
	Dir string
	// CRDs are installed, and served when Start returns.
	CRDs []*apiextensionsv1.CustomResourceDefinition
	// Controllers adds kube-controller-manager. Pods then need a ServiceAccount, as in a cluster.
	Controllers bool
}

// ControlPlane is a running Kubernetes control plane.
type ControlPlane struct {
	dir       string
	temporary bool
	env       *envtest.Environment
	config    *rest.Config
	processes []*Process
	release   func() error // of the leash
}

// Start starts a control plane and returns when it can be used: the API server answers, the CRDs are served and, with
// Controllers, the namespace default has its ServiceAccount. If it cannot, nothing stays behind, and the error names the
// process that failed and quotes the end of its log. The context bounds the starting, not the running.
func Start(ctx context.Context, options Options) (_ *ControlPlane, err error) {
	c := &ControlPlane{dir: options.Dir}
	if c.dir == "" {
		c.temporary = true
		if c.dir, err = os.MkdirTemp("", "controlplane-"); err != nil {
			return nil, fmt.Errorf("make a directory for the control plane: %w", err)
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	for _, sub := range []string{"certs", "data", "logs", "run", "wrappers"} {
		if err := os.MkdirAll(filepath.Join(c.dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make a directory for the control plane: %w", err)
		}
	}
	if c.release, err = leash(c.dir, c.temporary); err != nil {
		return nil, err
	}
	if err := c.startAPIServer(options); err != nil {
		return nil, err
	}
	if options.Controllers {
		if err := c.startControllerManager(ctx); err != nil {
			return nil, err
		}
	}
	return c, ctx.Err()
}

// Stop ends everything, clients before servers, and removes a temporary directory. It reports what had ended by itself or
// would not end.
func (c *ControlPlane) Stop() error {
	var errs []error
	for _, p := range slices.Backward(c.processes) {
		errs = append(errs, p.Stop())
	}
	if c.env != nil {
		if err := c.env.Stop(); err != nil { // the API server, then etcd
			errs = append(errs, fmt.Errorf("stop the control plane: %w", err))
		}
	}
	// The leash takes the missing directory for an orderly end.
	errs = append(errs, os.RemoveAll(filepath.Join(c.dir, "run")))
	if c.release != nil {
		errs = append(errs, c.release())
	}
	if c.temporary {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// KillAPIServer ends the API server as a crash does, and returns when it is gone. Storage and controllers go on.
func (c *ControlPlane) KillAPIServer() error {
	text, err := os.ReadFile(c.pidFile(apiServer))
	if err != nil {
		return fmt.Errorf("find %s: %w", apiServer, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("find %s: %w", apiServer, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", apiServer, err)
	}
	for deadline := time.Now().Add(stopTimeout); ; time.Sleep(10 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) { // envtest reaps it
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s was killed and did not end within %s", apiServer, stopTimeout)
		}
	}
}

// RestartAPIServer starts the API server that was killed at the same address, with the same storage, certificates and
// flags, and returns when it answers.
func (c *ControlPlane) RestartAPIServer() error {
	log, err := os.OpenFile(c.Log(apiServer), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", apiServer, err)
	}
	defer log.Close() // once started, the program has its own descriptor
	server := c.env.ControlPlane.GetAPIServer()
	server.Out, server.Err = log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("restart %s: %w%s", apiServer, err, quote(c.Log(apiServer)))
	}
	return nil
}

// Dir is the directory of the control plane. Those who use it may keep files beside its own.
func (c *ControlPlane) Dir() string { return c.dir }

// Config is that of an administrator, a member of system:masters, for whom no rule of RBAC matters.
func (c *ControlPlane) Config() *rest.Config { return rest.CopyConfig(c.config) }

// User is the configuration of a user with a client certificate. What the user may do is for RBAC to say.
func (c *ControlPlane) User(name string, groups ...string) (*rest.Config, error) {
	user, err := c.env.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	if err != nil {
		return nil, fmt.Errorf("add the user %s: %w", name, err)
	}
	return user.Config(), nil
}

// ServiceAccount is the configuration of a ServiceAccount that exists: its token, valid for a year, and nothing else.
func (c *ControlPlane) ServiceAccount(ctx context.Context, namespace, name string) (*rest.Config, error) {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	seconds := int64((365 * 24 * time.Hour).Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	response, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("request a token for the ServiceAccount %s/%s: %w", namespace, name, err)
	}
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken = response.Status.Token
	return config, nil
}

// Kubeconfig writes a configuration as a kubeconfig with one context of the given name.
func Kubeconfig(config *rest.Config, name string) ([]byte, error) {
	file := clientcmdapi.NewConfig()
	file.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: config.CertData,
		ClientKeyData:         config.KeyData,
		Token:                 config.BearerToken,
	}
	file.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	file.CurrentContext = name
	text, err := clientcmd.Write(*file)
	if err != nil {
		return nil, fmt.Errorf("write the kubeconfig %s: %w", name, err)
	}
	return text, nil
}

// Program is the path of a program of the control plane, or of kubectl.
func Program(name string) (string, error) {
	const how = "; run `make test`, or set KUBEBUILDER_ASSETS to what hack/controlplane/assets.sh prints"
	dir := os.Getenv("KUBEBUILDER_ASSETS")
	if dir == "" {
		return "", fmt.Errorf("%s is needed and KUBEBUILDER_ASSETS is not set%s", name, how)
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s is needed and KUBEBUILDER_ASSETS does not hold it (%w)%s", name, err, how)
	}
	return path, nil
}

// Log is the file that holds the output of one process.
func (c *ControlPlane) Log(name string) string { return filepath.Join(c.dir, "logs", name+".log") }

func (c *ControlPlane) pidFile(name string) string { return filepath.Join(c.dir, "run", name+".pid") }

func (c *ControlPlane) startAPIServer(options Options) error {
	env := &envtest.Environment{CRDInstallOptions: envtest.CRDInstallOptions{CRDs: options.CRDs}}
	server, storage := env.ControlPlane.GetAPIServer(), &envtest.Etcd{}
	env.ControlPlane.Etcd = storage
	server.CertDir = filepath.Join(c.dir, "certs")
	storage.DataDir = filepath.Join(c.dir, "data")
	if options.Controllers {
		server.Configure().Disable("disable-admission-plugins") // envtest turns ServiceAccount off, having no controller
	}
	for name, path := range map[string]*string{etcd: &storage.Path, apiServer: &server.Path} {
		program, err := Program(name)
		if err != nil {
			return err
		}
		if *path, err = wrapper(filepath.Join(c.dir, "wrappers"), name, program, c.pidFile(name)); err != nil {
			return err
		}
		log, err := os.Create(c.Log(name))
		if err != nil {
			return fmt.Errorf("open the log of %s: %w", name, err)
		}
		defer log.Close() // once started, the program has its own descriptor
		if name == etcd {
			storage.Out, storage.Err = log, log
		} else {
			server.Out, server.Err = log, log
		}
	}
	c.env = env
	config, err := env.Start()
	if err != nil {
		err = fmt.Errorf("start the control plane: %w", err)
		for _, name := range []string{etcd, apiServer} {
			if strings.Contains(err.Error(), "process "+name) { // envtest names the process, and says no more
				err = fmt.Errorf("%w%s", err, quote(c.Log(name)))
			}
		}
		return err
	}
	c.config = config
	return nil
}

// startControllerManager runs every controller under its own ServiceAccount, as clusters do, and returns when the first of
// their work is seen.
func (c *ControlPlane) startControllerManager(ctx context.Context) error {
	program, err := Program(controllerManager)
	if err != nil {
		return err
	}
	user, err := c.User("system:kube-controller-manager")
	if err != nil {
		return err
	}
	kubeconfig, err := Kubeconfig(user, controllerManager)
	if err != nil {
		return err
	}
	certs := filepath.Join(c.dir, "certs")
	for name, content := range map[string][]byte{"controller-manager.kubeconfig": kubeconfig, "ca.crt": user.CAData} {
		if err := os.WriteFile(filepath.Join(certs, name), content, 0o600); err != nil {
			return fmt.Errorf("prepare %s: %w", controllerManager, err)
		}
	}
	manager, err := c.Run(controllerManager, program,
		"--kubeconfig="+filepath.Join(certs, "controller-manager.kubeconfig"),
		"--root-ca-file="+filepath.Join(certs, "ca.crt"),
		"--service-account-private-key-file="+filepath.Join(certs, "sa-signer.key"),
		"--use-service-account-credentials=true",
		"--controllers=*",
		"--leader-elect=false",
		"--secure-port=0",
		"--flex-volume-plugin-dir="+filepath.Join(c.dir, "plugins"), // it is made, and by default outside of the directory
		"--kube-api-qps=500", "--kube-api-burst=1000",               // as envtest: a test has no neighbours to spare
	)
	if err != nil {
		return err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, controllersTimeout,
		fmt.Errorf("%s made no ServiceAccount within %s%s", controllerManager, controllersTimeout, quote(manager.log)))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		select {
		case <-manager.Done():
			fail(manager.Err())
		case <-ctx.Done():
		}
	}()
	if err := c.defaultServiceAccount(ctx); err != nil {
		return fmt.Errorf("wait for %s: %w", controllerManager, errors.Join(err, context.Cause(ctx)))
	}
	return nil
}

// defaultServiceAccount returns when the namespace default has its ServiceAccount.
func (c *ControlPlane) defaultServiceAccount(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	accounts := cache.NewListWatchFromClient(client.CoreV1().RESTClient(), "serviceaccounts", metav1.NamespaceDefault,
		fields.OneTermEqualSelector("metadata.name", "default"))
	_, err = toolswatch.UntilWithSync(ctx, accounts, &corev1.ServiceAccount{}, nil,
		func(event watch.Event) (bool, error) { return event.Type == watch.Added, nil })
	return err
}

// FreeAddress is an address of this host, 127.0.0.1 and a port, that nobody uses now. Programs that get one cannot tell which port
// they would have chosen themselves.
func FreeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
