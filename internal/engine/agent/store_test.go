//go:build unix

package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/checkpoint"
	"github.com/switchyard-ai/switchyard/internal/engine"
	"github.com/switchyard-ai/switchyard/internal/engine/agent"
	"github.com/switchyard-ai/switchyard/internal/lab/bloblab"
)

// train is a program that counts on from its newest checkpoint, writes one at
// each step, and one more on SIGTERM.
const train = `cd "$YARD_CHECKPOINT_DIR" || exit 9
last=$(ls | grep '^step-' | sort -t- -k2 -n | tail -1)
step=0; [ -n "$last" ] && step=$(cat "$last/step")
echo "from $step"
save() { mkdir tmp-$1 && echo $1 > tmp-$1/step && mv tmp-$1 step-$1; }
trap 'save 900; exit 0' TERM
for n in 1 2 3; do step=$((step + 1)); save $step; done
echo "at $step"
`

func storedTask(t *testing.T, url string, epoch int, script string) agent.Task {
	task := newTask(t, 1, script)
	task.Checkpoint = filepath.Join(filepath.Dir(task.Scratch), "checkpoints")
	task.Gang.Checkpoint = &engine.Checkpoint{URL: url, Epoch: epoch, Keep: 2}
	return task
}

func stored(t *testing.T, url string) string {
	t.Helper()
	s, err := checkpoint.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, c := range list {
		out = append(out, fmt.Sprintf("%s@%d %s", c.Name, c.Epoch, c.State))
	}
	return strings.Join(out, ", ")
}

// A run goes from node to node, on every kind of store: by its end, by SIGTERM,
// and by SIGKILL to its agent.
func TestRunGoesOnElsewhere(t *testing.T) {
	for _, place := range bloblab.Places(t) {
		t.Run(place.Name, func(t *testing.T) {
			url := place.URL("run")
			first := storedTask(t, url, 1, train)
			if code := start(t, first, 0).wait(); code != 0 {
				t.Fatalf("exit code %d: %s", code, logOf(t, first, 0))
			}
			if report := reportOf(t, first); report.Stored != 3 || report.Ended.Before(report.Started) {
				t.Errorf("report %+v; want step 3 stored", report)
			}
			if log := logOf(t, first, 0); !strings.Contains(log, "from 0\n") || !strings.Contains(log, "[yard] checkpoint step-3 is in ") {
				t.Errorf("log %q", log)
			}

			second := storedTask(t, url, 2, train+"while :; do sleep 0.02; done")
			r := start(t, second, 0)
			eventually(t, "step 6", func() bool { return strings.Contains(logOf(t, second, 0), "at 6\n") })
			if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if code := r.wait(); code != agent.ExitStopped {
				t.Errorf("exit code %d", code)
			}
			if report := reportOf(t, second); !report.Stopped || report.Stored != 900 {
				t.Errorf("report %+v; want that the checkpoint on SIGTERM is stored", report)
			}

			third := storedTask(t, url, 3, train+"exec sleep 600")
			r = start(t, third, 0)
			eventually(t, "step 903", func() bool { return strings.Contains(logOf(t, third, 0), "from 900\nat 903\n") })
			eventually(t, "its upload", func() bool { return strings.Contains(stored(t, url), "step-903@3 complete") })
			_ = r.cmd.Process.Kill()
			r.wait()

			fourth := storedTask(t, url, 4, train)
			if code := start(t, fourth, 0).wait(); code != 0 || !strings.Contains(logOf(t, fourth, 0), "from 903\n") {
				t.Errorf("exit code %d: %s", code, logOf(t, fourth, 0))
			}
			if got := stored(t, url); got != "step-906@4 complete, step-903@3 complete" {
				t.Errorf("kept: %s", got)
			}
		})
	}
}

// An attempt that another has superseded ends, and leaves nothing in the store.
func TestSupersededAttemptEnds(t *testing.T) {
	t.Parallel()
	url := "file://" + t.TempDir()
	old := storedTask(t, url, 1, `trap 'exit 0' TERM; echo ready; while [ ! -e "$YARD_SCRATCH/go" ]; do sleep 0.02; done
		mkdir "$YARD_CHECKPOINT_DIR/step-50"; echo on; while :; do sleep 0.02; done`)
	r := start(t, old, 0)
	eventually(t, "the rank", func() bool { return strings.Contains(logOf(t, old, 0), "ready\n") })
	next := storedTask(t, url, 2, "exit 0")
	if code := start(t, next, 0).wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if err := os.WriteFile(filepath.Join(old.Scratch, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != agent.ExitStopped {
		t.Errorf("exit code %d", code)
	}
	if report := reportOf(t, old); !report.Stopped || !strings.Contains(report.Reason, "superseded") {
		t.Errorf("report %+v", report)
	}
	if code := start(t, old, 0).wait(); code != agent.ExitOwn {
		t.Errorf("exit code %d of a superseded attempt that begins", code)
	}
	if got := stored(t, url); got != "" {
		t.Errorf("stored: %s", got)
	}
}

// A stop while the checkpoint is awaited ends the agent at once; ranks never begin.
func TestStopWhileWaitingForNodeZero(t *testing.T) {
	t.Parallel()
	task := storedTask(t, "file://"+t.TempDir(), 1, "echo began")
	task.Gang.Ranks, task.PerNode = 2, 1
	task.Release = filepath.Join(t.TempDir(), "release")
	if err := os.WriteFile(task.Release, []byte(`{"hosts": ["a", "b"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, task, 1)
	eventually(t, "the first report", func() bool { _, found, _ := agent.ReadReport(task.Dir); return found })
	if err := os.WriteFile(filepath.Join(task.Dir, "stop.json"), []byte(`{"grace": 3600000000000}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != agent.ExitStopped {
		t.Errorf("exit code %d", code)
	}
	if report := reportOf(t, task); !report.Started.IsZero() || !report.Stopped {
		t.Errorf("report %+v", report)
	}
}
