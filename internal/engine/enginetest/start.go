package enginetest

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func testPools(t *testing.T, site Site) {
	pools, err := site.Open(t).Pools(t.Context())
	if err != nil || len(pools) == 0 {
		t.Fatalf("pools: %v, %v; want one at least", pools, err)
	}
	for _, pool := range pools {
		if pool.Name == "" || pool.Site == "" || pool.Family == "" || pool.Nodes < 1 {
			t.Errorf("pool %+v lacks a name, site, chip family or node", pool)
		}
	}
}

func testRunsAndExits(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("ok", 2, "echo hello"))
	status := Await(t, e, "ok", engine.Exited)
	if status.ExitCode != 0 || status.Stopped || status.Lost {
		t.Errorf("status %+v; want a plain exit with 0", status)
	}
	if status.Started.IsZero() || status.Ended.Before(status.Started) {
		t.Errorf("started %v, ended %v; want both, in order", status.Started, status.Ended)
	}
}

func testStartIdempotent(t *testing.T, site Site) {
	e := site.Open(t)
	gang := Shell("twice", 1, "echo began; sleep 600")
	Start(t, e, gang)
	AwaitLog(t, e, "twice", 0, "began")
	before := Await(t, e, "twice", engine.Running)
	for range 3 {
		if err := e.Start(t.Context(), gang); err != nil {
			t.Fatalf("repeated start: %v", err)
		}
	}
	if after := Await(t, e, "twice", engine.Running); !after.Started.Equal(before.Started) {
		t.Errorf("started at %v, then at %v; want one start", before.Started, after.Started)
	}
	if log, _ := ReadLog(t, e, "twice", 0, 0); log != "began\n" {
		t.Errorf("log %q; want one start", log)
	}
	wantKeys(t, e, "twice")
}

func testStartAfterEnd(t *testing.T, site Site) {
	e := site.Open(t)
	gang := Shell("over", 1, "echo began")
	Start(t, e, gang)
	before := Await(t, e, "over", engine.Exited)
	if err := e.Start(t.Context(), gang); err != nil {
		t.Fatalf("start after the end: %v", err)
	}
	if after := Await(t, e, "over", engine.Exited); !reflect.DeepEqual(after, before) {
		t.Errorf("status %+v, then %+v; want no change", before, after)
	}
	if log, _ := ReadLog(t, e, "over", 0, 0); log != "began\n" {
		t.Errorf("log %q; want one start", log)
	}
}

func testConcurrentStarts(t *testing.T, site Site) {
	var starters sync.WaitGroup
	gang := Shell("many", 2, "echo began; sleep 600")
	e := site.Open(t)
	StopAfter(t, e, gang.Key)
	for range 10 {
		other := site.Open(t)
		starters.Go(func() {
			if err := other.Start(t.Context(), gang); err != nil {
				t.Errorf("concurrent start: %v", err)
			}
		})
	}
	starters.Wait()
	for rank := range 2 {
		AwaitLog(t, e, "many", rank, "began")
	}
	if err := e.Stop(t.Context(), "many", 0); err != nil {
		t.Fatal(err)
	}
	Await(t, e, "many", engine.Exited)
	for rank := range 2 {
		if log, _ := ReadLog(t, e, "many", rank, 0); log != "began\n" {
			t.Errorf("log of rank %d: %q; want one start", rank, log)
		}
	}
	wantKeys(t, e, "many")
}

func testWholeOrNotAtAll(t *testing.T, site Site) {
	e := site.Open(t)
	gang := Shell("absent", 3, "")
	gang.Command = []string{"no-such-command-anywhere"}
	Start(t, e, gang)
	status := Await(t, e, "absent", engine.Exited)
	if status.ExitCode == 0 || !strings.Contains(status.Reason, "no-such-command-anywhere") {
		t.Errorf("status %+v; want a failure that names the command", status)
	}
}

func testInvalid(t *testing.T, site Site) {
	e := site.Open(t)
	for name, change := range map[string]func(*engine.Gang){
		"no key":        func(g *engine.Gang) { g.Key = "" },
		"no ranks":      func(g *engine.Gang) { g.Ranks = 0 },
		"no command":    func(g *engine.Gang) { g.Command, g.Image = nil, "" },
		"a path as key": func(g *engine.Gang) { g.Key = "../escape" },
	} {
		gang := Shell("invalid", 1, "true")
		change(&gang)
		if err := e.Start(t.Context(), gang); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v; want it invalid", name, err)
		}
	}
	wantKeys(t, e)
}

func testExitCodes(t *testing.T, site Site) {
	e := site.Open(t)
	for i, tt := range []struct {
		script string
		want   int
	}{
		{"exit 0", 0}, {"exit 1", 1}, {"exit 42", 42},
		{"kill -KILL $$", 137}, {"kill -SEGV $$", 139},
	} {
		key := fmt.Sprintf("code-%d", i)
		Start(t, e, Shell(key, 1, tt.script))
		status := Await(t, e, key, engine.Exited)
		if status.ExitCode != tt.want || (tt.want != 0) != (status.Reason != "") {
			t.Errorf("%s: code %d, reason %q; want %d and a reason for failures alone", tt.script, status.ExitCode, status.Reason, tt.want)
		}
	}
}

func testRankFailure(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("fails", 3, `if [ "$RANK" = 1 ]; then exit 7; fi; sleep 600`))
	status := Await(t, e, "fails", engine.Exited)
	if status.ExitCode != 7 || status.Rank != 1 || status.Stopped {
		t.Errorf("status %+v; want code 7 of rank 1", status)
	}
}

func testEarlyEnd(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("early", 2, `if [ "$RANK" = 0 ]; then exit 0; fi; echo on; sleep 600`))
	AwaitLog(t, e, "early", 1, "on")
	Await(t, e, "early", engine.Running)
}

func testRendezvous(t *testing.T, site Site) {
	e := site.Open(t)
	gang := Shell("meet", 2, `echo "$RANK/$WORLD_SIZE local $LOCAL_RANK/$LOCAL_WORLD_SIZE yard $YARD_RANK run $YARD_RUN at $MASTER_ADDR:$MASTER_PORT"
test -d "$YARD_SCRATCH" && echo scratch`)
	gang.Env = map[string]string{"YARD_RUN": "meeting", "RANK": "the engine's own wins"}
	Start(t, e, gang)
	Await(t, e, "meet", engine.Exited)
	var masters []string
	for rank := range 2 {
		log, _ := ReadLog(t, e, "meet", rank, 0)
		before, master, _ := strings.Cut(log, " at ")
		if !strings.HasPrefix(before, fmt.Sprintf("%d/2 local ", rank)) || !strings.HasSuffix(before, fmt.Sprintf("yard %d run meeting", rank)) {
			t.Errorf("rank %d sees %q", rank, log)
		}
		address, scratch, _ := strings.Cut(master, "\n")
		if _, port, found := strings.Cut(address, ":"); !found || port == "" || scratch != "scratch\n" {
			t.Errorf("rank %d sees master %q, then %q", rank, address, scratch)
		}
		masters = append(masters, address)
	}
	if masters[0] != masters[1] {
		t.Errorf("ranks disagree on the master: %v", masters)
	}
}
