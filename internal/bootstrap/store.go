package bootstrap

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/gather"
)

// wellKnown are the ports at which databases, queues and other places of data listen unless they are told otherwise.
var wellKnown = map[int32]string{
	389: "LDAP", 636: "LDAP", 445: "SMB", 1433: "SQL Server", 1521: "Oracle", 2049: "NFS", 2379: "etcd", 3306: "MySQL", 33060: "MySQL", 4222: "NATS",
	5432: "PostgreSQL", 6432: "PgBouncer", 5672: "AMQP", 5671: "AMQP", 5984: "CouchDB", 6379: "Redis", 6650: "Pulsar", 7687: "Neo4j", 8086: "InfluxDB",
	8123: "ClickHouse", 8529: "ArangoDB", 9042: "Cassandra", 9092: "Kafka", 9200: "Elasticsearch", 11211: "memcached", 19530: "Milvus", 26257: "CockroachDB",
	27017: "MongoDB", 50000: "Db2", 61616: "ActiveMQ",
}

// A store is one that is drafted: pods behind one Service, or several that lead to the same.
type store struct {
	namespace, name string
	selector        map[string]string
	services        []*corev1.Service
	ports           []v1alpha1.Port
	pods            []*gather.Workload // its own
	shared          []string           // Secrets that its own pods reference, and others of the namespace do too
	private         []string           // those that only its own pods reference
	entrusted       bool               // somebody besides the data controller seems to use it
	notes           []string
}

func (s *store) say(format string, args ...any) {
	if note := fmt.Sprintf(format, args...); !slices.Contains(s.notes, note) {
		s.notes = append(s.notes, note)
	}
}

func (s *store) String() string { return s.namespace + "/" + s.name }

