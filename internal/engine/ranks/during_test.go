package ranks

import (
	"context"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// TestWhatHangsIsLeftBehind holds SIGTERM to end also what never notices that its
// context ended, such as a file system that hangs.
func TestWhatHangsIsLeftBehind(t *testing.T) {
	for _, graceful := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			signals := make(chan os.Signal, 1)
			signals <- syscall.SIGTERM
			hang := make(chan struct{})
			defer close(hang)
			i := Interrupt{Signals: signals, Stopped: func() (Stop, bool) { return Stop{}, false }, Grace: time.Minute}
			began := time.Now()
			stopped, err := i.During(graceful, time.Time{}, func(context.Context) error { <-hang; return nil })
			if !stopped || !fault.Is(err, fault.Transient) {
				t.Errorf("stopped %v, %v", stopped, err)
			}
			if took := time.Since(began); took > 2*time.Minute || (!graceful && took > 2*letGo) {
				t.Errorf("graceful %v: it took %v", graceful, took)
			}
		})
	}
}
