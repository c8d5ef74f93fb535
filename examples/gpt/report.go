package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
)

// progress is what a supervisor reads: a line "@yard " with this as JSON. Losses are in nats per byte.
type progress struct {
	Step            int      `json:"step"`
	Steps           int      `json:"steps"`
	Loss            float64  `json:"loss"`
	Tokens          int64    `json:"tokens"`
	TokensPerSecond float64  `json:"tokens_per_second"`
	CheckpointStep  int      `json:"checkpoint_step"`
	ComputeSeconds  float64  `json:"compute_seconds,omitempty"` // of a step, this rank's own work
	EvalLoss        *float64 `json:"eval_loss,omitempty"`
	BaselineLoss    *float64 `json:"baseline_loss,omitempty"`
}

// pace is what the ranks besides the first report: enough to find the one that all wait for.
type pace struct {
	Step           int     `json:"step"`
	ComputeSeconds float64 `json:"compute_seconds"`
}

// reportEvery is the least time between two reports.
const reportEvery = 500 * time.Millisecond

// reporter prints progress, at most every reportEvery besides the first and the last step; of ranks besides the first their
// pace alone.
type reporter struct {
	out           io.Writer
	first         bool // of the ranks
	steps         int
	tokensPerStep int64
	began, last   time.Time
	done, since   int           // steps of this process, and since the last report
	sum           float64       // of the losses since the last report
	own           time.Duration // this process's own work up to the last report
	latest        progress
}

func newReporter(out io.Writer, first bool, steps int, tokensPerStep int64) *reporter {
	return &reporter{out: out, first: first, steps: steps, tokensPerStep: tokensPerStep, began: time.Now()}
}

// step takes note of a step; final makes sure that it is reported. What is reported is the mean since the last report, of the
// loss and of the work, of which own is the sum up to now.
func (r *reporter) step(step int, loss float64, own time.Duration, saved int, final bool) {
	r.done++
	r.since++
	r.sum += loss
	now := time.Now()
	if r.done > 1 && step < r.steps && !final && now.Sub(r.last) < reportEvery {
		return
	}
	compute := ((own - r.own) / time.Duration(r.since)).Round(time.Microsecond).Seconds()
	if r.own = own; !r.first {
		r.last, r.since = now, 0
		r.print(pace{Step: step, ComputeSeconds: compute})
		return
	}
	r.latest = progress{
		Step: step, Steps: r.steps, Loss: r.sum / float64(r.since), Tokens: int64(step) * r.tokensPerStep,
		TokensPerSecond: r.speed(now), CheckpointStep: saved, ComputeSeconds: compute,
	}
	r.last, r.since, r.sum = now, 0, 0
	r.print(r.latest)
}

// speed is the tokens a second since this process began to train.
func (r *reporter) speed(now time.Time) float64 {
	seconds := now.Sub(r.began).Seconds()
	if seconds <= 0 {
		return 0
	}
	return float64(int64(float64(r.done) * float64(r.tokensPerStep) / seconds))
}

func (r *reporter) print(p any) {
	line, err := json.Marshal(p)
	if err != nil {
		// JSON has no word for a loss that is not finite; training leaves such gradients out and goes on.
		return
	}
	fmt.Fprintf(r.out, "@yard %s\n", line)
}

// describe prints what is about to be trained.
func (j *job) describe() {
	t, s := j.text, j.Shape
	j.printf("text: %d files, %s to learn; %d files, %s held out; %d generated files left out", len(t.TrainFiles),
		humanize.Bytes(uint64(len(t.Train))), len(t.HeldOutFiles), humanize.Bytes(uint64(len(t.HeldOut))), t.Generated)
	j.printf("model: %s parameters, %d layers × %d, %d heads; %s steps of %d sequences of %d bytes",
		humanize.Comma(int64(s.Params())), s.Layers, s.Dim, s.Heads, humanize.Comma(int64(j.Steps)), j.Batch, s.Seq)
	j.printf("matrix products: %s, %.0f GFLOP/s with %d workers", j.engine.Name(), j.peak/1e9, j.o.workerCount())
}

// finish scores the held-out text and prints what came of it all.
func (j *job) finish() {
	speed, trained := j.report.speed(time.Now()), j.report.done > 0
	held := j.text.Probes(probes, j.Shape.Seq+1)
	loss, baseline := j.HeldOut(held), j.text.Bigram(held)
	p := j.report.latest
	p.Step, p.Steps, p.Tokens, p.CheckpointStep = j.Step, j.Steps, j.Tokens(), j.saved
	if !trained {
		p.Loss = loss
	}
	p.EvalLoss, p.BaselineLoss = &loss, &baseline
	j.report.print(p)
	j.printf("held-out loss %.3f nats/byte on text it never saw; bigram %.3f", loss, baseline)
	if trained {
		j.speed(speed)
	}
	if j.o.sample > 0 {
		fmt.Fprintf(j.out, "sample:\n%s%s\n", j.o.prompt, printable(j.Sample(j.o.prompt, j.o.sample, defaultTemperature)))
	}
}

// speed prints how fast it was, all ranks together, beside what products alone reached at the start on as many machines.
func (j *job) speed(tokens float64) {
	used, peak := tokens*j.Shape.FLOPs(), j.peak*float64(j.o.place.size)
	j.printf("%s tokens/s: %.0f GFLOP/s in training, %.0f%% of the %.0f GFLOP/s that matrix products alone reached at the start",
		humanize.Comma(int64(tokens)), used/1e9, 100*used/peak, peak/1e9)
}

// printable replaces the zero bytes that separate files.
func printable(text []byte) string {
	out := make([]rune, 0, len(text))
	for _, r := range string(text) {
		if r == 0 {
			r = '\n'
		}
		out = append(out, r)
	}
	return string(out)
}
