package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/billing"
	"github.com/switchyard-ai/switchyard/internal/contract"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/ledger"
	"github.com/switchyard-ai/switchyard/internal/store"
	"github.com/switchyard-ai/switchyard/internal/store/sqlite"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// memory is the state of a memStore; a transaction works on a copy of it.
type memory struct {
	entries  []ledger.Entry
	keys     map[string]bool
	blobs    map[string][]byte
	settings map[string]string
}

// memStore keeps its state in memory; a transaction that fails or panics leaves
// no trace, as if the process had been killed in it.
type memStore struct {
	store.Store // what the settler does not use
	mu          sync.Mutex
	state       memory
}

func newMemStore() *memStore {
	return &memStore{state: memory{keys: map[string]bool{}, blobs: map[string][]byte{}, settings: map[string]string{}}}
}

func (s *memStore) Update(_ context.Context, fn func(store.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := memory{slices.Clone(s.state.entries), maps.Clone(s.state.keys), maps.Clone(s.state.blobs), maps.Clone(s.state.settings)}
	if err := fn(&memTx{memory: &next}); err != nil {
		return err
	}
	s.state = next
	return nil
}

func (s *memStore) View(_ context.Context, fn func(store.Tx) error) error {
	return fn(&memTx{memory: &s.state})
}

func (s *memStore) entries(fn func(ledger.Entry) error) error {
	for _, e := range s.state.entries {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) marks(t fataler) ledger.Marks {
	marks, err := ledger.ParseMarks(s.state.settings[ledger.MarksSetting])
	if err != nil {
		t.Fatal(err)
	}
	return marks
}

type memTx struct {
	store.Tx
	*memory
}

func (t *memTx) AppendEntry(e ledger.Entry) (bool, error) {
	if t.keys[e.Key] {
		return false, nil
	}
	for _, other := range t.entries {
		if e.Reverses != 0 && other.Reverses == e.Reverses {
			return false, fmt.Errorf("entry %d is reversed twice", e.Reverses)
		}
	}
	t.keys[e.Key] = true
	e.ID = int64(len(t.entries) + 1)
	t.entries = append(t.entries, e)
	return true, nil
}

func (t *memTx) Entries(f store.EntryFilter, fn func(ledger.Entry) error) error {
	for _, e := range slices.Clone(t.entries) {
		if e.ID <= f.After || !f.From.IsZero() && e.From.Before(f.From) || !f.To.IsZero() && !e.From.Before(f.To) {
			continue
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

func (t *memTx) Blob(name string) ([]byte, error) { return t.blobs[name], nil }

func (t *memTx) PutBlob(name string, data []byte) error {
	if data == nil {
		delete(t.blobs, name)
		return nil
	}
	t.blobs[name] = data
	return nil
}

func (t *memTx) Setting(name string) (string, error) { return t.settings[name], nil }

func (t *memTx) PutSetting(name, value string) error {
	t.settings[name] = value
	return nil
}

type fataler interface{ Fatal(args ...any) }

var start = time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)

const plan = `
kind: Contract
name: plans
counterparty: Amazon
term: {from: 2026-03-01, to: 2026-04-01}
scope: {providers: [aws]}
clauses:
  - {name: compute, savings_plan: {type: compute, hourly: 100, discount: 30%%}}
  - {name: blocks, scope: {projects: [lab]}, commitment: {period: month, amount: %s}}
  - {name: tiers, discount: {tiers: {window: month, steps: [{above: 500, discount: 5%%}, {above: 2000, discount: 9%%}]}}}
  - {name: held, scope: {regions: [us-east-1]}, capacity_reservation: {instance_type: p5.48xlarge, count: 1, rate: 55.04}}
---
kind: Contract
name: europe
counterparty: Nebius
currency: EUR
term: {from: 2026-03-01, to: 2026-04-01}
clauses:
  - {discount: {percent: 10%%}}
`

func contractsOf(t fataler, text string) []*contract.Contract {
	contracts, err := contract.Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return contracts
}

// world is a ledger, its contracts and a clock.
type world struct {
	store     *memStore
	contracts []*contract.Contract
	now       time.Time
	crashAt   int // calls of Crash until the process dies, 0 for never
	enough    int // charges in a transaction, 0 for as many as always
}

func (w *world) settler() *Settler {
	s := New(Options{
		Store: w.store, Clock: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler), Every: time.Minute,
		Contracts: func() ([]*contract.Contract, error) { return w.contracts, nil },
		Crash: func(string) {
			if w.crashAt--; w.crashAt == 0 {
				panic(errKilled)
			}
		},
	})
	if w.enough > 0 {
		s.enough = w.enough
	}
	return s
}

var errKilled = errors.New("killed")

// settle settles, and again where it was killed.
func (w *world) settle(t fataler) (killed bool) {
	defer func() {
		if found := recover(); found != nil {
			if err, ok := found.(error); !ok || !errors.Is(err, errKilled) {
				panic(found)
			}
			killed = true
		}
	}()
	if err := w.settler().Settle(context.Background()); err != nil {
		t.Fatal(err)
	}
	return false
}

func (w *world) meter(entries ...ledger.Entry) {
	_ = w.store.Update(context.Background(), func(tx store.Tx) error {
		for _, e := range entries {
			if _, err := tx.AppendEntry(e); err != nil {
				return err
			}
		}
		return nil
	})
}

func attempt(run string, nodes int, rate string, from time.Time, d time.Duration) fleet.Attempt {
	return fleet.Attempt{
		Run: run, Number: 1, Pool: "aws/p5", Provider: "aws", Chipmaker: "nvidia", Chip: "h100", Nodes: nodes, Chips: 8 * nodes,
		Region: "us-east-1", InstanceType: "p5.48xlarge", Option: "on-demand", Rate: units.MustRate(rate, units.USD), State: fleet.AttemptSucceeded,
		Started: from, Ended: from.Add(d), Metered: from.Add(d),
	}
}

// standing lists the charges that stand, as text, in the order of their keys.
func (w *world) standing() []string {
	gone := map[int64]bool{}
	for _, e := range w.store.state.entries {
		gone[e.Reverses] = true
	}
	var all []string
	for _, e := range w.store.state.entries {
		if e.IsCharge() && e.Reverses == 0 && !gone[e.ID] {
			subject, _, _ := strings.Cut(e.Key, " #")
			all = append(all, fmt.Sprintf("%s: %s of %s, billed %s, effective %d, list %d", subject, e.Category, e.Quantity, e.Cost, e.Effective, e.List))
		}
	}
	slices.Sort(all)
	return all
}

// TestTheLedgerIsTheBill meters runs in drawn pieces, late and out of order,
// takes some back, changes contracts, kills the process at drawn points, and
// settles in between. In the end the charges that stand are those of a ledger
// billed once, whole; they sum to the bill; and the ledger verifies.
func TestTheLedgerIsTheBill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{store: newMemStore(), now: start.Add(6 * time.Minute)}
		terms := []string{"900", "90000"}
		w.contracts = contractsOf(t, fmt.Sprintf(plan, terms[0]))
		var attempts []fleet.Attempt
		var pending [][]ledger.Entry
		for i := range rapid.IntRange(1, 4).Draw(t, "runs") {
			a := attempt(fmt.Sprintf("run-%d", i), rapid.IntRange(1, 3).Draw(t, "nodes"), rapid.SampledFrom([]string{"98.32", "55.04"}).Draw(t, "rate"),
				start.Add(time.Duration(rapid.IntRange(0, 40*60).Draw(t, "minute"))*time.Minute), time.Duration(rapid.IntRange(1, 9*60).Draw(t, "length"))*time.Minute+333)
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				a.Provider, a.Region, a.InstanceType, a.Rate.Currency = "nebius", "eu", "h200", "EUR"
			case 1:
				a.Imputed = true
			}
			attempts = append(attempts, a)
			project := rapid.SampledFrom([]string{"lab", "shop"}).Draw(t, "project")
			for _, e := range ledger.UsageEntries(a, project, a.Started, a.Ended, a.Ended) {
				pending = append(pending, []ledger.Entry{e})
			}
		}
		pending = rapid.Permutation(pending).Draw(t, "order")
		for len(pending) > 0 {
			n := rapid.IntRange(1, len(pending)).Draw(t, "metered")
			for _, entries := range pending[:n] {
				w.meter(entries...)
			}
			pending = pending[n:]
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 30*60).Draw(t, "later")) * time.Minute)
			w.contracts = contractsOf(t, fmt.Sprintf(plan, rapid.SampledFrom(terms).Draw(t, "terms")))
			w.crashAt = rapid.IntRange(0, 60).Draw(t, "killed after")
			w.enough = rapid.SampledFrom([]int{0, 1, 40}).Draw(t, "enough")
			if w.settle(t) && rapid.Bool().Draw(t, "again") {
				w.settle(t)
			}
		}
		w.crashAt = 0
		w.now = latest(w.now, start.AddDate(0, 0, 3)).Add(26 * time.Hour)
		w.settle(t)
		whole := &world{store: newMemStore(), now: w.now, contracts: w.contracts}
		_ = w.store.entries(func(e ledger.Entry) error {
			if !e.IsCharge() {
				whole.meter(e)
			}
			return nil
		})
		begun := ledger.Marks{} // a bill begins when its contracts are first known
		for currency, mark := range w.store.marks(t) {
			begun[currency] = ledger.Mark{From: mark.From}
		}
		whole.store.state.settings[ledger.MarksSetting] = begun.String()
		whole.settle(t)
		if diff := cmp.Diff(whole.standing(), w.standing()); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
		before := len(w.store.state.entries)
		if w.settle(t); len(w.store.state.entries) != before {
			t.Fatal("settling again booked something")
		}
		report, err := ledger.Verify(w.store.entries, attempts)
		if err != nil || len(report.Problems) > 0 {
			t.Fatalf("%v %v", report.Problems, err)
		}
		conserved(t, w)
		if problems, err := w.settler().Audit(context.Background()); err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
	})
}

