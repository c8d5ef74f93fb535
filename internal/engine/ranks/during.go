package ranks

import (
	"context"
	"os"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

// letGo is how long a thing may take to notice that its context ended: a file
// system that hangs never lets go.
const letGo = 5 * time.Second

// Interrupt is what a keeper is told while it does something else than keeping
// ranks: a stop in its files, or SIGTERM.
type Interrupt struct {
	Signals <-chan os.Signal
	Stopped func() (Stop, bool)
	Grace   time.Duration // that SIGTERM leaves
}

// During does a thing to its end, and tells whether a stop was asked meanwhile.
// A stop ends its context: at once where it is not graceful, else with the stop's
// grace. A deadline that is not zero ends it too. What does not let go is left
// behind: that is fault.Transient.
func (i Interrupt) During(graceful bool, deadline time.Time, do func(context.Context) error) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var asked, ended time.Time
	end := func(grace time.Duration) {
		if !stopped {
			stopped, asked = true, time.Now()
		}
		if at := asked.Add(grace); deadline.IsZero() || at.Before(deadline) {
			deadline = at
		}
		if !graceful {
			deadline = asked
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
			switch {
			case deadline.IsZero() || now.Before(deadline):
			case ended.IsZero():
				ended = now
				cancel()
			case now.Sub(ended) > letGo:
				return stopped, fault.New(fault.Transient, "it hangs, and was left behind")
			}
		}
	}
}
