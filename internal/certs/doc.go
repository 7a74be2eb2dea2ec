// Package certs makes the webhook's certificate in the process that serves it: a certificate authority that signs once and
// is forgotten, so that no key is ever written anywhere.
//
// The package imports the standard library alone.
package certs
