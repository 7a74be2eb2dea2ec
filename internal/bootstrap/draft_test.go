package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/internal/gather"
	"entrustment.dev/operator/test/builder"
)

var now = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// world is a database of a shop, in a namespace of its own, and changes of that.
func world(changes ...func(*Input)) Input {
	in := Input{Now: now, Controller: "shop"}
	in.Namespaces = map[string]map[string]string{}
	for _, name := range []string{"data", "web", "courier", "kube-system"} {
		in.Namespaces[name] = nil
	}
	in.Services = []*corev1.Service{service("data", "orders", map[string]string{"app": "orders"}, 5432)}
	in.Workloads = []gather.Workload{workload("StatefulSet", "data", "orders", map[string]string{"app": "orders"})}
	for _, change := range changes {
		change(&in)
	}
	return in
}

func service(namespace, name string, selector map[string]string, ports ...int32) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Selector: selector, ClusterIP: "10.0.0.1"}}
	for _, port := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: port})
	}
	return s
}

func workload(kind, namespace, name string, labels map[string]string, secrets ...string) gather.Workload {
	pod := builder.Pod(namespace, name)
	for _, secret := range secrets {
		pod.EnvFromSecret(secret)
	}
	return gather.Workload{Kind: kind, Namespace: namespace, Name: name, Labels: labels, Spec: pod.Obj().Spec}
}

func with(more ...gather.Workload) func(*Input) {
	return func(in *Input) { in.Workloads = append(in.Workloads, more...) }
}

func calling(namespace, name, value string) gather.Workload {
	w := workload("Deployment", namespace, name, nil)
	w.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "DB", Value: value}}
	return w
}

func policy(from ...networkingv1.NetworkPolicyPeer) func(*Input) {
	return func(in *Input) {
		in.Surroundings.Policies = append(in.Surroundings.Policies, &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "orders"},
			Spec: networkingv1.NetworkPolicySpec{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "orders"}},
				Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: from}},
			},
		})
	}
}

func selects(labels map[string]string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: labels}
}

func named(namespace string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{NamespaceSelector: selects(map[string]string{corev1.LabelMetadataName: namespace})}
}

