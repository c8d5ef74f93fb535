//go:build linux

package slurm_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/enginetest"
	"github.com/switchyard-ai/switchyard/internal/engine/slurm"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/site"
)

const (
	stays  = "test ${#TOKEN} = 15 && echo began; sleep 600"
	leaves = "test ${#TOKEN} = 15 && echo began"
	token  = "hunter2-hunter2" // of 15 characters; not in the script, which is kept
)

// act does one step of yard, in a process of its own.
func act(step, dir, conf, key, script string) error {
	ctx, e := context.Background(), openOver(dir, slurm.System("", conf))
	switch step {
	case "start":
		return e.Start(ctx, crashGang(key, script))
	case "stop":
		return e.Stop(ctx, key, time.Second)
	case "forget":
		return e.Forget(ctx, key)
	}
	return fault.Newf(fault.Invalid, "no step %q", step)
}

func crashGang(key, script string) engine.Gang {
	gang := wide(key, 2, 1, script)
	gang.Secrets = map[string]string{"TOKEN": token}
	return gang
}

// actAndCrash does one step of yard in a process that dies at the crash point,
// or whose job does.
func actAndCrash(t *testing.T, lab *slurmlab.Lab, step, dir, key, script, point string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "act", step, dir, lab.Conf(), key, script)
	cmd.Env = append(os.Environ(), "YARD_CRASH_AT="+point)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", step, err, out)
	}
	killed := exit != nil && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if strings.HasPrefix(point, step+":") != killed {
		t.Fatalf("%s at %s: %v\n%s", step, point, err, out)
	}
}

func wantBegan(t *testing.T, e engine.Engine, key string, times int) {
	t.Helper()
	for rank := range 2 {
		if log, _ := enginetest.ReadLog(t, e, key, rank, 0); log != strings.Repeat("began\n", times) {
			t.Errorf("log of rank %d: %q; want %d begin", rank, log, times)
		}
	}
}

// wantNoSecret checks that no file of the gang holds its secret.
func wantNoSecret(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Base(filepath.Dir(path)) == "bin" {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), token) {
			t.Errorf("%s keeps the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A starter that dies anywhere leaves a gang that a restarted yard starts once.
func TestCrashOfTheStarter(t *testing.T) {
	lab := lab(t)
	for _, point := range pointsOf(t, "start") {
		t.Run(point, func(t *testing.T) {
			dir, key := sharedDir(t), keyOf(point)
			actAndCrash(t, lab, "start", dir, key, stays, point)
			e := open(lab, dir)
			enginetest.Start(t, e, crashGang(key, stays))
			for rank := range 2 {
				enginetest.AwaitLog(t, e, key, rank, "began")
			}
			enginetest.Await(t, e, key, engine.Running)
			wantBegan(t, e, key, 1)
			wantNoSecret(t, filepath.Join(dir, "gangs"))
			wantOneJob(t, lab, key)
		})
	}
}

// A restarted yard that only observes still finds the gang going.
func TestCrashOfTheStarterThenObserve(t *testing.T) {
	lab, dir := lab(t), sharedDir(t)
	actAndCrash(t, lab, "start", dir, "observed", leaves, "start:after-gang")
	e := open(lab, dir)
	if status := enginetest.Await(t, e, "observed", engine.Exited); status.ExitCode != 0 {
		t.Errorf("status %+v; want a plain exit", status)
	}
	wantBegan(t, e, "observed", 1)
}

// A batch script that is killed leaves a gang that is lost and never begins
// again, or that had ended.
func TestCrashOfTheBatchScript(t *testing.T) {
	lab := lab(t)
	for _, point := range pointsOf(t, "batch") {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir, key := sharedDir(t), keyOf(point)
			e := open(lab, dir)
			enginetest.StopAfter(t, e, key)
			actAndCrash(t, lab, "start", dir, key, leaves, point)
			status := enginetest.Await(t, e, key, engine.Exited)
			if err := e.Start(t.Context(), crashGang(key, leaves)); err != nil {
				t.Fatal(err)
			}
			if point == "batch:ended" {
				if status.Lost || status.ExitCode != 0 {
					t.Errorf("status %+v; want the end that the agents reported", status)
				}
				wantBegan(t, e, key, 1)
			} else {
				if !status.Lost || status.Ended.Before(status.Started) {
					t.Errorf("status %+v; want it lost", status)
				}
				wantBegan(t, e, key, 0)
			}
			wantNoSecret(t, filepath.Join(dir, "gangs"))
		})
	}
}

