package calibrate

import (
	"math"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

// TrainingKind is the fit of the training formulas.
func TrainingKind() Kind {
	stack := func(node string) bool { return strings.HasPrefix(node, "stack:") }
	return Kind{Globals: estimate.TrainingGlobals(), Rounds: 40, Release: 0.07, Scales: stack}
}

// TrainingCases makes cases of the rows that were measured and can be
// predicted; a searched parallelism is frozen at what the constants choose.
func TrainingCases(rows []measured.Training, c *estimate.Constants) []Case {
	var out []Case
	for _, row := range rows {
		if row.Seconds == 0 {
			continue
		}
		step, err := row.Predict(c)
		if err != nil {
			continue
		}
		p := step.Parallelism
		job, cluster := row.Job, row.Cluster
		class := "dense"
		if job.Model.MoE != nil {
			class = "moe"
		}
		out = append(out, Case{
			Source: row.Source, Group: measured.Series(row.Source), Chip: cluster.Chip.ID, Class: class, MoE: class == "moe",
			Nodes: estimate.Nodes(cluster.Chip, job.Stack), Line: row.Row.Line, Name: job.Model.ID,
			Weight: trust(row.Row.Text("notes"), job.Trial), Sign: 1, Log: math.Log(row.Seconds), Time: math.Log(row.Seconds), Ideal: ideal(row),
			Predict: func(k *estimate.KindConstants) float64 {
				seconds, err := estimate.TrainingSeconds(job, cluster, p, &estimate.Constants{Training: *k})
				if err != nil {
					return math.NaN()
				}
				return math.Log(seconds)
			},
		})
	}
	return out
}

// ideal is the log of the step time at the peak of the job's numeric type.
func ideal(row measured.Training) float64 {
	tokens := float64(row.Job.Seq) * float64(row.Job.GlobalBatch)
	k := row.Cluster.Chip
	peak := k.PeakFLOPS[row.Job.Precision]
	if peak == 0 {
		peak = estimate.BF16Peak(k)
	}
	return math.Log(estimate.ModelFLOPs(row.Job.Model, float64(row.Job.Seq), tokens, true) / peak / float64(row.Cluster.Chips))
}
