// Package certificates shows that no request to the webhook is lost while its certificates change, on a real API server.
package certificates
