package scheduler

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

var update = flag.Bool("update", false, "write the golden files anew")

// scenario is a file of testdata/moves.
type scenario struct {
	Says  string
	Pools []struct {
		ID, Rate   string
		Nodes, Max int
		Chips      int
		Drains     bool
		Ends       time.Duration // from now; 0: never
	}
	Quota int
	Moves int
	Queue []struct{ ID, Pool string }
	Runs  []struct {
		ID, On     string
		Nodes      int
		Left, Lost time.Duration
		Age        time.Duration
		Moves      int
		Target     string
		Unknown    bool
		Places     []struct {
			Pool        string
			Pace        float64
			Copy, SetUp time.Duration
			Egress      string
			RuledOut    []string `yaml:"ruled_out"`
		}
	}
}

func (c scenario) snapshot() MoveSnapshot {
	s := MoveSnapshot{Policy: DefaultMovePolicy(), Moves: c.Moves}
	s.Now, s.Holder = noon, map[string]string{}
	if c.Quota > 0 {
		s.Quotas = map[string]int{"p": c.Quota}
	}
	rates := map[string]units.Rate{}
	for _, p := range c.Pools {
		site, name, _ := strings.Cut(p.ID, "/")
		pool := fleet.Pool{Site: site, Name: name, ChipsPerNode: max(1, p.Chips), Nodes: p.Nodes, MaxNodes: max(p.Nodes, p.Max), Cores: 8, Rate: units.MustRate(p.Rate, units.USD), Draining: p.Drains}
		if p.Ends > 0 {
			pool.Ends = noon.Add(p.Ends)
		}
		s.Pools, rates[p.ID] = append(s.Pools, pool), pool.Rate
	}
	for _, w := range c.Queue {
		s.Queue = append(s.Queue, waitingRun(w.ID, 0, noon, Need{Nodes: 1}, w.Pool))
	}
	for _, r := range c.Runs {
		site, _, _ := strings.Cut(r.On, "/")
		m := Movable{
			Run: fleet.Run{ID: r.ID, Project: "p", Target: r.Target}, Left: r.Left, Lost: r.Lost, LeftKnown: !r.Unknown, Moves: r.Moves,
			Attempt: fleet.Attempt{Run: r.ID, Pool: r.On, Site: site, Nodes: r.Nodes, Chips: r.Nodes, Rate: rates[r.On], Started: noon.Add(-r.Age)},
		}
		for _, d := range r.Places {
			place := Destination{Pool: d.Pool, Need: Need{Nodes: r.Nodes}, Pace: d.Pace, Copy: d.Copy, SetUp: d.SetUp, RuledOut: d.RuledOut}
			if d.Egress != "" {
				place.Egress = units.MustRate(d.Egress, units.USD).ForHours(1, time.Hour)
			}
			m.Places = append(m.Places, place)
		}
		s.Live, s.Holder[r.ID] = append(s.Live, m.Attempt), "p"
		s.Runs = append(s.Runs, m)
	}
	return s
}

func shown(moves []Move, stays []Stay) string {
	var b strings.Builder
	for _, m := range moves {
		kind := "moves"
		if m.Urgent {
			kind = "must move"
		}
		fmt.Fprintf(&b, "%s %s to %s\n", m.Run, kind, m.To)
		for _, r := range m.Reasons {
			fmt.Fprintf(&b, "    %s\n", r)
		}
	}
	for _, s := range stays {
		fmt.Fprintf(&b, "%s should leave and cannot\n", s.Run)
		for _, r := range s.Reasons {
			fmt.Fprintf(&b, "    %s\n", r)
		}
	}
	if b.Len() == 0 {
		return "nothing moves\n"
	}
	return b.String()
}

// TestMoveScenarios compares decisions with golden files; -update writes them.
func TestMoveScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/moves/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var c scenario
			decoder := yaml.NewDecoder(strings.NewReader(string(data)))
			decoder.KnownFields(true)
			if err := decoder.Decode(&c); err != nil {
				t.Fatal(err)
			}
			got, golden := shown(Moves(c.snapshot())), strings.TrimSuffix(file, ".yaml")+".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%s (%v)\ngot:\n%swant:\n%s", c.Says, err, got, want)
			}
		})
	}
}

// place is a pool of the model world of the properties: what an hour costs
// there and how long it takes for an hour's work of the slowest.
type place struct {
	micros int64
	pace   float64
}

func drawPlaces(t *rapid.T) []place {
	places := make([]place, rapid.IntRange(2, 5).Draw(t, "pools"))
	for i := range places {
		places[i] = place{rapid.Int64Range(1e6, 200e6).Draw(t, "rate"), rapid.Float64Range(0.2, 1).Draw(t, "pace")}
	}
	return places
}