// stores are those that Services lead to, sorted by namespace and name.
func (d *drafter) stores() []*store {
	var candidates []*store
	services := slices.SortedFunc(slices.Values(d.Services), func(a, b *corev1.Service) int { return cmp.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
	for _, service := range services {
		if s := d.candidate(service); s != nil {
			candidates = append(candidates, s)
		}
	}
	// Services that lead to the same pods are ways to one store, which has one decision.
	var stores []*store
	for _, c := range candidates {
		i := slices.IndexFunc(stores, func(s *store) bool { return s.same(c) })
		if i < 0 {
			stores = append(stores, c)
			continue
		}
		merged := stores[i]
		merged.join(c)
		stores = slices.DeleteFunc(stores, func(s *store) bool { // what c has in common with two joins them too
			if s == merged || !s.same(merged) {
				return false
			}
			merged.join(s)
			return true
		})
	}
	for _, s := range stores {
		d.describe(s)
	}
	slices.SortFunc(stores, func(a, b *store) int { return cmp.Compare(a.String(), b.String()) })
	return stores
}

func headless(service *corev1.Service) int {
	if service.Spec.ClusterIP == corev1.ClusterIPNone {
		return 1
	}
	return 0
}

// candidate is the store that a Service leads to; nil: none, or one that a person has to write.
func (d *drafter) candidate(service *corev1.Service) *store {
	s := &store{namespace: service.Namespace, name: service.Name, selector: service.Spec.Selector, services: []*corev1.Service{service}}
	s.pods = d.selected(s.namespace, s.selector)
	title := fmt.Sprintf("Service %s/%s", service.Namespace, service.Name)
	signs := signs(service, s.pods)
	if d.Named && len(signs) == 0 {
		signs = []string{"it was named"}
	}
	switch {
	case len(signs) == 0:
		return nil
	case strings.HasPrefix(service.Namespace, systemPrefix):
		if d.Named {
			d.note("%s is in a namespace of the system, which no party can have.", title)
		}
		return nil
	case service.Spec.Type == corev1.ServiceTypeExternalName, len(service.Spec.Selector) == 0:
		d.note("%s leads to no pods of its own selection: if it leads out of the cluster, write a PersonalDataStore with endpoint.external.", title)
		return nil
	}
	if held := d.snapshot.StoresBehind(service.Namespace, service.Spec.Selector); len(held) > 0 {
		d.note("%s leads to PersonalDataStore %s/%s, which is there already.", title, held[0].Namespace, held[0].Name)
		return nil
	}
	s.say("%s: %s.", title, strings.Join(signs, "; "))
	return s
}

// signs that a Service leads to a place of data.
func signs(service *corev1.Service, pods []*gather.Workload) []string {
	var found []string
	for _, port := range service.Spec.Ports {
		number := port.Port
		if _, known := wellKnown[number]; !known {
			number = port.TargetPort.IntVal
		}
		if product, known := wellKnown[number]; known {
			found = append(found, fmt.Sprintf("port %d is that of %s", number, product))
		}
	}
	for _, w := range pods {
		if w.Kind == "StatefulSet" {
			found = append(found, fmt.Sprintf("its pods are those of %s", w))
		}
	}
	return found
}

// selected are the workloads of a namespace that a selector selects the pods of.
func (d *drafter) selected(namespace string, selector map[string]string) []*gather.Workload {
	var found []*gather.Workload
	if len(selector) == 0 {
		return nil
	}
	for i := range d.Workloads {
		w := &d.Workloads[i]
		if w.Namespace == namespace && labels.SelectorFromSet(selector).Matches(labels.Set(w.Labels)) {
			found = append(found, w)
		}
	}
	return found
}

// same says whether two lead to the same pods: a workload's, or all of those that one of them selects.
func (s *store) same(other *store) bool {
	if s.namespace != other.namespace {
		return false
	}
	return within(s.selector, other.selector) || within(other.selector, s.selector) ||
		slices.ContainsFunc(s.pods, func(w *gather.Workload) bool { return slices.Contains(other.pods, w) })
}

// within says whether whatever meets the first selector meets the second.
func within(narrow, wide map[string]string) bool {
	for key, value := range wide {
		if narrow[key] != value {
			return false
		}
	}
	return true
}

// join takes over another that leads to the same pods. The wider selector is kept.
func (s *store) join(other *store) {
	if len(other.selector) < len(s.selector) {
		s.selector = other.selector
	}
	s.services = append(s.services, other.services...)
	s.pods = append(s.pods, other.pods...)
	for _, note := range other.notes {
		s.say("%s", note)
	}
}

// describe names a store after the way in that balances over most of its pods, and finds what these listen at, and which Secrets they reference.
func (d *drafter) describe(s *store) {
	slices.SortStableFunc(s.services, func(a, b *corev1.Service) int {
		return cmp.Or(cmp.Compare(headless(a), headless(b)), cmp.Compare(len(a.Spec.Selector), len(b.Spec.Selector)), cmp.Compare(a.Name, b.Name))
	})
	s.name = s.services[0].Name
	s.pods = d.selected(s.namespace, s.selector)
	if len(s.pods) == 0 {
		s.say("Nothing with its labels runs now: check the selector, which cannot be changed later.")
	}
	for _, service := range s.services {
		for i := range service.Spec.Ports {
			s.listen(service, &service.Spec.Ports[i])
		}
	}
	slices.SortFunc(s.ports, func(a, b v1alpha1.Port) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
	})
	if len(s.ports) > mostPorts {
		s.say("It listens at %d ports, of which the first %d are kept.", len(s.ports), mostPorts)
		s.ports = s.ports[:mostPorts]
	}

	own := map[string]bool{}
	for _, w := range s.pods {
		for _, name := range opens(w) {
			own[name] = true
		}
	}
	for i := range d.Workloads {
		w := &d.Workloads[i]
		if w.Namespace != s.namespace || slices.Contains(s.pods, w) {
			continue
		}
		for _, name := range opens(w) {
			if own[name] {
				s.say("%s references Secret %s, as the store's own pods do.", w, name)
				s.shared = append(s.shared, name)
			}
		}
	}
	slices.Sort(s.shared)
	s.shared = slices.Compact(s.shared)
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if !slices.Contains(s.shared, name) {
			s.private = append(s.private, name)
		}
	}
}

