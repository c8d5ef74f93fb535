package reconcile

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

const (
	// hungFor and hungSteps are the silence after which an attempt hangs where
	// its file does not say: the longer of the two. The first leaves time for a
	// checkpoint or an evaluation between steps.
	hungFor   = 10 * time.Minute
	hungSteps = 20
	// hungMark opens the reason of an attempt that hangs, and lasts in the store.
	hungMark = "hung: "
	verbHung = "watchdog"
)

// hung reports whether a live attempt is being ended because it hangs.
func hung(a fleet.Attempt) bool { return !a.State.Final() && strings.HasPrefix(a.Reason, hungMark) }

// watchdog remembers when each attempt last reported something new, by this
// process's own monotonic clock: neither a clock that is set nor time in which
// nobody looked makes an attempt hang.
type watchdog struct {
	mu   sync.Mutex
	seen map[string]heard // by key
}

type heard struct {
	step     int64
	reported time.Time
	at       time.Time
}

// hear takes what an attempt reported last, and returns since when it is that.
func (d *watchdog) hear(key string, progress fleet.Progress) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = map[string]heard{}
	}
	last, known := d.seen[key]
	if !known || last.step != progress.Step || !last.reported.Equal(progress.At) {
		d.seen[key] = heard{progress.Step, progress.At, time.Now()}
		return 0
	}
	return time.Since(last.at)
}

func (d *watchdog) forget(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, key)
}

// hangs says that an attempt has made no progress for too long, or "". Until
// its first progress nothing is known of its pace, so it is left alone.
func (l *Loop) hangs(ctx context.Context, run fleet.Run, attempt fleet.Attempt, status engine.Status) string {
	if status.State != engine.Running || status.Progress.At.IsZero() {
		return ""
	}
	w, err := l.workload(run)
	if err != nil {
		return ""
	}
	silent := l.watch.hear(attempt.Key(), status.Progress)
	attempt.Progress = status.Progress
	limit := patienceWith(w, attempt, 0)
	if limit <= 0 || silent < limit {
		return ""
	}
	// Only now is it worth reading from which step the attempt counts its own.
	err = l.Store.View(ctx, func(tx store.Tx) error {
		from, err := wentOnFrom(tx, attempt)
		limit = patienceWith(w, attempt, from)
		return err
	})
	if err != nil || silent < limit {
		return ""
	}
	return fmt.Sprintf("%sno progress for %s after step %d; the limit is %s", hungMark,
		silent.Round(time.Second), status.Progress.Step, limit.Round(time.Second))
}

// patienceWith is how long an attempt that went on from a step may report
// nothing; 0 is for ever.
func patienceWith(w *workload.Workload, attempt fleet.Attempt, from int64) time.Duration {
	if w.Watchdog != nil {
		return time.Duration(*w.Watchdog)
	}
	return max(hungFor, paceOf(w, attempt, from).times(hungSteps))
}

// sendDump ends an attempt that hangs such that its ranks can say where.
func (l *Loop) sendDump(ctx context.Context, eng engine.Engine, run fleet.Run, key string) error {
	dumper, able := eng.(engine.Dumper)
	if !able {
		return l.sendStop(ctx, eng, run, key)
	}
	grace := l.grace(run.StopGrace)
	if l.sent.already(key, grace) {
		return nil
	}
	l.Crash(pointStopSend)
	if err := dumper.Dump(ctx, key, grace); err != nil {
		return err
	}
	l.Crash(pointStopSent)
	l.sent.remember(key, grace)
	return nil
}

// badAfter is how many attempts of a run may end because of a node until the
// run stays away from it.
const badAfter = 2

// cordoned are the nodes that a run stays away from.
func cordoned(attempts []fleet.Attempt) []string {
	count := map[string]int{}
	var nodes []string
	for _, a := range attempts {
		if a.BadNode == "" {
			continue
		}
		if count[a.BadNode]++; count[a.BadNode] == badAfter {
			nodes = append(nodes, a.BadNode)
		}
	}
	return nodes
}
