package bypass

import (
	"entrustment.dev/operator/api/v1alpha1"
	"entrustment.dev/operator/test/builder"
)

// The rules on writing in somebody's name, and on deleting what is in use.
const (
	entrustRule       = "entrust.entrustment.dev"
	namespacesRule    = "namespaces.entrustment.dev"
	inUse             = "in-use.entrustment.dev"
	inUsePurposes     = "in-use-purposes.entrustment.dev"
	inUseProhibitions = "in-use-prohibitions.entrustment.dev"
	entrustmentHook   = "entrustment.admission.entrustment.dev"
	purposeHook       = "purpose.admission.entrustment.dev"
	deleteHook        = "delete.admission.entrustment.dev"
)

// handshakeVectors are the rest of A9.
var handshakeVectors = func() []vector {
	used := hook(deleteHook, "InUse")
	entrust := guard(entrustRule, "entrust")
	fees := builder.Entrustment("fees").Obj()
	contract := builder.Entrustment("x").To("biller").Purposes("billing").Stores("data/orders")
	return []vector{
		{"A9.40 entrust in the controller's name", officer, creates(contract.Obj()), unseen, entrust},
		{"A9.41 approve of oneself", officer, changes(fees, func(e *v1alpha1.Entrustment) { e.Spec.SubEntrustment.ApprovedProcessorNames = []string{"rival", "x"} }, byStrategic), unseen, entrust},
		{"A9.42 extend one's contract", officer, changes(fees, func(e *v1alpha1.Entrustment) { e.Spec.Purposes = append(e.Spec.Purposes, "marketing") }, byStrategic), unseen, entrust},
		{"A9.43 end a contract of others", officer, deletes(fees), unseen, entrust},
		{"A9.44 suspend a contract of others", officer, changes(fees, func(e *v1alpha1.Entrustment) { e.Spec.Suspended, e.Spec.SuspendedReason = true, "x" }, byStrategic), unseen, entrust},
		{"A9.45 publish a purpose in the controller's name", officer, creates(builder.Purpose("x").Obj()), unseen, entrust},
		{"A9.46 change a purpose of the controller's", officer, changes(builder.Purpose("billing").Obj(), func(p *v1alpha1.Purpose) { p.Spec.Title = "Anything" }, byStrategic), unseen, entrust},
		{"A9.47 delete a purpose of the controller's", officer, deletes(builder.Purpose("unused").Obj()), hook(deleteHook, ""), entrust},
		{"A9.48 make a store that only reports", owner, creates(store("data", "x").Report().Obj()), unseen, entrust},
		{"A9.85 guard another port than that of the data", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Spec.Endpoint.Ports = []v1alpha1.Port{{Port: 1}} }, byStrategic), unseen, entrust},
		{"P10.80 guard one more port", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) {
			s.Spec.Endpoint.Ports = append(s.Spec.Endpoint.Ports, v1alpha1.Port{Port: 6432, Protocol: v1alpha1.ProtocolTCP})
		}, byStrategic), unseen, admitted},
		{"A9.86 make a store in a system namespace", root, creates(store("kube-system", "x").Obj()), unseen, guard("store-namespaces.entrustment.dev", "must not be in a system namespace")},
		{"A9.49 let a store only report", owner, changes(orders, func(s *v1alpha1.PersonalDataStore) { s.Spec.Enforcement = v1alpha1.EnforcementReport }, byStrategic), unseen, entrust},
		{"A9.50 claim an address outside", owner, creates(store("data", "x").External("203.0.113.0/24").Obj()), unseen, entrust},
		{"P10.01 annotate a contract of others", officer, changes(fees, func(e *v1alpha1.Entrustment) { e.Annotations = map[string]string{"note": "x"} }, byStrategic), unseen, admitted},
		{"P10.02 entrust as the controller", privacy, creates(contract.Obj()), unseen, admitted},
		{"P10.03 end a contract of one's own", privacy, deletes(fees), unseen, admitted},
		{"P10.04 a store that reports, as the privacy office", privacy, creates(store("data", "x").Report().Obj()), unseen, admitted},

		{"A9.60 bind a rival's namespace", privacy, creates(builder.Processor("x").Namespace("own").Obj()), unseen, guard(namespacesRule, "own")},
		{"A9.61 bind a rival's namespace later", privacy, changes(builder.Processor("rival").Obj(), func(p *v1alpha1.DataProcessor) {
			p.Spec.Namespaces = []v1alpha1.NamespaceBinding{{Name: "biller"}}
		}, byStrategic), unseen, guard(namespacesRule, "biller")},

		{"A9.70 delete a purpose that a store allows", privacy, deletes(builder.Purpose("lasting").Obj()), used, guard(inUse, "")},
		{"A9.71 delete a party that has contracts", privacy, deletes(builder.Processor("biller").Obj()), used, guard(inUse, "")},
		{"A9.72 delete a store that has grants", owner, deletes(orders), used, guard(inUse, "")},
		{"A9.73 delete all stores", owner, sweeps(&v1alpha1.PersonalDataStore{}, "data", nil), used, guard(inUse, "")},
		{"A9.74 delete a purpose of which another is a part", privacy, deletes(builder.Purpose("whole").Obj()), used, guard(inUsePurposes, "part")},
		{"A9.75 delete a prohibition", privacy, deletes(builder.Purpose("profiling").Obj()), used, guard(inUseProhibitions, "")},
		{"A9.76 delete what asks for consent", privacy, deletes(builder.Purpose("consented").Obj()), used, guard(inUseProhibitions, "")},

		{"A9.80 entrust more than one was entrusted", officer, creates(contract.From("biller").To("rival").Parent("fees").Purposes("billing", "marketing").Obj()),
			hook(entrustmentHook, "ExceedsParentScope"), shown(webhookMissing)},
		{"A9.81 publish a purpose as a part of another controller's", privacy, creates(builder.Purpose("x").Parent("rivalry").Obj()),
			hook(purposeHook, "rivalry"), shown(webhookMissing)},
	}
}()
