package entrustment_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
	"entrustment.dev/operator/test/builder"
)

func TestDestinations(t *testing.T) {
	to := func(cidr string, ports ...int32) v1alpha1.EgressDestination {
		d := v1alpha1.EgressDestination{Description: "x", CIDR: cidr}
		for _, port := range ports {
			d.Ports = append(d.Ports, v1alpha1.Port{Port: port})
		}
		return d
	}
	type egress = []v1alpha1.EgressDestination
	for name, test := range map[string]struct {
		parent, child egress
		want          []string // of the child
	}{
		"nothing":                        {nil, nil, nil},
		"more than the parent has":       {nil, egress{to("192.0.2.0/24")}, nil},
		"less than the parent has":       {egress{to("192.0.2.0/24")}, nil, nil},
		"the same":                       {egress{to("192.0.2.0/24", 443)}, egress{to("192.0.2.0/24", 443)}, []string{"192.0.2.0/24 [443]"}},
		"a part of it":                   {egress{to("192.0.2.0/24")}, egress{to("192.0.2.8/29", 443)}, []string{"192.0.2.8/29 [443]"}},
		"a wider range is clipped":       {egress{to("192.0.2.8/29")}, egress{to("192.0.2.0/24")}, []string{"192.0.2.8/29 []"}},
		"ports are clipped":              {egress{to("192.0.2.0/24", 443)}, egress{to("192.0.2.0/24", 443, 80)}, []string{"192.0.2.0/24 [443]"}},
		"all ports are clipped":          {egress{to("192.0.2.0/24", 443)}, egress{to("192.0.2.0/24")}, []string{"192.0.2.0/24 [443]"}},
		"no port is left":                {egress{to("192.0.2.0/24", 443)}, egress{to("192.0.2.0/24", 80)}, nil},
		"elsewhere":                      {egress{to("192.0.2.0/24")}, egress{to("198.51.100.0/24")}, nil},
		"the other family":               {egress{to("0.0.0.0/0")}, egress{to("2001:db8::/48")}, nil},
		"what cannot be read is nothing": {egress{to("anywhere")}, egress{to("192.0.2.0/24")}, nil},
		"twice is once, sorted": {
			egress{to("192.0.2.0/24"), to("0.0.0.0/0")}, egress{to("198.51.100.0/24"), to("192.0.2.1/24")},
			[]string{"192.0.2.0/24 []", "198.51.100.0/24 []"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := entrustment.Compile(entrustment.Inputs{Entrustments: []*v1alpha1.Entrustment{
				builder.Entrustment("child").Parent("parent").With(func(e *v1alpha1.Entrustment) { e.Spec.Egress = test.child }).Obj(),
				builder.Entrustment("parent").With(func(e *v1alpha1.Entrustment) { e.Spec.Egress = test.parent }).Obj(),
			}}, time.Now())
			var got []string
			for _, d := range s.Destinations("child") {
				var ports []int32
				for _, p := range d.Ports {
					ports = append(ports, p.Port)
				}
				got = append(got, fmt.Sprint(d.CIDR, " ", ports))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if !s.SameDestinations(s, "child") {
				t.Error("other destinations than its own")
			}
		})
	}
}
