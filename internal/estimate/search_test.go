package estimate

import (
	"testing"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/model"
)

func llama405() *model.Model {
	return &model.Model{ID: "llama-3.1-405b", Layers: 126, Hidden: 16384, Heads: 128, KVHeads: 8, HeadDim: 128, FFN: 53248, Vocab: 128256, GatedFFN: true}
}

func h100(t testing.TB) *chip.Chip {
	t.Helper()
	c, err := chip.Find("H100")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func BenchmarkSearch405BOn16384(b *testing.B) {
	k := h100(b)
	job := Job{Model: llama405(), Seq: 8192, GlobalBatch: 2048, Precision: chip.BF16}
	n := 0
	for b.Loop() {
		tr, err := newTrainer(job, Cluster{Chip: k, Chips: 16384}, Default())
		if err != nil {
			b.Fatal(err)
		}
		s := search{t: tr}
		s.run()
		n += s.evaluated
		if !s.found {
			b.Fatal("nothing fits")
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "configurations/s")
}

func TestSearchFindsAFit(t *testing.T) {
	step, reasons, err := SearchTraining(Job{Model: llama405(), Seq: 8192, GlobalBatch: 2048, Precision: chip.BF16}, Cluster{Chip: h100(t), Chips: 16384}, Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v\n%+v", step, reasons)
	if !step.Memory.Fits() || step.MFU < 0.25 || step.MFU > 0.6 {
		t.Errorf("got %+v", step)
	}
}
