package entrustment_test

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/internal/entrustment"
)

var benchNow = time.Date(2026, time.November, 23, 3, 0, 0, 0, time.UTC)

// benchWorld is a data controller with a tree of 200 purposes and a store for every ten contracts, entrusting in chains
// of three tiers, each party with one namespace.
func benchWorld(contracts int) (in entrustment.Inputs, request entrustment.Request) {
	const purposes, width = 200, 6
	for i := range purposes {
		p := &v1alpha1.Purpose{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("purpose-%d", i)}}
		p.Spec.ControllerName, p.Spec.Title, p.Spec.Disposition = "controller", "Purpose", v1alpha1.DispositionPermitted
		if i > 0 {
			p.Spec.ParentName = fmt.Sprintf("purpose-%d", (i-1)/width)
		}
		in.Purposes = append(in.Purposes, p)
	}
	categories := []string{"user.name", "user.contact.email", "user.contact.address", "user.account", "user.payment", "user.financial.bank_account"}
	stores := max(1, contracts/10)
	for i := range stores {
		s := &v1alpha1.PersonalDataStore{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("data-%d", i%100), Name: fmt.Sprintf("store-%d", i)}}
		s.Spec.ControllerName = "controller"
		s.Spec.DataCategories = categories
		s.Spec.AllowedPurposes = []string{"purpose-1", "purpose-2", "purpose-3"}
		s.Spec.ProhibitedPurposes = []string{"purpose-15"}
		s.Spec.AllowedRecipients = []v1alpha1.Recipient{v1alpha1.RecipientEntrustee, v1alpha1.RecipientSubEntrustee}
		s.Spec.Endpoint = v1alpha1.Endpoint{
			PodSelector: &v1alpha1.PodSelector{MatchLabels: map[string]string{"app": s.Name}},
			Ports:       []v1alpha1.Port{{Port: 5432, Protocol: v1alpha1.ProtocolTCP}},
		}
		in.Stores = append(in.Stores, s)
	}
	party := func(name, namespace string) {
		p := &v1alpha1.DataProcessor{ObjectMeta: metav1.ObjectMeta{Name: name}}
		p.Spec.LegalName, p.Spec.Country = name, "JP"
		p.Spec.Namespaces = []v1alpha1.NamespaceBinding{{Name: namespace, Enforcement: v1alpha1.EnforcementEnforce}}
		in.Processors = append(in.Processors, p)
	}
	party("controller", "own")
	notBefore := metav1.NewTime(benchNow.AddDate(0, -6, 0))
	for i := range contracts {
		e := &v1alpha1.Entrustment{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("contract-%d", i), CreationTimestamp: notBefore}}
		entrustee := fmt.Sprintf("party-%d", i)
		party(entrustee, fmt.Sprintf("work-%d", i))
		e.Spec.EntrusterName, e.Spec.EntrusteeName = "controller", entrustee
		if i%3 != 0 {
			e.Spec.ParentName, e.Spec.EntrusterName = fmt.Sprintf("contract-%d", i-1), fmt.Sprintf("party-%d", i-1)
		}
		e.Spec.Purposes = []string{"purpose-1", "purpose-2"}
		e.Spec.DataCategories = []string{"user.name", "user.contact", "user.account", "user.payment", "user.financial"}
		for j := range 3 {
			store := in.Stores[(i/3+j)%stores]
			if j == 0 || store != in.Stores[(i/3)%stores] {
				e.Spec.Stores = append(e.Spec.Stores, v1alpha1.StoreReference{Namespace: store.Namespace, Name: store.Name})
			}
		}
		e.Spec.Territories = []string{"JP"}
		e.Spec.NotBefore, e.Spec.NotAfter = &notBefore, metav1.NewTime(benchNow.AddDate(0, 6, 0))
		e.Spec.SubEntrustment = &v1alpha1.SubEntrustment{
			Policy: v1alpha1.SubEntrustmentPriorApproval,
			// The root approves both tiers below it, the second tier the third.
			ApprovedProcessorNames: []string{fmt.Sprintf("party-%d", i+1), fmt.Sprintf("party-%d", i+2)},
		}
		in.Entrustments = append(in.Entrustments, e)
	}
	last := (contracts/3)*3 - 1
	ref := in.Entrustments[last].Spec.Stores[0]
	return in, entrustment.Request{
		Namespace: fmt.Sprintf("work-%d", last), Purpose: "purpose-7", Entrustment: fmt.Sprintf("contract-%d", last),
		Store: types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name},
	}
}

var sizes = []int{100, 1_000, 10_000, 100_000}

func BenchmarkCompile(b *testing.B) {
	for _, size := range sizes {
		in, _ := benchWorld(size)
		b.Run(fmt.Sprintf("entrustments=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				entrustment.Compile(in, benchNow)
			}
		})
	}
}

func BenchmarkAuthorize(b *testing.B) {
	for _, size := range sizes {
		in, allow := benchWorld(size)
		s := entrustment.Compile(in, benchNow)
		deny := allow
		deny.Purpose = "purpose-20" // entrusted neither itself nor below anything that is
		for name, request := range map[string]entrustment.Request{"allow": allow, "deny": deny} {
			b.Run(fmt.Sprintf("%s/entrustments=%d", name, size), func(b *testing.B) {
				if d := s.Authorize(request); d.Allowed() != (name == "allow") {
					b.Fatal(d.Reason(), d.Message())
				}
				b.ReportAllocs()
				for b.Loop() {
					_ = s.Authorize(request)
				}
			})
		}
	}
}

func TestAuthorizeDoesNotAllocate(t *testing.T) {
	in, allow := benchWorld(300)
	s := entrustment.Compile(in, benchNow)
	deny := allow
	deny.Purpose = "purpose-20"
	for name, request := range map[string]entrustment.Request{"allow": allow, "deny": deny} {
		if n := testing.AllocsPerRun(100, func() { _ = s.Authorize(request) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

// Each further contract, with its party, namespace and a tenth of a store, costs the same few allocations.
func TestCompileAllocatesLittle(t *testing.T) {
	allocations := func(contracts int) float64 {
		in, _ := benchWorld(contracts)
		return testing.AllocsPerRun(3, func() { entrustment.Compile(in, benchNow) })
	}
	const few, many = 3_000, 6_000
	if each := (allocations(many) - allocations(few)) / (many - few); each > 2.5 {
		t.Errorf("%.2f allocations for each contract", each)
	}
}
