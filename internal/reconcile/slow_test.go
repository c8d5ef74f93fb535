package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
)

// paced is a gang of which rank 1 works so long in a step, and the others a second.
func paced(seconds float64) []fleet.Pace {
	var paces []fleet.Pace
	for rank, own := range []float64{1, seconds, 1} {
		paces = append(paces, fleet.Pace{Rank: rank, Node: fmt.Sprintf("n%d", rank), Compute: slices.Repeat([]float64{own}, fleet.PacePoints)})
	}
	return paces
}

func said(decisions []fleet.Decision, verb string) []string {
	var all []string
	for _, d := range decisions {
		if d.Verb == verb {
			all = append(all, strings.Join(d.Reasons, "; "))
		}
	}
	return all
}

// A slow rank is named once, its attempt goes on, and after the next restart its
// node is avoided where the pool has another.
func TestASlowRankIsNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes int
		avoid string
	}{"a node to spare": {2, "n1"}, "no node to spare": {1, ""}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newWorld(t, func(key string) script {
					if !strings.HasSuffix(key, "-1") {
						return script{takes: time.Minute}
					}
					return script{takes: 20 * time.Minute, exit: 1, paces: func(ran time.Duration) []fleet.Pace {
						if ran < 5*time.Minute {
							return paced(1.1)
						}
						return paced(2.4)
					}}
				})
				r.sites["east"].pools = []fleet.Pool{poolAt("east", "10", tt.nodes)}
				r.sites["west"].pools = nil
				run := r.submit("")
				r.pass(4 * time.Minute)
				if _, attempts := r.run(run.ID); len(attempts[0].Slow) > 0 {
					t.Fatalf("slow ranks %+v before any was", attempts[0].Slow)
				}
				r.pass(10 * time.Minute)
				_, attempts := r.run(run.ID)
				if len(attempts) != 1 || attempts[0].State != fleet.AttemptRunning || len(attempts[0].Slow) != 1 || attempts[0].Slow[0].Name() != "rank 1 on n1" {
					t.Fatalf("%+v; want one attempt that goes on, and rank 1 slow", attempts)
				}
				r.pass(20 * time.Minute)
				r.wants(run.ID, fleet.Succeeded, 2)
				if got := strings.Join(r.sites["east"].gangs[fleet.AttemptKey(run.ID, 2)].Avoid, " "); got != tt.avoid {
					t.Errorf("attempt 2 stays away from %q, want %q", got, tt.avoid)
				}
				decisions := r.store.state.decisions[run.ID]
				if got, want := said(decisions, verbSlow), []string{"rank 1 on n1 is slow: 2.40 s of its own work a step, the others 1.00 s (median)"}; !slices.Equal(got, want) {
					t.Errorf("told of slow ranks %q; want %q", got, want)
				}
				if restart := said(decisions, "restart"); len(restart) != 1 || !strings.Contains(restart[0], "from now on it avoids n1 where the pool has other nodes") {
					t.Errorf("told of the restart %q", restart)
				}
			})
		})
	}
}

// A rank that comes and goes is told of three times, and shown always.
func TestSpellsAreToldThreeTimes(t *testing.T) {
	o := outcome{run: fleet.Run{ID: "a"}, attempt: fleet.Attempt{Run: "a", Number: 1, State: fleet.AttemptRunning}}
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var told []string
	for spell := range 5 {
		for _, seconds := range []float64{2, 2, 1} {
			now = now.Add(time.Minute)
			o = outcome{run: o.run, attempt: o.attempt}.judgePaces(paced(seconds), now)
			if slow := o.attempt.Slow; len(slow) != 1 || slow[0].Spells != spell+1 || slow[0].IsSlow() != (seconds > 1) {
				t.Fatalf("spell %d at %g s: %+v", spell, seconds, slow)
			}
			if o.decision != nil {
				told = append(told, o.decision.Reasons...)
			}
		}
	}
	if len(told) != 6 || !strings.Contains(told[4], "from now on it is shown and not told") || !strings.HasPrefix(told[5], "rank 1 on n1 keeps up with the others again") {
		t.Errorf("told %q", told)
	}
	if o = (outcome{run: o.run, attempt: o.attempt}).judgePaces(nil, now); o.change != changeNone {
		t.Errorf("nothing new is a change: %+v", o)
	}
}

