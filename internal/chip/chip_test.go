package chip

import (
	"math"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/switchyard-ai/switchyard/internal/fault"
)

var isoDate = regexp.MustCompile(`^20\d\d-\d\d-\d\d$`)

func TestEveryChipIsWholeAndSane(t *testing.T) {
	if n := len(All()); n < 30 {
		t.Fatalf("%d chips, want at least 30", n)
	}
	for _, c := range All() {
		if c.ID == "" || strings.ContainsAny(c.ID, " \t") || c.Name == "" || c.Cores < 1 {
			t.Errorf("%q: identity or cores missing: %+v", c.ID, c)
		}
		if c.Source == "" || !isoDate.MatchString(c.AsOf) {
			t.Errorf("%s: source %q as of %q", c.ID, c.Source, c.AsOf)
		}
		if c.Family == CPU {
			continue
		}
		if c.Year < 2016 || c.Year > 2030 || c.MemoryBytes < 8e9 || c.MemoryBytes > 1e12 {
			t.Errorf("%s: year %d, memory %g", c.ID, c.Year, c.MemoryBytes)
		}
		if c.MemoryBandwidth < 5e10 || c.MemoryBandwidth > 2e13 || c.ScaleUpDomain < 1 {
			t.Errorf("%s: memory bandwidth %g, domain %d", c.ID, c.MemoryBandwidth, c.ScaleUpDomain)
		}
		checkRates(t, c)
	}
}

func checkRates(t *testing.T, c *Chip) {
	t.Helper()
	half := c.PeakFLOPS[BF16]
	if half == 0 {
		half = c.PeakFLOPS[FP16]
	}
	if half < 5e13 || half > 1e16 {
		t.Errorf("%s: 16-bit peak %g", c.ID, half)
	}
	for dtype, peak := range c.PeakFLOPS {
		switch {
		case dtype.Bits() == 16 && peak != half:
			t.Errorf("%s: fp16 and bf16 differ: %v", c.ID, c.PeakFLOPS)
		case dtype.Bits() < 16 && (peak < half || peak > 8*half):
			t.Errorf("%s: %s peak %g against 16-bit %g", c.ID, dtype, peak, half)
		case dtype.Bits() > 16 && peak > half:
			t.Errorf("%s: %s peak %g against 16-bit %g", c.ID, dtype, peak, half)
		}
	}
	for dtype, measured := range c.MeasuredFLOPS {
		if share := measured / c.PeakFLOPS[dtype]; share < 0.4 || share > 1 || math.IsNaN(share) {
			t.Errorf("%s: %s measured %g is %.2f of its peak", c.ID, dtype, measured, share)
		}
	}
	for _, m := range c.Measurements {
		if m.Source == "" || m.On == "" || !isoDate.MatchString(m.AsOf) || c.MeasuredFLOPS[m.DType] != m.FLOPS {
			t.Errorf("%s: measurement %+v", c.ID, m)
		}
	}
	for _, b := range c.AllReduce {
		if b.Source == "" || !isoDate.MatchString(b.AsOf) || b.Chips < 2 || b.RingOnly <= 0 || b.BytesPerSecond < b.RingOnly*0.99 || b.RingOnly > c.ScaleUpBandwidth {
			t.Errorf("%s: all-reduce %+v", c.ID, b)
		}
	}
}

func TestFiguresOfSomeChips(t *testing.T) {
	h100 := mustFind(t, "H100")
	if h100.PeakFLOPS[BF16] != 989e12 || h100.MeasuredFLOPS[FP8] != 1402.6e12 || h100.MemoryBytes != 80e9 || h100.NICBandwidth != 50e9 {
		t.Errorf("H100: %+v", h100)
	}
	trn2 := mustFind(t, "Trainium2")
	if trn2.MemoryBytes != 96e9 || trn2.Cores != 4 || trn2.ScaleUpDomain != 64 || trn2.Family != Neuron || trn2.Maker != AWS {
		t.Errorf("Trainium2: %+v", trn2)
	}
	if _, ok := mustFind(t, "V100").PeakFLOPS[BF16]; ok {
		t.Error("V100 has no bf16")
	}
	if h200 := mustFind(t, "H200"); len(h200.AllReduce) != 5 || h200.AllReduce[4].BytesPerSecond != 473.1e9 {
		t.Errorf("H200 all-reduce: %+v", h200.AllReduce)
	}
	if flops, measured := trn2.UsefulFLOPS(BF16); flops != 667e12 || measured {
		t.Errorf("Trainium2 useful: %g %v", flops, measured)
	}
	if flops, measured := h100.UsefulFLOPS(BF16); flops != 794.5e12 || !measured {
		t.Errorf("H100 useful: %g %v", flops, measured)
	}
}

