package move_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/lab/slurmlab"
)

const (
	patience = 8 * time.Minute // bounds each wait
	steps    = 400
)

// TestMain adds the flag that `make e2e-move` gives.
func TestMain(m *testing.M) {
	kubelab.Main()
	flag.Bool("e2e", false, "run the tests that need clusters and some minutes")
	flag.Parse()
	os.Exit(m.Run())
}

// world is two clusters with a yard that has both as its sites. The program
// lies under the same path in the image and on Slurm's nodes, so that one
// variant serves both.
type world struct {
	kube   *kubelab.Cluster
	slurm  *slurmlab.Lab
	yard   string
	state  string
	files  string
	shared string // what Slurm's nodes see: the program, and the engine's folder
	stores string // of checkpoints, one for each site
}

func begin(t *testing.T) *world {
	t.Helper()
	if set := flag.Lookup("e2e"); set == nil || set.Value.String() != "true" {
		t.Skip("SKIPPED: make e2e-move")
	}
	if missing := slurmlab.Missing(); missing != "" {
		t.Fatal(missing)
	}
	w := &world{state: t.TempDir(), files: t.TempDir(), shared: t.TempDir(), stores: t.TempDir()}
	w.yard = kubelab.Build(t, "./cmd/yard")
	w.write(t, w.state, "config.yaml", "retention: 1s\n") // what has ended is forgotten at the next sweep
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(w.shared, "gpt"), "../../examples/gpt")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOEXPERIMENT=simd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the example: %v: %s", err, out)
	}
	w.kube = kubelab.Start(t, kubelab.Options{Nodes: 5, Gang: true, NodeGrace: 10 * time.Second})
	w.images(t)
	var err error
	if w.slurm, err = slurmlab.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.slurm.Stop(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// images puts the agent and the example onto Kubernetes' nodes, and the text
// that it learns from also where Slurm's see it.
func (w *world) images(t *testing.T) {
	t.Helper()
	w.kube.Import(t, kubelab.Image{Name: "switchyard.test/yard:1", Files: map[string]string{"bin/yard": w.yard}})
	inside := strings.TrimPrefix(w.shared, "/")
	image := kubelab.Image{Name: "switchyard.test/gpt:1", Files: map[string]string{inside + "/gpt": filepath.Join(w.shared, "gpt")}}
	err := filepath.WalkDir("../../examples/gpt", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		name := "text/" + filepath.ToSlash(strings.TrimPrefix(path, "../../examples/gpt/"))
		image.Files[inside+"/"+name] = path
		copied := filepath.Join(w.shared, name)
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(copied), 0o755)
		}
		if err == nil {
			err = os.WriteFile(copied, data, 0o644)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.kube.Import(t, image)
}

func (w *world) write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.yard, args...)
	cmd.Env = append(os.Environ(), "YARD_STATE_DIR="+w.state, "HOME="+w.files)
	return cmd
}

// cli runs yard to its end.
func (w *world) cli(t *testing.T, args ...string) string {
	t.Helper()
	cmd := w.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("yard %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String()
}

// up serves the control plane while the test runs.
func (w *world) up(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(w.files, "up.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.command("up", "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("yard up: %v", err)
		}
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("yard up said\n%s", text)
		}
	})
	eventually(t, "yard up serves", func() bool {
		_, err := os.Stat(filepath.Join(w.state, "yard.sock"))
		return err == nil
	})
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(300 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not yet: %s", patience, what)
		}
	}
}

func (w *world) sites(t *testing.T) {
	t.Helper()
	w.cli(t, "sites", "add", w.write(t, w.files, "eks.yaml", fmt.Sprintf(`kind: Site
name: eks
engine: kubernetes
provider: owned
checkpoints: file://%s/eks
kubernetes: {kubeconfig: %s, namespace: default, agent_image: "switchyard.test/yard:1", pull_policy: Never}
pools:
  - {name: nodes, labels: {kubernetes.io/os: linux}, rate: $2.00}
`, w.stores, w.kube.KubeconfigFile())))
	w.cli(t, "sites", "add", w.write(t, w.files, "hpc.yaml", fmt.Sprintf(`kind: Site
name: hpc
engine: slurm
provider: owned
checkpoints: file://%s/hpc
slurm: {dir: %s/yard, config: %s}
pools:
  - {name: nodes, partition: main, rate: $3.00}
`, w.stores, w.shared, w.slurm.Conf())))
}

// view is what this test reads of `yard runs RUN -o json`.
type view struct {
	ID       string   `json:"id"`
	State    string   `json:"state"`
	Reason   string   `json:"reason"`
	Failures int      `json:"failures"`
	Progress progress `json:"progress"`
	Attempts []struct {
		Pool   string   `json:"pool"`
		State  string   `json:"state"`
		Reason string   `json:"reason"`
		Last   progress `json:"progress"`
	} `json:"attempt_list"`
}

type progress struct {
	Step           int64   `json:"step"`
	CheckpointStep int64   `json:"checkpoint_step"`
	Loss           float64 `json:"loss"`
	EvalLoss       float64 `json:"eval_loss"`
}

