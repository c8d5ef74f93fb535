package slurm

import (
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine/ranks"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

const (
	// pacesEvery is how old the paces of a gang may be, and pacesAtOnce of how
	// many nodes they are read at once: the others of a large gang have their turn
	// next. A shared file system has better things to do.
	pacesEvery  = 2 * time.Second
	pacesAtOnce = 32
)

// paces remembers the paces of gangs that run, by folder.
type paces struct {
	mu    sync.Mutex
	gangs map[gangDir]*gangPaces
}

type gangPaces struct {
	mu     sync.Mutex
	read   time.Time // monotonic
	next   int       // node
	byNode map[int][]fleet.Pace
}

// of are the paces of a gang whose nodes the site calls so, by node of the gang.
// What cannot be read now is left as it was.
func (p *paces) of(dir gangDir, nodes int, names []string) []fleet.Pace {
	g := p.gang(dir)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.read.IsZero() || time.Since(g.read) >= pacesEvery {
		g.read = time.Now()
		for range min(nodes, pacesAtOnce) {
			node := g.next % nodes
			g.next = node + 1
			if list, err := ranks.ReadPaces(dir.node(node)); err == nil {
				g.byNode[node] = list
			}
		}
	}
	var all []fleet.Pace
	for node := range nodes {
		for _, pace := range g.byNode[node] {
			if node < len(names) {
				pace.Node = names[node]
			}
			all = append(all, pace)
		}
	}
	return all
}

func (p *paces) gang(dir gangDir) *gangPaces {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gangs == nil {
		p.gangs = map[gangDir]*gangPaces{}
	}
	if p.gangs[dir] == nil {
		p.gangs[dir] = &gangPaces{byNode: map[int][]fleet.Pace{}}
	}
	return p.gangs[dir]
}

func (p *paces) forget(dir gangDir) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.gangs, dir)
}
