package reconcile

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/store"
)

// observe looks at every live attempt, and repeats what was asked for but may
// not have happened: a start after a crash, a stop. What cannot be seen now is
// left for the next pass. Sites are looked at side by side; what one that takes
// long shows is for the pass in which its look ends.
func (l *Loop) observe(ctx context.Context, w world) []sight {
	bySite := map[string][]fleet.Attempt{}
	for _, attempt := range w.live {
		bySite[attempt.Site] = append(bySite[attempt.Site], attempt)
	}
	for name, live := range bySite {
		if l.looks[name] != nil {
			continue // the last look still goes on
		}
		look := &siteLook{done: make(chan struct{})}
		l.looks[name] = look
		l.beside.Go(func() {
			defer close(look.done)
			defer func() { look.panicked = recover() }()
			look.sights = l.observeSite(ctx, w, name, live)
		})
	}
	timer := time.NewTimer(passPatience)
	defer timer.Stop()
	var sights []sight
	for _, name := range slices.Sorted(maps.Keys(l.looks)) {
		look := l.looks[name]
		select {
		case <-look.done:
		case <-timer.C:
			timer.Reset(0) // nor is the next one waited for
		}
		if seen, over := look.take(); over {
			sights = append(sights, seen...)
			delete(l.looks, name)
		}
	}
	return sights
}

// passPatience is how long a pass waits for a site.
const passPatience = 2 * time.Second

// siteLook is one look at the gangs of a site, which may outlast a pass.
type siteLook struct {
	done     chan struct{}
	sights   []sight // to be read when done
	panicked any
}

// take returns what was seen, where the look is over. What broke in it breaks
// the pass.
func (s *siteLook) take() ([]sight, bool) {
	select {
	case <-s.done:
		if s.panicked != nil {
			panic(s.panicked)
		}
		return s.sights, true
	default:
		return nil, false
	}
}

// giveUpAfter is how many looks in a row may fail until the rest of a site's
// gangs is left for the next pass: the site is likely to be away.
const giveUpAfter = 3

func (l *Loop) observeSite(ctx context.Context, w world, name string, live []fleet.Attempt) []sight {
	ctx, cancel := context.WithTimeout(ctx, observeFor)
	defer cancel()
	eng, err := l.Sites.Engine(name)
	if err != nil {
		if l.silent.news(name, err) {
			l.Log.Warn("attempts on a site that cannot be reached", "site", name, "attempts", len(live), "error", err)
		}
		return nil
	}
	var sights []sight
	failed := 0
	for _, attempt := range live {
		s, err := l.look(ctx, eng, w.runs[attempt.Run], attempt)
		if l.silent.news(attempt.Key(), err) {
			l.Log.Warn("attempt cannot be observed", "run", attempt.Run, "attempt", attempt.Number, "error", err)
		}
		if err == nil {
			sights, failed = append(sights, s), 0
			continue
		}
		if failed++; failed >= giveUpAfter && fault.Is(err, fault.Transient) {
			break
		}
	}
	l.silent.news(name, nil)
	return sights
}

func (l *Loop) look(ctx context.Context, eng engine.Engine, run fleet.Run, attempt fleet.Attempt) (sight, error) {
	s := sight{run: run, attempt: attempt}
	switch {
	case hung(attempt) && !run.StopAsked:
		if err := l.sendDump(ctx, eng, run, attempt.Key()); err != nil {
			return s, err
		}
	case run.StopAsked || draining(attempt) || measuring(attempt):
		if err := l.sendStop(ctx, eng, run, attempt.Key()); err != nil {
			return s, err
		}
	}
	var err error
	s.status, err = eng.Observe(ctx, attempt.Key())
	switch {
	case err == nil:
		s.hangs = l.hangs(ctx, run, attempt, s.status)
		switch {
		case run.Trial != nil && s.status.State == engine.Exited:
			s.proof, err = l.gather(ctx, eng, s)
		case run.Trial != nil:
			s.began, err = begun(ctx, eng, s)
		}
		return s, err
	case !fault.Is(err, fault.Lost):
		return s, err
	case attempt.State == fleet.AttemptRunning:
		s.unknown = true
		return s, nil
	case run.StopAsked:
		s.refused = fault.New(fault.Lost, "stopped before it started")
		return s, nil
	}
	return l.startRecorded(ctx, eng, s)
}

