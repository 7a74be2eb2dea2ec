package reach_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"entrustment.dev/operator/internal/reach"
)

type (
	peer  = networkingv1.NetworkPolicyPeer
	ports = []networkingv1.NetworkPolicyPort
)

// policy selects the pods app=store of namespace data.
func policy(change func(*networkingv1.NetworkPolicySpec)) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "data", Name: "other"}}
	p.Spec.PodSelector = *match("app", "store")
	change(&p.Spec)
	return p
}

func lets(from ...peer) func(*networkingv1.NetworkPolicySpec) {
	return func(s *networkingv1.NetworkPolicySpec) {
		s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from}}
	}
}

func letsOn(p ports, from ...peer) func(*networkingv1.NetworkPolicySpec) {
	return func(s *networkingv1.NetworkPolicySpec) {
		s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from, Ports: p}}
	}
}

func match(pairs ...string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		s.MatchLabels[pairs[i]] = pairs[i+1]
	}
	return s
}

func expression(key string, operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

func port(number int32) ports { return ports{{Port: ptr.To(intstr.FromInt32(number))}} }

func named(name string) ports { return ports{{Port: ptr.To(intstr.FromString(name))}} }

func ranged(from, to int32) ports {
	return ports{{Port: ptr.To(intstr.FromInt32(from)), EndPort: ptr.To(to)}}
}

func addresses(cidr string, except ...string) peer {
	return peer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}

func TestReaches(t *testing.T) {
	udp := corev1.ProtocolUDP
	for name, test := range map[string]struct {
		policies []*networkingv1.NetworkPolicy
		want     bool
	}{
		"nothing governs the pods": {nil, true},
		"a policy for other pods":  {[]*networkingv1.NetworkPolicy{policy(func(s *networkingv1.NetworkPolicySpec) { s.PodSelector = *match("app", "web") })}, true},
		"a policy without rules":   {[]*networkingv1.NetworkPolicy{policy(lets()), policy(func(*networkingv1.NetworkPolicySpec) {})}, true},
		"no rule at all":           {[]*networkingv1.NetworkPolicy{policy(func(*networkingv1.NetworkPolicySpec) {})}, false},
		"egress alone": {[]*networkingv1.NetworkPolicy{policy(func(s *networkingv1.NetworkPolicySpec) {
			s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		})}, true},
		"pods of the policy's own namespace":        {[]*networkingv1.NetworkPolicy{policy(lets(peer{PodSelector: match("app", "client")}))}, false},
		"pods of all namespaces":                    {[]*networkingv1.NetworkPolicy{policy(lets(peer{PodSelector: match("app", "client"), NamespaceSelector: match()}))}, true},
		"namespaces by a label":                     {[]*networkingv1.NetworkPolicy{policy(lets(peer{NamespaceSelector: match("team", "a")}))}, true},
		"other namespaces":                          {[]*networkingv1.NetworkPolicy{policy(lets(peer{NamespaceSelector: match("team", "b")}))}, false},
		"a label that is absent, not in":            {[]*networkingv1.NetworkPolicy{policy(lets(peer{NamespaceSelector: expression("none", metav1.LabelSelectorOpNotIn, "x")}))}, true},
		"an address":                                {[]*networkingv1.NetworkPolicy{policy(lets(addresses("10.0.0.0/8")))}, true},
		"an address that is excepted":               {[]*networkingv1.NetworkPolicy{policy(lets(addresses("10.0.0.0/8", "10.1.0.0/16")))}, false},
		"the other family":                          {[]*networkingv1.NetworkPolicy{policy(lets(addresses("::/0")))}, false},
		"the port":                                  {[]*networkingv1.NetworkPolicy{policy(letsOn(port(5432)))}, true},
		"another port":                              {[]*networkingv1.NetworkPolicy{policy(letsOn(port(5433)))}, false},
		"another protocol":                          {[]*networkingv1.NetworkPolicy{policy(letsOn(ports{{Protocol: &udp}}))}, false},
		"a range":                                   {[]*networkingv1.NetworkPolicy{policy(letsOn(ranged(5000, 6000)))}, true},
		"a range that ends before":                  {[]*networkingv1.NetworkPolicy{policy(letsOn(ranged(5000, 5431)))}, false},
		"the port's name":                           {[]*networkingv1.NetworkPolicy{policy(letsOn(named("db")))}, true},
		"the name of another port":                  {[]*networkingv1.NetworkPolicy{policy(letsOn(named("metrics")))}, false},
		"one policy that opens what another closes": {[]*networkingv1.NetworkPolicy{policy(func(*networkingv1.NetworkPolicySpec) {}), policy(lets())}, true},
	} {
		t.Run(name, func(t *testing.T) {
			flow := reach.Flow{
				From: &reach.Endpoint{
					Namespace: "app", NamespaceLabels: labels.Set{"team": "a"}, Labels: labels.Set{"app": "client"}, Address: netip.MustParseAddr("10.1.0.1"),
				},
				To: &reach.Endpoint{
					Namespace: "data", Labels: labels.Set{"app": "store"}, Address: netip.MustParseAddr("10.2.0.1"),
					Ports: []reach.NamedPort{{Name: "db", Number: 5432, Protocol: corev1.ProtocolTCP}, {Name: "metrics", Number: 9187, Protocol: corev1.ProtocolTCP}},
				},
				Port: 5432, Protocol: corev1.ProtocolTCP,
			}
			p := reach.Compile(test.policies)
			if got := p.Reaches(flow); got != test.want {
				t.Errorf("reaches: %v, %+v", got, p.Ingress(flow))
			}
			if v := p.Ingress(flow); v.Allowed && v.Governed != (v.By != nil) {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestOpensIngress(t *testing.T) {
	entrustee := peer{
		NamespaceSelector: expression(corev1.LabelMetadataName, metav1.LabelSelectorOpIn, "biller", "printer"),
		PodSelector: &metav1.LabelSelector{
			MatchLabels:      map[string]string{"entrustment": "fees"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "purpose", Operator: metav1.LabelSelectorOpIn, Values: []string{"billing", "dunning"}}},
		},
	}
	own := peer{
		NamespaceSelector: match(corev1.LabelMetadataName, "own"),
		PodSelector: &metav1.LabelSelector{
			MatchLabels:      map[string]string{"purpose": "billing"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "entrustment", Operator: metav1.LabelSelectorOpDoesNotExist}},
		},
	}
	intended := policy(func(s *networkingv1.NetworkPolicySpec) {
		pods := peer{PodSelector: match("app", "store")}
		s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []peer{pods}}, {From: []peer{pods, entrustee, own}, Ports: port(5432)}}
	})
	granted := func(namespace, purpose string, more ...string) peer {
		return peer{NamespaceSelector: match(corev1.LabelMetadataName, namespace), PodSelector: match(append(more, "purpose", purpose)...)}
	}
	for name, test := range map[string]struct {
		policy *networkingv1.NetworkPolicy
		want   string // peer; empty: opens nothing
	}{
		"no rule":                         {policy(func(*networkingv1.NetworkPolicySpec) {}), ""},
		"everybody":                       {policy(lets()), "everybody"},
		"everybody, on an unguarded port": {policy(letsOn(port(9187))), ""},
		"a range over a guarded port":     {policy(letsOn(ranged(5000, 6000))), "everybody"},
		"a port by its name":              {policy(letsOn(named("metrics"))), "everybody"},
		"other pods":                      {policy(func(s *networkingv1.NetworkPolicySpec) { lets()(s); s.PodSelector = *match("app", "web") }), ""},
		"pods that may be the store's":    {policy(func(s *networkingv1.NetworkPolicySpec) { lets()(s); s.PodSelector = *match("tier", "db") }), "everybody"},
		"all pods but the store's": {policy(func(s *networkingv1.NetworkPolicySpec) {
			lets()(s)
			s.PodSelector = *expression("app", metav1.LabelSelectorOpNotIn, "store")
		}), ""},
		"its egress": {policy(func(s *networkingv1.NetworkPolicySpec) {
			lets()(s)
			s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		}), ""},
		"the store's own pods":                {policy(lets(peer{PodSelector: match("app", "store", "role", "replica")})), ""},
		"pods of its namespace":               {policy(lets(peer{PodSelector: match()})), "all pods of namespace data"},
		"what is granted":                     {policy(lets(granted("biller", "billing", "entrustment", "fees"))), ""},
		"several that are granted":            {policy(letsOn(port(5432), entrustee)), ""},
		"a namespace that is not":             {policy(lets(granted("other", "billing", "entrustment", "fees"))), "pods entrustment=fees,purpose=billing of namespaces kubernetes.io/metadata.name=other"},
		"a purpose that is not":               {policy(lets(granted("biller", "marketing", "entrustment", "fees"))), "pods entrustment=fees,purpose=marketing of namespaces kubernetes.io/metadata.name=biller"},
		"own handling that may be entrusted":  {policy(lets(granted("own", "billing"))), "pods purpose=billing of namespaces kubernetes.io/metadata.name=own"},
		"a granted one among others":          {policy(lets(own, peer{NamespaceSelector: match("team", "x")})), "all pods of namespaces team=x"},
		"addresses":                           {policy(lets(addresses("10.0.0.0/8", "10.1.0.0/16"))), "addresses 10.0.0.0/8 except 10.1.0.0/16"},
		"nobody, by a selector that excludes": {policy(lets(peer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}, MatchExpressions: expression("a", metav1.LabelSelectorOpDoesNotExist).MatchExpressions}})), ""},
	} {
		t.Run(name, func(t *testing.T) {
			protection := reach.Protection{
				Namespace: "data", Pods: match("app", "store"), Ports: []reach.Port{{Number: 5432, Protocol: corev1.ProtocolTCP}},
				Intended: []*networkingv1.NetworkPolicy{intended},
			}
			got, opens := protection.OpensIngress(test.policy)
			if opens != (test.want != "") || got.Peer != test.want {
				t.Errorf("opens %v to %q, want %q", opens, got.Peer, test.want)
			}
			if opens && got.Policy.String() != "data/other" {
				t.Errorf("%s", got.Policy)
			}
		})
	}
}

