// Package train owns the training of the GPT example: the optimizer and its schedule, sharing a batch out over workers and
// ranks, and the state that a checkpoint carries. A run is a function of its settings and its text: stopped and resumed it
// computes the same losses, bit for bit, on the same engine with as many workers and ranks. It refuses to know of flags and files.
package train

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/switchyard-ai/switchyard/examples/gpt/ckpt"
	"github.com/switchyard-ai/switchyard/examples/gpt/corpus"
	"github.com/switchyard-ai/switchyard/examples/gpt/matmul"
	"github.com/switchyard-ai/switchyard/examples/gpt/model"
	"github.com/switchyard-ai/switchyard/examples/gpt/ring"
	"github.com/switchyard-ai/switchyard/examples/gpt/vec"
)

// Settings are what a run is made of, besides its text. A resumed run must have the same.
type Settings struct {
	Shape model.Shape `json:"shape"`
	Batch int         `json:"batch"` // sequences in a step, over all ranks
	Steps int         `json:"steps"` // they set the schedule
	Rate  float64     `json:"rate"`  // highest learning rate
	Seed  uint64      `json:"seed"`
	Text  string      `json:"text"` // fingerprint of the text to train on
}

// Validate tells what is wrong with s for a run of so many ranks.
func (s Settings) Validate(ranks int) error {
	switch {
	case s.Batch < ranks:
		return fmt.Errorf("a batch of %d sequences is too small for %d ranks", s.Batch, ranks)
	case s.Steps < 1:
		return fmt.Errorf("%d steps: it takes at least 1", s.Steps)
	case !(s.Rate > 0):
		return fmt.Errorf("learning rate %g: it must be above 0", s.Rate)
	}
	return s.Shape.Validate()
}

// Trainer is one rank's part in a run. It belongs to one goroutine.
type Trainer struct {
	Settings
	Step int           // steps done
	Own  time.Duration // of the steps that this process did: its own work, without the wait for other ranks

	text     *corpus.Corpus
	ring     *ring.Ring
	engine   *matmul.Engine
	ops      vec.Ops
	weights  *model.Weights
	packed   model.Packed
	m, v     []float32 // AdamW's moments
	workers  []*model.Worker
	losses   []float64 // of each worker in this step
	exchange []float32 // gradient, loss and wish to stop, for the ring
}

// extras are the numbers that travel with the gradient: the loss, and how many ranks were told to stop.
const extras = 2

// New is a trainer of so many workers, at the start of the run.
func New(s Settings, text *corpus.Corpus, e *matmul.Engine, r *ring.Ring, workers int) *Trainer {
	n := s.Shape.Params()
	t := &Trainer{
		Settings: s, text: text, ring: r, engine: e, ops: vec.New(e.IsVector()),
		weights: model.NewWeights(s.Shape), m: make([]float32, n), v: make([]float32, n),
	}
	own := (r.Rank+1)*s.Batch/r.Size - r.Rank*s.Batch/r.Size
	for range max(1, min(workers, own)) {
		t.workers = append(t.workers, model.NewWorker(s.Shape, e))
	}
	t.losses = make([]float64, len(t.workers))
	if r.Size > 1 {
		t.exchange = make([]float32, n+extras)
	}
	t.weights.Init(s.Seed)
	t.pack()
	return t
}

// Workers is a sensible number of workers for one of so many ranks on this machine.
func Workers(ranksHere int) int { return max(1, runtime.GOMAXPROCS(0)/max(1, ranksHere)) }

// Tokens is the number of bytes learned so far.
func (t *Trainer) Tokens() int64 { return int64(t.Step) * t.TokensPerStep() }

// TokensPerStep is the number of bytes that a step learns.
func (s Settings) TokensPerStep() int64 { return int64(s.Batch) * int64(s.Shape.Seq) }

// Next does one step, and returns the loss of its batch before the step, in nats per byte. The wish to stop of any rank is
// stopped in all of them, after the same step.
func (t *Trainer) Next(stop bool) (loss float64, stopped bool, err error) {
	began := time.Now()
	t.learn()
	t.gather()
	t.Own += time.Since(began)
	grad := t.workers[0].Grad.Flat
	for _, l := range t.losses {
		loss += l
	}
	loss /= float64(t.TokensPerStep())
	stopped = stop
	if t.ring.Size > 1 {
		if loss, stopped, err = t.reduce(grad, loss, stop); err != nil {
			return 0, false, err
		}
	}
	began = time.Now()
	t.update(grad)
	t.Step++
	t.pack()
	t.Own += time.Since(began)
	return loss, stopped, nil
}

// learn runs this rank's share of the batch, each worker its own fixed part.
func (t *Trainer) learn() {
	first, end := t.ring.Rank*t.Batch/t.ring.Size, (t.ring.Rank+1)*t.Batch/t.ring.Size
	scale := float32(1 / float64(t.TokensPerStep()))
	t.each(func(i int, w *model.Worker) {
		w.Zero()
		t.losses[i] = 0
		own := end - first
		for q := first + i*own/len(t.workers); q < first+(i+1)*own/len(t.workers); q++ {
			window := t.text.Window(t.Seed, uint64(t.Step)*uint64(t.Batch)+uint64(q), t.Shape.Seq+1)
			t.losses[i] += w.Learn(&t.packed, window, scale)
		}
	})
}

