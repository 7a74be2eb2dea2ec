package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/internal/bootstrap"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// bootstrapper drafts a first policy.
type bootstrapper struct {
	source
	controller string
	own        []string
	selector   string
}

func newBootstrap(from source) *cobra.Command {
	b := &bootstrapper{source: from}
	command := &cobra.Command{
		Use:   "bootstrap [[NAMESPACE/]SERVICE...] --controller NAME",
		Short: "Draft a first policy from what runs, for a person to complete",
		Long: `Draft a first policy from what runs in a cluster: a store for each Service that looks like a place of data, or that is named; a
party and a contract for each namespace of others that seems to use it; all in Report mode. Nothing is applied. The draft is
YAML, with comments that say what each guess rests on: ports and StatefulSets behind Services, whom network policies let in,
workloads that name the Service, and Secrets that they reference. Secrets themselves are never read.

What only a person can know is REPLACE-ME, which the API server or lint refuses. What exists already is kept: stores are not drafted
twice, and namespaces stay with their party.

Whoever runs it may list namespaces, services, pods, replicationcontrollers, deployments, statefulsets, daemonsets, replicasets, jobs,
cronjobs, networkpolicies and the kinds of the policy, in all namespaces.`,
		Example: `  # A draft of all that looks like a store, to complete
  kubectl entrust bootstrap --controller example-controller > draft.yaml

  # Of one Service, whatever it looks like; the data controller itself runs the namespace core-services too
  kubectl entrust bootstrap data-billing/ledger-db --controller example-controller --own core-services

  # Of Services with a label
  kubectl entrust bootstrap -l app.kubernetes.io/component=database --controller example-controller

  # Of manifests, without a cluster
  kubectl entrust bootstrap -f adoption/ --controller shop`,
		Args: b.namesFiles,
		RunE: func(command *cobra.Command, args []string) error { return b.run(command.Context(), args) },
	}
	b.addFlags(command)
	flags := command.Flags()
	flags.Lookup("filename").Usage = "Files and directories of manifests to read instead of the cluster; - is the standard input. May be repeated"
	flags.StringVar(&b.controller, "controller", "", "DataProcessor whose data the stores hold (default: the only one that has purposes or stores)")
	flags.StringSliceVar(&b.own, "own", nil, "Namespaces that the data controller runs itself, besides those of the stores. May be repeated")
	flags.StringVarP(&b.selector, "selector", "l", "", "Labels of the Services that are stores")
	b.completeFlags(command, map[string]string{"controller": "DataProcessor"})
	command.ValidArgsFunction = b.completeService
	return command
}

func (b *bootstrapper) run(ctx context.Context, args []string) error {
	policy, around, err := b.gather(ctx)
	if err != nil {
		return err
	}
	named, err := b.choose(args, &around)
	if err != nil {
		return err
	}
	if b.controller, err = b.dataController(&policy); err != nil {
		return err
	}
	draft, err := bootstrap.New(bootstrap.Input{
		Policy: policy, Surroundings: around, Now: b.now(), Controller: b.controller, Own: b.own, Named: named,
	})
	if err != nil {
		return err
	}
	return draft.Write(b.streams.Out)
}

// gather reads the policy, if there is one, and what is around it.
func (b *bootstrapper) gather(ctx context.Context) (entrustment.Inputs, gather.Surroundings, error) {
	policy, files, err := b.inputs(ctx)
	if err != nil {
		return policy, gather.Surroundings{}, err
	}
	policy.Location = b.zone.Location
	if files != nil {
		around, err := files.Surroundings(cmp.Or(*b.kube.Namespace, corev1.NamespaceDefault)) // where kubectl would apply them
		return policy, around, err
	}
	defer working(b.streams, "reading what runs in the cluster")()
	reader, err := b.client()
	if err != nil {
		return policy, gather.Surroundings{}, err
	}
	around, err := gather.SurroundingsOf(ctx, reader)
	if err != nil {
		err = fmt.Errorf("read the cluster (the help lists what one has to be allowed to list): %w", err)
	}
	return policy, around, err
}

