package status

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/isolation"
	"entrustment.dev/operator/internal/reach"
	"entrustment.dev/operator/internal/render"
)

const (
	mostListed = 64  // pods in a status
	page       = 250 // pods asked for at once
)

// census collects the pods that would be cut if a store in Report were enforced.
type census struct {
	Options
	current *entrustment.Snapshot
	store   *v1alpha1.PersonalDataStore
	own     labels.Selector // of the store's pods
	cut     map[types.NamespacedName]v1alpha1.Reason
}

// wouldDeny looks for pods that would be cut: of those without a grant, the ones that declare a purpose, that reference a
// credential of the store, or that somebody's policy lets in. What else runs in the cluster does not say that it uses the
// store.
func (o Options) wouldDeny(ctx context.Context, current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore) (sight, error) {
	c := census{Options: o, current: current, store: store, own: labels.Nothing(), cut: map[types.NamespacedName]v1alpha1.Reason{}}
	if pods := store.Spec.Endpoint.PodSelector; pods != nil {
		c.own = selecting(render.PodSelector(pods))
	}
	for _, find := range []func(context.Context) error{c.declaring, c.referencing, c.admitted} {
		if err := find(ctx); err != nil {
			return sight{}, err
		}
	}
	keys := slices.SortedFunc(maps.Keys(c.cut), func(a, b types.NamespacedName) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	now := sight{wouldDenyCount: int32(min(len(keys), 1<<31-1))}
	for _, key := range keys[:min(len(keys), mostListed)] {
		now.wouldDeny = append(now.wouldDeny, v1alpha1.WouldDeny{Namespace: key.Namespace, Name: key.Name, Reason: c.cut[key]})
	}
	return now, nil
}

// judge notes a pod that has no grant.
func (c *census) judge(pod *metav1.ObjectMeta) {
	if pod.Namespace == c.store.Namespace && c.own.Matches(labels.Set(pod.Labels)) {
		return
	}
	d := c.current.Authorize(entrustment.Request{
		Namespace: pod.Namespace, Purpose: pod.Labels[v1alpha1.LabelPurpose], Entrustment: pod.Labels[v1alpha1.LabelEntrustment],
		Store: client.ObjectKeyFromObject(c.store),
	})
	if !d.Allowed() {
		c.cut[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = d.Reason()
	}
}

// each calls for every pod that the options select, a page at a time.
func (c *census) each(ctx context.Context, call func(*metav1.ObjectMeta), options ...client.ListOption) error {
	list := podList()
	options = append(options, gather.Unended, client.Limit(page))
	for {
		if err := c.Live.List(ctx, list, append(options, client.Continue(list.Continue))...); err != nil {
			return fmt.Errorf("looking for pods that would be cut: %w", err)
		}
		for i := range list.Items {
			call(&list.Items[i].ObjectMeta)
		}
		if list.Continue == "" {
			return nil
		}
	}
}

func (c *census) declaring(ctx context.Context) error {
	return c.each(ctx, c.judge, client.HasLabels{v1alpha1.LabelPurpose})
}

// referencing looks at the pods beside the store: a pod can only reference Secrets of its own namespace, and delivered ones
// are refused to those without a grant.
func (c *census) referencing(ctx context.Context) error {
	secrets := map[string]bool{}
	for i := range c.store.Spec.Credentials {
		secrets[c.store.Spec.Credentials[i].SecretName] = true
	}
	if len(secrets) == 0 {
		return nil
	}
	list := &corev1.PodList{}
	for {
		if err := c.Live.List(ctx, list, client.InNamespace(c.store.Namespace), gather.Unended, client.Limit(page), client.Continue(list.Continue)); err != nil {
			return fmt.Errorf("looking for pods that reference a credential: %w", err)
		}
		for i := range list.Items {
			if pod := &list.Items[i]; references(&pod.Spec, secrets) {
				c.judge(&pod.ObjectMeta)
			}
		}
		if list.Continue == "" {
			return nil
		}
	}
}

// references says whether a pod names one of the Secrets anywhere: every field that can is called after them.
func references(spec *corev1.PodSpec, secrets map[string]bool) bool {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(spec)
	if err != nil {
		return true // what cannot be looked at is not ruled out
	}
	return mentions(content, false, secrets)
}

func mentions(value any, secret bool, secrets map[string]bool) bool {
	switch value := value.(type) {
	case string:
		return secret && secrets[value]
	case []any:
		return slices.ContainsFunc(value, func(item any) bool { return mentions(item, secret, secrets) })
	case map[string]any:
		for key, item := range value {
			if mentions(item, secret && key == "name" || strings.Contains(strings.ToLower(key), "secret"), secrets) {
				return true
			}
		}
	}
	return false
}

// admitted looks for the pods that somebody's policy lets in by name. A policy that lets in everybody says nothing of who
// comes.
func (c *census) admitted(ctx context.Context) error {
	if c.store.Spec.Endpoint.PodSelector == nil {
		return nil
	}
	policies, err := c.policies(ctx)(c.store.Namespace)
	if err != nil {
		return err
	}
	guard := reach.Protection{Namespace: c.store.Namespace, Pods: render.PodSelector(c.store.Spec.Endpoint.PodSelector), Ports: isolation.Ports(c.store)}
	for _, policy := range policies {
		if _, opens := guard.OpensIngress(policy); !opens || render.Managed(policy) {
			continue
		}
		for i := range policy.Spec.Ingress {
			for j := range policy.Spec.Ingress[i].From {
				if err := c.peer(ctx, &policy.Spec.Ingress[i].From[j]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (c *census) peer(ctx context.Context, peer *networkingv1.NetworkPolicyPeer) error {
	pods := labels.Everything()
	if peer.PodSelector != nil {
		pods = selecting(peer.PodSelector)
	}
	if peer.IPBlock != nil || peer.NamespaceSelector != nil && pods.Empty() && selecting(peer.NamespaceSelector).Empty() {
		return nil
	}
	selected := client.MatchingLabelsSelector{Selector: pods}
	if peer.NamespaceSelector == nil {
		return c.each(ctx, c.judge, client.InNamespace(c.store.Namespace), selected)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := c.Cache.List(ctx, list, client.MatchingLabelsSelector{Selector: selecting(peer.NamespaceSelector)}); err != nil {
		return fmt.Errorf("reading namespaces: %w", err)
	}
	admitted := map[string]bool{}
	for i := range list.Items {
		admitted[list.Items[i].Name] = true
	}
	return c.each(ctx, func(pod *metav1.ObjectMeta) {
		if admitted[pod.Namespace] {
			c.judge(pod)
		}
	}, selected)
}

// selecting is a selector that the API server took; one that it would not take selects nothing.
func selecting(selector *metav1.LabelSelector) labels.Selector {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return labels.Nothing()
	}
	return s
}
