package bootstrap

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/internal/reach"
)

// findUsers looks for the namespaces whose pods seem to use a store: those whom its network policies let in, and workloads that
// name its Service, or a Secret of the name of one of its own.
func (d *drafter) findUsers(s *store) {
	d.letIn(s)
	for i := range d.Workloads {
		w := &d.Workloads[i]
		if w.Namespace == s.namespace {
			continue // bound to the data controller, whatever it does
		}
		for _, service := range s.services {
			if where := calls(w, service); where != "" {
				d.uses(w.Namespace, s, fmt.Sprintf("%s names Service %s/%s in %s", w, service.Namespace, service.Name, where))
			}
		}
		for _, secret := range opens(w) {
			if slices.Contains(s.shared, secret) || slices.Contains(s.private, secret) {
				d.uses(w.Namespace, s, fmt.Sprintf("%s references a Secret %s of its own namespace, which may be a copy of the one that %s has: let the operator deliver it, and delete the copy", w, secret, s))
			}
		}
	}
}

// letIn asks the network policies of today, for the pods that there are and for any pod of each namespace. Where everybody is let in, that tells nothing.
func (d *drafter) letIn(s *store) {
	to := &reach.Endpoint{Namespace: s.namespace, NamespaceLabels: d.labelsOf(s.namespace), Labels: s.selector}
	if len(s.pods) > 0 {
		to.Labels = s.pods[0].Labels
		to.Ports = namedPorts(s.pods[0])
	}
	for _, port := range s.ports {
		flow := reach.Flow{To: to, Port: port.Port, Protocol: corev1.Protocol(port.Protocol)}
		if port.Protocol == "" {
			flow.Protocol = corev1.ProtocolTCP
		}
		flow.From = &reach.Endpoint{Namespace: nowhere}
		switch v := d.policies.Ingress(flow); {
		case !v.Governed:
			s.say("No NetworkPolicy keeps anybody from port %d.", port.Port)
			continue
		case v.Allowed:
			s.say("NetworkPolicy %s lets everybody in at port %d (spec.ingress[%d]).", v.By.Policy, port.Port, v.By.Index)
			continue
		}
		for _, namespace := range slices.Sorted(maps.Keys(d.Namespaces)) {
			if namespace == s.namespace {
				continue
			}
			if who, by := d.admitted(flow, namespace); by != nil {
				d.uses(namespace, s, fmt.Sprintf("NetworkPolicy %s lets in %s (spec.ingress[%d])", by.Policy, who, by.Index))
			}
		}
	}
}

// nowhere is a namespace that does not exist, with no labels: whoever lets it in lets everybody in.
const nowhere = "-"

// admitted is who of a namespace gets to a store: any pod, or those of some workload that is there.
func (d *drafter) admitted(flow reach.Flow, namespace string) (who string, by *reach.Rule) {
	from := reach.Endpoint{Namespace: namespace, NamespaceLabels: d.labelsOf(namespace)}
	flow.From = &from
	if v := d.policies.Ingress(flow); v.Allowed {
		return "namespace " + namespace, v.By
	}
	for i := range d.Workloads {
		w := &d.Workloads[i]
		if w.Namespace != namespace {
			continue
		}
		from.Labels = w.Labels
		if v := d.policies.Ingress(flow); v.Allowed && d.policies.Egress(flow).Allowed {
			return w.String(), v.By
		}
	}
	return "", nil
}

// labelsOf a namespace, with the one that every namespace has.
func (d *drafter) labelsOf(namespace string) map[string]string {
	labels := map[string]string{corev1.LabelMetadataName: namespace}
	maps.Copy(labels, d.Namespaces[namespace])
	return labels
}

func namedPorts(w *gather.Workload) []reach.NamedPort {
	var ports []reach.NamedPort
	for i := range w.Spec.Containers {
		for _, p := range w.Spec.Containers[i].Ports {
			protocol := p.Protocol
			if protocol == "" {
				protocol = corev1.ProtocolTCP
			}
			ports = append(ports, reach.NamedPort{Name: p.Name, Number: p.ContainerPort, Protocol: protocol})
		}
	}
	return ports
}

// calls is where the containers of a workload name a Service of another namespace, without what else is written there, which
// may be secret.
func calls(w *gather.Workload, service *corev1.Service) string {
	host := service.Name + "." + service.Namespace
	for _, containers := range [][]corev1.Container{w.Spec.InitContainers, w.Spec.Containers} {
		for i := range containers {
			c := &containers[i]
			for _, env := range c.Env {
				if names(env.Value, host) {
					return "env " + env.Name
				}
			}
			for _, argument := range append(slices.Clone(c.Command), c.Args...) {
				if names(argument, host) {
					return "its arguments"
				}
			}
		}
	}
	return ""
}

// names says whether a text holds a host, and not merely a part of another's name.
func names(text, host string) bool {
	for {
		before, after, found := strings.Cut(text, host)
		if !found {
			return false
		}
		if !endsInName(before) && !beginsWithName(after) {
			return true
		}
		text = after
	}
}

func endsInName(text string) bool {
	return text != "" && strings.ContainsRune(nameRunes+".", rune(text[len(text)-1]))
}

func beginsWithName(text string) bool {
	return text != "" && strings.ContainsRune(nameRunes, rune(text[0]))
}

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
