// Package kubernetes owns the engine of Kubernetes clusters: a gang is an
// Indexed Job with one pod per node, whose agents begin the ranks' commands
// once the engine has seen every pod running and released them.
//
// It refuses to keep state of its own: the Job is the record of its gang, and
// what was decided of it (released, stopped, ended) is in the Job's
// annotations, so that any number of engines may tend the same gangs. It
// refuses to replace pods (recovery is the control plane's) and to start part
// of a gang (that is the cluster's scheduler's, by native gang scheduling or
// Kueue).
package kubernetes
