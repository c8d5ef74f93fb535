package calibrate

import (
	"math"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

// ServingKind is the fit of the serving formulas.
func ServingKind() Kind {
	all := func(string) bool { return true }
	return Kind{Globals: estimate.ServingGlobals(), Rounds: 40, Release: 0.2, Scales: all}
}

// quantity is one of the measured columns of a serving row.
type quantity struct {
	name     string
	measured float64
	sign     float64
	weight   float64
	of       func(estimate.Service) float64
}

func quantities(row measured.Serving) []quantity {
	all := []quantity{
		{"tpot", row.TPOT, 1, 1, func(s estimate.Service) float64 { return s.TPOT }},
		{"output", row.Output, -1, 1, func(s estimate.Service) float64 { return s.OutputPerSecond }},
		{"total", row.Overall, -1, 1, func(s estimate.Service) float64 { return s.TotalPerSecond }},
		{"ttft", row.TTFT, 1, 0.1, func(s estimate.Service) float64 { return s.TTFT }},
	}
	var out []quantity
	for _, q := range all {
		if q.measured > 0 {
			out = append(out, q)
		}
	}
	return out
}

// ServingCases makes one case of each quantity that a row measures. Rows with
// several count once between them; the first token counts little, for it
// depends on how a benchmark starts its requests.
func ServingCases(rows []measured.Serving) []Case {
	var out []Case
	for _, row := range rows {
		for _, q := range quantities(row) {
			s, err := estimate.ServingSpeed(row.Job, row.Cluster, row.Layout, estimate.Default())
			if err != nil {
				continue
			}
			c := servingCase(row, q)
			c.Time, c.Ideal = math.Log(q.measured), math.Log(bandwidthTime(row, s))
			if q.sign < 0 { // seconds per token of the deployment
				c.Time = -c.Time
				c.Ideal -= math.Log(s.OutputPerSecond * s.TPOT * q.of(s) / s.OutputPerSecond)
			}
			out = append(out, c)
		}
	}
	return out
}

func servingCase(row measured.Serving, q quantity) Case {
	class := "dense"
	if row.Job.Model.MoE != nil {
		class = "moe"
	}
	if row.Cluster.Chip.Family == chip.Neuron {
		class = "neuron"
	}
	return Case{
		Source: row.Source, Group: measured.Series(row.Source), Chip: row.Cluster.Chip.ID, Class: class, MoE: row.Job.Model.MoE != nil, What: q.name,
		Nodes: estimate.Nodes(row.Cluster.Chip, row.Job.Engine), Line: row.Row.Line, Name: row.Job.Model.ID,
		Weight: q.weight * trust(row.Row.Text("notes"), row.Job.Trial), Sign: q.sign, Log: math.Log(q.measured),
		Predict: func(k *estimate.KindConstants) float64 {
			s, err := estimate.ServingSpeed(row.Job, row.Cluster, row.Layout, &estimate.Constants{Serving: *k})
			if err != nil {
				return math.NaN()
			}
			return math.Log(q.of(s))
		},
	}
}

// bandwidthTime is how long one device takes to read its weights and cache once.
func bandwidthTime(row measured.Serving, s estimate.Service) float64 {
	k := row.Cluster.Chip
	band := k.MemoryBandwidth
	if k.Family == chip.Neuron && k.Cores > 1 {
		band /= float64(k.Cores)
	}
	return (s.Memory.Weights + s.Memory.Activations) / band
}
