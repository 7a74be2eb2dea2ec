// Package exposure checks what internal/exposure finds against the API server's own answers, on random graphs of RBAC.
package exposure
