package sequence

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
	"entrustment.dev/operator/test/oracle"
)

// controller is the party whose data all is about; entrustees may be entrusted with it, in this order down a chain.
const controller = "c1"

var (
	entrustees = []string{"d1", "d2", "d3"}
	purposes   = []string{"billing", "invoices", "reminders", "research"} // invoices and reminders are part of billing
	stores     = []types.NamespacedName{{Namespace: "s1", Name: "ledger"}, {Namespace: "s1", Name: "letters"}, {Namespace: "s2", Name: "archive"}}
	outside    = types.NamespacedName{Namespace: "s2", Name: "archive"} // is outside the cluster
)

// address at which the store outside the cluster is.
const address = "198.51.100.7"

// begin is a world in order, in which much is granted: three tiers of contracts under one data controller.
func begin(now time.Time) oracle.World {
	w := oracle.World{Now: now}
	w.Namespaces = map[string]types.UID{}
	for _, name := range []string{"s1", "s2"} {
		w.Namespaces[name] = types.UID("uid-" + name)
	}
	for _, name := range append([]string{controller}, entrustees...) {
		namespace := "n-" + name
		w.Namespaces[namespace] = types.UID("uid-" + namespace)
		w.Processors = append(w.Processors, builder.Processor(name).Namespace(namespace).Observed(namespace, w.Namespaces[namespace]).Obj())
	}
	for _, name := range purposes {
		purpose := builder.Purpose(name).Controller(controller)
		if name == "invoices" || name == "reminders" {
			purpose.Parent("billing")
		}
		w.Purposes = append(w.Purposes, purpose.Obj())
	}
	for _, key := range stores {
		store := builder.Store(key.Namespace, key.Name).Controller(controller).Categories("user.name").AllowedPurposes("billing", "research").
			Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee).Credential("reader", "reader-of-"+key.Name)
		store.Selector(map[string]string{"app": key.Name})
		if key == outside {
			store.External(address + "/32")
		}
		w.Stores = append(w.Stores, store.Obj())
	}
	w.Entrustments = []*v1alpha1.Entrustment{
		contract("e1", controller, "d1", "").PriorApproval("d2", "d3").Obj(),
		contract("e2", "d1", "d2", "e1").PriorApproval("d3").Obj(),
		contract("e3", "d2", "d3", "e2").Obj(),
		contract("f1", controller, "d2", "").Obj(),
	}
	for _, e := range w.Entrustments {
		e.CreationTimestamp.Time = now.AddDate(0, -2, 0)
		e.Spec.NotAfter.Time = now.AddDate(1, 0, 0)
	}
	return w
}

func contract(name, from, to, parent string) *builder.EntrustmentBuilder {
	var keys []string
	for _, key := range stores {
		keys = append(keys, key.String())
	}
	return builder.Entrustment(name).From(from).To(to).Parent(parent).Purposes("billing", "research").Categories("user").Stores(keys...)
}

// Operation is what somebody does, or what time does. It names what it changes, so that one can be left out of a sequence
// without changing the others.
type Operation struct {
	Name   string
	change func(*oracle.World)
	start  *pod // instead: a pod that is to start
}

// sequenceOf draws a sequence.
func sequenceOf(r *rand.Rand, length int) []Operation {
	g := generator{r}
	var list []Operation
	for range length {
		list = append(list, g.operation())
	}
	return list
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, list []T) T { return list[g.IntN(len(list))] }

var contracts = []string{"e1", "e2", "e3", "f1"}

