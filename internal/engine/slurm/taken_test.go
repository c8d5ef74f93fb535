//go:build linux

package slurm_test

import (
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// leaves takes its time to write a checkpoint when it is told to leave.
const leavesInOrder = `trap 'sleep 1; echo saved; exit 0' TERM; echo ready; while true; do sleep 0.05; done`

func wantSaved(t *testing.T, e engine.Engine, key string, ranks int) {
	t.Helper()
	for rank := range ranks {
		if log, _ := enginetest.ReadLog(t, e, key, rank, 0); !strings.Contains(log, "saved") {
			t.Errorf("log of rank %d: %q; want that it could save", rank, log)
		}
	}
}

func TestPreempted(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	low := wide("low", 4, 1, leavesInOrder)
	enginetest.Start(t, e, low)
	for rank := range 4 {
		enginetest.AwaitLog(t, e, "low", rank, "ready")
	}
	high := wide("high", 4, 1, "true")
	high.Pool = "urgent"
	enginetest.Start(t, e, high)
	status := enginetest.Await(t, e, "low", engine.Exited)
	if !status.Preempted || status.Stopped || status.Lost {
		t.Errorf("status %+v; want it preempted", status)
	}
	wantSaved(t, e, "low", 4)
	if status := enginetest.Await(t, e, "high", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v of the other; want a plain exit", status)
	}
}

// One that does not leave in its grace is killed by Slurm.
func TestPreemptedByForce(t *testing.T) {
	if testing.Short() {
		t.Skip("waits out the partition's grace of 15 s")
	}
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("stays", 4, 1, `trap '' TERM; echo ready; while true; do sleep 0.05; done`))
	for rank := range 4 {
		enginetest.AwaitLog(t, e, "stays", rank, "ready")
	}
	high := wide("force", 4, 1, "true")
	high.Pool = "urgent"
	enginetest.Start(t, e, high)
	if status := enginetest.Await(t, e, "stays", engine.Exited); !status.Preempted || status.ExitCode == 0 {
		t.Errorf("status %+v; want it preempted", status)
	}
	enginetest.Await(t, e, "force", engine.Exited)
}

// A minute is the shortest limit of Slurm: it is warned of halfway at the latest.
func TestTimeLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a warning of a limit of one minute")
	}
	lab := lab(t)
	e := open(lab, sharedDir(t))
	gang := wide("limited", 2, 1, leavesInOrder)
	gang.TimeLimit = time.Minute
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "limited", engine.Exited)
	if !status.Preempted || !strings.Contains(status.Reason, "time limit") {
		t.Errorf("status %+v; want it ended for its time limit", status)
	}
	wantSaved(t, e, "limited", 2)
}

func TestCancelledBehindOurBack(t *testing.T) {
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("victim", 2, 1, "echo ready; sleep 600"))
	enginetest.AwaitLog(t, e, "victim", 0, "ready")
	if _, err := lab.Call(t.Context(), "scancel", "--name=victim"); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "victim", engine.Exited)
	if !status.Lost || status.Stopped || !strings.Contains(status.Reason, "not by yard") {
		t.Errorf("status %+v; want it lost, and who did it", status)
	}
}

func TestNodeLost(t *testing.T) {
	if testing.Short() {
		t.Skip("waits until Slurm holds a node for down")
	}
	lab := lab(t)
	e := open(lab, sharedDir(t))
	enginetest.Start(t, e, wide("broken", 4, 1, "echo ready; sleep 600"))
	for rank := range 4 {
		enginetest.AwaitLog(t, e, "broken", rank, "ready")
	}
	if err := lab.KillNode("n3"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	status := enginetest.Await(t, e, "broken", engine.Exited)
	t.Logf("seen after %v: %+v", time.Since(began).Round(100*time.Millisecond), status)
	if !status.Preempted || status.BadNode != "n3" || status.Started.IsZero() {
		t.Errorf("status %+v; want it taken away, for n3", status)
	}
	// The gang goes on elsewhere while the node is down.
	next := wide("spare", 3, 1, "true")
	next.Avoid = []string{status.BadNode}
	enginetest.Start(t, e, next)
	enginetest.Await(t, e, "spare", engine.Exited)
	if err := lab.StartNode("n3"); err != nil {
		t.Fatal(err)
	}
	if err := lab.AwaitNodes(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// While the controller is away every call fails in bounded time, as one that may
// be repeated; gangs go on, and their end is seen when it is back.
func TestControllerAway(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for clients of a controller that is away")
	}
	lab, dir := lab(t), sharedDir(t)
	e := open(lab, dir)
	enginetest.Start(t, e, wide("survivor", 2, 1, `echo ready; while ! test -e "$YARD_SCRATCH/../../../go"; do sleep 0.05; done; echo went`))
	enginetest.AwaitLog(t, e, "survivor", 0, "ready")
	enginetest.Await(t, e, "survivor", engine.Running)
	if err := lab.StopController(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err := open(lab, sharedDir(t)).Pools(t.Context())
	if !fault.Is(err, fault.Transient) {
		t.Errorf("pools: %v; want it transient", err)
	}
	later := open(lab, sharedDir(t))
	gang := enginetest.Shell("later", 1, "echo began")
	enginetest.StopAfter(t, later, "later")
	if err := later.Start(t.Context(), gang); !fault.Is(err, fault.Transient) {
		t.Errorf("start: %v; want it transient", err)
	}
	t.Logf("two calls failed in %v", time.Since(began).Round(100*time.Millisecond))
	if log, _ := enginetest.ReadLog(t, e, "survivor", 0, 0); log != "ready\n" {
		t.Errorf("log %q; want it readable meanwhile", log)
	}
	if err := lab.StartController(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := later.Start(t.Context(), gang); err != nil {
		t.Errorf("start again: %v", err)
	}
	enginetest.Await(t, later, "later", engine.Exited)
	touch(t, labSite{lab, dir}, "survivor")
	if status := enginetest.Await(t, e, "survivor", engine.Exited); status.ExitCode != 0 || status.Lost || status.Preempted {
		t.Errorf("status %+v; want that it ran on", status)
	}
}
