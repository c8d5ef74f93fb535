// Package local owns the engine of this machine: it runs the ranks of a gang as
// process groups under one shim, a small process of the same binary that
// outlives yard, owns the log files, and records exit status and times.
//
// It refuses images, more than one node, and prices: pools come without a rate.
// It keeps no state but files, so that any process finds the truth in them.
//
// Who writes what, under the engine's folder:
//
//	lock               held while a key is accepted, fenced or forgotten
//	fenced/KEY         this key may not start: stopped before it was known, or forgotten
//	forgotten/KEY/     what was kept of it, while it is removed
//	gangs/KEY/
//	  secrets.json     values of the gang's secrets; gone before a command begins (Start)
//	  gang.json        what to run, without them; once here, the gang is accepted (Start)
//	  stop.json        it was asked to stop (Stop)
//	  shim.lock        locked by the shim for its life; touched as its heartbeat
//	  started.json     written before the first command begins (shim)
//	  ranks.jsonl      process of each rank, as it begins (shim)
//	  ranks/N.log…     what rank N wrote (shim)
//	  progress.json    the last that rank 0 reported (shim)
//	  progress.jsonl   the history of it, thinned (shim)
//	  exit.json        how it ended; once here, nothing changes any more (shim)
//	  scratch/         YARD_SCRATCH of the ranks
//
// The order gang.json, shim.lock, started.json, exit.json makes every moment a
// safe one to be killed at: before started.json no command has begun and any
// shim may begin them; after it none ever begins again.
package local
