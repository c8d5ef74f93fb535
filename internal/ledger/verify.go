package ledger

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Problem is something in the ledger that cannot be true.
type Problem struct {
	Attempt string `json:"attempt"`         // key of the attempt
	Entry   int64  `json:"entry,omitempty"` // ID of the entry, 0 where one is missing
	Message string `json:"message"`
}

func (p Problem) String() string {
	if p.Entry == 0 {
		return p.Attempt + ": " + p.Message
	}
	return fmt.Sprintf("%s: entry %d %s", p.Attempt, p.Entry, p.Message)
}

// Report is the outcome of a verification.
type Report struct {
	Entries  int            `json:"entries"`
	Attempts int            `json:"attempts"`
	Charges  int            `json:"charges"`  // of the entries: those of bills, and their reversals
	Booked   []units.Amount `json:"booked"`   // sum of all entries of use, by currency
	Computed []units.Amount `json:"computed"` // what the use costs that stands, computed anew
	Problems []Problem      `json:"problems"`
}

// Verify proves that the entries book exactly the use of the attempts: from
// each one's start to its end, or to where it is metered while it lives, with
// no gap and no overlap; that each cost follows from span, nodes and rate; that
// a reversal is the mirror of one earlier entry; and that the money balances.
//
// It reads the entries twice. Memory grows with attempts and corrections, not
// with entries. The error is that of the source.
func Verify(entries Source, attempts []fleet.Attempt) (Report, error) {
	v := &verifier{
		accounts:  make(map[attemptID]*account, len(attempts)),
		reversals: map[int64]Entry{}, reversed: map[string]bool{},
		report: Report{Attempts: len(attempts), Booked: []units.Amount{}, Computed: []units.Amount{}, Problems: []Problem{}},
	}
	accounts := make([]*account, len(attempts))
	for i, a := range attempts {
		accounts[i] = &account{attempt: a}
		v.accounts[attemptID{a.Run, a.Number}] = accounts[i]
	}
	if err := entries(v.collect); err != nil {
		return v.report, err
	}
	if err := entries(v.check); err != nil {
		return v.report, err
	}
	v.leftovers()
	for _, account := range accounts {
		v.coverage(account)
	}
	if !slices.Equal(v.report.Booked, v.report.Computed) {
		v.problem("ledger", 0, "does not balance: %v is booked and %v computed", v.report.Booked, v.report.Computed)
	}
	return v.report, nil
}

// account is what is booked of one attempt.
type account struct {
	attempt fleet.Attempt
	spans   []span // in order, disjoint, not touching: one, where all is well
}

type attemptID struct {
	run    string
	number int
}

type span struct{ from, to time.Time }

type verifier struct {
	report    Report
	accounts  map[attemptID]*account
	reversals map[int64]Entry // by the ID that they reverse, until that one is seen
	reversed  map[string]bool // keys of entries that are reversed
	lastID    int64
}

func (v *verifier) problem(attempt string, entry int64, format string, args ...any) {
	v.report.Problems = append(v.report.Problems, Problem{attempt, entry, fmt.Sprintf(format, args...)})
}

// collect is the first reading: which entries are taken back.
func (v *verifier) collect(e Entry) error {
	if e.Reverses == 0 {
		return nil
	}
	if first, twice := v.reversals[e.Reverses]; twice {
		v.problem(key(e), e.ID, "reverses entry %d, which entry %d reverses already", e.Reverses, first.ID)
		return nil
	}
	v.reversals[e.Reverses] = e
	v.reversed[strings.TrimSuffix(e.Key, reversed)] = true
	return nil
}

func key(e Entry) string {
	if e.Run == "" && e.IsCharge() {
		return strings.Trim(e.Contract+"/"+e.Clause, "/")
	}
	return fleet.AttemptKey(e.Run, e.Attempt)
}