func poolOf(i int, p place) fleet.Pool {
	return fleet.Pool{Site: fmt.Sprintf("s%d", i), Name: "p", Nodes: 4, MaxNodes: 4, ChipsPerNode: 1, Cores: 8, Rate: units.Amount{Micros: p.micros, Currency: units.USD}.Per(decimal.NewFromInt(1))}
}

// TestMovesEndAndPay follows one run under constant prices: it never comes back
// to a pool that it left, and in the end it has cost no more than by staying.
func TestMovesEndAndPay(t *testing.T) {
	moved := 0
	rapid.Check(t, func(t *rapid.T) {
		places := drawPlaces(t)
		policy := DefaultMovePolicy()
		policy.PerRun = 100
		policy.MinScore = rapid.Float64Range(0, 3).Draw(t, "score")
		left := time.Duration(rapid.IntRange(1, 400).Draw(t, "hours")) * time.Hour // at pace 1
		lost := time.Duration(rapid.IntRange(0, 50).Draw(t, "lost")) * time.Minute
		set := time.Duration(rapid.IntRange(1, 90).Draw(t, "setup")) * time.Minute
		egress := units.Amount{Micros: rapid.Int64Range(0, 500e6).Draw(t, "egress"), Currency: units.USD}
		at, now := 0, noon
		started := noon.Add(-time.Hour)
		cost := func(i int, d time.Duration) int64 {
			return poolOf(i, places[i]).Rate.ForHours(1, d).Micros
		}
		stay, paid := cost(0, stretch(left, places[0].pace)), int64(0)
		been := map[int]bool{0: true}
		for left > 0 {
			s := MoveSnapshot{Policy: policy}
			s.Now = now
			m := Movable{
				Run: fleet.Run{ID: "r"}, Left: stretch(left, places[at].pace), Lost: lost, LeftKnown: true,
				Attempt: fleet.Attempt{Run: "r", Pool: poolOf(at, places[at]).ID(), Nodes: 1, Started: started, Rate: poolOf(at, places[at]).Rate},
			}
			for i, p := range places {
				s.Pools = append(s.Pools, poolOf(i, p))
				m.Places = append(m.Places, Destination{Pool: s.Pools[i].ID(), Need: Need{Nodes: 1}, Pace: p.pace / places[at].pace, SetUp: set, Egress: egress})
			}
			s.Runs = []Movable{m}
			if moves, _ := Moves(s); len(moves) == 1 {
				var to int
				if _, err := fmt.Sscanf(moves[0].To, "s%d/p", &to); err != nil {
					t.Fatal(err)
				}
				if been[to] {
					t.Fatalf("it came back to %s", moves[0].To)
				}
				paid += cost(at, policy.Grace) + egress.Micros + cost(to, set)
				left += time.Duration(float64(lost) / places[at].pace)
				at, been[to], moved = to, true, moved+1
				now = now.Add(set)
				started = now
				continue
			}
			step := min(left, time.Hour)
			paid += cost(at, stretch(step, places[at].pace))
			left, now = left-step, now.Add(stretch(step, places[at].pace))
		}
		if paid > stay+int64(len(been))*1000 { // micro-units: roundings to milliseconds and micros
			t.Fatalf("it cost %d by moving and %d by staying", paid, stay)
		}
	})
	if moved == 0 {
		t.Error("nothing ever moved: the test shows nothing")
	}
}