func TestCrashOfTheStopper(t *testing.T) {
	lab := lab(t)
	for _, point := range pointsOf(t, "stop") {
		t.Run(point, func(t *testing.T) {
			dir, key := sharedDir(t), keyOf(point)
			e := open(lab, dir)
			enginetest.Start(t, e, crashGang(key, stays))
			actAndCrash(t, lab, "stop", dir, key, "", point)
			if err := e.Stop(t.Context(), key, time.Second); err != nil {
				t.Fatal(err)
			}
			if status := enginetest.Await(t, e, key, engine.Exited); !status.Stopped {
				t.Errorf("status %+v; want it stopped", status)
			}
		})
	}
}

// A stop of a gang that was accepted but never submitted keeps it from beginning.
func TestStopBeforeSubmission(t *testing.T) {
	lab, dir := lab(t), sharedDir(t)
	actAndCrash(t, lab, "start", dir, "early", stays, "start:before-gang")
	actAndCrash(t, lab, "start", dir, "late", stays, "start:leased")
	e := open(lab, dir)
	for _, key := range []string{"early", "late"} {
		if err := e.Stop(t.Context(), key, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Observe(t.Context(), "early"); !fault.Is(err, fault.Lost) {
		t.Errorf("observe: %v; want it lost", err)
	}
	if status := enginetest.Await(t, e, "late", engine.Exited); !status.Stopped || !status.Started.IsZero() {
		t.Errorf("status %+v; want it stopped and never started", status)
	}
	wantNoSecret(t, filepath.Join(dir, "gangs"))
}

func TestCrashOfForget(t *testing.T) {
	lab := lab(t)
	for _, point := range pointsOf(t, "forget") {
		t.Run(point, func(t *testing.T) {
			dir, key := sharedDir(t), keyOf(point)
			e := open(lab, dir)
			enginetest.Start(t, e, crashGang(key, leaves))
			enginetest.Await(t, e, key, engine.Exited)
			actAndCrash(t, lab, "forget", dir, key, "", point)
			if _, err := e.Observe(t.Context(), key); !fault.Is(err, fault.Lost) {
				t.Errorf("observe: %v; want it lost", err)
			}
			if err := e.Forget(t.Context(), key); err != nil {
				t.Errorf("forget again: %v", err)
			}
			if keys, err := e.List(t.Context()); err != nil || len(keys) > 0 {
				t.Errorf("list: %v, %v; want nothing", keys, err)
			}
			if err := e.Start(t.Context(), crashGang(key, leaves)); !fault.Is(err, fault.Conflict) {
				t.Errorf("start: %v; want a conflict", err)
			}
		})
	}
}

func keyOf(point string) string { return strings.ReplaceAll(point, ":", "-") }

// pointsOf lists the crash points of one part, and so proves that there are some.
func pointsOf(t *testing.T, part string) []string {
	var points []string
	for _, point := range slurm.CrashPoints() {
		if strings.HasPrefix(point, part+":") {
			points = append(points, point)
		}
	}
	if len(points) == 0 {
		t.Fatalf("no crash points of %s", part)
	}
	return points
}

func wantOneJob(t *testing.T, lab *slurmlab.Lab, name string) {
	t.Helper()
	out, err := lab.Call(t.Context(), "squeue", "--noheader", "--name="+name, "--format=%i %T")
	if err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("jobs of %s: %q, %v; want one", name, out, err)
	}
}

// openOver returns an engine with the runner, and the pools of the tests.
func openOver(dir string, run slurm.Runner) *slurm.Engine {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return slurm.New(labSpec(dir), []string{self}, run)
}

func labSpec(dir string) site.Site {
	return site.Site{Name: "lab", Engine: site.SlurmEngine, Slurm: &site.Slurm{Dir: dir}, Pools: []site.Pool{
		{Name: "cpu", Partition: "main", Provider: "owned"},
		{Name: "h100", Partition: "main", GRES: "gpu:h100:8"},
		{Name: "urgent", Partition: "urgent"},
		{Name: "brief", Partition: "brief"},
	}}
}

// touch lets a gang go that waits for a file in the folder of its nodes.
func touch(t *testing.T, s labSite, key string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "gangs", key, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
