// Package certificate keeps the webhook's certificate: in one Secret of the operator's own namespace, which all replicas share,
// and the authorities that vouch for it in the one MutatingWebhookConfiguration of the operator. What is made when, trusted and
// served is decided in certs.
//
// It runs on every replica. Whichever comes first makes the next certificate; a write that meets another's is none, and
// what the other wrote is read.
//
// Where somebody else makes certificates, such as cert-manager, only the check runs that the API server trusts this replica.
package certificate
