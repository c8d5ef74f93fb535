package reconcile

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/internal/budget"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

const (
	drainedBy = "drained by " // opens the reason of an attempt that a budget or its site ends, and lasts in the store
	heldBy    = "held by budget "
	// countedFor is how long a count of the ledger is used that nothing made
	// stale: another process may import into it.
	countedFor = time.Minute
	// pace is the time that a forecast takes its speed from.
	pace = 24 * time.Hour
)

// draining reports whether a live attempt was asked to end while its run goes
// on: by a budget, or because the run moves.
func draining(a fleet.Attempt) bool {
	return !a.State.Final() && (strings.HasPrefix(a.Reason, drainedBy) || moving(a))
}

// spending is the last count of the ledger against the budgets.
type spending struct {
	mu      sync.Mutex
	counted time.Time
	tallies []tally
	models  map[string]string // of runs that have ended or not, by ID
	told    map[string]bool   // thresholds that were logged
	last    []*budget.Budget  // that could be read
	fault   string            // of the last reading
}

// stale makes the next look count the ledger anew.
func (s *spending) stale() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = time.Time{}
}

// Recount makes the next look at the budgets count the ledger anew: something
// was booked beside the loop.
func (l *Loop) Recount() { l.spending.stale() }

// tally is what was spent on one budget.
type tally struct {
	budget   *budget.Budget
	from, to time.Time
	spent    map[units.Currency]int64 // micro-units in the period
	day      int64                    // of the budget's currency, in the last 24 hours
}

func (t *tally) add(use budget.Use, imputed bool, at, now time.Time, cost units.Amount) {
	if !t.budget.Covers(use) || (imputed && !t.budget.Imputed) {
		return
	}
	if !at.Before(t.from) && (t.to.IsZero() || at.Before(t.to)) {
		t.spent[cost.Currency] += cost.Micros
	}
	if cost.Currency == t.budget.Amount.Currency && at.After(now.Add(-pace)) {
		t.day += cost.Micros
	}
}

// Standings says where each budget stands: what the ledger holds of its
// period, and what live attempts used since.
func (l *Loop) Standings(ctx context.Context) ([]budget.Standing, error) {
	l.spending.mu.Lock()
	defer l.spending.mu.Unlock()
	budgets := l.budgets()
	if len(budgets) == 0 {
		return nil, nil
	}
	now := l.Clock()
	var standings []budget.Standing
	err := l.Store.View(ctx, func(tx store.Tx) error {
		if err := l.count(tx, budgets, now); err != nil {
			return err
		}
		live, err := tx.LiveAttempts()
		if err != nil {
			return err
		}
		for _, t := range l.spending.tallies {
			t.spent = cloneSums(t.spent)
			for _, a := range live {
				if err := l.accrue(tx, &t, a, now); err != nil {
					return err
				}
			}
			standings = append(standings, t.standing(now))
		}
		return nil
	})
	return standings, err
}

func cloneSums(sums map[units.Currency]int64) map[units.Currency]int64 {
	out := map[units.Currency]int64{}
	for currency, micros := range sums {
		out[currency] = micros
	}
	return out
}

// budgets reads the budgets. Where they cannot be read those of before hold.
func (l *Loop) budgets() []*budget.Budget {
	s := &l.spending
	budgets, err := l.Budgets()
	if err == nil {
		s.last, s.fault = budgets, ""
		return budgets
	}
	if s.fault != err.Error() {
		s.fault = err.Error()
		l.Log.Error("budgets cannot be read; those read last stay in force", "error", err)
	}
	return s.last
}