// What the contracts do not make, and what they make and is missing, is found.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	for name, commit := range map[string]func(*memory){
		"a charge is dearer": func(m *memory) { m.entries[len(m.entries)-2].Cost.Micros++ },
		"a charge is gone":   func(m *memory) { m.entries = slices.Delete(m.entries, len(m.entries)-3, len(m.entries)-2) },
		"a charge of nothing": func(m *memory) {
			e := m.entries[len(m.entries)-1]
			e.ID, e.Key, e.Clause = e.ID+1, "bill|x #1", "none"
			m.entries = append(m.entries, e)
		},
	} {
		w := &world{store: newMemStore(), now: start.Add(10*time.Hour + 6*time.Minute), contracts: contractsOf(t, fmt.Sprintf(plan, "900"))}
		a := attempt("gpt", 3, "50", start.Add(8*time.Hour), 90*time.Minute)
		w.meter(ledger.UsageEntries(a, "lab", a.Started, a.Ended, a.Ended)...)
		w.settle(t)
		if problems, err := w.settler().Audit(context.Background()); err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		commit(&w.store.state)
		if problems, err := w.settler().Audit(context.Background()); err != nil || len(problems) == 0 {
			t.Errorf("%s: nothing was found, %v", name, err)
		}
	}
}

// conserved checks the ledger against a bill made by billing alone, and that
// every node-hour is billed once.
func conserved(t *rapid.T, w *world) {
	total, err := ledger.Total(w.store.entries, w.store.marks(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, currency := range []units.Currency{units.USD, "EUR"} {
		var contracts []*contract.Contract
		for _, c := range w.contracts {
			if c.Currency == currency {
				contracts = append(contracts, c)
			}
		}
		book, err := billing.NewBook(contracts)
		if err != nil {
			t.Fatal(err)
		}
		book.KeepOpen()
		metered, charged := new(big.Rat), new(big.Rat)
		_ = w.store.entries(func(e ledger.Entry) error {
			switch {
			case billable(e, currency):
				hours := new(big.Rat).Mul(big.NewRat(int64(e.To.Sub(e.From)), int64(time.Hour)), big.NewRat(int64(e.Nodes), 1))
				metered.Add(metered, hours)
				return book.Take(e)
			case e.Cost.Currency == currency && e.Run != "" && (e.Category == ledger.Charged || e.Category == ledger.Amortisation):
				quantity, _ := new(big.Rat).SetString(e.Quantity)
				charged.Add(charged, quantity)
			}
			return nil
		})
		if metered.Cmp(charged) != 0 {
			t.Fatalf("%s node-hours of %s are charged, %s were used", charged.FloatString(9), currency, metered.FloatString(9))
		}
		mark := w.store.marks(t)[currency]
		want := [2]int64{}
		book.Settle(mark.From, mark.Billed, func(c billing.Charge) {
			want[0] += c.Billed
			want[1] += c.Effective
		})
		sum := func(sums []units.Amount) int64 {
			for _, a := range sums {
				if a.Currency == currency {
					return a.Micros
				}
			}
			return 0
		}
		if got := [2]int64{sum(total.Billed), sum(total.Effective)}; got != want {
			t.Fatalf("%s: billed and effective %v, the bill says %v", currency, got, want)
		}
	}
}

// What a night on eight nodes under a plan of $100 an hour looks like.
func TestChargesByCategory(t *testing.T) {
	w := &world{store: newMemStore(), now: start.Add(10*time.Hour + 6*time.Minute)}
	w.contracts = contractsOf(t, `
kind: Contract
name: plans
counterparty: Amazon
term: {from: 2026-03-01, to: 2026-04-01}
scope: {providers: [aws]}
clauses:
  - {name: compute, savings_plan: {type: compute, hourly: 100, discount: 50%}}
`)
	a := attempt("gpt", 3, "50", start.Add(8*time.Hour), 90*time.Minute)
	w.meter(ledger.UsageEntries(a, "lab", a.Started, a.Ended, a.Ended)...)
	total := func() ledger.Row {
		row, err := ledger.Total(w.store.entries, w.store.marks(t))
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	if row := total(); row.Billed[0] != row.Cost[0] || row.Effective[0] != row.Cost[0] {
		t.Errorf("before it is billed: %+v", row)
	}
	w.settle(t)
	rows, err := ledger.Summarize(w.store.entries, ledger.ByCategory, w.store.marks(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range rows {
		got = append(got, fmt.Sprintf("%s: %s node-hours, cost %v, billed %v, effective %v", row.Group, row.NodeHours, row.Cost, row.Billed, row.Effective))
	}
	want := []string{
		// 3 nodes × 1.5 h at half price are 75 of 100 in the first hour, 37.50 in the second.
		"amortisation: 0.000000 node-hours, cost [], billed [0.000000 USD], effective [112.500000 USD]",
		"purchase: 0.000000 node-hours, cost [], billed [1000.000000 USD], effective [0.000000 USD]",
		"unused: 0.000000 node-hours, cost [], billed [0.000000 USD], effective [887.500000 USD]",
		"usage: 4.500000 node-hours, cost [225.000000 USD], billed [0.000000 USD], effective [0.000000 USD]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// The contract ends: what was under it costs the list price again.
	w.contracts = nil
	w.settle(t)
	if row := total(); row.Billed[0].String() != "225.000000 USD" || row.Effective[0] != row.Billed[0] {
		t.Errorf("without the contract: %+v", row)
	}
}

// Where there is no contract nothing is booked and nothing is kept.
func TestWithoutContractsNothingChanges(t *testing.T) {
	w := &world{store: newMemStore(), now: start.AddDate(0, 0, 3)}
	a := attempt("gpt", 3, "50", start, 90*time.Minute)
	w.meter(ledger.UsageEntries(a, "lab", a.Started, a.Ended, a.Ended)...)
	before := len(w.store.state.entries)
	w.settle(t)
	if s := w.store.state; len(s.entries) != before || len(s.blobs)+len(s.settings) != 0 {
		t.Errorf("%d entries, %d blobs, %v", len(s.entries), len(s.blobs), s.settings)
	}
}

// BenchmarkMonth bills a month of 200 attempts, 149,000 entries of use, from an
// empty bill, and then an hour of late use in the middle of it.
func BenchmarkMonth(b *testing.B) {
	for b.Loop() {
		s, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "state.db"))
		if err != nil {
			b.Fatal(err)
		}
		meter := func(a fleet.Attempt) {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				for _, e := range ledger.UsageEntries(a, "lab", a.Started, a.Ended, a.Ended) {
					if _, err := tx.AppendEntry(e); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		for i := range 200 {
			meter(attempt(fmt.Sprintf("run-%d", i), 50, "98.32", start, 31*24*time.Hour))
		}
		contracts := contractsOf(b, fmt.Sprintf(plan, "900000000"))[:1]
		settler := New(Options{Store: s, Clock: func() time.Time { return start.AddDate(0, 0, 31).Add(time.Hour) }, Log: slog.New(slog.DiscardHandler), Every: time.Minute,
			Contracts: func() ([]*contract.Contract, error) { return contracts, nil }})
		settle := func(metric string) {
			begun := time.Now()
			if err := settler.Settle(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(begun).Seconds(), metric)
		}
		settle("s-month")
		meter(attempt("late", 1, "98.32", start.AddDate(0, 0, 15), time.Hour))
		settle("s-late-hour")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