// check is the second reading: each entry for itself, and its span.
func (v *verifier) check(e Entry) (err error) {
	v.report.Entries++
	if e.ID <= v.lastID {
		v.problem(key(e), e.ID, "follows entry %d: IDs must ascend", v.lastID)
	}
	v.lastID = e.ID
	if e.IsCharge() {
		if !slices.Contains(Categories(), e.Category) {
			v.problem(key(e), e.ID, "is of unknown category %q", e.Category)
		}
		v.charge(e)
		return nil
	}
	if v.report.Booked, err = addAmount(v.report.Booked, e.Cost); err != nil {
		return err
	}
	if e.Category == Egress {
		return v.egress(e)
	}
	if e.Reverses != 0 { // checked against what it reverses
		return nil
	}
	account := v.accounts[attemptID{e.Run, e.Attempt}]
	if account == nil || account.attempt.Started.IsZero() {
		v.problem(key(e), e.ID, "books use of an attempt that never was")
		delete(v.reversals, e.ID)
		return nil
	}
	if reversal, taken := v.reversals[e.ID]; taken {
		delete(v.reversals, e.ID)
		v.mirror(e, reversal)
		// The pair sums to nothing. Its currency still shows in the balance.
		v.report.Computed, err = addAmount(v.report.Computed, units.Amount{Currency: e.Cost.Currency})
		return err
	}
	return v.stands(e, account)
}

// charge checks an entry of a bill: that it is taken back as it was booked, and
// that of each charge one version stands.
func (v *verifier) charge(e Entry) {
	v.report.Charges++
	if e.Reverses != 0 {
		return
	}
	if reversal, taken := v.reversals[e.ID]; taken {
		delete(v.reversals, e.ID)
		v.mirror(e, reversal)
	}
	subject, number, _ := strings.Cut(e.Key, revision)
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || e.Charge == "" || e.Imputed || e.Nodes != 0 {
		v.problem(key(e), e.ID, "is not a charge of a bill: %q", e.Key)
	}
	if before := fmt.Sprintf("%s%s%d", subject, revision, n-1); n > 1 && !v.reversed[before] {
		v.problem(key(e), e.ID, "charges anew what %q charges", before)
	}
}

// stands checks an entry that no other takes back.
func (v *verifier) stands(e Entry, account *account) (err error) {
	a := account.attempt
	if !e.To.After(e.From) || e.To.After(e.From.Truncate(time.Hour).Add(time.Hour)) {
		v.problem(key(e), e.ID, "spans %s, which is not a part of one hour", show(e.From, e.To))
		return nil
	}
	v.facts(e, a)
	v.book(account, e)
	if !bookable(e.Rate, a.Nodes, e.To.Sub(a.Started)) {
		v.problem(key(e), e.ID, "books at %s, which no amount can hold", e.Rate)
		return nil
	}
	cost := sliceCost(a, e.Rate, e.From, e.To)
	if cost != e.Cost {
		v.problem(key(e), e.ID, "books %s; the use costs %s", e.Cost, cost)
	}
	v.report.Computed, err = addAmount(v.report.Computed, cost)
	return err
}

// bookable reports whether a cost is far enough inside the range of amounts,
// about nine trillion units, which a forged entry may leave.
func bookable(rate units.Rate, nodes int, d time.Duration) bool {
	cost := new(big.Rat).Mul(rate.Rat(), big.NewRat(int64(d), int64(time.Hour)))
	cost.Mul(cost, big.NewRat(int64(nodes), 1))
	return cost.Abs(cost).Cmp(big.NewRat(1_000_000_000_000, 1)) < 0
}

// used is what an entry and its attempt must agree on.
type used struct {
	nodes, chips                    int
	pool, provider, chipmaker, chip string
	imputed                         bool
}