func (w *world) look(t *testing.T, id string) (v view) {
	t.Helper()
	if err := json.Unmarshal([]byte(w.cli(t, "runs", id, "-o", "json")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// submit starts a run of the GPT example, a gang of four with one rank a node. A
// set number of workers makes losses the same bit for bit wherever it runs.
func (w *world) submit(t *testing.T, name string) string {
	t.Helper()
	file := w.write(t, w.files, name+".yaml", fmt.Sprintf(`kind: Training
name: %s
place:
  nodes: 4
  allow: {providers: [owned]}
restarts: {limit: 0, backoff: 1s}
variants:
  cpu:
    image: switchyard.test/gpt:1
    command: [%[2]s/gpt, train, --data, %[2]s/text, --steps, "%[3]d", --batch, "12", --checkpoint-every, "20", --layers, "2", --dim, "64", --seq, "64", --workers, "1"]
    ranks: 4
    checkpoint: {reads: [gpt-example], writes: gpt-example}
`, name, w.shared, steps))
	out := w.cli(t, "run", "--detach", file)
	for _, word := range strings.Fields(out) {
		if strings.HasPrefix(word, name+"-") {
			return strings.Trim(word, ".,;:")
		}
	}
	t.Fatalf("no run in %q", out)
	return ""
}

func (w *world) await(t *testing.T, id, what string, condition func(view) bool) (v view) {
	t.Helper()
	eventually(t, id+": "+what, func() bool {
		v = w.look(t, id)
		if v.State == "failed" || v.State == "stopped" {
			t.Fatalf("%+v\n%s", v, w.cli(t, "logs", id))
		}
		return condition(v)
	})
	return v
}

func succeeded(v view) bool { return v.State == "succeeded" }

// at is a condition: so many attempts, of which the last has a checkpoint beyond a step.
func at(attempts int, step int64) func(view) bool {
	return func(v view) bool {
		return len(v.Attempts) == attempts && v.Attempts[attempts-1].Last.CheckpointStep > step
	}
}

// TestMove trains on Kubernetes, loses a node, goes on, moves to Slurm and ends
// there, with the held-out loss of a run that nothing disturbed, bit for bit.
func TestMove(t *testing.T) {
	w := begin(t)
	w.up(t)
	w.sites(t)
	calm := w.await(t, w.submit(t, "calm"), "ends", succeeded)
	id := w.submit(t, "mover")
	before := w.await(t, id, "a checkpoint", at(1, 20))
	w.kube.KillNode(t, w.busyNode(t))
	after := w.await(t, id, "a checkpoint of attempt 2", at(2, before.Progress.CheckpointStep))
	dry := w.cli(t, "move", id, "--to", "hpc", "--dry-run")
	t.Logf("dry run\n%s", dry)
	asked := time.Now()
	t.Logf("%s", w.cli(t, "move", id, "--to", "hpc"))
	there := w.await(t, id, "a checkpoint of attempt 3", at(3, after.Progress.CheckpointStep))
	t.Logf("asked to move at step %d; beyond its checkpoint on Slurm after %s", there.Attempts[1].Last.Step, time.Since(asked).Round(time.Second))
	end := w.await(t, id, "ends", succeeded)
	pools := ""
	for _, a := range end.Attempts {
		pools += a.Pool + " "
	}
	if pools != "eks/nodes eks/nodes hpc/nodes " || end.Failures != 0 || !strings.HasPrefix(end.Attempts[1].Reason, "moves to hpc/nodes") {
		t.Errorf("%+v", end)
	}
	if end.Progress.EvalLoss != calm.Progress.EvalLoss || end.Progress.Step != steps {
		t.Errorf("it ended with %+v; undisturbed: %+v", end.Progress, calm.Progress)
	}
	t.Logf("\n%s", w.cli(t, "runs", id))
	w.prices(t, id)
	w.nothingLeft(t)
}

// busyNode is the number of a node on which a rank runs.
func (w *world) busyNode(t *testing.T) int {
	t.Helper()
	pods, err := w.kube.Client(t).CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{
		LabelSelector: "batch.kubernetes.io/job-completion-index=2", FieldSelector: "status.phase=Running",
	})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("pods of rank 2: %v, %v", pods, err)
	}
	return int(pods.Items[0].Spec.NodeName[1] - '0')
}

// prices checks that the ledger has each attempt at its pool's price, and proves itself.
func (w *world) prices(t *testing.T, id string) {
	t.Helper()
	w.cli(t, "ledger", "--verify")
	var book struct {
		Entries []struct {
			Attempt int    `json:"attempt"`
			Pool    string `json:"pool"`
			Nodes   int    `json:"nodes"`
			Rate    struct {
				Amount float64 `json:"amount"`
			} `json:"rate"`
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(w.cli(t, "ledger", id, "-o", "json")), &book); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, e := range book.Entries {
		seen[e.Attempt] = true
		want := map[string]float64{"eks/nodes": 2, "hpc/nodes": 3}[e.Pool]
		if e.Nodes != 4 || e.Rate.Amount != want || (e.Attempt == 3) != (e.Pool == "hpc/nodes") {
			t.Errorf("entry %+v", e)
		}
	}
	if len(seen) != 3 {
		t.Errorf("the ledger has attempts %v", seen)
	}
}

// nothingLeft waits until no pod, Job, Slurm job or process of a rank is left.
func (w *world) nothingLeft(t *testing.T) {
	client := w.kube.Client(t)
	eventually(t, "no Job or pod is left", func() bool {
		jobs, err := client.BatchV1().Jobs("default").List(context.Background(), metav1.ListOptions{})
		pods, podErr := client.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
		return err == nil && podErr == nil && len(jobs.Items)+len(pods.Items) == 0
	})
	eventually(t, "no job of Slurm is left", func() bool {
		jobs, err := w.slurm.Jobs(t.Context())
		return err == nil && len(jobs) == 0
	})
	eventually(t, "no process of a rank is left", func() bool {
		out, _ := exec.Command("pgrep", "-f", w.shared+"/gpt train").Output() // it fails where it finds none
		left := strings.Fields(string(out))
		return len(left) == 0 && len(w.slurm.Strays()) == 0
	})
}
