package estimate

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/model"
)

var update = flag.Bool("update", false, "rewrite golden files")

// The goldens are at the priors, so that a new calibration leaves them alone
// and a change of a formula does not.
func TestBreakdownGolden(t *testing.T) {
	var b strings.Builder
	priors := &Constants{}
	for _, c := range []struct {
		model, chip string
		chips, seq  int
		batch       int
		precision   chip.DType
		p           Parallelism
	}{
		{"gpt-3-175b", "A100-80GB", 1024, 2048, 1536, chip.BF16, Parallelism{DP: 16, TP: 8, PP: 8, MicroBatch: 1, Interleave: 3, ZeRO: 1, Recompute: FullRecompute}},
		{"llama-3.1-70b", "H100", 64, 8192, 128, chip.FP8, Parallelism{DP: 2, TP: 4, PP: 4, CP: 2, MicroBatch: 1, Interleave: 5, ZeRO: 1, Recompute: NoRecompute}},
		{"deepseek-v3", "GB200", 256, 4096, 2048, chip.FP8, Parallelism{DP: 64, TP: 1, PP: 4, EP: 64, MicroBatch: 1, Interleave: 4, ZeRO: 1, Recompute: NoRecompute}},
		{"llama-2-7b", "Trainium1", 256, 4096, 1024, chip.BF16, Parallelism{DP: 64, TP: 8, MicroBatch: 1, ZeRO: 1, Recompute: NoRecompute}},
		{"llama-3.1-8b", "TPU-v6e", 256, 8192, 1024, chip.BF16, Parallelism{DP: 256, MicroBatch: 4, ZeRO: 3, Recompute: FullRecompute}},
	} {
		m, err := model.Find(c.model)
		if err != nil {
			t.Fatal(err)
		}
		k, err := chip.Find(c.chip)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Training(Job{Model: m, Seq: c.seq, GlobalBatch: c.batch, Precision: c.precision}, Cluster{Chip: k, Chips: c.chips}, c.p, priors)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s on %d %s: %.4g s, %.1f%% of peak\n", c.model, c.chips, c.chip, s.Seconds, 100*s.MFU)
		for _, p := range s.Breakdown.Parts() {
			if p.Seconds > 0 {
				fmt.Fprintf(&b, "  %-26s %.4g s\n", p.Name, p.Seconds)
			}
		}
		fmt.Fprintf(&b, "  memory GB: weights %.2f, gradients %.2f, optimizer %.2f, activations %.2f\n", s.Memory.Weights/1e9, s.Memory.Gradients/1e9, s.Memory.Optimizer/1e9, s.Memory.Activations/1e9)
	}
	golden(t, "breakdown.txt", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// The parts of a breakdown are its step time, whatever the parallelism.
func TestPartsAddUp(t *testing.T) {
	s, _, err := SearchTraining(Job{Model: llama405(), Seq: 8192, GlobalBatch: 2048, Precision: chip.BF16}, Cluster{Chip: h100(t), Chips: 4096}, Default())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, p := range s.Breakdown.Parts() {
		sum += p.Seconds
	}
	near(t, "sum of the parts", sum, s.Seconds, 1e-9)
}

// By hand, GPT-3 175B on dp 16 × tp 8 × pp 8: 12 layers of 12·12288² = 21.74e9
// and the embedding of 0.6e9, over 8 tensor ranks: 2.80e9 parameters; 2 bytes
// of weights, 4 of gradients, 12 of optimizer state over 16 ranks.
func TestMemoryByHand(t *testing.T) {
	a100, err := chip.Find("A100-80GB")
	if err != nil {
		t.Fatal(err)
	}
	p := Parallelism{DP: 16, TP: 8, PP: 8, MicroBatch: 1, ZeRO: 1, Recompute: FullRecompute}
	s, err := Training(Job{Model: gpt3(), Seq: 2048, GlobalBatch: 1536, Precision: chip.BF16}, Cluster{Chip: a100, Chips: 1024}, p, &Constants{})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "weights", s.Memory.Weights, 2*2.795e9, 0.005)
	near(t, "gradients", s.Memory.Gradients, 4*2.795e9, 0.005)
	near(t, "optimizer", s.Memory.Optimizer, 12*2.795e9/16, 0.005)
}

func TestRefusals(t *testing.T) {
	job := Job{Model: gpt3(), Seq: 2048, GlobalBatch: 8}
	noFigures := &chip.Chip{ID: "mystery"}
	for name, c := range map[string]struct {
		job     Job
		cluster Cluster
		p       Parallelism
	}{
		"a chip without figures":             {job, Cluster{Chip: noFigures, Chips: 1}, Parallelism{}},
		"no chip":                            {job, Cluster{Chips: 1}, Parallelism{}},
		"no chips":                           {job, Cluster{Chip: h100(t)}, Parallelism{}},
		"a parallelism of another size":      {job, Cluster{Chip: h100(t), Chips: 8}, Parallelism{TP: 4}},
		"a model without shape":              {Job{Model: &model.Model{}, Seq: 1, GlobalBatch: 1}, Cluster{Chip: h100(t), Chips: 1}, Parallelism{}},
		"a job without sequences in a batch": {Job{Model: gpt3(), Seq: 2048}, Cluster{Chip: h100(t), Chips: 1}, Parallelism{}},
	} {
		if _, err := Training(c.job, c.cluster, c.p, Default()); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestNothingFitsSaysWhy(t *testing.T) {
	_, reasons, err := SearchTraining(Job{Model: llama405(), Seq: 8192, GlobalBatch: 64, Precision: chip.BF16}, Cluster{Chip: h100(t), Chips: 8}, Default())
	if err == nil || len(reasons) == 0 || reasons[0].Code != "memory" || reasons[0].Count == 0 {
		t.Errorf("got %v, %+v", err, reasons)
	}
}

func TestAStricterSLOIsServedAtALowerRate(t *testing.T) {
	k, err := chip.Find("H200")
	if err != nil {
		t.Fatal(err)
	}
	job := ServingJob{Model: llama70(), Precision: chip.FP8, Input: 1024, Output: 256}
	rate := func(ms float64) Answer {
		a, err := HighestRate(job, Cluster{Chip: k, Chips: 8}, Layout{TP: 4}, SLO{TPOT95: ms / 1e3}, Default())
		if err != nil {
			t.Fatal(err)
		}
		if a.Percentiles.TPOT95 > ms/1e3 {
			t.Errorf("SLO of %v ms: %+v", ms, a.Percentiles)
		}
		return a
	}
	if loose, strict := rate(60), rate(20); strict.Service.RequestsPerSec >= loose.Service.RequestsPerSec {
		t.Errorf("20 ms at %v requests/s, 60 ms at %v", strict.Service.RequestsPerSec, loose.Service.RequestsPerSec)
	}
	if _, err := HighestRate(job, Cluster{Chip: k, Chips: 8}, Layout{TP: 4}, SLO{TPOT50: 1e-6}, Default()); err == nil {
		t.Error("an SLO of a nanosecond was met")
	}
}

func TestArrivalRateIsServed(t *testing.T) {
	k, err := chip.Find("H200")
	if err != nil {
		t.Fatal(err)
	}
	job := ServingJob{Model: llama70(), Precision: chip.FP8, Input: 1024, Output: 256, Rate: 4}
	s, err := Serving(job, Cluster{Chip: k, Chips: 8}, Layout{TP: 4}, Default())
	if err != nil {
		t.Fatal(err)
	}
	near(t, "requests per second", s.RequestsPerSec, 4, 0.02)
	near(t, "in flight by Little's law", s.Concurrency, 2*(s.TTFT+255*s.TPOT), 0.02)
}

func TestPrefixHitsShortenTheFirstToken(t *testing.T) {
	k, err := chip.Find("H200")
	if err != nil {
		t.Fatal(err)
	}
	job := ServingJob{Model: llama70(), Precision: chip.FP8, Input: 8192, Output: 256, Concurrency: 1}
	cold, err1 := Serving(job, Cluster{Chip: k, Chips: 8}, Layout{TP: 8}, Default())
	job.PrefixHit = 0.9
	warm, err2 := Serving(job, Cluster{Chip: k, Chips: 8}, Layout{TP: 8}, Default())
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if warm.TTFT > cold.TTFT/2 {
		t.Errorf("cold %v s, warm %v s", cold.TTFT, warm.TTFT)
	}
}
