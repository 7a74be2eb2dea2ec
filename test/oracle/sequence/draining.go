package sequence

import (
	"reflect"
	"slices"

	"entrustment.dev/operator/api/v1alpha1"
	apiac "entrustment.dev/operator/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"entrustment.dev/operator/internal/draining"
	"entrustment.dev/operator/internal/render"
)

// access is what a namespace is shown.
type access struct {
	written *apiac.PersonalDataAccessApplyConfiguration
	typed   *v1alpha1.PersonalDataAccess
}

func (c *cluster) show(namespace string, want *apiac.PersonalDataAccessApplyConfiguration) func() {
	return func() {
		next := access{want, typed[v1alpha1.PersonalDataAccess](want)}
		next.typed.Generation = 1
		if before, shown := c.access[namespace]; shown {
			next.typed.Generation += before.typed.Generation
		}
		c.access[namespace] = next
	}
}

func (p *plan) nextAccess() *write {
	c := p.cluster
	for _, namespace := range p.snapshot.Namespaces() {
		before := c.access[namespace]
		next, bound := p.snapshot.NamespaceAccess(namespace)
		if !bound && before.typed == nil {
			continue
		}
		noted, _ := draining.Note(p.snapshot, before.typed, next.Grants)
		if !bound && len(noted) == 0 {
			return &write{"no access of " + namespace, func() { delete(c.access, namespace) }}
		}
		if want := render.Access(namespace, next, noted...); !reflect.DeepEqual(before.written, want) {
			return &write{"access of " + namespace, c.show(namespace, want)}
		}
	}
	return nil
}

// nextPod ends a pod that holds what was lost. Those who only hold what a store that reports gave them go on.
func (p *plan) nextPod() *write {
	c := p.cluster
	for _, held := range c.pods {
		for i := range c.notes(held.namespace) {
			note := &c.notes(held.namespace)[i]
			if holds(held, note) && draining.Ends(p.snapshot, note) {
				return &write{"no " + held.String(), func() {
					c.pods = slices.DeleteFunc(c.pods, func(other *pod) bool { return other == held })
				}}
			}
		}
	}
	return nil
}

func (c *cluster) notes(namespace string) []v1alpha1.DrainingGrant {
	if shown := c.access[namespace].typed; shown != nil {
		return shown.Draining
	}
	return nil
}

func holds(p *pod, note *v1alpha1.DrainingGrant) bool {
	return draining.Of(note) == draining.Key{Entrustment: p.entrustment, Purpose: p.purpose}
}

// nextNote says that nobody is left who holds what was lost.
func (p *plan) nextNote() *write {
	c := p.cluster
	for _, namespace := range p.snapshot.Namespaces() {
		left := slices.DeleteFunc(slices.Clone(c.notes(namespace)), func(note v1alpha1.DrainingGrant) bool {
			return !slices.ContainsFunc(c.pods, func(held *pod) bool { return held.namespace == namespace && holds(held, &note) })
		})
		if len(left) < len(c.notes(namespace)) {
			next, _ := p.snapshot.NamespaceAccess(namespace)
			return &write{"nobody left in " + namespace, c.show(namespace, render.Access(namespace, next, left...))}
		}
	}
	return nil
}
