package fleet

import (
	"fmt"
	"time"
)

// PacePoints is how many points a pace keeps.
const PacePoints = 16

// Pace is how fast one rank of an attempt goes, as the keeper of its node heard
// it: its last points, the newest last, each a mean over a second or more.
type Pace struct {
	Rank int    `json:"rank"`
	Node string `json:"node,omitempty"` // of the site; "" where it is not known, or is the only one
	Step int64  `json:"step"`           // that it reported last
	// Seconds are those of a step, by the keeper's clock. Where ranks wait for
	// each other in every step they are the same for all.
	Seconds []float64 `json:"seconds,omitempty"`
	// Compute are the seconds of a step that the rank says it worked itself,
	// waiting for no other; empty where it says nothing of them.
	Compute []float64 `json:"compute,omitempty"`
}

// PaceMeasure is what ranks are compared by.
type PaceMeasure string

// The measures of a pace.
const (
	MeasureCompute PaceMeasure = "compute" // Pace.Compute
	MeasureStep    PaceMeasure = "step"    // Pace.Seconds
)

// SlowRank is a rank that is, or was, slower than the others of its attempt.
type SlowRank struct {
	Rank    int         `json:"rank"`
	Node    string      `json:"node,omitempty"`
	Measure PaceMeasure `json:"measure"`
	Seconds float64     `json:"seconds"` // of a step: its median
	Others  float64     `json:"others"`  // median of those that are not slow
	Since   time.Time   `json:"since"`
	Until   time.Time   `json:"until,omitzero"` // when it kept up again; zero while it is slow
	Spells  int         `json:"spells"`         // how often it became slow
}

// IsSlow reports whether the rank is slow now.
func (s SlowRank) IsSlow() bool { return s.Until.IsZero() }

// Name is the rank and its node, for people.
func (s SlowRank) Name() string {
	if s.Node == "" {
		return fmt.Sprintf("rank %d", s.Rank)
	}
	return fmt.Sprintf("rank %d on %s", s.Rank, s.Node)
}

// Text says how slow the rank is, or was, for people.
func (s SlowRank) Text() string {
	what := "a step"
	if !s.IsSlow() {
		return fmt.Sprintf("%s was slow for %s", s.Name(), s.Until.Sub(s.Since).Round(time.Second))
	}
	if s.Measure == MeasureCompute {
		what = "of its own work a step"
	}
	return fmt.Sprintf("%s is slow: %s %s, the others %s (median)", s.Name(), secondsText(s.Seconds), what, secondsText(s.Others))
}

// secondsText rounds a time for reading to about three digits.
func secondsText(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f s", x)
	case x >= 10:
		return fmt.Sprintf("%.1f s", x)
	case x >= 1:
		return fmt.Sprintf("%.2f s", x)
	case x >= 0.01:
		return fmt.Sprintf("%.0f ms", 1e3*x)
	}
	if x < 1e-3 {
		return "under 1 ms"
	}
	return fmt.Sprintf("%.2g ms", 1e3*x)
}
