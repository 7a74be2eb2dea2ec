package builder

import (
	"fmt"
	"time"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

// Large is a policy of about as many objects as asked for, namespaces included, in every state that a contract can have at an
// instant. Its titles are what somebody might write who wants a page to do something else than show them.
func Large(objects int, now time.Time) entrustment.Inputs {
	const hostile = `</title></svg><script>alert(1)</script><img src=x onerror=alert(1)>"'&{{.}}]]>`
	contracts := max(3, objects*2/9)
	var in entrustment.Inputs
	in.Processors = append(in.Processors, Processor("controller").Country("JP").Namespace("own").With(func(p *v1alpha1.DataProcessor) {
		p.Spec.LegalName = "Controller " + hostile
	}).Obj())
	purposes := max(2, objects/6)
	for i := range purposes {
		p := Purpose(fmt.Sprintf("purpose-%d", i)).Controller("controller").Title(fmt.Sprintf("Purpose of use %d %s", i, hostile))
		if i%7 != 0 {
			p = p.Parent(fmt.Sprintf("purpose-%d", i/7*7))
		}
		in.Purposes = append(in.Purposes, p.Obj())
	}
	stores := max(1, objects/6)
	for i := range stores {
		in.Stores = append(in.Stores, Store(fmt.Sprintf("data-%d", i%5), fmt.Sprintf("store-%d", i)).Controller("controller").Categories("user").
			AllowedPurposes(fmt.Sprintf("purpose-%d", i%purposes), fmt.Sprintf("purpose-%d", (i*3+1)%purposes)).
			Recipients(v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee).
			Selector(map[string]string{"app": fmt.Sprintf("store-%d", i)}).
			With(func(s *v1alpha1.PersonalDataStore) { s.Spec.Title = fmt.Sprintf("Store %d %s", i, hostile) }).Obj())
	}
	for i := range contracts {
		name, party := fmt.Sprintf("contract-%d", i), fmt.Sprintf("party-%d", i)
		in.Processors = append(in.Processors, Processor(party).Country("JP").Namespace("work-"+party).Selected(v1alpha1.SelectionApproved).
			With(func(p *v1alpha1.DataProcessor) { p.Spec.LegalName = fmt.Sprintf("Entrustee %d Ltd.", i) }).Obj())
		store := in.Stores[i%stores]
		e := Entrustment(name).From("controller").To(party).Purposes(store.Spec.AllowedPurposes...).Categories("user").
			Stores(store.Namespace + "/" + store.Name).Territories("JP").NotBefore(now.AddDate(0, -6, 0)).NotAfter(now.AddDate(0, 6, i%90)).
			PriorApproval(fmt.Sprintf("party-%d", i+1))
		switch i % 10 {
		case 3: // below the one before
			e = e.From(fmt.Sprintf("party-%d", i-1)).Parent(fmt.Sprintf("contract-%d", i-1)).Stores(in.Entrustments[i-1].Spec.Stores[0].Namespace + "/" + in.Entrustments[i-1].Spec.Stores[0].Name).
				Purposes(in.Entrustments[i-1].Spec.Purposes...)
		case 5:
			e = e.NotAfter(now.AddDate(0, 0, 14))
		case 6:
			e = e.Suspended()
		case 7:
			e = e.NotAfter(now.AddDate(0, 0, -14))
		case 8:
			e = e.NotBefore(now.AddDate(0, 1, 0))
		case 9: // which nobody approved
			e = e.From(fmt.Sprintf("party-%d", i-9)).Parent(fmt.Sprintf("contract-%d", i-9))
		}
		in.Entrustments = append(in.Entrustments, e.With(func(e *v1alpha1.Entrustment) { e.Spec.Services = fmt.Sprintf("Services %d %s", i, hostile) }).Obj())
	}
	return in
}
