package scheduler

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/site"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// MovePolicy bounds how eagerly runs move. The zero value moves nothing for money.
type MovePolicy struct {
	// MinScore is the least score of a move for money: the share of the cost
	// that it saves over the share of the time that it disrupts.
	MinScore float64
	// MinSaving is the least share of what is left to pay that a move for money
	// saves, itself paid: prices and speeds are not known better than that.
	MinSaving float64
	// MinLeft is the least work left of a run that moves for money.
	MinLeft time.Duration
	// Rest is how long an attempt runs before it moves for money.
	Rest   time.Duration
	PerRun int // moves for money of a run in 24 hours
	PerDay int // moves for money of all runs in 24 hours
	// Grace is what stopping an attempt takes, last checkpoint included.
	Grace time.Duration
	// SetUp is what a start takes until work goes on where nothing else is
	// known: nodes, image, rendezvous, compilation.
	SetUp time.Duration
}

// DefaultMovePolicy is the policy where the user sets none.
func DefaultMovePolicy() MovePolicy {
	return MovePolicy{
		MinScore: 2, MinSaving: 0.10, MinLeft: 30 * time.Minute, Rest: 30 * time.Minute,
		PerRun: 2, PerDay: 50, Grace: 30 * time.Second, SetUp: 10 * time.Minute,
	}
}

// Movable is a run whose attempt runs, with where it could go on.
type Movable struct {
	Run     fleet.Run
	Attempt fleet.Attempt
	// Left is the work left at the speed seen here. Where LeftKnown is false,
	// nothing moves for money, and what drains goes where an hour costs least.
	Left      time.Duration
	LeftKnown bool
	Lost      time.Duration // work since the newest checkpoint: it would be done again
	Moves     int           // for money, in the last 24 hours
	Price     Price         // of a node-hour here, were it to leave; the attempt's rate where no contract touches it
	Places    []Destination
}

// Destination is a pool that is not the run's own, and what going there takes.
type Destination struct {
	Pool     string
	Need     Need
	RuledOut []string // why it cannot go on there; empty where it can
	// Pace is the time there for what takes one unit of time here; 0: not known.
	Pace   float64
	Copy   time.Duration // of the checkpoint; nothing is paid for nodes meanwhile
	SetUp  time.Duration // 0: the policy's
	Egress units.Amount  // what the copy costs
	Price  Price         // of a node-hour there; the pool's rate where no contract touches it
}

// MoveSnapshot is all that Moves looks at. Of the snapshot, Queue is what waits
// for room: its runs come before moves for money.
type MoveSnapshot struct {
	Snapshot
	Runs   []Movable
	Moves  int // for money, of all runs, in the last 24 hours
	Policy MovePolicy
}

// Move says that a run goes on elsewhere.
type Move struct {
	Run    string
	To     string // pool ID
	Urgent bool   // its place goes away, or somebody asked; not for money
	Verdict
	Reasons []string
}

// Stay says that a run which should leave its place cannot.
type Stay struct {
	Run     string
	Reasons []string
}

// Moves decides which running runs go on elsewhere now: those whose site
// drains or whose capacity ends within the notice, and those that are cheaper
// elsewhere by clearly more than the move costs. The order of the input does
// not matter.
//
// Prices under contracts follow what runs where, so such a move for money waits
// until every other move is over: each then lowers the bill by what it was
// weighed at, and no two runs go for the same hour.
func Moves(s MoveSnapshot) ([]Move, []Stay) {
	state := newPlacing(s.Snapshot)
	state.keepForQueue()
	var must, may []leaving
	for _, m := range s.Runs {
		if m.Run.Target != "" || m.Run.StopAsked {
			continue // one move at a time
		}
		if why := s.mustLeave(m, state.pools[m.Attempt.Pool]); why != "" {
			must = append(must, s.best(m, why))
		} else if s.mayLeave(m) {
			may = append(may, s.best(m, ""))
		}
	}
	sortLeaving(must)
	sortLeaving(may)
	var moves []Move
	var stays []Stay
	for _, l := range must {
		if move, reasons := state.move(l); move != nil {
			moves = append(moves, *move)
		} else {
			stays = append(stays, Stay{l.Run.ID, append([]string{l.why}, reasons...)})
		}
	}
	room := s.Policy.PerDay - s.Moves
	for _, l := range may {
		if room <= 0 {
			break
		}
		if len(moves) > 0 || s.underWay() {
			l.verdicts = slices.DeleteFunc(l.verdicts, func(v Verdict) bool { return v.Contracted })
		}
		if move, _ := state.move(l); move != nil {
			moves = append(moves, *move)
			room--
		}
	}
	return moves, stays
}

// underWay reports whether a run is on its way from one pool to another.
func (s MoveSnapshot) underWay() bool {
	return len(s.Coming) > 0 || slices.ContainsFunc(s.Queue, func(w Waiting) bool { return w.Run.Target != "" })
}

// Concerns reports whether a run may or must move now, so that it is worth
// weighing places for it. here is its pool.
func (s MoveSnapshot) Concerns(m Movable, here fleet.Pool) bool {
	return s.mustLeave(m, here) != "" || s.mayLeave(m)
}

// taken is how long before the end of a capacity block EC2 begins to end its
// instances. Source: AWS EC2 user guide, capacity blocks, as compiled 2026-11-21.
const taken = 30 * time.Minute

func noticeOf(pool fleet.Pool) time.Duration {
	if pool.Notice > 0 {
		return pool.Notice
	}
	return site.DefaultNotice
}

// mustLeave says why a run cannot stay where it is, or "". A run that will be
// done before its capacity is taken away stays.
func (s MoveSnapshot) mustLeave(m Movable, pool fleet.Pool) string {
	why := closed(pool, s.Now)
	if why != "" && !pool.Draining && m.LeftKnown && m.Left < pool.Ends.Sub(s.Now)-taken {
		return ""
	}
	return why
}

