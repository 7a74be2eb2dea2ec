// Package e2e plays the published policy on a real cluster: pods that run, packets that a network plugin lets through or drops,
// PostgreSQL as a store of personal data, and a real driver that reads it. What the operator promises is measured, not read
// from objects.
//
// The suite takes the cluster that KUBECONFIG names, with the operator installed and the images of this directory at hand. On the
// cluster of hack/node it also uses the host outside (ENTRUSTMENT_NODE is set there); elsewhere the specs that need it are skipped by
// name. It is a module of its own: the operator has no use for a database driver.
package e2e
