package reconcile

import (
	"context"
	"math/big"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// checked prices the move for money among moves whose prices depend on contracts,
// of which there is one at most, by the bill itself: with the run away from where
// it is and there where it goes, both at once, and with what runs now. A tier
// that both count towards, or a plan that covers both, is then seen once. Where
// the move still pays, its reasons become those; where it does not, the place is
// ruled out in the snapshot, and it is to be decided again.
func (l *Loop) checked(ctx context.Context, s *weighing, moves []scheduler.Move) (again bool, err error) {
	at := slices.IndexFunc(moves, func(m scheduler.Move) bool { return m.Contracted && !m.Urgent })
	if at < 0 {
		return false, nil
	}
	move := &moves[at]
	run := slices.IndexFunc(s.Runs, func(m scheduler.Movable) bool { return m.Run.ID == move.Run })
	m := s.Runs[run]
	place := slices.IndexFunc(m.Places, func(d scheduler.Destination) bool { return d.Pool == move.To })
	d := m.Places[place]
	pool, _ := findPool(s.Pools, move.To)
	l.reprice(ctx, s.uses, true)
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	why := "its price under the contracts cannot be worked out"
	if l.exactly(&m, &d, pool, s.Policy) {
		verdict := s.Weigh(m, d)
		reasons := s.TooLittle(verdict)
		if len(reasons) == 0 {
			move.Verdict, move.Reasons = verdict, verdict.Explain("")
			return false, nil
		}
		why = reasons[0]
	}
	places := slices.Clone(m.Places)
	places[place].RuledOut = append(slices.Clone(places[place].RuledOut), why)
	s.Runs[run].Places = places
	return true, nil
}

// exactly sets the prices of a run where it is and where it goes to what the
// bill says of both together; false where it cannot.
func (l *Loop) exactly(m *scheduler.Movable, d *scheduler.Destination, pool fleet.Pool, policy scheduler.MovePolicy) bool {
	q := &l.dispatch
	q.mu.Lock()
	defer q.mu.Unlock()
	rate := scheduler.RateOf(pool, d.Need)
	f := q.bills[rate.Currency]
	if f == nil || m.Attempt.Rate.Currency != rate.Currency || m.Attempt.Imputed || pool.Imputed {
		return false
	}
	setUp := d.SetUp
	if setUp == 0 {
		setUp = policy.SetUp
	}
	if until, known := q.until[m.Run.ID]; known { // what the bill foresees of it, neither more nor less
		m.Left = max(time.Minute, until.Sub(f.from))
	}
	here, there := bounded(m.Left), bounded(setUp+time.Duration(float64(bounded(m.Left+m.Lost))*d.Pace))
	nodes := max(1, d.Need.Nodes)
	leave := billing.Shift{Line: billing.LineOfAttempt(m.Attempt, m.Run.Project), From: f.from, To: f.from.Add(here), Pace: nodesPace(m.Attempt.Nodes), Less: true}
	join := billing.Shift{Line: lineOfPool(pool, m.Run.Project, rate), From: f.from, To: f.from.Add(there), Pace: nodesPace(nodes)}
	left, err := f.book.Shift(leave)
	if err != nil {
		return false
	}
	both, err := f.book.Shift(leave, join)
	if err != nil {
		return false
	}
	m.Price = meanPrice(m.Price, -left.Micros, m.Attempt.Nodes, here, rate.Currency)
	d.Price = meanPrice(d.Price, both.Micros-left.Micros, nodes, there, rate.Currency)
	return true
}

// bounded is a length of at least a minute that bills are asked about.
func bounded(d time.Duration) time.Duration {
	const most = time.Duration(16384) * time.Hour
	return min(max(d, time.Minute), most).Round(time.Second)
}

// meanPrice is a price with another mean of a node-hour.
func meanPrice(p scheduler.Price, micros int64, nodes int, length time.Duration, currency units.Currency) scheduler.Price {
	hours := big.NewRat(int64(length/time.Second)*int64(max(1, nodes)), int64(time.Hour/time.Second))
	p.Marginal = units.RateOfRat(hours.Quo(units.Amount{Micros: micros, Currency: currency}.Rat(), hours), currency)
	return p
}
