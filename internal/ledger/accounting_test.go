package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// summaryOf is what was compared, for a table: "KEY VERDICT booked used apart stake".
func summaryOf(compared []Comparison) string {
	var b strings.Builder
	for _, c := range compared {
		stake := "-"
		if c.Priced {
			stake = c.Stake.Decimal()
		}
		fmt.Fprintf(&b, "%s %s %s %s %s %s %v\n", c.Key, c.Verdict, c.Booked.Seconds().FloatString(0), c.Used.Seconds().FloatString(0), c.Apart.Seconds().FloatString(0), stake, c.Jobs)
	}
	return b.String()
}

func TestCompare(t *testing.T) {
	run := func(name string, from, to time.Duration, nodes int) fleet.Attempt {
		a := attempt()
		a.Run, a.Nodes, a.Started, a.Ended, a.Rate = name, nodes, start().Add(from), start().Add(to), units.MustRate("3600", units.USD)
		a.Metered = a.Ended
		return a
	}
	job := func(key, id string, from, to time.Duration, nodes int) fleet.Used {
		return fleet.Used{Key: key, Job: id, State: "COMPLETED", Start: start().Add(from), End: start().Add(to), Nodes: nodes}
	}
	good, far := run("good", 0, 100*time.Second, 4), run("far", 10*time.Second, 90*time.Second, 1)
	gone, free := run("gone", 20*time.Second, 80*time.Second, 2), run("free", 30*time.Second, 40*time.Second, 1)
	before, cut := run("before", -2*time.Hour, -time.Hour, 1), run("cut", -time.Hour, 50*time.Second, 2)
	live := run("live", 5*time.Second, 0, 2)
	live.Ended, live.Metered = time.Time{}, start().Add(35*time.Second)
	fresh := run("fresh", 6*time.Second, 0, 2)
	fresh.Ended, fresh.Metered = time.Time{}, time.Time{}
	used := []fleet.Used{
		job("good-1", "1", 0, 99*time.Second, 4), // a second for each node is nothing
		job("far-1", "2", 10*time.Second, 60*time.Second, 1), job("far-1", "3", 60*time.Second, 100*time.Second, 1),
		job("free-1", "4", 30*time.Second, 40*time.Second, 1),
		job("other-1", "5", 50*time.Second, 60*time.Second, 8),
		job("old-1", "6", -3*time.Hour, -2*time.Hour, 8),
		job("cut-1", "7", -time.Hour, 50*time.Second, 2),
		job("live-1", "8", 5*time.Second, 0, 2), job("fresh-1", "9", 6*time.Second, 0, 2),
	}
	used[len(used)-1].End, used[len(used)-2].End = time.Time{}, time.Time{}
	var entries []Entry
	for _, a := range []fleet.Attempt{good, far, gone, before, cut} {
		entries = append(entries, UsageEntries(a, "lab", a.Started, a.Ended, a.Ended)...)
	}
	entries = append(entries, UsageEntries(live, "lab", live.Started, live.Metered, live.Metered)...)
	wrong := UsageEntries(free, "lab", free.Started, free.Ended, free.Ended)
	entries = numbered(append(entries, wrong...)...)
	entries = append(entries, Reverse(entries[len(entries)-1], start(), "taken back"), Entry{Category: Egress, Run: "good", Attempt: 1, Nodes: 5, From: start(), To: start().Add(time.Hour)})
	compared, err := Compare([]fleet.Attempt{good, far, gone, free, before, cut, live, fresh}, source(entries), used, start(), start().Add(10*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := `cut-1 matched 100 100 0 0.000000 [7]
good-1 matched 400 396 -4 -4.000000 [1]
live-1 matched 60 60 0 0.000000 [8]
fresh-1 matched 0 0 0 0.000000 [9]
far-1 different 80 90 10 10.000000 [2 3]
gone-1 missing 120 0 -120 -120.000000 []
free-1 extra 0 10 10 10.000000 [4]
other-1 extra 0 80 80 - [5]
`
	if got := summaryOf(compared); got != want {
		t.Errorf("compared:\n%swant:\n%s", got, want)
	}
}

// What was booked and what a site counts in whole seconds always match, wherever
// the window is; one node-minute less never does.
func TestCompareWholeSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := attempt()
		a.Nodes = rapid.IntRange(1, 100_000).Draw(t, "nodes")
		from := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "from"))
		span := time.Duration(rapid.Int64Range(int64(2*time.Minute), int64(2000*time.Hour)).Draw(t, "span"))
		a.Started = start().Add(from)
		a.Ended = a.Started.Add(span)
		entries := numbered(whole(a)...)
		used := fleet.Used{Key: a.Key(), Job: "1", Start: a.Started.Truncate(time.Second), End: a.Ended.Truncate(time.Second), Nodes: a.Nodes}
		since := start().Add(time.Duration(rapid.Int64Range(0, int64(from+span)).Draw(t, "since")))
		compared, err := Compare([]fleet.Attempt{a}, source(entries), []fleet.Used{used}, since, a.Ended.Add(time.Hour))
		if err != nil || len(compared) > 1 || len(compared) == 1 && compared[0].Verdict != Matched {
			t.Fatalf("%v, %v; want a match", summaryOf(compared), err)
		}
		used.End = used.End.Add(-time.Minute)
		compared, err = Compare([]fleet.Attempt{a}, source(entries), []fleet.Used{used}, a.Started, a.Ended.Add(time.Hour))
		if err != nil || len(compared) != 1 || compared[0].Verdict != Different || compared[0].Apart.Rat().Sign() >= 0 {
			t.Fatalf("%v, %v; want a difference", summaryOf(compared), err)
		}
	})
}