// count adds the ledger up, unless the last count still holds.
func (l *Loop) count(tx store.Tx, budgets []*budget.Budget, now time.Time) error {
	s := &l.spending
	fresh := !s.counted.IsZero() && now.Sub(s.counted).Abs() < countedFor && len(budgets) == len(s.tallies)
	var tallies []tally
	earliest := now.Add(-pace)
	for i, b := range budgets {
		from, to := b.Period.Span(now)
		if from.Before(earliest) {
			earliest = from
		}
		tallies = append(tallies, tally{budget: b, from: from, to: to, spent: map[units.Currency]int64{}})
		fresh = fresh && same(s.tallies[i].budget, b) && s.tallies[i].from.Equal(from)
	}
	if fresh {
		return nil
	}
	text, err := tx.Setting(ledger.MarksSetting)
	if err != nil {
		return err
	}
	marks, err := ledger.ParseMarks(text)
	if err != nil {
		return err
	}
	err = tx.Entries(store.EntryFilter{From: earliest}, func(e ledger.Entry) error {
		_, effective := marks.Money(e)
		if effective == 0 {
			return nil
		}
		cost := units.Amount{Micros: effective, Currency: e.Cost.Currency}
		for i := range tallies {
			use, err := l.use(tx, &tallies[i], e.Run, e.Project, e.Provider, e.Chipmaker)
			if err != nil {
				return err
			}
			tallies[i].add(use, e.Imputed, e.From, now, cost)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.tallies, s.counted = tallies, now
	return nil
}

// same reports whether a budget that was read again covers and limits the same.
func same(a, b *budget.Budget) bool {
	return a.Name == b.Name && a.Amount == b.Amount && a.Period == b.Period && a.Imputed == b.Imputed &&
		slices.Equal(a.Projects, b.Projects) && slices.Equal(a.Models, b.Models) && slices.Equal(a.Providers, b.Providers) &&
		slices.Equal(a.Chipmakers, b.Chipmakers) &&
		slices.EqualFunc(a.Thresholds, b.Thresholds, func(x, y budget.Threshold) bool { return x.Do == y.Do && x.At.Equal(y.At.Decimal) })
}

// accrue adds what a live attempt used and the ledger does not hold yet.
func (l *Loop) accrue(tx store.Tx, t *tally, a fleet.Attempt, now time.Time) error {
	run, err := tx.Run(a.Run)
	if err != nil {
		return err
	}
	use, err := l.use(tx, t, a.Run, run.Project, a.Provider, a.Chipmaker)
	if err != nil || a.Started.IsZero() {
		return err
	}
	from := latest(a.Started, a.Metered, t.from)
	cost := units.Amount{Micros: ledger.Accrued(a, now).Micros - ledger.Accrued(a, from).Micros, Currency: a.Rate.Currency}
	t.add(use, a.Imputed, latest(from, now.Add(-pace+time.Nanosecond)), now, cost)
	return nil
}

func (t *tally) standing(now time.Time) budget.Standing {
	currency := t.budget.Amount.Currency
	s := budget.Standing{
		Budget: t.budget, Now: now, From: t.from, To: t.to,
		Spent: units.Amount{Micros: t.spent[currency], Currency: currency}, Day: units.Amount{Micros: t.day, Currency: currency},
	}
	for other, micros := range t.spent {
		if other != currency && micros != 0 {
			s.Other = append(s.Other, units.Amount{Micros: micros, Currency: other})
		}
	}
	slices.SortFunc(s.Other, func(a, b units.Amount) int { return cmp.Compare(a.Currency, b.Currency) })
	return s
}

// use is what a run's money goes to. The model is read only for a budget that asks.
func (l *Loop) use(tx store.Tx, t *tally, run, project, provider, chipmaker string) (budget.Use, error) {
	use := budget.Use{Project: project, Provider: provider, Chipmaker: chipmaker}
	if len(t.budget.Models) == 0 {
		return use, nil
	}
	known, ok := l.spending.models[run]
	if !ok {
		stored, err := tx.Run(run)
		if err != nil && !fault.Is(err, fault.NotFound) { // an entry may be of a run that was never here
			return use, err
		}
		if w, err := workload.ParseStored(stored.SpecFile, stored.Spec); err == nil {
			known = modelOf(w)
		}
		if l.spending.models == nil {
			l.spending.models = map[string]string{}
		}
		l.spending.models[run] = known
	}
	use.Model = known
	return use, nil
}

// modelOf names the model of a workload, "" where it has none.
func modelOf(w *workload.Workload) string {
	if w.Shape == nil {
		return ""
	}
	return w.Shape.ID
}

// usesOf returns what a run would be spent on in each pool.
func (l *Loop) usesOf(run fleet.Run, pools []fleet.Pool) func(pool string) budget.Use {
	model := ""
	if w, err := l.workload(run); err == nil {
		model = modelOf(w)
	}
	return func(id string) budget.Use {
		use := budget.Use{Project: run.Project, Model: model}
		for _, pool := range pools {
			if pool.ID() == id {
				use.Provider, use.Chipmaker = pool.Provider, chipmaker(pool)
			}
		}
		return use
	}
}

// recordHolds writes to each run that a budget began to hold that it does.
func (l *Loop) recordHolds(ctx context.Context, queue []scheduler.Waiting) error {
	for _, waiting := range queue {
		why := heldBy + waiting.HeldBy
		if len(waiting.Candidates) > 0 || waiting.HeldBy == "" || waiting.Run.Reason == why {
			continue
		}
		err := l.Store.Update(ctx, func(tx store.Tx) error {
			run, err := tx.Run(waiting.Run.ID)
			if err != nil || run.State != fleet.Queued || run.StopAsked {
				return err
			}
			run.Reason = why
			if err := tx.AppendDecision(*decision(run, l.Clock(), "hold", "", waiting.Held...)); err != nil {
				return err
			}
			return tx.PutRun(run)
		})
		if err != nil {
			return err
		}
		l.Log.Info("run held", "run", waiting.Run.ID, "budget", waiting.HeldBy)
	}
	return nil
}

// enforce logs the thresholds that are newly reached and marks the attempts
// that are to be drained: observe stops those that are marked, also after a
// crash.
func (l *Loop) enforce(ctx context.Context, w world) error {
	if len(w.live)+len(w.queue) == 0 {
		return nil
	}
	standings, err := l.Standings(ctx)
	if err != nil {
		return err
	}
	if err := l.warn(ctx, standings); err != nil && !fault.Is(err, fault.Transient) {
		return err // a full disk must not keep a budget from draining
	}
	for i, attempt := range w.live {
		run := w.runs[attempt.Run]
		if attempt.State != fleet.AttemptRunning || run.StopAsked || draining(attempt) {
			continue
		}
		use := l.usesOf(run, nil)("")
		use.Provider, use.Chipmaker = attempt.Provider, attempt.Chipmaker
		if by := scheduler.Drained(standings, use); by != nil {
			if w.live[i], err = l.drain(ctx, attempt, by.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

// toldSetting is where the store keeps the thresholds that were logged, so that
// a restart logs none again.
const toldSetting = "budgets.told"

// warn logs each threshold once in a period.
func (l *Loop) warn(ctx context.Context, standings []budget.Standing) error {
	l.spending.mu.Lock()
	defer l.spending.mu.Unlock()
	s := &l.spending
	if s.told == nil {
		if err := l.Store.View(ctx, s.recall); err != nil {
			return err
		}
	}
	told := map[string]bool{} // of the periods under way alone
	news := false
	for _, standing := range standings {
		period := standing.Budget.Name + " " + standing.From.Format(time.RFC3339) + " "
		for key := range s.told {
			if strings.HasPrefix(key, period) {
				told[key] = true
			}
		}
		reached := standing.Reached()
		if reached == nil {
			continue
		}
		if key := period + reached.At.String(); !told[key] {
			told[key], news = true, true
			l.Log.Warn("budget threshold reached", "budget", standing.Budget.Name, "at", reached.At.String(), "does", reached.Do, "why", standing.String())
		}
	}
	if s.told = told; !news {
		return nil
	}
	keys := slices.Sorted(maps.Keys(told))
	return l.Store.Update(ctx, func(tx store.Tx) error { return tx.PutSetting(toldSetting, strings.Join(keys, "\n")) })
}

// recall reads which thresholds were logged.
func (s *spending) recall(tx store.Tx) error {
	text, err := tx.Setting(toldSetting)
	s.told = map[string]bool{}
	for _, key := range strings.Split(text, "\n") {
		s.told[key] = true
	}
	return err
}

// drain records that a budget, or the attempt's site, ends it.
func (l *Loop) drain(ctx context.Context, seen fleet.Attempt, why string) (fleet.Attempt, error) {
	err := l.Store.Update(ctx, func(tx store.Tx) error {
		run, err := tx.Run(seen.Run)
		if err != nil {
			return err
		}
		attempts, err := tx.Attempts(seen.Run)
		if err != nil {
			return err
		}
		attempt := attempts[seen.Number-1]
		if attempt.State != fleet.AttemptRunning || run.StopAsked {
			return nil
		}
		attempt.Reason = drainedBy + why
		if err := tx.AppendDecision(*decision(run, l.Clock(), "drain", attempt.Key(), why, "it may write a checkpoint, and is queued again")); err != nil {
			return err
		}
		seen = attempt
		return tx.PutAttempt(attempt)
	})
	return seen, err
}
