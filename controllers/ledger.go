package controllers

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/controllers/heads"
	"entrustment.dev/operator/internal/ledger"
)

// recorder is where the record is kept that an auditor reads.
type recorder interface{ Record(...ledger.Entry) }

// unrecorded is the recorder of an operator without a ledger.
type unrecorded struct{}

// Record keeps nothing.
func (unrecorded) Record(...ledger.Entry) {}

// startLedger adds the chain of this replica to the manager.
func startLedger(mgr manager.Manager, o Options) (recorder, error) {
	if o.Ledger == nil {
		return unrecorded{}, nil
	}
	keeper := &heads.Keeper{Live: mgr.GetAPIReader(), Writer: mgr.GetClient(), Namespace: o.Namespace}
	chain := ledger.NewChain(o.Replica, o.Ledger, keeper, o.Clock)
	chain.Record(ledger.Entry{Event: ledger.Started, Actor: v1alpha1.ManagedBy})
	if err := mgr.Add(chain); err != nil {
		return nil, fmt.Errorf("adding the ledger: %w", err)
	}
	return chain, nil
}

// register adds metrics to those that are served. A process that has run a manager before shows those of the new one.
func register(collectors ...prometheus.Collector) error {
	for _, collector := range collectors {
		err := metrics.Registry.Register(collector)
		known := prometheus.AlreadyRegisteredError{}
		if errors.As(err, &known) && known.ExistingCollector != collector {
			metrics.Registry.Unregister(known.ExistingCollector)
			err = metrics.Registry.Register(collector)
		}
		if err != nil && !errors.As(err, &known) {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
