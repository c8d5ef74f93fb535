package accuracy

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

// headline is the table of the figures to reach.
func headline(b *strings.Builder, tp, sp []point, trainingRows, servingRows int) {
	fmt.Fprintf(b, "%d of %d training rows and %d of %d inference rows are predicted and fitted; the others are listed below.\n\n", len(tp), trainingRows, len(sp), servingRows)
	b.WriteString("| | rows | mean | median | p90 | bias | in 80% interval | median, source out | mean, source out | baseline mean, source out |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	line := func(name string, points []point) {
		if len(points) == 0 {
			return
		}
		s := summarize(points, byFit)
		o := summarize(points, func(p point) float64 { return p.source })
		base := summarize(points, func(p point) float64 { return p.baseOut })
		fmt.Fprintf(b, "| %s | %d | %s | **%s** | %s | %+.1f%% | %s | %s | %s | %s |\n", name, s.rows, percent(s.mean), percent(s.median), percent(s.p90), 100*s.bias, percent(s.coverage), percent(o.median), percent(o.mean), percent(base.mean))
	}
	of := func(points []point, keep func(point) bool) []point {
		var out []point
		for _, p := range points {
			if keep(p) {
				out = append(out, p)
			}
		}
		return out
	}
	class := func(name string) func(point) bool { return func(p point) bool { return p.c.Class == name } }
	line("training, all", tp)
	line("training, dense", of(tp, class("dense")))
	line("training, mixture of experts", of(tp, class("moe")))
	line("training on Trainium", of(tp, func(p point) bool { return strings.HasPrefix(p.c.Chip, "Trainium") }))
	line("serving, all", sp)
	line("serving, dense on GPUs", of(sp, class("dense")))
	line("serving, mixture of experts", of(sp, class("moe")))
	line("serving on Inferentia and Trainium", of(sp, class("neuron")))
	o, base := summarize(tp, func(p point) float64 { return p.source }), summarize(tp, func(p point) float64 { return p.baseOut })
	fmt.Fprintf(b, "\nWith the source left out, the mean error of training is %.0f%% lower than constant MFU per chip.\n", 100*(1-o.mean/base.mean))
}

// tables are the errors by publication, chip and class.
func tables(b *strings.Builder, points []point, baseline string) {
	for _, by := range []struct {
		title string
		key   func(point) string
	}{
		{"publication", func(p point) string { return p.c.Group }},
		{"source", func(p point) string { return p.c.Source }},
		{"chip", func(p point) string { return p.c.Chip }},
		{"model class", func(p point) string { return p.c.Class }},
	} {
		fmt.Fprintf(b, "\n| %s | rows | mean | median | p90 | bias | in 80%% | source out | publication out | chip out | %s | …source out |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n", by.title, baseline)
		groups := map[string][]point{}
		for _, p := range points {
			groups[by.key(p)] = append(groups[by.key(p)], p)
		}
		names := make([]string, 0, len(groups))
		for name := range groups {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			line(b, name, groups[name])
		}
		line(b, "**all**", points)
	}
}

func line(b *strings.Builder, name string, points []point) {
	s := summarize(points, byFit)
	median := func(of func(point) float64) string { return percent(summarize(points, of).median) }
	fmt.Fprintf(b, "| %s | %d | %s | %s | %s | %+.1f%% | %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(name, "|", "/"), s.rows, percent(s.mean), percent(s.median), percent(s.p90), 100*s.bias, percent(s.coverage),
		median(func(p point) float64 { return p.source }), median(func(p point) float64 { return p.public }), median(func(p point) float64 { return p.chip }),
		median(func(p point) float64 { return p.base }), median(func(p point) float64 { return p.baseOut }))
}

