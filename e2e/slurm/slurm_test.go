//go:build linux

package slurm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
	"github.com/switchyard-ai/switchyard/internal/lab/yardlab"
)

// world is a cluster with a yard that has it as its site.
type world struct {
	*yardlab.Yard
	lab    *slurmlab.Lab
	shared string // what all nodes see
	runs   []string
}

// begin builds yard and starts a cluster.
func begin(t *testing.T) *world {
	t.Helper()
	yardlab.Need(t, "e2e-slurm")
	if missing := slurmlab.Missing(); missing != "" {
		t.Fatal(missing)
	}
	binary := filepath.Join(t.TempDir(), "yard")
	yardlab.Run(t, nil, "go", "build", "-o", binary, "../../cmd/yard")
	w := &world{Yard: yardlab.New(t, binary, ""), shared: t.TempDir()}
	began := time.Now()
	var err error
	if w.lab, err = slurmlab.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if jobs, err := w.lab.Jobs(context.Background()); err != nil || len(jobs) > 0 {
			t.Errorf("jobs are left: %v, %v", jobs, err)
		}
		if err := w.lab.Stop(); err != nil {
			t.Error(err)
		}
		if left := w.lab.Strays(); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	})
	t.Logf("four slurmd after %v", time.Since(began).Round(100*time.Millisecond))
	return w
}

// TestMain adds the flag that `make e2e-slurm` gives.
func TestMain(m *testing.M) { yardlab.Main(m) }

// start starts a run, and notes it for the accounting.
func (w *world) start(t *testing.T, file string) string {
	t.Helper()
	w.runs = append(w.runs, w.Submit(t, file))
	return w.runs[len(w.runs)-1]
}

// gpt is a workload of the GPT example on so many nodes.
func (w *world) gpt(t *testing.T, name string, nodes, steps int, pool string) string {
	t.Helper()
	return w.Write(t, name+".yaml", fmt.Sprintf(`kind: Training
name: %[1]s
place:
  nodes: %[2]d
  allow: {providers: [%[5]s]}
restarts: {limit: 0, backoff: 1s}
variants:
  cpu:
    command: [%[3]s/gpt, train, --data, %[3]s/text, --steps, "%[4]d", --batch, "12", --checkpoint-every, "20", --layers, "2", --dim, "64", --seq, "64"]
    ranks: %[2]d
    checkpoint: {reads: [gpt-example], writes: gpt-example}
`, name, nodes, w.shared, steps, pool))
}

// TestSlurm is one story: the parts share a cluster and a ledger.
func TestSlurm(t *testing.T) {
	w := begin(t)
	yardlab.BuildGPT(t, filepath.Join(w.shared, "gpt"))
	yardlab.Run(t, nil, "cp", "-r", "../../examples/gpt", filepath.Join(w.shared, "text"))
	w.Up(t)
	w.addSites(t)
	t.Run("a dry run for chips that are not here", w.testDryRun)
	t.Run("a gang of four trains", w.testGang)
	t.Run("preempted by a higher partition", w.testPreempted)
	t.Run("the time limit", w.testTimeLimit)
	t.Run("PyTorch", w.testPyTorch)
	t.Run("a node is lost", w.testNodeLost)
	t.Run("a node is drained", w.testDrained)
	t.Run("sacct agrees with the ledger", w.testAccounting)
	t.Run("nothing is left", w.testNothingLeft)
}

func (w *world) addSites(t *testing.T) {
	t.Helper()
	lab := w.Write(t, "lab.yaml", fmt.Sprintf(`kind: Site
name: lab
engine: slurm
provider: owned
slurm: {dir: %s, config: %s}
pools:
  - {name: nodes, partition: main, rate: $2.00}
`, w.shared, w.lab.Conf()))
	brief := w.Write(t, "brief.yaml", fmt.Sprintf(`kind: Site
name: brief
engine: slurm
provider: lender
slurm: {dir: %s, config: %s, time_limit: 1m}
pools:
  - {name: nodes, partition: brief, rate: $1.00}
`, filepath.Join(w.shared, "brief"), w.lab.Conf()))
	for _, file := range []string{lab, brief} {
		if out := w.CLI(t, "sites", "add", file); !strings.Contains(out, "/nodes") {
			t.Fatalf("sites add: %s", out)
		}
	}
}

