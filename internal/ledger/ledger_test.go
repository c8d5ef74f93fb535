package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func start() time.Time { return time.Date(2026, 3, 4, 23, 20, 0, 0, time.UTC) }

// attempt ran for two hours and a half from 23:20, on three nodes of eight chips.
func attempt() fleet.Attempt {
	return fleet.Attempt{
		Run: "gpt-7f3a", Number: 1, Pool: "aws/p5", Nodes: 3, Chips: 24, State: fleet.AttemptSucceeded,
		Started: start(), Ended: start().Add(150 * time.Minute), Metered: start().Add(150 * time.Minute),
		Provider: "aws", Chipmaker: "nvidia", Chip: "h100", Rate: units.MustRate("55.04", units.USD),
	}
}

// numbered gives entries the IDs that a store would.
func numbered(entries ...Entry) []Entry {
	for i := range entries {
		entries[i].ID = int64(i + 1)
	}
	return entries
}

func source(entries []Entry) Source {
	return func(fn func(Entry) error) error {
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
}

func whole(a fleet.Attempt) []Entry { return UsageEntries(a, "lab", a.Started, a.Ended, a.Ended) }

// An attempt that has not started has cost nothing, whenever one asks.
func TestNothingAccruesBeforeTheStart(t *testing.T) {
	waiting := attempt()
	waiting.Started, waiting.Ended = time.Time{}, time.Time{}
	for _, until := range []time.Time{start(), start().Add(time.Hour), {}} {
		if got := Accrued(waiting, until); got.Micros != 0 || got.Currency != units.USD {
			t.Errorf("until %s: %s", until, got)
		}
	}
	if got := Accrued(attempt(), start().Add(-time.Hour)); got.Micros != 0 {
		t.Errorf("an hour before the start: %s", got)
	}
}

func TestUsageEntriesAreCutAtHours(t *testing.T) {
	a := attempt()
	var got []string
	for _, e := range whole(a) {
		got = append(got, fmt.Sprintf("%s %s %s %s", e.Key, e.From.Format("15:04"), e.To.Format("15:04"), e.Cost))
	}
	want := []string{
		"gpt-7f3a-1@2026-03-04T23:20:00Z 23:20 00:00 110.080000 USD",
		"gpt-7f3a-1@2026-03-05T00:00:00Z 00:00 01:00 165.120000 USD",
		"gpt-7f3a-1@2026-03-05T01:00:00Z 01:00 01:50 137.600000 USD",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUsageEntriesKeepToTheAttempt(t *testing.T) {
	a, day := attempt(), 24*time.Hour
	waiting := a
	waiting.Started = time.Time{}
	for _, c := range []struct {
		name     string
		attempt  fleet.Attempt
		from, to time.Time
		want     int
	}{
		{"more than all", a, a.Started.Add(-day), a.Ended.Add(day), 3},
		{"never started", waiting, a.Started, a.Ended, 0},
		{"before the start", a, a.Started.Add(-day), a.Started, 0},
		{"after the end", a, a.Ended, a.Ended.Add(day), 0},
		{"the clock went back", a, a.Ended, a.Started, 0},
	} {
		if got := UsageEntries(c.attempt, "lab", c.from, c.to, c.to); len(got) != c.want {
			t.Errorf("%s: %d entries, want %d", c.name, len(got), c.want)
		}
	}
}

func drawAttempt(t *rapid.T) fleet.Attempt {
	a := attempt()
	rate := fmt.Sprintf("%d.%09d", rapid.IntRange(0, 200).Draw(t, "rate"), rapid.IntRange(0, 999_999_999).Draw(t, "fraction"))
	a.Rate = units.MustRate(rate, units.USD)
	a.Nodes = rapid.IntRange(1, 1000).Draw(t, "nodes")
	a.Started = start().Add(time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "offset")))
	a.Ended = a.Started.Add(time.Duration(rapid.Int64Range(1, int64(30*time.Hour)).Draw(t, "length")))
	a.Metered = a.Ended
	return a
}

// metered books an attempt in calls at drawn times.
func metered(t *rapid.T, a fleet.Attempt) []Entry {
	var entries []Entry
	for at := a.Started; at.Before(a.Ended); {
		next := at.Add(time.Duration(rapid.Int64Range(1, int64(5*time.Hour)).Draw(t, "call")))
		entries = append(entries, UsageEntries(a, "lab", at, next, next)...)
		at = next
	}
	return numbered(entries...)
}

func verified(t interface{ Fatal(...any) }, entries []Entry, attempts ...fleet.Attempt) Report {
	report, err := Verify(source(entries), attempts)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestAnyMeteringSumsToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttempt(t)
		entries := metered(t, a)
		total, err := Total(source(entries), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := a.Rate.ForHours(a.Nodes, a.Ended.Sub(a.Started))
		if len(total.Cost) != 1 || total.Cost[0] != want || Accrued(a, a.Ended.Add(time.Hour)) != want {
			t.Fatalf("booked %v, accrued %s, want %s", total.Cost, Accrued(a, a.Ended), want)
		}
		if report := verified(t, entries, a); len(report.Problems) > 0 {
			t.Fatalf("problems: %v", report.Problems)
		}
	})
}

