package enginetest

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func testLogs(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("logs", 2, `echo "one $RANK"; echo "two $RANK" >&2; printf 'no end'`))
	Await(t, e, "logs", engine.Exited)
	for rank, number := range []string{"0", "1"} {
		log, next := ReadLog(t, e, "logs", rank, 0)
		for _, line := range []string{"one " + number + "\n", "two " + number + "\n", "no end\n"} {
			if !strings.Contains(log, line) {
				t.Errorf("log of rank %d: %q; want %q in it", rank, log, line)
			}
		}
		if rest, end := ReadLog(t, e, "logs", rank, next); rest != "" || end != next {
			t.Errorf("from the end: %q, next %d; want nothing, %d", rest, end, next)
		}
		if rest, end := ReadLog(t, e, "logs", rank, 4); rest != log[4:] || end != next {
			t.Errorf("from 4: %q, next %d; want %q, %d", rest, end, log[4:], next)
		}
	}
	_, err := e.Logs(t.Context(), "logs", 2, 0)
	wantKind(t, err, fault.NotFound)
	_, err = e.Logs(t.Context(), "logs", -1, 0)
	wantKind(t, err, fault.NotFound)
}

func testProgress(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("progress", 2, `
echo "@yard {\"step\": 1, \"steps\": 3, \"loss\": 5.5, \"tokens\": 100, \"tokens_per_second\": 10}"
echo text
echo "@yard {not json"
echo "@yard {\"step\": $((RANK + 2)), \"loss\": 4.25, \"checkpoint_step\": 2}"
`))
	status := Await(t, e, "progress", engine.Exited)
	got := status.Progress
	if got.Step != 2 || got.Steps != 3 || got.Loss != 4.25 || got.Tokens != 100 || got.CheckpointStep != 2 || got.At.IsZero() {
		t.Errorf("progress %+v; want what rank 0 said last, and before that where it left it out", got)
	}
	points, err := e.History(t.Context(), "progress")
	if err != nil || len(points) != 2 || points[0].Loss != 5.5 || points[1].Loss != 4.25 {
		t.Errorf("history %+v, %v; want both points", points, err)
	}
	if log, _ := ReadLog(t, e, "progress", 0, 0); log != "text\n@yard {not json\n" {
		t.Errorf("log %q; want the text and the malformed report", log)
	}
}

func testStopGrace(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("kind", 2, `trap 'echo leaving; exit 0' TERM; echo ready; while true; do sleep 0.05; done`))
	for rank := range 2 {
		AwaitLog(t, e, "kind", rank, "ready")
	}
	for range 2 {
		if err := e.Stop(t.Context(), "kind", patience); err != nil {
			t.Fatalf("stop: %v", err)
		}
	}
	status := Await(t, e, "kind", engine.Exited)
	if !status.Stopped || status.ExitCode != 0 {
		t.Errorf("status %+v; want it stopped, with the ranks' own code 0", status)
	}
	for rank := range 2 {
		if log, _ := ReadLog(t, e, "kind", rank, 0); !strings.Contains(log, "leaving") {
			t.Errorf("log of rank %d: %q; want that it could leave in order", rank, log)
		}
	}
}

func testStopIgnored(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("stubborn", 1, `trap '' TERM; echo ready; while true; do sleep 600; done`))
	AwaitLog(t, e, "stubborn", 0, "ready")
	if err := e.Stop(t.Context(), "stubborn", 200*time.Millisecond); err != nil {
		t.Fatalf("stop: %v", err)
	}
	status := Await(t, e, "stubborn", engine.Exited)
	if !status.Stopped || status.ExitCode != 137 {
		t.Errorf("status %+v; want it stopped by SIGKILL", status)
	}
}

func testDump(t *testing.T, site Site) {
	e := site.Open(t)
	dumper, able := e.(engine.Dumper)
	if !able {
		t.Skip("this engine has ranks write no stacks")
	}
	Start(t, e, Shell("hung", 2, `trap 'echo stacks; exit 134' ABRT; trap '' TERM; echo ready; while true; do sleep 0.05; done`))
	for rank := range 2 {
		AwaitLog(t, e, "hung", rank, "ready")
	}
	if err := dumper.Dump(t.Context(), "hung", patience); err != nil {
		t.Fatalf("dump: %v", err)
	}
	if status := Await(t, e, "hung", engine.Exited); !status.Stopped || status.ExitCode != 134 {
		t.Errorf("status %+v; want it stopped, with the code of SIGABRT", status)
	}
	for rank := range 2 {
		if log, _ := ReadLog(t, e, "hung", rank, 0); !strings.Contains(log, "stacks") {
			t.Errorf("log of rank %d: %q; want what SIGABRT has it write", rank, log)
		}
	}
}

