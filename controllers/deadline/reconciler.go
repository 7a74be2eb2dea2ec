package deadline

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/apply"
	"entrustment.dev/operator/internal/entrustment"
)

// workers write to different pods at once: when a contract's end is moved, all of its pods are due.
const workers = 4

// Reconciler keeps the deadline of a pod within its contract.
type Reconciler struct {
	Publisher *snapshot.Publisher
	Cache     client.Reader
	Writer    apply.Writer
}

// +kubebuilder:rbac:groups="",resources=pods,verbs=list;watch;patch

// SetupWithManager watches pods that act under a contract, and follows what their namespaces are granted.
func (r *Reconciler) SetupWithManager(mgr manager.Manager) error {
	follower := r.Publisher.Follow(snapshot.Pods, r.changedPods)
	return builder.ControllerManagedBy(mgr).Named("deadline").
		Watches(&corev1.Pod{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.NewPredicateFuncs(contracted))).
		WatchesRawSource(follower).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(follower.Attempts(r))
}

// contracted says whether a pod acts under a contract.
func contracted(pod client.Object) bool { return pod.GetLabels()[v1alpha1.LabelEntrustment] != "" }

// changedPods are those of the namespaces that are granted something else than before. Before the first snapshot, every pod
// there is waits in the queue already.
func (r *Reconciler) changedPods(ctx context.Context, old, next *entrustment.Snapshot) []reconcile.Request {
	if old == nil {
		return nil
	}
	var requests []reconcile.Request
	for _, namespace := range next.BoundNamespaces() {
		if next.SameNamespaceAccess(old, namespace) {
			continue
		}
		pods := &corev1.PodList{}
		err := r.Cache.List(ctx, pods, client.InNamespace(namespace), client.HasLabels{v1alpha1.LabelEntrustment}, client.UnsafeDisableDeepCopy)
		if err != nil { // of a cache: only while it stops
			log.FromContext(ctx).Error(err, "Reading the pods whose deadline may have changed", "namespace", namespace)
			continue
		}
		for i := range pods.Items {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&pods.Items[i])})
		}
	}
	return requests
}

// Reconcile tightens the deadline of one pod.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	current, err := r.Publisher.Current()
	if err != nil {
		return reconcile.Result{}, err
	}
	pod := &corev1.Pod{}
	if err := r.Cache.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	seconds := wanted(current, pod)
	if r.Writer.Behind(pod) || seconds == 0 {
		return reconcile.Result{}, nil
	}
	err = r.Writer.Fields(ctx, corev1ac.Pod(pod.Name, pod.Namespace).WithUID(pod.UID).
		WithSpec(corev1ac.PodSpec().WithActiveDeadlineSeconds(seconds)))
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("tightening the deadline of a pod: %w", err)
	}
	return reconcile.Result{}, nil
}

// wanted is the deadline that a pod has to be given; zero: none, or what it has will do.
func wanted(current *entrustment.Snapshot, pod *corev1.Pod) int64 {
	start := pod.Status.StartTime
	if start == nil || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return 0
	}
	end := current.AuthorizePod(pod.Namespace, pod.Labels[v1alpha1.LabelPurpose], pod.Labels[v1alpha1.LabelEntrustment]).PodsEnd()
	if end.IsZero() {
		return 0
	}
	seconds := entrustment.DeadlineSeconds(start.Time, end)
	if has := pod.Spec.ActiveDeadlineSeconds; has != nil && *has <= seconds {
		return 0
	}
	return seconds
}