// each runs do once for every worker, at the same time, and waits.
func (t *Trainer) each(do func(i int, w *model.Worker)) {
	var wait sync.WaitGroup
	for i, w := range t.workers {
		wait.Go(func() { do(i, w) })
	}
	wait.Wait()
}

// span is the i-th of as many parts of n as there are workers.
func (t *Trainer) span(n, i int) (from, to int) {
	return i * n / len(t.workers), (i + 1) * n / len(t.workers)
}

// gather adds all workers' gradients to the first one's, always in the same order.
func (t *Trainer) gather() {
	sum := t.workers[0].Grad.Flat
	t.each(func(i int, _ *model.Worker) {
		from, to := t.span(len(sum), i)
		for _, w := range t.workers[1:] {
			t.ops.Add(sum[from:to], w.Grad.Flat[from:to])
		}
	})
}

func (t *Trainer) reduce(grad []float32, loss float64, stop bool) (float64, bool, error) {
	n := copy(t.exchange, grad)
	t.exchange[n], t.exchange[n+1] = float32(loss), 0
	if stop {
		t.exchange[n+1] = 1
	}
	if err := t.ring.AllReduce(t.exchange); err != nil {
		return 0, false, err
	}
	copy(grad, t.exchange)
	return float64(t.exchange[n]), t.exchange[n+1] > 0, nil
}

func (t *Trainer) pack() {
	parts := t.packed.Parts(t.weights)
	t.each(func(i int, _ *model.Worker) {
		for part := i; part < parts; part += len(t.workers) {
			t.packed.PackPart(t.engine, part)
		}
	})
}

// HeldOut is the loss on the probes, in nats per byte.
func (t *Trainer) HeldOut(probes [][]byte) float64 {
	counts := make([]int, len(t.workers))
	t.each(func(i int, w *model.Worker) {
		t.losses[i] = 0
		for p := i; p < len(probes); p += len(t.workers) {
			t.losses[i] += w.Loss(&t.packed, probes[p])
			counts[i] += len(probes[p]) - 1
		}
	})
	loss, n := 0.0, 0
	for i := range counts {
		loss, n = loss+t.losses[i], n+counts[i]
	}
	return loss / float64(max(1, n))
}

// Sample continues the prompt by n bytes.
func (t *Trainer) Sample(prompt string, n int, temperature float64) []byte {
	return t.workers[0].Sample(&t.packed, []byte(prompt), n, temperature, t.Seed)
}

// Checkpoint is the state after the steps done so far. It shares its arrays with the trainer.
func (t *Trainer) Checkpoint() (*ckpt.Checkpoint, error) {
	run, err := json.Marshal(t.Settings)
	if err != nil {
		return nil, err
	}
	return &ckpt.Checkpoint{
		Manifest: ckpt.Manifest{Step: t.Step, Tokens: t.Tokens(), Next: uint64(t.Step) * uint64(t.Batch), Run: run},
		Arrays:   [][]float32{t.weights.Flat, t.m, t.v},
	}, nil
}

// Restore goes on from a checkpoint, which must be of the same settings.
func (t *Trainer) Restore(c *ckpt.Checkpoint) error {
	s, err := SettingsOf(c)
	if err != nil {
		return err
	}
	if s != t.Settings {
		return fmt.Errorf("the checkpoint is of another run: %+v; this one is %+v; give another directory, or the same settings", s, t.Settings)
	}
	n := s.Shape.Params()
	if len(c.Arrays) != 3 || len(c.Arrays[0]) != n || len(c.Arrays[1]) != n || len(c.Arrays[2]) != n {
		return fmt.Errorf("the checkpoint of step %d does not hold %d parameters with their moments", c.Step, n)
	}
	copy(t.weights.Flat, c.Arrays[0])
	copy(t.m, c.Arrays[1])
	copy(t.v, c.Arrays[2])
	t.Step = c.Step
	t.pack()
	return nil
}

// SettingsOf reads what run a checkpoint is of.
func SettingsOf(c *ckpt.Checkpoint) (Settings, error) {
	var s Settings
	if err := json.Unmarshal(c.Run, &s); err != nil {
		return s, fmt.Errorf("settings in the checkpoint of step %d: %w", c.Step, err)
	}
	return s, s.Validate(1)
}

// Share gives all ranks the state of rank 0, and its number of steps.
func (t *Trainer) Share() error {
	if t.ring.Size == 1 {
		return nil
	}
	// A number of steps travels in two halves: a float32 counts to 2^24 exactly.
	const half, low = 20, 1<<20 - 1
	counts := []float32{float32(t.Step >> half), float32(t.Step & low), float32(t.Steps >> half), float32(t.Steps & low)}
	for _, x := range [][]float32{counts, t.weights.Flat, t.m, t.v} {
		if err := t.ring.Broadcast(x); err != nil {
			return err
		}
	}
	t.Step = int(counts[0])<<half + int(counts[1])
	t.Steps = int(counts[2])<<half + int(counts[3])
	t.pack()
	return nil
}

// finite keeps a broken gradient from destroying the weights.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
