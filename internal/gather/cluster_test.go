package gather

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

var errForbidden = errors.New("forbidden")

// A lister answers from memory, and refuses to list one type.
type lister struct {
	client.Reader
	refuses client.ObjectList
}

func (l lister) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if l.refuses != nil && reflect.TypeOf(list) == reflect.TypeOf(l.refuses) {
		return errForbidden
	}
	meta := metav1.ObjectMeta{Name: "x", Namespace: "ns", UID: "1"}
	switch list := list.(type) {
	case *v1alpha1.PurposeList:
		list.Items = []v1alpha1.Purpose{{ObjectMeta: meta}}
	case *v1alpha1.DataProcessorList:
		list.Items = []v1alpha1.DataProcessor{{ObjectMeta: meta}}
	case *v1alpha1.EntrustmentList:
		list.Items = []v1alpha1.Entrustment{{ObjectMeta: meta}}
	case *v1alpha1.PersonalDataStoreList:
		list.Items = []v1alpha1.PersonalDataStore{{ObjectMeta: meta}}
	case *metav1.PartialObjectMetadataList:
		list.Items = []metav1.PartialObjectMetadata{{ObjectMeta: meta}}
	}
	return nil
}

func TestFromReader(t *testing.T) {
	in, err := FromReader(t.Context(), lister{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Purpose ns/x", "DataProcessor ns/x", "Entrustment ns/x", "PersonalDataStore ns/x"}
	if diff := cmp.Diff(want, objectsOf(in)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]types.UID{"x": "1"}, in.Namespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
}

func TestAnErrorNeverYieldsPartialInputs(t *testing.T) {
	for what, refused := range map[string]client.ObjectList{
		"Purposes":           &v1alpha1.PurposeList{},
		"DataProcessors":     &v1alpha1.DataProcessorList{},
		"Entrustments":       &v1alpha1.EntrustmentList{},
		"PersonalDataStores": &v1alpha1.PersonalDataStoreList{},
		"Namespaces":         &metav1.PartialObjectMetadataList{},
	} {
		t.Run(what, func(t *testing.T) {
			in, err := FromReader(t.Context(), lister{refuses: refused})
			if !errors.Is(err, errForbidden) || !strings.Contains(err.Error(), "list "+what) {
				t.Errorf("error %v", err)
			}
			if diff := cmp.Diff(entrustment.Inputs{}, in); diff != "" {
				t.Errorf("inputs:\n%s", diff)
			}
		})
	}
}
