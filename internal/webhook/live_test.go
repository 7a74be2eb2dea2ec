package webhook_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

// live is what the API server would answer to the reads of a handler.
type live struct {
	pods       []*builder.PodBuilder
	services   []*corev1.Service
	namespaces []*metav1.PartialObjectMetadata
	err        error
}

func (l live) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if l.err != nil {
		return l.err
	}
	switch into := into.(type) {
	case *corev1.Service:
		for _, service := range l.services {
			if client.ObjectKeyFromObject(service) == key {
				service.DeepCopyInto(into)
				return nil
			}
		}
	case *metav1.PartialObjectMetadata:
		switch into.Kind {
		case "Pod":
			for _, pod := range l.pods {
				if client.ObjectKeyFromObject(pod.Obj()) == key {
					into.ObjectMeta = pod.Obj().ObjectMeta
					return nil
				}
			}
		case "Namespace":
			for _, namespace := range l.namespaces {
				if namespace.Name == key.Name {
					namespace.DeepCopyInto(into)
					return nil
				}
			}
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (l live) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	if l.err != nil {
		return l.err
	}
	var asked client.ListOptions
	asked.ApplyOptions(options)
	for _, b := range l.pods {
		pod := b.Obj()
		if pod.Namespace != asked.Namespace || asked.LabelSelector != nil && !asked.LabelSelector.Matches(set(pod.Labels)) {
			continue
		}
		switch into := into.(type) {
		case *corev1.PodList:
			into.Items = append(into.Items, *pod)
		case *metav1.PartialObjectMetadataList:
			into.Items = append(into.Items, metav1.PartialObjectMetadata{ObjectMeta: pod.ObjectMeta})
		}
	}
	return nil
}

type set map[string]string

func (s set) Has(key string) bool              { _, ok := s[key]; return ok }
func (s set) Get(key string) string            { return s[key] }
func (s set) Lookup(key string) (string, bool) { v, ok := s[key]; return v, ok }

// rights are what alice has, as "verb resource namespace/name"; asking is an error if that is one of them.
type rights []string

const askingFails = "asking fails"

func (r rights) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	review := object.(*authorizationv1.SubjectAccessReview)
	if slices.Contains(r, askingFails) {
		return errors.New("the authorizer does not answer")
	}
	asked := review.Spec.ResourceAttributes
	review.Status.Allowed = review.Spec.User == "alice" && review.Spec.UID == "u" && slices.Equal(review.Spec.Groups, []string{"staff"}) &&
		slices.Equal(review.Spec.Extra["scopes"], []string{"all"}) && asked.Group == v1alpha1.Group &&
		slices.Contains(r, asked.Verb+" "+asked.Resource+" "+asked.Namespace+"/"+asked.Name)
	return nil
}

var alice = authenticationv1.UserInfo{
	Username: "alice", UID: "u", Groups: []string{"staff"}, Extra: map[string]authenticationv1.ExtraValue{"scopes": {"all"}},
}

// inhabited is a world with stores of every enforcement in one namespace that is bound, too.
func inhabited() (*entrustment.Snapshot, error) {
	store := func(name string, enforcement v1alpha1.Enforcement, suspended bool) *v1alpha1.PersonalDataStore {
		return builder.Store("data", name).AllowedPurposes("billing").With(func(s *v1alpha1.PersonalDataStore) {
			s.Spec.Enforcement, s.Spec.Suspended = enforcement, suspended
		}).Obj()
	}
	return entrustment.Compile(entrustment.Inputs{
		Purposes: []*v1alpha1.Purpose{
			builder.Purpose("billing").Obj(), builder.Purpose("invoices").Parent("billing").Obj(), builder.Purpose("scoring").Prohibited().Obj(),
			builder.Purpose("unused").Controller("rival").Obj(),
		},
		Processors: []*v1alpha1.DataProcessor{
			builder.Processor(builder.Controller).Namespace("own").Namespace("data").Namespace("adopting").Report().Obj(),
			builder.Processor("biller").Obj(), builder.Processor("printer").Obj(), builder.Processor("nobody").Obj(),
		},
		Entrustments: []*v1alpha1.Entrustment{
			builder.Entrustment("fees").To("biller").Purposes("invoices").Stores("data/ledger").NotAfter(end).PriorApproval("printer").Obj(),
		},
		Stores: []*v1alpha1.PersonalDataStore{
			store("ledger", v1alpha1.EnforcementEnforce, false),
			store("adopted", v1alpha1.EnforcementReport, false),
			store("closed", v1alpha1.EnforcementReport, true),
		},
	}, noon), nil
}

// review of a handler and what it answers.
type answered struct {
	snapshots snapshots // absent: inhabited
	live      live
	rights    rights
	request   admissionv1.AdmissionRequest

	allowed bool
	says    []string
	warns   string
	events  []string // beginnings
}

func (a answered) check(t *testing.T, handle func(webhook dependencies) admission.Handler) {
	t.Helper()
	recorder := events.NewFakeRecorder(10)
	handler := handle(dependencies{or(a.snapshots, inhabited), a.live, a.rights, recorder})
	request := a.request
	request.UserInfo = alice
	request.UID = "1"
	answer := handler.Handle(t.Context(), admission.Request{AdmissionRequest: request})
	if answer.Allowed != a.allowed {
		t.Errorf("allowed %v, want %v: %+v", answer.Allowed, a.allowed, answer.Result)
	}
	for _, words := range a.says {
		if answer.Result == nil || !strings.Contains(answer.Result.Message, words) {
			t.Errorf("the answer %+v does not say %q", answer.Result, words)
		}
	}
	if !answer.Allowed && len(a.says) == 0 {
		t.Errorf("a refusal has to be looked at: %s", answer.Result.Message)
	}
	if warnings := strings.Join(answer.Warnings, "\n"); !strings.HasPrefix(warnings, a.warns) || (a.warns == "") != (warnings == "") {
		t.Errorf("warnings %q, want %q", warnings, a.warns)
	}
	close(recorder.Events)
	var told []string
	for event := range recorder.Events {
		told = append(told, event)
	}
	if !slices.EqualFunc(told, a.events, strings.HasPrefix) {
		t.Errorf("events %q, want %q", told, a.events)
	}
}

type dependencies struct {
	snapshots snapshots
	live      live
	rights    rights
	recorder  *events.FakeRecorder
}

var dry = ptr.To(true)

func resource(group, version, name string) metav1.GroupVersionResource {
	return metav1.GroupVersionResource{Group: group, Version: version, Resource: name}
}
