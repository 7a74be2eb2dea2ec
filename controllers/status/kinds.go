package status

import (
	"context"
	"errors"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/snapshot"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/ledger"
)

// +kubebuilder:rbac:groups=entrustment.dev,resources=purposes;dataprocessors;entrustments;personaldatastores,verbs=get;list;watch
// +kubebuilder:rbac:groups=entrustment.dev,resources=purposes/status;dataprocessors/status;entrustments/status;personaldatastores/status,verbs=update;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager sets up the reconcilers of the four kinds.
func (o Options) SetupWithManager(mgr manager.Manager) error {
	return errors.Join(
		o.purposes().setupWithManager(mgr),
		o.processors().setupWithManager(mgr),
		o.entrustments().setupWithManager(mgr, o.watchRevocation),
		o.stores().setupWithManager(mgr, func(b *builder.Builder, follower *snapshot.Follower) {
			b.Watches(&networkingv1.NetworkPolicy{}, follower.InTurn(o.storesOf))
			if o.Changed != nil {
				b.WatchesRawSource(source.Channel(o.Changed, &handler.EnqueueRequestForObject{}))
			}
			b.WatchesRawSource(o.Guard.watch(o.allStores))
			if o.Credentials != nil {
				b.WatchesRawSource(o.Credentials.Observed())
			}
			if o.Exposure != nil {
				b.WatchesRawSource(o.Exposure.Observed())
			}
		}),
	)
}

func (o Options) allStores(context.Context) []reconcile.Request {
	current, err := o.Publisher.Current()
	if err != nil {
		return nil // the first snapshot wakes them
	}
	var requests []reconcile.Request
	for _, key := range current.Stores() {
		requests = append(requests, reconcile.Request{NamespacedName: key})
	}
	return requests
}

func (o Options) purposes() *reconciler[*v1alpha1.Purpose, v1alpha1.PurposeStatus] {
	return of(o, kind[*v1alpha1.Purpose, v1alpha1.PurposeStatus]{
		name:       "purpose",
		title:      "Purpose",
		empty:      func() *v1alpha1.Purpose { return &v1alpha1.Purpose{} },
		list:       &v1alpha1.PurposeList{},
		status:     func(p *v1alpha1.Purpose) *v1alpha1.PurposeStatus { return &p.Status },
		conditions: func(s *v1alpha1.PurposeStatus) []metav1.Condition { return s.Conditions },
		find:       named[*v1alpha1.Purpose]((*entrustment.Snapshot).PurposeStatus),
	})
}

func (o Options) processors() *reconciler[*v1alpha1.DataProcessor, v1alpha1.DataProcessorStatus] {
	return of(o, kind[*v1alpha1.DataProcessor, v1alpha1.DataProcessorStatus]{
		name:       "dataprocessor",
		title:      "DataProcessor",
		empty:      func() *v1alpha1.DataProcessor { return &v1alpha1.DataProcessor{} },
		list:       &v1alpha1.DataProcessorList{},
		status:     func(p *v1alpha1.DataProcessor) *v1alpha1.DataProcessorStatus { return &p.Status },
		conditions: func(s *v1alpha1.DataProcessorStatus) []metav1.Condition { return s.Conditions },
		suspended:  func(s *v1alpha1.DataProcessorStatus) bool { return s.Suspended },
		find:       named[*v1alpha1.DataProcessor]((*entrustment.Snapshot).ProcessorStatus),
	})
}

func (o Options) entrustments() *reconciler[*v1alpha1.Entrustment, v1alpha1.EntrustmentStatus] {
	return of(o, kind[*v1alpha1.Entrustment, v1alpha1.EntrustmentStatus]{
		name:       "entrustment",
		title:      "Entrustment",
		empty:      func() *v1alpha1.Entrustment { return &v1alpha1.Entrustment{} },
		list:       &v1alpha1.EntrustmentList{},
		status:     func(e *v1alpha1.Entrustment) *v1alpha1.EntrustmentStatus { return &e.Status },
		conditions: func(s *v1alpha1.EntrustmentStatus) []metav1.Condition { return s.Conditions },
		facts: func(live *v1alpha1.Entrustment, now *v1alpha1.EntrustmentStatus) []ledger.Entry {
			return append(end(live, now), reviews(live.Status.ReviewCount, now.ReviewCount, live.Spec.Supervision)...)
		},
		suspended: func(s *v1alpha1.EntrustmentStatus) bool { return s.Suspended },
		find:      o.contract(true),
		glance:    o.contract(false),
	})
}

func (o Options) stores() *reconciler[*v1alpha1.PersonalDataStore, v1alpha1.PersonalDataStoreStatus] {
	seen := &sightings{}
	return of(o, kind[*v1alpha1.PersonalDataStore, v1alpha1.PersonalDataStoreStatus]{
		name:       "personaldatastore",
		title:      "PersonalDataStore",
		empty:      func() *v1alpha1.PersonalDataStore { return &v1alpha1.PersonalDataStore{} },
		list:       &v1alpha1.PersonalDataStoreList{},
		status:     func(s *v1alpha1.PersonalDataStore) *v1alpha1.PersonalDataStoreStatus { return &s.Status },
		conditions: func(s *v1alpha1.PersonalDataStoreStatus) []metav1.Condition { return s.Conditions },
		suspended:  func(s *v1alpha1.PersonalDataStoreStatus) bool { return s.Suspended },
		find:       observer{o, seen, o.look}.observed,
		glance:     observer{o, seen, nil}.observed,
	})
}

func of[O client.Object, S any](o Options, k kind[O, S]) *reconciler[O, S] {
	return &reconciler[O, S]{kind: k, Options: o}
}

// named finds what the snapshot knows by name alone.
func named[O client.Object, S any](ask func(*entrustment.Snapshot, string) (S, bool)) func(context.Context, *entrustment.Snapshot, O) (finding[S], error) {
	return func(_ context.Context, current *entrustment.Snapshot, object O) (finding[S], error) {
		status, known := ask(current, object.GetName())
		return finding[S]{status: status, known: known}, nil
	}
}
