package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/units"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func localPool(cores int) fleet.Pool {
	return fleet.Pool{Site: "local", Name: "cpu", Family: "cpu", ChipsPerNode: 1, Nodes: 1, MaxNodes: 1, Cores: cores, Rate: units.MustRate("0.10", units.USD)}
}

func waitingRun(id string, priority int, submitted time.Time, need Need, pools ...string) Waiting {
	w := Waiting{Run: fleet.Run{ID: id, Project: "p", Priority: priority, Submitted: submitted}}
	for _, pool := range pools {
		w.Candidates = append(w.Candidates, Candidate{Pool: pool, Need: need})
	}
	return w
}

func TestPlaceServesPriorityThenAge(t *testing.T) {
	whole := Need{Ranks: 2}
	for _, c := range []struct {
		name  string
		queue []Waiting
		first string
	}{
		{"priority", []Waiting{waitingRun("a", 0, noon, whole, "local/cpu"), waitingRun("b", 5, noon, whole, "local/cpu")}, "b"},
		{"age breaks ties", []Waiting{waitingRun("a", 0, noon, whole, "local/cpu"), waitingRun("b", 0, noon.Add(-time.Minute), whole, "local/cpu")}, "b"},
		{"waiting overtakes priority", []Waiting{waitingRun("a", 5, noon, whole, "local/cpu"), waitingRun("b", 0, noon.Add(-2*time.Hour), whole, "local/cpu")}, "b"},
		{"identifier last", []Waiting{waitingRun("b", 0, noon, whole, "local/cpu"), waitingRun("a", 0, noon, whole, "local/cpu")}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			placements, waits := Place(Snapshot{Now: noon, Pools: []fleet.Pool{localPool(2)}, Queue: c.queue})
			if len(placements) != 1 || placements[0].Run != c.first {
				t.Fatalf("placed %+v, want %s alone", placements, c.first)
			}
			if len(waits) != 1 || waits[0].Position != 1 || !strings.Contains(waits[0].Reasons[0], "0 of 1 nodes free") {
				t.Fatalf("waits %+v", waits)
			}
		})
	}
}

func TestPlaceSharesANodeByCores(t *testing.T) {
	pool := localPool(8)
	part := Need{Ranks: 3, CoresPerRank: 1}
	placements, waits := Place(Snapshot{Now: noon, Pools: []fleet.Pool{pool}, Queue: []Waiting{
		waitingRun("a", 0, noon, part, "local/cpu"), waitingRun("b", 0, noon, part, "local/cpu"), waitingRun("c", 0, noon, part, "local/cpu"),
		waitingRun("d", 0, noon, Need{Ranks: 1}, "local/cpu"),
	}})
	if len(placements) != 2 || placements[0].Cores != 3 || placements[0].Rate.Decimal() != "0.0375" {
		t.Fatalf("placements %+v", placements)
	}
	want := "local/cpu has 2 of 8 cores free and it needs 3"
	if len(waits) != 2 || waits[0].Reasons[0] != want || !strings.Contains(waits[1].Reasons[0], "0 of 1 nodes") {
		t.Fatalf("waits %+v", waits)
	}
}

func TestPlaceHonoursQuotasOfLiveAndNewRuns(t *testing.T) {
	pool := fleet.Pool{Site: "s", Name: "p5", ChipsPerNode: 8, Nodes: 10, MaxNodes: 10}
	snapshot := Snapshot{
		Now: noon, Pools: []fleet.Pool{pool}, Quotas: map[string]int{"p": 24},
		Live:   []fleet.Attempt{{Run: "old", Pool: "s/p5", Nodes: 1, Chips: 8}},
		Holder: map[string]string{"old": "p"},
		Queue:  []Waiting{waitingRun("a", 1, noon, Need{Nodes: 2}, "s/p5"), waitingRun("b", 0, noon, Need{Nodes: 1}, "s/p5")},
	}
	placements, waits := Place(snapshot)
	if len(placements) != 1 || placements[0].Chips != 16 {
		t.Fatalf("placements %+v", placements)
	}
	if len(waits) != 1 || waits[0].Reasons[0] != "project p holds 24 of its quota of 24 chips and this run needs 8" {
		t.Fatalf("waits %+v", waits)
	}
}

func TestPlaceKeepsRoomForWhoWaitsLong(t *testing.T) {
	pool := fleet.Pool{Site: "s", Name: "p5", ChipsPerNode: 8, Nodes: 4, MaxNodes: 4}
	big := waitingRun("big", 0, noon.Add(-11*time.Minute), Need{Nodes: 4}, "s/p5")
	small := waitingRun("small", 0, noon, Need{Nodes: 1}, "s/p5")
	snapshot := Snapshot{
		Now: noon, Pools: []fleet.Pool{pool}, Queue: []Waiting{big, small},
		Live: []fleet.Attempt{{Run: "x", Pool: "s/p5", Nodes: 1, Chips: 8}},
	}
	placements, waits := Place(snapshot)
	if len(placements) != 0 || len(waits) != 2 || !strings.Contains(waits[1].Reasons[0], "kept for big") {
		t.Fatalf("placements %+v waits %+v", placements, waits)
	}
	snapshot.Queue[0].Run.Submitted = noon.Add(-time.Minute)
	if placements, _ = Place(snapshot); len(placements) != 1 || placements[0].Run != "small" {
		t.Fatalf("before patience ends the small run passes: %+v", placements)
	}
}

