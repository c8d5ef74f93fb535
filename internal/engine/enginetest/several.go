package enginetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// What a site of a cluster offers the suite beyond Site. A test of what a site
// does not offer is skipped, and says so.
type (
	// Several is a site of more than one node.
	Several interface {
		// Nodes is how many nodes the pool has that gangs run on.
		Nodes() int
	}
	// Outage is a site whose engine's API can be away.
	Outage interface {
		// Cut takes the API away from all engines of the site that Open returned.
		Cut(t *testing.T)
		// Restore brings it back.
		Restore(t *testing.T)
	}
	// Deletion is a site on which others can delete a gang.
	Deletion interface {
		Delete(t *testing.T, key string)
	}
	// Skew is a site whose engine has a clock of its own.
	Skew interface {
		// OpenSkewed is Open with a clock that is wrong by so much.
		OpenSkewed(t *testing.T, wrong time.Duration) engine.Engine
	}
	// NodeLoss is a site that can lose a node.
	NodeLoss interface {
		// Lose ends a node as a power failure would.
		Lose(t *testing.T, node string)
	}
)

func need[T any](t *testing.T, site Site) T {
	t.Helper()
	offered, ok := site.(T)
	if !ok {
		t.Skipf("the site offers no %T", *new(T))
	}
	return offered
}

// Spread is a gang of so many ranks on so many nodes.
func Spread(key string, nodes, ranks int, script string) engine.Gang {
	gang := Shell(key, ranks, script)
	gang.Nodes = nodes
	return gang
}

func needNodes(t *testing.T, site Site, n int) {
	t.Helper()
	if has := need[Several](t, site).Nodes(); has < n {
		t.Skipf("the site has %d nodes; the test needs %d", has, n)
	}
}

func testSeveralNodes(t *testing.T, site Site) {
	needNodes(t, site, 2)
	e := site.Open(t)
	Start(t, e, Spread("wide", 2, 4, `echo "$RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE here, master $MASTER_ADDR:$MASTER_PORT"`))
	status := Await(t, e, "wide", engine.Exited)
	if status.ExitCode != 0 || len(status.Nodes) != 2 || status.Nodes[0] == status.Nodes[1] {
		t.Errorf("status %+v; want a good end on two nodes", status)
	}
	var masters []string
	for rank := range 4 {
		log, _ := ReadLog(t, e, "wide", rank, 0)
		before, master, _ := strings.Cut(log, " master ")
		if want := fmt.Sprintf("%d of 4, %d of 2 here,", rank, rank%2); before != want {
			t.Errorf("rank %d sees %q; want %q", rank, before, want)
		}
		masters = append(masters, master)
	}
	if masters = slices.Compact(masters); len(masters) != 1 || strings.HasPrefix(masters[0], "127.") {
		t.Errorf("masters %v; want one, that other nodes can reach", masters)
	}
}

func testNodeFailure(t *testing.T, site Site) {
	needNodes(t, site, 2)
	e := site.Open(t)
	Start(t, e, Spread("torn", 2, 2, `if [ "$RANK" = 1 ]; then exit 7; fi; trap 'echo told; exit 0' TERM; while true; do sleep 0.05; done`))
	status := Await(t, e, "torn", engine.Exited)
	if status.ExitCode != 7 || status.Rank != 1 || status.Stopped || status.Preempted || status.Lost {
		t.Errorf("status %+v; want code 7 of rank 1, the program's own", status)
	}
	if log, _ := ReadLog(t, e, "torn", 0, 0); log != "" && !strings.Contains(log, "told\n") { // it may not have come as far as its trap; a shell may name what ended its child first
		t.Errorf("log of rank 0: %q; want that the program was told", log)
	}
}

func testStopSeveral(t *testing.T, site Site) {
	needNodes(t, site, 2)
	e := site.Open(t)
	Start(t, e, Spread("halt", 2, 2, `trap 'echo leaving; exit 0' TERM; echo ready; while true; do sleep 0.05; done`))
	for rank := range 2 {
		AwaitLog(t, e, "halt", rank, "ready")
	}
	if err := e.Stop(t.Context(), "halt", patience); err != nil {
		t.Fatal(err)
	}
	if status := Await(t, e, "halt", engine.Exited); !status.Stopped || status.ExitCode != 0 || status.Preempted {
		t.Errorf("status %+v; want it stopped in order", status)
	}
	for rank := range 2 {
		if log, _ := ReadLog(t, e, "halt", rank, 0); !strings.Contains(log, "leaving") {
			t.Errorf("log of rank %d: %q; want that it could leave in order", rank, log)
		}
	}
}

