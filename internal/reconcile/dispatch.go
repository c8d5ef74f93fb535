package reconcile

import (
	"context"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// dispatch prices node-hours by what they add to the bill under the contracts
// in force: the ledger's use so far is the state, and what runs now is expected
// to go on until it is done. A price is worked out once for a pool, a size and a length, and
// holds until the bill, the contracts, or what runs have changed.
type dispatch struct {
	mu      sync.Mutex
	state   string               // of the bills, as Options.Bills says it; "" where no contract is in force
	checked time.Time            // monotonic: when the state was looked at
	took    time.Duration        // to look, the outlook included
	ahead   map[string]int       // nodes that the bills foresee, by what they are
	until   map[string]time.Time // by run: how long they expect it to run; absent for ever
	bills   map[units.Currency]*foreseen
	fault   string      // why the bills could not be opened, as told last
	some    atomic.Bool // there are bills
}

// use is what a live attempt uses, and will where it goes.
type use struct {
	line     billing.Line
	nodes    int
	currency units.Currency
	run      fleet.Run
	attempt  fleet.Attempt
	from     int64 // the step that it went on from
}

// foreseen is the bill of one currency, with what runs now going on.
type foreseen struct {
	book   *billing.Book
	from   time.Time   // the hour that prices are of
	nodes  map[int]int // by kind of line: what the bill foresees
	since  map[int]int // and what has begun since, or is about to
	curves map[curveKey]map[int]worth
	touch  map[int][]string // by kind of line: the contracts that bill it
}

// curveKey is what a curve is of: nodes of a kind for so many hours.
type curveKey struct {
	kind, hours int
}

// worth is what further nodes add to the bill, in micro-units, and why.
type worth struct {
	micros int64
	reason string
}

const (
	// mostPoints bounds the sizes at which a curve is worked out; sizes between
	// them are interpolated.
	mostPoints = 24
	// looksShare bounds the share of a core that looking at bills takes: a look
	// is followed by so many times its length without one.
	looksShare = 20
)

// lengths are those that runs are priced at, in hours: a run is priced as the
// shortest that holds it. Each is four times the one before.
var lengths = [...]int{1, 4, 16, 64, 256, 1024, 4096, 16384}

func lengthOf(d time.Duration) int {
	for _, hours := range lengths {
		if d <= time.Duration(hours)*time.Hour {
			return hours
		}
	}
	return lengths[len(lengths)-1]
}

// reprice sees to it that prices are of the bill and of what runs now. Unless
// now is set, it does so only from time to time: what has begun meanwhile is
// counted then without a new outlook. A bill that cannot be opened leaves the
// prices of before, or list prices.
func (l *Loop) reprice(ctx context.Context, runs []use, now bool) {
	if l.Bills == nil {
		return
	}
	d := &l.dispatch
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.some.Store(len(d.bills) > 0) }()
	if rest := max(l.PoolsEvery, looksShare*d.took); d.checked.IsZero() || now || time.Since(d.checked) >= rest {
		begun := time.Now() // monotonic
		err := l.outlook(ctx, runs, l.Clock())
		d.checked, d.took = time.Now(), time.Since(begun)
		if ctx.Err() == nil {
			l.tellBills(err)
		}
	}
	d.count(runs)
}

// tellBills logs, once, why bills cannot be opened.
func (l *Loop) tellBills(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != l.dispatch.fault {
		l.Log.Error("prices under the contracts in force cannot be worked out; those of before hold", "error", err)
	}
	l.dispatch.fault = text
}

// outlook opens the bills anew where they, the hour, or what runs have changed.
func (l *Loop) outlook(ctx context.Context, runs []use, now time.Time) error {
	d := &l.dispatch
	ahead := together(runs)
	hour := now.UTC().Truncate(time.Hour).Add(time.Hour)
	known := d.state
	if !maps.Equal(ahead, d.ahead) || slices.ContainsFunc(foreseenOf(d.bills), func(f *foreseen) bool { return !f.from.Equal(hour) }) {
		known = ""
	}
	books, state, err := l.Bills(ctx, known)
	if err != nil || (state == known && state != "") {
		return err
	}
	bills, until := map[units.Currency]*foreseen{}, l.untils(runs, now)
	for _, book := range books {
		f := &foreseen{book: book, from: hour, nodes: map[int]int{}, curves: map[curveKey]map[int]worth{}, touch: map[int][]string{}}
		if err := f.foresee(runs, until); err != nil {
			return err
		}
		bills[book.Currency()] = f
	}
	d.state, d.ahead, d.bills, d.until = state, ahead, bills, until
	return nil
}

