package workload

import (
	"time"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/units"
)

func (r *rules) training(w *Workload) {
	t := w.Training
	r.within("sequence_length", t.SequenceLength, 1, maxSequence)
	r.within("global_batch", t.GlobalBatch, 1, maxBatch)
	r.positive("checkpoint.every", t.Checkpoint.Every)
	r.within("checkpoint.keep", t.Checkpoint.Keep, 1, maxRestarts)
	if w.Precision == chip.INT8 || w.Precision == chip.INT4 {
		r.fault("precision", "%s is for inference; a training takes fp32, tf32, fp16, bf16, fp8 or fp4", w.Precision)
	}
	if r.document.Has("tokens") && t.Tokens == 0 {
		r.fault("tokens", "at least one token is needed")
	}
	r.together(w)
	if w.Shape != nil && w.Shape.LearnedPos && t.SequenceLength > w.Shape.MaxSeq {
		r.fault("sequence_length", "%d is longer than the %d learned positions of the model", t.SequenceLength, w.Shape.MaxSeq)
	}
	if t.SequenceLength < 1 || t.SequenceLength > maxSequence || t.GlobalBatch < 1 || t.GlobalBatch > maxBatch {
		return
	}
	if step := t.TokensPerStep(); t.Tokens > 0 && int64(t.Tokens) < step {
		r.fault("tokens", "%d is less than one step: %d sequences of %d tokens are %d", int64(t.Tokens), t.GlobalBatch, t.SequenceLength, step)
	}
}

// together asks for the three sizes of a training as soon as one is given, or
// a model is: with a part of them nothing can be worked out.
func (r *rules) together(w *Workload) {
	sizes := []string{"tokens", "sequence_length", "global_batch"}
	any := r.document.Has("model")
	for _, field := range sizes {
		any = any || r.document.Has(field)
	}
	for _, field := range sizes {
		if any && !r.document.Has(field) {
			r.fault(field, "the field is missing; model, tokens, sequence_length and global_batch go together")
		}
	}
	if any && !r.document.Has("model") {
		r.fault("model", "the field is missing; model, tokens, sequence_length and global_batch go together")
	}
}

func (r *rules) needsModel() {
	if !r.document.Has("model") {
		r.fault("model", "the field is missing and needed")
	}
}

func (r *rules) request(request Request) {
	r.within("request.input_tokens", request.InputTokens, 1, maxSequence)
	r.within("request.output_tokens", request.OutputTokens, 1, maxSequence)
}

func (r *rules) service(w *Workload) {
	s := w.Service
	r.needsModel()
	r.request(s.Request)
	t := s.Traffic
	switch {
	case t.RequestsPerSecond < 0 || t.TokensPerSecond < 0:
		r.fault("traffic", "traffic cannot be negative")
	case t.RequestsPerSecond > 0 && t.TokensPerSecond > 0:
		r.fault("traffic", "requests_per_second and tokens_per_second are two loads; give one")
	case t.RequestsPerSecond == 0 && t.TokensPerSecond == 0 && r.document.Has("traffic"):
		r.fault("traffic", "a load is needed: requests_per_second or tokens_per_second")
	}
	if !finite(t.RequestsPerSecond) || !finite(t.TokensPerSecond) || !finite(t.PeakFactor) {
		r.fault("traffic", "a load must be a number below 1e12")
	}
	if r.document.Has("traffic.peak_factor") && t.PeakFactor < 1 {
		r.fault("traffic.peak_factor", "the peak is at least the mean: 1 or more is valid")
	}
	r.percentiles("slo.ttft", s.SLO.TTFT)
	r.percentiles("slo.tpot", s.SLO.TPOT)
	r.bounds("replicas", s.Replicas.Min, s.Replicas.Max, maxReplicas)
}

func finite(x float64) bool { return x == x && x < 1e12 }

func (r *rules) percentiles(field string, p Percentiles) {
	r.positive(field+".p50", p.P50)
	r.positive(field+".p95", p.P95)
	if p.P50 > 0 && p.P95 > 0 && p.P50 > p.P95 {
		r.fault(field, "p50 %s is more than p95 %s", time.Duration(p.P50), time.Duration(p.P95))
	}
}

func (r *rules) positive(field string, d units.Duration) {
	if r.document.Has(field) && d <= 0 {
		r.fault(field, "a time above zero is needed")
	}
}

func (r *rules) batch(w *Workload) {
	b := w.Batch
	r.needsModel()
	r.request(b.Request)
	given := 0
	for _, field := range []string{"requests", "input_tokens", "output_tokens"} {
		if r.document.Has(field) {
			given++
		}
	}
	switch {
	case given == 0:
		r.fault("requests", "the field is missing; give requests, or all input_tokens or output_tokens together")
	case r.document.Has("requests") && given > 1:
		r.fault("requests", "requests and tokens in total are two sizes; give one")
	case b.Total() == 0:
		r.fault("requests", "at least one request is needed")
	}
	in, out := int64(b.Request.InputTokens), int64(b.Request.OutputTokens)
	if b.InputTokens > 0 && b.OutputTokens > 0 && in > 0 && out > 0 {
		byInput, byOutput := ceilDiv(int64(b.InputTokens), in), ceilDiv(int64(b.OutputTokens), out)
		if low, high := min(byInput, byOutput), max(byInput, byOutput); high-low > high/100 {
			r.fault("input_tokens", "they make %d requests of %d tokens, but output_tokens make %d of %d", byInput, in, byOutput, out)
		}
	}
}
