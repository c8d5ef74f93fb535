package measured

import (
	"math"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/model"
)

// Training is a row of training: what to predict, and what was measured.
type Training struct {
	Row     Row
	Source  string
	Job     estimate.Job
	Cluster estimate.Cluster
	Fixed   estimate.Fixed // dimensions that the row gives
	Exact   bool           // Fixed is a whole parallelism, not to be searched
	Assumed []string       // what the row left out and was assumed

	Seconds float64 // measured step time, 0 where the row has none
}

// ReadTraining turns a row into a case. The error says what cannot be used.
func ReadTraining(row Row) (Training, error) {
	t := Training{Row: row, Source: row.Text("source")}
	k, err := chip.Find(row.Text("chip"))
	if err != nil {
		return t, err
	}
	extras := notes(row.Text("notes"))
	note := row.Text("notes")
	m, guess, err := rowModel(row)
	if err != nil {
		return t, err
	}
	if guess != "" {
		t.Assumed = append(t.Assumed, guess)
	}
	if err := row.checkCount("chips"); err != nil {
		return t, err
	}
	t.Cluster = rowCluster(row, k, note)
	if t.Cluster.Chips == 0 {
		return t, fault.New(fault.Invalid, "chips: not given")
	}
	t.Job = estimate.Job{Model: m, Seq: row.Whole("seq_len"), Precision: Precision(row.Text("precision")), GlobalBatch: row.Whole("global_batch_seqs")}
	t.Job.Stack = trainingStack(t.Source, note, k)
	t.Job.Series = Series(t.Source)
	t.Job.Release = neuronRelease(note)
	t.Job.Recompute = recompute(row.Text("act_recompute"), note)
	t.Job.Attention = attention(t.Job.Stack)
	t.parallelism(row, extras)
	t.assume(extras)
	t.measure(row)
	return t, nil
}

// attention is the kernel generation of a framework.
func attention(stack string) estimate.Attention {
	if stack == "megatron/2021" {
		return estimate.Unfused
	}
	return estimate.DefaultAttention
}

func rowCluster(row Row, k *chip.Chip, note string) estimate.Cluster {
	c := estimate.Cluster{Chip: k, Chips: row.Whole("chips")}
	if p := podMark.FindStringSubmatch(note); p != nil && strings.HasPrefix(k.ID, p[1]) {
		c.NICBandwidth = number(p[2]) * 1e9 / 8 / 8
	}
	if p := powerMark.FindStringSubmatch(note); p != nil && number(p[1]) > 0.5*k.Power {
		c.PowerCap = number(p[1])
	}
	if strings.Contains(strings.ToLower(row.Text("source")), "torchtitan") && k.ID == "H100" {
		c.PowerCap = 500 // its README measures on H100s capped at 500 W
	}
	return c
}

// Precision reads the names that sources give to numeric types.
func Precision(text string) chip.DType {
	text = strings.ToLower(text)
	switch {
	case strings.Contains(text, "fp4"):
		return chip.FP4
	case strings.Contains(text, "int4") || strings.Contains(text, "w4"):
		return chip.INT4
	case strings.Contains(text, "fp8") || strings.Contains(text, "f8"):
		return chip.FP8
	case strings.Contains(text, "int8") || strings.Contains(text, "w8"):
		return chip.INT8
	case text == "fp16" || text == "float16":
		return chip.FP16
	case strings.HasPrefix(text, "fp32"):
		return chip.FP32
	case strings.HasPrefix(text, "tf32"):
		return chip.TF32
	}
	return chip.BF16
}

func recompute(column, note string) estimate.Recompute {
	text := strings.ToLower(column)
	switch {
	case strings.Contains(text, "select"):
		return estimate.SelectiveRecompute
	case text == "none" || text == "no" || text == "off" || text == "false":
		return estimate.NoRecompute
	case text != "":
		return estimate.FullRecompute
	}
	note = strings.ToLower(note)
	switch {
	case strings.Contains(note, "recompute=full"), strings.Contains(note, "full recompute"), strings.Contains(note, "full ac"):
		return estimate.FullRecompute
	case strings.Contains(note, "selective"):
		return estimate.SelectiveRecompute
	}
	return estimate.AnyRecompute
}

