package webhook

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"entrustment.dev/operator/api/v1alpha1"
)

// creator of a SubjectAccessReview, which answers in its status.
type creator interface {
	Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error
}

// Verbs that are asked for.
const (
	verbIntervene = "intervene"
	verbUpdate    = "update"
)

// right is what somebody has to be allowed.
type right struct {
	verb, resource, namespace, name string
}

func onStore(verb string, store *v1alpha1.PersonalDataStore) right {
	return right{verb: verb, resource: "personaldatastores", namespace: store.Namespace, name: store.Name}
}

// String is how the right is granted, and how it is asked for.
func (r right) String() string {
	return fmt.Sprintf("bind a Role with verb %s on %s.%s/%s in namespace %s (kubectl auth can-i %s %s.%s/%s -n %s)",
		r.verb, r.resource, v1alpha1.Group, r.name, r.namespace, r.verb, r.resource, v1alpha1.Group, r.name, r.namespace)
}

// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// may asks the API server whether a user has a right, with everything that is known about the user.
func may(ctx context.Context, access creator, user *authenticationv1.UserInfo, r right) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, Groups: user.Groups, UID: user.UID,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: v1alpha1.SchemeGroupVersion.Group, Version: v1alpha1.SchemeGroupVersion.Version,
			Verb: r.verb, Resource: r.resource, Namespace: r.namespace, Name: r.name,
		},
	}}
	if len(user.Extra) > 0 {
		review.Spec.Extra = make(map[string]authorizationv1.ExtraValue, len(user.Extra))
		for key, value := range user.Extra {
			review.Spec.Extra[key] = authorizationv1.ExtraValue(value)
		}
	}
	if err := access.Create(ctx, review); err != nil {
		return false, fmt.Errorf("asking whether %q may %s %s %s/%s: %w", user.Username, r.verb, r.resource, r.namespace, r.name, err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}
