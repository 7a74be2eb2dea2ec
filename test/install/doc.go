// Package install installs the operator as a platform team does: the Helm chart through Helm itself, and config/default through
// kustomize. It is a module of its own, because nothing else needs Helm.
package install
