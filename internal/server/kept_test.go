package server

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// Where a run keeps its checkpoints is its last attempt's to say: this machine's
// directory is not shown for runs that are elsewhere.
func TestWhereCheckpointsAre(t *testing.T) {
	const directory = "/state/checkpoints/a"
	at := func(site, store string) fleet.Attempt {
		return fleet.Attempt{Run: "a", Site: site, Store: store, State: fleet.AttemptRunning}
	}
	for name, tt := range map[string]struct {
		attempts []fleet.Attempt
		want     string
	}{
		"not placed yet":             {nil, ""},
		"this machine":               {[]fleet.Attempt{at("local", "")}, directory},
		"this machine, with a store": {[]fleet.Attempt{at("local", "s3://b/a?region=x")}, "s3://b/a"},
		"a cluster":                  {[]fleet.Attempt{at("eks", "")}, ""},
		"a cluster, with a store":    {[]fleet.Attempt{at("local", ""), at("eks", "s3://b/a?region=x")}, "s3://b/a"},
	} {
		run, err := wireRun(fleet.Run{ID: "a"}, tt.attempts, time.Now(), directory)
		if err != nil || run.Checkpoints != tt.want {
			t.Errorf("%s: %q, %v; want %q", name, run.Checkpoints, err, tt.want)
		}
	}
}

func TestKeptAt(t *testing.T) {
	at := func(number int, site, store string, step int64) fleet.Attempt {
		return fleet.Attempt{Number: number, Site: site, Store: store, Progress: fleet.Progress{CheckpointStep: step}}
	}
	var got []string
	for _, k := range keptAt([]fleet.Attempt{
		at(1, "local", "", 5), at(2, "hpc", "", 30), at(3, "hpc", "", 20), at(4, "eks", "", 0), at(5, "eks", "s3://b/a", 40), at(6, "local", "s3://b/a", 0),
	}, "/dir") {
		got = append(got, strings.Join([]string{k.site, k.place, string(rune('0' + k.furthest.Number))}, "|"))
	}
	if want := "|s3://b/a|5 eks||4 hpc||2 |/dir|1"; strings.Join(got, " ") != want {
		t.Errorf("kept at %q; want %q", strings.Join(got, " "), want)
	}
}

// What was slow is shown with the attempt, what is slow now with the run.
func TestSlowRanksOnTheWire(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	attempt := fleet.Attempt{Run: "a", State: fleet.AttemptRunning, Slow: []fleet.SlowRank{
		{Rank: 1, Measure: fleet.MeasureStep, Seconds: 2, Others: 1, Since: now.Add(-time.Hour), Until: now.Add(-time.Minute), Spells: 1},
		{Rank: 3, Node: "node-b", Measure: fleet.MeasureCompute, Seconds: 2.4, Others: 1.1, Since: now, Spells: 2},
	}}
	all := wireAttempt(attempt, now).SlowRanks
	run, err := wireRun(fleet.Run{ID: "a"}, []fleet.Attempt{attempt}, now, "")
	if err != nil || len(all) != 2 || len(run.SlowRanks) != 1 || run.SlowRanks[0] != all[1] {
		t.Fatalf("attempt %+v, run %+v, %v", all, run.SlowRanks, err)
	}
	if all[0].Text != "rank 1 was slow for 59m0s" || all[1].Text != "rank 3 on node-b is slow: 2.40 s of its own work a step, the others 1.10 s (median)" {
		t.Errorf("%q, %q", all[0].Text, all[1].Text)
	}
	attempt.State = fleet.AttemptFailed
	if run, err := wireRun(fleet.Run{ID: "a"}, []fleet.Attempt{attempt}, now, ""); err != nil || run.SlowRanks != nil {
		t.Errorf("an attempt that ended is slow: %+v, %v", run.SlowRanks, err)
	}
}

func TestSlowRanksAreCounted(t *testing.T) {
	slow := fleet.SlowRank{Rank: 1, Spells: 1}
	over := fleet.SlowRank{Rank: 2, Spells: 1, Until: time.Now()}
	c := newStateCollector(nil)
	got := map[string]float64{}
	c.collectRuns(nil, []fleet.Attempt{
		{Pool: "eks/p5", Slow: []fleet.SlowRank{slow, over}}, {Pool: "eks/p5", Slow: []fleet.SlowRank{slow}}, {Pool: "hpc/nodes"},
	}, func(d *prometheus.Desc, value float64, labels ...string) {
		if d == c.slow {
			got[labels[0]] = value
		}
	})
	if len(got) != 2 || got["eks/p5"] != 2 || got["hpc/nodes"] != 0 {
		t.Errorf("slow ranks by pool: %v", got)
	}
}
