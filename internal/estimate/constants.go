package estimate

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"math"
	"strings"
	"sync"

	"github.com/switchyard-ai/switchyard/internal/chip"
	"github.com/switchyard-ai/switchyard/internal/fault"
)

// Constants are what calibration found. Effects are natural logarithms of
// factors on time, one for each node of a path (a maker, a chip; a framework,
// its release), each shrunk towards 0; those along a path add up.
type Constants struct {
	Training KindConstants `json:"training"`
	Serving  KindConstants `json:"serving"`
}

// KindConstants are the constants of one kind of work.
type KindConstants struct {
	Globals map[string]float64 `json:"globals"` // by name; see the tables of Globals in this package
	Effects map[string]float64 `json:"effects"` // by node, such as "chip:H100" or "stack:megatron/nemo"
	Rows    map[string]int     `json:"rows"`    // calibration rows behind each node
	Spread  Spread             `json:"spread"`
}

// Spread are standard deviations of log(measured/predicted), from rows that
// were left out of the fit, by what was known of them; they add in squares.
type Spread struct {
	Known  float64 `json:"known"`    // another row of the same published series is in the fit
	Source float64 `json:"source"`   // more: a source without rows, of a framework and chip that have some
	Stack  float64 `json:"stack"`    // instead: a framework without rows
	Chip   float64 `json:"chip"`     // more: a chip without rows
	Maker  float64 `json:"maker"`    // instead: a chipmaker without rows
	MoE    float64 `json:"moe"`      // more: mixture of experts
	Trial  float64 `json:"trial"`    // more: packed or short runs, shapes that had to be assumed
	Small  float64 `json:"small"`    // more, divided by the root of the chip's rows
	Search float64 `json:"searched"` // more: the parallelism was not given

	Makers map[string]float64 `json:"makers,omitempty"` // more, by chipmaker, where its rows spread wider than all
}

// Global is a fitted constant of the formulas.
type Global struct {
	Name    string
	Prior   float64 // where calibration starts and is pulled to
	Spread  float64 // standard deviation of its logarithm around the prior; 0: not fitted
	Meaning string  // one sentence, with the source of the prior
}

// z80 is the 90th percentile of the normal distribution: 80% lie within ± z80
// standard deviations.
const z80 = 1.2815515655446004

//go:embed data/constants.json
var embedded []byte

// Default returns the constants fitted to the rows that ship with yard.
var Default = sync.OnceValue(func() *Constants {
	c, err := ParseConstants(embedded)
	if err != nil {
		panic("embedded constants: " + err.Error()) // a broken build
	}
	return c
})

// ParseConstants reads a calibration file.
func ParseConstants(data []byte) (*Constants, error) {
	var c Constants
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return nil, fault.Newf(fault.Invalid, "calibration file: %v", err)
	}
	for _, kind := range []KindConstants{c.Training, c.Serving} {
		for name, v := range kind.Globals {
			if !(v > 0) || math.IsInf(v, 0) {
				return nil, fault.Newf(fault.Invalid, "calibration file: globals.%s: found %v; a positive number is needed", name, v)
			}
		}
	}
	return &c, nil
}

// values lays the globals out in the order of the table, priors where absent.
func values(table []Global, set map[string]float64) []float64 {
	out := make([]float64, len(table))
	for i, g := range table {
		out[i] = g.Prior
		if v, ok := set[g.Name]; ok {
			out[i] = v
		}
	}
	return out
}

// nodes of a chip and of a framework path, from general to particular.
func chipNodes(k *chip.Chip) []string {
	return []string{"maker:" + string(k.Maker), "chip:" + k.ID}
}

func stackNodes(path string) []string {
	var out []string
	for i, c := range path {
		if c == '/' {
			out = append(out, "stack:"+path[:i])
		}
	}
	return append(out, "stack:"+path)
}

func (k *KindConstants) sum(nodes []string) float64 {
	total := 0.0
	for _, n := range nodes {
		total += k.Effects[n]
	}
	return total
}

// familyStack is the one framework that a chip family is programmed with,
// where there is just one in the rows.
func familyStack(f chip.Family) string {
	switch f {
	case chip.Neuron:
		return "neuron"
	case chip.TPU:
		return "maxtext"
	case chip.Gaudi:
		return "gaudi"
	}
	return ""
}

// question is what is known of a prediction besides its numbers.
type question struct {
	chip          *chip.Chip
	stack, series string
	moe, trial    bool
	searched      bool
}

// judge returns the spread of a prediction, its status and the rows behind it.
func (k *KindConstants) judge(q question) (sigma float64, status Status, support []Support) {
	s := k.Spread
	square := s.Known * s.Known
	add := func(sd float64) { square += sd * sd }
	for _, n := range append(Nodes(q.chip, q.stack), "series:"+q.series) {
		if rows := k.Rows[n]; rows > 0 {
			support = append(support, Support{n, rows})
		}
	}
	status = Measured
	switch rows := k.Rows["chip:"+q.chip.ID]; {
	case rows > 0:
		add(s.Small / math.Sqrt(float64(rows)))
	case k.Rows["maker:"+string(q.chip.Maker)] > 0:
		status = Extrapolated
		add(s.Chip)
	default:
		status = Extrapolated
		add(s.Maker)
	}
	root, _, _ := strings.Cut(q.stack, "/")
	switch {
	case k.Rows["series:"+q.series] > 0:
	case k.Rows["stack:"+root] > 0:
		add(s.Source)
	default:
		add(s.Stack)
	}
	add(s.Makers[string(q.chip.Maker)])
	if q.moe {
		add(s.MoE)
	}
	if q.trial {
		add(s.Trial)
	}
	if q.searched {
		add(s.Search)
	}
	return math.Sqrt(square), status, support
}

// Nodes lists the effects that apply to a chip under a framework, general to
// particular; a framework that is not named has none of its own.
func Nodes(c *chip.Chip, stack string) []string {
	if stack == "" {
		stack = familyStack(c.Family)
	}
	if stack == "" {
		return chipNodes(c)
	}
	return append(chipNodes(c), stackNodes(stack)...)
}
