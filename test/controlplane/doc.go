// Package controlplane starts a real Kubernetes control plane for suites and for the local cluster: etcd and
// kube-apiserver through envtest, with RBAC and free ports, and where asked for kube-controller-manager, without which
// no garbage collection, no namespace deletion, no workload controller and no default ServiceAccount exist.
//
// There is no node: pods are admitted, and stay Pending.
//
// Whatever it starts ends with the program that started it, also when that is killed: a small shell process holds
// the end of a pipe and clears away when the other end closes (leash.sh).
//
// The programs come from the directory that KUBEBUILDER_ASSETS names; hack/controlplane/assets.sh finds, downloads or
// builds them. It may import anything but controllers/ and internal/.
package controlplane