// TestVerifyFindsWhatIsWrong does one thing to a true ledger that makes it
// false, and each must show.
func TestVerifyFindsWhatIsWrong(t *testing.T) {
	shift := func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "shift"))
	}
	crimes := []struct {
		name   string
		commit func(*rapid.T, []Entry, int) []Entry
	}{
		{"entry removed", func(_ *rapid.T, es []Entry, i int) []Entry { return append(es[:i:i], es[i+1:]...) }},
		{"entry repeated", func(_ *rapid.T, es []Entry, i int) []Entry {
			again := es[i]
			again.ID = int64(len(es) + 1)
			return append(es, again)
		}},
		{"begin moved", func(t *rapid.T, es []Entry, i int) []Entry { es[i].From = es[i].From.Add(shift(t)); return es }},
		{"begin moved back", func(t *rapid.T, es []Entry, i int) []Entry { es[i].From = es[i].From.Add(-shift(t)); return es }},
		{"end moved", func(t *rapid.T, es []Entry, i int) []Entry { es[i].To = es[i].To.Add(shift(t)); return es }},
		{"end moved back", func(t *rapid.T, es []Entry, i int) []Entry { es[i].To = es[i].To.Add(-shift(t)); return es }},
		{"cost changed", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].Cost.Micros--; return es }},
		{"currency changed", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].Cost.Currency = "EUR"; return es }},
		{"rate changed", func(_ *rapid.T, es []Entry, i int) []Entry {
			es[i].Rate = units.MustRate("1e29", units.USD)
			return es
		}},
		{"nodes changed", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].Nodes++; return es }},
		{"provider changed", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].Provider = "azure"; return es }},
		{"imputed", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].Imputed = true; return es }},
		{"given to another attempt", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].Attempt = 7; return es }},
		{"ID of the one before", func(_ *rapid.T, es []Entry, i int) []Entry { es[i].ID--; return es }},
		{"reversed only", func(_ *rapid.T, es []Entry, i int) []Entry {
			return numbered(append(es, Reverse(es[i], start(), ""))...)
		}},
		{"reversal of nothing", func(_ *rapid.T, es []Entry, i int) []Entry {
			r := Reverse(es[i], start(), "")
			r.Reverses = 10_000
			return numbered(append(es, r)...)
		}},
		{"reversal keeps a little", func(_ *rapid.T, es []Entry, i int) []Entry {
			return replacing(es, i, func(pair []Entry) { pair[0].Cost.Micros++ })
		}},
		{"restated without reversal", func(_ *rapid.T, es []Entry, i int) []Entry {
			es[i].Key += restated
			es[i].Rate = units.MustRate("777", units.USD)
			es[i].Cost = es[i].Rate.ForHours(es[i].Nodes, es[i].To.Sub(es[i].From))
			return es
		}},
	}
	for _, crime := range crimes {
		t.Run(crime.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := drawAttempt(t)
				entries := metered(t, a)
				i := rapid.IntRange(0, len(entries)-1).Draw(t, "entry")
				if report := verified(t, crime.commit(t, entries, i), a); len(report.Problems) == 0 {
					t.Fatal("not found")
				}
			})
		})
	}
}

