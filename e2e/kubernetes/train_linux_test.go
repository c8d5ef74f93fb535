package kubernetes_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/lab/yardlab"
)

const (
	namespace = "default"
	rate      = 2.00 // USD per node-hour, as the site's file says
	steps     = 600
)

// TestMain adds the flag that the targets of the Makefile give.
func TestMain(m *testing.M) {
	kubelab.Main()
	yardlab.Main(m)
}

// world is a cluster of four nodes and a spare, with a yard that has it as its site.
type world struct {
	*kubelab.Cluster
	*yardlab.Yard
	store string // of checkpoints, which all nodes see
}

// TestTrain is one story: the parts share a cluster and a ledger.
func TestTrain(t *testing.T) {
	yardlab.Need(t, "e2e-kubernetes")
	w := &world{Cluster: kubelab.Start(t, kubelab.Options{Nodes: 5, Gang: true, NodeGrace: 10 * time.Second}), Yard: yardlab.New(t, kubelab.Build(t, "./cmd/yard"), yardlab.ForgetSoon), store: t.TempDir()}
	w.images(t)
	end := w.Up(t)
	w.CLI(t, "sites", "add", w.site(t))
	calm := w.AwaitSuccess(t, w.Submit(t, w.gpt(t, "calm", steps)))
	t.Logf("undisturbed: %d steps, loss %.4f, held out %.4f (bigram %.4f)", calm.Progress.Step, calm.Progress.Loss, calm.Progress.EvalLoss, calm.Progress.BaselineLoss)
	id := w.loseANode(t, calm)
	w.prices(t, calm.ID, 1)
	w.prices(t, id, 2)
	w.nothingLeft(t)
	end()
}

// images builds the images of the agent and of the GPT example and puts them onto every node.
func (w *world) images(t *testing.T) {
	t.Helper()
	w.Import(t, kubelab.Image{Name: "switchyard.test/yard:1", Files: map[string]string{"bin/yard": w.Binary}})
	gpt := filepath.Join(w.Files, "gpt")
	yardlab.BuildGPT(t, gpt)
	image := kubelab.Image{Name: "switchyard.test/gpt:1", Files: map[string]string{"bin/gpt": gpt}}
	err := filepath.WalkDir("../../examples/gpt", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !entry.IsDir() {
			image.Files["text/"+filepath.ToSlash(strings.TrimPrefix(path, "../../examples/gpt/"))] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Import(t, image)
}

func (w *world) site(t *testing.T) string {
	return w.Write(t, "lab.yaml", fmt.Sprintf(`kind: Site
name: lab
engine: kubernetes
provider: owned
checkpoints: file://%s
kubernetes: {kubeconfig: %s, namespace: %s, agent_image: "switchyard.test/yard:1", pull_policy: Never}
pools:
  - {name: nodes, labels: {kubernetes.io/os: linux}, rate: $%.2f}
`, w.store, w.KubeconfigFile(), namespace, rate))
}

// gpt is a workload of the GPT example: a gang of four, one rank a node. A set
// number of workers makes losses the same bit for bit, wherever it runs.
func (w *world) gpt(t *testing.T, name string, steps int) string {
	t.Helper()
	return w.Write(t, name+".yaml", fmt.Sprintf(`kind: Training
name: %s
place:
  nodes: 4
  allow: {providers: [owned]}
restarts: {limit: 0, backoff: 1s}
variants:
  cpu:
    image: switchyard.test/gpt:1
    command: [/bin/gpt, train, --data, /text, --steps, "%d", --batch, "12", --checkpoint-every, "20", --layers, "2", --dim, "64", --seq, "64", --workers, "1"]
    ranks: 4
    checkpoint: {reads: [gpt-example], writes: gpt-example}
`, name, steps))
}

// loseANode kills a node under a run; it goes on from its checkpoint on the
// spare, with the losses of the run that was not disturbed.
func (w *world) loseANode(t *testing.T, calm yardlab.View) string {
	id := w.Submit(t, w.gpt(t, "robbed", steps))
	before := w.AwaitCheckpoint(t, id, 1, 40)
	node := w.nodeOfRank(t, 2)
	killed := time.Now()
	w.KillNode(t, int(node[1]-'0'))
	resumed := w.AwaitCheckpoint(t, id, 2, before.Progress.CheckpointStep+20)
	t.Logf("node %s killed at step %d; beyond its checkpoint again after %v", node, resumed.Attempts[0].Last.Step, time.Since(killed).Round(100*time.Millisecond))
	v := w.AwaitSuccess(t, id)
	if len(v.Attempts) != 2 || v.Failures != 0 || !strings.Contains(v.Attempts[0].Reason, node) {
		t.Errorf("run %+v; want two attempts, the first ended by node %s, and no failure counted", v, node)
	}
	if v.Progress.EvalLoss != calm.Progress.EvalLoss || v.Progress.Step != calm.Progress.Step {
		t.Errorf("ended with %+v; undisturbed: %+v; want the same held-out loss, bit for bit", v.Progress, calm.Progress)
	}
	if log := w.CLI(t, "logs", id); !strings.Contains(log, "resuming after step") {
		t.Errorf("the log does not tell of resuming:\n%s", log)
	}
	return id
}

func (w *world) nodeOfRank(t *testing.T, rank int) string {
	t.Helper()
	pods, err := w.Client(t).CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{
		LabelSelector: fmt.Sprintf("batch.kubernetes.io/job-completion-index=%d", rank), FieldSelector: "status.phase=Running",
	})
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("pods of rank %d: %v, %v", rank, pods, err)
	}
	return pods.Items[0].Spec.NodeName
}

