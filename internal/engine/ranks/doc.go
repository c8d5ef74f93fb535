// Package ranks owns what every keeper of ranks needs, on this machine and on a
// cluster's nodes: it starts the ranks of one node as process groups, follows
// them to their end, keeps their bounded logs and their progress, and reads both
// back.
//
// It refuses to know engines, gangs and their records: who keeps the ranks says
// what to run, and writes down how it ended.
//
// Files of a keeper's folder that are written and read here:
//
//	ranks/N.log…     what rank N wrote (Log)
//	progress.json    the last that rank 0 reported (Book)
//	progress.jsonl   the history of it, thinned (Book)
//	paces.json       how fast each rank goes (Book)
//	stop.json        the ranks were asked to stop (Stop)
package ranks