func out(p ports, to ...peer) func(*networkingv1.NetworkPolicySpec) {
	return func(s *networkingv1.NetworkPolicySpec) {
		s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
		s.Egress = []networkingv1.NetworkPolicyEgressRule{{To: to, Ports: p}}
	}
}

func TestOpensEgress(t *testing.T) {
	intended := policy(func(s *networkingv1.NetworkPolicySpec) {
		out(port(443), addresses("203.0.113.0/24", "203.0.113.8/29"))(s)
		s.Egress = append(s.Egress, networkingv1.NetworkPolicyEgressRule{To: []peer{{PodSelector: match("app", "store")}}})
	})
	for name, test := range map[string]struct {
		change func(*networkingv1.NetworkPolicySpec)
		want   bool
	}{
		"nothing":                    {func(s *networkingv1.NetworkPolicySpec) { out(nil)(s); s.Egress = nil }, false},
		"everything":                 {out(nil), true},
		"within what is intended":    {out(port(443), addresses("203.0.113.0/28", "203.0.113.8/29")), false},
		"an address that is not":     {out(port(443), addresses("203.0.113.0/28")), true},
		"a port that is not":         {out(port(444), addresses("203.0.113.0/29")), true},
		"every port":                 {out(nil, addresses("203.0.113.0/29")), true},
		"a wider block":              {out(port(443), addresses("203.0.0.0/16")), true},
		"pods that are intended":     {out(nil, peer{PodSelector: match("app", "store")}), false},
		"ingress alone":              {lets(), false},
		"pods of other namespaces":   {out(nil, peer{NamespaceSelector: match(), PodSelector: match("app", "store")}), true},
		"pods that are not selected": {func(s *networkingv1.NetworkPolicySpec) { out(nil)(s); s.PodSelector = *match("app", "web") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			protection := reach.Protection{Namespace: "data", Pods: match("app", "store"), Intended: []*networkingv1.NetworkPolicy{intended}}
			if got, opens := protection.OpensEgress(policy(test.change)); opens != test.want {
				t.Errorf("opens %v: %+v", opens, got)
			}
		})
	}
}

