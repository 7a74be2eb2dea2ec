// Package rules keeps the in-process admission rules as they ship: policies and bindings that somebody deletes or edits
// are put back at once, and an event tells of it. Nothing else can: the API server lets no admission guard them.
//
// One replica writes, so that two versions of the operator do not fight over them during an upgrade. The package imports
// apply and the rules themselves.
package rules
