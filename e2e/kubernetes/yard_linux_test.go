package kubernetes_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
)

// patience bounds each wait.
const patience = 5 * time.Minute

// TestMain adds the flag that `make e2e-kubernetes` gives.
func TestMain(m *testing.M) {
	kubelab.Main()
	flag.Bool("e2e", false, "run the tests that need a cluster and some minutes")
	flag.Parse()
	os.Exit(m.Run())
}

func enabled() bool {
	set := flag.Lookup("e2e")
	return set != nil && set.Value.String() == "true"
}

// yard is the binary with a state directory of its own.
type yard struct {
	binary, state, files string
}

func newYard(t *testing.T) *yard {
	y := &yard{binary: kubelab.Build(t, "./cmd/yard"), state: t.TempDir(), files: t.TempDir()}
	// What has ended is forgotten at the next sweep, so that the test can see it gone.
	if err := os.WriteFile(filepath.Join(y.state, "config.yaml"), []byte("retention: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return y
}

func (y *yard) environ() []string {
	return append(os.Environ(), "YARD_STATE_DIR="+y.state, "HOME="+y.files)
}

// cli runs yard to its end.
func (y *yard) cli(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), y.binary, args...)
	cmd.Env = y.environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("yard %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

func (y *yard) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(y.files, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// up serves the control plane; the returned function ends it.
func (y *yard) up(t *testing.T) (end func()) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(y.files, "up.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(y.binary, "up", "--listen", "127.0.0.1:0")
	cmd.Env, cmd.Stdout, cmd.Stderr = y.environ(), log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ended bool
	end = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("yard up: %v", err)
		}
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("yard up said\n%s", text)
		}
	}
	t.Cleanup(end)
	eventually(t, "yard up serves", func() bool {
		_, err := os.Stat(filepath.Join(y.state, "yard.sock"))
		return err == nil
	})
	return end
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not yet: %s", patience, what)
		}
	}
}

// view is what these tests read of `yard runs RUN -o json`.
type view struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Failures int       `json:"failures"`
	Progress progress  `json:"progress"`
	Attempts []attempt `json:"attempt_list"`
}

type attempt struct {
	Number  int       `json:"number"`
	State   string    `json:"state"`
	Reason  string    `json:"reason"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Nodes   int       `json:"nodes"`
	Last    progress  `json:"progress"`
}

type progress struct {
	Step           int64   `json:"step"`
	Loss           float64 `json:"loss"`
	CheckpointStep int64   `json:"checkpoint_step"`
	EvalLoss       float64 `json:"eval_loss"`
	BaselineLoss   float64 `json:"baseline_loss"`
}

func (y *yard) look(t *testing.T, id string) view {
	t.Helper()
	var v view
	if err := json.Unmarshal([]byte(y.cli(t, "runs", id, "-o", "json")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// submit starts a run and returns its name.
func (y *yard) submit(t *testing.T, file string) string {
	t.Helper()
	out := y.cli(t, "run", "--detach", file)
	for _, word := range strings.Fields(out) {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); strings.HasPrefix(word, name+"-") {
			return strings.Trim(word, ".,;:")
		}
	}
	t.Fatalf("no run in %q", out)
	return ""
}

func (y *yard) awaitCheckpoint(t *testing.T, id string, attempt int, step int64) view {
	t.Helper()
	var v view
	eventually(t, fmt.Sprintf("attempt %d of %s has a checkpoint of step %d", attempt, id, step), func() bool {
		v = y.look(t, id)
		if v.State == "failed" || v.State == "succeeded" {
			t.Fatalf("%s has ended: %+v\n%s", id, v, y.cli(t, "logs", id))
		}
		return len(v.Attempts) == attempt && v.Attempts[attempt-1].Last.CheckpointStep >= step
	})
	return v
}

func (y *yard) awaitSuccess(t *testing.T, id string) view {
	t.Helper()
	var v view
	eventually(t, id+" ends", func() bool {
		v = y.look(t, id)
		return !slices.Contains([]string{"queued", "running"}, v.State)
	})
	if v.State != "succeeded" {
		t.Fatalf("%s: %+v\n%s", id, v, y.cli(t, "logs", id))
	}
	return v
}