func TestRecalledFiguresSaySoInTheSource(t *testing.T) {
	for _, c := range All() {
		if len(c.Recalled) > 0 && !strings.Contains(c.Source, "recalled") {
			t.Errorf("%s: %q does not say that %v are recalled", c.ID, c.Source, c.Recalled)
		}
	}
}

func TestFindKnowsUsualNames(t *testing.T) {
	for name, id := range map[string]string{
		"h100": "H100", "H100-SXM": "H100", "H100 SXM5": "H100", "NVIDIA H100 80GB HBM3": "H100", "H100_PCIe": "H100-PCIe",
		"A100": "A100-80GB", "NVIDIA A100-SXM4-40GB": "A100-40GB", "a100-pcie": "A100-80GB-PCIe",
		"GH200": "GH200", "GH200-144GB": "GH200", "GB200 NVL72": "GB200", "Tesla T4": "T4", "V100-16GB": "V100-16GB",
		"v5e": "TPU-v5e", "TPU v5e": "TPU-v5e", "TPU-v7x": "TPU7x", "Ironwood": "TPU7x", "Trillium": "TPU-v6e",
		"trn1": "Trainium1", "Trn2": "Trainium2", "trainium3": "Trainium3", "inf2": "Inferentia2", "AWS Inferentia1": "Inferentia1",
		"MI300": "MI300X", "AMD Instinct MI325X": "MI325X", "gaudi-2": "Gaudi2", "CPU": "cpu",
	} {
		if c, err := Find(name); err != nil || c.ID != id {
			t.Errorf("Find(%q) = %v, %v, want %s", name, c, err, id)
		}
	}
}

func TestNoNameMeansTwoChips(t *testing.T) {
	owner := map[string]string{}
	for _, c := range All() {
		for _, name := range append([]string{c.ID, c.Name}, c.Aliases...) {
			key := normal(name)
			if other, taken := owner[key]; taken && other != c.ID {
				t.Errorf("%q means %s and %s", name, other, c.ID)
			}
			owner[key] = c.ID
		}
	}
}

func TestFindSaysWhatIsNear(t *testing.T) {
	_, err := Find("H1000")
	if !fault.Is(err, fault.NotFound) || !strings.Contains(err.Error(), "did you mean H100?") {
		t.Errorf("got %v", err)
	}
	for _, empty := range []string{"", " - "} {
		if c, err := Find(empty); err == nil {
			t.Errorf("Find(%q) = %s", empty, c.ID)
		}
	}
}

func TestFindIgnoresCaseAndPunctuation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(All()).Draw(t, "chip")
		var spelled strings.Builder
		for _, r := range c.ID {
			spelled.WriteString(rapid.SampledFrom([]string{"", " ", "-", "_"}).Draw(t, "gap"))
			if rapid.Bool().Draw(t, "upper") {
				spelled.WriteString(strings.ToUpper(string(r)))
			} else {
				spelled.WriteString(strings.ToLower(string(r)))
			}
		}
		if found, err := Find(spelled.String()); err != nil || found != c {
			t.Fatalf("Find(%q) = %v, %v, want %s", spelled.String(), found, err, c.ID)
		}
	})
}

func TestLoadRefusesRowsOfUnknownChips(t *testing.T) {
	read := func(name string) []byte {
		data, err := tables.ReadFile("data/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	files := fstest.MapFS{}
	for _, name := range []string{"chips.csv", "matmul.csv", "allreduce.csv"} {
		files["data/"+name] = &fstest.MapFile{Data: read(name)}
	}
	files["data/matmul.csv"].Data = append(read("matmul.csv"), "H999,bf16,1,a,b,c,d,2026-01-01\n"...)
	if _, err := load(files); err == nil || !strings.Contains(err.Error(), "H999") {
		t.Errorf("got %v", err)
	}
}

func mustFind(t *testing.T, name string) *Chip {
	t.Helper()
	c, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
