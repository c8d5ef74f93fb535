package calibrate

import (
	"math"
	"sort"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

// Run fits all constants to the rows, with the spreads that make intervals.
func Run(training []measured.Training, serving []measured.Serving) *estimate.Constants {
	out := &estimate.Constants{}
	out.Training = fitKind(TrainingKind(), func(c *estimate.Constants) []Case { return TrainingCases(training, c) }, out, func(k estimate.KindConstants) { out.Training = k })
	out.Serving = fitKind(ServingKind(), func(*estimate.Constants) []Case { return ServingCases(serving) }, out, func(k estimate.KindConstants) { out.Serving = k })
	return out
}

// fitKind fits twice: a searched parallelism is chosen with the constants of
// the first round.
func fitKind(kind Kind, cases func(*estimate.Constants) []Case, all *estimate.Constants, set func(estimate.KindConstants)) estimate.KindConstants {
	first := Fit(kind, cases(all), nil)
	set(first)
	list := cases(all)
	k := Fit(kind, list, &first)
	k.Spread = spread(kind, list, &k)
	round(&k)
	return k
}

// HoldOut fits without each group in turn, starting from the whole fit, and
// returns the residuals of the cases while they were left out.
func HoldOut(kind Kind, cases []Case, whole *estimate.KindConstants, group func(Case) string) []float64 {
	quick := kind
	quick.Rounds = 4
	members := map[string][]int{}
	for i, c := range cases {
		members[group(c)] = append(members[group(c)], i)
	}
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make([]float64, len(cases))
	for _, name := range names {
		var in []Case
		for _, c := range cases {
			if group(c) != name {
				in = append(in, c)
			}
		}
		if len(in) == 0 {
			continue
		}
		k := Fit(quick, in, whole)
		for _, i := range members[name] {
			out[i] = cases[i].Residual(&k)
		}
	}
	return out
}

// BySource leaves out the rows of one edition of a publication.
func BySource(c Case) string { return c.Source }

// ByPublication leaves all editions of a publication out together.
func ByPublication(c Case) string { return c.Group }

// ByChip leaves a chip out.
func ByChip(c Case) string { return c.Chip }

// ByModel leaves out one model on one chip of one publication.
func ByModel(c Case) string { return c.Group + "|" + c.Chip + "|" + c.Name }

// z80 as in estimate: 80% of a normal distribution lie within ± z80.
const z80 = 1.2815515655446004

// sigma is the spread that puts four fifths of the residuals into ± z80 of it.
func sigma(residuals []float64) float64 {
	if len(residuals) == 0 {
		return 0
	}
	sorted := make([]float64, len(residuals))
	for i, r := range residuals {
		sorted[i] = math.Abs(r)
	}
	sort.Float64s(sorted)
	return sorted[min(len(sorted)-1, int(0.8*float64(len(sorted))))] / z80
}

// spread measures the intervals on rows that were left out: a model at a
// time for what is known, then sources, publications and chips, each on the
// rows for which just that is missing from the rest. Editions of one table are
// nearer to each other than other people's runs are, so that a source without
// rows is never taken to be surer than half of a framework without rows.
func spread(kind Kind, cases []Case, whole *estimate.KindConstants) estimate.Spread {
	model := blend(cases, HoldOut(kind, cases, whole, ByModel), whole)
	source := HoldOut(kind, cases, whole, BySource)
	publication := HoldOut(kind, cases, whole, ByPublication)
	chip := HoldOut(kind, cases, whole, ByChip)
	plain := func(c Case) bool { return !c.MoE && c.What != "ttft" }
	known := sigma(pick(cases, model, plain))
	extra := func(residuals []float64, floor float64) float64 {
		total := sigma(residuals)
		return max(floor, math.Sqrt(max(0, total*total-known*known)))
	}
	s := estimate.Spread{Known: known, Trial: known, Search: known}
	s.MoE = extra(pick(cases, model, func(c Case) bool { return c.MoE && c.What != "ttft" }), 0)
	s.Stack = extra(pick(cases, publication, func(c Case) bool { return plain(c) && left(cases, c, ByPublication, sameChip) }), known)
	s.Makers = wider(cases, model, known)
	s.Source = extra(pick(cases, source, func(c Case) bool {
		return plain(c) && left(cases, c, BySource, sameChip) && left(cases, c, BySource, sameStack)
	}), s.Stack/2)
	s.Stack = max(s.Stack, s.Source)
	s.Chip = extra(pick(cases, chip, func(c Case) bool { return plain(c) && left(cases, c, ByChip, sameMaker) }), known)
	s.Small = s.Chip
	s.Maker = extra(pick(cases, publication, func(c Case) bool { return plain(c) && !left(cases, c, ByPublication, sameMaker) }), s.Chip)
	return s
}

// enough rows of a maker to tell that they spread wider than all.
const enough = 20

// wider is the spread that makers' rows have beyond the known one.
func wider(cases []Case, residuals []float64, known float64) map[string]float64 {
	byMaker := map[string][]float64{}
	for i, c := range cases {
		if !c.MoE && c.What != "ttft" {
			maker := strings.TrimPrefix(c.Nodes[0], "maker:")
			byMaker[maker] = append(byMaker[maker], residuals[i])
		}
	}
	out := map[string]float64{}
	for maker, list := range byMaker {
		if total := sigma(list); len(list) >= enough && total > 1.1*known {
			out[maker] = digits(math.Sqrt(total*total-known*known), 3)
		}
	}
	return out
}

// left reports whether a case of the same kind stays when c's group leaves.
func left(cases []Case, c Case, group func(Case) string, same func(a, b Case) bool) bool {
	for _, o := range cases {
		if group(o) != group(c) && same(o, c) {
			return true
		}
	}
	return false
}

func sameChip(a, b Case) bool  { return a.Chip == b.Chip }
func sameMaker(a, b Case) bool { return a.Nodes[0] == b.Nodes[0] }
func sameStack(a, b Case) bool {
	return len(a.Nodes) > 2 && len(b.Nodes) > 2 && a.Nodes[2] == b.Nodes[2]
}

// blend mixes residuals of left-out models with those of the fit, in squares:
// what is asked is mostly near what was measured, but not the same.
func blend(cases []Case, out []float64, whole *estimate.KindConstants) []float64 {
	const share = 0.08
	mixed := make([]float64, len(out))
	for i := range cases {
		in := cases[i].Residual(whole)
		mixed[i] = math.Sqrt((1-share)*in*in + share*out[i]*out[i])
	}
	return mixed
}

func pick(cases []Case, residuals []float64, keep func(Case) bool) []float64 {
	var out []float64
	for i, c := range cases {
		if keep(c) {
			out = append(out, residuals[i])
		}
	}
	return out
}

// round keeps five significant digits, so that a refit on another machine
// writes the same file.
func round(k *estimate.KindConstants) {
	for _, m := range []map[string]float64{k.Globals, k.Effects} {
		for name, v := range m {
			m[name] = digits(v, 5)
		}
	}
	s := &k.Spread
	for _, v := range []*float64{&s.Known, &s.Source, &s.Stack, &s.Chip, &s.Maker, &s.MoE, &s.Trial, &s.Small, &s.Search} {
		*v = digits(*v, 3)
	}
}

func digits(v float64, n int) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, float64(n)-math.Ceil(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}
