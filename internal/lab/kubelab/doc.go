// Package kubelab owns real Kubernetes clusters for tests: a control plane
// built from its Go modules, kubelets with containerd, and kwok's fake nodes.
//
// It refuses to leave anything behind: a cluster lives in process, network and
// mount namespaces of its own, whose first process ends with the test. It
// needs Linux, root and the Debian packages etcd-server, containerd, runc,
// containernetworking-plugins, iptables, iproute2 and busybox-static.
package kubelab