// TestMovesDoNotDependOnOrder shuffles all of a random snapshot, and looks
// whether pools are overfilled and limits kept.
func TestMovesDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		places := drawPlaces(t)
		s := MoveSnapshot{Policy: DefaultMovePolicy()}
		s.Now = noon
		drains := map[string]bool{}
		s.Policy.PerDay = rapid.IntRange(0, 4).Draw(t, "per day")
		for i, p := range places {
			s.Pools = append(s.Pools, poolOf(i, p))
			if rapid.IntRange(0, 3).Draw(t, "drains") == 0 {
				s.Pools[i].Draining, drains[s.Pools[i].ID()] = true, true
			}
		}
		for i := range rapid.IntRange(1, 8).Draw(t, "runs") {
			at := rapid.IntRange(0, len(places)-1).Draw(t, "at")
			m := Movable{
				Run:  fleet.Run{ID: fmt.Sprintf("r%d", i), Project: "p"},
				Left: time.Duration(rapid.IntRange(0, 100).Draw(t, "left")) * time.Hour, LeftKnown: rapid.Bool().Draw(t, "known"),
				Attempt: fleet.Attempt{Run: fmt.Sprintf("r%d", i), Pool: s.Pools[at].ID(), Site: s.Pools[at].Site, Nodes: 1, Chips: 1, Started: noon.Add(-time.Hour), Rate: s.Pools[at].Rate},
			}
			for j, p := range places {
				m.Places = append(m.Places, Destination{Pool: s.Pools[j].ID(), Need: Need{Nodes: rapid.IntRange(1, 3).Draw(t, "need")}, Pace: p.pace / places[at].pace, SetUp: time.Minute})
			}
			s.Live, s.Runs = append(s.Live, m.Attempt), append(s.Runs, m)
		}
		moves, stays := Moves(s)
		used, money := map[string]int{}, 0
		for _, a := range s.Live {
			used[a.Pool]++
		}
		for _, m := range moves {
			used[m.To] += m.Need.Nodes
			if !m.Urgent {
				money++
			}
			if drains[m.To] {
				t.Fatalf("%s moves to a site that drains", m.Run)
			}
		}
		for _, m := range moves {
			if used[m.To] > 4 {
				t.Fatalf("%s holds %d of 4 nodes", m.To, used[m.To])
			}
		}
		if money > s.Policy.PerDay {
			t.Fatalf("%d moves for money of at most %d", money, s.Policy.PerDay)
		}
		random := rand.New(rand.NewPCG(1, uint64(len(moves))))
		shuffled := s
		shuffled.Runs, shuffled.Pools = append([]Movable(nil), s.Runs...), append([]fleet.Pool(nil), s.Pools...)
		random.Shuffle(len(shuffled.Runs), func(i, j int) { shuffled.Runs[i], shuffled.Runs[j] = shuffled.Runs[j], shuffled.Runs[i] })
		random.Shuffle(len(shuffled.Pools), func(i, j int) {
			shuffled.Pools[i], shuffled.Pools[j] = shuffled.Pools[j], shuffled.Pools[i]
		})
		for i := range shuffled.Runs {
			list := append([]Destination(nil), shuffled.Runs[i].Places...)
			random.Shuffle(len(list), func(a, b int) { list[a], list[b] = list[b], list[a] })
			shuffled.Runs[i].Places = list
		}
		again, stuck := Moves(shuffled)
		if !reflect.DeepEqual(again, moves) || !reflect.DeepEqual(stuck, stays) {
			t.Fatalf("the order of the input changed the decision:\n%s\n%s", shown(moves, stays), shown(again, stuck))
		}
	})
}

// A run on its way has its room kept, and is placed first when it arrives.
func TestPlaceKeepsRoomForWhoIsComing(t *testing.T) {
	pool := fleet.Pool{Site: "s", Name: "p", ChipsPerNode: 1, Nodes: 1, MaxNodes: 1}
	other := waitingRun("other", 1000, noon.Add(-time.Hour), Need{}, "s/p")
	s := Snapshot{Now: noon, Pools: []fleet.Pool{pool}, Queue: []Waiting{other}, Coming: []Coming{{Run: "m", Pool: "s/p", Nodes: 1}}}
	if placements, _ := Place(s); len(placements) != 0 {
		t.Errorf("its room was given away: %+v", placements)
	}
	arrived := waitingRun("m", 0, noon, Need{}, "s/p")
	arrived.Run.Target = "s/p"
	s.Coming, s.Queue = nil, []Waiting{other, arrived}
	if placements, _ := Place(s); len(placements) != 1 || placements[0].Run != "m" {
		t.Errorf("placed %+v", placements)
	}
}

func TestPlaceAvoidsWhatDrainsOrEnds(t *testing.T) {
	pool := fleet.Pool{Site: "s", Name: "p", ChipsPerNode: 1, Nodes: 1, MaxNodes: 1}
	s := Snapshot{Now: noon, Pools: []fleet.Pool{pool}, Queue: []Waiting{waitingRun("a", 0, noon, Need{}, "s/p")}}
	for _, c := range []struct {
		ends   time.Duration
		drains bool
		want   string // "" where it is placed
	}{{0, false, ""}, {time.Hour, false, ""}, {40 * time.Minute, false, "the capacity of s/p ends at 2026-11-21 12:40 UTC"}, {0, true, "site s drains"}} {
		s.Pools[0].Ends, s.Pools[0].Draining = time.Time{}, c.drains
		if c.ends > 0 {
			s.Pools[0].Ends = noon.Add(c.ends)
		}
		placements, waits := Place(s)
		if got := len(placements) == 1; got != (c.want == "") {
			t.Errorf("ends %s, drains %v: placed %v", c.ends, c.drains, got)
		} else if !got && waits[0].Reasons[0] != c.want {
			t.Errorf("reason %q, want %q", waits[0].Reasons[0], c.want)
		}
	}
}