// outline is a draft in a line each: parties with namespaces, stores with ports and credentials, contracts with stores.
func outline(d Draft) []string {
	var lines []string
	for _, document := range d.Documents {
		switch o := document.Object.(type) {
		case *v1alpha1.Purpose:
			lines = append(lines, "purpose")
		case *v1alpha1.DataProcessor:
			line := "party " + o.Name + ":"
			for _, n := range o.Spec.Namespaces {
				line += fmt.Sprintf(" %s/%s", n.Name, n.Enforcement)
			}
			lines = append(lines, line)
		case *v1alpha1.PersonalDataStore:
			line := fmt.Sprintf("store %s/%s %v %s:", o.Namespace, o.Name, map[string]string(o.Spec.Endpoint.PodSelector.MatchLabels), o.Spec.Enforcement)
			for _, p := range o.Spec.Endpoint.Ports {
				line += fmt.Sprintf(" %d%s", p.Port, p.Protocol)
			}
			for _, r := range o.Spec.AllowedRecipients {
				line += " " + string(r)
			}
			for _, c := range o.Spec.Credentials {
				line += fmt.Sprintf(" %s=%s", c.Name, c.SecretName)
			}
			lines = append(lines, line)
		case *v1alpha1.Entrustment:
			line := fmt.Sprintf("contract %s %s→%s:", o.Name, o.Spec.EntrusterName, o.Spec.EntrusteeName)
			for _, s := range o.Spec.Stores {
				line += " " + s.Namespace + "/" + s.Name
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestDraft(t *testing.T) {
	const (
		store     = "store data/orders map[app:orders] Report: 5432"
		entrusted = store + " Entrustee"
		shop      = "party shop: data/Report"
		courier   = "party courier: courier/Report"
		contract  = "contract courier shop→courier: data/orders"
	)
	alone := []string{"purpose", shop, store}
	both := []string{"purpose", shop, courier, entrusted, contract}
	for name, test := range map[string]struct {
		in   Input
		want []string
		says []string // in the notes
	}{
		"a store that nobody uses": {world(), alone, []string{"port 5432 is that of PostgreSQL", "StatefulSet data/orders", "No NetworkPolicy keeps anybody from port 5432"}},
		"a StatefulSet behind any port": {
			world(func(in *Input) { in.Services[0].Spec.Ports[0].Port = 8080 }),
			[]string{"purpose", shop, "store data/orders map[app:orders] Report: 8080"}, []string{"its pods are those of StatefulSet data/orders"},
		},
		"no StatefulSet, but the port of a database": {
			world(func(in *Input) { in.Workloads[0].Kind = "Deployment" }), alone, []string{"port 5432 is that of PostgreSQL"},
		},
		"a web server is none": {
			world(func(in *Input) {
				in.Services = append(in.Services, service("web", "web", map[string]string{"app": "web"}, 80))
			}), alone, nil,
		},
		"unless it is named": {
			world(func(in *Input) {
				in.Services = []*corev1.Service{service("web", "web", map[string]string{"app": "web"}, 80)}
				in.Named = true
			}),
			[]string{"purpose", "party shop: web/Report", "store web/web map[app:web] Report: 80"}, []string{"Service web/web: it was named", "Nothing with its labels runs now"},
		},
		"two ways to the same pods are one store": {
			world(func(in *Input) {
				in.Services = append(in.Services, service("data", "a-headless", map[string]string{"app": "orders"}, 5432, 9092))
				in.Services[1].Spec.ClusterIP = corev1.ClusterIPNone
			}),
			[]string{"purpose", shop, "store data/orders map[app:orders] Report: 5432 9092"}, []string{"Service data/a-headless"},
		},
		"a way to some of the pods belongs to the store": {
			world(func(in *Input) {
				in.Services = append(in.Services, service("data", "a-primary", map[string]string{"app": "orders", "role": "primary"}, 5432), service("data", "replicas", map[string]string{"app": "orders", "role": "replica"}, 5432))
			}),
			alone, nil,
		},
		"pods apart are stores apart": {
			world(func(in *Input) {
				in.Services = append(in.Services, service("data", "cache", map[string]string{"app": "cache"}, 6379))
			}),
			[]string{"purpose", shop, "store data/cache map[app:cache] Report: 6379", store}, nil,
		},
		"the port of the pods, by number and by name": {
			world(func(in *Input) {
				in.Workloads[0].Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "sql", ContainerPort: 15432}, {Name: "dns", ContainerPort: 5353, Protocol: corev1.ProtocolUDP}}
				in.Services[0].Spec.Ports = []corev1.ServicePort{
					{Port: 5432, TargetPort: intstr.FromString("sql")}, {Port: 53, TargetPort: intstr.FromString("dns"), Protocol: corev1.ProtocolUDP},
					{Port: 1, TargetPort: intstr.FromInt32(6379)}, {Port: 7, TargetPort: intstr.FromString("unheard-of")}, {Port: 9, Protocol: corev1.ProtocolSCTP},
				}
			}),
			[]string{"purpose", shop, "store data/orders map[app:orders] Report: 7 5353UDP 6379 15432"},
			[]string{`No pod says what port "unheard-of"`, "speaks SCTP"},
		},
		"what a policy of today lets in": {
			world(policy(named("courier"))), both, []string{"NetworkPolicy data/orders lets in namespace courier (spec.ingress[0])"},
		},
		"what it lets in of a workload": {
			world(policy(networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: selects(map[string]string{"client": "yes"})}),
				with(workload("Deployment", "courier", "planner", map[string]string{"client": "yes"}), workload("Deployment", "web", "web", nil))),
			both, []string{"lets in Deployment courier/planner (spec.ingress[0])"},
		},
		"what its own policy keeps from going there is not let in": {
			world(policy(networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}, PodSelector: selects(map[string]string{"client": "yes"})}),
				with(workload("Deployment", "courier", "planner", map[string]string{"client": "yes"})),
				func(in *Input) {
					in.Surroundings.Policies = append(in.Surroundings.Policies, &networkingv1.NetworkPolicy{
						ObjectMeta: metav1.ObjectMeta{Namespace: "courier", Name: "none"}, Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
					})
				}),
			alone, nil,
		},
		"a policy that lets everybody in tells nothing": {
			world(policy(networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}})), alone, []string{"NetworkPolicy data/orders lets everybody in at port 5432 (spec.ingress[0])"},
		},
		"a system namespace is no party's": {
			world(policy(named("kube-system"))), alone, []string{"lets in namespace kube-system (spec.ingress[0]), but no party can have a system namespace"},
		},
		"a workload that names the Service": {
			world(with(calling("courier", "planner", "postgres://u@orders.data.svc:5432/x"))), both, []string{"Deployment courier/planner names Service data/orders in env DB"},
		},
		"a workload that names another of a longer name": {
			world(with(calling("courier", "planner", "old-orders.data:5432,x.orders.data,orders.database"))), alone, nil,
		},
		"a Secret that others of the namespace reference is a credential": {
			world(func(in *Input) {
				in.Workloads[0] = workload("StatefulSet", "data", "orders", map[string]string{"app": "orders"}, "reader.v1", "root")
			},
				with(workload("CronJob", "data", "report", nil, "reader.v1"))),
			[]string{"purpose", shop, store + " reader-v1=reader.v1"},
			[]string{"CronJob data/report references Secret reader.v1", "  - {name: root, secretName: root}"},
		},
		"a Secret of the same name elsewhere may be a copy": {
			world(func(in *Input) {
				in.Workloads[0] = workload("StatefulSet", "data", "orders", map[string]string{"app": "orders"}, "reader")
			},
				with(workload("Deployment", "courier", "planner", nil, "reader"))),
			both, []string{"Deployment courier/planner references a Secret reader of its own namespace, which may be a copy", "  - {name: reader, secretName: reader}"},
		},
		"a Secret that pulls images opens nothing": {
			world(func(in *Input) {
				in.Workloads[0].Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
			},
				with(workload("Deployment", "courier", "planner", nil, "registry"))),
			alone, nil,
		},
		"a namespace of the data controller's own": {
			world(policy(named("web")), func(in *Input) { in.Own = []string{"web"} }),
			[]string{"purpose", "party shop: data/Report web/Report", store}, []string{"lets in namespace web (spec.ingress[0]): the data controller itself"},
		},
		"a namespace that holds another store is the data controller's too": {
			world(policy(named("web")), func(in *Input) {
				in.Services = append(in.Services, service("web", "cache", map[string]string{"app": "cache"}, 6379))
			}),
			[]string{"purpose", "party shop: data/Report web/Report", store, "store web/cache map[app:cache] Report: 6379"}, nil,
		},
		"a party that has the namespace": {
			world(policy(named("courier")), func(in *Input) {
				in.Policy.Processors = []*v1alpha1.DataProcessor{builder.Processor("express").Namespace("courier").Obj()}
			}),
			[]string{"purpose", shop, entrusted, "contract express shop→express: data/orders"}, nil,
		},
		"a name that is taken": {
			world(policy(named("courier")), func(in *Input) {
				in.Policy.Processors = []*v1alpha1.DataProcessor{builder.Processor("courier").Obj()}
				in.Policy.Entrustments = []*v1alpha1.Entrustment{builder.Entrustment("courier-2").Obj()}
			}),
			[]string{"purpose", shop, "party courier-2: courier/Report", entrusted, "contract courier-2-2 shop→courier-2: data/orders"}, nil,
		},
		"the data controller as it is": {
			world(func(in *Input) {
				in.Policy.Processors = []*v1alpha1.DataProcessor{builder.Processor("shop").Namespace("front").Obj()}
				in.Policy.Purposes = []*v1alpha1.Purpose{builder.Purpose("delivery").Controller("shop").Obj()}
			}),
			[]string{"party shop: front/Enforce data/Report", store}, []string{"as it is, with these namespaces besides", "Purposes of shop: delivery."},
		},
		"nothing new of the data controller": {
			world(func(in *Input) {
				in.Policy.Processors = []*v1alpha1.DataProcessor{builder.Processor("shop").Namespace("data").Obj()}
			}),
			[]string{"purpose", store}, nil,
		},
		"a store that is there already": {
			world(func(in *Input) {
				in.Policy.Stores = []*v1alpha1.PersonalDataStore{builder.Store("data", "ledger").Selector(map[string]string{"app": "orders"}).Obj()}
			}),
			nil, []string{"Service data/orders leads to PersonalDataStore data/ledger, which is there already"},
		},
		"a Service that leads elsewhere": {
			world(func(in *Input) { in.Services[0].Spec.Selector = nil }),
			nil, []string{"write a PersonalDataStore with endpoint.external"},
		},
		"more namespaces than a party can have": {
			world(func(in *Input) {
				for i := range 40 {
					in.Own = append(in.Own, fmt.Sprintf("own-%02d", i))
				}
			}),
			[]string{"purpose", "party shop: data/Report" + many(31, " own-%02d/Report"), store}, []string{"Namespace own-31 is left out: a party has at most 32"},
		},
		"more stores than a contract can have": {
			world(func(in *Input) {
				in.Services, in.Workloads = nil, nil
				for i := range 70 {
					name := fmt.Sprintf("s-%02d", i)
					in.Services = append(in.Services, service("data", name, map[string]string{"app": name}, 5432))
					in.Workloads = append(in.Workloads, calling("courier", name, name+".data"))
				}
			}),
			slices.Concat([]string{"purpose", shop, courier},
				strings.Split(strings.TrimPrefix(many(70, "\nstore data/s-%02d map[app:s-%02[1]d] Report: 5432 Entrustee"), "\n"), "\n"),
				[]string{"contract courier shop→courier:" + many(64, " data/s-%02d"), "contract courier-2 shop→courier: data/s-64 data/s-65 data/s-66 data/s-67 data/s-68 data/s-69"}),
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			draft, err := New(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, outline(draft)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			text := written(t, draft)
			for _, says := range test.says {
				if !strings.Contains(text, says) {
					t.Errorf("does not say %q:\n%s", says, text)
				}
			}
		})
	}
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func written(t *testing.T, d Draft) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestNothingLooksLikeAStore(t *testing.T) {
	_, err := New(world(func(in *Input) { in.Services = nil }))
	if !errors.Is(err, ErrNoStore) {
		t.Error(err)
	}
}

