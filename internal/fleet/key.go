package fleet

import "fmt"

// AttemptKey names attempt number n of a run to an engine.
func AttemptKey(run string, n int) string { return fmt.Sprintf("%s-%d", run, n) }
