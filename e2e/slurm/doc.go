// Package slurm owns the proof that yard runs training on a real Slurm cluster:
// its tests drive the yard binary as a user would (make e2e-slurm).
//
// It refuses to be part of the product, and to run with the other tests: a
// cluster and some minutes are needed.
package slurm
