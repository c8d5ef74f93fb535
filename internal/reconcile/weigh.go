package reconcile

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

const (
	// copySpeed is bytes/s at which a checkpoint goes from one store to another
	// through this process: two gigabits. An assumption.
	copySpeed = 250e6
	movesOver = 24 * time.Hour // in which moves for money are counted
)

// weighing is what the scheduler looks at to move runs, with what is used now.
type weighing struct {
	scheduler.MoveSnapshot
	uses  []use
	begun map[string]int64 // by run: the step that its live attempt went on from
}

// moveSnapshot is all that the scheduler looks at to move runs: those that may
// or must move now, or one that somebody asks about.
func (l *Loop) moveSnapshot(ctx context.Context, asked string) (weighing, error) {
	s := weighing{MoveSnapshot: scheduler.MoveSnapshot{Policy: l.Policy.Moves}}
	s.Policy.Grace = l.Policy.Grace
	waiting, err := l.snapshot(ctx)
	if err != nil {
		return s, err
	}
	s.Snapshot = waiting
	if s.Pools == nil {
		s.Pools = l.poolsSoon(ctx)
	}
	runs, all, err := l.readMovable(ctx, &s)
	if err != nil || len(runs) == 0 {
		return s, err
	}
	s.Coming = l.coming(all, s.Live, s.Pools)
	s.uses = usesIn(s.Snapshot, all, s.begun)
	l.reprice(ctx, s.uses, asked != "")
	standings, err := l.Standings(ctx)
	if err != nil {
		return s, err
	}
	for _, m := range runs {
		if asked != "" && m.Run.ID != asked {
			continue
		}
		w, err := l.workload(m.Run)
		if err != nil {
			continue // it stays: what it needs is not known
		}
		pace := paceOf(w, m.Attempt, s.begun[m.Run.ID])
		if pace.step > 0 && pace.left > 0 {
			m.Left, m.LeftKnown = pace.times(pace.left), true
		}
		m.Lost = pace.times(pace.lost)
		here, _ := findPool(s.Pools, m.Attempt.Pool)
		if asked == "" && !s.Concerns(m, here) {
			continue
		}
		if !m.Attempt.Imputed && l.dispatch.some.Load() {
			m.Price = l.leaving(billing.LineOfAttempt(m.Attempt, m.Run.Project), m.Attempt.Rate, m.Attempt.Nodes, m.Left)
		}
		for _, pool := range s.Pools {
			if pool.ID() != m.Attempt.Pool {
				m.Places = append(m.Places, l.destination(m, w, here, pool, pace, standings))
			}
		}
		s.Runs = append(s.Runs, m)
	}
	return s, nil
}

// readMovable reads what may move, without the places, and the runs of all live
// attempts, and fills in what a snapshot for the queue leaves out where nothing
// waits.
func (l *Loop) readMovable(ctx context.Context, s *weighing) (runs []scheduler.Movable, all map[string]fleet.Run, err error) {
	err = l.Store.View(ctx, func(tx store.Tx) error {
		runs, all, s.begun = nil, map[string]fleet.Run{}, map[string]int64{}
		live, err := tx.LiveAttempts()
		if err != nil {
			return err
		}
		s.Live = live
		if s.Quotas, err = tx.Quotas(); err != nil {
			return err
		}
		decided, err := tx.DecisionsSince(verbMove, s.Now.Add(-movesOver))
		if err != nil {
			return err
		}
		moves := map[string]int{}
		for _, d := range decided {
			moves[d.Run]++
		}
		s.Moves = len(decided)
		for _, attempt := range live {
			run, err := tx.Run(attempt.Run)
			if err != nil {
				return err
			}
			all[run.ID] = run
			if s.begun[run.ID], err = wentOnFrom(tx, attempt); err != nil {
				return err
			}
			if movable(run, []fleet.Attempt{attempt}) {
				runs = append(runs, scheduler.Movable{Run: run, Attempt: attempt, Moves: moves[run.ID]})
			}
		}
		return nil
	})
	return runs, all, err
}