func foreseenOf(bills map[units.Currency]*foreseen) []*foreseen {
	all := make([]*foreseen, 0, len(bills))
	for _, f := range bills {
		all = append(all, f) // in no order: each is asked the same
	}
	return all
}

// untils says how long each run is expected to run: by what it reports, else as
// it was expected before, else as it is predicted. Those of which nothing is
// known go on for ever.
func (l *Loop) untils(runs []use, now time.Time) map[string]time.Time {
	until := map[string]time.Time{}
	for _, u := range runs {
		w, err := l.workload(u.run)
		if err != nil {
			continue
		}
		before, known := l.dispatch.until[u.run.ID]
		pace := paceOf(w, u.attempt, u.from)
		switch {
		case pace.step > 0:
			until[u.run.ID] = now.Add(pace.times(pace.left))
		case known:
			until[u.run.ID] = before
		default:
			pool, _ := findPool(l.knownPools(), u.attempt.Pool)
			if best, ok := l.merit(u.run, w, pool); ok && lengthAt(best, pool.Rate) > 0 {
				until[u.run.ID] = now.Add(lengthAt(best, pool.Rate))
			}
		}
	}
	return until
}

// foresee carries a bill on: what runs goes on until it is done, from the hour
// under way.
func (f *foreseen) foresee(runs []use, until map[string]time.Time) error {
	var expected []billing.Expected
	for _, u := range runs {
		if u.currency != f.book.Currency() {
			continue
		}
		kind, err := f.book.Alike(u.line)
		if err != nil {
			return err
		}
		f.nodes[kind] += u.nodes
		expected = append(expected, billing.Expected{Line: u.line, Pace: nodesPace(u.nodes), Until: until[u.run.ID]})
	}
	return f.book.Foresee(f.from.Add(-time.Hour), expected)
}

// count notes what has begun since the bills were opened.
func (d *dispatch) count(runs []use) {
	if len(d.bills) == 0 {
		return
	}
	for _, f := range d.bills {
		f.since = map[int]int{}
		for kind, nodes := range f.nodes {
			f.since[kind] -= nodes
		}
	}
	for _, u := range runs {
		if f := d.bills[u.currency]; f != nil {
			if kind, err := f.book.Alike(u.line); err == nil {
				f.since[kind] += u.nodes
			}
		}
	}
}

// promise counts nodes that are about to begin: who is priced after them pays
// for what they leave.
func (l *Loop) promise(line billing.Line, currency units.Currency, nodes int) {
	d := &l.dispatch
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.bills[currency]; f != nil && f.since != nil {
		if kind, err := f.book.Alike(line); err == nil {
			f.since[kind] += nodes
		}
	}
}

// joining is what a node-hour costs on average of nodes that come to what runs.
func (l *Loop) joining(line billing.Line, list units.Rate, nodes int, length time.Duration) scheduler.Price {
	return l.priceOf(line, list, length, func(f *foreseen, kind int) (from, to int) {
		from = max(0, f.since[kind])
		return from, from + max(1, nodes)
	})
}

// leaving is what a node-hour costs on average of nodes that run, which is what
// the bill would be less without them.
func (l *Loop) leaving(line billing.Line, list units.Rate, nodes int, length time.Duration) scheduler.Price {
	return l.priceOf(line, list, length, func(*foreseen, int) (from, to int) { return -max(1, nodes), 0 })
}

