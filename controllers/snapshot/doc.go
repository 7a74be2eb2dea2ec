// Package snapshot compiles what people wrote into the decision, and publishes it.
//
//	Purposes, DataProcessors, Entrustments, PersonalDataStores, namespaces ──▶ one queue key ──▶ gather, Compile
//	                                                                                               │
//	   webhooks ◀── Current() ◀── atomic pointer ◀── Publisher ────────────────────────────────────┘
//	   reconcilers ◀── Follow() ──────────────────────┘   woken for the roots that changed, stage after stage
//
// It runs on every replica. There is no snapshot before all caches are warm, and none is ever replaced by one that was
// made from less than all inputs: when gathering fails the old one stays, whose grants know their own end.
//
// The package imports the decision core and internal/gather.
package snapshot