// testDryRun: the accelerators' variants of the PyTorch example make jobs that
// Slurm would take on nodes with such chips. Nothing of them is run.
func (w *world) testDryRun(t *testing.T) {
	w.CLI(t, "sites", "add", w.Write(t, "chips.yaml", fmt.Sprintf(`kind: Site
name: chips
engine: slurm
slurm: {dir: %s, config: %s, containers: apptainer}
pools:
  - {name: h100, partition: gpu, gres: "gpu:h100:8", chip: h100, chips_per_node: 8, rate: $15.00}
  - {name: trn2, partition: main, gres: "neuron:16", chip: trainium2, chips_per_node: 16, rate: $12.00}
`, filepath.Join(w.shared, "chips"), w.lab.Conf())))
	for pool, wants := range map[string][]string{
		"h100": {"#SBATCH --gres=gpu:h100:8\n", "# each rank: apptainer exec --no-home --nv --bind ", "images/pytorch-gpt-cuda-"},
		"trn2": {"#SBATCH --gres=neuron:16\n", "# each rank: apptainer exec --no-home --bind ", "--nproc_per_node 64"},
	} {
		out := w.CLI(t, "run", "../../examples/pytorch/accelerators.yaml", "--dry-run", "--on", "chips/"+pool)
		for _, want := range append(wants, "#!/bin/sh\n# ", "#SBATCH --nodes=2\n", "the cluster has checked this, and nothing was started") {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the script lacks %q\n%s", pool, want, out)
			}
		}
	}
	w.CLI(t, "sites", "remove", "chips")
}

func (w *world) testGang(t *testing.T) {
	began := time.Now()
	v := w.AwaitSuccess(t, w.start(t, w.gpt(t, "four", 4, 200, "owned")))
	t.Logf("%d steps in %v, loss %.2f", v.Progress.Step, time.Since(began).Round(100*time.Millisecond), v.Progress.Loss)
	if len(v.Attempts) != 1 || v.Progress.Step != 200 || v.Progress.EvalLoss >= v.Progress.BaselineLoss {
		t.Errorf("run %+v; want 200 steps in one attempt, better than bigrams", v)
	}
}

// wantResumed checks that a run was taken away once at least, counted no failure,
// and went on from a checkpoint: no attempt began again at the beginning.
func (w *world) wantResumed(t *testing.T, v yardlab.View, because string) {
	t.Helper()
	if len(v.Attempts) < 2 || v.Failures != 0 {
		t.Fatalf("run %+v; want another attempt and no failure", v)
	}
	if first := v.Attempts[0]; !strings.Contains(first.Reason, because) {
		t.Errorf("attempt 1 ended as %s: %s; want %q in it", first.State, first.Reason, because)
	}
	log := w.CLI(t, "logs", v.ID)
	if !strings.Contains(log, "resum") {
		t.Errorf("the log does not tell of resuming:\n%s", log)
	}
}

// preempt takes all nodes for a job of another user in a higher partition.
func (w *world) preempt(t *testing.T) {
	t.Helper()
	if _, err := w.lab.Call(t.Context(), "sbatch", "--partition=urgent", "--nodes=4", "--exclusive", "--output=/dev/null", "--job-name=urgent", "--wrap=sleep 3"); err != nil {
		t.Fatal(err)
	}
}

func (w *world) testPreempted(t *testing.T) {
	id := w.start(t, w.gpt(t, "low", 4, 700, "owned"))
	before := w.AwaitCheckpoint(t, id, 1, 40)
	w.preempt(t)
	taken := time.Now()
	resumed := w.AwaitCheckpoint(t, id, 2, before.Progress.CheckpointStep+20)
	t.Logf("preempted at step %d, beyond it again after %v", resumed.Attempts[0].Last.Step, time.Since(taken).Round(100*time.Millisecond))
	v := w.AwaitSuccess(t, id)
	w.wantResumed(t, v, "preempted")
	if v.Progress.Step != 700 {
		t.Errorf("run ended at step %d; want 700", v.Progress.Step)
	}
}

func (w *world) testTimeLimit(t *testing.T) {
	v := w.AwaitSuccess(t, w.start(t, w.gpt(t, "long", 2, 4000, "lender")))
	t.Logf("%d attempts under a limit of one minute", len(v.Attempts))
	w.wantResumed(t, v, "time limit")
}

// testPyTorch is a real user's workload: torch.distributed over gloo, on two
// nodes, preempted on the way.
func (w *world) testPyTorch(t *testing.T) {
	python := findPython(t)
	yardlab.Run(t, nil, "cp", "-r", "../../examples/pytorch", filepath.Join(w.shared, "pytorch"))
	id := w.start(t, w.Write(t, "torch.yaml", fmt.Sprintf(`kind: Training
name: torch
place:
  nodes: 2
  allow: {providers: [owned]}
restarts: {limit: 0, backoff: 1s}
variants:
  cpu:
    command: [%[1]s, %[2]s/pytorch/train.py, --data, %[2]s/text, --steps, "100", --batch, "8", --checkpoint-every, "10"]
    ranks: 2
    checkpoint: {reads: [pytorch-gpt], writes: pytorch-gpt}
`, python, w.shared)))
	before := w.AwaitCheckpoint(t, id, 1, 20)
	w.preempt(t)
	v := w.AwaitSuccess(t, id)
	t.Logf("loss %.2f after step %d, %.2f at the end", before.Progress.Loss, before.Progress.Step, v.Progress.Loss)
	w.wantResumed(t, v, "preempted")
	if v.Progress.Step != 100 || v.Progress.Loss >= before.Progress.Loss {
		t.Errorf("run %+v; want 100 steps, and a loss below %.2f", v, before.Progress.Loss)
	}
}

