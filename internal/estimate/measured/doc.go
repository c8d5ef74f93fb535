// Package measured owns rows of published and own measurements: the columns,
// the reading of odd values, and turning a row into a job, a cluster and what
// was measured. The rows that yard is calibrated on are embedded here.
//
// It refuses to predict (estimate) and to fit (calibrate), and the measured
// columns of a row never reach the job that is predicted from it.
package measured
