package ledger

import (
	"cmp"
	"math/big"
	"slices"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Verdict says how what a site's own accounting has of an attempt compares with
// the ledger.
type Verdict string

// The verdicts.
const (
	Matched   Verdict = "matched"
	Missing   Verdict = "missing"   // booked, and not in the site's accounting
	Extra     Verdict = "extra"     // in the site's accounting, and not booked
	Different Verdict = "different" // another node-time
)

// Verdicts lists the values of Verdict.
func Verdicts() []Verdict { return []Verdict{Matched, Missing, Extra, Different} }

// coarse is how exact a site's times are: Slurm counts in whole seconds. For each
// node of each job so much is taken as equal.
const coarse = time.Second

// Comparison is one attempt, compared.
type Comparison struct {
	Verdict Verdict
	Key     string // of the attempt, as the site knows it
	Run     string // "" of one that yard does not know
	Attempt int
	Jobs    []string // of the site
	Live    bool     // it runs: compared up to where its use is booked
	Booked  *Hours   // node-time in the ledger
	Used    *Hours   // node-time by the site's accounting
	Apart   *Hours   // Used less Booked
	Stake   units.Amount
	Priced  bool // an attempt that yard does not know has no rate, and so no Stake

	begin   time.Time
	allowed Hours
}

// Compare compares the attempts of a site, and what the ledger has of them, with
// what the site's own accounting says, between two times: in order of their
// beginning. Money is at the rates of their placements.
func Compare(attempts []fleet.Attempt, entries Source, used []fleet.Used, since, until time.Time) ([]Comparison, error) {
	b := books{found: map[string]*Comparison{}, attempts: map[string]fleet.Attempt{}, since: since, until: until}
	for _, a := range attempts {
		b.attempts[a.Key()] = a
	}
	for _, u := range used {
		b.use(u)
	}
	err := entries(func(e Entry) error {
		if _, ours := b.attempts[fleet.AttemptKey(e.Run, e.Attempt)]; ours && e.IsUse() {
			b.book(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	compared := make([]Comparison, 0, len(b.found))
	for _, c := range b.found {
		c.judge(b.attempts[c.Key])
		compared = append(compared, *c)
	}
	slices.SortFunc(compared, func(a, b Comparison) int { return cmp.Or(a.begin.Compare(b.begin), cmp.Compare(a.Key, b.Key)) })
	return compared, nil
}

// books is what both sides have, by the key of the attempt.
type books struct {
	found        map[string]*Comparison
	attempts     map[string]fleet.Attempt
	since, until time.Time
}

func (b *books) of(key string, begin time.Time) *Comparison {
	c := b.found[key]
	if c == nil {
		a, known := b.attempts[key]
		c = &Comparison{
			Key: key, Run: a.Run, Attempt: a.Number, Priced: known, Live: known && a.Ended.IsZero(), Booked: &Hours{}, Used: &Hours{}, Apart: &Hours{}, begin: begin,
		}
		b.found[key] = c
	}
	if begin.Before(c.begin) {
		c.begin = begin
	}
	return c
}

// within is how much of a span lies between the two times, of a live attempt up to
// where it is booked.
func (b *books) within(key string, from, to time.Time) (time.Duration, bool) {
	until := b.until
	if a, known := b.attempts[key]; known && a.Ended.IsZero() && a.Metered.Before(until) {
		until = a.Metered
	}
	if from.Before(b.since) {
		from = b.since
	}
	if to.IsZero() || to.After(until) {
		to = until
	}
	return max(to.Sub(from), 0), to.After(from)
}

func (b *books) use(u fleet.Used) {
	span, any := b.within(u.Key, u.Start, u.End)
	if _, known := b.attempts[u.Key]; !any && !known {
		return
	}
	c := b.of(u.Key, u.Start)
	c.Jobs = append(c.Jobs, u.Job)
	c.Used.add(u.Nodes, span)
	c.allowed.add(u.Nodes, coarse)
}

func (b *books) book(e Entry) {
	key := fleet.AttemptKey(e.Run, e.Attempt)
	span, any := b.within(key, e.From, e.To)
	if !any {
		return
	}
	sign := 1
	if e.Reverses != 0 {
		sign = -1
	}
	b.of(key, e.From).Booked.add(sign*e.Nodes, span)
}

func (c *Comparison) judge(a fleet.Attempt) {
	if len(c.Jobs) == 0 { // the last second may lie beyond the window for one side alone
		c.allowed.add(a.Nodes, coarse)
	}
	c.Apart.nanos.Sub(&c.Used.nanos, &c.Booked.nanos)
	switch {
	case new(big.Int).Abs(&c.Apart.nanos).Cmp(&c.allowed.nanos) <= 0:
		c.Verdict = Matched
	case c.Booked.nanos.Sign() == 0:
		c.Verdict = Extra
	case len(c.Jobs) == 0:
		c.Verdict = Missing
	default:
		c.Verdict = Different
	}
	if c.Priced {
		c.Stake = a.Rate.Times(c.Apart.Rat())
	}
}
