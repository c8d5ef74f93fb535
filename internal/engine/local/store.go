package local

import (
	"os"
	"syscall"
	"time"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
)

// lastUpload is what the last checkpoint of a gang that is stopped has at least
// to get to its store.
const lastUpload = 10 * time.Second

const checkpointVariable = "YARD_CHECKPOINT_DIR"

// stopAsked tells whether the gang is to end: asked, or superseded.
func (s *shim) stopAsked() (ranks.Stop, bool) {
	stop, asked := ranks.ReadStop(s.dir.file(stopFile))
	if !asked && s.checkpoints != nil && s.checkpoints.Superseded() {
		return ranks.Stop{Grace: ranks.DefaultGrace}, true
	}
	return stop, asked
}

// bringCheckpoint fences the gang's store and brings the newest checkpoint. It
// reports whether the gang is over with that.
func (s *shim) bringCheckpoint(signals <-chan os.Signal) (done bool, err error) {
	c := s.gang.Checkpoint
	dir := s.gang.Env[checkpointVariable]
	if dir == "" {
		dir = s.dir.file("checkpoints")
		s.gang.Env[checkpointVariable] = dir
	}
	s.gang.Env["YARD_CHECKPOINT_URL"] = c.URL
	for name, value := range s.gang.Env { // the keys of the store may be among them
		if err := os.Setenv(name, value); err != nil {
			return true, s.record(ranks.Outcome{Code: 1, Reason: "not started: " + err.Error()})
		}
	}
	s.checkpoints = checkpoint.NewKeeper(checkpoint.Task{
		URL: c.URL, Dir: dir, Epoch: c.Epoch, Keep: c.Keep, Format: c.Format, Reads: c.Reads, Nodes: 1,
	})
	interrupt := ranks.Interrupt{Signals: signals, Stopped: s.stopAsked}
	stopped, err := interrupt.During(false, time.Time{}, s.checkpoints.Prepare)
	switch {
	case stopped && s.dir.has(stopFile):
		return true, s.record(ranks.Outcome{Stopped: true, Reason: "stopped before it began"})
	case stopped:
		return true, s.record(ranks.Outcome{Code: 128 + int(syscall.SIGTERM), Reason: "not started: the shim was told to terminate"})
	case err != nil:
		return true, s.record(ranks.Outcome{Code: 1, Reason: "not started: " + err.Error()})
	}
	s.checkpoints.Start()
	return false, nil
}

// storeLast sends what the ranks left when they ended. It has time, unless the
// gang is stopped, or was: then no more than the rest of the grace, or lastUpload.
func (s *shim) storeLast(signals <-chan os.Signal, outcome ranks.Outcome) ranks.Outcome {
	if s.checkpoints == nil {
		return outcome
	}
	var deadline time.Time
	interrupt := ranks.Interrupt{Signals: signals, Stopped: s.stopAsked, Grace: lastUpload}
	if outcome.Stopped {
		deadline = time.Now().Add(lastUpload)
		if killAt := s.ranks.KillAt(); killAt.After(deadline) {
			deadline = killAt
		}
		interrupt.Stopped = func() (ranks.Stop, bool) { return ranks.Stop{}, false } // it is counted already
	}
	_, _ = interrupt.During(true, deadline, s.checkpoints.Finish) // what fails is in its notes
	s.ranks.Note(s.takeNotes()...)
	if s.checkpoints.Superseded() {
		outcome.Reason = "ended: " + checkpoint.ErrSuperseded.Error()
	}
	return outcome
}

func (s *shim) takeNotes() []string {
	if s.checkpoints == nil {
		return nil
	}
	return s.checkpoints.TakeNotes()
}
