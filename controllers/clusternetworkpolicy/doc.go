// Package clusternetworkpolicy keeps every pod of the cluster without a grant from the stores outside it, where the
// ClusterNetworkPolicy API is installed. Its root is such a store. The API is looked for at the start and once a minute after,
// and until it is found nothing is written and Covers says no.
//
// The package imports the decision core, render, apply and the snapshot's publisher.
package clusternetworkpolicy
