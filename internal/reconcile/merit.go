package reconcile

import (
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

// meritFor is how long a prediction is used: a deadline comes nearer meanwhile.
const meritFor = 10 * time.Minute

// merits remembers what runs take on pools: to predict it is by far the most
// that a pass does.
type merits struct {
	mu    sync.Mutex
	pools map[string]*seenPool
	byRun map[string]map[*seenPool]merit
}

// seenPool is a pool as it was; another one stands for it once it has changed.
type seenPool struct{ fleet.Pool }

type merit struct {
	at       time.Time // monotonic
	prospect scheduler.Prospect
	known    bool
}

// pool is what stands for a pool as it is now. The caller holds mu.
func (m *merits) pool(pool fleet.Pool) *seenPool {
	id := pool.ID()
	seen := m.pools[id]
	if seen != nil && samePool(seen.Pool, pool) {
		return seen
	}
	if m.pools == nil {
		m.pools = map[string]*seenPool{}
	}
	for _, known := range m.byRun {
		delete(known, seen)
	}
	seen = &seenPool{pool}
	m.pools[id] = seen
	return seen
}

// merit is what a run takes on a pool at the size that costs least there; false
// where that cannot be predicted.
func (l *Loop) merit(run fleet.Run, w *workload.Workload, pool fleet.Pool) (scheduler.Prospect, bool) {
	m := &l.merits
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.pool(pool)
	if last, ok := m.byRun[run.ID][seen]; ok && time.Since(last.at) < meritFor {
		return last.prospect, last.known
	}
	fresh := merit{at: time.Now()}
	fresh.prospect, fresh.known = l.Merit(w, pool)
	if m.byRun == nil {
		m.byRun = map[string]map[*seenPool]merit{}
	}
	if m.byRun[run.ID] == nil {
		m.byRun[run.ID] = map[*seenPool]merit{}
	}
	m.byRun[run.ID][seen] = fresh
	return fresh.prospect, fresh.known
}

// samePool reports whether nothing of a pool has changed that a prediction
// goes by. Two forms of one rate may differ in bits.
func samePool(a, b fleet.Pool) bool {
	if a.Rate.Cmp(b.Rate) != 0 || a.Rate.Currency != b.Rate.Currency {
		return false
	}
	a.Rate = b.Rate
	return a == b
}

// forget drops what is kept of runs that are no longer live.
func (m *merits) forget(live map[string]fleet.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.byRun {
		if _, ok := live[id]; !ok {
			delete(m.byRun, id)
		}
	}
}

// stale drops all: a trial has measured.
func (m *merits) stale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byRun = nil
}