// mayLeave reports whether money alone may move a run now.
func (s MoveSnapshot) mayLeave(m Movable) bool {
	rested := !m.Attempt.Started.IsZero() && s.Now.Sub(m.Attempt.Started) >= s.Policy.Rest
	return m.LeftKnown && m.Left >= s.Policy.MinLeft && rested && m.Moves < s.Policy.PerRun && s.Policy.PerDay > 0
}

// leaving is a run with the places that it would go to, best first.
type leaving struct {
	Movable
	why      string // it must leave; "" where money moves it
	verdicts []Verdict
	against  []string // what rules out the other places
}

// best weighs all places of a run.
func (s MoveSnapshot) best(m Movable, why string) leaving {
	l := leaving{Movable: m, why: why}
	places := slices.SortedFunc(slices.Values(m.Places), func(a, b Destination) int { return cmp.Compare(a.Pool, b.Pool) })
	for _, d := range places {
		if d.Pool == m.Attempt.Pool {
			continue
		}
		v := s.Weigh(m, d)
		if why == "" {
			v.RuledOut = append(v.RuledOut, s.TooLittle(v)...)
		}
		if len(v.RuledOut) > 0 {
			l.against = append(l.against, d.Pool+": "+v.RuledOut[0])
			continue
		}
		l.verdicts = append(l.verdicts, v)
	}
	slices.SortStableFunc(l.verdicts, compareVerdicts)
	return l
}

func compareVerdicts(a, b Verdict) int {
	if a.Known != b.Known {
		return -compareBool(a.Known, b.Known)
	}
	if a.Known {
		return cmp.Compare(a.Go.Micros, b.Go.Micros)
	}
	if a.Unpriced != b.Unpriced {
		return compareBool(a.Unpriced, b.Unpriced)
	}
	return cmp.Compare(a.Hourly.Micros, b.Hourly.Micros)
}

// sortLeaving puts the runs that save most first.
func sortLeaving(runs []leaving) {
	saves := func(l leaving) int64 {
		if len(l.verdicts) == 0 || !l.verdicts[0].Known {
			return 0
		}
		return l.verdicts[0].Saving.Micros
	}
	slices.SortFunc(runs, func(a, b leaving) int {
		return cmp.Or(cmp.Compare(saves(b), saves(a)), cmp.Compare(a.Run.ID, b.Run.ID))
	})
}

// move takes the first place of a run that has room.
func (p *placing) move(l leaving) (*Move, []string) {
	reasons := slices.Clone(l.against)
	for _, v := range l.verdicts {
		placement, obstacle := p.arrive(l.Run, l.Attempt, v, l.why != "")
		if placement == nil {
			reasons = append(reasons, obstacle)
			continue
		}
		p.take(v.Pool, placement.Nodes, placement.Cores)
		p.held[l.Run.Project] += placement.Chips
		return &Move{Run: l.Run.ID, To: v.Pool, Urgent: l.why != "", Verdict: v, Reasons: v.reasons(l.why)}, nil
	}
	if len(l.Places) == 0 {
		reasons = append(reasons, "no other pool is connected")
	}
	return nil, reasons
}

// arrive fits a run into a place that it moves to. What it holds now does not
// count against the quota of its project. A run that must leave does not mind
// who else waits for the room.
func (p *placing) arrive(run fleet.Run, from fleet.Attempt, v Verdict, urgent bool) (*Placement, string) {
	p.held[run.Project] -= from.Chips
	defer func() { p.held[run.Project] += from.Chips }()
	if urgent {
		kept := p.kept
		p.kept = nil
		defer func() { p.kept = kept }()
	}
	return p.fit(run, Candidate{Pool: v.Pool, Need: v.Need})
}

// keepForQueue keeps every pool that a waiting run could use for it.
func (p *placing) keepForQueue() {
	for _, waiting := range p.snapshot.Queue {
		p.keep(waiting)
	}
}

// Send works out a move that somebody asked for: to a pool by its ID, or to the
// best pool of a site. It returns nil where none of them can take the run, and
// in any case what it would bring to go to each, best first, with what rules
// it out. s.Runs is not looked at.
func (s MoveSnapshot) Send(m Movable, target string) (*Move, []Verdict) {
	state := newPlacing(s.Snapshot)
	var fit, unfit []Verdict
	for _, d := range m.Places {
		if !Aims(target, d.Pool) || d.Pool == m.Attempt.Pool {
			continue
		}
		v := s.Weigh(m, d)
		if len(v.RuledOut) == 0 {
			if placement, obstacle := state.arrive(m.Run, m.Attempt, v, true); placement == nil {
				v.RuledOut = append(v.RuledOut, obstacle)
			}
		}
		if len(v.RuledOut) > 0 {
			unfit = append(unfit, v)
			continue
		}
		fit = append(fit, v)
	}
	byPool := func(a, b Verdict) int { return cmp.Compare(a.Pool, b.Pool) }
	slices.SortFunc(fit, func(a, b Verdict) int { return cmp.Or(compareVerdicts(a, b), byPool(a, b)) })
	slices.SortFunc(unfit, byPool)
	verdicts := append(fit, unfit...)
	if len(fit) == 0 {
		return nil, verdicts
	}
	return &Move{Run: m.Run.ID, To: fit[0].Pool, Urgent: true, Verdict: fit[0], Reasons: fit[0].reasons("")}, verdicts
}

// Aims reports whether a target, SITE or SITE/POOL, names a pool by its ID.
func Aims(target, pool string) bool {
	return target != "" && (pool == target || strings.HasPrefix(pool, target+"/"))
}