// prices checks that the ledger has each attempt at its pool's price.
func (w *world) prices(t *testing.T, id string, attempts int) {
	t.Helper()
	w.CLI(t, "ledger", "--verify")
	var book struct {
		Entries []struct {
			Attempt  int       `json:"attempt"`
			Pool     string    `json:"pool"`
			From, To time.Time // of use
			Nodes    float64   `json:"nodes"`
			Rate     struct {
				Amount float64 `json:"amount"`
			} `json:"rate"`
			Cost struct {
				Amount float64 `json:"amount"`
			} `json:"cost"`
		} `json:"entries"`
	}
	out := w.CLI(t, "ledger", id, "-o", "json")
	if err := json.Unmarshal([]byte(out), &book); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	seen := map[int]bool{}
	for _, entry := range book.Entries {
		seen[entry.Attempt] = true
		want := entry.To.Sub(entry.From).Hours() * entry.Nodes * rate
		if entry.Pool != "lab/nodes" || entry.Nodes != 4 || entry.Rate.Amount != rate || entry.Cost.Amount < want-0.0001 || entry.Cost.Amount > want+0.0001 {
			t.Errorf("entry %+v; want four nodes of lab/nodes at %.2f, %.6f in all", entry, rate, want)
		}
	}
	if len(seen) != attempts {
		t.Errorf("attempts in the ledger: %v; want %d\n%s", seen, attempts, out)
	}
}

// nothingLeft waits until yard has forgotten what ended: no Job, pod, Service or
// PodGroup is left, and no process of a rank.
func (w *world) nothingLeft(t *testing.T) {
	client := w.Client(t)
	yardlab.Eventually(t, "no Job, pod or Service is left", func() bool {
		jobs, err := client.BatchV1().Jobs(namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil || len(jobs.Items) > 0 {
			return false
		}
		pods, err := client.CoreV1().Pods(namespace).List(context.Background(), metav1.ListOptions{})
		if err != nil || len(pods.Items) > 0 {
			return false
		}
		services, err := client.CoreV1().Services(namespace).List(context.Background(), metav1.ListOptions{LabelSelector: "switchyard.ai/site"})
		return err == nil && len(services.Items) == 0
	})
	yardlab.Eventually(t, "no process of a rank or an agent is left", func() bool {
		out, _ := exec.Command("pgrep", "-f", "^(/bin/gpt train|/.yard/bin/yard agent)").Output() // it fails where it finds none
		return len(out) == 0
	})
}
