package estimate

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/model"
)

// drawn is a random job with a parallelism that fills its cluster.
type drawn struct {
	job     Job
	cluster Cluster
	p       Parallelism
}

func power(t *rapid.T, most int, name string) int {
	return 1 << rapid.IntRange(0, most).Draw(t, name)
}

func drawModel(t *rapid.T) *model.Model {
	m := &model.Model{ID: "drawn", Layers: rapid.IntRange(8, 96).Draw(t, "layers"), Heads: 8 << rapid.IntRange(0, 4).Draw(t, "heads"), HeadDim: 128, Vocab: 32000, GatedFFN: rapid.Bool().Draw(t, "gated")}
	m.Hidden = m.Heads * m.HeadDim
	m.KVHeads = 8
	m.FFN = 4 * m.Hidden
	if rapid.Bool().Draw(t, "moe") {
		m.MoE = &model.MoE{Experts: 64, Active: 4, ExpertFFN: m.Hidden / 2, Shared: 1}
	}
	return m
}

func draw(t *rapid.T) drawn {
	names := []string{"H100", "A100-80GB", "B200", "GB200", "MI300X", "Trainium1", "Trainium2", "TPU-v5p", "Gaudi3"}
	k, err := chip.Find(rapid.SampledFrom(names).Draw(t, "chip"))
	if err != nil {
		t.Fatal(err)
	}
	p := Parallelism{DP: power(t, 6, "dp"), TP: power(t, 3, "tp"), PP: power(t, 3, "pp"), CP: power(t, 1, "cp"), EP: 1, MicroBatch: power(t, 2, "mbs"), Interleave: power(t, 2, "vp"), ZeRO: rapid.SampledFrom([]int{1, 3}).Draw(t, "zero")}
	p.Recompute = rapid.SampledFrom([]Recompute{NoRecompute, SelectiveRecompute, FullRecompute}).Draw(t, "recompute")
	job := Job{Model: drawModel(t), Seq: 1024 << rapid.IntRange(0, 4).Draw(t, "seq"), Precision: rapid.SampledFrom([]chip.DType{chip.BF16, chip.FP8}).Draw(t, "precision")}
	if job.Model.MoE != nil {
		p.EP = min(64, p.DP)
	}
	job.GlobalBatch = p.DP * p.MicroBatch * rapid.IntRange(1, 32).Draw(t, "micro-batches")
	devices := p.DP * p.TP * p.PP * p.CP
	perChip := 1
	if k.Family == chip.Neuron {
		perChip = k.Cores
	}
	for devices%perChip != 0 || devices < perChip {
		p.DP *= 2
		job.GlobalBatch *= 2
		devices *= 2
	}
	return drawn{job, Cluster{Chip: k, Chips: devices / perChip}, p}
}

func seconds(t *rapid.T, d drawn) float64 {
	s, err := Training(d.job, d.cluster, d.p, Default())
	if err != nil {
		t.Fatalf("%+v: %v", d, err)
	}
	if !(s.Seconds > 0) || s.Low > s.Seconds || s.High < s.Seconds {
		t.Fatalf("%+v: %+v", d, s)
	}
	return s.Seconds
}

// better returns the chip with one of its figures raised.
func better(t *rapid.T, k *chip.Chip) *chip.Chip {
	out := *k
	by := rapid.Float64Range(1, 4).Draw(t, "by")
	switch rapid.SampledFrom([]string{"flops", "memory bandwidth", "link", "nic", "memory"}).Draw(t, "what") {
	case "flops":
		out.PeakFLOPS, out.MeasuredFLOPS = raise(k.PeakFLOPS, by), raise(k.MeasuredFLOPS, by)
	case "memory bandwidth":
		out.MemoryBandwidth *= by
	case "link":
		out.ScaleUpBandwidth *= by
	case "nic":
		out.NICBandwidth = by * max(k.NICBandwidth, defaultNIC)
	case "memory":
		out.MemoryBytes *= by
	}
	return &out
}