// Whatever the order of what was read, the draft is the same.
func TestDraftIsTheSame(t *testing.T) {
	in := func() Input {
		return world(policy(named("courier"), named("web")), with(calling("courier", "b", "orders.data"), calling("courier", "a", "orders.data"), calling("web", "c", "orders.data")), func(in *Input) {
			in.Services = append(in.Services, service("data", "cache", map[string]string{"app": "cache"}, 6379), service("data", "orders-nodes", map[string]string{"app": "orders"}, 5432))
		})
	}
	draft, err := New(in())
	if err != nil {
		t.Fatal(err)
	}
	want := written(t, draft)
	turned := in()
	slices.Reverse(turned.Services)
	slices.Reverse(turned.Workloads)
	if draft, err = New(turned); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, written(t, draft)); diff != "" {
		t.Error(diff)
	}
}

// Nothing that an object says gets out of its comment or its quotes, and each placeholder says what goes there.
func TestWrittenDraftIsYAML(t *testing.T) {
	draft, err := New(world(policy(named("courier")), func(in *Input) {
		in.Services[0].Spec.Selector = map[string]string{"app": "orders", "on": "no", "n": "07", "x": "1_0"}
		in.Workloads[0].Labels = in.Services[0].Spec.Selector
		in.Workloads = append(in.Workloads, calling("courier", "x\nkind: Evil\u2028kind: Evil", "orders.data"))
	}))
	if err != nil {
		t.Fatal(err)
	}
	text := written(t, draft)
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "kind: Evil") {
			t.Errorf("got out: %s", line)
		}
		if strings.Contains(line, gather.Placeholder) && !strings.Contains(line, " # ") && !strings.HasPrefix(line, "# ") {
			t.Errorf("does not say what goes there: %s", line)
		}
	}
	files := gather.Read([]string{gather.Stdin}, strings.NewReader(text))
	for _, f := range files.Findings() {
		if f.Class != gather.Incomplete {
			t.Errorf("%+v", f)
		}
	}
	if len(files.Findings()) != strings.Count(text, gather.Placeholder)-strings.Count(text, "# Complete every") {
		t.Errorf("%d placeholders are found in\n%s", len(files.Findings()), text)
	}
	completed := strings.NewReplacer("country: "+gather.Placeholder, "country: JP", "notAfter: "+gather.Placeholder, "notAfter: \"2030-01-01T00:00:00Z\"",
		"concludedDate: "+gather.Placeholder, "concludedDate: \"2026-01-01\"", "- "+gather.Placeholder+" # Documented", "- Confidentiality # ", gather.Placeholder, "something").Replace(text)
	inputs, err := gather.FromFiles([]string{gather.Stdin}, strings.NewReader(completed))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"app": "orders", "on": "no", "n": "07", "x": "1_0"}
	if len(inputs.Stores) != 1 || len(entrustment.Compile(inputs, now).Entrustments()) != 1 {
		t.Fatal("objects are missing")
	}
	if diff := cmp.Diff(want, map[string]string(inputs.Stores[0].Spec.Endpoint.PodSelector.MatchLabels)); diff != "" {
		t.Error(diff)
	}
}
