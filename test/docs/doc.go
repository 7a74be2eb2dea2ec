// Package docs holds the documentation to what it shows: every sample in it is a file of this repository.
package docs
