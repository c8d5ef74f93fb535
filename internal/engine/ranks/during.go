package ranks

import (
	"context"
	"os"
	"syscall"
	"time"
)

// Interrupt is what a keeper is told while it does something else than keeping
// ranks: a stop in its files, or SIGTERM.
type Interrupt struct {
	Signals <-chan os.Signal
	Stopped func() (Stop, bool)
	Grace   time.Duration // that SIGTERM leaves
}

// During does a thing to its end, and tells whether a stop was asked meanwhile.
// A stop ends its context: at once where it is not graceful, else with the stop's
// grace. A deadline that is not zero ends it too.
func (i Interrupt) During(graceful bool, deadline time.Time, do func(context.Context) error) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var asked time.Time
	end := func(grace time.Duration) {
		if !stopped {
			stopped, asked = true, time.Now()
		}
		if at := asked.Add(grace); deadline.IsZero() || at.Before(deadline) {
			deadline = at
		}
		if !graceful {
			cancel()
		}
	}
	for {
		select {
		case err := <-done:
			return stopped, err
		case got := <-i.Signals:
			if got == syscall.SIGTERM {
				end(i.Grace)
			}
		case now := <-tick.C:
			if stop, asked := i.Stopped(); asked {
				end(stop.Grace)
			}
			if !deadline.IsZero() && now.After(deadline) {
				cancel()
			}
		}
	}
}