// choose leaves the Services that are asked for, and tells whether somebody said that these are stores.
func (b *bootstrapper) choose(args []string, around *gather.Surroundings) (named bool, err error) {
	selector, err := labels.Parse(b.selector)
	if err != nil {
		return false, fmt.Errorf("--selector: %w", err)
	}
	namespace := *b.kube.Namespace
	wanted := map[string]bool{}
	for _, arg := range args {
		if !strings.Contains(arg, "/") {
			if namespace == "" {
				return false, fmt.Errorf("%q is not NAMESPACE/SERVICE; name its namespace, with --namespace for all", arg)
			}
			arg = namespace + "/" + arg
		}
		if !slices.ContainsFunc(around.Services, func(s *corev1.Service) bool { return serviceKey(s) == arg }) {
			return false, fmt.Errorf("there is no Service %s; list them with kubectl get services -A", arg)
		}
		wanted[arg] = true
	}
	around.Services = slices.DeleteFunc(slices.Clone(around.Services), func(s *corev1.Service) bool {
		if len(wanted) > 0 {
			return !wanted[serviceKey(s)]
		}
		return !selector.Matches(labels.Set(s.Labels)) || namespace != "" && s.Namespace != namespace
	})
	return len(wanted) > 0 || b.selector != "", nil
}

func serviceKey(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

// dataController is the one that was given, or the only one that there is.
func (b *bootstrapper) dataController(policy *entrustment.Inputs) (string, error) {
	if b.controller != "" {
		if wrong := validation.IsDNS1123Label(b.controller); len(wrong) > 0 {
			return "", fmt.Errorf("--controller %q: %s", b.controller, wrong[0])
		}
		return b.controller, nil
	}
	known := map[string]bool{}
	for _, p := range policy.Purposes {
		known[p.Spec.ControllerName] = true
	}
	for _, s := range policy.Stores {
		known[s.Spec.ControllerName] = true
	}
	names := slices.Sorted(maps.Keys(known))
	switch len(names) {
	case 0:
		return "", errors.New("--controller is required: a name for the DataProcessor whose data these are, such as --controller example-company")
	case 1:
		return names[0], nil
	}
	return "", fmt.Errorf("--controller is required: the DataProcessor whose data these are, one of %s", strings.Join(names, ", "))
}

// completeService offers the Services of the files on the line, or of the cluster.
func (b *bootstrapper) completeService(command *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(command.Context(), completionTimeout)
	defer cancel()
	services, err := b.services(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var offered []string
	for _, s := range services {
		if name := serviceKey(s); strings.HasPrefix(name, typed) && (*b.kube.Namespace == "" || *b.kube.Namespace == s.Namespace) {
			offered = append(offered, name)
		}
	}
	slices.Sort(offered)
	return offered, cobra.ShellCompDirectiveNoFileComp
}

// services are read alone: whoever waits for a completion does not wait for the pods of the cluster.
func (b *bootstrapper) services(ctx context.Context) ([]*corev1.Service, error) {
	if b.offline() {
		if b.readsStdin() {
			return nil, nil
		}
		slices.Sort(b.files)
		files := gather.Read(slices.Compact(b.files), b.streams.In) // the line is parsed twice for a completion
		around, err := files.Surroundings(cmp.Or(*b.kube.Namespace, corev1.NamespaceDefault))
		return around.Services, err
	}
	reader, err := b.client()
	if err != nil {
		return nil, err
	}
	list := &corev1.ServiceList{}
	if err := reader.List(ctx, list, client.InNamespace(*b.kube.Namespace)); err != nil {
		return nil, err
	}
	services := make([]*corev1.Service, len(list.Items))
	for i := range list.Items {
		services[i] = &list.Items[i]
	}
	return services, nil
}