// startRecorded starts an attempt whose intent is stored, possibly by a
// process that died before it could ask the engine.
func (l *Loop) startRecorded(ctx context.Context, eng engine.Engine, s sight) (sight, error) {
	err := l.start(ctx, eng, s.run, s.attempt)
	if errors.Is(err, errOnItsWay) {
		s.status.State = engine.Starting
		return s, nil
	}
	switch fault.KindOf(err) {
	case "":
		s.status, err = eng.Observe(ctx, s.attempt.Key())
		return s, err
	case fault.Invalid, fault.Conflict:
		s.refused = err
		return s, nil
	case fault.NoCapacity, fault.Quota:
		// The gang may still come to start: fence the key before it is given up.
		s.refused = err
		return s, eng.Stop(ctx, s.attempt.Key(), 0)
	}
	return s, err
}

// grace is the time that a stop leaves: what was asked for, or the policy's.
func (l *Loop) grace(asked time.Duration) time.Duration {
	if asked == 0 {
		return l.Policy.Grace
	}
	return asked
}

func (l *Loop) sendStop(ctx context.Context, eng engine.Engine, run fleet.Run, key string) error {
	grace := l.grace(run.StopGrace)
	if l.sent.already(key, grace) {
		return nil
	}
	l.Crash(pointStopSend)
	if err := eng.Stop(ctx, key, grace); err != nil {
		return err
	}
	l.Crash(pointStopSent)
	l.sent.remember(key, grace)
	return nil
}

// stops remembers the grace of each stop that this process sent, by key.
type stops struct {
	mu    sync.Mutex
	grace map[string]time.Duration
}

func (s *stops) already(key string, grace time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	sent, ok := s.grace[key]
	return ok && sent <= grace
}

func (s *stops) remember(key string, grace time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grace == nil {
		s.grace = map[string]time.Duration{}
	}
	s.grace[key] = grace
}

func (s *stops) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.grace, key)
}

// silences remembers what was complained of, so that a site that is away is
// not told of in every pass.
type silences struct {
	mu   sync.Mutex
	last map[string]string
}

// news reports whether the failure of a subject differs from its last one. Nil
// ends the subject's failures.
func (s *silences) news(subject string, err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.last, subject)
		return false
	}
	if s.last == nil {
		s.last = map[string]string{}
	}
	news := s.last[subject] != err.Error()
	s.last[subject] = err.Error()
	return news
}

// start asks the engine for the gang of a recorded attempt.
func (l *Loop) start(ctx context.Context, eng engine.Engine, run fleet.Run, attempt fleet.Attempt) error {
	pool, err := l.pool(ctx, attempt.Pool)
	if err != nil {
		return err
	}
	gang, err := l.gang(run, attempt, pool)
	if err != nil {
		return err
	}
	_, attempts, err := l.runWithAttempts(ctx, run.ID)
	if err != nil {
		return err
	}
	if gang.Avoid, err = l.avoided(ctx, attempt, attempts, pool); err != nil {
		return err
	}
	if err := l.bring(ctx, run, attempt, attempts); err != nil {
		return err
	}
	if attempt.Site == site.Local {
		if err := os.MkdirAll(l.Checkpoints(run.ID), 0o755); err != nil {
			l.Log.Warn("checkpoint directory cannot be made", "run", run.ID, "error", err)
		}
	}
	l.Crash(pointStarting)
	if err := eng.Start(ctx, gang); err != nil {
		return err
	}
	l.Crash(pointStarted)
	return nil
}

func (l *Loop) avoided(ctx context.Context, attempt fleet.Attempt, attempts []fleet.Attempt, pool fleet.Pool) (nodes []string, err error) {
	err = l.Store.View(ctx, func(tx store.Tx) error {
		live, err := tx.LiveAttempts()
		nodes = avoided(attempt, attempts, live, pool)
		return err
	})
	return nodes, err
}
