package reconcile

import (
	"context"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
)

// Waiting is a queued run with why it waits.
type Waiting struct {
	Run fleet.Run
	scheduler.Wait
}

// Queue asks the scheduler, without acting on it, why each queued run waits,
// next first.
func (l *Loop) Queue(ctx context.Context) ([]Waiting, error) {
	snapshot, err := l.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	runs := map[string]fleet.Run{}
	for _, w := range snapshot.Queue {
		runs[w.Run.ID] = w.Run
	}
	placements, waits := scheduler.Place(snapshot)
	var queue []Waiting
	for _, p := range placements {
		queue = append(queue, Waiting{runs[p.Run], scheduler.Wait{Run: p.Run, Reasons: []string{"starts in a moment on " + p.Pool.ID()}}})
	}
	for _, w := range waits {
		queue = append(queue, Waiting{runs[w.Run], w})
	}
	for i := range queue {
		queue[i].Position = i + 1
	}
	return queue, nil
}