// parallelism takes what the row gives; a row without any is searched.
func (t *Training) parallelism(row Row, extras map[string]string) {
	f := estimate.Fixed{TP: ranks(row.Text("tp")), PP: ranks(row.Text("pp")), EP: ranks(row.Text("ep"))}
	f.CP = ranks(extras["cp"])
	for _, key := range []string{"mbs", "per_device_batch", "micro_batch"} {
		if f.MicroBatch == 0 {
			f.MicroBatch = ranks(extras[key])
		}
	}
	f.Interleave = ranks(extras["vp"])
	f.ZeRO = t.zero(extras, f)
	if f.TP == 0 && t.Cluster.Chip.Family == chip.TPU {
		f.TP, f.PP = 1, 1 // sharded over the slice
	}
	t.Exact = f.TP > 0 || (row.Whole("dp") > 0 && row.Whole("dp") == t.Cluster.Chips)
	if !t.Exact {
		t.Fixed = f
		return
	}
	f.TP, f.PP, f.CP = max(1, f.TP), max(1, f.PP), max(1, f.CP)
	if f.PP > 1 && f.Interleave == 0 && (t.Job.Stack == "" || strings.HasPrefix(t.Job.Stack, "megatron")) {
		f.Interleave = max(1, t.Job.Model.Layers/f.PP/2) // tuned runs interleave; two layers a chunk
	}
	t.Fixed = f
}

func (t *Training) zero(extras map[string]string, f estimate.Fixed) int {
	root, _, _ := strings.Cut(t.Job.Stack, "/")
	sharding := strings.ToUpper(extras["sharding"])
	switch {
	case whole(extras["fsdp"]) > 1, sharding == "FULL_SHARD":
		return 3
	case sharding == "SHARD_GRAD_OP":
		return 2
	case sharding == "NO_SHARD":
		return 1
	case (root == "fsdp" || root == "maxtext" || root == "deepspeed") && f.PP <= 1:
		return 3
	}
	return 1
}

// assume fills in what a row does not say.
func (t *Training) assume(extras map[string]string) {
	if t.Job.Seq == 0 {
		t.Job.Seq = 4096
		if n := t.Job.Model.MaxSeq; n > 0 {
			t.Job.Seq = min(n, 4096)
		}
		t.Assumed = append(t.Assumed, "sequence length")
	}
	f := &t.Fixed
	devices := t.Cluster.Chips
	if k := t.Cluster.Chip; k.Family == chip.Neuron {
		devices *= max(1, k.Cores)
	}
	if t.Exact {
		inner := f.TP * f.PP * f.CP
		if devices%inner != 0 {
			t.Exact = false // the row contradicts itself: search around what it gives
			t.Assumed = append(t.Assumed, "parallelism")
			f.TP, f.PP, f.CP, f.DP, f.Interleave = 0, 0, 0, 0, 0
			return
		}
		f.DP = devices / inner
	}
	if t.Job.GlobalBatch == 0 {
		t.Job.GlobalBatch = t.batch(extras)
		t.Assumed = append(t.Assumed, "global batch")
	}
	if t.Exact {
		t.settle()
	}
	t.Job.Trial = len(t.Assumed) > 0 || strings.Contains(t.Row.Text("notes"), "SFT")
}

// batch is assumed as four million tokens, in whole micro-batches.
func (t *Training) batch(extras map[string]string) int {
	f := t.Fixed
	dp, mbs := max(1, f.DP), max(1, f.MicroBatch)
	if n := whole(extras["gradaccum"]); n > 0 {
		return dp * mbs * n
	}
	if t.Cluster.Chip.Family == chip.TPU {
		return dp * mbs
	}
	steps := max(8*max(1, f.PP), int(math.Round(4e6/float64(t.Job.Seq*dp*mbs*8))))
	return dp * mbs * min(steps, 64)
}

