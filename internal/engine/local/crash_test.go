//go:build unix

package local_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/local"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// scriptVariable hands the ranks' script to a process that acts.
const scriptVariable = "ACT_SCRIPT"

// Both need the gang's secret, however often yard and shims die before.
const (
	stays  = "test ${#TOKEN} = 15 && echo began; sleep 600"
	leaves = "test ${#TOKEN} = 15 && echo began"
	token  = "hunter2-hunter2" // of 15 characters; not in the script, which is kept
)

// act does one step of yard, in a process of its own.
func act(step, dir string) error {
	ctx, e := context.Background(), open(dir)
	switch step {
	case "start":
		return e.Start(ctx, crashGang(os.Getenv(scriptVariable)))
	case "stop":
		return e.Stop(ctx, "crash", time.Second)
	case "forget":
		return e.Forget(ctx, "crash")
	}
	return fault.Newf(fault.Invalid, "no step %q", step)
}

func crashGang(script string) engine.Gang {
	gang := enginetest.Shell("crash", 3, script)
	gang.Secrets = map[string]string{"TOKEN": token}
	return gang
}

// wantNoSecret checks that no file of the engine holds the gang's secret.
func wantNoSecret(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(token)) {
			t.Errorf("%s keeps the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// actAndCrash does one step of yard in a process that dies at the crash point,
// or whose shim does, and reports whether it died itself.
func actAndCrash(t *testing.T, step, dir, script, point string) bool {
	t.Helper()
	cmd := exec.Command(self(), "act", step, dir)
	cmd.Env = append(os.Environ(), "YARD_CRASH_AT="+point, scriptVariable+"="+script)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", step, err, out)
	}
	killed := exit != nil && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if strings.HasPrefix(point, step+":") && !killed {
		t.Fatalf("%s did not die at %s: %v\n%s", step, point, err, out)
	}
	return killed
}

// whole checks that every rank began as often as wanted, and none twice.
func wantBegan(t *testing.T, e engine.Engine, times int) {
	t.Helper()
	for rank := range 3 {
		log, _ := enginetest.ReadLog(t, e, "crash", rank, 0)
		if log != strings.Repeat("began\n", times) {
			t.Errorf("log of rank %d: %q; want %d begin", rank, log, times)
		}
	}
}

func TestCrashOfTheStarter(t *testing.T) {
	for _, point := range pointsOf(t, "start") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			actAndCrash(t, "start", dir, stays, point)
			e := open(dir)
			enginetest.Start(t, e, crashGang(stays)) // as a restarted yard does
			enginetest.Await(t, e, "crash", engine.Running)
			for rank := range 3 {
				enginetest.AwaitLog(t, e, "crash", rank, "began")
			}
			wantBegan(t, e, 1)
			wantNoSecret(t, dir) // while the gang runs
		})
	}
}

// A restarted yard that only observes still finds the gang going.
func TestCrashOfTheStarterThenObserve(t *testing.T) {
	dir := t.TempDir()
	actAndCrash(t, "start", dir, leaves, "start:after-gang")
	e := open(dir)
	if status := enginetest.Await(t, e, "crash", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want a plain exit", status)
	}
	wantBegan(t, e, 1)
}

func TestCrashOfTheShim(t *testing.T) {
	for _, point := range pointsOf(t, "shim") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir, script := t.TempDir(), leaves
			if point == "shim:first-rank" || point == "shim:ranks" {
				script = stays
			}
			e := open(dir)
			enginetest.StopAfter(t, e, "crash")
			actAndCrash(t, "start", dir, script, point)
			if err := e.Start(t.Context(), crashGang(script)); err != nil {
				t.Fatal(err)
			}
			status := enginetest.Await(t, e, "crash", engine.Exited)
			wantNothingLeft(t, dir)
			switch point {
			case "shim:unlocked", "shim:locked", "shim:reserved":
				if status.Lost || status.ExitCode != 0 {
					t.Errorf("status %+v; want it begun by the next shim", status)
				}
				wantBegan(t, e, 1)
			case "shim:recorded":
				if status.Lost || status.ExitCode != 0 {
					t.Errorf("status %+v; want what the shim recorded", status)
				}
				wantBegan(t, e, 1)
			default:
				if !status.Lost || status.ExitCode == 0 || status.Ended.Before(status.Started) {
					t.Errorf("status %+v; want it lost", status)
				}
				for rank := range 3 {
					if log, _ := enginetest.ReadLog(t, e, "crash", rank, 0); log != "" && log != "began\n" {
						t.Errorf("log of rank %d: %q; want at most one begin", rank, log)
					}
				}
			}
		})
	}
}

func TestCrashOfTheStopper(t *testing.T) {
	for _, point := range pointsOf(t, "stop") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e := open(dir)
			enginetest.Start(t, e, crashGang(stays))
			actAndCrash(t, "stop", dir, "", point)
			if err := e.Stop(t.Context(), "crash", time.Second); err != nil {
				t.Fatal(err)
			}
			if status := enginetest.Await(t, e, "crash", engine.Exited); !status.Stopped {
				t.Errorf("status %+v; want it stopped", status)
			}
			wantNothingLeft(t, dir)
		})
	}
}

// A stop that was asked of a gang whose shim had not begun it keeps it from
// beginning.
func TestStopBeforeBegin(t *testing.T) {
	dir := t.TempDir()
	actAndCrash(t, "start", dir, stays, "start:after-gang")
	e := open(dir)
	if err := e.Stop(t.Context(), "crash", time.Second); err != nil {
		t.Fatal(err)
	}
	status := enginetest.Await(t, e, "crash", engine.Exited)
	if !status.Stopped || !status.Started.IsZero() {
		t.Errorf("status %+v; want it stopped and never started", status)
	}
	wantBegan(t, e, 0)
}

func TestCrashOfForget(t *testing.T) {
	for _, point := range pointsOf(t, "forget") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e := open(dir)
			enginetest.Start(t, e, crashGang(leaves))
			enginetest.Await(t, e, "crash", engine.Exited)
			actAndCrash(t, "forget", dir, "", point)
			if _, err := e.Observe(t.Context(), "crash"); !fault.Is(err, fault.Lost) {
				t.Errorf("observe: %v; want it lost", err)
			}
			if err := e.Forget(t.Context(), "crash"); err != nil {
				t.Errorf("forget again: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "gangs", "crash")); err == nil {
				t.Error("the gang's folder is still there")
			}
			if err := e.Start(t.Context(), crashGang(leaves)); !fault.Is(err, fault.Conflict) {
				t.Errorf("start: %v; want a conflict", err)
			}
		})
	}
}

// pointsOf lists the crash points of one part, and so proves that there are some.
func pointsOf(t *testing.T, part string) []string {
	var points []string
	for _, point := range local.CrashPoints() {
		if strings.HasPrefix(point, part+":") {
			points = append(points, point)
		}
	}
	if len(points) == 0 {
		t.Fatalf("no crash points of %s", part)
	}
	return points
}

// wantNothingLeft checks that no process of a gang under the folder runs.
func wantNothingLeft(t *testing.T, dir string) {
	t.Helper()
	if pids := processesOf(t, dir); len(pids) > 0 {
		t.Errorf("processes %v of the gang still run", pids)
	}
	wantNoSecret(t, dir)
}

// processesOf finds processes by the scratch folder in their environment.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("environments of processes are read from /proc")
	}
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte("YARD_SCRATCH="+dir+"/")) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}
