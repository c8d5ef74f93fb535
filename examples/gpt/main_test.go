package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/switchyard-ai/switchyard/examples/gpt/ckpt"
	"github.com/switchyard-ai/switchyard/examples/gpt/model"
)

// TestMain lets a test run this binary as the program itself.
func TestMain(m *testing.M) {
	if os.Getenv("GPT_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestSIGTERMCheckpointsAndExitsWith143(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "train", "--data", library(t), "--steps", "1000000", "--checkpoint-every", "1000000", "--layers", "1",
		"--dim", "16", "--heads", "1", "--seq", "32", "--matmul", "portable")
	cmd.Env = append(os.Environ(), "GPT_TEST_MAIN=1", "YARD_CHECKPOINT_DIR="+dir, "YARD_EPOCH=5")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, text := bufio.NewScanner(out), ""
	for told := false; lines.Scan(); {
		text += lines.Text() + "\n"
		if !told && strings.HasPrefix(lines.Text(), "@yard ") {
			told = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 143 {
		t.Fatalf("ended with %v\n%s", err, text)
	}
	p := reports(t, text)
	last := p[len(p)-1]
	c, err := ckpt.Open(dir, t.Logf).Latest()
	if err != nil || c == nil || c.Step != last.Step || c.Epoch != 5 || last.CheckpointStep != last.Step {
		t.Fatalf("checkpoint %+v, %v; last report %+v", c, err, last)
	}
}

// library writes a directory of text small enough to learn in a test.
func library(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for i := range 120 {
		text := fmt.Sprintf("package p%d\n\nfunc add%d(a, b int) int { return a + b + %d }\n", i, i, i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%d.go", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func small(data, out string) *options {
	return &options{
		data: data, out: out, matmul: "portable", prompt: "func ", steps: 12, batch: 4, checkpointEvery: 4, epoch: -1, workers: 2,
		shape: model.Shape{Layers: 1, Dim: 16, Heads: 1, Seq: 32}, rate: 2e-3, seed: 1, place: place{size: 1},
	}
}

// train runs to the end, or to the step after which stopAt lines of progress are out.
func trainOnce(t *testing.T, o *options, stop bool) (string, error) {
	t.Helper()
	var out bytes.Buffer
	var told atomic.Bool
	told.Store(stop)
	err := trainRun(context.Background(), o, &out, &told)
	return out.String(), err
}

// reports are the progress lines of an output; each must be valid.
func reports(t *testing.T, out string) []progress {
	t.Helper()
	var all []progress
	for line := range strings.Lines(out) {
		text, ours := strings.CutPrefix(line, "@yard ")
		if !ours {
			continue
		}
		var p progress
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatalf("no progress in %q", out)
	}
	return all
}

func TestProgressHasTheFirstAndTheLastStepAndTheHeldOutLoss(t *testing.T) {
	o := small(library(t), t.TempDir())
	o.sample = 40
	out, err := trainOnce(t, o, false)
	if err != nil {
		t.Fatal(err)
	}
	all := reports(t, out)
	first, last := all[0], all[len(all)-1]
	if first.Step != 1 || first.Steps != 12 || math.Abs(first.Loss-math.Log(256)) > 1e-3 || first.Tokens != 4*32 || first.CheckpointStep != 0 {
		t.Errorf("first report: %+v", first)
	}
	if last.Step != 12 || last.Tokens != 12*4*32 || last.CheckpointStep != 12 || last.EvalLoss == nil || last.BaselineLoss == nil || *last.EvalLoss > first.Loss {
		t.Errorf("last report: %+v", last)
	}
	for _, want := range []string{"held-out loss", "bigram", "sample:\nfunc ", "GFLOP/s"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
}

func TestStoppedItCheckpointsAndResumesToTheSameLoss(t *testing.T) {
	data := library(t)
	whole, err := trainOnce(t, small(data, t.TempDir()), false)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := trainOnce(t, small(data, dir), true)
	if err != errStopped {
		t.Fatalf("told to stop, it ended with %v", err)
	}
	if p := reports(t, out); p[len(p)-1].Step != 1 || p[len(p)-1].CheckpointStep != 1 {
		t.Fatalf("stopped: %+v", p[len(p)-1])
	}
	out, err = trainOnce(t, small(data, dir), false)
	if err != nil {
		t.Fatal(err)
	}
	a, b := reports(t, whole), reports(t, out)
	if *a[len(a)-1].EvalLoss != *b[len(b)-1].EvalLoss {
		t.Fatalf("held-out loss %v resumed, %v uninterrupted", *b[len(b)-1].EvalLoss, *a[len(a)-1].EvalLoss)
	}
	if !strings.Contains(out, "resuming after step 1 of 12") {
		t.Fatalf("did not say that it resumed: %s", out)
	}
	unsaid := small(data, dir)
	unsaid.steps = 0 // the checkpoint knows
	again, err := trainOnce(t, unsaid, false)
	if err != nil {
		t.Fatal(err)
	}
	if p := reports(t, again); *p[len(p)-1].EvalLoss != *a[len(a)-1].EvalLoss || p[len(p)-1].Step != 12 {
		t.Fatalf("a finished run, run again: %+v", p[len(p)-1])
	}
}

func TestADamagedCheckpointFallsBackAndALaterAttemptTakesOver(t *testing.T) {
	data, dir := library(t), t.TempDir()
	o := small(data, dir)
	o.epoch = 1
	if _, err := trainOnce(t, o, false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "step-00000012-epoch-1", "state.bin"), []byte("nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	o.epoch = 2
	out, err := trainOnce(t, o, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"step-00000012-epoch-1 is unreadable", "falling back", "resuming after step 8 of 12"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %s", want, out)
		}
	}
	o.epoch = 1
	if _, err := trainOnce(t, o, false); err == nil || !strings.Contains(err.Error(), "superseded") {
		t.Fatalf("the first attempt came back: %v", err)
	}
}

func TestABrokenDiskDoesNotEndTheTraining(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "checkpoints")
	o := small(library(t), dir)
	// A file where the temporary directory goes cannot be written below, like a disk that is full.
	o.checkpointEvery = 12
	if err := os.MkdirAll(filepath.Join(dir, "step-00000012-epoch-0"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tmp-old-step-00000012-epoch-0"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := trainOnce(t, o, false)
	if err != nil {
		t.Fatal(err)
	}
	p := reports(t, out)
	if last := p[len(p)-1]; last.Step != 12 || last.CheckpointStep != 0 || last.EvalLoss == nil || !strings.Contains(out, "no checkpoint at step 12") {
		t.Fatalf("%+v\n%s", last, out)
	}
}

func TestTwoRanksEndWhereOneDoes(t *testing.T) {
	data := library(t)
	one, err := trainOnce(t, small(data, t.TempDir()), false)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	master, dir := l.Addr().String(), t.TempDir()
	l.Close()
	var outs [2]string
	var errs [2]error
	var wait sync.WaitGroup
	for rank := range 2 {
		wait.Go(func() {
			o := small(data, dir)
			o.place = place{rank: rank, size: 2, localRank: rank, master: master}
			outs[rank], errs[rank] = trainOnce(t, o, false)
		})
	}
	wait.Wait()
	if errs[0] != nil || errs[1] != nil {
		t.Fatal(errs)
	}
	a, b := reports(t, one), reports(t, outs[0])
	if x, y := *a[len(a)-1].EvalLoss, *b[len(b)-1].EvalLoss; math.Abs(x-y) > 1e-4 {
		t.Fatalf("held-out loss %g in one rank, %g in two", x, y)
	}
	paces := reports(t, outs[1])
	if strings.Count(outs[1], "\n") != len(paces) {
		t.Fatalf("rank 1 printed more than reports: %q", outs[1])
	}
	for _, p := range slices.Concat(b[:len(b)-1], paces) {
		if p.Step == 0 || p.ComputeSeconds <= 0 || p.ComputeSeconds > 60 {
			t.Errorf("report %+v: want a step and the seconds of its own work", p)
		}
	}
	if last := paces[len(paces)-1]; last.Step != b[len(b)-1].Step || last.Loss != 0 {
		t.Errorf("rank 1 ended with %+v; want its pace at the last step, and rank 0 to speak for the run", last)
	}
}

func TestToldToStopWhileWaitingForRanksItLeaves(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var told atomic.Bool
	told.Store(true)
	for rank := range 2 {
		o := small(library(t), t.TempDir())
		o.place = place{rank: rank, size: 2, master: "127.0.0.1:0"}
		if err := trainRun(ctx, o, io.Discard, &told); !errors.Is(err, errStopped) {
			t.Fatalf("rank %d ended with %v", rank, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{
		"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "1234",
		"YARD_CHECKPOINT_DIR": "/ckpt", "YARD_EPOCH": "3",
	}
	o := &options{}
	if err := o.fromEnvironment(func(k string) string { return env[k] }); err != nil {
		t.Fatal(err)
	}
	if want := (place{rank: 1, size: 4, localRank: 1, master: "10.0.0.7:1234"}); o.place != want || o.out != "/ckpt" || o.epoch != 3 || o.place.ranksHere() != 2 {
		t.Fatalf("%+v", o)
	}
	o = &options{out: "given"}
	if err := o.fromEnvironment(func(string) string { return "" }); err != nil || o.out != "given" || o.epoch != -1 || o.place.size != 1 || o.place.ranksHere() != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	for name, value := range map[string]string{"RANK": "4", "WORLD_SIZE": "0", "YARD_EPOCH": "x", "MASTER_PORT": "-1"} {
		bad := map[string]string{"WORLD_SIZE": "4", name: value}
		if err := (&options{}).fromEnvironment(func(k string) string { return bad[k] }); err == nil {
			t.Errorf("%s=%s was taken", name, value)
		}
	}
}

func TestFlagsAreChecked(t *testing.T) {
	for _, args := range [][]string{{"--checkpoint-every", "0"}, {"extra"}, {"--nonsense"}, {"--steps", "many"}} {
		if _, err := parseTrain(args); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
	o := small(library(t), t.TempDir())
	o.matmul = "fast"
	if _, err := trainOnce(t, o, false); err == nil {
		t.Error("--matmul fast was taken")
	}
	o = small(library(t), t.TempDir())
	o.steps = -1
	if _, err := trainOnce(t, o, false); err == nil {
		t.Error("--steps " + strconv.Itoa(o.steps) + " was taken")
	}
}

// What no small GPT has is refused with the flag and its bound, before anything is read or made.
func TestSizesAreBounded(t *testing.T) {
	for want, args := range map[string][]string{
		"dim 1000000000":      {"--dim", "1000000000"},
		"layers 1000000000":   {"--layers", "1000000000"},
		"heads 1000000000":    {"--heads", "1000000000", "--dim", "1000000000"},
		"seq 100000000":       {"--seq", "100000000"},
		"parameters":          {"--dim", "16384", "--layers", "1000"},
		"a sequence through":  {"--seq", "32768", "--layers", "1000"},
		"--batch 1000000000":  {"--batch", "1000000000"},
		"--batch 0":           {"--batch", "0"},
		"--steps 0":           {"--steps", "0"},
		"--steps -1":          {"--steps", "-1"},
		"--steps 10000000000": {"--steps", "10000000000"},
	} {
		if _, err := parseTrain(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v; want it to name %q", args, err, want)
		}
	}
	if _, err := parseTrain(nil); err != nil {
		t.Error(err)
	}
}
