package kubernetes_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchyard-ai/switchyard/client"
	"github.com/switchyard-ai/switchyard/internal/lab/kubelab"
	"github.com/switchyard-ai/switchyard/internal/lab/yardlab"
)

// torchFile is the workload that a user would submit, as it is.
const torchFile = "../../examples/pytorch/torchrun.yaml"

// curveTolerance is how far a loss may be from that of plain torchrun: sums of
// four ranks differ in their last digits by where a gradient lies in its bucket,
// which is laid out anew when a process begins.
const curveTolerance = 1e-3

// TestPyTorch: torchrun on two pods, gloo between them. One pod is taken away,
// and the losses to the end are those of torchrun on one machine without yard.
func TestPyTorch(t *testing.T) {
	yardlab.Need(t, "e2e-pytorch")
	text := textOf(t)
	w := &world{Yard: yardlab.New(t, kubelab.Build(t, "./cmd/yard"), ""), store: t.TempDir()}
	plain := plainTorchrun(t, text)
	w.Cluster = kubelab.Start(t, kubelab.Options{Nodes: 2, Gang: true})
	w.torchImages(t, text)
	end := w.Up(t)
	w.CLI(t, "sites", "add", w.site(t))
	id := w.Submit(t, torchFile)
	before := w.AwaitCheckpoint(t, id, 1, 20)
	w.takePod(t, id, 1)
	w.AwaitCheckpoint(t, id, 2, before.Progress.CheckpointStep+10)
	v := w.AwaitSuccess(t, id)
	if len(v.Attempts) != 2 || v.Failures != 0 {
		t.Errorf("run %+v; want two attempts and no failure counted", v)
	}
	log := w.CLI(t, "logs", id)
	if !strings.Contains(log, "resumed after step") || !strings.Contains(log, "4 ranks over gloo") {
		t.Errorf("the log does not tell of four ranks over gloo that resumed:\n%s", log)
	}
	sameCurve(t, w.curve(t, id), <-plain)
	end()
}

// torchEnviron is for the torchrun of Debian 12, as in the example's Dockerfile.
func torchEnviron() []string { return []string{"PET_REDIRECTS=9:1", "PET_TEE=9:1"} }

// textOf is a copy of the texts that the example learns from.
func textOf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	yardlab.Run(t, nil, append([]string{"cp", "-t", dir}, files...)...)
	return dir
}

// torchImages builds the images of the agent and of the example, with the Python
// and PyTorch of this machine.
func (w *world) torchImages(t *testing.T, text string) {
	t.Helper()
	w.Import(t, kubelab.Image{Name: "switchyard.test/yard:1", Files: map[string]string{"bin/yard": w.Binary}})
	began := time.Now()
	image := kubelab.Python(t, "registry.example.com/pytorch-gpt:cpu", "python3-torch")
	image.Env = torchEnviron()
	image.Files["app/train.py"] = "../../examples/pytorch/train.py"
	files, err := filepath.Glob(text + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		image.Files["app/text/"+filepath.Base(file)] = file
	}
	w.Import(t, image)
	t.Logf("an image of %d files of PyTorch built and imported in %v", len(image.Files), time.Since(began).Round(100*time.Millisecond))
}

// curve is the losses by step; a step that was done again has that of the last time.
type curve map[int64]float64

// plainTorchrun trains on this machine, without yard, while the cluster starts.
func plainTorchrun(t *testing.T, text string) <-chan curve {
	t.Helper()
	file, err := os.ReadFile(torchFile)
	if err != nil {
		t.Fatal(err)
	}
	_, arguments, _ := strings.Cut(string(file), "/app/text ")
	arguments, _, _ = strings.Cut(arguments, "\n")
	args := append([]string{"--nproc_per_node", "4", "../../examples/pytorch/train.py", "--data", text, "--out", t.TempDir()}, strings.Fields(arguments)...)
	cmd := exec.CommandContext(t.Context(), "torchrun", args...)
	cmd.Env = append(os.Environ(), torchEnviron()...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	// Where the test ends early, so do torchrun's ranks.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatalf("package python3-torch is needed: %v", err)
	}
	done := make(chan curve, 1)
	go func() {
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil {
			t.Errorf("torchrun %s: %v\n%s", strings.Join(args, " "), err, errs.String())
		}
		losses := curve{}
		for line := range strings.Lines(out.String()) {
			report, found := strings.CutPrefix(line, "@yard ")
			var p yardlab.Progress
			if found && json.Unmarshal([]byte(report), &p) == nil {
				losses[p.Step] = p.Loss
			}
		}
		done <- losses
	}()
	return done
}

// takePod takes a pod of a gang away at once.
func (w *world) takePod(t *testing.T, id string, index int) {
	t.Helper()
	pods := w.Client(t).CoreV1().Pods(namespace)
	list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: fmt.Sprintf("batch.kubernetes.io/job-completion-index=%d", index)})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("pods of node %d of %s: %v, %v", index, id, list, err)
	}
	now := int64(0)
	if err := pods.Delete(t.Context(), list.Items[0].Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
}

// curve is what the run reported, and checks that its second attempt did not
// begin again at the beginning.
func (w *world) curve(t *testing.T, id string) curve {
	t.Helper()
	control := client.NewUnix(filepath.Join(w.State, "yard.sock"))
	defer control.Close()
	points, err := control.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	losses, resumed := curve{}, int64(0)
	for _, p := range points {
		losses[p.Step] = p.Loss
		if p.Attempt == 2 && resumed == 0 {
			resumed = p.Step
		}
	}
	if resumed <= 10 {
		t.Errorf("attempt 2 began at step %d", resumed)
	}
	return losses
}

// sameCurve compares the losses at every step that either reported.
func sameCurve(t *testing.T, got, want curve) {
	t.Helper()
	worst, steps := 0.0, []int64{}
	for step, loss := range want {
		if _, known := got[step]; !known {
			t.Errorf("no loss is known of step %d; plain torchrun has %.4f", step, loss)
			continue
		}
		steps = append(steps, step)
		worst = max(worst, math.Abs(got[step]-loss))
	}
	slices.Sort(steps)
	if len(steps) < 8 || worst > curveTolerance {
		t.Fatalf("losses differ by up to %g: %v; plain torchrun has %v", worst, got, want)
	}
	first, last := steps[0], steps[len(steps)-1]
	if want[last] > want[first] {
		t.Errorf("it learned little: loss %.3f at step %d, %.3f at step %d", want[first], first, want[last], last)
	}
	t.Logf("%d losses from %.4f to %.4f, at most %.2g from those of plain torchrun", len(steps), want[first], want[last], worst)
}
