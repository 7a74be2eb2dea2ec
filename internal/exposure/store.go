package exposure

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/types"

	rbacv1 "k8s.io/api/rbac/v1"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Limits of what a status says.
const (
	maxSubjects  = 64
	maxName      = 253
	maxNamespace = 63
	maxHow       = 256
)

// Secrets of a store are the sources of its credentials and their copies.
func Secrets(s *entrustment.Snapshot, store types.NamespacedName) []Secret {
	object := s.Store(store)
	if object == nil {
		return nil
	}
	var secrets []Secret
	for _, c := range object.Spec.Credentials {
		secrets = append(secrets, Secret{Namespace: store.Namespace, Name: c.SecretName, Mountable: true})
	}
	for _, d := range s.StoreDeliveries(store) {
		secrets = append(secrets, Secret{Namespace: d.Namespace, Name: d.Name})
	}
	return secrets
}

// Readers are the subjects that could read any of several Secrets, each by its nearest way, sorted. The operator, whose work it
// is to read them, is not listed; who could become the operator is.
func Readers(i *Index, secrets []Secret) []Reader {
	all := map[Subject]Reader{}
	for _, secret := range secrets {
		for _, reader := range i.Readers(secret) {
			if before, known := all[reader.Subject]; !known || nearer(reader, before) < 0 {
				all[reader.Subject] = reader
			}
		}
	}
	delete(all, Subject{Kind: rbacv1.ServiceAccountKind, Namespace: v1alpha1.OperatorNamespace, Name: v1alpha1.OperatorServiceAccount})
	return slices.SortedFunc(maps.Values(all), func(a, b Reader) int { return compareSubjects(a.Subject, b.Subject) })
}

// Status is what fits into a store's status: if not all do, first those who are not of the system, and the nearest. It is
// sorted by kind, namespace and name.
func Status(readers []Reader) []v1alpha1.ExposedSubject {
	chosen := slices.SortedFunc(slices.Values(readers), func(a, b Reader) int {
		return cmp.Or(compareBools(a.system(), b.system()), cmp.Compare(a.Way, b.Way), compareSubjects(a.Subject, b.Subject))
	})
	chosen = chosen[:min(len(chosen), maxSubjects)]
	slices.SortFunc(chosen, func(a, b Reader) int { return compareSubjects(a.Subject, b.Subject) })
	var subjects []v1alpha1.ExposedSubject
	for _, r := range chosen {
		subjects = append(subjects, v1alpha1.ExposedSubject{
			Kind: r.Kind, Namespace: cut(r.Namespace, maxNamespace), Name: cut(r.Name, maxName), How: cut(r.How, maxHow),
		})
	}
	return subjects
}

// system says whether a reader is a part of Kubernetes itself.
func (r *Reader) system() bool {
	return r.Namespace == "kube-system" || strings.HasPrefix(r.Name, "system:") && r.Name != "system:authenticated" &&
		r.Name != "system:unauthenticated" && !strings.HasPrefix(r.Name, accountsGroup)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// cut keeps a status writable: RBAC takes names of any length.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}
