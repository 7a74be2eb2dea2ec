// Package certs decides about the webhook's certificates: when the next one is made, which authorities the API server is asked
// to trust, and which certificate is served.
//
// A certificate authority signs one certificate and is forgotten, so that whoever reads what is kept can serve as the webhook
// for a while, and vouch for nobody. So every renewal is a change of authorities too, with one rule for both ends:
//
//	made ──▶ in the bundle ──▶ in it for Terms.Settle: served ──▶ the next one is served ──▶ kept no more ──▶ Terms.Linger: out of the bundle
//
// Replicas share what is kept, and no clock or order between them: each goes by what it saw itself, and each keeps what it
// serves until the API server has had the time to trust the next.
//
// The package is pure, but for the source of randomness, and imports the standard library alone.
package certs