func TestManySlowRanksAreCounted(t *testing.T) {
	var slow []fleet.SlowRank
	for rank := range 20 {
		slow = append(slow, fleet.SlowRank{Rank: rank, Spells: 1})
	}
	if news := slowNews(nil, slow); len(news) != 9 || news[8] != "and 12 ranks more" {
		t.Errorf("%q", news)
	}
}

func TestAvoided(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	on := func(node string, since time.Duration) fleet.SlowRank {
		return fleet.SlowRank{Node: node, Since: now.Add(-since), Spells: 1}
	}
	over := on("n9", time.Hour)
	over.Until = now.Add(-time.Minute)
	ended := func(number int, bad string, slow ...fleet.SlowRank) fleet.Attempt {
		return fleet.Attempt{Run: "a", Number: number, Site: "east", Pool: "east/p", State: fleet.AttemptFailed, Ended: now, BadNode: bad, Slow: slow}
	}
	next := fleet.Attempt{Run: "a", Number: 9, Site: "east", Pool: "east/p", Nodes: 2, State: fleet.AttemptRecorded}
	elsewhere := ended(1, "", on("w1", time.Hour))
	elsewhere.Site = "west"
	for name, tt := range map[string]struct {
		attempts, live []fleet.Attempt
		nodes, most    int
		want           string
	}{
		"nothing known":                     {nodes: 9},
		"slow to the end":                   {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Hour))}, nodes: 3, want: "n1"},
		"no node to spare":                  {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Hour))}, nodes: 2},
		"it may grow":                       {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Hour))}, nodes: 0, most: 3, want: "n1"},
		"others hold the rest":              {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Hour))}, nodes: 4, live: []fleet.Attempt{{Run: "b", Number: 1, Pool: "east/p", Nodes: 2}, next}},
		"others hold some":                  {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Hour))}, nodes: 4, live: []fleet.Attempt{{Run: "b", Number: 1, Pool: "east/p", Nodes: 1}, next}, want: "n1"},
		"for a moment":                      {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Minute))}, nodes: 9},
		"not any more":                      {attempts: []fleet.Attempt{ended(1, "", over)}, nodes: 9},
		"of another site":                   {attempts: []fleet.Attempt{elsewhere}, nodes: 9},
		"one machine":                       {attempts: []fleet.Attempt{ended(1, "", on("", time.Hour))}, nodes: 9},
		"the latest first":                  {attempts: []fleet.Attempt{ended(1, "", on("n1", time.Hour)), ended(2, "", on("n2", time.Hour))}, nodes: 3, want: "n2"},
		"bad ones first, whatever it costs": {attempts: []fleet.Attempt{ended(1, "n3", on("n1", time.Hour)), ended(2, "n3")}, nodes: 2, want: "n3"},
		"bad ones and slow ones":            {attempts: []fleet.Attempt{ended(1, "n3", on("n1", time.Hour)), ended(2, "n3", on("n3", time.Hour))}, nodes: 9, want: "n3 n1"},
	} {
		pool := fleet.Pool{Site: "east", Name: "p", Nodes: tt.nodes, MaxNodes: max(tt.nodes, tt.most)}
		if got := strings.Join(avoided(next, append(tt.attempts, next), tt.live, pool), " "); got != tt.want {
			t.Errorf("%s: avoids %q; want %q", name, got, tt.want)
		}
	}
}

// A hung attempt says that it hangs, whatever its ranks' paces were.
func TestAHangGoesBeforeSlowRanks(t *testing.T) {
	s := sight{
		run: fleet.Run{ID: "a"}, attempt: fleet.Attempt{Run: "a", Number: 1, State: fleet.AttemptRunning}, hangs: hungMark + "no progress",
		status: engine.Status{State: engine.Running, Paces: paced(2)},
	}
	if o := settle(s, 0, time.Now(), DefaultPolicy()); o.decision == nil || o.decision.Verb != verbHung || len(o.attempt.Slow) != 1 {
		t.Errorf("%+v; want that it hangs told, and the slow rank kept", o)
	}
}
