package calibrate

import (
	"math"
	"sort"

	"github.com/switchyard-ai/switchyard/internal/estimate"
	"github.com/switchyard-ai/switchyard/internal/estimate/measured"
)

// ownWeight is how much a user's row counts beside a published one: it is of
// the user's own machines and software.
const ownWeight = 4

// Change is how far predictions of a user's rows were off, in the mean.
type Change struct {
	Chip   string  `json:"chip"`
	Work   string  `json:"work"`
	Rows   int     `json:"rows"`
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// WithOwn fits the constants to the shipped rows and a user's together,
// starting from the shipped constants. The spreads stay as they were measured
// on published rows.
func WithOwn(own measured.Own) (*estimate.Constants, []Change) {
	files := measured.Embedded()
	before := estimate.Default()
	after := *before
	var changes []Change
	if len(own.Training) > 0 {
		rows, _ := measured.TrainingRows(files.Training)
		mine := weigh(TrainingCases(own.Training, before))
		after.Training = refit(TrainingKind(), append(TrainingCases(rows, before), mine...), &before.Training)
		changes = append(changes, compare("training", mine, &before.Training, &after.Training)...)
	}
	if len(own.Serving) > 0 {
		rows, _ := measured.ServingRows(files.Inference)
		mine := weigh(ServingCases(own.Serving))
		after.Serving = refit(ServingKind(), append(ServingCases(rows), mine...), &before.Serving)
		changes = append(changes, compare("inference", mine, &before.Serving, &after.Serving)...)
	}
	return &after, changes
}

func weigh(cases []Case) []Case {
	for i := range cases {
		cases[i].Weight *= ownWeight
	}
	return cases
}

func refit(kind Kind, cases []Case, start *estimate.KindConstants) estimate.KindConstants {
	k := Fit(kind, cases, start)
	k.Spread = start.Spread
	round(&k)
	return k
}

func compare(work string, cases []Case, before, after *estimate.KindConstants) []Change {
	byChip := map[string]*Change{}
	for i := range cases {
		c := &cases[i]
		if c.What == "ttft" {
			continue
		}
		change := byChip[c.Chip]
		if change == nil {
			change = &Change{Chip: c.Chip, Work: work}
			byChip[c.Chip] = change
		}
		change.Rows++
		change.Before += math.Abs(math.Exp(-c.Residual(before)) - 1)
		change.After += math.Abs(math.Exp(-c.Residual(after)) - 1)
	}
	out := make([]Change, 0, len(byChip))
	for _, c := range byChip {
		c.Before /= float64(c.Rows)
		c.After /= float64(c.Rows)
		out = append(out, *c)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Chip < out[j].Chip })
	return out
}
