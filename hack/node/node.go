package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

const (
	name         = "node"
	pauseImage   = "e2e.entrustment.dev/node:run" // this program
	readyTimeout = 2 * time.Minute
	commandGrace = 30 * time.Second // after an interrupt
)

// Addresses. The namespace is the node's own, so they meet nobody else's. Those outside are for documentation (RFC 5737, 3849).
const (
	address, address6               = "172.18.0.1", "fd00:172:18::1"
	pods, pods6                     = "10.244.0.0/16", "fd00:10:244::/56"
	podsOfNode, podsOfNode6         = "10.244.0.0/24", "fd00:10:244::/64"
	services, services6             = "10.96.0.0/16", "fd00:10:96::/112"
	apiService                      = "10.96.0.1"
	gateway, gateway6               = "192.0.2.1", "2001:db8::1"
	outsideAddress, outsideAddress6 = "192.0.2.2", "2001:db8::2"
	outsideNamespace                = "outside"
	server                          = "https://" + address + ":6443"
)

// node is a cluster of one.
type node struct {
	dir, kube, calico string
	six               bool // the kernel has IPv6
	certs             *authority
	broken            chan *process // one that ended
}

func (n *node) path(elements ...string) string {
	return filepath.Join(append([]string{n.dir}, elements...)...)
}

func (n *node) kubeconfig(user string) string { return n.certs.path(user + ".kubeconfig") }

func (n *node) kubectl(ctx context.Context, args ...string) error {
	return do(ctx, "", append([]string{filepath.Join(n.kube, "kubectl"), "--kubeconfig=" + n.kubeconfig("admin")}, args...)...)
}

// inside starts a cluster for the time of a command. It stops nothing: all ends with the namespace.
func inside(ctx context.Context, dir string, o options) error {
	n := &node{dir: dir, kube: os.Getenv("KUBEBUILDER_ASSETS"), calico: os.Getenv("CALICO_ASSETS"), broken: make(chan *process, 1)}
	off, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6") // a new namespace may take it over from the machine
	n.six = err == nil && strings.TrimSpace(string(off)) == "0"
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"Made interfaces and control groups", n.prepare},
		{"Started etcd, the API server, controllers and scheduler", n.startControlPlane},
		{"Started containerd and loaded images", func(ctx context.Context) error { return n.startContainerd(ctx, o.images) }},
		{"Started Calico, the kubelet and kube-proxy; the node is ready", n.startNode},
		{"Applied manifests", func(ctx context.Context) error { return n.apply(ctx, o.manifests) }},
	} {
		began := time.Now()
		if err := step.do(ctx); ctx.Err() != nil {
			return errInterrupted
		} else if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s (%.1f s)\n", step.name, time.Since(began).Seconds())
	}
	return n.attend(ctx, o.command)
}

// prepare makes the node's interfaces, a host outside the cluster, and directories.
func (n *node) prepare(ctx context.Context) error {
	for _, each := range []string{"logs", "etc", "cni/bin", "cni/net.d", "kubelet", "pods"} {
		if err := os.MkdirAll(n.path(each), 0o755); err != nil {
			return fmt.Errorf("make a directory for the node: %w", err)
		}
	}
	if err := os.Chmod(n.dir, 0o755); err != nil { // nobody's programs are started from here
		return err
	}
	if err := makeGroups(filepath.Base(n.dir)); err != nil {
		return err
	}
	batch := fmt.Sprintf(`link set lo up
address add %[1]s/32 dev lo
netns add %[2]s
link add gateway type veth peer name eth0 netns %[2]s
link set gateway up
address add %[3]s/24 dev gateway
route add default via %[4]s
`, address, outsideNamespace, gateway, outsideAddress)
	beyond := fmt.Sprintf(`link set lo up
link set eth0 up
address add %s/24 dev eth0
route add default via %s
`, outsideAddress, gateway)
	if n.six {
		batch += fmt.Sprintf("address add %s/128 dev lo\naddress add %s/64 dev gateway nodad\nroute add default via %s\n",
			address6, gateway6, outsideAddress6)
		beyond += fmt.Sprintf("address add %s/64 dev eth0 nodad\nroute add default via %s\n", outsideAddress6, gateway6)
	}
	for _, setting := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		if err := os.WriteFile(filepath.Join("/proc/sys", setting), []byte("1"), 0o644); err != nil && (n.six || !os.IsNotExist(err)) {
			return fmt.Errorf("forward packets: %w", err)
		}
	}
	if err := do(ctx, batch, "ip", "-batch", "-"); err != nil {
		return err
	}
	return do(ctx, beyond, "ip", "-netns", outsideNamespace, "-batch", "-")
}