// listen adds the port of the pods to which a port of a Service leads.
func (s *store) listen(service *corev1.Service, port *corev1.ServicePort) {
	protocol := cmp.Or(port.Protocol, corev1.ProtocolTCP)
	if protocol != corev1.ProtocolTCP && protocol != corev1.ProtocolUDP {
		s.say("Port %d of Service %s speaks %s, which a store cannot tell.", port.Port, service.Name, protocol)
		return
	}
	number := port.TargetPort.IntVal
	if port.TargetPort.Type == intstr.String {
		number = s.named(port.TargetPort.StrVal, protocol)
		if number == 0 {
			s.say("No pod says what port %q of Service %s is: check that it is %d.", port.TargetPort.StrVal, service.Name, port.Port)
		}
	}
	found := v1alpha1.Port{Port: cmp.Or(number, port.Port)}
	if protocol == corev1.ProtocolUDP {
		found.Protocol = v1alpha1.ProtocolUDP
	}
	if !slices.Contains(s.ports, found) {
		s.ports = append(s.ports, found)
	}
}

// named is the port to which a container of the store gives a name; 0: none does.
func (s *store) named(name string, protocol corev1.Protocol) int32 {
	for _, w := range s.pods {
		for i := range w.Spec.Containers {
			for _, port := range w.Spec.Containers[i].Ports {
				if port.Name == name && cmp.Or(port.Protocol, corev1.ProtocolTCP) == protocol {
					return port.ContainerPort
				}
			}
		}
	}
	return 0
}

// opens are the Secrets that a workload references, but for those that only pull its images.
func opens(w *gather.Workload) []string {
	return slices.DeleteFunc(w.Secrets(), func(name string) bool {
		pulls := slices.ContainsFunc(w.Spec.ImagePullSecrets, func(r corev1.LocalObjectReference) bool { return r.Name == name })
		return pulls || strings.HasPrefix(name, v1alpha1.ReservedSecretPrefix)
	})
}

// document is the store as an object, in Report mode.
func (s *store) document(controller string) *Document {
	object := &v1alpha1.PersonalDataStore{TypeMeta: kind("PersonalDataStore"), ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name}}
	object.Spec = v1alpha1.PersonalDataStoreSpec{
		ControllerName: controller, DataCategories: []v1alpha1.DataCategory{gather.Placeholder}, AllowedPurposes: []v1alpha1.Name{gather.Placeholder},
		Endpoint:    v1alpha1.Endpoint{PodSelector: &v1alpha1.PodSelector{MatchLabels: s.selector}, Ports: s.ports},
		Enforcement: v1alpha1.EnforcementReport,
	}
	if s.entrusted {
		object.Spec.AllowedRecipients = []v1alpha1.Recipient{v1alpha1.RecipientEntrustee}
	}
	taken := map[string]bool{}
	for _, secret := range s.shared[:min(len(s.shared), mostSecrets)] {
		object.Spec.Credentials = append(object.Spec.Credentials, v1alpha1.Credential{Name: free(labelOf(secret), taken), SecretName: secret})
	}
	notes := s.notes
	if len(s.shared) > 0 {
		notes = append(notes, "What credentials lists is copied to every namespace with a grant: keep what is meant for them, and nothing that may do more.")
	}
	if len(s.private) > 0 {
		notes = append(notes, "Only its own pods reference these Secrets. To have one delivered to those with a grant:", "  credentials:")
		for _, secret := range s.private {
			notes = append(notes, fmt.Sprintf("  - {name: %s, secretName: %s}", free(labelOf(secret), taken), secret))
		}
	}
	return &Document{Object: object, Notes: notes}
}

// labelOf is a name for what has a longer one, with dots.
func labelOf(name string) string {
	name = strings.ReplaceAll(name, ".", "-")
	return strings.Trim(name[:min(len(name), mostName)], "-")
}