// wentOnFrom is the step of the checkpoint that an attempt went on from, as far
// as the attempts before it told of theirs.
func wentOnFrom(tx store.Tx, attempt fleet.Attempt) (step int64, err error) {
	if attempt.Number == 1 {
		return 0, nil
	}
	earlier, err := tx.Attempts(attempt.Run)
	for _, a := range earlier {
		if a.Number < attempt.Number {
			step = max(step, a.Progress.CheckpointStep)
		}
	}
	return step, err
}

// progress is how fast an attempt goes, and how far it has to.
type progress struct {
	step       float64 // seconds
	tokens     float64 // per second; 0 where it is not known
	left, lost int64   // steps
}

func (p progress) times(steps int64) time.Duration {
	const most = 100 * 365 * 24 * time.Hour // a duration holds little more
	seconds := p.step * float64(max(0, steps))
	if seconds > most.Seconds() {
		return most
	}
	return time.Duration(seconds * float64(time.Second))
}

// paceOf reads the pace of an attempt from what it reported: from its tokens
// per second, or else from its own steps since it started, set-up included:
// those behind the step that it went on from.
func paceOf(w *workload.Workload, a fleet.Attempt, from int64) progress {
	p := a.Progress
	if p.At.IsZero() || p.Step <= 0 {
		return progress{}
	}
	pace := progress{tokens: p.TokensPerSecond, lost: max(0, p.Step-p.CheckpointStep)}
	steps, perStep := p.Steps, int64(0)
	if w.Training != nil {
		perStep = w.Training.TokensPerStep()
		if steps == 0 {
			steps = w.Training.Steps()
		}
	}
	switch {
	case perStep > 0 && p.TokensPerSecond > 0:
		pace.step = float64(perStep) / p.TokensPerSecond
	case !a.Started.IsZero() && p.At.After(a.Started) && p.Step > from:
		pace.step = p.At.Sub(a.Started).Seconds() / float64(p.Step-from)
		if perStep > 0 {
			pace.tokens = float64(perStep) / pace.step
		}
	}
	pace.left = max(0, steps-p.Step)
	return pace
}

// destination is what it takes to go to a pool, or what rules that out.
func (l *Loop) destination(m scheduler.Movable, w *workload.Workload, here, pool fleet.Pool, pace progress, standings []budget.Standing) scheduler.Destination {
	d := scheduler.Destination{Pool: pool.ID()}
	best, known := l.merit(m.Run, w, pool)
	candidate, obstacle := l.consider(w, pool, best.Nodes)
	if obstacle != "" {
		d.RuledOut = append(d.RuledOut, obstacle)
		return d
	}
	d.Need, d.SetUp = candidate.Need, best.SetUp
	d.RuledOut = append(d.RuledOut, l.bars(m.Run, m.Attempt, here, pool, w)...)
	if len(standings) > 0 {
		use := l.usesOf(m.Run, []fleet.Pool{pool})(pool.ID())
		if held := scheduler.Held(standings, use); held != nil {
			d.RuledOut = append(d.RuledOut, held.String())
		}
	}
	d.Pace = l.pace(m, w, here, pool, pace, best, known)
	d.Price = l.priceIn(pool, m.Run.Project, d.Need, time.Duration(float64(m.Left)*d.Pace))
	l.travel(&d, m, w, here, pool)
	return d
}

// pace is the time that work takes on a pool for each unit of time where the
// run is. What was measured there goes first; then the prediction for there
// over that for here, or over what is seen here; pools that are alike are
// equally fast.
func (l *Loop) pace(m scheduler.Movable, w *workload.Workload, here, there fleet.Pool, seen progress, best scheduler.Prospect, known bool) float64 {
	alike := here.Chip == there.Chip && here.ChipsPerNode == there.ChipsPerNode && here.Cores == there.Cores
	switch {
	case known && best.Measured && seen.tokens > 0:
		return seen.tokens / best.TokensPerSecond
	case alike && (!known || best.Nodes == m.Attempt.Nodes):
		return 1
	case !known || best.TokensPerSecond <= 0:
		return 0
	}
	if own, ok := l.merit(m.Run, w, here); ok && own.Nodes == m.Attempt.Nodes && own.TokensPerSecond > 0 {
		return own.TokensPerSecond / best.TokensPerSecond
	}
	return seen.tokens / best.TokensPerSecond // 0, unknown, where nothing is seen
}