// priceOf is the mean price of the nodes between two sizes of a curve.
func (l *Loop) priceOf(line billing.Line, list units.Rate, length time.Duration, span func(*foreseen, int) (from, to int)) scheduler.Price {
	price := scheduler.Price{List: list, Marginal: list}
	d := &l.dispatch
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.bills[list.Currency]
	if f == nil {
		return price
	}
	kind, err := f.book.Alike(line)
	if err != nil {
		return price
	}
	if price.Contracts = f.touching(kind, line); len(price.Contracts) == 0 {
		return price
	}
	from, to := span(f, kind)
	key := curveKey{kind, lengthOf(length)}
	before, err := f.at(key, line, from)
	if err != nil {
		return scheduler.Price{List: list, Marginal: list}
	}
	after, err := f.at(key, line, to)
	if err != nil {
		return scheduler.Price{List: list, Marginal: list}
	}
	sum := units.Amount{Micros: after.micros - before.micros, Currency: list.Currency}
	price.Marginal = units.RateOfRat(new(big.Rat).Quo(sum.Rat(), big.NewRat(int64(to-from)*int64(key.hours), 1)), list.Currency)
	if price.Reason = after.reason; to == 0 {
		price.Reason = before.reason
	}
	return price
}

func (f *foreseen) touching(kind int, line billing.Line) []string {
	names, known := f.touch[kind]
	if !known {
		names = f.book.Touching(line, f.from)
		f.touch[kind] = names
	}
	return names
}

// at is what so many further nodes add to the bill, fewer than none where they
// leave.
func (f *foreseen) at(key curveKey, line billing.Line, nodes int) (worth, error) {
	if nodes == 0 {
		return worth{}, nil
	}
	curve := f.curves[key]
	if known, ok := curve[nodes]; ok {
		return known, nil
	}
	if len(curve) >= mostPoints {
		return between(curve, nodes), nil
	}
	shift := billing.Shift{Line: line, From: f.from, To: f.from.Add(time.Duration(key.hours) * time.Hour), Pace: nodesPace(max(nodes, -nodes)), Less: nodes < 0}
	m, err := f.book.Shift(shift)
	if err != nil {
		return worth{}, err
	}
	if curve == nil {
		curve = map[int]worth{}
		f.curves[key] = curve
	}
	curve[nodes] = worth{m.Micros, m.Reason}
	return curve[nodes], nil
}

// between interpolates a curve, and carries on its last slope beyond it. No
// nodes add nothing.
func between(curve map[int]worth, nodes int) worth {
	sizes := []int{0}
	for size := range curve {
		sizes = append(sizes, size)
	}
	slices.Sort(sizes)
	i, _ := slices.BinarySearch(sizes, nodes)
	i = min(max(i, 1), len(sizes)-1)
	low, high := sizes[i-1], sizes[i]
	slope := new(big.Rat).SetFrac64(curve[high].micros-curve[low].micros, int64(high-low))
	rise := slope.Mul(slope, big.NewRat(int64(nodes-low), 1))
	near := curve[high]
	if high == 0 {
		near = curve[low]
	}
	whole := new(big.Int).Quo(rise.Num(), rise.Denom())
	return worth{curve[low].micros + whole.Int64(), near.reason}
}

func nodesPace(nodes int) billing.Quantity { return billing.QuantityOf(big.NewRat(int64(nodes), 1)) }

// together is the nodes that are used, by what they are.
func together(runs []use) map[string]int {
	all := map[string]int{}
	for _, u := range runs {
		l := u.line
		all[strings.Join([]string{l.Provider, l.Region, l.InstanceType, l.Option, l.Chip, l.Project, l.ListRate, string(u.currency)}, "|")] += u.nodes
	}
	return all
}

// usesIn is what of the live attempts is billed: each where it runs, and those
// on their way where they go.
func usesIn(s scheduler.Snapshot, runs map[string]fleet.Run, begun map[string]int64) []use {
	var uses []use
	for _, a := range s.Live {
		if a.Imputed {
			continue
		}
		line := billing.LineOfAttempt(a, s.Holder[a.Run])
		if target := runs[a.Run].Target; moving(a) && target != "" {
			pool, known := findPool(s.Pools, target)
			if !known || pool.Imputed || pool.Unpriced {
				continue
			}
			line = lineOfPool(pool, s.Holder[a.Run], pool.Rate)
			uses = append(uses, use{line, max(1, comingTo(s.Coming, a)), pool.Rate.Currency, runs[a.Run], a, begun[a.Run]})
			continue
		}
		uses = append(uses, use{line, max(1, a.Nodes), a.Rate.Currency, runs[a.Run], a, begun[a.Run]})
	}
	return uses
}

