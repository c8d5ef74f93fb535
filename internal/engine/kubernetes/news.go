package kubernetes

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const (
	// newsEvery is how old the progress of a gang may be; where many gangs are
	// observed each waits longer, so that a site costs at most newsRate reads a second.
	newsEvery = 2 * time.Second
	newsRate  = 50
	mostNews  = 1 << 20 // bytes read at once for the progress of one gang
	readers   = 8       // reads at the same time
)

// news is the last known progress of a gang.
type news struct {
	progress fleet.Progress
	asked    time.Time
	reading  bool
}

// newsCache keeps the progress of gangs that run: it is in the log of rank 0's
// node, which is read now and then, never while somebody waits.
type newsCache struct {
	mu      sync.Mutex
	last    map[string]news
	reading int
}

func (c *newsCache) latest(name string) fleet.Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last[name].progress
}

func (c *newsCache) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.last, name)
}

// due reports whether a gang's progress should be read now, and since when.
func (c *newsCache) due(name string, now time.Time) (since time.Time, due bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.last[name]
	wait := max(newsEvery, time.Duration(len(c.last))*time.Second/newsRate)
	if n.reading || c.reading >= readers || now.Sub(n.asked) < wait {
		return since, false
	}
	since, n.asked, n.reading = n.asked, now, true
	c.last[name] = n
	c.reading++
	return since, true
}

func (c *newsCache) put(name string, points []fleet.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.last[name]
	c.reading--
	if !ok {
		return // dropped meanwhile
	}
	n.reading = false
	if len(points) > 0 {
		n.progress = points[len(points)-1]
	}
	c.last[name] = n
}

// freshen reads the progress of a gang in the background when that is due.
func (e *Engine) freshen(s sight) {
	name := s.job.Name
	since, due := e.news.due(name, e.now())
	if !due {
		return
	}
	e.tender.running.Go(func() {
		ctx, cancel := bounded(e.tender.ctx)
		defer cancel()
		after := ""
		if !since.IsZero() {
			after = since.Add(-time.Second).Format(time.RFC3339)
		}
		points, err := e.readNews(ctx, s.parts[0], after)
		if err != nil && e.tender.ctx.Err() == nil {
			e.options.Log.Debug("progress cannot be read", "key", s.shape.Key, "error", err)
		}
		e.news.put(name, points)
	})
}

// readNews reads the newest reports of progress in a node's log.
func (e *Engine) readNews(ctx context.Context, p part, since string) ([]fleet.Progress, error) {
	stream, err := e.stream(ctx, p, since)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	return ranks.StreamHistory(io.LimitReader(stream, mostNews))
}
