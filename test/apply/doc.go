// Package apply holds the writer of package internal/apply to a real API server. It stands apart so that the tests of
// internal/... need no control plane.
package apply
