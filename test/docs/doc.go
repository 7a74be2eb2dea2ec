// Package docs holds the documentation to what it shows: samples in it are files of this repository, its objects are accepted by
// a real API server with the operator behind it, and what can be met (a reason, a rule, an alert) has its place on a page.
package docs
