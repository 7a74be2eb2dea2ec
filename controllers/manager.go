package controllers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	policyv1alpha2 "sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/certificate"
	"entrustment.dev/operator/controllers/revocation"
	"entrustment.dev/operator/controllers/schema"
	"entrustment.dev/operator/internal/render"
)

// leaseName is the name of the lease that the leader holds.
const leaseName = "entrustment-operator"

// The lease, and the events about it, are in the operator's own namespace.
//
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=entrustment-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=entrustment-system,resources=leases,resourceNames=entrustment-operator,verbs=get;list;watch;update
// +kubebuilder:rbac:groups="",namespace=entrustment-system,resources=events,verbs=create;patch

// NewManager returns the operator, ready to start.
func NewManager(config *rest.Config, o Options) (manager.Manager, error) {
	if o.RevocationGrace < 0 || o.RevocationGrace > revocation.MaxGrace {
		return nil, fmt.Errorf("--revocation-grace %s: must be from 0s to %s", o.RevocationGrace, revocation.MaxGrace)
	}
	serving, server, err := newWebhookServer(o)
	if err != nil {
		return nil, err
	}
	mgr, err := manager.New(config, manager.Options{
		Scheme:                        newScheme(),
		Cache:                         cacheOptions(),
		HealthProbeBindAddress:        o.HealthProbeBindAddress,
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsBindAddress},
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              leaseName,
		LeaderElectionNamespace:       o.Namespace,
		RetryPeriod:                   ptr.To(time.Second),                                           // so soon another one leads, once the lease is released
		LeaderElectionReleaseOnCancel: true,                                                          // the process ends with the manager
		Controller:                    controllerconfig.Controller{SkipNameValidation: ptr.To(true)}, // one list names them
	})
	if err != nil {
		return nil, fmt.Errorf("reaching the API server at %s (see --kubeconfig): %w", config.Host, err)
	}
	if err := installed(mgr.GetRESTMapper()); err != nil {
		return nil, err
	}
	if err := setup(mgr, server, serving, o); err != nil || server == nil {
		return mgr, err
	}
	return &operator{mgr, server}, nil
}

// operator is a manager with a webhook that it serves for longer than it does all else.
type operator struct {
	manager.Manager
	server webhook.Server
}

// Start stops the webhook last. Whoever asks is answered, and the API server's connections take a second to close: by then the
// lease has been given back, and another replica leads. This one answers as one does that never led.
func (o *operator) Start(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	served := make(chan error, 1)
	go func() {
		defer stop() // one that cannot serve is of no use
		served <- o.server.Start(serving)
	}()
	err := o.Manager.Start(ctx)
	if err == nil {
		end()
		return <-served
	}
	select { // who has lost the lease goes at once
	case failed := <-served:
		return errors.Join(failed, err)
	default:
		return err
	}
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, admissionregistrationv1.AddToScheme, authorizationv1.AddToScheme,
		rbacv1.AddToScheme, coordinationv1.AddToScheme, policyv1alpha2.Install, apiextensionsv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	return scheme
}

// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch

// cacheOptions keep in memory what a reconciler watches, and nothing else: NetworkPolicies of everybody, because they are a
// union, but of those of others only what they do; of RBAC what decides; of
// ServiceAccounts and pods those that declare a purpose, of pods the little by which they are ended; and no Secrets at all.
//
// Without a purpose a pod reaches no store, and the rules refuse one that names a contract alone. A selector cannot say
// "either label".
func cacheOptions() cache.Options {
	declaring, err := labels.Parse(v1alpha1.LabelPurpose) // that there is one
	utilruntime.Must(err)
	return cache.Options{
		DefaultTransform:            cache.TransformStripManagedFields(),
		ReaderFailOnMissingInformer: true,
		ByObject: map[client.Object]cache.ByObject{
			&networkingv1.NetworkPolicy{}: {Transform: stripForeign},
			&rbacv1.ClusterRole{}:         {Transform: stripAnnotations},
			&rbacv1.ClusterRoleBinding{}:  {Transform: stripAnnotations},
			&rbacv1.Role{}:                {Transform: stripAnnotations},
			&rbacv1.RoleBinding{}:         {Transform: stripAnnotations},
			&corev1.ServiceAccount{}:      {Label: declaring, Transform: stripAnnotations},
			&corev1.Pod{}:                 {Label: declaring, Transform: stripPods()},
		},
	}
}

// configurationCache holds the one webhook configuration, on every replica. It is a cache of its own: reconcilers wait until
// all of their cache is warm, and until then it takes a webhook that is trusted to say so.
func configurationCache(mgr manager.Manager) (cache.Cache, error) {
	return cacheOfOne(mgr, &admissionregistrationv1.MutatingWebhookConfiguration{}, "", certificate.ConfigurationName)
}

// leaseCache holds the leader's lease, on every replica.
func leaseCache(mgr manager.Manager, namespace string) (cache.Cache, error) {
	return cacheOfOne(mgr, &coordinationv1.Lease{}, namespace, leaseName)
}

// definitionCaches hold the definitions of the four kinds that people write, by kind, on every replica.
func definitionCaches(mgr manager.Manager) (map[string]cache.Cache, error) {
	caches := map[string]cache.Cache{}
	for kind, name := range schema.Kinds {
		one, err := cacheOfOne(mgr, &apiextensionsv1.CustomResourceDefinition{}, "", name)
		if err != nil {
			return nil, err
		}
		caches[kind] = one
	}
	return caches, nil
}

