// Package scheduler owns economic dispatch: the merit order of a workload over
// all offers, and which queued run starts on which pool now.
//
// It refuses I/O, clocks and randomness: a snapshot goes in, a decision with
// its reasons comes out, and the same snapshot always gives the same decision.
package scheduler