func raise(m map[chip.DType]float64, by float64) map[chip.DType]float64 {
	out := map[chip.DType]float64{}
	for t, v := range m {
		out[t] = v * by
	}
	return out
}

const tolerance = 1 + 1e-9

func TestABetterChipIsNeverSlower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		e := d
		e.cluster.Chip = better(t, d.cluster.Chip)
		if before, after := seconds(t, d), seconds(t, e); after > before*tolerance {
			t.Fatalf("%v before, %v after", before, after)
		}
	})
}

func TestTwiceTheBatchTakesAtMostTwiceAsLong(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		e := d
		e.job.GlobalBatch *= 2
		one, two := seconds(t, d), seconds(t, e)
		if two > 2*one*tolerance || two*tolerance < one {
			t.Fatalf("%v for one batch, %v for two", one, two)
		}
	})
}

func TestMemoryNeverFallsWithTheSequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		e := d
		e.job.Seq *= 2
		one, err1 := Training(d.job, d.cluster, d.p, Default())
		two, err2 := Training(e.job, e.cluster, e.p, Default())
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		if two.Memory.Total() < one.Memory.Total() {
			t.Fatalf("%v at seq %d, %v at twice that", one.Memory, d.job.Seq, two.Memory)
		}
	})
}

func TestTheBestOfASearchIsNeverSlowerOnABetterCluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		one, _, err := SearchTraining(d.job, d.cluster, Default())
		if err != nil {
			t.Skip("does not fit")
		}
		e := d.cluster
		e.Chip = better(t, d.cluster.Chip)
		two, _, err := SearchTraining(d.job, e, Default())
		if err != nil {
			t.Fatalf("fits the chip, but not the better one: %v", err)
		}
		if two.Seconds > one.Seconds*tolerance {
			t.Fatalf("%v before, %v after", one.Seconds, two.Seconds)
		}
	})
}

func TestTheSearchIsNeverSlowerThanAChoiceThatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		d.p.Recompute = AnyRecompute
		chosen, err := Training(d.job, d.cluster, d.p, Default())
		if err != nil || !chosen.Memory.Fits() || d.p.ZeRO == 3 && d.p.PP > 1 || d.p.CP > max(1, d.job.Seq/4096) || d.p.Interleave > max(1, d.job.Model.Layers/d.p.PP) {
			t.Skip("not of the space that is searched")
		}
		best, _, err := SearchTraining(d.job, d.cluster, Default())
		if err != nil {
			t.Fatalf("%+v fits, yet the search finds nothing: %v", chosen.Parallelism, err)
		}
		if best.Seconds > chosen.Seconds*tolerance {
			t.Fatalf("searched %+v in %v; %+v takes %v", best.Parallelism, best.Seconds, chosen.Parallelism, chosen.Seconds)
		}
	})
}

func TestServingScales(t *testing.T) {
	k, err := chip.Find("H200")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		job := ServingJob{Model: llama70(), Precision: chip.FP8, Input: rapid.IntRange(64, 8192).Draw(t, "input"), Output: rapid.IntRange(16, 4096).Draw(t, "output"), Concurrency: rapid.IntRange(1, 64).Draw(t, "concurrency")}
		l := Layout{TP: power(t, 3, "tp")}
		cluster := Cluster{Chip: k, Chips: 8}
		one := service(t, job, cluster, l)
		job.Concurrency++
		two := service(t, job, cluster, l)
		if two.TPOT*tolerance < one.TPOT || one.Low > one.TPOT || one.High < one.TPOT {
			t.Fatalf("%+v then %+v", one, two)
		}
		cluster.Chip = better(t, k)
		if three := service(t, job, cluster, l); three.TPOT > two.TPOT*tolerance {
			t.Fatalf("%v, on a better chip %v", two.TPOT, three.TPOT)
		}
	})
}

func service(t *rapid.T, job ServingJob, c Cluster, l Layout) Service {
	s, err := Serving(job, c, l, Default())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
