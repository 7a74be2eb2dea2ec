// Package builder makes objects for tests. Each starts as one that the API server would take, so that a case shows only
// what matters to it:
//
//	builder.Purpose("billing").Parent("service").Obj()
//	builder.Entrustment("fees").To("biller").Purposes("billing").Stores("data/ledger").Obj()
//	builder.Pod("biller", "invoices").Purpose("billing").Entrustment("fees").Obj()
//
// Where a case does not say otherwise, the data controller is "acme" in JP, terms never end within a test, and data are
// identifiable. The package imports the API types, k8s.io/api and apimachinery.
package builder

// Controller is the data controller that a case need not name.
const Controller = "acme"
