// Package calibrate owns the fit of the estimator's constants to measured
// rows: hierarchical priors that pull a chip to its maker and a release to its
// framework, robust weights, and the spread that becomes the intervals.
//
// It refuses to read or write files, and to draw random numbers: the same rows
// give the same constants.
package calibrate

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/switchyard-ai/switchyard/internal/estimate"
)

// Case is a row that can be predicted and was measured.
type Case struct {
	Source  string   // as the row says
	Group   string   // the publication: source without edition
	Chip    string   // ID
	Class   string   // such as "dense" or "moe"
	What    string   // the quantity, such as "tpot"
	Nodes   []string // effects that apply, general to particular
	MoE     bool
	Line    int
	Name    string // model, for reports
	Weight  float64
	Predict func(*estimate.KindConstants) float64 // log of the predicted quantity that was measured
	Log     float64                               // log of the measured quantity
	Ideal   float64                               // log of the time at the chip's peak (training) or memory bandwidth (serving), for baselines
	Time    float64                               // log of the measured time
	Sign    float64                               // +1 where the quantity is a time, −1 where it is a rate
}

// trust is the weight of a row: less where its notes doubt it (trust=B or C:
// unclear set-up, one run, second hand), little where part of it was assumed.
func trust(notes string, assumed bool) float64 {
	switch {
	case assumed || strings.Contains(notes, "trust=C"):
		return 0.2
	case strings.Contains(notes, "trust=B"):
		return 0.4
	}
	return 1
}

// Kind is what is fitted: the globals and how they are laid out.
type Kind struct {
	Globals []estimate.Global
	Rounds  int
	Release float64                // spread of the effect of a framework's release around its framework, in log time
	Scales  func(node string) bool // whether an effect is exactly a factor on time
}

// effectSpread is how far a maker is from all, a chip from its maker, a
// framework from all and a release from its framework: standard deviations of
// the priors, in log time.
func (k Kind) effectSpread(node string) float64 {
	kind, path, _ := strings.Cut(node, ":")
	switch {
	case kind == "maker":
		return 0.15
	case kind == "chip":
		return 0.12
	case strings.Count(path, "/") == 0:
		return 0.2
	}
	return k.Release
}

// Fit returns the constants that explain the cases best, starting at start.
func Fit(kind Kind, cases []Case, start *estimate.KindConstants) estimate.KindConstants {
	f := newFitter(kind, cases)
	p := &problem{dim: len(f.names), scale: 0.08, residuals: f.residuals, linear: f.linear}
	for _, c := range cases {
		p.weights = append(p.weights, c.Weight)
	}
	x := f.offsets(start)
	x = p.solve(x, kind.Rounds)
	out := f.constants(x)
	out.Rows = f.rows
	return out
}

// fitter maps parameters to constants.
type fitter struct {
	kind   Kind
	cases  []Case
	names  []string // of the parameters: globals, then effects
	fitted []estimate.Global
	rows   map[string]int
}

func newFitter(kind Kind, cases []Case) *fitter {
	f := &fitter{kind: kind, cases: cases, rows: map[string]int{}}
	for _, g := range kind.Globals {
		if g.Spread > 0 {
			f.fitted = append(f.fitted, g)
			f.names = append(f.names, g.Name)
		}
	}
	nodes := map[string]bool{}
	for _, c := range cases {
		for _, n := range c.Nodes {
			f.rows[n]++
			nodes[n] = true
		}
		f.rows["series:"+c.Group]++
	}
	f.names = append(f.names, slices.Sorted(maps.Keys(nodes))...)
	return f
}

func (f *fitter) constants(x []float64) estimate.KindConstants {
	out := estimate.KindConstants{Globals: map[string]float64{}, Effects: map[string]float64{}}
	for _, g := range f.kind.Globals {
		out.Globals[g.Name] = g.Prior
	}
	for i, name := range f.names {
		if i < len(f.fitted) {
			g := f.fitted[i]
			out.Globals[name] = g.Prior * math.Exp(g.Spread*x[i])
		} else {
			out.Effects[name] = f.kind.effectSpread(name) * x[i]
		}
	}
	return out
}

func (f *fitter) offsets(start *estimate.KindConstants) []float64 {
	x := make([]float64, len(f.names))
	if start == nil {
		return x
	}
	for i, name := range f.names {
		if i < len(f.fitted) {
			if v := start.Globals[name]; v > 0 {
				x[i] = math.Log(v/f.fitted[i].Prior) / f.fitted[i].Spread
			}
		} else {
			x[i] = start.Effects[name] / f.kind.effectSpread(name)
		}
	}
	return x
}

func (f *fitter) residuals(x []float64) []float64 {
	k := f.constants(x)
	out := make([]float64, len(f.cases))
	for i := range f.cases {
		out[i] = f.cases[i].Residual(&k)
	}
	return out
}

// linear is the derivative of the residuals by an effect that is a factor on
// time: minus its spread for the cases that it applies to.
func (f *fitter) linear(j int) []float64 {
	if j < len(f.fitted) || !f.kind.Scales(f.names[j]) {
		return nil
	}
	out := make([]float64, len(f.cases))
	for i, c := range f.cases {
		if slices.Contains(c.Nodes, f.names[j]) {
			out[i] = -f.kind.effectSpread(f.names[j])
		}
	}
	return out
}

// Residual is log(measured/predicted) time; a row that cannot be predicted
// counts as far off.
func (c *Case) Residual(k *estimate.KindConstants) float64 {
	v := c.Sign * (c.Log - c.Predict(k))
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 5
	}
	return v
}