// testTooLarge: no command of a gang that does not fit ever begins, and it can
// be stopped.
func testTooLarge(t *testing.T, site Site) {
	nodes := need[Several](t, site).Nodes()
	e := site.Open(t)
	gang := Spread("huge", nodes+1, nodes+1, "echo began")
	StopAfter(t, e, "huge")
	err := e.Start(t.Context(), gang)
	if err != nil && !fault.Is(err, fault.NoCapacity) && !fault.Is(err, fault.Invalid) {
		t.Fatalf("start: %v; want it to wait, or no capacity", err)
	}
	if err != nil {
		return
	}
	if err := e.Stop(t.Context(), "huge", 0); err != nil {
		t.Fatal(err)
	}
	if status := Await(t, e, "huge", engine.Exited); !status.Started.IsZero() || !status.Stopped {
		t.Errorf("status %+v; want that nothing of it began", status)
	}
}

func testDeleted(t *testing.T, site Site) {
	others := need[Deletion](t, site)
	e := site.Open(t)
	Start(t, e, Shell("taken", 1, "echo ready; sleep 600"))
	AwaitLog(t, e, "taken", 0, "ready")
	others.Delete(t, "taken")
	Eventually(t, "the deletion is seen", func() bool {
		status, err := e.Observe(t.Context(), "taken")
		return fault.Is(err, fault.Lost) || (err == nil && status.State == engine.Exited && (status.Lost || status.Preempted || status.Stopped))
	})
}

func testOutage(t *testing.T, site Site) {
	outage := need[Outage](t, site)
	e := site.Open(t)
	Start(t, e, Shell("lasting", 1, "echo ready; sleep 600"))
	AwaitLog(t, e, "lasting", 0, "ready")
	before := Await(t, e, "lasting", engine.Running)
	outage.Cut(t)
	wantKind(t, e.Start(t.Context(), Shell("away", 1, "true")), fault.Transient)
	wantKind(t, e.Stop(t.Context(), "lasting", 0), fault.Transient)
	if status, err := e.Observe(t.Context(), "lasting"); err == nil && status.State != engine.Running || err != nil && !fault.Is(err, fault.Transient) {
		t.Errorf("while the API is away: %+v, %v; want it running, or a transient failure", status, err)
	}
	outage.Restore(t)
	Eventually(t, "the engine is back", func() bool { return e.Start(t.Context(), Shell("away", 1, "true")) == nil })
	StopAfter(t, e, "away")
	Await(t, e, "away", engine.Exited)
	if after := Await(t, e, "lasting", engine.Running); !after.Started.Equal(before.Started) {
		t.Errorf("started %v, after the outage %v; want no change", before.Started, after.Started)
	}
}

func testSkew(t *testing.T, site Site) {
	skewed := need[Skew](t, site)
	for name, wrong := range map[string]time.Duration{"slow": -time.Hour, "fast": time.Hour} {
		e := skewed.OpenSkewed(t, wrong)
		Start(t, e, Shell(name, 1, "echo ready"))
		status := Await(t, e, name, engine.Exited)
		if used := status.Ended.Sub(status.Started); status.Started.IsZero() || used < 0 || used > patience {
			t.Errorf("%s clock: started %v, ended %v; want a use of seconds", name, status.Started, status.Ended)
		}
	}
}

// RunLoss tests what an engine makes of the loss of a node, on a site that has
// three at least and is of no use afterwards.
func RunLoss(t *testing.T, site Site) {
	loss := need[NodeLoss](t, site)
	needNodes(t, site, 3)
	e := site.Open(t)
	Start(t, e, Spread("bereft", 2, 2, "echo ready; sleep 600"))
	for rank := range 2 {
		AwaitLog(t, e, "bereft", rank, "ready")
	}
	running := Await(t, e, "bereft", engine.Running)
	if len(running.Nodes) != 2 {
		t.Fatalf("status %+v; want its two nodes", running)
	}
	lost := running.Nodes[1]
	loss.Lose(t, lost)
	status := Await(t, e, "bereft", engine.Exited)
	if !status.Preempted && !status.Lost || status.BadNode != lost || status.Stopped {
		t.Errorf("status %+v; want it taken away, because of node %s", status, lost)
	}
	again := Spread("moved", 2, 2, "echo ready")
	again.Avoid = []string{lost}
	Start(t, e, again)
	if status := Await(t, e, "moved", engine.Exited); status.ExitCode != 0 || slices.Contains(status.Nodes, lost) {
		t.Errorf("status %+v; want it run elsewhere", status)
	}
	if err := e.Forget(t.Context(), "bereft"); err != nil {
		t.Errorf("forget: %v", err)
	}
	wantKeys(t, e, "moved")
}
