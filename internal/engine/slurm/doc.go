// Package slurm owns the engine that runs gangs on a Slurm cluster: one job for
// each gang, the agent on each of its nodes, and in a directory that all nodes
// share what the gang is and how it went.
//
// It refuses to keep a daemon on any node, to let Slurm requeue (recovery is
// reconcile's), and to trust that a job ran only once: a job begins nothing
// before it has claimed its gang, and a claim is never given twice.
//
// Slurm is asked by its commands (client) or through slurmrestd (rest); both are a
// controller, and what is made of the answers is the same. The work is done where
// the shared directory is, and with it the commands or the way to slurmrestd. Where
// that is another machine, Remote speaks over ssh with the same program there.
//
// Below the shared directory:
//
//	bin/yard-HASH       this program, put there once
//	gangs/KEY/          made whole or not at all, with gang.json or fenced in it
//	  gang.json         what to run; from here on the gang is accepted
//	  fenced            this key may never start, or never again
//	  secrets/NAME      values of its secrets (mode 0600), until its ranks have begun
//	  lease.json        who submits it just now
//	  job               the job that was submitted for it
//	  claim             the job that may begin it, and alone may
//	  release.json      addresses of its nodes, all bound; see agent.Release
//	  stop.json         it was asked to stop
//	  ending.json       the first cause of its end that came from within the job
//	  nodes/N/          the agent's: report.json, progress.json, ranks/0.log …
//	  job.log           what the batch script and srun said
//	  exit.json         how it ended; from here on nothing changes
//	checkpoints/RUN     YARD_CHECKPOINT_DIR of the run's gangs
package slurm
