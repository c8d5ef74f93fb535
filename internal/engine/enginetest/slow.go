package enginetest

import (
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
)

// Training is a script whose ranks step together, as those of a training do, until
// they are stopped: each says how long it worked itself, and rank 1 works longer.
const Training = `trap 'exit 0' TERM
own=0.1; if [ "$RANK" = 1 ]; then own=0.25; fi
step=0
while true; do
  step=$((step + 1))
  echo "@yard {\"step\": $step, \"compute_seconds\": $own}"
  sleep 0.25
done`

// awaitSlow waits until the engine's paces tell that a rank is slow.
func awaitSlow(t *testing.T, e engine.Engine, key string) (fleet.SlowRank, engine.Status) {
	t.Helper()
	var slow []fleet.SlowRank
	var status engine.Status
	Eventually(t, "a slow rank of "+key+" is known", func() bool {
		var err error
		if status, err = e.Observe(t.Context(), key); err != nil || status.State == engine.Exited {
			t.Fatalf("observe %s: %+v, %v; want it running", key, status, err)
		}
		slow = scheduler.SlowRanks(status.Paces, nil, time.Now())
		return len(slow) > 0
	})
	if len(slow) != 1 || slow[0].Rank != 1 || slow[0].Measure != fleet.MeasureCompute || slow[0].Seconds != 0.25 || slow[0].Others != 0.1 {
		t.Errorf("slow ranks %+v; want rank 1, by its own work", slow)
	}
	return slow[0], status
}

func testSlowRank(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("uneven", 3, Training))
	slow, status := awaitSlow(t, e, "uneven")
	if len(status.Nodes) > 0 && slow.Node != status.Nodes[0] {
		t.Errorf("it is on %q; want %v", slow.Node, status.Nodes)
	}
	if log, _ := ReadLog(t, e, "uneven", 1, 0); log != "" {
		t.Errorf("log of rank 1: %q; want no reports in it", log)
	}
	if again, _ := awaitSlow(t, site.Open(t), "uneven"); again.Rank != slow.Rank { // a restarted yard knows it too
		t.Errorf("another engine names %+v; want %+v", again, slow)
	}
}

func testSlowNode(t *testing.T, site Site) {
	needNodes(t, site, 2)
	SlowNode(t, site.Open(t), Spread("lopsided", 2, 2, Training))
}

// SlowNode starts a gang of Training with a rank on each of two nodes: the second
// one's node must be named.
func SlowNode(t *testing.T, e engine.Engine, gang engine.Gang) {
	Start(t, e, gang)
	slow, status := awaitSlow(t, e, gang.Key)
	if len(status.Nodes) != 2 || slow.Node != status.Nodes[1] {
		t.Errorf("it is on %q; want the second of %v", slow.Node, status.Nodes)
	}
}
