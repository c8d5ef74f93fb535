// Package yardlab owns how the shows on real clusters drive the yard binary: as
// a user does, by its commands, with a state directory of its own.
//
// It refuses to know which clusters there are; see kubelab and slurmlab.
package yardlab

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
)

// patience bounds each wait.
const patience = 8 * time.Minute

// Main adds the flag that the targets e2e-… of the Makefile give, and runs the tests.
func Main(m *testing.M) {
	flag.Bool("e2e", false, "run the tests that need clusters and some minutes")
	flag.Parse()
	os.Exit(m.Run())
}

// Need skips a test that is run by its target of the Makefile alone.
func Need(t *testing.T, target string) {
	t.Helper()
	if set := flag.Lookup("e2e"); set == nil || set.Value.String() != "true" {
		t.Skip("SKIPPED: make " + target)
	}
}

// Yard is the binary with a state directory of its own.
type Yard struct {
	Binary string
	State  string
	Files  string // of the test
}

// ForgetSoon are settings under which ended gangs are forgotten at the next
// sweep, so that a test can see them gone.
const ForgetSoon = "retention: 1s\n"

// New is a yard that has run nothing yet, with these settings or, where they
// are "", the usual ones.
func New(t *testing.T, binary, settings string) *Yard {
	t.Helper()
	y := &Yard{Binary: binary, State: t.TempDir(), Files: t.TempDir()}
	if settings == "" {
		return y
	}
	if err := os.WriteFile(filepath.Join(y.State, "config.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return y
}

// Run runs a command to its end, which must be a good one, and returns its output.
func Run(t *testing.T, environ []string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(os.Environ(), environ...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// BuildGPT builds the GPT example as a static program.
func BuildGPT(t *testing.T, to string) {
	t.Helper()
	Run(t, []string{"CGO_ENABLED=0", "GOEXPERIMENT=simd"}, "go", "build", "-o", to, "../../examples/gpt")
}

func (y *Yard) environ() []string { return []string{"YARD_STATE_DIR=" + y.State, "HOME=" + y.Files} }

// CLI runs yard to its end.
func (y *Yard) CLI(t *testing.T, args ...string) string {
	t.Helper()
	return Run(t, y.environ(), append([]string{y.Binary}, args...)...)
}

// Write writes a file of the test and returns its path.
func (y *Yard) Write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(y.Files, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Up serves the control plane while the test runs, or until the returned
// function ends it.
func (y *Yard) Up(t *testing.T) (end func()) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(y.Files, "up.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(y.Binary, "up", "--listen", "127.0.0.1:0")
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), y.environ()...), log, log
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
	Eventually(t, "yard up serves", func() bool {
		_, err := os.Stat(filepath.Join(y.State, "yard.sock"))
		return err == nil
	})
	return end
}

// Eventually polls until the condition holds.
func Eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not yet: %s", patience, what)
		}
	}
}

// View is a run, as `yard runs RUN -o json` tells of it.
type View struct {
	ID       string    `json:"id"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Failures int       `json:"failures"`
	Progress Progress  `json:"progress"`
	Attempts []Attempt `json:"attempt_list"`
}

// Attempt is one of a run.
type Attempt struct {
	Number  int       `json:"number"`
	Pool    string    `json:"pool"`
	State   string    `json:"state"`
	Reason  string    `json:"reason"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Nodes   int       `json:"nodes"`
	Last    Progress  `json:"progress"`
}

// Progress is the last that was reported.
type Progress struct {
	Step           int64   `json:"step"`
	Loss           float64 `json:"loss"`
	CheckpointStep int64   `json:"checkpoint_step"`
	EvalLoss       float64 `json:"eval_loss"`
	BaselineLoss   float64 `json:"baseline_loss"`
}

// Look tells how a run stands.
func (y *Yard) Look(t *testing.T, id string) View {
	t.Helper()
	var v View
	if err := json.Unmarshal([]byte(y.CLI(t, "runs", id, "-o", "json")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// Submit starts a run of a workload's file, and returns the run's name.
func (y *Yard) Submit(t *testing.T, file string) string {
	t.Helper()
	out := y.CLI(t, "run", "--detach", file)
	if _, after, found := strings.Cut(out, "yard logs -f "); found {
		return strings.TrimSpace(after)
	}
	t.Fatalf("no run in %q", out)
	return ""
}

// AwaitCheckpoint waits until a run that goes on is at the attempt, which has a
// checkpoint of that step or a later one.
func (y *Yard) AwaitCheckpoint(t *testing.T, id string, attempt int, step int64) View {
	t.Helper()
	var v View
	Eventually(t, fmt.Sprintf("attempt %d of %s has a checkpoint of step %d", attempt, id, step), func() bool {
		if v = y.Look(t, id); !live(v) {
			t.Fatalf("%s has ended: %+v\n%s", id, v, y.CLI(t, "logs", id))
		}
		return len(v.Attempts) == attempt && v.Attempts[attempt-1].Last.CheckpointStep >= step
	})
	return v
}

// AwaitSuccess waits until a run ends, which must be well.
func (y *Yard) AwaitSuccess(t *testing.T, id string) View {
	t.Helper()
	var v View
	Eventually(t, id+" ends", func() bool {
		v = y.Look(t, id)
		return !live(v)
	})
	if v.State != "succeeded" {
		t.Fatalf("%s: %+v\n%s", id, v, y.CLI(t, "logs", id))
	}
	return v
}

func live(v View) bool { return slices.Contains([]string{"queued", "running"}, v.State) }
