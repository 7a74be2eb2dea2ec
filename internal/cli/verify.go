package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// verify proves by packets that the network plugin enforces.
type verify struct {
	source
	image   string
	address string
	timeout time.Duration
	output  string
}

const (
	probeName = "entrust-probe"
	// notConnected is the exit code of a probe that ran and got no connection; any other but 0 is of one that did not run.
	notConnected = 3
	probeScript  = `nc -z -w 5 "$1" "$2"; code=$?; [ "$code" -eq 127 ] && exit 127; [ "$code" -eq 0 ] || exit 3`
)

func newVerify(from source) *cobra.Command {
	v := &verify{source: from}
	command := &cobra.Command{
		Use:   "verify NAMESPACE/STORE",
		Short: "Prove with two probe pods that the network plugin enforces a store's grants",
		Long: `Prove that the network plugin of a cluster enforces: two pods are made in one namespace that has a grant for the store. One
declares a purpose and contract of the grant and has to reach the store; the other declares nothing and must not. They run the same
image, ask for nothing else, and are deleted afterwards, also when the command is interrupted.

--namespace chooses among the namespaces with a grant. The image needs sh and nc. A store outside the cluster takes --address.

Exit codes: 0 enforced, 1 not enforced: the second pod got through, 2 nothing was proven.`,
		Example: `  # Does the network plugin keep the ledger closed?
  kubectl entrust verify data-billing/billing-ledger

  # With an image from a registry of one's own
  kubectl entrust verify data-billing/billing-ledger --image registry.example.com/tools/busybox:1`,
		Args: takes(1, 1),
		RunE: func(command *cobra.Command, args []string) error { return v.run(command.Context(), args[0]) },
	}
	v.zone.Location = time.UTC
	flags := command.Flags()
	flags.StringVar(&v.image, "image", "busybox:1.37", "Image of the probes, with sh and nc")
	flags.StringVar(&v.address, "address", "", "Address to probe (default: that of a running pod of the store)")
	flags.DurationVar(&v.timeout, "timeout", time.Minute, "How long to wait for the probes")
	command.ValidArgsFunction = v.completeStore(0)
	outputFlag(command, &v.output, "text", "json")
	return command
}

// verdict is what the probes found.
type verdict struct {
	Store    string       `json:"store"`
	Address  string       `json:"address"` // HOST:PORT
	Enforced bool         `json:"enforced"`
	Proven   bool         `json:"proven"` // false: nothing was, and message says why
	Message  string       `json:"message"`
	Probes   []probeFound `json:"probes"`
}

type probeFound struct {
	Pod       string `json:"pod"` // NAMESPACE/NAME
	Declares  string `json:"declares"`
	Expected  bool   `json:"expected"` // to connect
	Connected bool   `json:"connected"`
}

func (v *verify) run(ctx context.Context, name string) error {
	key, err := storeKey(name)
	if err != nil {
		return err
	}
	snapshot, err := v.snapshot(ctx)
	if err != nil {
		return err
	}
	grant, err := v.grant(snapshot, key)
	if err != nil {
		return err
	}
	writer, err := v.client()
	if err != nil {
		return err
	}
	host, err := v.host(ctx, writer, snapshot, key)
	if err != nil {
		return err
	}
	port, err := tcpPort(snapshot.Store(key))
	if err != nil {
		return err
	}
	defer working(v.streams, "waiting for the probes")()
	found, err := v.probe(ctx, writer, grant, host, port)
	if err != nil {
		return err
	}
	answer := judge(found)
	answer.Store, answer.Address = key.String(), host+":"+strconv.Itoa(int(port))
	if err := v.print(answer); err != nil {
		return err
	}
	switch {
	case !answer.Proven:
		return errors.New(answer.Message)
	case !answer.Enforced:
		return errDenied
	}
	return nil
}

