// Package move owns the proof that a run moves between engines: from a real
// Kubernetes to a real Slurm, with what it has learned (make e2e-move).
//
// It refuses to be part of the product, and to run with the other tests: two
// clusters and some minutes are needed.
package move
