// Package operation puts operators through what they meet in operation, on a real API server: certificates that change under
// load, and definitions that are newer than they are.
package operation