// settle makes a given parallelism whole.
func (t *Training) settle() {
	f := &t.Fixed
	if f.MicroBatch == 0 && t.Cluster.Chip.Family == chip.TPU {
		f.MicroBatch = max(1, t.Job.GlobalBatch/f.DP) // no accumulation unless said
	}
	if f.MicroBatch == 0 && t.Job.GlobalBatch > f.DP {
		t.Exact = false // the best that fits; all else is given
		f.Interleave = max(1, f.Interleave)
		return
	}
	f.MicroBatch = max(1, min(f.MicroBatch, (t.Job.GlobalBatch+f.DP-1)/f.DP))
	f.Interleave = max(1, f.Interleave)
	if t.Job.Model.MoE != nil && f.EP == 0 && f.ZeRO < 3 {
		t.Exact = false // experts are spread, the row does not say how
		return
	}
	if e := t.Job.Model.MoE; e != nil {
		f.EP = min(max(1, f.EP), e.Experts)
	}
	t.keep()
}

// slack is by how much memory may be overrun before a run that is known to
// have worked is taken to recompute: our figures are for plain frameworks,
// tuned ones keep less.
const slack = 1.3

// keep decides on recomputation where the row is silent.
func (t *Training) keep() {
	if t.Job.Recompute != estimate.AnyRecompute {
		return
	}
	t.Job.Recompute = estimate.NoRecompute
	step, err := estimate.Training(t.Job, t.Cluster, estimate.Parallelism(t.Fixed), estimate.Default())
	if err == nil && step.Memory.Total() > slack*step.Memory.Capacity {
		t.Job.Recompute = estimate.FullRecompute
	}
}

// measure reads the measured step time: as such, or from tokens per second,
// or from TFLOP/s by the convention of the source.
func (t *Training) measure(row Row) {
	tokens := float64(t.Job.Seq) * float64(t.Job.GlobalBatch)
	if s := row.Number("step_s"); s > 0 {
		t.Seconds = s
		return
	}
	if v := row.Number("tokens_per_s"); v > 0 {
		t.Seconds = tokens / v
		return
	}
	if f := row.Number("tflops_per_chip"); f > 0 {
		t.Seconds = convention(t.Source, row.Text("notes"), t.Job.Model, float64(t.Job.Seq), tokens) / (f * 1e12 * float64(t.Cluster.Chips))
	}
}

// convention counts the FLOPs of a step as the source does: some halve
// attention for the causal mask, some do not, and two count recomputation.
func convention(source, note string, m *model.Model, seq, tokens float64) float64 {
	text := strings.ToLower(source + " " + note)
	switch {
	case strings.Contains(text, "hardware flops"), strings.Contains(text, "bloom"):
		head := 6 * tokens * float64(m.Vocab) * float64(m.Hidden)
		return (estimate.ModelFLOPs(m, seq, tokens, false)-head)*4/3 + head
	case strings.Contains(text, "non-causal"), strings.Contains(text, "maxtext configs"), strings.Contains(text, "megatron-lm readme"), strings.Contains(text, "mosaic"), strings.Contains(text, "llm-foundry"):
		return estimate.ModelFLOPs(m, seq, tokens, false)
	}
	return estimate.ModelFLOPs(m, seq, tokens, true)
}

// Predict is what the estimator says of the row. A run that was measured did
// fit, so that where our count of memory finds no room it is widened.
func (t *Training) Predict(c *estimate.Constants) (estimate.Step, error) {
	if t.Exact {
		return estimate.Training(t.Job, t.Cluster, estimate.Parallelism(t.Fixed), c)
	}
	var step estimate.Step
	var err error
	for _, fixed := range []estimate.Fixed{t.Fixed, {}} {
		for _, room := range []float64{1, slack, 4} {
			job := t.Job
			job.Ran = room
			if step, _, err = estimate.SearchAround(job, t.Cluster, fixed, c); !fault.Is(err, fault.NoCapacity) {
				return step, err
			}
		}
	}
	return step, err
}