// operation draws one. Much of what takes away is undone by another, so that a sequence does not run dry.
func (g generator) operation() Operation {
	e, party, key, p := pick(g, contracts), pick(g, append([]string{controller}, entrustees...)), pick(g, stores), pick(g, purposes)
	on := g.IntN(2) == 0
	switch g.IntN(20) {
	case 0, 1:
		return ofContract(fmt.Sprintf("suspend %s: %v", e, on), e, func(e *v1alpha1.Entrustment, _ time.Time) {
			e.Spec.Suspended, e.Spec.SuspendedReason = on, reasonIf(on)
		})
	case 2:
		return ofParty(fmt.Sprintf("suspend %s: %v", party, on), party, func(p *v1alpha1.DataProcessor) {
			p.Spec.Suspended, p.Spec.SuspendedReason = on, reasonIf(on)
		})
	case 3:
		return ofStore(fmt.Sprintf("suspend %s: %v", key, on), key, func(st *v1alpha1.PersonalDataStore) {
			st.Spec.Suspended, st.Spec.SuspendedReason = on, reasonIf(on)
		})
	case 4, 5:
		return ofContract(fmt.Sprintf("purposes of %s: %s %v", e, p, on), e, func(e *v1alpha1.Entrustment, _ time.Time) {
			e.Spec.Purposes = toggled(e.Spec.Purposes, p, on)
		})
	case 6:
		return ofContract(fmt.Sprintf("stores of %s: %s %v", e, key, on), e, func(e *v1alpha1.Entrustment, _ time.Time) {
			ref := v1alpha1.StoreReference{Namespace: key.Namespace, Name: key.Name}
			rest := slices.DeleteFunc(slices.Clone(e.Spec.Stores), func(r v1alpha1.StoreReference) bool { return r == ref })
			if on || len(rest) == 0 {
				rest = append(rest, ref)
			}
			e.Spec.Stores = rest
		})
	case 7:
		return ofStore(fmt.Sprintf("purposes of %s: %s %v", key, p, on), key, func(st *v1alpha1.PersonalDataStore) {
			st.Spec.AllowedPurposes = toggled(st.Spec.AllowedPurposes, p, on)
		})
	case 8:
		return ofStore(fmt.Sprintf("recipients of %s: %v", key, on), key, func(st *v1alpha1.PersonalDataStore) {
			st.Spec.AllowedRecipients = []v1alpha1.Recipient{v1alpha1.RecipientEntrustee}
			if on {
				st.Spec.AllowedRecipients = append(st.Spec.AllowedRecipients, v1alpha1.RecipientSubEntrustee)
			}
		})
	case 9:
		return ofContract("end "+e, e, func(e *v1alpha1.Entrustment, now time.Time) { e.Spec.NotAfter.Time = now })
	case 10:
		return ofContract("renew "+e, e, func(e *v1alpha1.Entrustment, now time.Time) { e.Spec.NotAfter.Time = now.AddDate(1, 0, 0) })
	case 11:
		return ofContract(fmt.Sprintf("approvals of %s: d3 %v", e, on), e, func(e *v1alpha1.Entrustment, _ time.Time) {
			if e.Spec.SubEntrustment != nil {
				e.Spec.SubEntrustment.ApprovedProcessorNames = toggled(e.Spec.SubEntrustment.ApprovedProcessorNames, "d3", on)
			}
		})
	case 12:
		return ofContract("delete "+e, e, func(e *v1alpha1.Entrustment, now time.Time) {
			if e.DeletionTimestamp == nil {
				e.DeletionTimestamp = &metav1.Time{Time: now}
			}
		})
	case 13:
		return Operation{Name: "dispose and make anew " + e, change: func(w *oracle.World) { remake(w, e) }}
	case 14:
		namespace := "n-" + party
		return Operation{Name: fmt.Sprintf("bind %s: %v", namespace, on), change: func(w *oracle.World) { bind(w, party, namespace, on) }}
	case 15:
		return Operation{Name: "make anew n-" + party, change: func(w *oracle.World) { recreate(w, "n-"+party) }}
	case 16:
		return ofStore(fmt.Sprintf("report %s: %v", key, on), key, func(st *v1alpha1.PersonalDataStore) {
			st.Spec.Enforcement = v1alpha1.EnforcementEnforce
			if on {
				st.Spec.Enforcement = v1alpha1.EnforcementReport
			}
		})
	case 17:
		wait := pick(g, []time.Duration{time.Second, time.Hour, 24 * time.Hour, 200 * 24 * time.Hour})
		return Operation{Name: "wait " + wait.String(), change: func(w *oracle.World) { w.Now = w.Now.Add(wait) }}
	default:
		return g.start(party, p)
	}
}

// start a pod that declares what is likely to be granted.
func (g generator) start(party, p string) Operation {
	under := ""
	if party != controller {
		under = map[string]string{"d1": "e1", "d2": "e2", "d3": "e3"}[party]
		if party == "d2" && g.IntN(2) == 0 {
			under = "f1"
		}
	}
	started := &pod{namespace: "n-" + party, purpose: p, entrustment: under}
	return Operation{Name: fmt.Sprintf("start a pod in n-%s for %s under %q", party, p, under), start: started}
}

func reasonIf(on bool) string {
	if on {
		return "incident"
	}
	return ""
}

// toggled is a list that has an item or not, and at least one.
func toggled(list []string, item string, on bool) []string {
	rest := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == item })
	if on || len(rest) == 0 {
		rest = append(rest, item)
	}
	slices.Sort(rest)
	return rest
}

func ofContract(name, of string, change func(*v1alpha1.Entrustment, time.Time)) Operation {
	return Operation{Name: name, change: func(w *oracle.World) {
		for _, e := range w.Entrustments {
			if e.Name == of {
				change(e, w.Now.Truncate(time.Second))
				e.Generation++
			}
		}
	}}
}

func ofParty(name, of string, change func(*v1alpha1.DataProcessor)) Operation {
	return Operation{Name: name, change: func(w *oracle.World) {
		for _, p := range w.Processors {
			if p.Name == of {
				change(p)
				p.Generation++
			}
		}
	}}
}

func ofStore(name string, of types.NamespacedName, change func(*v1alpha1.PersonalDataStore)) Operation {
	return Operation{Name: name, change: func(w *oracle.World) {
		for _, st := range w.Stores {
			if st.Namespace == of.Namespace && st.Name == of.Name {
				change(st)
				st.Generation++
			}
		}
	}}
}

// remake lets a contract that was deleted go, and concludes it anew.
func remake(w *oracle.World, name string) {
	for i, e := range w.Entrustments {
		if e.Name != name || e.DeletionTimestamp == nil {
			continue
		}
		for _, fresh := range begin(w.Now).Entrustments {
			if fresh.Name == name {
				w.Entrustments[i] = fresh
			}
		}
	}
}

// bind binds a namespace, or lets it go. Who binds it anew takes it as it is now.
func bind(w *oracle.World, party, namespace string, on bool) {
	for _, p := range w.Processors {
		if p.Name != party || on == (len(p.Spec.Namespaces) > 0) {
			continue
		}
		p.Spec.Namespaces, p.Status.Namespaces = nil, nil
		if on {
			bound := builder.Processor(party).Namespace(namespace).Observed(namespace, w.Namespaces[namespace]).Obj()
			p.Spec.Namespaces, p.Status.Namespaces = bound.Spec.Namespaces, bound.Status.Namespaces
		}
		p.Generation++
	}
}

// recreate makes a namespace anew under its name: somebody else may have done so.
func recreate(w *oracle.World, namespace string) {
	w.Namespaces[namespace] += "+"
}