// replacing restates entry i at another rate, after a change to the pair.
func replacing(es []Entry, i int, change func([]Entry)) []Entry {
	a := attempt()
	a.Started, a.Nodes = es[0].From, es[0].Nodes
	pair := Restate(a, es[i], units.MustRate("0.333333", units.USD), start(), "late price")
	change(pair)
	return numbered(append(es, pair...)...)
}

func TestRestateBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttempt(t)
		entries := metered(t, a)
		if len(entries) == 0 {
			return
		}
		i := rapid.IntRange(0, len(entries)-1).Draw(t, "entry")
		entries = replacing(entries, i, func([]Entry) {})
		report := verified(t, entries, a)
		if len(report.Problems) > 0 {
			t.Fatalf("problems: %v", report.Problems)
		}
		total, err := Total(source(entries), nil)
		if err != nil || total.NodeHours.Rat().Cmp(nodeHours(a)) != 0 {
			t.Fatalf("%s node-hours (%v), want %s", total.NodeHours, err, nodeHours(a).FloatString(6))
		}
	})
}

func TestSettleEndsTheBookingWithTheAttempt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttempt(t)
		entries := metered(t, a)
		ended := a.Started.Add(time.Duration(rapid.Int64Range(0, int64(a.Ended.Sub(a.Started))).Draw(t, "true length")))
		a.Ended = ended
		rand.New(rand.NewSource(1)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		corrections := Settle(a, entries, start(), "the engine says so")
		ordered := make([]Entry, len(entries))
		for _, e := range entries {
			ordered[e.ID-1] = e
		}
		ordered = numbered(append(ordered, corrections...)...)
		if report := verified(t, ordered, a); len(report.Problems) > 0 {
			t.Fatalf("problems: %v", report.Problems)
		}
		if again := Settle(a, ordered, start(), ""); len(again) > 0 {
			t.Fatalf("settled twice: %v", again)
		}
		keys := map[string]bool{}
		for _, e := range ordered {
			if keys[e.Key] {
				t.Fatalf("key %q is used twice", e.Key)
			}
			keys[e.Key] = true
		}
	})
}

func nodeHours(a fleet.Attempt) *big.Rat {
	var h Hours
	h.add(a.Nodes, a.Ended.Sub(a.Started))
	return h.Rat()
}

