// Package workload owns what someone wants done: the Training, Service and
// Batch files that people write, their fields and all rules about them.
//
// It refuses to know prices, speeds and pools: whether and where a workload
// fits is for estimate and scheduler to say.
package workload

import (
	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/model"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Kind is the kind of a workload file.
type Kind string

// The kinds of workload.
const (
	KindTraining Kind = "Training"
	KindService  Kind = "Service"
	KindBatch    Kind = "Batch"
)

// Values lists the kinds.
func (Kind) Values() []string {
	return []string{string(KindTraining), string(KindService), string(KindBatch)}
}

// Workload is a validated workload. Exactly one of Training, Service and Batch
// is set, by Kind.
type Workload struct {
	Common
	Ending

	Shape    *model.Model `json:"-"` // the model named or given; nil where there is none. Do not change it
	Training *Training    `json:"training,omitempty"`
	Service  *Service     `json:"service,omitempty"`
	Batch    *Batch       `json:"batch,omitempty"`
}

// Common is what all kinds share.
type Common struct {
	Kind     Kind   `json:"kind" jsonschema:"required"`
	Name     string `json:"name" jsonschema:"required" jsonschema_description:"Lower-case letters, digits and dashes; runs are named after it."`
	Project  string `json:"project,omitempty" jsonschema_description:"Who pays: quotas and the ledger count by project. Default: default."`
	Priority int    `json:"priority,omitempty" jsonschema:"minimum=-1000,maximum=1000" jsonschema_description:"From -1000 to 1000; higher goes first. Default: 0."`

	Model     ModelRef   `json:"model,omitzero" jsonschema_description:"A preset by name or a shape. Without a model the workload can run, but not be quoted."`
	Precision chip.DType `json:"precision,omitempty" jsonschema_description:"Numeric type of the matrix products. Default: bf16."`

	Place    Place                   `json:"place,omitzero" jsonschema_description:"Where it may run, and at what size."`
	Data     []Dataset               `json:"data,omitempty" jsonschema_description:"What it reads, where that lies, and where it may be read."`
	Restarts Restarts                `json:"restarts,omitzero" jsonschema_description:"What happens when an attempt fails."`
	Watchdog *units.Duration         `json:"watchdog,omitempty" jsonschema_description:"After so long without progress an attempt hangs, and is restarted; 0s is never. Default: 10m, or 20 steps where those take longer, from the first progress on."`
	Variants map[chip.Family]Variant `json:"variants" jsonschema:"required" jsonschema_description:"How it runs, one variant per chip family."`
}

// Ending is what workloads have that end.
type Ending struct {
	Deadline Deadline `json:"deadline,omitzero" jsonschema_description:"A date, which is included, or a time such as 2027-03-01T12:00:00Z."`
	Budget   Budget   `json:"budget,omitzero" jsonschema_description:"The most that the whole run may cost, such as $9.0M or 9000000 EUR."`
}

// ModelRef names a model or gives its shape, not both.
type ModelRef struct {
	Preset string       `json:"preset,omitempty" jsonschema_description:"A name that yard models lists, or as on model hubs."`
	Shape  *model.Model `json:"shape,omitempty" jsonschema_description:"The full shape; yard models import prints it from a config.json."`
}

// Training is a run over a number of tokens.
type Training struct {
	Tokens         units.Count `json:"tokens,omitempty" jsonschema_description:"Tokens to train on, all epochs together, such as 15T."`
	SequenceLength int         `json:"sequence_length,omitempty" jsonschema:"minimum=1" jsonschema_description:"Tokens per sequence."`
	GlobalBatch    int         `json:"global_batch,omitempty" jsonschema:"minimum=1" jsonschema_description:"Sequences per step, over all ranks."`
	Checkpoint     Checkpoint  `json:"checkpoint,omitzero"`
}

// Steps is how many steps the tokens take, the last one perhaps not full; 0
// where the file does not say.
func (t Training) Steps() int64 {
	perStep := t.TokensPerStep()
	if perStep == 0 {
		return 0
	}
	return (int64(t.Tokens) + perStep - 1) / perStep
}

// TokensPerStep is the global batch in tokens.
func (t Training) TokensPerStep() int64 { return int64(t.SequenceLength) * int64(t.GlobalBatch) }

// Service answers requests until it is stopped.
type Service struct {
	Traffic  Traffic  `json:"traffic" jsonschema:"required"`
	Request  Request  `json:"request" jsonschema:"required"`
	SLO      SLO      `json:"slo,omitzero"`
	Replicas Replicas `json:"replicas,omitzero"`
}

// Traffic is the load that a service must carry, as requests or as output
// tokens, not both.
type Traffic struct {
	RequestsPerSecond float64 `json:"requests_per_second,omitempty" jsonschema:"minimum=0" jsonschema_description:"Mean over a busy hour."`
	TokensPerSecond   float64 `json:"tokens_per_second,omitempty" jsonschema:"minimum=0" jsonschema_description:"Output tokens per second, mean over a busy hour."`
	PeakFactor        float64 `json:"peak_factor,omitempty" jsonschema:"minimum=1" jsonschema_description:"Peak over mean, at least 1. Default: 1."`
}

// Request is the mean size of one request, in tokens.
type Request struct {
	InputTokens  int `json:"input_tokens" jsonschema:"required,minimum=1"`
	OutputTokens int `json:"output_tokens" jsonschema:"required,minimum=1"`
}

// SLO is how fast a service must answer.
type SLO struct {
	TTFT Percentiles `json:"ttft,omitzero" jsonschema_description:"Time to first token."`
	TPOT Percentiles `json:"tpot,omitzero" jsonschema_description:"Time per output token after the first."`
}

// Percentiles are bounds on a time; zero means none.
type Percentiles struct {
	P50 units.Duration `json:"p50,omitempty"`
	P95 units.Duration `json:"p95,omitempty"`
}

// Replicas bounds the copies of a service; Max 0 means no bound.
type Replicas struct {
	Min int `json:"min,omitempty" jsonschema:"minimum=0"`
	Max int `json:"max,omitempty" jsonschema:"minimum=1"`
}

// Batch answers a fixed number of requests, in no order, by a deadline. The
// number is given as requests, or as total input or output tokens.
type Batch struct {
	Request      Request     `json:"request" jsonschema:"required"`
	Requests     units.Count `json:"requests,omitempty"`
	InputTokens  units.Count `json:"input_tokens,omitempty" jsonschema_description:"Input tokens of all requests together."`
	OutputTokens units.Count `json:"output_tokens,omitempty" jsonschema_description:"Output tokens of all requests together."`
}

// Total is the number of requests, however the file gives it.
func (b Batch) Total() int64 {
	switch {
	case b.Requests > 0:
		return int64(b.Requests)
	case b.OutputTokens > 0 && b.Request.OutputTokens > 0:
		return ceilDiv(int64(b.OutputTokens), int64(b.Request.OutputTokens))
	case b.InputTokens > 0 && b.Request.InputTokens > 0:
		return ceilDiv(int64(b.InputTokens), int64(b.Request.InputTokens))
	}
	return 0
}

func ceilDiv(a, b int64) int64 { return (a-1)/b + 1 }

// Unquotable says why the workload cannot be quoted, or "".
func (w *Workload) Unquotable() string {
	if w.Shape == nil {
		return "it names no model: give model, tokens, sequence_length and global_batch"
	}
	return ""
}