// cacheOfOne holds one object, on every replica. The namespace is empty for what has none.
func cacheOfOne(mgr manager.Manager, kind client.Object, namespace, name string) (cache.Cache, error) {
	one := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name)}
	if namespace != "" {
		one.Namespaces = map[string]cache.Config{namespace: {}}
	}
	own, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient:       mgr.GetHTTPClient(),
		Scheme:           mgr.GetScheme(),
		Mapper:           mgr.GetRESTMapper(),
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{kind: one},
	})
	if err != nil {
		return nil, fmt.Errorf("making a cache of %T %s: %w", kind, name, err)
	}
	return own, mgr.Add(everywhere{own})
}

// everywhere runs a cache on every replica, the leader or not.
type everywhere struct{ cache.Cache }

// NeedLeaderElection is for the manager.
func (everywhere) NeedLeaderElection() bool { return false }

// stripForeign drops what others say about their policies: what was last applied is often as large as the policy.
func stripForeign(object any) (any, error) {
	if policy, ok := object.(*networkingv1.NetworkPolicy); ok {
		policy.ManagedFields = nil
		if !render.Managed(policy) {
			policy.Annotations, policy.OwnerReferences, policy.Finalizers = nil, nil, nil
		}
	}
	return object, nil
}

// stripAnnotations of objects of which a cluster may have thousands.
func stripAnnotations(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
		accessor.SetAnnotations(nil)
	}
	return object, nil
}

// stripPods leaves of a pod who it is, what it declares, and when and how it ends. A cluster has few sets of labels that
// declare something and many pods, so pods share them.
func stripPods() toolscache.TransformFunc {
	type declaration struct{ purpose, entrustment string }
	var shared sync.Map // of labels, by declaration
	declared := func(labels map[string]string) map[string]string {
		entrustment, contracted := labels[v1alpha1.LabelEntrustment]
		d := declaration{strings.Clone(labels[v1alpha1.LabelPurpose]), strings.Clone(entrustment)}
		if d.entrustment == "" && contracted {
			return map[string]string{v1alpha1.LabelPurpose: d.purpose, v1alpha1.LabelEntrustment: ""} // not the same as none
		}
		if same, ok := shared.Load(d); ok {
			return same.(map[string]string)
		}
		kept := map[string]string{v1alpha1.LabelPurpose: d.purpose}
		if contracted {
			kept[v1alpha1.LabelEntrustment] = d.entrustment
		}
		same, _ := shared.LoadOrStore(d, kept)
		return same.(map[string]string)
	}
	return func(object any) (any, error) {
		pod, ok := object.(*corev1.Pod)
		if !ok {
			return object, nil
		}
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion, Labels: declared(pod.Labels),
				CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp, DeletionGracePeriodSeconds: pod.DeletionGracePeriodSeconds,
			},
			Spec: corev1.PodSpec{
				ActiveDeadlineSeconds: pod.Spec.ActiveDeadlineSeconds, TerminationGracePeriodSeconds: pod.Spec.TerminationGracePeriodSeconds,
			},
			Status: corev1.PodStatus{Phase: pod.Status.Phase, StartTime: pod.Status.StartTime},
		}, nil
	}
}

// installed makes sure that the kinds exist: without them, caches would wait in silence.
func installed(mapper meta.RESTMapper) error {
	for _, kind := range []string{"Purpose", "DataProcessor", "Entrustment", "PersonalDataStore", "PersonalDataAccess"} {
		_, err := mapper.RESTMapping(v1alpha1.SchemeGroupVersion.WithKind(kind).GroupKind(), v1alpha1.SchemeGroupVersion.Version)
		if meta.IsNoMatchError(err) {
			return fmt.Errorf("the cluster does not know kind %s of %s; install the definitions: kubectl apply --server-side -k config/crd", kind, v1alpha1.SchemeGroupVersion)
		}
		if err != nil {
			return fmt.Errorf("looking up kind %s: %w", kind, err)
		}
	}
	return nil
}

func bindAddress(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("--webhook-bind-address %q is not host:port: %w", address, err)
	}
	port, err = strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("--webhook-bind-address %q: the port must be a number from 1 to 65535", address)
	}
	return host, port, nil
}

// webhookHosts are the names by which the API server may call: the Service, and for an operator outside the cluster the
// address it listens at.
func webhookHosts(bind string) []string {
	hosts := []string{"entrustment-webhook.entrustment-system.svc", "entrustment-webhook.entrustment-system.svc.cluster.local", "localhost", "127.0.0.1", "::1"}
	if ip := net.ParseIP(bind); bind != "" && (ip == nil || !ip.IsUnspecified()) {
		hosts = append(hosts, bind)
	}
	return hosts
}

// checks tell when the operator is ready.
type checks []struct {
	name  string
	check healthz.Checker
}

func (c checks) add(mgr manager.Manager) error {
	err := mgr.AddHealthzCheck("ping", healthz.Ping)
	for _, ready := range c {
		err = errors.Join(err, mgr.AddReadyzCheck(ready.name, ready.check))
	}
	return err
}
