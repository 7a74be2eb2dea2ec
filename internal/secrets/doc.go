// Package secrets reads the Secrets that the operator has to know of, and no other: the managed ones of some namespaces, and
// single ones by name. Each is a watch of its own, so that what the operator may read can be granted a namespace at a time,
// and what it need not know never leaves the API server.
//
// A watch that has been cut off keeps what it saw last: what cannot be read changes nothing. The package decides nothing; it
// imports the API types and controller-runtime.
package secrets
