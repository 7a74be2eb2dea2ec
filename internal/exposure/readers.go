package exposure

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Subject is somebody to RBAC.
type Subject struct {
	Kind      string // User, Group or ServiceAccount
	Namespace string // of a ServiceAccount
	Name      string
}

func (s Subject) String() string {
	if s.Namespace != "" {
		return s.Kind + " " + s.Namespace + "/" + s.Name
	}
	return s.Kind + " " + s.Name
}

func compareSubjects(a, b Subject) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// Way is how far somebody is from a Secret. The nearest comes first.
type Way int

// The ways to a Secret.
const (
	Reads   Way = iota // it
	Rules              // by giving oneself a role that reads it
	Enters             // pods that may have it
	Mounts             // it into pods that declare nothing
	Becomes            // somebody who could
)

// Reader is a subject that could read a Secret, by the nearest way.
type Reader struct {
	Subject
	Way Way
	How string
}

// nearer compares two ways of one subject.
func nearer(a, b Reader) int { return cmp.Or(cmp.Compare(a.Way, b.Way), cmp.Compare(a.How, b.How)) }

// Secret is one about which is asked.
type Secret struct {
	Namespace, Name string
	Mountable       bool // by pods that declare nothing
}

// Readers are the subjects that could read a Secret, sorted.
func (i *Index) Readers(secret Secret) []Reader {
	s := &search{index: i, found: map[Subject]Reader{}}
	s.add(Reader{Subject{Kind: rbacv1.GroupKind, Name: mastersGroup}, Reads, "reads everything, whatever RBAC says"})
	declared := func(r *right) bool { return r.granted && !secret.Mountable } // of a source nobody is granted anything
	s.collect(reading, secret.Namespace, Reads, "", func(r *right) bool { return r.concerns(secret.Name) && !declared(r) })
	for _, r := range i.rights[reading][secret.Namespace] {
		if r.concerns(secret.Name) && declared(&r) {
			s.borrow(r.subject)
		}
	}
	s.collect(binding, secret.Namespace, Rules, "", func(r *right) bool {
		return len(r.names) == 0 || slices.ContainsFunc(r.names, func(name string) bool { return allows(i.clusterRoles[name], secret.Name) })
	})
	s.collect(bindingRoles, secret.Namespace, Rules, "", func(r *right) bool {
		return len(r.names) == 0 || slices.ContainsFunc(r.names, func(name string) bool {
			return allows(i.roles[[2]string{secret.Namespace, name}], secret.Name)
		})
	})
	s.collect(escalating, secret.Namespace, Rules, "", anything)
	s.collect(entering, secret.Namespace, Enters, "", anything)
	s.collect(enteringNodes, "", Enters, "", anything)
	if secret.Mountable {
		s.collect(creatingPods, secret.Namespace, Mounts, "", anything)
	}
	for len(s.todo) > 0 {
		next := s.todo
		s.todo = nil
		slices.SortFunc(next, compareSubjects)
		for _, subject := range next {
			s.become(subject)
		}
	}
	return slices.SortedFunc(maps.Values(s.found), func(a, b Reader) int { return compareSubjects(a.Subject, b.Subject) })
}

// search is for those who could read one Secret.
type search struct {
	index *Index
	found map[Subject]Reader
	todo  []Subject // found, and not yet asked who could become them
}

func anything(*right) bool { return true }

func (s *search) add(reader Reader) {
	before, known := s.found[reader.Subject]
	if !known {
		s.todo = append(s.todo, reader.Subject)
	}
	if !known || nearer(reader, before) < 0 {
		s.found[reader.Subject] = reader
	}
}

// collect adds who has a capability in a namespace, or in all.
func (s *search) collect(c capability, namespace string, way Way, whose string, about func(*right) bool) {
	scopes := []string{""}
	if namespace != "" {
		scopes = append(scopes, namespace)
	}
	for _, scope := range scopes {
		rights := s.index.rights[c][scope]
		for i := range rights {
			r := &rights[i]
			if about(r) {
				s.add(Reader{r.subject, way, r.what + whose + ": " + r.source})
			}
		}
	}
}

// become adds who could become somebody.
func (s *search) become(subject Subject) {
	of := " of " + subject.String()
	named := func(r *right) bool { return r.concerns(subject.Name) }
	switch subject.Kind {
	case rbacv1.ServiceAccountKind:
		s.becomeAccount(subject.Namespace, of, named)
	case rbacv1.UserKind:
		s.collect(impersonatingUsers, "", Becomes, of, named)
	case rbacv1.GroupKind:
		s.collect(impersonatingGroups, "", Becomes, of, named)
		if namespace, one := strings.CutPrefix(subject.Name, accountsGroup+":"); one {
			s.becomeAccount(namespace, of, anything)
		} else if subject.Name == accountsGroup {
			for _, c := range []capability{impersonatingAccounts, creatingTokens, creatingPods, entering} {
				for namespace := range s.index.rights[c] {
					s.becomeAccount(namespace, of, anything)
				}
			}
		}
	}
}

// borrow adds who could take the rights of an account that is granted what it reads. Pods beside it are not among the ways: a
// rule has them declare the same.
func (s *search) borrow(account Subject) {
	named := func(r *right) bool { return r.concerns(account.Name) }
	s.collect(impersonatingAccounts, account.Namespace, Becomes, " of "+account.String(), named)
	s.collect(creatingTokens, account.Namespace, Becomes, " of "+account.String(), named)
}

func (s *search) becomeAccount(namespace, of string, named func(*right) bool) {
	s.collect(impersonatingAccounts, namespace, Becomes, of, named)
	s.collect(creatingTokens, namespace, Becomes, of, named)
	beside := strings.Replace(of, " of ", " beside ", 1)
	s.collect(creatingPods, namespace, Becomes, beside, anything)
	s.collect(entering, namespace, Becomes, beside, anything)
}