func TestExposure(t *testing.T) {
	selecting := func(pods *metav1.LabelSelector, change func(*networkingv1.NetworkPolicySpec)) *networkingv1.NetworkPolicy {
		return policy(func(s *networkingv1.NetworkPolicySpec) { change(s); s.PodSelector = *pods })
	}
	unlabelled, labelled := expression("entrustment", metav1.LabelSelectorOpDoesNotExist), expression("entrustment", metav1.LabelSelectorOpExists)
	baseline := selecting(unlabelled, out(nil, peer{NamespaceSelector: match()}, addresses("0.0.0.0/0", "192.0.2.0/24"), addresses("::/0")))
	floor := selecting(labelled, func(s *networkingv1.NetworkPolicySpec) { out(nil)(s); s.Egress = nil })
	grant := selecting(match("purpose", "billing"), out(port(5432), addresses("192.0.2.0/24")))
	for name, test := range map[string]struct {
		policies []*networkingv1.NetworkPolicy
		want     bool
	}{
		"no policy":                          {nil, true},
		"a baseline alone":                   {[]*networkingv1.NetworkPolicy{baseline}, true},
		"a baseline and a floor":             {[]*networkingv1.NetworkPolicy{baseline, floor}, false},
		"with a grant":                       {[]*networkingv1.NetworkPolicy{baseline, floor, grant}, false},
		"everything closed by somebody":      {[]*networkingv1.NetworkPolicy{selecting(match(), func(s *networkingv1.NetworkPolicySpec) { out(nil)(s); s.Egress = nil })}, false},
		"opened to everything":               {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(nil))}, true},
		"opened to the addresses":            {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(nil, addresses("192.0.0.0/16")))}, true},
		"opened to some of them":             {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(nil, addresses("192.0.2.0/24", "192.0.2.0/25")))}, true},
		"opened around them":                 {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(nil, addresses("192.0.0.0/16", "192.0.2.0/24")))}, false},
		"opened on another port":             {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(port(443), addresses("192.0.2.0/24")))}, false},
		"opened on the port by a name":       {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(named("db"), addresses("192.0.2.0/24")))}, false},
		"opened to pods":                     {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(match("app", "x"), out(nil, peer{NamespaceSelector: match()}))}, false},
		"a grant that reaches to other pods": {[]*networkingv1.NetworkPolicy{baseline, floor, selecting(expression("purpose", metav1.LabelSelectorOpIn, "billing", "x"), out(nil, addresses("192.0.2.0/24")))}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, exposed := reach.Exposure{
				Policies: test.policies, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
				Ports: []reach.Port{{Number: 5432, Protocol: corev1.ProtocolTCP}}, Granted: []*metav1.LabelSelector{match("purpose", "billing")},
			}.Find()
			if exposed != test.want {
				t.Errorf("exposed %v: %+v", exposed, got)
			}
		})
	}
}

func TestGovernsEgress(t *testing.T) {
	unlabelled := expression("entrustment", metav1.LabelSelectorOpDoesNotExist)
	for name, test := range map[string]struct {
		change func(*networkingv1.NetworkPolicySpec)
		want   reach.Governed
	}{
		"ingress":    {lets(), reach.GovernedNone},
		"some pods":  {out(nil), reach.GovernedSome},
		"all pods":   {func(s *networkingv1.NetworkPolicySpec) { out(nil)(s); s.PodSelector = metav1.LabelSelector{} }, reach.GovernedAll},
		"those pods": {func(s *networkingv1.NetworkPolicySpec) { out(nil)(s); s.PodSelector = *unlabelled }, reach.GovernedAll},
		"others": {func(s *networkingv1.NetworkPolicySpec) {
			out(nil)(s)
			s.PodSelector = *expression("entrustment", metav1.LabelSelectorOpExists)
		}, reach.GovernedNone},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reach.GovernsEgress([]*networkingv1.NetworkPolicy{policy(test.change)}, unlabelled); got != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}
