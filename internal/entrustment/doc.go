// Package entrustment decides who may reach which personal-data store, for which purpose, under which contract, and
// until when. It is the one place where that is decided: NetworkPolicies, credentials, admission, status and the command
// line project what it says and never match a selector or a date again.
//
//	Purpose, DataProcessor, Entrustment, PersonalDataStore, Namespace
//	      │ Inputs
//	      ▼
//	   Compile(inputs, now) ──▶ Snapshot ──▶ Authorize(request) ─▶ Decision
//	                                    ├──▶ StoreGrants, NamespaceAccess     (what is granted)
//	                                    ├──▶ PurposeStatus, StoreStatus, …    (what an object lacks)
//	                                    └──▶ NextChange                       (when to compile again)
//
// Everything is pure: no client, no context, no logger, no clock. Compile is total: whatever cannot be resolved is a
// denial with a reason, never an error. The zero Decision denies, and so does the zero Snapshot.
//
// The package imports the API types and apimachinery, nothing of client-go or controller-runtime.
package entrustment
