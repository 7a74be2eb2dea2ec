// Package cabundle lets the API server trust the webhook: it adds the certificate authority of this process to the one
// MutatingWebhookConfiguration of the operator, and adds it again when somebody takes it away. Until it is there, the
// replica is not ready.
//
// It runs on every replica, because each makes its own certificate. The package imports apply and certs.
package cabundle
