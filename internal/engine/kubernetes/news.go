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

// news is the last known progress of a gang, and how fast its ranks go; before
// it begins, why it is not let.
type news struct {
	progress fleet.Progress
	waits    string
	points   ranks.Paces
	paces    []fleet.Pace // of the points; never changed, but replaced
	asked    []time.Time  // of each node, when it was read last
	next     int          // node besides the first that is read next
	reading  bool
}

// newsCache keeps the progress of gangs that run: it is in the log of rank 0's
// node, and the paces of ranks in the logs of all. They are read now and then,
// never while somebody waits: each time that of the first node, and of the others
// the one whose turn it is.
type newsCache struct {
	mu      sync.Mutex
	last    map[string]*news
	reads   int // that all gangs want in a round
	reading int
}

// latest is the last known progress of a gang, and the paces of its ranks.
func (c *newsCache) latest(name string) (fleet.Progress, []fleet.Pace) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.last[name]
	if n == nil {
		return fleet.Progress{}, nil
	}
	return n.progress, n.paces
}

// waits is why a gang was not let begin when that was asked last.
func (c *newsCache) waits(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.last[name]; n != nil {
		return n.waits
	}
	return ""
}

func (c *newsCache) drop(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.last[name]; n != nil {
		c.reads -= len(n.round())
		delete(c.last, name)
	}
}

// round are the nodes that are read next.
func (n *news) round() []int {
	if len(n.asked) == 1 {
		return []int{0}
	}
	return []int{0, 1 + n.next%(len(n.asked)-1)}
}

// due tells which nodes of a gang should be read now, and since when; none
// where it is not time.
func (c *newsCache) due(name string, nodes int, now time.Time) map[int]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.last[name]
	if n == nil {
		n = &news{asked: make([]time.Time, nodes)}
		c.last[name] = n
		c.reads += len(n.round())
	}
	wait := max(newsEvery, time.Duration(c.reads)*time.Second/newsRate)
	if n.reading || c.reading >= readers || now.Sub(n.asked[0]) < wait {
		return nil
	}
	since := map[int]time.Time{}
	for _, node := range n.round() {
		since[node], n.asked[node] = n.asked[node], now
	}
	n.next++
	n.reading = true
	c.reading++
	return since
}

// heard is what one read of a gang's logs told.
type heard struct {
	points []fleet.Progress // of the first node
	paces  []ranks.PacePoint
	waits  string
}

func (c *newsCache) put(name string, h heard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.last[name]
	c.reading--
	if !ok {
		return // dropped meanwhile
	}
	n.reading, n.waits = false, h.waits
	if len(h.points) > 0 {
		n.progress = h.points[len(h.points)-1]
	}
	for _, point := range h.paces {
		n.points.Add(point)
	}
	if len(h.paces) > 0 {
		n.paces = n.points.List()
	}
}

// freshen reads the progress of a gang, or why it waits, in the background when
// that is due.
func (e *Engine) freshen(s sight) {
	name := s.Name
	due := e.news.due(name, len(s.parts), e.now())
	if len(due) == 0 {
		return
	}
	e.tender.running.Go(func() {
		ctx, cancel := bounded(e.tender.ctx)
		defer cancel()
		var all heard
		if s.released == nil {
			var err error
			if all.waits, err = e.readWaits(ctx, s); err != nil && e.tender.ctx.Err() == nil {
				e.options.Log.Debug("it cannot be asked why a gang waits", "key", s.shape.Key, "error", err)
			}
			e.news.put(name, all)
			return
		}
		for node, since := range due {
			points, paces, err := e.readNews(ctx, s.parts[node], since)
			if err != nil && e.tender.ctx.Err() == nil {
				e.options.Log.Debug("progress cannot be read", "key", s.shape.Key, "node", node, "error", err)
			}
			if node == 0 {
				all.points = points
			}
			all.paces = append(all.paces, paces...)
		}
		e.news.put(name, all)
	})
}

// readWaits asks Kueue why it does not let a gang begin.
func (e *Engine) readWaits(ctx context.Context, s sight) (string, error) {
	list, err := e.workloads(ctx, s.UID)
	if err != nil || len(list) == 0 {
		return "", err
	}
	return list[0].waits(e.cluster.Queue), nil
}

// readNews reads the newest reports in a node's log: those after a time, with a
// second to spare for clocks; all where it is zero.
func (e *Engine) readNews(ctx context.Context, p part, since time.Time) ([]fleet.Progress, []ranks.PacePoint, error) {
	after := ""
	if !since.IsZero() {
		after = since.Add(-time.Second).Format(time.RFC3339)
	}
	stream, err := e.stream(ctx, p, after)
	if err != nil {
		return nil, nil, err
	}
	defer stream.Close()
	return ranks.StreamNews(io.LimitReader(stream, mostNews))
}
