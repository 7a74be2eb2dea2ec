package controllers

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"entrustment.dev/operator/api/v1alpha1"
)

func TestBindAddress(t *testing.T) {
	for address, want := range map[string]struct {
		host string
		port int
		err  string
	}{
		":9443":           {"", 9443, ""},
		"127.0.0.1:10250": {"127.0.0.1", 10250, ""},
		"[::1]:9443":      {"::1", 9443, ""},
		"9443":            {"", 0, "is not host:port"},
		":http":           {"", 0, "must be a number"},
		":0":              {"", 0, "must be a number"},
		":65536":          {"", 0, "must be a number"},
		"":                {"", 0, "is not host:port"},
	} {
		t.Run(address, func(t *testing.T) {
			host, port, err := bindAddress(address)
			if host != want.host || port != want.port || (err == nil) != (want.err == "") {
				t.Fatalf("got %q, %d, %v", host, port, err)
			}
			if err != nil && !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q does not say %q", err, want.err)
			}
		})
	}
}

func TestAClusterWithoutTheKindsIsToldWhatToDo(t *testing.T) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.SchemeGroupVersion})
	err := installed(mapper)
	if err == nil || !strings.Contains(err.Error(), "kubectl apply --server-side -k config/crd") {
		t.Errorf("got %v", err)
	}
	for _, kind := range []string{"Purpose", "DataProcessor", "Entrustment", "PersonalDataStore", "PersonalDataAccess"} {
		mapper.Add(v1alpha1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	if err := installed(mapper); err != nil {
		t.Error(err)
	}
}
