//go:build unix

package local_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

func gangFile(dir, key, name string) string { return filepath.Join(dir, "gangs", key, name) }

// shimPID finds the shim by its command line.
func shimPID(t *testing.T, dir, key string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(files) == 0 {
		t.Skip("command lines of processes are read from /proc")
	}
	for _, file := range files {
		data, _ := os.ReadFile(file)
		if strings.HasSuffix(string(data), "\x00shim\x00--dir\x00"+filepath.Join(dir, "gangs", key)+"\x00") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("no shim of %s", key)
	return 0
}

func TestKilledShimLosesTheGangWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(dir)
	// One child leaves the rank's process group and would outlive it.
	enginetest.Start(t, e, enginetest.Shell("orphans", 3, `
echo '@yard {"step": 7}'
setsid sleep 600 &
echo began
sleep 600`))
	for rank := range 3 {
		enginetest.AwaitLog(t, e, "orphans", rank, "began")
	}
	enginetest.Eventually(t, "progress", func() bool {
		return enginetest.Await(t, e, "orphans", engine.Running).Progress.Step == 7
	})
	before := enginetest.Await(t, e, "orphans", engine.Running)
	if err := syscall.Kill(shimPID(t, dir, "orphans"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "orphans", engine.Exited)
	if !status.Lost || status.ExitCode != 137 || status.Stopped || status.Progress.Step != 7 {
		t.Errorf("status %+v; want it lost, at step 7", status)
	}
	if !status.Started.Equal(before.Started) || status.Ended.Before(status.Started) || status.Ended.After(time.Now()) {
		t.Errorf("from %v to %v; want from %v to a moment before now", status.Started, status.Ended, before.Started)
	}
	wantNothingLeft(t, dir)
}

// As at the shutdown of the machine.
func TestTerminatedShimEndsTheGang(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(dir)
	gang := enginetest.Shell("term", 2, `trap 'echo leaving; exit 0' TERM; echo ready; while true; do sleep 0.05; done`)
	gang.Grace = time.Minute
	enginetest.Start(t, e, gang)
	for rank := range 2 {
		enginetest.AwaitLog(t, e, "term", rank, "ready")
	}
	if err := syscall.Kill(shimPID(t, dir, "term"), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "term", engine.Exited)
	if status.ExitCode != 143 || status.Stopped || status.Lost {
		t.Errorf("status %+v; want code 143", status)
	}
	for rank := range 2 {
		if log, _ := enginetest.ReadLog(t, e, "term", rank, 0); !strings.Contains(log, "leaving") {
			t.Errorf("log of rank %d: %q; want that it could leave in order", rank, log)
		}
	}
}

func TestWhatRanksLeaveBehindEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(dir)
	enginetest.Start(t, e, enginetest.Shell("daemons", 2, `sleep 600 & setsid sleep 600 >/dev/null 2>&1 & exit 0`))
	if status := enginetest.Await(t, e, "daemons", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want a plain exit", status)
	}
	wantNothingLeft(t, dir)
}

// The clock was set back an hour after the gang started, and its shim died.
func TestClockSetBackNeverMakesUsageNegative(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := open(dir)
	enginetest.StopAfter(t, e, "crash")
	actAndCrash(t, "start", dir, stays, "shim:started")
	path := gangFile(dir, "crash", "started.json")
	enginetest.Eventually(t, "the shim wrote that it started", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	var started map[string]any
	data, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(data, &started) != nil {
		t.Fatal(err, string(data))
	}
	later := time.Now().Add(time.Hour).UTC()
	started["at"] = later
	if data, err = json.Marshal(started); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "crash", engine.Exited)
	if !status.Started.Equal(later) || !status.Ended.Equal(later) {
		t.Errorf("from %v to %v; want no usage at %v", status.Started, status.Ended, later)
	}
}