// searches compares the parallelism that the search would choose with that of
// published runs, both as predicted.
func searches(b *strings.Builder, rows []measured.Training, c *estimate.Constants) {
	b.WriteString("\n## Search against published runs\n\nFor runs that publish their parallelism: predicted throughput of the search's choice over that of theirs, both within our own count of memory.\n\n| model | chips | theirs | ours | ratio |\n|---|---|---|---|--:|\n")
	seen := map[string]bool{}
	var ratios []float64
	same := 0
	for _, r := range rows {
		if !r.Exact || r.Job.Trial {
			continue
		}
		theirs, err := r.Predict(c)
		if err != nil {
			continue
		}
		key := fmt.Sprint(r.Job.Model.ID, r.Cluster.Chip.ID, r.Cluster.Chips, r.Job.Seq, r.Job.GlobalBatch, theirs.Parallelism)
		if seen[key] {
			continue
		}
		seen[key] = true
		job := r.Job
		job.Recompute = estimate.AnyRecompute
		ours, _, err := estimate.SearchTraining(job, r.Cluster, c)
		if err != nil {
			continue
		}
		ratio := theirs.Seconds / ours.Seconds
		ratios = append(ratios, ratio)
		p, q := theirs.Parallelism, ours.Parallelism
		if p.TP == q.TP && p.PP == q.PP && p.CP == q.CP && p.EP == q.EP {
			same++
		}
		if r.Job.Model.Layers >= 32 && (p.TP > 1 || p.PP > 1 || p.EP > 1) && strings.Contains(r.Source, "NVIDIA") {
			fmt.Fprintf(b, "| %s | %d × %s | %s | %s | %.2f |\n", r.Job.Model.ID, r.Cluster.Chips, r.Cluster.Chip.ID, measured.Describe(p), measured.Describe(q), ratio)
		}
	}
	sort.Float64s(ratios)
	if n := len(ratios); n > 0 {
		fmt.Fprintf(b, "\nOver all %d distinct runs the same tensor, pipeline, context and expert parallelism is chosen for %d; the median ratio is %.2f (10%% to 90%%: %.2f to %.2f). A ratio below 1 means that their run does not fit in our count of memory.\n", n, same, ratios[n/2], ratios[n/10], ratios[n*9/10])
	}
}

func leftOut(b *strings.Builder, lists ...[]measured.Skipped) {
	b.WriteString("\n## Rows left out of the fit\n\n| file line | source | model | chip | why |\n|--:|---|---|---|---|\n")
	for _, list := range lists {
		for _, s := range list {
			fmt.Fprintf(b, "| %d | %s | %s | %s | %s |\n", s.Row.Line, s.Row.Text("source"), s.Row.Text("model"), s.Row.Text("chip"), s.Reason)
		}
	}
}

// resisting lists the rows that are furthest off although they are fitted.
func resisting(b *strings.Builder, lists ...[]point) {
	b.WriteString("\n## Rows that resist\n\nFitted, yet off by more than 40%: the estimator lacks something that these set-ups have, or the published figure is wrong.\n\n| line | source | model | chip | predicted/measured time |\n|--:|---|---|---|--:|\n")
	for _, list := range lists {
		for _, p := range list {
			if ratio := math.Exp(-p.fit); math.Abs(ratio-1) > 0.4 {
				fmt.Fprintf(b, "| %d | %s | %s | %s | %.2f |\n", p.c.Line, p.c.Source, p.c.Name, p.c.Chip, ratio)
			}
		}
	}
}

func constants(b *strings.Builder, c *estimate.Constants) {
	for _, kind := range []struct {
		title  string
		table  []estimate.Global
		values map[string]float64
	}{{"training", estimate.TrainingGlobals(), c.Training.Globals}, {"serving", estimate.ServingGlobals(), c.Serving.Globals}} {
		fmt.Fprintf(b, "\n## Constants of %s\n\n| name | prior | fitted | what it is |\n|---|--:|--:|---|\n", kind.title)
		for _, g := range kind.table {
			fmt.Fprintf(b, "| %s | %.3g | %.3g | %s |\n", g.Name, g.Prior, kind.values[g.Name], g.Meaning)
		}
	}
}
