package move_test

import (
	"context"
	"encoding/json"
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
	"github.com/switchyard-ai/switchyard/internal/lab/yardlab"
)

const steps = 400

// TestMain adds the flag that `make e2e-move` gives.
func TestMain(m *testing.M) {
	kubelab.Main()
	yardlab.Main(m)
}

// world is two clusters with a yard that has both as its sites. The program
// lies under the same path in the image and on Slurm's nodes, so that one
// variant serves both.
type world struct {
	*yardlab.Yard
	kube   *kubelab.Cluster
	slurm  *slurmlab.Lab
	shared string // what Slurm's nodes see: the program, and the engine's folder
	stores string // of checkpoints, one for each site
}

func begin(t *testing.T) *world {
	t.Helper()
	yardlab.Need(t, "e2e-move")
	if missing := slurmlab.Missing(); missing != "" {
		t.Fatal(missing)
	}
	yard := yardlab.New(t, kubelab.Build(t, "./cmd/yard"), yardlab.ForgetSoon)
	w := &world{Yard: yard, shared: t.TempDir(), stores: t.TempDir()}
	yardlab.BuildGPT(t, filepath.Join(w.shared, "gpt"))
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
	w.kube.Import(t, kubelab.Image{Name: "switchyard.test/yard:1", Files: map[string]string{"bin/yard": w.Binary}})
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

func (w *world) sites(t *testing.T) {
	t.Helper()
	w.CLI(t, "sites", "add", w.Write(t, "eks.yaml", fmt.Sprintf(`kind: Site
name: eks
engine: kubernetes
provider: owned
checkpoints: file://%s/eks
kubernetes: {kubeconfig: %s, namespace: default, agent_image: "switchyard.test/yard:1", pull_policy: Never}
pools:
  - {name: nodes, labels: {kubernetes.io/os: linux}, rate: $2.00}
`, w.stores, w.kube.KubeconfigFile())))
	w.CLI(t, "sites", "add", w.Write(t, "hpc.yaml", fmt.Sprintf(`kind: Site
name: hpc
engine: slurm
provider: owned
checkpoints: file://%s/hpc
slurm: {dir: %s/yard, config: %s}
pools:
  - {name: nodes, partition: main, rate: $3.00}
`, w.stores, w.shared, w.slurm.Conf())))
}

// start starts a run of the GPT example, a gang of four with one rank a node. A
// set number of workers makes losses the same bit for bit wherever it runs.
func (w *world) start(t *testing.T, name string) string {
	t.Helper()
	file := w.Write(t, name+".yaml", fmt.Sprintf(`kind: Training
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
	return w.Submit(t, file)
}

// TestMove trains on Kubernetes, loses a node, goes on, moves to Slurm and ends
// there, with the held-out loss of a run that nothing disturbed, bit for bit.
func TestMove(t *testing.T) {
	w := begin(t)
	w.Up(t)
	w.sites(t)
	calm := w.AwaitSuccess(t, w.start(t, "calm"))
	id := w.start(t, "mover")
	before := w.AwaitCheckpoint(t, id, 1, 21)
	w.kube.KillNode(t, w.busyNode(t))
	after := w.AwaitCheckpoint(t, id, 2, before.Progress.CheckpointStep+1)
	dry := w.CLI(t, "move", id, "--to", "hpc", "--dry-run")
	t.Logf("dry run\n%s", dry)
	asked := time.Now()
	t.Logf("%s", w.CLI(t, "move", id, "--to", "hpc"))
	there := w.AwaitCheckpoint(t, id, 3, after.Progress.CheckpointStep+1)
	t.Logf("asked to move at step %d; beyond its checkpoint on Slurm after %s", there.Attempts[1].Last.Step, time.Since(asked).Round(time.Second))
	end := w.AwaitSuccess(t, id)
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
	t.Logf("\n%s", w.CLI(t, "runs", id))
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
	w.CLI(t, "ledger", "--verify")
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
	if err := json.Unmarshal([]byte(w.CLI(t, "ledger", id, "-o", "json")), &book); err != nil {
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
	yardlab.Eventually(t, "no Job or pod is left", func() bool {
		jobs, err := client.BatchV1().Jobs("default").List(context.Background(), metav1.ListOptions{})
		pods, podErr := client.CoreV1().Pods("default").List(context.Background(), metav1.ListOptions{})
		return err == nil && podErr == nil && len(jobs.Items)+len(pods.Items) == 0
	})
	yardlab.Eventually(t, "no job of Slurm is left", func() bool {
		jobs, err := w.slurm.Jobs(t.Context())
		return err == nil && len(jobs) == 0
	})
	yardlab.Eventually(t, "no process of a rank is left", func() bool {
		out, _ := exec.Command("pgrep", "-f", w.shared+"/gpt train").Output() // it fails where it finds none
		left := strings.Fields(string(out))
		return len(left) == 0 && len(w.slurm.Strays()) == 0
	})
}
