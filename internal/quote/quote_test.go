package quote

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/switchyard-ai/switchyard/internal/catalog"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/fleet"
	"github.com/switchyard-ai/switchyard/internal/scheduler"
	"github.com/switchyard-ai/switchyard/internal/units"
	"github.com/switchyard-ai/switchyard/internal/workload"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func market(t testing.TB) *Market {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	return &Market{Catalog: c, Constants: estimate.Default(), Assumptions: scheduler.DefaultAssumptions()}
}

func example(t testing.TB, file string) *workload.Workload {
	t.Helper()
	data, err := os.ReadFile("../../examples/" + file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := workload.Parse(file, data, noon)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func ask(t testing.TB, m *Market, file string, pools ...fleet.Pool) *Quote {
	t.Helper()
	q, err := m.Quote(t.Context(), Request{Workload: example(t, file), File: file, Pools: pools, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQuoteRanksTheWholeCatalog(t *testing.T) {
	m := market(t)
	q := ask(t, m, "llama-8b/train.yaml")
	if q.Considered != len(q.Candidates) || q.Considered < 3_000 || q.Feasible < 100 {
		t.Fatalf("%d considered, %d feasible", q.Considered, q.Feasible)
	}
	offered := map[catalog.Option]bool{}
	for i, c := range q.Candidates {
		offered[c.Option] = true
		if i > 0 && c.Feasible && c.Cost.Micros < q.Candidates[i-1].Cost.Micros {
			t.Fatalf("candidate %d is cheaper than the one before it", i+1)
		}
		if c.Feasible != (i < q.Feasible) {
			t.Fatalf("candidate %d: feasible ones do not come first", i+1)
		}
		if !c.Feasible && len(c.Reasons) == 0 {
			t.Errorf("candidate %d is ruled out without a reason: %+v", i+1, c)
		}
		if p := c.Parallelism; c.Feasible && p.DP*p.TP*p.PP*p.CP < c.Chips {
			t.Errorf("candidate %d leaves chips idle: %+v on %d", i+1, p, c.Chips)
		}
	}
	for _, option := range []catalog.Option{catalog.OnDemand, catalog.Spot, catalog.CapacityBlock} {
		if !offered[option] {
			t.Errorf("no candidate is %s", option)
		}
	}
}

func TestQuoteRemembersSpeedsAndReprices(t *testing.T) {
	m := market(t)
	first := ask(t, m, "llama-8b/train.yaml")
	known := len(m.speeds)
	double := func(o catalog.Offer) scheduler.Price {
		p := scheduler.ListPrices(o)
		return scheduler.Price{List: p.List, Marginal: units.RateOfRat(p.List.Rat().Add(p.List.Rat(), p.List.Rat()), p.List.Currency), Reason: "twice the list price"}
	}
	again, err := m.Quote(t.Context(), Request{Workload: example(t, "llama-8b/train.yaml"), File: "x", Prices: double, Now: noon})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.speeds) != known || known == 0 {
		t.Errorf("%d speeds, then %d", known, len(m.speeds))
	}
	a, b := first.Candidates[0], again.Candidates[0]
	if b.Cost.Micros < 2*a.Cost.Micros-1 || b.Reasons[0] != "twice the list price" {
		t.Errorf("%s then %s %q", a.Cost, b.Cost, b.Reasons)
	}
}

func TestConnectedPoolIsACandidate(t *testing.T) {
	local := fleet.Pool{
		Site: "local", Name: "cpu", Provider: "local", InstanceType: "host", Option: "on-demand", Family: "cpu", Chip: "cpu",
		ChipsPerNode: 1, Nodes: 1, MaxNodes: 1, Cores: 2, Rate: units.MustRate("0.10", units.USD),
	}
	q := ask(t, market(t), "gpt/train.yaml", local)
	if q.Connected != 1 {
		t.Fatalf("%d connected", q.Connected)
	}
	for _, c := range q.Candidates {
		if c.Connected {
			if !c.Feasible || c.Site != "local" || c.Nodes != 1 || c.Cost.Micros <= 0 {
				t.Errorf("%+v", c)
			}
			return
		}
	}
}

func TestUnquotableWorkloadSaysWhy(t *testing.T) {
	w := example(t, "gpt/train.yaml")
	w.Shape = nil
	_, err := market(t).Quote(t.Context(), Request{Workload: w, File: "train.yaml", Now: noon})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "train.yaml: the workload cannot be quoted: it names no model") {
		t.Error(err)
	}
}

func TestQuoteIsTheSameTwice(t *testing.T) {
	a, b := ask(t, market(t), "llama-8b/train.yaml"), ask(t, market(t), "llama-8b/train.yaml")
	for i := range a.Candidates {
		x, y := a.Candidates[i], b.Candidates[i]
		if x.Cost != y.Cost || x.InstanceType != y.InstanceType || x.Nodes != y.Nodes || x.Region != y.Region || x.Parallelism != y.Parallelism {
			t.Fatalf("candidate %d differs: %+v, %+v", i+1, x, y)
		}
	}
}

// BenchmarkQuoteCold searches every parallelism anew; BenchmarkQuoteWarm only
// joins prices.
func BenchmarkQuoteCold(b *testing.B) {
	w := example(b, "llama-8b/train.yaml")
	n := 0
	for b.Loop() {
		q, err := market(b).Quote(b.Context(), Request{Workload: w, File: "x", Now: noon})
		if err != nil {
			b.Fatal(err)
		}
		n += q.Considered
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "candidates/s")
}

// BenchmarkQuoteWarm is BenchmarkQuoteCold when only prices changed.
func BenchmarkQuoteWarm(b *testing.B) {
	m, w, n := market(b), example(b, "llama-8b/train.yaml"), 0
	for b.Loop() {
		q, err := m.Quote(b.Context(), Request{Workload: w, File: "x", Now: noon})
		if err != nil {
			b.Fatal(err)
		}
		n += q.Considered
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "candidates/s")
}

func TestServiceKeepsItsSLOAtTheLeastPrice(t *testing.T) {
	q := ask(t, market(t), "chat-service/service.yaml")
	w := example(t, "chat-service/service.yaml")
	peak := w.Service.Traffic.RequestsPerSecond * w.Service.Traffic.PeakFactor
	if q.Feasible == 0 {
		t.Fatal("nothing is feasible")
	}
	for i, c := range q.Candidates[:q.Feasible] {
		s := c.Served
		if s == nil || s.RequestsPerSec < peak || s.Replicas < w.Service.Replicas.Min || s.Replicas > w.Service.Replicas.Max {
			t.Errorf("candidate %d does not carry %g requests/s: %+v", i+1, peak, s)
			continue
		}
		if s.TTFT > 0.3 || s.TPOT > 0.03 {
			t.Errorf("candidate %d misses the SLO: %+v", i+1, s)
		}
		if c.Chips > 0 && s.CostPerMillionOu.Sign() <= 0 {
			t.Errorf("candidate %d costs nothing per output token", i+1)
		}
	}
}

func TestLooserSLOIsNeverDearer(t *testing.T) {
	strict, loose := example(t, "chat-service/service.yaml"), example(t, "chat-service/service.yaml")
	loose.Service.SLO = workload.SLO{}
	loose.Service.Replicas = workload.Replicas{}
	strict.Service.Replicas = workload.Replicas{}
	cheapest := func(w *workload.Workload) int64 {
		q, err := market(t).Quote(t.Context(), Request{Workload: w, File: "x", Now: noon})
		if err != nil || q.Feasible == 0 {
			t.Fatal(q, err)
		}
		return q.Candidates[0].Cost.Micros
	}
	if a, b := cheapest(strict), cheapest(loose); b > a {
		t.Errorf("without an SLO %d micros an hour, with one %d", b, a)
	}
}

func TestImpossibleSLOSaysWhichBound(t *testing.T) {
	w := example(t, "chat-service/service.yaml")
	w.Service.SLO.TPOT.P50 = units.Duration(time.Microsecond)
	q, err := market(t).Quote(t.Context(), Request{Workload: w, File: "x", Now: noon})
	if err != nil || q.Feasible != 0 {
		t.Fatal(q.Feasible, err)
	}
	for _, c := range q.Candidates {
		if strings.Contains(strings.Join(c.Reasons, ";"), "misses the SLO") {
			return
		}
	}
	t.Error("no candidate says which bound it misses")
}

func TestBatchIsPricedWhole(t *testing.T) {
	w := example(t, "label-batch/batch.yaml")
	q := ask(t, market(t), "label-batch/batch.yaml")
	tokens := float64(w.Batch.Total()) * float64(w.Batch.Request.InputTokens+w.Batch.Request.OutputTokens)
	best := q.Candidates[0]
	if !best.Feasible || best.Seconds*best.TokensPerSecond < tokens {
		t.Errorf("%d chips do %g tokens/s for %g s: fewer than %g tokens", best.Chips, best.TokensPerSecond, best.Seconds, tokens)
	}
	if best.Cost.Micros > w.Budget.Micros {
		t.Errorf("%s is over the budget", best.Cost)
	}
}

func TestBestLooksAtOnePoolAlone(t *testing.T) {
	pool := fleet.Pool{
		Site: "eks", Name: "p5", Provider: "aws", Region: "us-east-1", InstanceType: "p5.48xlarge", Option: "on-demand", Family: "cuda", Chip: "H100",
		ChipsPerNode: 8, Nodes: 128, MaxNodes: 128, Rate: units.MustRate("20", units.USD),
	}
	m, w := market(t), example(t, "llama-8b/train.yaml")
	best, ok := m.Best(t.Context(), w, pool, noon)
	if !ok || best.Nodes < 1 || best.Nodes > 128 || best.Cost.Micros <= 0 || best.TokensPerSecond <= 0 || best.Measured {
		t.Errorf("%+v, %v", best, ok)
	}
	// What a trial measured stands in the place of the prediction, at all sizes.
	m.Measured = func(*workload.Workload, fleet.Pool) (int, float64, bool) {
		return best.Nodes, best.TokensPerSecond * 2, true
	}
	tried, ok := m.Best(t.Context(), w, pool, noon)
	if !ok || !tried.Measured || tried.Cost.Micros*10 > best.Cost.Micros*6 {
		t.Errorf("predicted %+v, measured at twice the speed %+v", best, tried)
	}
	m.Measured = nil
	// A pool that keeps taking gangs away is dearer than its price.
	pool.Interruptions, pool.Observed = 60, 100
	if kept, ok := m.Best(t.Context(), w, pool, noon); !ok || kept.Cost.Micros*10 < best.Cost.Micros*11 {
		t.Errorf("%s where gangs are kept, %s where they are taken away every other hour", best.Cost, kept.Cost)
	}
	pool.Family, pool.Chip, pool.InstanceType = "tpu", "TPU-v6e", "tpu-v6e-8"
	if _, ok := market(t).Best(t.Context(), example(t, "llama-8b/train.yaml"), pool, noon); ok {
		t.Error("a pool without a variant has no best size")
	}
}
