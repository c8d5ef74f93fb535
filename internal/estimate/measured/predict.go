package measured

import (
	"fmt"
	"strconv"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// TrainingColumns are appended to a table of training rows.
func TrainingColumns() []string {
	return []string{"pred_step_s", "pred_tokens_per_s", "pred_low_step_s", "pred_high_step_s", "pred_mfu", "pred_parallelism", "status", "reason"}
}

// ServingColumns are appended to a table of inference rows.
func ServingColumns() []string {
	return []string{"pred_out_tokens_per_s", "pred_total_tokens_per_s", "pred_ttft_ms", "pred_tpot_ms", "pred_low_tpot_ms", "pred_high_tpot_ms", "status", "reason"}
}

// The statuses of rows without a prediction.
const (
	Abstained = "abstained" // understood, but not modelled or not possible
	Invalid   = "invalid"   // the row does not say what is to be predicted
)

// IsTraining reports whether a table's columns are those of training rows;
// known is false where they are neither these nor those of inference.
func IsTraining(t *Table) (training, known bool) {
	has := func(name string) bool { _, ok := t.index[name]; return ok }
	switch {
	case has("output_len") || has("input_len") || has("tpot_ms"):
		return false, true
	case has("seq_len") || has("global_batch_seqs") || has("step_s"):
		return true, true
	}
	return false, false
}

// PredictTraining returns the appended cells of one row.
func PredictTraining(r Row, c *estimate.Constants) []string {
	t, err := ReadTraining(r)
	if err != nil {
		return refused(len(TrainingColumns()), err, Invalid)
	}
	step, err := t.Predict(c)
	if err != nil {
		return refused(len(TrainingColumns()), err, Abstained)
	}
	return []string{
		cell(step.Seconds), cell(step.TokensPerSecond), cell(step.Low), cell(step.High), cell(step.MFU),
		Describe(step.Parallelism), string(step.Status), assumed(t.Assumed),
	}
}

// PredictServing returns the appended cells of one row.
func PredictServing(r Row, c *estimate.Constants) []string {
	s, err := ReadServing(r)
	if err != nil {
		status := Invalid
		if fault.Is(err, fault.NoCapacity) {
			status = Abstained
		}
		return refused(len(ServingColumns()), err, status)
	}
	v, err := s.Predict(c)
	if err != nil {
		return refused(len(ServingColumns()), err, Abstained)
	}
	if s.Whole { // the time per token that the row means holds the first token's too
		n := float64(s.Job.Output)
		whole := (v.TTFT + (n-1)*v.TPOT) / n
		v.Low, v.High, v.TPOT = v.Low*whole/v.TPOT, v.High*whole/v.TPOT, whole
	}
	return []string{
		cell(v.OutputPerSecond), cell(v.TotalPerSecond), cell(1e3 * v.TTFT), cell(1e3 * v.TPOT), cell(1e3 * v.Low), cell(1e3 * v.High),
		string(v.Status), assumed(s.Assumed),
	}
}

func refused(columns int, err error, status string) []string {
	out := make([]string, columns)
	out[columns-2], out[columns-1] = status, err.Error()
	return out
}

func assumed(what []string) string {
	if len(what) == 0 {
		return ""
	}
	text := "assumed: " + what[0]
	for _, w := range what[1:] {
		text += ", " + w
	}
	return text
}

func cell(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// Describe writes a parallelism in one word a dimension.
func Describe(p estimate.Parallelism) string {
	return fmt.Sprintf("dp%d tp%d pp%d ep%d cp%d mbs%d vp%d zero%d recompute-%s", p.DP, p.TP, p.PP, p.EP, p.CP, p.MicroBatch, max(1, p.Interleave), p.ZeRO, p.Recompute)
}