// A run that its quota holds back, however long it waits, keeps no pool from others.
func TestPlaceKeepsNoRoomForWhoIsOverQuota(t *testing.T) {
	pool := fleet.Pool{Site: "s", Name: "p5", ChipsPerNode: 8, Nodes: 4, MaxNodes: 4}
	barred := waitingRun("barred", 1000, noon.Add(-24*time.Hour), Need{Nodes: 1}, "s/p5")
	barred.Run.Project = "over"
	small := waitingRun("small", 0, noon, Need{Nodes: 1}, "s/p5")
	placements, waits := Place(Snapshot{
		Now: noon, Pools: []fleet.Pool{pool}, Queue: []Waiting{barred, small}, Quotas: map[string]int{"over": 0},
	})
	if len(placements) != 1 || placements[0].Run != "small" || len(waits) != 1 || !strings.Contains(waits[0].Reasons[0], "quota of 0") {
		t.Fatalf("placements %+v waits %+v", placements, waits)
	}
}

func TestPlaceExplainsBackoffAndRuledOut(t *testing.T) {
	later := waitingRun("a", 0, noon, Need{}, "local/cpu")
	later.Run.NotBefore = noon.Add(time.Minute)
	nowhere := waitingRun("b", 0, noon, Need{})
	nowhere.RuledOut = []string{"local/cpu needs a cpu variant"}
	placements, waits := Place(Snapshot{Now: noon, Pools: []fleet.Pool{localPool(2)}, Queue: []Waiting{later, nowhere}})
	if len(placements) != 0 || !strings.Contains(waits[0].Reasons[0], "12:01:00") || waits[1].Reasons[1] != "local/cpu needs a cpu variant" {
		t.Fatalf("placements %+v waits %+v", placements, waits)
	}
}

// TestPlaceNeverOvercommits checks on random snapshots that no pool and no
// quota is exceeded, that every queued run gets exactly one answer, and that
// the order of the input does not matter.
func TestPlaceNeverOvercommits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		snapshot := Snapshot{Now: noon, Quotas: map[string]int{"p": rapid.IntRange(0, 60).Draw(t, "quota")}}
		for i := range rapid.IntRange(1, 3).Draw(t, "pools") {
			nodes := rapid.IntRange(1, 4).Draw(t, "nodes")
			snapshot.Pools = append(snapshot.Pools, fleet.Pool{Site: "s", Name: fmt.Sprint(i), ChipsPerNode: 4, Nodes: nodes, MaxNodes: nodes, Cores: 16})
		}
		for i := range rapid.IntRange(0, 12).Draw(t, "runs") {
			need := Need{Nodes: rapid.IntRange(0, 3).Draw(t, "need"), Ranks: rapid.IntRange(1, 8).Draw(t, "ranks"), CoresPerRank: rapid.IntRange(0, 3).Draw(t, "cores")}
			pool := snapshot.Pools[rapid.IntRange(0, len(snapshot.Pools)-1).Draw(t, "pool")].ID()
			age := time.Duration(rapid.IntRange(0, 40).Draw(t, "age")) * time.Minute
			snapshot.Queue = append(snapshot.Queue, waitingRun(fmt.Sprintf("r%02d", i), rapid.IntRange(0, 2).Draw(t, "priority"), noon.Add(-age), need, pool))
		}
		placements, waits := Place(snapshot)
		if len(placements)+len(waits) != len(snapshot.Queue) {
			t.Fatalf("%d runs got %d answers", len(snapshot.Queue), len(placements)+len(waits))
		}
		nodes, cores, chips := map[string]int{}, map[string]int{}, 0
		for _, p := range placements {
			chips += p.Chips
			if p.Cores > 0 {
				cores[p.Pool.ID()] += p.Cores
			} else {
				nodes[p.Pool.ID()] += p.Nodes
			}
		}
		for _, pool := range snapshot.Pools {
			id := pool.ID()
			if nodes[id] > pool.Nodes || cores[id] > pool.Cores || (pool.Nodes == 1 && nodes[id] > 0 && cores[id] > 0) {
				t.Fatalf("pool %s of %d nodes holds %d nodes and %d cores", id, pool.Nodes, nodes[id], cores[id])
			}
		}
		if chips > snapshot.Quotas["p"] {
			t.Fatalf("%d chips over the quota of %d", chips, snapshot.Quotas["p"])
		}
		for i, j := 0, len(snapshot.Queue)-1; i < j; i, j = i+1, j-1 {
			snapshot.Queue[i], snapshot.Queue[j] = snapshot.Queue[j], snapshot.Queue[i]
		}
		again, _ := Place(snapshot)
		if fmt.Sprint(again) != fmt.Sprint(placements) {
			t.Fatalf("the order of the queue changed the decision:\n%v\n%v", placements, again)
		}
	})
}
