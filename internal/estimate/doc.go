// Package estimate owns predictions: how long a training step takes and how
// fast a model is served on given chips, what memory both need, how sure that
// is, and the search for the best parallelism.
//
// It refuses prices, schedules and I/O: a prediction is a function of the
// model, the cluster, the job and a set of constants. The constants are fitted
// by the sub-package calibrate from the rows that the sub-package measured
// ships; docs/estimator.md explains each formula.
package estimate
