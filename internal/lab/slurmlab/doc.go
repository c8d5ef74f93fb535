// Package slurmlab owns a Slurm cluster for tests: munged, slurmctld, slurmdbd
// over a MariaDB of its own, and four slurmd on this machine, all on free ports
// and in one folder, and none of it left when it stops.
//
// It refuses to be anything but a lab: it runs as root, trusts this machine,
// and keeps nothing.
package slurmlab
