package agent

import (
	"os"
	"path/filepath"
	"time"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
)

// LastUpload is what the last checkpoint has at least, after the ranks of a gang
// that is stopped have ended, to get to the store. An engine that sets the agent
// a deadline adds it to the gang's grace.
const LastUpload = 10 * time.Second

func (k *keeper) interrupt(signals <-chan os.Signal) ranks.Interrupt {
	return ranks.Interrupt{Signals: signals, Stopped: k.stopAsked, Grace: k.grace()}
}

// grace is what ranks have after SIGTERM.
func (k *keeper) grace() time.Duration {
	for _, grace := range []time.Duration{k.task.TermGrace, k.task.Gang.Grace} {
		if grace > 0 {
			return grace
		}
	}
	return ranks.DefaultGrace
}

// bringCheckpoint fences the gang's store and brings the newest checkpoint.
func (k *keeper) bringCheckpoint(signals <-chan os.Signal) (stopped bool, err error) {
	c := k.task.Gang.Checkpoint
	dir := k.task.Checkpoint
	if dir == "" {
		dir = filepath.Join(k.task.Scratch, "checkpoints")
	}
	keeper := checkpoint.NewKeeper(checkpoint.Task{
		URL: c.URL, Dir: dir, Epoch: c.Epoch, Keep: c.Keep, Format: c.Format, Reads: c.Reads,
		Node: k.node, Nodes: k.nodes(), Sharded: c.Sharded, Shared: k.task.Shared,
	})
	stopped, err = k.interrupt(signals).During(false, time.Time{}, keeper.Prepare)
	k.checkpoints = keeper
	if err == nil && !stopped {
		keeper.Start()
	}
	return stopped, err
}

// storeLast sends what the ranks left when they ended. It has time, unless the
// gang is stopped, or was: then no more than the rest of the grace, or LastUpload.
func (k *keeper) storeLast(signals <-chan os.Signal, outcome ranks.Outcome) ranks.Outcome {
	if k.checkpoints == nil || k.ranks == nil {
		return outcome
	}
	var deadline time.Time
	interrupt := k.interrupt(signals)
	if outcome.Stopped {
		interrupt.Stopped = func() (ranks.Stop, bool) { return ranks.Stop{}, false } // it is counted already
		deadline = time.Now().Add(LastUpload)
		if killAt := k.ranks.KillAt(); killAt.After(deadline) {
			deadline = killAt
		}
	}
	_, _ = interrupt.During(true, deadline, k.checkpoints.Finish) // what fails is in its notes
	if k.checkpoints.Superseded() {
		outcome.Reason = "ended: " + checkpoint.ErrSuperseded.Error()
	}
	return outcome
}

func (k *keeper) storedStep() int64 {
	if k.checkpoints == nil {
		return 0
	}
	return max(k.checkpoints.Stored(), 0)
}

func (k *keeper) takeNotes() []string {
	if k.checkpoints == nil {
		return nil
	}
	return k.checkpoints.TakeNotes()
}