func TestVerifySaysWhere(t *testing.T) {
	a := attempt()
	live := a
	live.Number, live.State, live.Ended, live.Metered = 2, fleet.AttemptRunning, time.Time{}, a.Started.Add(time.Hour)
	never := a
	never.Number, never.Started, never.Ended, never.Metered = 3, time.Time{}, time.Time{}, time.Time{}
	booked := whole(a)
	ofLive := UsageEntries(live, "lab", live.Started, live.Metered, live.Metered)
	doubled := booked[1]
	doubled.From = doubled.From.Add(30 * time.Minute)
	doubled.Cost = sliceCost(a, a.Rate, doubled.From, doubled.To)
	for _, c := range []struct {
		name    string
		entries []Entry
		want    []string
	}{
		{"true", append(append([]Entry{}, booked...), ofLive...), nil},
		{"gap", append([]Entry{booked[0], booked[2]}, ofLive...), []string{
			"gpt-7f3a-1: 2026-03-05T00:00:00Z to 2026-03-05T01:00:00Z is not booked",
		}},
		{"tail and all of the other are missing", booked[:2], []string{
			"gpt-7f3a-1: 2026-03-05T01:00:00Z to 2026-03-05T01:50:00Z is not booked",
			"gpt-7f3a-2: 2026-03-04T23:20:00Z to 2026-03-05T00:20:00Z is not booked",
		}},
		{"overlap, out of order", append([]Entry{booked[2], booked[1], doubled, booked[0]}, ofLive...), []string{
			"gpt-7f3a-1: entry 3 books 2026-03-05T00:30:00Z to 2026-03-05T01:00:00Z twice",
		}},
		{"beyond the end", append(append(append([]Entry{}, booked...), ofLive...),
			UsageEntries(live, "lab", live.Metered, live.Metered.Add(time.Minute), start())...), []string{
			"gpt-7f3a-2: 2026-03-05T00:20:00Z to 2026-03-05T00:21:00Z is booked beyond the end",
		}},
	} {
		report := verified(t, numbered(append([]Entry{}, c.entries...)...), a, live, never)
		var got []string
		for _, p := range report.Problems {
			got = append(got, p.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestSummarize(t *testing.T) {
	a, home := attempt(), attempt()
	home.Run, home.Pool, home.Provider, home.Imputed = "home", "local/cpu", "local", true
	euro := attempt()
	euro.Run, euro.Rate = "euro", units.MustRate("1", "EUR")
	entries := numbered(append(append(whole(a), whole(home)...), whole(euro)...)...)
	for _, c := range []struct {
		by   By
		want string
	}{
		{ByProvider, `
aws 6 15.000000 120.000000 cost [7.500000 EUR 412.800000 USD] imputed []
local 3 7.500000 60.000000 cost [] imputed [412.800000 USD]`},
		{ByDay, `
2026-03-04 3 6.000000 48.000000 cost [2.000000 EUR 110.080000 USD] imputed [110.080000 USD]
2026-03-05 6 16.500000 132.000000 cost [5.500000 EUR 302.720000 USD] imputed [302.720000 USD]`},
		{ByProject, `
lab 9 22.500000 180.000000 cost [7.500000 EUR 412.800000 USD] imputed [412.800000 USD]`},
	} {
		rows, err := Summarize(source(entries), c.by, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, r := range rows {
			fmt.Fprintf(&got, "\n%s %d %s %s cost %v imputed %v", r.Group, r.Entries, r.NodeHours, r.ChipHours, r.Cost, r.Imputed)
		}
		if diff := cmp.Diff(c.want, got.String()); diff != "" {
			t.Errorf("by %s: (-want +got)\n%s", c.by, diff)
		}
	}
	for _, by := range Groupings() {
		if rows, err := Summarize(source(entries), by, nil); err != nil || len(rows) == 0 || rows[0].Group == "" {
			t.Errorf("by %s: %v, %v", by, rows, err)
		}
	}
	if _, err := Summarize(source(entries), "colour", nil); !fault.Is(err, fault.Invalid) {
		t.Errorf("by colour: %v", err)
	}
}

func TestHoursDoNotOverflow(t *testing.T) {
	var h Hours
	for range 10 {
		h.add(1_000_000, 20*365*24*time.Hour)
	}
	text, err := json.Marshal(&h)
	if err != nil || string(text) != "1752000000000.000000" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestSourceFailureIsReturned(t *testing.T) {
	broken := errors.New("disk gone")
	failing := func(func(Entry) error) error { return broken }
	if _, err := Verify(failing, nil); !errors.Is(err, broken) {
		t.Errorf("verify: %v", err)
	}
	if _, err := Summarize(failing, ByRun, nil); !errors.Is(err, broken) {
		t.Errorf("summarize: %v", err)
	}
	if _, err := Total(failing, nil); !errors.Is(err, broken) {
		t.Errorf("total: %v", err)
	}
}

// BenchmarkVerify verifies a ledger of 200,000 entries that exists nowhere as a
// whole: memory must not grow with it.
func BenchmarkVerify(b *testing.B) {
	const attempts, hours = 1000, 100
	ran := make([]fleet.Attempt, attempts)
	for i := range ran {
		ran[i] = attempt()
		ran[i].Number, ran[i].Ended = i+1, ran[i].Started.Add(hours*time.Hour)
	}
	generated := func(fn func(Entry) error) error {
		id := int64(0)
		for h := range hours {
			for _, a := range ran {
				from := a.Started.Add(time.Duration(h) * time.Hour)
				for _, e := range UsageEntries(a, "lab", from, from.Add(time.Hour), from) {
					id++
					e.ID = id
					if err := fn(e); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	entries := 0
	for b.Loop() {
		report, err := Verify(generated, ran)
		if err != nil || len(report.Problems) > 0 {
			b.Fatal(err, report.Problems)
		}
		entries = report.Entries
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(entries), "entries")
	b.ReportMetric(float64(memory.HeapSys)/1e6, "MB-heap")
}