// comingTo is how many nodes a run that moves will hold.
func comingTo(all []scheduler.Coming, a fleet.Attempt) int {
	for _, c := range all {
		if c.Run == a.Run {
			return c.Nodes
		}
	}
	return a.Nodes
}

// lineOfPool is what a node-hour of a pool is billed as.
func lineOfPool(pool fleet.Pool, project string, rate units.Rate) billing.Line {
	chips := max(1, pool.ChipsPerNode)
	return billing.LineOfAttempt(fleet.Attempt{
		Provider: pool.Provider, Region: pool.Region, InstanceType: pool.InstanceType, Chip: pool.Chip, Chipmaker: chipmaker(pool),
		Option: pool.Option, Rate: rate, Nodes: 1, Chips: chips,
	}, project)
}

// priceIn is what a node-hour of a pool costs a run that comes to it, for so
// long. What is imputed is never billed, and without a price nothing is guessed.
func (l *Loop) priceIn(pool fleet.Pool, project string, need scheduler.Need, length time.Duration) scheduler.Price {
	rate := scheduler.RateOf(pool, need)
	if pool.Imputed || pool.Unpriced || !l.dispatch.some.Load() {
		return scheduler.Price{List: rate, Marginal: rate}
	}
	return l.joining(lineOfPool(pool, project, rate), rate, max(1, need.Nodes), length)
}

// lengthAt is for how long a run is paid on a pool, from its cost at the pool's
// rate; 0 where that is not known.
func lengthAt(best scheduler.Prospect, rate units.Rate) time.Duration {
	if best.Cost.Micros <= 0 || rate.Rat().Sign() <= 0 || best.Nodes <= 0 {
		return 0
	}
	hours := new(big.Rat).Quo(best.Cost.Rat(), rate.Rat())
	h, _ := hours.Quo(hours, big.NewRat(int64(best.Nodes), 1)).Float64()
	return time.Duration(min(h, float64(lengths[len(lengths)-1])) * float64(time.Hour))
}

// repriced is a cost at another rate.
func repriced(cost units.Amount, from, to units.Rate) units.Amount {
	if from.Rat().Sign() <= 0 || cost.Currency != to.Currency {
		return cost
	}
	ratio := new(big.Rat).Quo(cost.Rat(), from.Rat())
	return units.AmountOfRat(ratio.Mul(ratio, to.Rat()), to.Currency)
}

// roomIn is the whole nodes that are free in each pool.
func roomIn(s scheduler.Snapshot) map[string]int {
	room := map[string]int{}
	for _, pool := range s.Pools {
		room[pool.ID()] = max(pool.Nodes, pool.MaxNodes)
	}
	for _, a := range s.Live {
		room[a.Pool] -= a.Nodes
	}
	for _, c := range s.Coming {
		room[c.Pool] -= c.Nodes
	}
	return room
}

// promised counts what a waiting run is about to take, so that those after it in
// the queue are priced without it. It is a forecast: Place decides.
func (l *Loop) promised(waiting scheduler.Waiting, pools []fleet.Pool, room map[string]int) {
	if !l.dispatch.some.Load() {
		return
	}
	for _, c := range waiting.Candidates {
		nodes := max(1, c.Need.Nodes)
		if pool, known := findPool(pools, c.Pool); known && nodes <= room[c.Pool] {
			room[c.Pool] -= nodes
			if !pool.Imputed && !pool.Unpriced {
				rate := scheduler.RateOf(pool, c.Need)
				l.promise(lineOfPool(pool, waiting.Run.Project, rate), rate.Currency, nodes)
			}
			return
		}
	}
}