func (n *node) startControlPlane(ctx context.Context) (err error) {
	if n.certs, err = newAuthority(n.path("certs")); err != nil {
		return err
	}
	if err := errors.Join(
		n.certs.serving("apiserver", []string{"kubernetes.default.svc", "localhost"}, address, apiService, "127.0.0.1"),
		n.certs.serving("kubelet-serving", []string{name}, address),
		n.certs.user("admin", "admin", "system:masters"),
		n.certs.user("controller-manager", "system:kube-controller-manager"),
		n.certs.user("scheduler", "system:kube-scheduler"),
		n.certs.user("kubelet", "system:node:"+name, "system:nodes"),
		n.certs.user("kube-proxy", "system:kube-proxy"),
		n.certs.user("calico", "calico", "system:masters"),
		n.certs.user("kubelet-client", "kube-apiserver", "system:masters"),
	); err != nil {
		return err
	}
	ca, both, bothPods := n.certs.path("ca.crt"), services, pods
	if n.six {
		both, bothPods = services+","+services6, pods+","+pods6
	}
	if err := n.run("etcd", nil, filepath.Join(n.kube, "etcd"), "--data-dir="+n.path("etcd"), "--unsafe-no-fsync"); err != nil {
		return err
	}
	if err := n.run("kube-apiserver", nil, filepath.Join(n.kube, "kube-apiserver"),
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+address, "--bind-address=0.0.0.0", "--secure-port=6443",
		"--tls-cert-file="+n.certs.path("apiserver.crt"), "--tls-private-key-file="+n.certs.path("apiserver.key"),
		"--client-ca-file="+ca, "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--service-cluster-ip-range="+both, "--allow-privileged=true",
		"--service-account-issuer="+server, "--service-account-key-file="+n.certs.path("tokens.crt"),
		"--service-account-signing-key-file="+n.certs.path("tokens.key"),
		"--kubelet-certificate-authority="+ca, "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate="+n.certs.path("kubelet-client.crt"), "--kubelet-client-key="+n.certs.path("kubelet-client.key"),
	); err != nil {
		return err
	}
	if err := n.until(ctx, "the API server", func(ctx context.Context) error { return n.kubectl(ctx, "get", "--raw=/readyz") }); err != nil {
		return err
	}
	if err := n.run("kube-scheduler", nil, filepath.Join(n.kube, "kube-scheduler"),
		"--kubeconfig="+n.kubeconfig("scheduler"), "--leader-elect=false", "--secure-port=0"); err != nil {
		return err
	}
	return n.run("kube-controller-manager", nil, filepath.Join(n.kube, "kube-controller-manager"),
		"--kubeconfig="+n.kubeconfig("controller-manager"), "--leader-elect=false", "--secure-port=0",
		"--use-service-account-credentials=true", "--root-ca-file="+ca,
		"--service-account-private-key-file="+n.certs.path("tokens.key"),
		"--allocate-node-cidrs=true", "--cluster-cidr="+bothPods, "--service-cluster-ip-range="+both,
		"--kube-api-qps=500", "--kube-api-burst=1000")
}

// write fills a template of the configuration, and returns its path.
func (n *node) write(path, text string) (string, error) {
	t, err := template.New(path).Parse(text)
	if err != nil {
		return "", err
	}
	out, err := os.Create(n.path(path))
	if err != nil {
		return "", err
	}
	err = t.Execute(out, map[string]any{
		"Dir": n.dir, "Group": "/" + filepath.Base(n.dir), "Node": name, "Address": address, "Pause": pauseImage,
		"Pods": podsOfNode, "Pods6": podsOfNode6, "Six": n.six, "DNS": dnsService,
	})
	return out.Name(), errors.Join(err, out.Close())
}

//go:embed containerd.toml
var containerdConfig string

func (n *node) startContainerd(ctx context.Context, images []string) error {
	config, err := n.write("etc/containerd.toml", containerdConfig)
	if err != nil {
		return err
	}
	if err := n.run("containerd", nil, "containerd", "--config="+config); err != nil {
		return err
	}
	ctr := []string{"ctr", "--address=" + n.path("containerd.sock"), "--namespace=k8s.io"}
	if err := n.until(ctx, "containerd", func(ctx context.Context) error { return do(ctx, "", append(ctr, "version")...) }); err != nil {
		return err
	}
	for _, archive := range images {
		if err := do(ctx, "", append(ctr, "images", "import", archive)...); err != nil {
			return err
		}
	}
	return nil
}

//go:embed kubelet.yaml
var kubeletConfig string

//go:embed cni.json
var cniConfig string

//go:embed calico.yaml
var calicoReady string

