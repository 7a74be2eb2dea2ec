// Package heads keeps the heads of the replicas' ledgers in the operator's namespace, so that a restart goes on where the
// chain ended, and whoever verifies a ledger knows where it has to end. It decides nothing.
package heads

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/ledger"
)

// Keeper keeps the heads in one ConfigMap, one key a chain.
type Keeper struct {
	Live      client.Reader // the API server itself: a cache may be behind what was kept last
	Writer    client.Writer
	Namespace string
}

// +kubebuilder:rbac:groups="",namespace=entrustment-system,resources=configmaps,verbs=create
// +kubebuilder:rbac:groups="",namespace=entrustment-system,resources=configmaps,resourceNames=entrustment-operator-ledger,verbs=get;patch

// Load returns the head of a chain; the zero Head if there is none.
func (k *Keeper) Load(ctx context.Context, chain string) (ledger.Head, error) {
	kept := &corev1.ConfigMap{}
	err := k.Live.Get(ctx, types.NamespacedName{Namespace: k.Namespace, Name: v1alpha1.LedgerHeadsName}, kept)
	if apierrors.IsNotFound(err) || err == nil && kept.Data[chain] == "" {
		return ledger.Head{}, nil
	}
	if err != nil {
		return ledger.Head{}, fmt.Errorf("reading ConfigMap %s/%s: %w", k.Namespace, v1alpha1.LedgerHeadsName, err)
	}
	return ledger.ParseHead(kept.Data[chain])
}

// Save keeps the head of a chain and leaves those of other replicas alone.
func (k *Keeper) Save(ctx context.Context, chain string, head ledger.Head) error {
	kept := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: k.Namespace, Name: v1alpha1.LedgerHeadsName,
		Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
	}}
	data := map[string]string{chain: head.String()}
	patch, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return err
	}
	err = k.Writer.Patch(ctx, kept.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if apierrors.IsNotFound(err) {
		kept.Data = data
		err = k.Writer.Create(ctx, kept)
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s/%s: %w", k.Namespace, v1alpha1.LedgerHeadsName, err)
	}
	return nil
}
