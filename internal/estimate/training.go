package estimate

import (
	"math"
	"strings"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Indices of the fitted constants of training in TrainingGlobals.
const (
	gSustain = iota
	gAttend
	gAttendNew
	gScores
	gElement
	gCast
	gLink
	gNIC
	gTensor
	gExpert
	gGrouped
	gRoute
	gHost
	gHostMoE
	gData
	gRelease
	gStage
	gPipe
)

// TrainingGlobals lists the constants of the training formulas.
func TrainingGlobals() []Global { return trainingGlobals() }

var trainingGlobals = sync.OnceValue(func() []Global {
	return []Global{
		gSustain:   {"sustain", 0.85, 0.15, "share of the best measured matrix-product rate that long training sustains under its power limit"},
		gAttend:    {"attend", 0.55, 0.4, "rate of fused attention kernels, forward and backward, relative to large bf16 products (FlashAttention-2 and -3 report 0.4 to 0.75)"},
		gAttendNew: {"attend_new", 0.65, 0.3, "the same for kernels written for Hopper and later (FlashAttention-3, cuDNN 9)"},
		gScores:    {"scores", 14, 0.4, "bytes moved per attention score where kernels are not fused: scale, mask, softmax, dropout, both ways (Korthikanti et al.)"},
		gElement:   {"element", 3, 0.4, "passes over memory by element-wise work (norms, activations, residuals), forward and backward together"},
		gCast:      {"cast", 4, 0.5, "bytes moved per element to scale and cast to 8 bits and back"},
		gLink:      {"link", 0.75, 0.2, "share of the scale-up link rate that collectives reach (NCCL all-reduce on 8 H100: 365 of 450 GB/s)"},
		gNIC:       {"nic", 0.75, 0.3, "share of the network rate that collectives reach between domains"},
		gTensor:    {"tensor", 0.5, 0.4, "share of tensor-parallel communication that is not hidden"},
		gExpert:    {"expert", 0.8, 0.5, "share of expert-parallel all-to-all that is not hidden"},
		gGrouped:   {"grouped", 300, 0.7, "tokens per expert at which a grouped product runs at half the rate of a large one"},
		gRoute:     {"route", 10, 0.7, "passes over the routed tokens by routing, permutation and combining, forward and backward"},
		gHost:      {"host", 4e-4, 0.7, "seconds of host time to launch a dense layer, forward and backward, per micro-batch"},
		gHostMoE:   {"host_moe", 4e-3, 0.7, "the same for a layer with experts, whose shapes the host must wait for"},
		gData:      {"data", 0.7, 0.5, "share of a micro-batch's compute that data-parallel communication can hide behind"},
		gRelease:   {"release", 0.035, 0.4, "gain in speed per minor release of the Neuron SDK up to 2.20"},
		gPipe:      {"pipe", 0.2, 0.7, "share of transfers between pipeline stages that is not hidden"},
		gStage:     {"stage", 0.5, 0.5, "share of the output embedding's time that the last pipeline stage runs longer than the others"},
	}
})

// Figures that are not fitted here.
const (
	launchSeconds = 4e-6 // per kernel, from GEMM tables of A100, H100, B200 (4.7, 3.0, 2.6 µs)
	memoryShare   = 0.8  // of memory bandwidth, from the same tables (0.71, 0.84, 0.74)
	hopSeconds    = 8e-6 // latency of a collective within a domain (NCCL on 8 H100: 5 to 20 µs)
	wireSeconds   = 2e-5 // and across domains
	updateBytes   = 30   // moved per parameter by Adam with fp32 state: read 16, write 14
	gradBytes     = 4    // per parameter: fp32 accumulation
	reduceBytes   = 4    // moved per parameter to scatter gradients and gather weights, 2 each
	stateBytes    = 12   // fp32 master weight and two moments
	fusedFactor   = 3.5  // attention forward and backward over forward: two products, then five
)

// trainer is a job on a cluster with everything resolved that does not depend
// on the parallelism; evaluating one parallelism then only does arithmetic.
type trainer struct {
	job   Job
	s     shape
	d     device
	g     []float64
	rate  float64 // FLOP/s of large products, sustained and calibrated
	flash float64 // FLOP/s of attention
	band  float64 // bytes/s
	link  float64
	nic   float64
	stack float64 // factor on the whole step
	seq   float64
	pairs float64
	total int     // devices
	bytes float64 // of an element that products read

	cluster Cluster
	kind    *KindConstants
	params  float64
}

// Resolve fills in what a job leaves open and refuses what cannot be predicted.
func newTrainer(job Job, cluster Cluster, c *Constants) (*trainer, error) {
	if err := check(job, cluster); err != nil {
		return nil, err
	}
	if job.Precision == "" {
		job.Precision = "bf16"
	}
	if job.Stack == "" {
		job.Stack = familyStack(cluster.Chip.Family)
	}
	t := &trainer{job: job, s: newShape(job.Model), d: newDevice(cluster, job.Precision), kind: &c.Training, cluster: cluster}
	if job.Ran > 1 {
		t.d.memory *= job.Ran
	}
	t.g = values(TrainingGlobals(), c.Training.Globals)
	speed := math.Exp(-c.Training.sum(chipNodes(cluster.Chip)))
	t.rate = t.d.flops * t.g[gSustain] * speed
	t.flash = t.d.attend * t.g[gAttend] * speed
	if t.modernAttention() {
		t.flash = t.d.attend * t.g[gAttendNew] * speed
	}
	t.band = t.d.band * memoryShare * speed
	t.link, t.nic = t.d.link*t.g[gLink], t.d.nic*t.g[gNIC]
	t.stack = math.Exp(c.Training.sum(Nodes(cluster.Chip, job.Stack)[2:]))
	if job.Release > 0 {
		t.stack *= math.Exp(t.g[gRelease] * max(0, 20-job.Release))
	}
	t.seq = float64(job.Seq)
	t.pairs = t.s.pairs(t.seq)
	t.total = cluster.Chips * t.d.perChip
	if job.Model.AttnSinks && job.Attention == DefaultAttention {
		t.job.Attention = Unfused // no training framework of the calibration rows fuses attention with sinks
	}
	t.bytes = 2
	if t.d.low {
		t.bytes = 1
	}
	t.params = t.s.params()
	return t, nil
}

// modernAttention reports whether attention runs on kernels for Hopper and
// later: NVIDIA's own frameworks on such chips, unless the job says otherwise.
func (t *trainer) modernAttention() bool {
	k := t.cluster.Chip
	if t.job.Attention != DefaultAttention || k.Family != chip.CUDA || k.Year < 2022 {
		return false
	}
	return t.job.Stack == "" || strings.HasPrefix(t.job.Stack, "megatron/nvidia")
}

func check(job Job, cluster Cluster) error {
	k := cluster.Chip
	switch {
	case k == nil:
		return fault.New(fault.Invalid, "the cluster names no chip")
	case cluster.Chips < 1:
		return fault.Newf(fault.Invalid, "chips: found %d; at least 1 is needed", cluster.Chips)
	case BF16Peak(k) == 0 || k.MemoryBytes == 0 || k.MemoryBandwidth == 0:
		return fault.Newf(fault.Invalid, "%s: peak or memory figures are not known", k.ID)
	case job.Model == nil || job.Model.Layers < 1 || job.Model.Hidden < 1 || job.Model.Heads < 1:
		return fault.New(fault.Invalid, "the model has no shape (layers, hidden, heads)")
	case job.Seq < 1 || job.GlobalBatch < 1:
		return fault.Newf(fault.Invalid, "sequence length %d and global batch %d: both need to be at least 1", job.Seq, job.GlobalBatch)
	}
	return nil
}

// Training predicts one step with a given parallelism. An infeasible
// parallelism is an error of kind invalid; one that does not fit in memory is
// predicted all the same (see Step.Memory).
func Training(job Job, cluster Cluster, p Parallelism, c *Constants) (Step, error) {
	t, err := newTrainer(job, cluster, c)
	if err != nil {
		return Step{}, err
	}
	p = p.normal()
	if n := p.DP * p.TP * p.PP * p.CP; n != t.total {
		return Step{}, fault.Newf(fault.Invalid, "dp %d × tp %d × pp %d × cp %d is %d; the cluster has %d devices", p.DP, p.TP, p.PP, p.CP, n, t.total)
	}
	p.Recompute = t.recompute(p)
	return t.finish(p, t.evaluate(p), false), nil
}

// TrainingSeconds is Training for calibration: the step time alone, without
// interval and support.
func TrainingSeconds(job Job, cluster Cluster, p Parallelism, c *Constants) (float64, error) {
	t, err := newTrainer(job, cluster, c)
	if err != nil {
		return 0, err
	}
	p = p.normal()
	p.Recompute = t.recompute(p)
	b := t.evaluate(p)
	return b.total(), nil
}

// recompute returns the given choice, or the least that fits.
func (t *trainer) recompute(p Parallelism) Recompute {
	if p.Recompute != AnyRecompute {
		return p.Recompute
	}
	if t.job.Recompute != AnyRecompute {
		return t.job.Recompute
	}
	for _, r := range [...]Recompute{NoRecompute, SelectiveRecompute} {
		p.Recompute = r
		if t.memory(p).Fits() {
			return r
		}
	}
	return FullRecompute
}

// finish turns a breakdown into a step with its interval and support.
func (t *trainer) finish(p Parallelism, b Breakdown, searched bool) Step {
	seconds := b.total()
	tokens := t.seq * float64(t.job.GlobalBatch)
	sigma, status, support := t.kind.judge(question{t.cluster.Chip, t.job.Stack, t.job.Series, t.s.moe > 0, t.job.Trial, searched})
	wide := math.Exp(z80 * sigma)
	flops := 6 * tokens * (t.s.matmul() + t.s.layers*t.s.core*t.pairs)
	return Step{
		Parallelism: p, Seconds: seconds, Low: seconds / wide, High: seconds * wide,
		TokensPerSecond: tokens / seconds,
		MFU:             flops / seconds / (BF16Peak(t.cluster.Chip) * float64(t.cluster.Chips)),
		Breakdown:       b, Memory: t.memory(p), Status: status, Support: support,
	}
}

// evaluate returns where the time of one step goes.
func (t *trainer) evaluate(p Parallelism) Breakdown {
	micros := math.Ceil(float64(t.job.GlobalBatch) / float64(p.DP*p.MicroBatch))
	l := t.layer(p)
	perStage := math.Ceil(t.s.layers / float64(p.PP))
	share := t.s.layers / float64(p.PP)
	head := t.head(p)
	stages := float64(p.PP)

	var b Breakdown
	n := micros * share
	b.Matmul = n*l.matmul + micros*head.matmul/stages
	b.Attention = n * l.attention
	b.Memory = n*l.memory + micros*head.memory/stages
	b.Recompute = n * l.again
	b.Host = n * l.host
	b.Tensor = n * l.tensor
	b.Expert = n * l.expert
	b.Context = n * l.context
	perMicro := share*l.total() + (head.matmul+head.memory)/stages
	uneven := (perStage-share)*l.total()*0.5 + (head.matmul+head.memory)*(1-1/stages)*t.g[gStage]
	b.Bubble = micros*uneven + (stages-1)/float64(p.Interleave)*(perMicro+uneven)
	b.Pipeline = t.pipeline(p, micros)
	t.dataParallel(p, micros, perMicro, &b)
	b.Optimizer = t.shard(p) * updateBytes / t.band
	b.scale(t.stack)
	return b
}

// layerTime is the time of the mean layer for one micro-batch, forward and
// backward, in seconds.
type layerTime struct {
	matmul, attention, memory, again, host, tensor, expert, context float64
}

func (l layerTime) total() float64 {
	return l.matmul + l.attention + l.memory + l.again + l.host + l.tensor + l.expert + l.context
}

func (t *trainer) layer(p Parallelism) layerTime {
	s := &t.s
	tp := float64(p.TP)
	m := float64(p.MicroBatch) * t.seq / float64(p.CP) // tokens
	dense, moe := s.dense/s.layers, s.moe/s.layers
	var l layerTime
	forward := t.projections(m, tp)
	if dense > 0 {
		forward += dense * t.feedForward(m, tp, s.ffnWidth)
	}
	if moe > 0 {
		forward += moe * (t.feedForward(m, tp, s.sharedFFN) + t.experts(m/tp, p))
		l.expert = moe * t.allToAll(m/tp, p)
	}
	attend := t.attend(m, tp)
	bytes := t.elementBytes(m, tp, dense, moe)
	l.matmul = 3 * forward
	l.attention = attend * fusedFactor
	if t.job.Attention == Unfused {
		l.attention = attend * 3
	}
	l.memory = bytes / t.band
	l.tensor = t.tensor(m, p, dense, moe)
	l.context = t.context(m, p, l.attention)
	t.again(p, &l, forward, attend)
	t.launch(&l, dense, moe)
	return l
}

// again adds the recomputation: with all of it one more forward pass and its
// collectives, with the selective kind the attention scores alone.
func (t *trainer) again(p Parallelism, l *layerTime, forward, attend float64) {
	switch p.Recompute {
	case FullRecompute:
		l.again = forward + attend + l.memory/3
		l.tensor *= 1.5
		l.expert *= 1.5
	case SelectiveRecompute:
		if t.job.Attention == Unfused {
			l.again = attend
		}
	}
}

// launch adds what the host holds the device up: launching runs beside the
// device, so the longer of both counts (a 4-norm).
func (t *trainer) launch(l *layerTime, dense, moe float64) {
	busy := l.total()
	l.host = norm4(busy, dense*t.g[gHost]+moe*t.g[gHostMoE]) - busy
}

func norm4(a, b float64) float64 {
	a, b = a*a, b*b
	return math.Sqrt(math.Sqrt(a*a + b*b))
}

// product is the time of an m×k by k×n product: launch, then the root of the
// sum of squares of its arithmetic and its memory time, as fitted to measured
// tables.
func (t *trainer) product(m, n, k float64) float64 {
	arithmetic := 2 * m * n * k / t.rate
	memory := (t.bytes*(m*k+n*k) + 2*m*n) / t.band
	return launchSeconds + math.Sqrt(arithmetic*arithmetic+memory*memory)
}

func (t *trainer) projections(m, tp float64) float64 {
	s := &t.s
	if s.attention != s.hidden*(2*s.q+2*s.kv) { // latent attention: as two products of its parameters
		return 2 * t.product(m, s.attention/2/tp/s.hidden, s.hidden)
	}
	return t.product(m, (s.q+2*s.kv)/tp, s.hidden) + t.product(m, s.hidden, s.q/tp)
}

func (t *trainer) feedForward(m, tp, width float64) float64 {
	if width == 0 {
		return 0
	}
	return t.product(m, t.s.gates*width/tp, t.s.hidden) + t.product(m, t.s.hidden, width/tp)
}

// experts is the grouped product over the experts of one device, forward, for
// m tokens per device before routing: large-product time, slowed where each
// expert gets few tokens, and reading all local experts.
func (t *trainer) experts(m float64, p Parallelism) float64 {
	s := &t.s
	local := s.experts / float64(p.EP)
	tokens := m * s.active
	perExpert := tokens / local
	arithmetic := 2 * tokens * s.expert / t.rate * (1 + t.g[gGrouped]/perExpert)
	memory := (t.bytes*local*s.expert + 2*tokens*(2*s.hidden+(s.gates+1)*s.expertFFN)) / t.band
	return 2*launchSeconds + math.Sqrt(arithmetic*arithmetic+memory*memory)
}

// attend is the forward time of attention scores and their use.
func (t *trainer) attend(m, tp float64) float64 {
	flops := 2 * t.s.core * t.pairs * m / tp
	if t.job.Attention != Unfused {
		return flops / t.flash
	}
	scores := t.s.heads / tp * m * t.seq
	flops = t.s.core * t.seq * m / tp
	return 2*flops/t.rate + scores*t.g[gScores]/3/t.band
}

// elementBytes is the traffic of element-wise work of the mean layer, forward
// and backward: 2-byte elements of norms, residuals, projections and FFN.
func (t *trainer) elementBytes(m, tp, dense, moe float64) float64 {
	s := &t.s
	width := dense*s.ffnWidth + moe*(s.sharedFFN+s.active*s.expertFFN)
	elements := 8*s.hidden + 2*(s.q+2*s.kv) + 2*(s.gates+1)*width
	bytes := 2 * elements * t.g[gElement]
	if t.d.low {
		bytes += 2 * (3*s.hidden + s.q + 2*width) * t.g[gCast]
	}
	bytes += moe * 2 * s.active * s.hidden * t.g[gRoute]
	return bytes * m / tp
}

// head is the output embedding and the loss of one micro-batch.
func (t *trainer) head(p Parallelism) layerTime {
	m := float64(p.MicroBatch) * t.seq / float64(p.CP)
	v := t.s.vocab / float64(p.TP)
	arithmetic := 2 * m * v * t.s.hidden / (t.d.attend / t.d.flops * t.rate)
	return layerTime{matmul: 3 * (launchSeconds + arithmetic), memory: 12 * m * v / t.band}
}