const dnsService = "10.96.0.10"

func (n *node) startNode(ctx context.Context) error {
	links := map[string]string{"calico": filepath.Join(n.calico, "calico")}
	for _, plugin := range []string{"host-local", "loopback", "portmap"} {
		links[plugin] = filepath.Join("/", os.Getenv("DEBIAN_ASSETS"), "usr/lib/cni", plugin)
	}
	for link, target := range links {
		if err := os.Symlink(target, n.path("cni/bin", link)); err != nil {
			return err
		}
	}
	if err := n.kubectl(ctx, "apply", "--server-side", "-f", filepath.Join(n.calico, "crds")); err != nil {
		return err
	}
	if err := n.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"); err != nil {
		return err
	}
	ready, err := n.write("etc/calico.yaml", calicoReady)
	if err != nil {
		return err
	}
	if err := n.kubectl(ctx, "apply", "-f", ready); err != nil {
		return err
	}
	if _, err := n.write("cni/net.d/10-calico.conflist", cniConfig); err != nil {
		return err
	}
	kubelet, err := n.write("etc/kubelet.yaml", kubeletConfig)
	if err != nil {
		return err
	}
	if err := os.WriteFile(n.path("etc/resolv.conf"), nil, 0o644); err != nil {
		return err
	}
	addresses := address
	if n.six {
		addresses += "," + address6
	}
	if err := n.run("kubelet", nil, filepath.Join(n.kube, "kubelet"), "--config="+kubelet, "--kubeconfig="+n.kubeconfig("kubelet"),
		"--root-dir="+n.path("kubelet"), "--hostname-override="+name, "--node-ip="+addresses); err != nil {
		return err
	}
	if err := n.until(ctx, "the node", func(ctx context.Context) error {
		return n.kubectl(ctx, "wait", "--for=condition=Ready", "--timeout=10s", "node/"+name)
	}); err != nil {
		return err
	}
	if err := n.run("kube-proxy", nil, filepath.Join(n.kube, "kube-proxy"), "--kubeconfig="+n.kubeconfig("kube-proxy"),
		"--hostname-override="+name, "--proxy-mode=nftables", "--conntrack-max-per-core=0", "--healthz-bind-address=127.0.0.1:10256"); err != nil {
		return err
	}
	if err := n.run("felix", n.felix(), filepath.Join(n.calico, "felix")); err != nil {
		return err
	}
	if err := n.until(ctx, "Felix", func(ctx context.Context) error { return answers(ctx, "http://127.0.0.1:9099/readiness") }); err != nil {
		return err
	}
	return n.until(ctx, "the ServiceAccount of the namespace default", func(ctx context.Context) error {
		return n.kubectl(ctx, "get", "serviceaccount", "default", "--namespace=default")
	})
}

func (n *node) felix() []string {
	return []string{
		"FELIX_DATASTORETYPE=kubernetes", "DATASTORE_TYPE=kubernetes", "KUBECONFIG=" + n.kubeconfig("calico"),
		"FELIX_FELIXHOSTNAME=" + name,
		"FELIX_LOGFILEPATH=none", "FELIX_LOGSEVERITYFILE=none", "FELIX_LOGSEVERITYSYS=none", "FELIX_LOGSEVERITYSCREEN=Warning",
		"FELIX_IPINIPENABLED=false", "FELIX_VXLANENABLED=false", "FELIX_WIREGUARDENABLED=false", "FELIX_BPFENABLED=false",
		"FELIX_USAGEREPORTINGENABLED=false", "FELIX_DEFAULTENDPOINTTOHOSTACTION=ACCEPT",
		fmt.Sprintf("FELIX_IPV6SUPPORT=%t", n.six), "FELIX_HEALTHENABLED=true", "FELIX_HEALTHPORT=9099",
	}
}

func (n *node) apply(ctx context.Context, manifests []string) error {
	for _, each := range manifests {
		if err := n.kubectl(ctx, "apply", "--server-side", "-f", each); err != nil {
			return err
		}
	}
	return nil
}

// attend runs the command and returns its error, unless a part of the cluster ends first.
func (n *node) attend(ctx context.Context, command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "ENTRUSTMENT_NODE="+n.dir, "KUBECONFIG="+n.kubeconfig("admin"), "HOME="+n.dir,
		"PATH="+n.kube+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", command[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var cause error
	select {
	case err := <-done:
		return endOf(err)
	case <-ctx.Done():
		cause = errInterrupted
	case p := <-n.broken:
		cause = p.failure()
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // fails only if all has ended
	select {
	case err := <-done:
		return errors.Join(cause, err)
	case <-time.After(commandGrace):
		return cause
	}
}
