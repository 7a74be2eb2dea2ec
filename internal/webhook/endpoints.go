package webhook

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Endpoints judges addresses that people write into EndpointSlices and Endpoints, wherever they are: a Service without a
// selector that names the address of a store's pod, with a node port before it, leads past the store's policy.
func Endpoints(snapshots source, live client.Reader, access creator, recorder eventRecorder) admission.Handler {
	return &endpoints{snapshots: snapshots, live: live, access: access, recorder: recorder}
}

type endpoints struct {
	snapshots source
	live      client.Reader
	access    creator
	recorder  eventRecorder
}

// maxAddresses is how many endpoints the API server lets a slice have. More addresses than that are not looked at.
const maxAddresses = 1000

// addressed is an EndpointSlice or an Endpoints.
type addressed struct {
	Metadata  metadata `json:"metadata"`
	Endpoints []struct {
		Addresses []string `json:"addresses"`
	} `json:"endpoints"`
	Subsets []struct {
		Addresses         []ip `json:"addresses"`
		NotReadyAddresses []ip `json:"notReadyAddresses"`
	} `json:"subsets"`
}

type ip struct {
	IP string `json:"ip"`
}

// addresses that can be those of a pod. Names of hosts are nobody's: no proxy of a node follows them.
func (a *addressed) addresses() map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	add := func(text string) {
		if address, err := netip.ParseAddr(text); err == nil {
			found[address.Unmap().WithZone("")] = true
		}
	}
	for i := range a.Endpoints {
		for _, text := range a.Endpoints[i].Addresses {
			add(text)
		}
	}
	for i := range a.Subsets {
		for _, each := range slices.Concat(a.Subsets[i].Addresses, a.Subsets[i].NotReadyAddresses) {
			add(each.IP)
		}
	}
	return found
}

// Handle answers one review.
func (h *endpoints) Handle(ctx context.Context, req admission.Request) admission.Response {
	if resource := req.Resource.Resource; resource != "endpointslices" && resource != "endpoints" ||
		req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return refused(fmt.Sprintf("operation %s on %s is not judged here", req.Operation, resource))
	}
	var now, before addressed
	if err := decode(req.Object.Raw, &now); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if req.Operation == admissionv1.Update {
		if err := decode(req.OldObject.Raw, &before); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
	}
	added, had := now.addresses(), before.addresses()
	maps.DeleteFunc(added, func(address netip.Addr, _ bool) bool { return had[address] })
	return h.judge(ctx, req, fmt.Sprintf("%s %s/%s", req.Kind.Kind, req.Namespace, now.Metadata.title()), added)
}

func (h *endpoints) judge(ctx context.Context, req admission.Request, object string, added map[netip.Addr]bool) admission.Response {
	if len(added) == 0 {
		return admission.Allowed("")
	}
	if len(added) > maxAddresses {
		return refused(fmt.Sprintf("%s adds %d addresses; at most %d are looked at in one: split it", object, len(added), maxAddresses))
	}
	snapshot, err := h.snapshots.Current()
	if err != nil {
		return retry(fmt.Sprintf("%s cannot be judged yet: %v; try again", object, err))
	}
	hits, err := h.find(ctx, snapshot, added)
	if err != nil {
		return retry(fmt.Sprintf("%s cannot be judged: %v; try again", object, err))
	}
	var warnings []string
	mayUpdate := map[*v1alpha1.PersonalDataStore]bool{}
	for _, hit := range hits {
		right := onStore(verbUpdate, hit.store)
		if _, asked := mayUpdate[hit.store]; !asked {
			if mayUpdate[hit.store], err = may(ctx, h.access, &req.UserInfo, right); err != nil {
				return retry(fmt.Sprintf("%s cannot be judged: %v; try again", object, err))
			}
		}
		if mayUpdate[hit.store] {
			continue
		}
		message := fmt.Sprintf("%s names %s, the address of pod %s/%s of PersonalDataStore %s/%s: %s: it would lead past the store's policy; "+
			"use a Service that selects the pods, in their namespace; to permit this, %s", object, hit.address, hit.store.Namespace, hit.pod,
			hit.store.Namespace, hit.store.Name, v1alpha1.ReasonLeadsToStore, right)
		if entrustment.Reports(hit.store) {
			warnings = append(warnings, "would be refused: "+message)
			continue
		}
		if told(req) {
			h.recorder.Eventf(hit.store, nil, corev1.EventTypeWarning, string(v1alpha1.ReasonLeadsToStore), "RefuseEndpoints", "%.*s", maxNote, message)
		}
		return refusedFor(v1alpha1.ReasonLeadsToStore, message)
	}
	return admission.Allowed("").WithWarnings(warnings[:min(len(warnings), maxWarnings)]...)
}

// maxWarnings of one answer; people read no more.
const maxWarnings = 3

// hit is an address that is a store's pod's.
type hit struct {
	address netip.Addr
	pod     string
	store   *v1alpha1.PersonalDataStore
}

// find looks for the addresses among the pods of the namespaces that hold stores. It is not asked by field selector for the
// pod of each address, because status.podIP is a pod's first address alone: in a cluster of two families the other leads to
// the same pod. This way it also costs the same however many addresses there are. The pods are read page by page, live.
func (h *endpoints) find(ctx context.Context, snapshot *entrustment.Snapshot, addresses map[netip.Addr]bool) ([]hit, error) {
	var hits []hit
	for _, namespace := range snapshot.StoreNamespaces() {
		page := &corev1.PodList{}
		for more := true; more; more = page.Continue != "" {
			next := page.Continue
			page = &corev1.PodList{}
			if err := h.live.List(ctx, page, client.InNamespace(namespace), client.Limit(podsPerPage), client.Continue(next)); err != nil {
				return nil, fmt.Errorf("listing the pods of namespace %s: %w", namespace, err)
			}
			for i := range page.Items {
				hits = append(hits, hitsOf(snapshot, &page.Items[i], addresses)...)
			}
		}
	}
	return hits, nil
}

const podsPerPage = 500

// hitsOf are the addresses of one pod, if it is a store's. One that has ended keeps its address in its status, and somebody
// else may have it by now.
func hitsOf(snapshot *entrustment.Snapshot, pod *corev1.Pod, addresses map[netip.Addr]bool) []hit {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	var hits []hit
	for _, own := range append(slices.Clone(pod.Status.PodIPs), corev1.PodIP{IP: pod.Status.PodIP}) {
		address, err := netip.ParseAddr(own.IP)
		if err != nil || !addresses[address.Unmap().WithZone("")] {
			continue
		}
		for _, store := range snapshot.StoresOfPod(pod.Namespace, pod.Labels) {
			hits = append(hits, hit{address, pod.Name, store})
		}
	}
	return hits
}
