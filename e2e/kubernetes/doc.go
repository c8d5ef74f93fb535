// Package kubernetes owns the proof that yard runs training on a real
// Kubernetes cluster: its tests drive the yard binary as a user would
// (make e2e-kubernetes), and the engine at a size that only fake nodes have
// (make e2e-kubernetes-scale).
//
// It refuses to be part of the product, and to run with the other tests: a
// cluster and some minutes are needed.
package kubernetes