// travel adds the way of the checkpoint: its time, and what it costs.
func (l *Loop) travel(d *scheduler.Destination, m scheduler.Movable, w *workload.Workload, here, there fleet.Pool) {
	from, to := m.Attempt.Store, l.storeOf(there.Site, m.Run.ID)
	if from == to || from == "" || w.Shape == nil {
		return
	}
	bytes := float64(w.Shape.Params()) * scheduler.DefaultAssumptions().CheckpointBytesPerParam
	d.Copy = time.Duration(bytes / copySpeed * float64(time.Second))
	d.Egress = egress(here, there, int64(bytes)).cost
}

// toll is what it costs to send bytes from one pool's place to another's.
type toll struct {
	rate   units.Rate // per GB
	cost   units.Amount
	source string
}

func egress(from, to fleet.Pool, bytes int64) toll {
	price, ok := catalog.TransferPrice(from.Provider, from.Region, to.Provider, to.Region)
	source := price.Source
	switch {
	case !ok:
		source = fmt.Sprintf("no price is known for what leaves %s: taken as nothing", from.Provider)
	case price.AsOf != "":
		source += ", " + price.AsOf
	}
	return toll{price.Price, price.Price.Times(big.NewRat(bytes, 1e9)), source}
}

// bars says what keeps a run that has begun from going on in a pool: the
// formats of its checkpoints, a chip family that its model is not qualified
// for, and stores that do not reach.
func (l *Loop) bars(run fleet.Run, from fleet.Attempt, here, there fleet.Pool, w *workload.Workload) []string {
	var reasons []string
	source, target := chip.Family(familyNamed(from, here)), chip.Family(there.Family)
	if source != target && source != "" {
		if why := w.Unreadable(source, target); why != "" {
			reasons = append(reasons, why)
		}
		if !l.qualified(w, target) {
			reasons = append(reasons, fmt.Sprintf("%s is not qualified for %s (yard qualify %s --on %s)", subjectOf(w), target, run.ID, there.ID()))
		}
	}
	if from.Site != there.Site && (from.Store == "" || l.storeOf(there.Site, run.ID) == "") {
		without := from.Site
		if from.Store != "" {
			without = there.Site
		}
		reasons = append(reasons, fmt.Sprintf("site %s keeps checkpoints in a directory of its own: give it a store (checkpoints: URL)", without))
	}
	return reasons
}

// familyNamed is the chip family that an attempt runs on; its pool may be gone.
func familyNamed(a fleet.Attempt, pool fleet.Pool) string {
	if pool.Family != "" {
		return pool.Family
	}
	if found, err := chip.Find(a.Chip); err == nil {
		return string(found.Family)
	}
	return ""
}

func findPool(pools []fleet.Pool, id string) (fleet.Pool, bool) {
	at := slices.IndexFunc(pools, func(p fleet.Pool) bool { return p.ID() == id })
	if at < 0 {
		site, name, _ := strings.Cut(id, "/")
		return fleet.Pool{Site: site, Name: name}, false
	}
	return pools[at], true
}

// coming is the room that is kept for runs that are leaving for another pool.
func (l *Loop) coming(runs map[string]fleet.Run, live []fleet.Attempt, pools []fleet.Pool) []scheduler.Coming {
	var all []scheduler.Coming
	for _, attempt := range live {
		run := runs[attempt.Run]
		if !moving(attempt) || run.Target == "" {
			continue
		}
		w, err := l.workload(run)
		pool, known := findPool(pools, run.Target)
		if err != nil || !known {
			continue
		}
		best, _ := l.merit(run, w, pool)
		candidate, obstacle := l.consider(w, pool, best.Nodes)
		if obstacle != "" {
			continue
		}
		need := candidate.Need
		kept := scheduler.Coming{Run: run.ID, Pool: pool.ID(), Nodes: max(1, need.Nodes)}
		if pool.Nodes == 1 {
			kept.Cores = need.CoresPerRank * max(1, need.Ranks)
		}
		all = append(all, kept)
	}
	return all
}
