package reconcile

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/spec"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// openEvery is how long a site that could not be opened is left alone.
const openEvery = 10 * time.Second

// SitesOptions is what a registry of sites works with.
type SitesOptions struct {
	Store store.Store
	Local engine.Engine // of this machine, which is always there
	// Open makes the engine of a site. It may be an io.Closer.
	Open func(*site.Site) (engine.Engine, error)
	Log  *slog.Logger
}

// Sites is the registry of the connected sites, which come and go while yard
// runs. The store holds them; engines are opened when they are first needed. A
// site that cannot be opened stays listed with its fault. Its methods are safe
// for concurrent use.
type Sites struct {
	SitesOptions
	change sync.RWMutex // held while a site is added, changed, drained or removed
	mu     sync.Mutex   // guards places, and what they hold
	places map[string]*place
	made   int // generations so far
}

// Place is a connected site as it is now.
type Place struct {
	fleet.Site
	File       *site.Site // nil for this machine, and where the stored file cannot be read any more
	Generation int        // another one each time that the site's file changes
}

// place is a Place with its engine.
type place struct {
	Place
	opening sync.Mutex // held while the engine is opened
	engine  engine.Engine
	fault   error
	tried   time.Time // when opening failed last; monotonic
	closed  bool
}

// NewSites returns a registry that knows this machine alone until Load.
func NewSites(options SitesOptions) *Sites {
	s := &Sites{SitesOptions: options, places: map[string]*place{}}
	s.places[site.Local] = &place{Place: Place{Site: fleet.Site{Name: site.Local, Engine: site.Local}}, engine: options.Local}
	return s
}

// Load reads the stored sites, and stores this machine where it is not.
func (s *Sites) Load(ctx context.Context) error {
	s.change.Lock()
	defer s.change.Unlock()
	stored, err := s.stored(ctx)
	if err != nil {
		return err
	}
	here := slices.ContainsFunc(stored, func(f fleet.Site) bool { return f.Name == site.Local })
	if !here {
		err := s.Store.Update(ctx, func(tx store.Tx) error { return tx.PutSite(fleet.Site{Name: site.Local, Engine: site.Local}) })
		if err != nil && !fault.Is(err, fault.Transient) {
			return err // a full disk must not keep yard from starting
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range stored {
		if f.Name == site.Local {
			s.places[site.Local].Draining = f.Draining
			continue
		}
		s.put(f)
	}
	return nil
}

func (s *Sites) stored(ctx context.Context) (sites []fleet.Site, err error) {
	err = s.Store.View(ctx, func(tx store.Tx) error {
		sites, err = tx.Sites()
		return err
	})
	return sites, err
}

// put makes a site known, in place of one of its name, which it returns. The
// caller holds mu.
func (s *Sites) put(f fleet.Site) (before *place) {
	s.made++
	p := &place{Place: Place{Site: f, Generation: s.made}}
	parsed, err := site.Parse(f.SpecFile, f.Spec)
	if err != nil {
		p.fault = fault.Wrap(fault.Invalid, err, "the stored file of the site")
	} else {
		p.File = parsed
	}
	before = s.places[f.Name]
	s.places[f.Name] = p
	return before
}

// List returns the connected sites by name.
func (s *Sites) List() []Place {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Place
	for _, name := range slices.Sorted(maps.Keys(s.places)) {
		all = append(all, s.places[name].Place)
	}
	return all
}

// Find returns a connected site; fault.NotFound for any other.
func (s *Sites) Find(name string) (Place, error) {
	p, err := s.find(name)
	if err != nil {
		return Place{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.Place, nil
}

func (s *Sites) find(name string) (*place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.places[name]; ok {
		return p, nil
	}
	return nil, fault.Newf(fault.NotFound, "no site %q is connected%s", name, spec.DidYouMean(name, slices.Sorted(maps.Keys(s.places))))
}

// Engine returns the engine of a site, opened if it is not yet; fault.NotFound
// for a site that is not connected.
func (s *Sites) Engine(name string) (engine.Engine, error) {
	p, err := s.find(name)
	if err != nil {
		return nil, err
	}
	p.opening.Lock()
	defer p.opening.Unlock()
	switch {
	case p.closed:
		return nil, fault.Newf(fault.NotFound, "site %q was removed", name)
	case p.engine != nil:
		return p.engine, nil
	case p.File == nil:
		return nil, p.fault
	case p.fault != nil && time.Since(p.tried) < openEvery:
		return nil, p.fault
	}
	p.tried = time.Now()
	p.engine, p.fault = s.Open(p.File)
	if p.fault != nil {
		p.engine = nil
		s.Log.Warn("site cannot be opened", "site", name, "error", p.fault)
	}
	return p.engine, p.fault
}

// keep holds a site as it is until release, so that an attempt can be recorded
// there; false where it is gone or takes no new gang.
func (s *Sites) keep(name string) (release func(), ok bool) {
	s.change.RLock()
	p, err := s.Find(name)
	if err != nil || p.Draining {
		s.change.RUnlock()
		return nil, false
	}
	return s.change.RUnlock, true
}

// close closes the engine of a place that is no longer known.
func (p *place) close() error {
	p.opening.Lock()
	defer p.opening.Unlock()
	p.closed = true
	if closer, ok := p.engine.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

// Close closes the engines. The registry opens none afterwards.
func (s *Sites) Close() error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	places := slices.Collect(maps.Values(s.places))
	s.mu.Unlock()
	var err error
	for _, p := range places {
		err = errors.Join(err, p.close())
	}
	return err
}
