package billing

import (
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Book is usage under contracts, billed hour by hour. It keeps what was billed,
// so that late usage restates only what it changes: its own day for clauses by
// the hour, and from that day on, out of saved state, for those that
// accumulate. A Book is not safe for concurrent use.
type Book struct {
	*program
	turns     []gather
	cohorts   [][][]int     // by bundle
	idleCells map[int]int   // by clause: the cell of what a capacity reservation holds unused
	feeCache  map[int]feeOf // by first member of a cohort

	lines     map[Line]int
	lineList  []Line // by number
	lineCells []int
	cells     []*cell
	cellIndex map[cellKey]int
	epochs    map[int]*epoch
	ranks     []int // by cell: its place in an order that no name decides

	hours     map[int64]*hourState
	from, to  int64               // billed so far: [from, to)
	snapshots map[int64]*standing // at the start of days
	last      *standing           // at to
	busy      []int64             // see busyDays

	residueIndex map[residueKey]int
	residueLines []residueKey

	sums map[sumKey]*lineSum      // of what was emitted
	used struct{ from, to int64 } // the hours that hold usage; none where they are equal
	open bool                     // the bill has no last hour: see KeepOpen

	fingerprint string
	recall      func(day time.Time) ([]byte, error) // of a book that was opened again, or nil
	resident    map[int64]bool                      // days in memory, where recall is set
	touched     map[int64]bool                      // days that may have changed
	failed      error
}

type feeOf struct{ upfront, recurring int64 }

// hourState is what was metered and billed of one hour.
type hourState struct {
	quantities []num   // by line
	pieces     []piece // of them, what was used in a part of the hour only; kept for capacity reservations
	dirty      bool
	result     hourResult
	gathered   []entry
}

const daySeconds = 24 * hourSeconds

// piece is usage of a line in a part of an hour.
type piece struct {
	line     int
	from, to int64
	quantity num
}

// Bounds of a row of usage: in units, and in units of money at list price.
const (
	largestQuantity = 1_000_000_000_000_000
	largestRow      = 100_000_000_000
)

// NewBook prepares contracts for billing. They must agree on a currency.
func NewBook(contracts []*contract.Contract) (*Book, error) { return NewBookIn("", contracts) }

// NewBookIn is NewBook of a currency, also where no contract says which: use is
// billed at list price then.
func NewBookIn(currency units.Currency, contracts []*contract.Contract) (*Book, error) {
	p, err := compile(currency, contracts)
	if err != nil {
		return nil, err
	}
	b := &Book{
		program: p, idleCells: map[int]int{}, feeCache: map[int]feeOf{}, lines: map[Line]int{}, cellIndex: map[cellKey]int{},
		epochs: map[int]*epoch{}, hours: map[int64]*hourState{}, snapshots: map[int64]*standing{}, residueIndex: map[residueKey]int{},
		sums: map[sumKey]*lineSum{}, resident: map[int64]bool{}, touched: map[int64]bool{}, fingerprint: Fingerprint(contracts),
	}
	for _, bundle := range p.bundles {
		b.cohorts = append(b.cohorts, p.cohortsOf(bundle))
	}
	for i, c := range p.clauses {
		for _, role := range rolesOf(c) {
			b.turns = append(b.turns, gather{i, role})
		}
	}
	sort.SliceStable(b.turns, func(i, j int) bool { return b.turnBefore(b.turns[i], b.turns[j]) })
	for i, c := range p.clauses {
		if c.CapacityReservation == nil {
			continue
		}
		if b.idleCells[i], err = b.cellOf(c.idleLine(), i); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// ByCurrency groups contracts by their currency: those of one are billed in one
// book.
func ByCurrency(contracts []*contract.Contract) map[units.Currency][]*contract.Contract {
	by := map[units.Currency][]*contract.Contract{}
	for _, c := range contracts {
		by[c.Currency] = append(by[c.Currency], c)
	}
	return by
}

// turnBefore orders roles; then prepayments by their end, the soonest first, and
// commitments by the length of their windows: what a short one charges counts
// towards a long one.
func (b *Book) turnBefore(x, y gather) bool {
	if x.role != y.role {
		return x.role < y.role
	}
	if x.role == rolePrepayment {
		return b.clauses[x.clause].creditEnds() < b.clauses[y.clause].creditEnds()
	}
	length := map[contract.Period]int{contract.Month: 0, contract.Year: 1, contract.Total: 2}
	return length[b.clauses[x.clause].period()] < length[b.clauses[y.clause].period()]
}

// idleLine describes the unused part of a capacity reservation.
func (c *clause) idleLine() Line {
	r := c.CapacityReservation
	one := func(name string) string {
		if names := c.scope.Names(name); len(names) == 1 && !strings.ContainsAny(names[0], "*?[") {
			return names[0]
		}
		return ""
	}
	return Line{
		Subject: contract.Subject{
			Provider: one("providers"), Region: one("regions"), Zone: r.Zone, InstanceType: r.InstanceType, Chip: one("chips"),
			Chipmaker: one("chipmakers"), Account: r.Owner, Service: one("services"), Platform: r.Platform, Unit: one("units"),
		},
		ListRate: r.Rate.Decimal.String(),
	}
}

// Currency returns the currency of all charges.
func (b *Book) Currency() units.Currency { return b.currency }

// Line registers a line of usage and returns its number for Add.
func (b *Book) Line(line Line) (int, error) {
	if index, known := b.lines[line]; known {
		return index, nil
	}
	if line.Currency != "" && line.Currency != b.currency {
		return 0, fault.Newf(fault.Invalid, "usage is in %s and the contracts in %s; a dated exchange rate is needed", line.Currency, b.currency)
	}
	cell, err := b.cellOf(line, -1)
	if err != nil {
		return 0, err
	}
	index := len(b.lineCells)
	b.lines[line] = index
	b.lineList, b.lineCells = append(b.lineList, line), append(b.lineCells, cell)
	return index, nil
}

// Known returns the number of a line that was registered before.
func (b *Book) Known(line Line) (int, bool) {
	index, known := b.lines[line]
	return index, known
}

// Add records usage of a line over [from, to), spread evenly. Nothing is
// billed before Settle.
func (b *Book) Add(line int, from, to time.Time, quantity Quantity) error {
	start, end := from.Unix(), to.Unix()
	if end <= start {
		return fault.New(fault.Invalid, "usage must end after it starts")
	}
	if list := b.cells[b.lineCells[line]].list; quantity.cmp(whole(largestQuantity)) > 0 || quantity.mul(list).cmp(whole(largestRow)) > 0 {
		return fault.Newf(fault.Invalid, "%s units at %s are too many to bill in a row: it may cost a hundred billion", quantity, (Quantity{list}))
	}
	for hour := floorHour(start); hour < end; hour += hourSeconds {
		part := quantity.num
		if start < hour || end > hour+hourSeconds {
			part = part.mul(lowest(min(end, hour+hourSeconds)-max(start, hour), end-start))
		}
		if err := b.place(line, max(start, hour), min(end, hour+hourSeconds), part); err != nil {
			return err
		}
	}
	return nil
}

// place meters usage within one hour.
func (b *Book) place(line int, from, to int64, quantity num) error {
	hour := floorHour(from)
	parts, err := b.segments(line, from, to, quantity)
	if err != nil {
		return err
	}
	for _, p := range parts {
		b.meter(p.line, hour, p.quantity)
		if len(b.idleCells) > 0 && (p.from > hour || p.to < hour+hourSeconds) {
			b.hours[hour].pieces = append(b.hours[hour].pieces, p)
		}
	}
	return nil
}

func (b *Book) meter(line int, hour int64, quantity num) {
	state := b.hourAt(hour)
	if state == nil {
		state = &hourState{}
		b.hours[hour] = state
	}
	if b.used.from == b.used.to {
		b.used.from, b.used.to = hour, hour+hourSeconds
	}
	b.used.from, b.used.to = min(b.used.from, hour), max(b.used.to, hour+hourSeconds)
	b.touched[floorDay(hour)] = true
	for len(state.quantities) <= line {
		state.quantities = append(state.quantities, num{})
	}
	state.quantities[line] = state.quantities[line].add(quantity)
	state.dirty = true
}

// Span returns the hours that hold usage; false where there is none.
func (b *Book) Span() (from, to time.Time, ok bool) {
	if b.used.from == b.used.to {
		return from, to, false
	}
	return unixTime(b.used.from), unixTime(b.used.to), true
}

// Life returns the span from the start of the first clause to the last end.
func (b *Book) Life() (from, to time.Time, ok bool) {
	for i, c := range b.clauses {
		if i == 0 || c.from < from.Unix() {
			from = unixTime(floorHour(c.from))
		}
		if i == 0 || c.to > to.Unix() {
			to = unixTime(ceilHour(c.to))
		}
		ok = true
	}
	return from, to, ok
}

// Settle bills [from, to), or more where more was billed before, and emits the
// charges in order of time. What was billed before and still holds is not
// emitted again; what changed is reversed and charged anew.
func (b *Book) Settle(from, to time.Time, emit func(Charge)) {
	start, end := floorHour(from.Unix()), ceilHour(to.Unix())
	b.rank()
	fresh := b.to == b.from
	if !fresh {
		start, end = min(start, b.from), max(end, b.to)
	}
	redo, changed := end, start // the hours whose commitments are billed anew
	repeated := &steady{}
	for hour := start; hour < end; hour += hourSeconds {
		known := !fresh && hour >= b.from && hour < b.to
		if known && b.parked(hour) {
			continue
		}
		state := b.hourAt(hour)
		if b.failed != nil {
			return
		}
		if state == nil {
			state = &hourState{dirty: true}
			b.hours[hour] = state
		}
		if known && !state.dirty {
			continue
		}
		b.touched[floorDay(hour)] = true
		old := state.result.entries
		if !known {
			old = nil
		}
		state.result = repeated.bill(b, hour, state)
		state.dirty = false
		redo, changed = min(redo, hour), hour
		b.emitChange(hour, old, state.result.entries, emit)
	}
	b.regather(start, end, redo, changed, fresh, emit)
	b.from, b.to, b.busy = start, end, nil
}

// KeepOpen makes the bill one without a last hour: what rounding leaves over
// waits for the end of the day, not for the end of what was billed so far.
func (b *Book) KeepOpen() { b.open = true }

// regather runs the gathers again from the day of the first change on, until
// they stand as they stood before.
func (b *Book) regather(start, end, redo, changed int64, fresh bool, emit func(Charge)) {
	now := &standing{tallies: make([]tally, len(b.turns))}
	hour := start
	if !fresh && start == b.from {
		hour = max(min(floorDay(redo), floorDay(b.to-hourSeconds)), start) // the last day stood at the end
		b.visit(hour)
		if saved, known := b.snapshots[hour]; known {
			now = saved.clone()
		} else {
			hour = start
		}
	}
	for ; hour < end; hour += hourSeconds {
		if b.visit(hour); b.failed != nil {
			return
		}
		if hour == start || mod(hour, daySeconds) == 0 {
			if saved := b.snapshots[hour]; !fresh && hour > changed && end == b.to && saved != nil && saved.equal(now) {
				return
			}
			b.snapshots[hour] = now.clone()
			b.touched[floorDay(hour)] = true
		}
		state := b.hours[hour]
		gathered := b.gatherHour(hour, &state.result, now, hour+hourSeconds == end && !b.open)
		old := state.gathered
		state.gathered = gathered
		b.emitChange(hour, old, gathered, emit)
	}
	b.last = now
}

// emitChange emits what turns the old entries of an hour into the new ones.
func (b *Book) emitChange(hour int64, old, fresh []entry, emit func(Charge)) {
	if len(old) == 0 {
		for _, e := range fresh {
			b.tell(e, hour, 1, emit)
		}
		return
	}
	stays := make([]bool, len(fresh))
	for _, e := range old {
		match := slices.IndexFunc(fresh, func(f entry) bool { return f.equal(e) })
		for match >= 0 && stays[match] {
			next := slices.IndexFunc(fresh[match+1:], func(f entry) bool { return f.equal(e) })
			if next < 0 {
				match = -1
				break
			}
			match += next + 1
		}
		if match >= 0 {
			stays[match] = true
			continue
		}
		b.tell(e, hour, -1, emit)
	}
	for i, e := range fresh {
		if !stays[i] {
			b.tell(e, hour, 1, emit)
		}
	}
}

// Billed returns the span that Settle billed so far.
func (b *Book) Billed() (from, to time.Time) { return unixTime(b.from), unixTime(b.to) }

// monthBounds returns the calendar month in UTC that holds a time.
func monthBounds(at time.Time) (from, to time.Time) {
	from = time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0)
}

// Charges emits the charges that hold now, in order of time.
func (b *Book) Charges(emit func(Charge)) {
	for hour := b.from; hour < b.to; hour += hourSeconds {
		state := b.hourAt(hour)
		if state == nil {
			continue // a day that did not come back: see Err
		}
		for _, e := range state.result.entries {
			emit(b.chargeOf(e, hour))
		}
		for _, e := range state.gathered {
			emit(b.chargeOf(e, hour))
		}
	}
}

// rank orders cells by what they are, not by when they came or who used them.
func (b *Book) rank() {
	if len(b.ranks) == len(b.cells) {
		return
	}
	order := make([]int, len(b.cells))
	keys := make([]string, len(b.cells))
	for key, i := range b.cellIndex {
		p := key.product
		keys[i] = strings.Join([]string{p.Provider, p.Service, p.InstanceType, p.Region, p.Zone, p.Platform, p.Tenancy, p.Option, p.Unit, p.ListRate, p.Chip, key.treatment}, "\x00")
		order[i] = i
	}
	sort.Slice(order, func(i, j int) bool { return keys[order[i]] < keys[order[j]] })
	b.ranks = make([]int, len(b.cells))
	for place, i := range order {
		b.ranks[i] = place
	}
	clear(b.epochs)
}

// ranked lists the cells in the order of rank.
func (b *Book) ranked() []int {
	order := make([]int, len(b.cells))
	for i := range order {
		order[b.ranks[i]] = i
	}
	return order
}