// findPython is a Python that has PyTorch.
func findPython(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(python)
		if err == nil && exec.CommandContext(t.Context(), path, "-c", "import torch.distributed").Run() == nil {
			return path
		}
	}
	t.Fatal("PyTorch (package python3-torch) is needed")
	return ""
}

func (w *world) testNodeLost(t *testing.T) {
	id := w.start(t, w.gpt(t, "broken", 3, 1000, "owned"))
	w.AwaitCheckpoint(t, id, 1, 40)
	victim := w.nodesOf(t, id+"-1")[2]
	if err := w.lab.KillNode(victim); err != nil {
		t.Fatal(err)
	}
	lost := time.Now()
	v := w.AwaitSuccess(t, id)
	t.Logf("%s lost; attempt 2 began %v later", victim, v.Attempts[1].Started.Sub(lost).Round(time.Second))
	w.wantResumed(t, v, "a node failed: "+victim)
	if nodes := w.nodesOf(t, id+"-2"); slices.Contains(nodes, victim) {
		t.Errorf("attempt 2 ran on %v, with the node that failed", nodes)
	}
	if err := errors.Join(w.lab.StartNode(victim), w.lab.AwaitNodes(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// An administrator drains a node, which lets the gang go on, and then takes it
// down.
func (w *world) testDrained(t *testing.T) {
	id := w.start(t, w.gpt(t, "drained", 3, 1500, "owned"))
	w.AwaitCheckpoint(t, id, 1, 40)
	victim := w.nodesOf(t, id+"-1")[0]
	w.setNode(t, victim, "drain")
	w.AwaitCheckpoint(t, id, 1, w.Look(t, id).Progress.CheckpointStep+20)
	w.setNode(t, victim, "down")
	v := w.AwaitSuccess(t, id)
	w.wantResumed(t, v, "a node failed: "+victim)
	if nodes := w.nodesOf(t, id+"-2"); slices.Contains(nodes, victim) {
		t.Errorf("attempt 2 ran on %v, with the node that is down", nodes)
	}
	w.setNode(t, victim, "resume")
}

func (w *world) setNode(t *testing.T, node, state string) {
	t.Helper()
	if _, err := w.lab.Call(t.Context(), "scontrol", "update", "nodename="+node, "state="+state, "reason=disk"); err != nil {
		t.Fatal(err)
	}
}

// nodesOf are the nodes of a gang's job.
func (w *world) nodesOf(t *testing.T, key string) []string {
	t.Helper()
	out, err := w.lab.Call(t.Context(), "squeue", "--noheader", "--states=all", "--name="+key, "--format=%N")
	if err != nil {
		t.Fatal(err)
	}
	out, err = w.lab.Call(t.Context(), "scontrol", "show", "hostnames", strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(out)
}

// testAccounting has yard compare every attempt's node-time in the ledger with
// sacct's. The accounting may tell of the last end a little later.
func (w *world) testAccounting(t *testing.T) {
	for name, atLeast := range map[string]int{"lab": 8, "brief": 2} {
		var out string
		yardlab.Eventually(t, "sacct agrees with the ledger about "+name, func() bool {
			var found struct {
				Attempts []struct {
					Verdict string      `json:"verdict"`
					Run     string      `json:"run"`
					Jobs    []string    `json:"jobs"`
					Booked  json.Number `json:"booked_node_seconds"`
				} `json:"attempts"`
			}
			out = w.CLI(t, "ledger", "reconcile", "--site", name, "-o", "json")
			if err := json.Unmarshal([]byte(out), &found); err != nil {
				t.Fatal(err)
			}
			matched := 0
			for _, a := range found.Attempts {
				if used, err := a.Booked.Float64(); a.Verdict == "matched" && slices.Contains(w.runs, a.Run) && len(a.Jobs) > 0 && err == nil && used > 0 {
					matched++
				}
			}
			return matched >= atLeast && matched == len(found.Attempts)
		})
		t.Log(out)
	}
	if out := w.CLI(t, "ledger", "reconcile", "--site", "lab"); !strings.Contains(out, ": matched ") || strings.Contains(out, "different") {
		t.Errorf("as a table:\n%s", out)
	}
}

// testNothingLeft removes the sites; begin looks for processes at the end.
func (w *world) testNothingLeft(t *testing.T) {
	for _, name := range []string{"lab", "brief"} {
		w.CLI(t, "sites", "remove", name)
	}
	yardlab.Eventually(t, "the queue is empty", func() bool {
		jobs, err := w.lab.Jobs(t.Context())
		return err == nil && len(jobs) == 0
	})
	yardlab.Eventually(t, "no process is left on the nodes", func() bool { return len(w.lab.Strays()) == 0 })
}