// A disk damaged one of the gang's files: the gang ends as lost, and never
// stays for ever what nobody can see the end of.
func TestDamagedFilesEndTheGang(t *testing.T) {
	for _, c := range []struct {
		point, file string
		began       bool
	}{
		{"shim:ranks", "started.json", true},
		{"shim:ranks", "progress.json", true},
		{"shim:ranks", "gang.json", true},
		{"shim:recorded", "exit.json", true},
		{"shim:locked", "gang.json", false},
	} {
		t.Run(c.point+" "+c.file, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e := open(dir)
			enginetest.StopAfter(t, e, "crash")
			actAndCrash(t, "start", dir, leaves, c.point)
			enginetest.Eventually(t, "the shim died", func() bool { return len(processesOf(t, dir)) == 0 && !shimLives(t, dir) })
			if err := os.WriteFile(gangFile(dir, "crash", c.file), []byte("\x00\x00{"), 0o600); err != nil {
				t.Fatal(err)
			}
			status := enginetest.Await(t, e, "crash", engine.Exited)
			if status.ExitCode == 0 || status.Lost != c.began || status.Started.IsZero() == c.began || status.Ended.Before(status.Started) {
				t.Errorf("status %+v; want it lost: %v", status, c.began)
			}
			if took := status.Ended.Sub(status.Started); c.began && took > time.Minute {
				t.Errorf("%s of use", took)
			}
		})
	}
}

// shimLives asks whether somebody holds the lock of gang crash.
func shimLives(t *testing.T, dir string) bool {
	t.Helper()
	file, err := os.Open(gangFile(dir, "crash", "shim.lock"))
	if err != nil {
		return false
	}
	defer file.Close()
	asked := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &asked); err != nil {
		t.Fatal(err)
	}
	return asked.Type != syscall.F_UNLCK
}

func TestTwoHundredRanks(t *testing.T) {
	t.Parallel()
	const ranks = 200
	dir := t.TempDir()
	e := open(dir)
	enginetest.Start(t, e, enginetest.Shell("wide", ranks, `echo "rank $RANK of $WORLD_SIZE"; while ! test -e "$YARD_SCRATCH/go"; do sleep 0.5; done`))
	for rank := range ranks {
		enginetest.AwaitLog(t, e, "wide", rank, fmt.Sprintf("rank %d of 200\n", rank))
	}
	if err := os.WriteFile(gangFile(dir, "wide", "scratch/go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := enginetest.Await(t, e, "wide", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want a plain exit", status)
	}
	var exit struct {
		Ranks []struct {
			Rank           int
			Started, Ended time.Time
		}
	}
	data, err := os.ReadFile(gangFile(dir, "wide", "exit.json"))
	if err != nil || json.Unmarshal(data, &exit) != nil || len(exit.Ranks) != ranks {
		t.Fatalf("exit.json: %v, %d ranks; want %d", err, len(exit.Ranks), ranks)
	}
	for i, r := range exit.Ranks {
		if r.Rank != i || r.Started.IsZero() || r.Ended.Before(r.Started) {
			t.Errorf("rank %d: %+v; want its times", i, r)
		}
	}
}