func testStopShortened(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("hasty", 1, `trap 'echo heard' TERM; echo ready; while true; do sleep 0.05; done`))
	AwaitLog(t, e, "hasty", 0, "ready")
	if err := e.Stop(t.Context(), "hasty", time.Hour); err != nil {
		t.Fatalf("stop: %v", err)
	}
	AwaitLog(t, e, "hasty", 0, "heard")
	if err := e.Stop(t.Context(), "hasty", 0); err != nil {
		t.Fatalf("second stop: %v", err)
	}
	if status := Await(t, e, "hasty", engine.Exited); !status.Stopped || status.ExitCode != 137 {
		t.Errorf("status %+v; want it stopped by SIGKILL", status)
	}
}

func testStopAfterEnd(t *testing.T, site Site) {
	e := site.Open(t)
	Start(t, e, Shell("ended", 1, "exit 3"))
	before := Await(t, e, "ended", engine.Exited)
	if err := e.Stop(t.Context(), "ended", 0); err != nil {
		t.Fatalf("stop: %v", err)
	}
	if after := Await(t, e, "ended", engine.Exited); !reflect.DeepEqual(after, before) {
		t.Errorf("status %+v, then %+v; want no change", before, after)
	}
}

func testStopFences(t *testing.T, site Site) {
	e := site.Open(t)
	for range 2 {
		if err := e.Stop(t.Context(), "never", time.Second); err != nil {
			t.Fatalf("stop of an unknown key: %v", err)
		}
	}
	wantKind(t, site.Open(t).Start(t.Context(), Shell("never", 1, "true")), fault.Conflict)
	_, err := e.Observe(t.Context(), "never")
	wantKind(t, err, fault.Lost)
	wantKeys(t, e)
}

func testAdopt(t *testing.T, site Site) {
	Start(t, site.Open(t), Shell("adopted", 1, `echo ready; while ! test -e "$YARD_SCRATCH/go"; do sleep 0.05; done; echo went`))
	later := site.Open(t)
	AwaitLog(t, later, "adopted", 0, "ready")
	before := Await(t, later, "adopted", engine.Running)
	wantKeys(t, later, "adopted")
	if err := site.Open(t).Stop(t.Context(), "adopted", 0); err != nil {
		t.Fatalf("stop by another engine: %v", err)
	}
	status := Await(t, site.Open(t), "adopted", engine.Exited)
	if !status.Stopped || !status.Started.Equal(before.Started) {
		t.Errorf("status %+v; want it stopped, and started at %v", status, before.Started)
	}
}

func testForget(t *testing.T, site Site) {
	e := site.Open(t)
	gang := Shell("forgotten", 1, "echo ready; sleep 600")
	Start(t, e, gang)
	AwaitLog(t, e, "forgotten", 0, "ready")
	wantKind(t, e.Forget(t.Context(), "forgotten"), fault.Conflict)
	wantKeys(t, e, "forgotten")
	if err := e.Stop(t.Context(), "forgotten", 0); err != nil {
		t.Fatal(err)
	}
	Await(t, e, "forgotten", engine.Exited)
	for range 2 {
		if err := e.Forget(t.Context(), "forgotten"); err != nil {
			t.Fatalf("forget: %v", err)
		}
	}
	wantKeys(t, e)
	_, err := e.Observe(t.Context(), "forgotten")
	wantKind(t, err, fault.Lost)
	wantKind(t, e.Start(t.Context(), gang), fault.Conflict)
}

func testLost(t *testing.T, site Site) {
	e := site.Open(t)
	_, err := e.Observe(t.Context(), "nobody")
	wantKind(t, err, fault.Lost)
	_, err = e.Logs(t.Context(), "nobody", 0, 0)
	wantKind(t, err, fault.Lost)
	_, err = e.History(t.Context(), "nobody")
	wantKind(t, err, fault.Lost)
	wantKind(t, e.Forget(t.Context(), "nobody"), fault.Lost)
}
