package daemon

import (
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/engine/local"
	"github.com/switchyard-ai/switchyard/internal/reconcile"
)

// crashVariable names the crash point at which this process kills itself, for
// tests of what survives: POINT, or POINT:N for the N-th time it is reached.
const crashVariable = "YARD_CRASH_AT"

// CrashPoints lists every point at which the variable can kill a yard: those of
// the loop, and those of the engine but for its shim's.
func CrashPoints() []string {
	points := reconcile.CrashPoints()
	for _, point := range local.CrashPoints() {
		if !strings.HasPrefix(point, "shim:") {
			points = append(points, point)
		}
	}
	return points
}

// crasher returns the hook that dies by SIGKILL at the point that the
// variable names, or does nothing.
func crasher(setting string) func(string) {
	if setting == "" {
		return func(string) {}
	}
	point, left := setting, 1
	if name, times, ok := strings.Cut(setting, ":"); ok {
		if n, err := strconv.Atoi(times); err == nil {
			point, left = name, n
		}
	}
	var mu sync.Mutex
	return func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if at != point {
			return
		}
		if left--; left > 0 {
			return
		}
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
		select {} // the signal is on its way
	}
}