// Starting many ranks takes a while: a gang that fails or is stopped meanwhile
// ends there, and starts no more of them.
func TestGangEndsWhileItsRanksStart(t *testing.T) {
	t.Parallel()
	const ranks = 400
	for _, c := range []struct {
		name, script string
		stop         bool
	}{
		{"fails", `test "$RANK" != 0 || exit 3; sleep 600`, false},
		{"stopped", `exit 0`, true},
	} {
		dir := t.TempDir()
		e := open(dir)
		enginetest.Start(t, e, enginetest.Shell("wide", ranks, c.script))
		if c.stop {
			if err := e.Stop(t.Context(), "wide", time.Second); err != nil {
				t.Fatal(err)
			}
		}
		status := enginetest.Await(t, e, "wide", engine.Exited)
		if status.Stopped != c.stop || (!c.stop && status.ExitCode != 3) {
			t.Errorf("%s: status %+v", c.name, status)
		}
		wantNothingLeft(t, dir)
		data, err := os.ReadFile(gangFile(dir, "wide", "ranks.jsonl"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if began := strings.Count(string(data), "\n"); began == ranks {
			t.Errorf("%s: all %d ranks were started", c.name, began)
		}
	}
}

func TestMoreRanksThanAMachineTakes(t *testing.T) {
	e := open(t.TempDir())
	if err := e.Start(t.Context(), enginetest.Shell("huge", 100_000, `exit 0`)); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v; want it refused", err)
	}
}

// The command removes itself when it first runs: some later rank finds nothing.
func TestStartThatFailsHalfwayLeavesNothing(t *testing.T) {
	t.Parallel()
	dir, work := t.TempDir(), t.TempDir()
	script := "#!/bin/sh\nrm -f \"$0\"\nsleep 600\n"
	if err := os.WriteFile(filepath.Join(work, "once"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	e := open(dir)
	gang := enginetest.Shell("half", 500, "")
	gang.Dir, gang.Command = work, []string{"./once"}
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "half", engine.Exited)
	if status.ExitCode == 0 || status.Reason == "" {
		t.Errorf("status %+v; want a failure with its reason", status)
	}
	wantNothingLeft(t, dir)
}

func TestSecretsOfYardStayWithIt(t *testing.T) {
	t.Setenv("YARD_TOKEN", "secret")
	t.Setenv("YARD_STATE_DIR", "/state")
	t.Setenv("ORDINARY", "kept")
	e := open(t.TempDir())
	gang := enginetest.Shell("env", 1, "env; readlink /proc/self/fd/0")
	gang.Env = map[string]string{"YARD_CHECKPOINT_DIR": "/ckpt"}
	gang.Dir = t.TempDir()
	enginetest.Start(t, e, gang)
	enginetest.Await(t, e, "env", engine.Exited)
	log, _ := enginetest.ReadLog(t, e, "env", 0, 0)
	if strings.Contains(log, "secret") || strings.Contains(log, "/state") {
		t.Errorf("a rank sees yard's own variables:\n%s", log)
	}
	for _, want := range []string{"ORDINARY=kept\n", "YARD_CHECKPOINT_DIR=/ckpt\n", "/dev/null\n", "PWD=" + gang.Dir + "\n"} {
		if !strings.Contains(log, want) {
			t.Errorf("a rank lacks %q:\n%s", want, log)
		}
	}
}

// One rank floods its log; the other goes on, the disk stays bounded, and every
// line is either there or counted.
func TestFloodIsBoundedAndCounted(t *testing.T) {
	t.Parallel()
	const lines, limit = 400_000, 1 << 20
	dir := t.TempDir()
	e := open(dir)
	gang := enginetest.Shell("flood", 2, fmt.Sprintf(
		`if [ "$RANK" = 0 ]; then seq %d; echo '@yard {"step": 5}'; echo last; else echo quiet; fi`, lines))
	gang.LogCap = limit
	enginetest.Start(t, e, gang)
	status := enginetest.Await(t, e, "flood", engine.Exited)
	log, next := enginetest.ReadLog(t, e, "flood", 0, 0)
	if len(log) > limit+100 || !strings.HasPrefix(log, "1\n2\n3\n") || !strings.HasSuffix(log, "\n400000\nlast\n") {
		t.Errorf("log of %d bytes, from %.20q; want the beginning and the end in %d", len(log), log, limit)
	}
	cut, kept := int64(0), int64(0)
	for line := range strings.Lines(log) {
		if n, err := fmt.Sscanf(line, "[yard] %d lines cut", &cut); n == 0 || err != nil {
			kept++
		}
	}
	if cut == 0 || kept+cut != lines+1 || status.LogLost != cut {
		t.Errorf("%d kept, %d said to be cut, %d counted; want them to make %d", kept, cut, status.LogLost, lines+1)
	}
	if rest, end := enginetest.ReadLog(t, e, "flood", 0, next); rest != "" || end != next {
		t.Errorf("from the end: %q, %d; want nothing, %d", rest, end, next)
	}
	if status.Progress.Step != 5 {
		t.Errorf("progress %+v; want that no bound cuts it", status.Progress)
	}
	if quiet, _ := enginetest.ReadLog(t, e, "flood", 1, 0); quiet != "quiet\n" {
		t.Errorf("log of the other rank: %q", quiet)
	}
}

// A log that cannot be written costs its lines, which are counted, not the rank.
func TestFullDiskForLogs(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full")
	}
	dir := t.TempDir()
	e := open(dir)
	actAndCrash(t, "start", dir, `if [ "$RANK" = 1 ]; then echo a; echo b; exit 5; fi; sleep 600`, "start:after-gang")
	enginetest.StopAfter(t, e, "crash")
	if err := os.Mkdir(gangFile(dir, "crash", "ranks"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", gangFile(dir, "crash", "ranks/1.log")); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "crash", engine.Exited)
	if status.ExitCode != 5 || status.Rank != 1 || status.LogLost != 2 {
		t.Errorf("status %+v; want code 5 of rank 1, and 2 lines lost", status)
	}
}
