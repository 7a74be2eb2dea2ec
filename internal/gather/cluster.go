package gather

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// FromReader lists the four kinds that people write, and the namespaces as metadata alone. Read through a cache, the
// inputs share the cache's objects and must not be changed. Any error is an error of the whole: no inputs are returned.
func FromReader(ctx context.Context, reader client.Reader) (entrustment.Inputs, error) {
	var (
		purposes     v1alpha1.PurposeList
		processors   v1alpha1.DataProcessorList
		entrustments v1alpha1.EntrustmentList
		stores       v1alpha1.PersonalDataStoreList
		namespaces   = metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "NamespaceList"},
		}
	)
	for _, list := range []struct {
		of   string
		into client.ObjectList
	}{
		{"Purposes", &purposes},
		{"DataProcessors", &processors},
		{"Entrustments", &entrustments},
		{"PersonalDataStores", &stores},
		{"Namespaces", &namespaces},
	} {
		if err := reader.List(ctx, list.into, client.UnsafeDisableDeepCopy); err != nil {
			return entrustment.Inputs{}, fmt.Errorf("list %s: %w", list.of, err)
		}
	}

	uids := make(map[string]types.UID, len(namespaces.Items))
	for i := range namespaces.Items {
		uids[namespaces.Items[i].Name] = namespaces.Items[i].UID
	}
	return entrustment.Inputs{
		Purposes:     pointers(purposes.Items),
		Processors:   pointers(processors.Items),
		Entrustments: pointers(entrustments.Items),
		Stores:       pointers(stores.Items),
		Namespaces:   uids,
	}, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
