package status

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/render"
)

// Recheck is how often the pods about a store are looked at, unless Options say otherwise. They are asked for, one or two
// objects at a time, and not watched: a cluster has many. So a pod on the host's network is told of after as long at most.
const Recheck = 5 * time.Minute

// sight is what was last seen of the pods about a store. The zero sight is of one that nobody has to look at.
type sight struct {
	hostNetwork string // a pod of the store that uses the host's network
	none        bool   // there is no pod of the store

	wouldDeny      []v1alpha1.WouldDeny // in Report
	wouldDenyCount int32

	uid        types.UID
	generation int64
	at         time.Time
}

// sightings remembers them, so that a new snapshot does not ask for pods of every store. The zero value has seen nothing.
type sightings struct {
	mu      sync.Mutex
	byStore map[types.NamespacedName]sight
}

func (s *sightings) last(store *v1alpha1.PersonalDataStore) (sight, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.byStore[client.ObjectKeyFromObject(store)]
	return last, ok && last.uid == store.UID && last.generation == store.Generation
}

func (s *sightings) remember(store *v1alpha1.PersonalDataStore, now sight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byStore == nil {
		s.byStore = map[types.NamespacedName]sight{}
	}
	now.uid, now.generation = store.UID, store.Generation
	s.byStore[client.ObjectKeyFromObject(store)] = now
}

func (s *sightings) forget(store types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byStore, store)
}

// pods is what was seen of the pods about a store, lately enough. Their age is told by the clock that wakes us.
func (o observer) pods(ctx context.Context, current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore,
	found *finding[v1alpha1.PersonalDataStoreStatus]) (sight, error) {
	if render.GuardsOutside(store) {
		return sight{}, nil
	}
	period := o.Recheck
	if period == 0 {
		period = Recheck
	}
	last, ok := o.seen.last(store)
	if o.look == nil {
		found.unseen = !ok
		return last, nil
	}
	if left := period - time.Since(last.at); ok && left > 0 {
		found.again = left
		return last, nil
	}
	now, err := o.look(ctx, current, store)
	if err != nil {
		return sight{}, err
	}
	now.at, found.again = time.Now(), period
	o.seen.remember(store, now)
	return now, nil
}

// onHostNetwork selects pods that are past every policy, but for those that have ended.
var onHostNetwork = client.MatchingFieldsSelector{Selector: fields.AndSelectors(
	fields.OneTermEqualSelector("spec.hostNetwork", "true"), gather.Unended.Selector)}

// look asks for the pods about a store.
func (o Options) look(ctx context.Context, current *entrustment.Snapshot, store *v1alpha1.PersonalDataStore) (sight, error) {
	if render.NetworkPolicy(store, nil) == nil {
		return o.wouldDeny(ctx, current, store)
	}
	selector, err := metav1.LabelSelectorAsSelector(render.PodSelector(store.Spec.Endpoint.PodSelector))
	if err != nil {
		return sight{}, reconcile.TerminalError(fmt.Errorf("reading the store's pod selector: %w", err))
	}
	first := func(fields ...client.ListOption) (string, error) {
		list := podList()
		options := append([]client.ListOption{}, fields...)
		options = append(options, client.InNamespace(store.Namespace), client.MatchingLabelsSelector{Selector: selector}, client.Limit(1))
		if err := o.Live.List(ctx, list, options...); err != nil {
			return "", fmt.Errorf("looking for pods of the store: %w", err)
		}
		if len(list.Items) == 0 {
			return "", nil
		}
		return list.Items[0].Name, nil
	}
	var now sight
	if now.hostNetwork, err = first(onHostNetwork); err != nil || now.hostNetwork != "" {
		return now, err
	}
	pod, err := first()
	now.none = pod == ""
	return now, err
}

func podList() *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	return list
}
