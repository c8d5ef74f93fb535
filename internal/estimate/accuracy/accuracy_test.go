package accuracy

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/estimate/calibrate"
)

func cases() []calibrate.Case {
	var out []calibrate.Case
	for i, c := range []struct {
		chip, maker, source string
		ratio               float64 // measured over ideal
	}{{"A", "x", "s1", 2}, {"A", "x", "s1", 4}, {"A", "x", "s2", 3}, {"B", "x", "s3", 8}, {"C", "y", "s4", 16}} {
		out = append(out, calibrate.Case{Chip: c.chip, Nodes: []string{"maker:" + c.maker}, Source: c.source, Line: i, Time: math.Log(c.ratio)})
	}
	return out
}

func TestTheBaselineFallsBackToMakerAndAll(t *testing.T) {
	in := baseline(cases(), nil)
	if math.Abs(math.Exp(in[2])-1) > 1e-9 { // the median of its chip
		t.Errorf("in sample: %v", in)
	}
	out := baseline(cases(), calibrate.BySource)
	for i, want := range map[int]float64{
		0: 2.0 / 3,  // its chip has one row left
		3: 8.0 / 3,  // none of its chip: median of its maker's 2, 3, 4
		4: 16.0 / 4, // none of its maker: the upper median of 2, 3, 4, 8
	} {
		if got := math.Exp(out[i]); math.Abs(got-want) > 1e-9 {
			t.Errorf("row %d: measured over predicted is %v, want %v", i, got, want)
		}
	}
}

func TestSummary(t *testing.T) {
	s := summarize([]point{{fit: 0, inside: true}, {fit: -math.Log(1.1)}, {fit: math.Log(2), inside: true}}, byFit)
	if s.rows != 3 || math.Abs(s.median-0.1) > 1e-9 || math.Abs(s.mean-0.2) > 1e-9 || math.Abs(s.bias+0.4/3) > 1e-9 || math.Abs(s.coverage-2.0/3) > 1e-9 {
		t.Errorf("got %+v", s)
	}
}

func TestPlotsAreWellFormed(t *testing.T) {
	var points []point
	for _, c := range cases() {
		points = append(points, point{c: c, fit: 0.1})
	}
	svg := plot("Title & more", "s", points)
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(svg, "<circle") != 5 || !strings.Contains(svg, "y (1)") { // 4 points and a legend entry
		t.Errorf("points or legend are missing: %s", svg)
	}
}
