// Package clock owns the reading of wall-clock time, so that loops and tests
// can be given another one.
//
// It refuses timers and sleeping: loops use package time for those, under
// testing/synctest in tests.
package clock

import "time"

// Clock tells the wall-clock time.
type Clock func() time.Time

// System is the machine's clock, in UTC.
func System() time.Time { return time.Now().UTC() }
