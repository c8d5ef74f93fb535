// Package accuracy owns the report of how well the estimator predicts the
// shipped measurements: errors by source, chip and class, with rows left out,
// beside baselines, and the plots.
//
// It refuses to fit (calibrate) and to write files: it returns text.
package accuracy

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/calibrate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

// point is one predicted and measured quantity.
type point struct {
	c       calibrate.Case
	fit     float64 // log(measured/predicted) time with the shipped constants
	source  float64 // the same with its source left out
	public  float64 // with all editions of its publication left out
	chip    float64 // with its chip left out
	base    float64 // of the baseline, in sample
	baseOut float64 // of the baseline with its source left out
	inside  bool    // measured within the 80% interval
}

// Report is the text of docs/accuracy.md and the plots beside it by name.
type Report struct {
	Markdown string
	Plots    map[string]string
}

// Write makes the report of the constants on the shipped rows.
func Write(c *estimate.Constants) Report {
	files := measured.Embedded()
	training, leftTraining := measured.TrainingRows(files.Training)
	serving, leftServing := measured.ServingRows(files.Inference)
	tp := points(calibrate.TrainingKind(), calibrate.TrainingCases(training, c), &c.Training)
	all := points(calibrate.ServingKind(), calibrate.ServingCases(serving), &c.Serving)
	trainingIntervals(tp, training, c)
	servingIntervals(all, serving, c)
	sp, first := split(all)

	var b strings.Builder
	b.WriteString(opening)
	headline(&b, tp, sp, len(training)+len(leftTraining), len(serving)+len(leftServing))
	b.WriteString("\n![Training: predicted against measured](accuracy/training.svg)\n\n![Serving: predicted against measured](accuracy/serving.svg)\n")
	b.WriteString("\n## Training\n")
	tables(&b, tp, "constant MFU per chip")
	b.WriteString("\n## Serving\n\nEach row counts once: by time per token where it has one, by throughput otherwise.\n")
	tables(&b, sp, "constant bandwidth use per chip")
	fmt.Fprintf(&b, "\nTime to first token is predicted with a median error of %.0f%% on %d rows: it depends on how a benchmark starts its requests, and is not fitted for its own sake.\n", 100*summarize(first, byFit).median, len(first))
	searches(&b, training, c)
	leftOut(&b, leftTraining, leftServing)
	resisting(&b, tp, sp)
	constants(&b, c)
	return Report{b.String(), map[string]string{"training.svg": plot("Training", "step time, s", tp), "serving.svg": plot("Serving", "seconds per token (of a request, or of the deployment)", sp)}}
}

const opening = `# How well the estimator predicts

Written by ` + "`make accuracy`" + ` from the measurements that ship with yard (internal/estimate/measured/data, each row with
its source). Error is |predicted/measured − 1| of time; bias is the mean of predicted/measured − 1 (positive: predicted too
slow). *Source out* refits all constants without the row's source, *publication out* without any edition of it, and *chip out*
without any row of its chip. The baseline takes one constant per chip, the median of its rows, and falls back to the
chipmaker's and then to all rows for a chip that is left without any.

`

func points(kind calibrate.Kind, cases []calibrate.Case, k *estimate.KindConstants) []point {
	source := calibrate.HoldOut(kind, cases, k, calibrate.BySource)
	public := calibrate.HoldOut(kind, cases, k, calibrate.ByPublication)
	chip := calibrate.HoldOut(kind, cases, k, calibrate.ByChip)
	base := baseline(cases, nil)
	baseOut := baseline(cases, calibrate.BySource)
	out := make([]point, len(cases))
	for i := range cases {
		out[i] = point{c: cases[i], fit: cases[i].Residual(k), source: source[i], public: public[i], chip: chip[i], base: base[i], baseOut: baseOut[i]}
	}
	return out
}

// baseline is log(measured/predicted) of one constant per chip, without the
// rows of the same group where a grouping is given.
func baseline(cases []calibrate.Case, group func(calibrate.Case) string) []float64 {
	out := make([]float64, len(cases))
	for i, c := range cases {
		for _, same := range []func(calibrate.Case) bool{
			func(o calibrate.Case) bool { return o.Chip == c.Chip },
			func(o calibrate.Case) bool { return o.Nodes[0] == c.Nodes[0] },
			func(calibrate.Case) bool { return true },
		} {
			var ratios []float64
			for _, o := range cases {
				if same(o) && o.What == c.What && (group == nil || group(o) != group(c)) {
					ratios = append(ratios, o.Time-o.Ideal)
				}
			}
			if len(ratios) > 0 {
				sort.Float64s(ratios)
				out[i] = c.Time - c.Ideal - ratios[len(ratios)/2]
				break
			}
		}
	}
	return out
}

// split keeps one quantity of each serving row, and returns first tokens apart.
func split(all []point) (main, first []point) {
	seen := map[int]bool{}
	for _, p := range all {
		switch {
		case p.c.What == "ttft":
			first = append(first, p)
		case !seen[p.c.Line]:
			seen[p.c.Line] = true
			main = append(main, p)
		}
	}
	return main, first
}

func trainingIntervals(points []point, rows []measured.Training, c *estimate.Constants) {
	byLine := map[int]measured.Training{}
	for _, r := range rows {
		byLine[r.Row.Line] = r
	}
	for i := range points {
		row := byLine[points[i].c.Line]
		if step, err := row.Predict(c); err == nil {
			points[i].inside = row.Seconds >= step.Low && row.Seconds <= step.High
		}
	}
}

func servingIntervals(points []point, rows []measured.Serving, c *estimate.Constants) {
	byLine := map[int]measured.Serving{}
	for _, r := range rows {
		byLine[r.Row.Line] = r
	}
	for i := range points {
		row := byLine[points[i].c.Line]
		if s, err := row.Predict(c); err == nil {
			points[i].inside = math.Abs(points[i].fit) <= math.Log(s.High/s.TPOT)
		}
	}
}

// summary is what is said of a group of rows.
type summary struct {
	rows                    int
	mean, median, p90, bias float64
	coverage                float64
}

func byFit(p point) float64 { return p.fit }

func summarize(points []point, of func(point) float64) summary {
	s := summary{rows: len(points)}
	if s.rows == 0 {
		return s
	}
	errors := make([]float64, len(points))
	for i, p := range points {
		signed := math.Exp(-of(p)) - 1
		errors[i] = math.Abs(signed)
		s.bias += signed
		s.mean += errors[i]
		if p.inside {
			s.coverage++
		}
	}
	n := float64(s.rows)
	s.bias, s.mean, s.coverage = s.bias/n, s.mean/n, s.coverage/n
	sort.Float64s(errors)
	s.median, s.p90 = errors[len(errors)/2], errors[int(0.9*float64(len(errors)-1)+0.5)]
	return s
}

func percent(v float64) string { return fmt.Sprintf("%.1f%%", 100*v) }
