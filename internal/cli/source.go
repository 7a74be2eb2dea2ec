package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
)

// A source is where a command reads from, and the instant it asks about.
type source struct {
	streams genericiooptions.IOStreams
	clock   clock.PassiveClock
	kube    *genericclioptions.ConfigFlags

	files []string
	at    instant // zero: now
	zone  zone
}

func (s *source) addFlags(command *cobra.Command) {
	s.zone.Location = time.UTC
	flags := command.Flags()
	flags.StringSliceVarP(&s.files, "filename", "f", nil,
		"Files and directories to read instead of the cluster; - is the standard input. May be repeated")
	flags.Var(&s.at, "at", "Instant to ask about, such as 2026-11-23T12:00:00+09:00 (default now)")
	flags.Var(&s.zone, "time-zone", "Time zone of calendar dates and of what is printed, by its IANA name")
}

// instant is a flag that holds a point in time.
type instant struct{ time.Time }

func (i *instant) Type() string { return "instant" }

func (i *instant) String() string { return "" } // the default, which is now

func (i *instant) Set(text string) (err error) {
	if i.Time, err = time.Parse(time.RFC3339, text); err != nil {
		return errors.New("must be an instant in RFC 3339, such as 2026-11-23T12:00:00+09:00")
	}
	return nil
}

// zone is a flag that names a time zone.
type zone struct{ *time.Location }

func (z *zone) Type() string { return "zone" }

func (z *zone) Set(name string) (err error) {
	z.Location, err = time.LoadLocation(name)
	return err
}

// arguments takes what a shell makes of "-f *.yaml": one file for the flag, and the others as arguments.
func (s *source) arguments(command *cobra.Command, args []string) error {
	if command.Flags().Changed("filename") && len(s.files) == 0 && len(args) == 0 {
		return errors.New("-f names no file") // an empty variable must never mean the cluster
	}
	if len(args) > 0 && !s.offline() {
		return fmt.Errorf("unexpected argument %q; files go with -f", args[0])
	}
	s.files = append(s.files, args...)
	return nil
}

// offline tells whether files are read, and the cluster is left alone.
func (s *source) offline() bool { return len(s.files) > 0 }

// readsStdin tells whether the standard input is one of the files.
func (s *source) readsStdin() bool { return slices.Contains(s.files, gather.Stdin) }

// namespace is that of the workload. With a cluster kubectl's default applies; with files there is none.
func (s *source) namespace() (string, error) {
	if s.offline() && *s.kube.Namespace == "" {
		return "", errors.New("--namespace is required with -f")
	}
	namespace, _, err := s.kube.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// namesFiles refuses an empty -f: an empty variable must never mean the cluster.
func (s *source) namesFiles(command *cobra.Command, _ []string) error {
	if command.Flags().Changed("filename") && len(s.files) == 0 {
		return errors.New("-f names no file")
	}
	return nil
}

// now is the instant that is asked about.
func (s *source) now() time.Time {
	if s.at.IsZero() {
		return s.clock.Now()
	}
	return s.at.Time
}

// snapshot reads everything and compiles it for the instant.
func (s *source) snapshot(ctx context.Context) (*entrustment.Snapshot, error) {
	snapshot, _, err := s.read(ctx)
	return snapshot, err
}

// read is snapshot for those who also ask for what the files hold besides; nil: the cluster was read.
func (s *source) read(ctx context.Context) (*entrustment.Snapshot, *gather.Files, error) {
	in, files, err := s.inputs(ctx)
	if err != nil {
		return nil, nil, err
	}
	in.Location = s.zone.Location
	return entrustment.Compile(in, s.now()), files, nil
}

func (s *source) inputs(ctx context.Context) (entrustment.Inputs, *gather.Files, error) {
	if s.offline() {
		defer working(s.streams, "reading the files")()
		files := gather.Read(s.files, s.streams.In)
		return files.Inputs, files, files.Err()
	}
	defer working(s.streams, "reading the cluster")()
	in, err := s.fromCluster(ctx)
	switch {
	case apierrors.IsForbidden(err):
		err = fmt.Errorf("read the cluster: %w; the ClusterRole entrustment-auditor lets one read it, kubectl apply --dry-run=server asks about a pod without it, and -f reads files", err)
	case err != nil:
		err = fmt.Errorf("read the cluster (-f reads files instead): %w", err)
	}
	return in, nil, err
}

func (s *source) fromCluster(ctx context.Context) (entrustment.Inputs, error) {
	reader, err := s.client()
	if err != nil {
		return entrustment.Inputs{}, err
	}
	return gather.FromReader(ctx, reader)
}

// client of the cluster that kubectl's flags select.
func (s *source) client() (client.Client, error) {
	ctrllog.SetLogger(logr.Discard()) // the client says nothing that an error does not
	config, err := s.kube.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(corev1.AddToScheme(scheme), networkingv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}