// grant is one that the allowed probe can act under.
func (v *verify) grant(s *entrustment.Snapshot, key types.NamespacedName) (entrustment.Grant, error) {
	store := s.Store(key)
	switch {
	case store == nil:
		return entrustment.Grant{}, missingStore(s, key)
	case entrustment.Reports(store):
		return entrustment.Grant{}, fmt.Errorf("PersonalDataStore %s only reports, so that nothing is enforced for it; set spec.enforcement to Enforce", key)
	}
	for _, grant := range s.StoreGrants(key) {
		if only := *v.kube.Namespace; only == "" || only == grant.Namespace {
			return grant, nil
		}
	}
	return entrustment.Grant{}, fmt.Errorf("no namespace that was asked for has a grant for PersonalDataStore %s, so no probe may reach it; see kubectl entrust who %s", key, key)
}

// host is the address of a running pod of the store, or the one that was given.
func (v *verify) host(ctx context.Context, reader client.Reader, s *entrustment.Snapshot, key types.NamespacedName) (string, error) {
	if v.address != "" {
		return v.address, nil
	}
	if s.Store(key).Spec.Endpoint.PodSelector == nil {
		return "", fmt.Errorf("PersonalDataStore %s is outside the cluster; name one of its addresses with --address", key)
	}
	pods := &corev1.PodList{}
	if err := reader.List(ctx, pods, client.InNamespace(key.Namespace)); err != nil {
		return "", fmt.Errorf("list the pods of namespace %s: %w", key.Namespace, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || pod.DeletionTimestamp != nil || pod.Spec.HostNetwork {
			continue
		}
		if slices.Contains(s.StoresOfPod(pod.Namespace, pod.Labels), s.Store(key)) {
			return pod.Status.PodIP, nil
		}
	}
	return "", fmt.Errorf("PersonalDataStore %s has no running pod to probe", key)
}

func tcpPort(store *v1alpha1.PersonalDataStore) (int32, error) {
	for _, p := range store.Spec.Endpoint.Ports {
		if cmp.Or(p.Protocol, v1alpha1.ProtocolTCP) == v1alpha1.ProtocolTCP {
			return p.Port, nil
		}
	}
	return 0, fmt.Errorf("PersonalDataStore %s/%s guards no TCP port, and silence proves nothing of UDP", store.Namespace, store.Name)
}

// probe makes both pods, waits for what they find, and deletes them whatever happens.
func (v *verify) probe(ctx context.Context, writer client.Client, grant entrustment.Grant, host string, port int32) (found []probeFound, err error) {
	declared := map[string]string{v1alpha1.LabelPurpose: grant.Purposes[0]}
	if grant.Entrustment != "" {
		declared[v1alpha1.LabelEntrustment] = grant.Entrustment
	}
	var pods []*corev1.Pod
	defer func() { err = errors.Join(err, remove(ctx, writer, pods)) }()
	for _, labels := range []map[string]string{declared, nil} {
		pod := v.pod(grant.Namespace, labels, host, port)
		if err := writer.Create(ctx, pod); err != nil {
			return nil, fmt.Errorf("make a probe in namespace %s: %w", grant.Namespace, err)
		}
		pods = append(pods, pod)
	}
	for i, pod := range pods {
		f := probeFound{Pod: pod.Namespace + "/" + pod.Name, Declares: "nothing", Expected: i == 0}
		if f.Expected {
			f.Declares = declaration(grant.Purposes[0], grant.Entrustment)
		}
		if f.Connected, err = v.await(ctx, writer, pod); err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// pod is a probe that any Pod Security level admits.
func (v *verify) pod(namespace string, declared map[string]string, host string, port int32) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, GenerateName: probeName + "-", Labels: map[string]string{"app.kubernetes.io/name": probeName},
	}}
	for key, value := range declared {
		pod.Labels[key] = value
	}
	pod.Spec = corev1.PodSpec{
		RestartPolicy:                 corev1.RestartPolicyNever,
		ActiveDeadlineSeconds:         ptr.To(max(1, int64(v.timeout/time.Second))), // it ends even if nobody is left to delete it
		AutomountServiceAccountToken:  ptr.To(false),
		EnableServiceLinks:            ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To[int64](0),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65534), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Containers: []corev1.Container{{
			Name: "probe", Image: v.image, Command: []string{"sh", "-c", probeScript, "probe", host, strconv.Itoa(int(port))},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}
	return pod
}

// await waits until the probe has ended.
func (v *verify) await(ctx context.Context, reader client.Reader, pod *corev1.Pod) (connected bool, err error) {
	name := pod.Namespace + "/" + pod.Name
	waiting := "it was not scheduled"
	err = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, v.timeout, true, func(context.Context) (bool, error) {
		// Not by the deadline of the wait, for which the client would give up early, and say something else.
		if err := reader.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return false, fmt.Errorf("read probe %s: %w", name, err)
		}
		for _, c := range pod.Status.ContainerStatuses {
			if c.State.Waiting != nil {
				waiting = cmp.Or(c.State.Waiting.Reason, waiting)
			}
			if end := c.State.Terminated; end != nil {
				connected = end.ExitCode == 0
				if !connected && end.ExitCode != notConnected {
					return false, fmt.Errorf("probe %s did not run: %s, exit code %d; the image needs sh and nc (--image)", name, cmp.Or(end.Reason, "it failed"), end.ExitCode)
				}
				return true, nil
			}
		}
		if pod.Status.Phase == corev1.PodFailed {
			return false, fmt.Errorf("probe %s did not run: %s", name, cmp.Or(pod.Status.Reason, "it failed"))
		}
		return false, nil
	})
	if ctx.Err() != nil {
		return false, fmt.Errorf("interrupted while probe %s ran", name)
	}
	if wait.Interrupted(err) {
		return false, fmt.Errorf("probe %s did not end within %s: %s", name, v.timeout, waiting)
	}
	return connected, err
}

