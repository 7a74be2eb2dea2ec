package entrustment

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"entrustment.dev/operator/api/v1alpha1"
)

// Summary counts what a snapshot holds.
type Summary struct {
	Objects      map[string]int // by kind
	Grants       map[string]int // by the DataProcessor to which the namespace is bound
	Entrustments map[Activity]int
	Ending       map[v1alpha1.Reason]int // of those that are active: how near the end is
	NextEnd      time.Time               // of an entrustment that is in force; zero: none ends
}

// Activity is what the condition Active of an Entrustment says.
type Activity struct {
	Active bool
	Reason v1alpha1.Reason
}

// Summary looks at everything once.
func (s *Snapshot) Summary() Summary {
	summary := Summary{
		Objects: map[string]int{
			"Purpose": len(s.purposes), "PersonalDataStore": len(s.stores), "Entrustment": len(s.contracts), "DataProcessor": 0,
		},
		Grants:       map[string]int{},
		Entrustments: map[Activity]int{},
		Ending: map[v1alpha1.Reason]int{
			v1alpha1.ReasonEndsLater: 0, v1alpha1.ReasonEndsWithin30Days: 0, v1alpha1.ReasonEndsWithin7Days: 0, v1alpha1.ReasonEndsWithin1Day: 0,
		},
	}
	for _, p := range s.parties {
		if !p.missing() {
			summary.Objects["DataProcessor"]++
		}
	}
	for namespace, b := range s.bindings {
		if access, bound := s.NamespaceAccess(namespace); bound {
			summary.Grants[b.party.name] += len(access.Grants)
		}
	}
	for _, c := range s.contracts {
		say := conditions{}
		s.active(&say, c)
		active := say.find(v1alpha1.ConditionActive)
		is := Activity{active.Status == metav1.ConditionTrue, v1alpha1.Reason(active.Reason)}
		summary.Entrustments[is]++
		if is.Active {
			summary.Ending[s.calendar.nearness(c.end())]++
			summary.NextEnd = earlier(summary.NextEnd, c.until)
		}
	}
	return summary
}