// facts checks what an entry says of its attempt.
func (v *verifier) facts(e Entry, a fleet.Attempt) {
	original, isRestated := strings.CutSuffix(e.Key, restated)
	correction := isRestated && v.reversed[original]
	if (e.Rate.Cmp(a.Rate) != 0 || e.Rate.Currency != a.Rate.Currency) && !correction {
		v.problem(key(e), e.ID, "books at %s; the attempt runs at %s", e.Rate, a.Rate)
	}
	booked := used{e.Nodes, e.Chips, e.Pool, e.Provider, e.Chipmaker, e.Chip, e.Imputed}
	ran := used{a.Nodes, a.Chips, a.Pool, a.Provider, a.Chipmaker, a.Chip, a.Imputed}
	if booked != ran {
		v.problem(key(e), e.ID, "books the use of %+v; the attempt used %+v", booked, ran)
	}
}

// mirror checks that the reversal takes back the entry, all of it and later.
func (v *verifier) mirror(e, reversal Entry) {
	want := Reverse(e, reversal.Booked, reversal.Note)
	want.ID = reversal.ID
	same := reversal.From.Equal(e.From) && reversal.To.Equal(e.To) && reversal.Rate.Cmp(e.Rate) == 0
	reversal.From, reversal.To, reversal.Booked = want.From, want.To, want.Booked
	rate := reversal.Rate
	reversal.Rate = want.Rate // two forms of one number may differ in bits
	if !same || rate.Currency != e.Rate.Currency || reversal != want {
		v.problem(key(e), reversal.ID, "is not the mirror of entry %d, which it reverses", e.ID)
	}
	if reversal.ID <= e.ID {
		v.problem(key(e), reversal.ID, "comes before entry %d, which it reverses", e.ID)
	}
}

// leftovers reports reversals of entries that are not there.
func (v *verifier) leftovers() {
	ids := make([]int64, 0, len(v.reversals))
	for id := range v.reversals {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		e := v.reversals[id]
		v.problem(key(e), e.ID, "reverses entry %d, which is not there", id)
	}
}

// book adds an entry's span to what is booked of its attempt.
func (v *verifier) book(account *account, e Entry) {
	spans := account.spans
	// The first span that ends at or after the begin of this one.
	at, _ := slices.BinarySearchFunc(spans, e.From, func(s span, from time.Time) int { return s.to.Compare(from) })
	if at < len(spans) && spans[at].to.Equal(e.From) {
		spans[at].to = e.To
	} else {
		spans = slices.Insert(spans, at, span{e.From, e.To})
	}
	// Swallow what it overlaps or touches: those that follow.
	next := at + 1
	for ; next < len(spans) && !spans[next].from.After(spans[at].to); next++ {
		if spans[next].from.Before(e.To) {
			v.problem(key(e), e.ID, "books %s twice", show(later(spans[next].from, e.From), earlier(spans[next].to, e.To)))
		}
		spans[at].from = earlier(spans[at].from, spans[next].from)
		spans[at].to = later(spans[at].to, spans[next].to)
	}
	account.spans = slices.Delete(spans, at+1, next)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// coverage checks that what is booked of an attempt is what it used.
func (v *verifier) coverage(account *account) {
	a := account.attempt
	end := a.Metered
	if a.State.Final() && !a.Ended.IsZero() {
		end = a.Ended
	}
	at := a.Started
	for _, s := range account.spans {
		if s.from.Before(a.Started) {
			v.problem(a.Key(), 0, "%s is booked before the start", show(s.from, earlier(s.to, a.Started)))
		}
		if s.from.After(at) && at.Before(end) {
			v.problem(a.Key(), 0, "%s is not booked", show(at, earlier(s.from, end)))
		}
		if s.to.After(end) {
			v.problem(a.Key(), 0, "%s is booked beyond the end", show(later(s.from, end), s.to))
		}
		at = later(at, s.to)
	}
	if at.Before(end) && !a.Started.IsZero() {
		v.problem(a.Key(), 0, "%s is not booked", show(at, end))
	}
}

func show(from, to time.Time) string {
	return from.UTC().Format(time.RFC3339Nano) + " to " + to.UTC().Format(time.RFC3339Nano)
}