// remove deletes the probes, also when the command was interrupted.
func remove(ctx context.Context, writer client.Client, pods []*corev1.Pod) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var wrong []error
	for _, pod := range pods {
		if err := client.IgnoreNotFound(writer.Delete(ctx, pod, client.GracePeriodSeconds(0))); err != nil {
			wrong = append(wrong, fmt.Errorf("delete probe %s/%s, which is left behind: %w", pod.Namespace, pod.Name, err))
		}
	}
	return errors.Join(wrong...)
}

// judge tells what the two findings prove. That nobody gets through proves nothing: the store may not be listening.
func judge(found []probeFound) verdict {
	v := verdict{Probes: found}
	for _, f := range found {
		switch {
		case f.Connected && !f.Expected:
			v.Proven, v.Enforced = true, false
			v.Message = "a pod that declares nothing reached the store: the network plugin does not enforce, or another policy opens it"
			return v
		case !f.Connected && f.Expected:
			v.Message = "a pod with a grant did not reach the store, so that nothing is proven: it may not be listening, or its policies are not in place"
		}
	}
	if v.Proven = v.Message == "" && len(found) == 2; v.Proven {
		v.Enforced, v.Message = true, "enforced: a pod with a grant reached the store, and one that declares nothing did not"
	}
	return v
}

func (v *verify) print(answer verdict) error {
	out := v.streams.Out
	if v.output == "json" {
		return writeIndented(out, answer)
	}
	t := newTable("PROBE", "DECLARES", "EXPECTED", "FOUND")
	word := map[bool]string{true: "connects", false: "is kept out"}
	for _, f := range answer.Probes {
		t.add(f.Pod, f.Declares, word[f.Expected], word[f.Connected])
		if f.Expected != f.Connected {
			t.paint(3, red)
		}
	}
	if err := t.write(out, newPalette(out)); err != nil {
		return err
	}
	if !answer.Proven {
		return nil // the error says it
	}
	_, err := io.WriteString(out, answer.Address+": "+answer.Message+"\n")
	return err
}
