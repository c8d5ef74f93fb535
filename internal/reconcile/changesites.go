package reconcile

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// AddSite connects the site of a file, or changes one that is connected, and
// returns what it looks like. It must answer now; what it is asked at present
// is its pools. With dry it is looked at and nothing is kept. A change that
// would part live runs from the engine that has them is fault.Conflict.
func (l *Loop) AddSite(ctx context.Context, file string, content []byte, dry bool) (Place, []fleet.Pool, error) {
	parsed, err := site.Parse(file, content)
	if err != nil {
		return Place{}, nil, err
	}
	looked := Place{Site: fleet.Site{Name: parsed.Name, Engine: string(parsed.Engine), Spec: content, SpecFile: file, Added: l.Clock()}, File: parsed}
	pools, err := l.Sites.probe(ctx, parsed)
	if err != nil {
		return looked, nil, fault.Wrap(fault.KindOf(err), err, "nothing was added: site "+parsed.Name+" cannot be looked at")
	}
	for i := range pools {
		pools[i] = l.dress(pools[i], looked)
	}
	if dry {
		return looked, pools, nil
	}
	added, err := l.Sites.add(ctx, looked)
	if err != nil {
		return looked, nil, err
	}
	l.Kick()
	return added, pools, nil
}

// probe opens a site, asks for its pools and closes it.
func (s *Sites) probe(ctx context.Context, parsed *site.Site) ([]fleet.Pool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	eng, err := s.Open(parsed)
	if err != nil {
		return nil, err
	}
	if closer, ok := eng.(io.Closer); ok {
		defer func() { _ = closer.Close() }() // it was only looked at
	}
	return eng.Pools(ctx)
}

func (s *Sites) add(ctx context.Context, wanted Place) (Place, error) {
	s.change.Lock()
	defer s.change.Unlock()
	known, findErr := s.Find(wanted.Name)
	if findErr == nil {
		wanted.Added, wanted.Draining = known.Added, known.Draining
		if bytes.Equal(known.Spec, wanted.Spec) && known.SpecFile == wanted.SpecFile {
			return known, nil
		}
	}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if findErr == nil && !sameCluster(known.File, wanted.File) {
			if err := refuseLive(tx, wanted.Name, ", and the new file leads to another cluster"); err != nil {
				return err
			}
		}
		return tx.PutSite(wanted.Site)
	})
	if err != nil {
		return Place{}, err
	}
	s.mu.Lock()
	before := s.put(wanted.Site)
	added := s.places[wanted.Name].Place
	s.mu.Unlock()
	if before != nil {
		if err := before.close(); err != nil {
			s.Log.Warn("engine of a changed site did not close", "site", wanted.Name, "error", err)
		}
	}
	return added, nil
}

// sameCluster reports whether two files of a site lead to the same gangs.
func sameCluster(a, b *site.Site) bool {
	if a == nil || b == nil || a.Engine != b.Engine {
		return false
	}
	if a.Engine == site.SlurmEngine {
		return a.Slurm.SSH == b.Slurm.SSH && a.Slurm.Dir == b.Slurm.Dir && a.Slurm.Config == b.Slurm.Config &&
			(a.Slurm.REST == nil || b.Slurm.REST == nil || a.Slurm.REST.URL == b.Slurm.REST.URL)
	}
	var x, y site.Kubernetes
	if a.Kubernetes != nil {
		x = *a.Kubernetes
	}
	if b.Kubernetes != nil {
		y = *b.Kubernetes
	}
	return x.Kubeconfig == y.Kubeconfig && x.Context == y.Context && x.Namespace == y.Namespace
}

// refuseLive is fault.Conflict where runs live on a site.
func refuseLive(tx store.Tx, name, why string) error {
	live, err := tx.LiveAttempts()
	if err != nil {
		return err
	}
	var first string
	count := 0
	for _, a := range live {
		if a.Site != name {
			continue
		}
		if count++; first == "" {
			first = a.Run
		}
	}
	switch count {
	case 0:
		return nil
	case 1:
		return fault.Newf(fault.Conflict, "run %s is live on site %s%s; drain it first: yard sites drain %s", first, name, why, name)
	}
	return fault.Newf(fault.Conflict, "%d runs are live on site %s (%s, …)%s; drain it first: yard sites drain %s", count, name, first, why, name)
}

// DrainSite sets whether a site drains: it takes no new gang then, and those
// that run there move away or stop with their grace and are queued again.
func (l *Loop) DrainSite(ctx context.Context, name string, on bool) (Place, error) {
	drained, err := l.Sites.drain(ctx, name, on)
	if err == nil {
		l.drained.Store(on)
		l.Kick()
	}
	return drained, err
}

func (s *Sites) drain(ctx context.Context, name string, on bool) (Place, error) {
	s.change.Lock()
	defer s.change.Unlock()
	p, err := s.find(name)
	if err != nil {
		return Place{}, err
	}
	wanted := p.Site
	wanted.Draining = on
	if err := s.Store.Update(ctx, func(tx store.Tx) error { return tx.PutSite(wanted) }); err != nil {
		return Place{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.Draining = on
	return p.Place, nil
}

// RemoveSite disconnects a site. Its attempts and their costs stay in the
// store; a site with live runs is fault.Conflict, as is this machine's.
func (l *Loop) RemoveSite(ctx context.Context, name string) error {
	if name == site.Local {
		return fault.New(fault.Conflict, "this machine's own site is not removed; yard sites drain local keeps runs off it")
	}
	return l.Sites.remove(ctx, name)
}

func (s *Sites) remove(ctx context.Context, name string) error {
	s.change.Lock()
	defer s.change.Unlock()
	p, err := s.find(name)
	if err != nil {
		return err
	}
	err = s.Store.Update(ctx, func(tx store.Tx) error {
		if err := refuseLive(tx, name, ""); err != nil {
			return err
		}
		return tx.DeleteSite(name)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.places, name)
	s.mu.Unlock()
	if err := p.close(); err != nil {
		s.Log.Warn("engine of a removed site did not close", "site", name, "error", err)
	}
	return nil
}

const (
	// lookFor bounds one look at a site's pools.
	lookFor = 20 * time.Second
	// observeFor bounds the look at all gangs of a site in one pass.
	observeFor = time.Minute
)
